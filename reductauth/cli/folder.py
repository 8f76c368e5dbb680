"""The server's data folder, as commands find it: by an option, the environment or its configuration file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from reductauth.chosen import read_key
from reductauth.configuration import Configuration
from reductauth.errors import ConfigurationError
from reductauth.key import RegistryKey
from reductauth.settings import Settings
from reductauth.sqlite.files import RegistryFolder

__all__ = ["check_registry", "config_option", "data_option", "folder_settings", "registry_and_key"]

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def data_option(command: CommandT) -> CommandT:
    """Let a command take `--data`."""
    return click.option(
        "--data",
        "--data-path",
        "data_path",
        metavar="FOLDER",
        type=click.Path(path_type=Path),
        help="The server's data folder; by default what RS_DATA_PATH or the configuration file says, or ./data.",
    )(command)


def config_option(command: CommandT) -> CommandT:
    """Let a command take `--config`."""
    return click.option(
        "--config",
        "config_file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The server's YAML configuration file.",
    )(command)


def folder_settings(configuration: Configuration, data_path: Path | None, *names: str) -> Settings:
    """Read where the folder is, and the settings in `names`; the rest may be waiting for what the command does.

    `data_path` wins over the configuration. Raises `ConfigurationError`.
    """
    if configuration.faults:
        raise ConfigurationError(configuration.faults)
    variables = [Settings.variable(name) for name in ("data_path", *names)]
    given = {name: found.text() for name in variables if (found := configuration.get(name)) is not None}
    if data_path is not None:
        given[Settings.variable("data_path")] = str(data_path)
    return Settings.from_environment(given)


def check_registry(path: Path) -> None:
    """Raise `ConfigurationError` unless a registry is in a folder of ours. Makes nothing."""
    owner = path.lstat().st_uid if os.path.lexists(path) else os.geteuid()
    if owner != os.geteuid():
        raise ConfigurationError(
            [f"{path}: belongs to user {owner}, and this command runs as {os.geteuid()}; run it as that user"]
        )
    # A server's first start makes a registry and its first token; here it could only be a wrong folder.
    if not os.path.lexists(RegistryFolder(path).database):
        raise ConfigurationError(
            [f"{path}: there is no token registry; name the data folder of a server that was started before"]
        )


def registry_and_key(config_file: Path | None, data_path: Path | None) -> tuple[RegistryFolder, RegistryKey]:
    """Find the registry of a data folder as the server does, and its key. Raises `ConfigurationError`."""
    configuration = Configuration.read(os.environ, config_file)
    folder = RegistryFolder(folder_settings(configuration, data_path).auth_folder)
    check_registry(folder.path)
    folder.prepare()
    return folder, read_key(configuration) or folder.stored_key()
