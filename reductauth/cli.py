"""The command `reductauth`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click
from aiohttp import web

from reductauth.chosen import ADVISED_LENGTH, check_value, read_key, trim_newline
from reductauth.configuration import Configuration, Given
from reductauth.errors import ConfigurationError
from reductauth.key import RegistryKey
from reductauth.provisioning import KeyedDigest
from reductauth.settings import Settings
from reductauth.sqlite.files import RegistryFolder
from reductauth.value import MAX_VALUE_LENGTH
from reductauth.web.census import route_table

__all__ = ["main"]


@click.group()
def main() -> None:
    """Token authentication and authorization that a storage engine embeds."""


@main.command()
@click.argument("factory", metavar="MODULE:FACTORY")
def routes(factory: str) -> None:
    """Print every route of an application and what it demands.

    MODULE:FACTORY names a function without arguments that returns an aiohttp application, for example
    storage_demo.app:create_app. Exits with 1 if a route declares no policy: such an application does not start.
    """
    app = _load(factory)()
    if not isinstance(app, web.Application):
        raise click.BadParameter(f"{factory} returned {type(app).__name__}, not an aiohttp application")
    entries = route_table(app)
    for entry in entries:
        click.echo(str(entry))
    faulty = [entry for entry in entries if entry.fault is not None]
    for entry in faulty:
        click.echo(f"{entry.method} {entry.path}: {entry.fault}", err=True)
    if faulty:
        sys.exit(1)


@main.command()
@click.option(
    "--data-path",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The server's data folder; by default what RS_DATA_PATH or the configuration file says, or ./data.",
)
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The server's YAML configuration file.",
)
def digest(data_path: Path | None, config_file: Path | None) -> None:
    """Print the digest of a token's value, for a provisioned token that is declared without it.

    The value is read from standard input; one newline at its end is not part of it. The digest is made with the
    registry's key: RS_AUTH_KEY, RS_AUTH_KEY_FILE, or auth/auth.key in the data folder. It is printed as
    {id of the key}:{digest}, so that another registry refuses it.
    """
    try:
        key = _registry_key(Configuration.read(os.environ, config_file), data_path)
        value = check_value(Given("standard input", _typed_value()))
    except ConfigurationError as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        sys.exit(1)
    if len(value) < ADVISED_LENGTH:
        click.echo(
            f"the value is shorter than {ADVISED_LENGTH} characters: a longer, random one is harder to guess",
            err=True,
        )
    click.echo(str(KeyedDigest.of(value, key)))


def _registry_key(configuration: Configuration, data_path: Path | None) -> RegistryKey:
    if configuration.faults:
        raise ConfigurationError(configuration.faults)
    key = read_key(configuration)
    if key is not None:
        return key
    variable = Settings.variable("data_path")
    given = configuration.get(variable)
    chosen = given.text() if data_path is None and given is not None else data_path
    # Only this setting: the configuration as a whole may be waiting for the digest.
    settings = Settings.from_environment({} if chosen is None else {variable: str(chosen)})
    return RegistryFolder(settings.auth_folder).stored_key()


def _typed_value() -> str:
    if sys.stdin.isatty():
        value: str = click.prompt("Value", hide_input=True, confirmation_prompt=True, err=True)
    else:
        # As the server reads a file: what is not ASCII is refused, not misread.
        value = trim_newline(sys.stdin.buffer.read(MAX_VALUE_LENGTH + 3).decode("latin-1"))
    if not value:
        raise ConfigurationError(["standard input: is empty; it must be the token's value"])
    return value


def _load(factory: str) -> Callable[[], object]:
    module_name, _, function_name = factory.partition(":")
    if not module_name or not function_name:
        raise click.BadParameter(f"{factory!r} is not of the form MODULE:FACTORY")
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does; the console command does not
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise click.BadParameter(f"{factory!r} can't be loaded: {error}") from None
    if not callable(function):
        raise click.BadParameter(f"{factory!r} is not a function")
    return function  # type: ignore[no-any-return] # whatever it returns is checked by the caller
