"""Where a command finds the registry: the options that say so, and the way in."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from reductauth.chosen import find_secret, trim_newline
from reductauth.cli.admin import TokenAdmin
from reductauth.cli.failures import MisuseError
from reductauth.cli.folder import config_option, data_option
from reductauth.cli.local import local_admin
from reductauth.cli.remote import remote_admin, server_url
from reductauth.configuration import Configuration
from reductauth.errors import ConfigurationError
from reductauth.value import MAX_VALUE_LENGTH

__all__ = ["INTERRUPTED", "Door", "with_door"]

T = TypeVar("T")

INTERRUPTED = 128 + signal.SIGINT
"""The exit status, as shells say it."""

_URL = "RS_URL"
_TOKEN = "RS_API_TOKEN"  # noqa: S105 - the name of a variable
_OPTIONS = (
    click.option("--url", help="The server, such as https://storage.example:8383; by default RS_URL."),
    click.option(
        "--token-file",
        metavar="FILE",
        type=click.File("rb"),
        help="File that holds the value of a token with full access, - for standard input; "
        "by default RS_API_TOKEN, or the file that RS_API_TOKEN_FILE names.",
    ),
    click.option(
        "--ca",
        "ca_file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Certificates in PEM form to verify the server with, in place of the system's.",
    ),
    data_option,
    config_option,
)


@dataclass(frozen=True, slots=True)
class Door:
    """What the options said."""

    url: str | None
    token_file: BinaryIO | None
    ca_file: Path | None
    data_path: Path | None
    config_file: Path | None

    def run(self, work: Callable[[TokenAdmin], Coroutine[Any, Any, T]]) -> T:
        """Go in, do the work, and close behind. Raises `CommandError`."""

        async def visit() -> T:
            async with self._open() as admin:
                return await work(admin)

        try:
            return asyncio.run(visit())
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    def _open(self) -> AbstractAsyncContextManager[TokenAdmin]:
        is_local = self.data_path is not None or self.config_file is not None
        if self.url is not None and is_local:
            raise MisuseError("--url is for a server, --data and --config for a folder")
        url = None if is_local else os.environ.get(_URL) if self.url is None else self.url
        configuration = Configuration.read(os.environ, self.config_file)
        if url is None:
            return local_admin(configuration, self.data_path)
        return remote_admin(server_url(url), self._value(configuration), self.ca_file)

    def _value(self, configuration: Configuration) -> str:
        if self.token_file is not None:
            where, value = "--token-file", self.token_file.read(MAX_VALUE_LENGTH + 3).decode("latin-1")
        else:
            try:
                given = find_secret(configuration, _TOKEN)
            except ConfigurationError as error:
                raise MisuseError(str(error)) from None
            if given is None:
                raise MisuseError(
                    f"a server needs a token: set {_TOKEN} to its value, or use --token-file",
                )
            where, value = given.where, given.text()
        value = trim_newline(value)
        if not value or not all("!" <= character <= "~" for character in value):
            raise MisuseError(f"{where}: must hold a token's value, and nothing else")
        return value


def with_door(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options, and a `Door` as its first argument."""

    @functools.wraps(command)
    def run(
        url: str | None,
        token_file: BinaryIO | None,
        ca_file: Path | None,
        data_path: Path | None,
        config_file: Path | None,
        **others: Any,
    ) -> None:
        try:
            json.dumps(others, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise MisuseError("the arguments must be UTF-8") from None
        command(Door(url, token_file, ca_file, data_path, config_file), **others)

    options: Callable[..., None] = run
    for option in reversed(_OPTIONS):
        options = option(options)
    return options
