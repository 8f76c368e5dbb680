"""`reductauth digest`: a value's digest, for a configuration that does not hold the value."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from reductauth.chosen import ADVISED_LENGTH, check_value, read_key, trim_newline
from reductauth.cli.folder import config_option, data_option, folder_settings
from reductauth.configuration import Configuration, Given
from reductauth.errors import ConfigurationError
from reductauth.key import RegistryKey
from reductauth.provisioning import KeyedDigest
from reductauth.sqlite.files import RegistryFolder
from reductauth.value import MAX_VALUE_LENGTH

__all__ = ["digest"]


@click.command()
@data_option
@config_option
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
    settings = folder_settings(configuration, data_path)
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
