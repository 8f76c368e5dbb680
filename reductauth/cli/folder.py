"""The server's data folder, as commands find it: by an option, the environment or its configuration file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from reductauth.configuration import Configuration
from reductauth.errors import ConfigurationError
from reductauth.settings import Settings

__all__ = ["config_option", "data_option", "folder_settings"]

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
