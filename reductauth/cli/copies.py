"""`reductauth verify`, `backup` and `restore`: on the server's data folder, by another process than the server."""

from __future__ import annotations

import os
from pathlib import Path

import click

from reductauth.chosen import read_key
from reductauth.cli.books import report
from reductauth.cli.failures import RefusedError, UnreachableError
from reductauth.cli.folder import config_option, data_option, folder_settings, registry_and_key
from reductauth.cli.terminal import print_line, say
from reductauth.clock import system_clock
from reductauth.configuration import Configuration
from reductauth.errors import ConfigurationError, StoreUnavailableError
from reductauth.sqlite.backup import back_up, restore
from reductauth.sqlite.files import RegistryFolder
from reductauth.sqlite.verification import registry_faults

__all__ = ["backup_registry", "restore_registry", "verify"]


@click.command()
@data_option
@config_option
def verify(data_path: Path | None, config_file: Path | None) -> None:
    """Check the whole registry: the file, its key, every token's seal, the audit. Exits with 1 if it has a fault.

    Servers may run on it meanwhile. Each fault is one line, with what to do.
    """
    try:
        folder, key = registry_and_key(config_file, data_path)
    except ConfigurationError as error:
        raise UnreachableError(str(error)) from None
    try:
        faults = registry_faults(folder, key)
    except ConfigurationError as error:
        faults = list(error.faults)
    report(faults, "the registry is whole")


@click.command("backup")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--with-key", is_flag=True, help="Put the registry's key beside the copy: keep such a copy as safe."
)
@data_option
@config_option
def backup_registry(
    *, target: Path, with_key: bool, data_path: Path | None, config_file: Path | None
) -> None:
    """Copy the registry into TARGET, a new folder, while servers run. Exits with 1 if the copy has a fault."""
    try:
        folder, key = registry_and_key(config_file, data_path)
        faults = back_up(folder, target, key, with_key=with_key)
    except ConfigurationError as error:
        raise UnreachableError(str(error)) from None
    if not with_key:
        say(
            "the key is not in the copy: without it the copy is worth nothing; keep it elsewhere, or say --with-key"
        )
    report(faults, f"{target}: the registry as it is now")


@click.command("restore")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Overwrite the registry that is there.")
@data_option
@config_option
def restore_registry(
    *, source: Path, replace: bool, data_path: Path | None, config_file: Path | None
) -> None:
    """Put a copy that `backup` made in place, while no server runs.

    SOURCE is the folder that it made. The key is that beside the copy, or RS_AUTH_KEY, or the one that is in
    the place already. The copy is checked before. What works again that had been taken back since is told.
    """
    try:
        configuration = Configuration.read(os.environ, config_file)
        folder = RegistryFolder(folder_settings(configuration, data_path).auth_folder)
        copy = RegistryFolder(source)
        if not copy.database.exists():
            raise UnreachableError(f"{copy.database}: there is no such copy")
        risen = restore(copy, folder, read_key(configuration), system_clock()(), replace=replace)
    except ConfigurationError as error:
        raise RefusedError(str(error)) from None
    except (OSError, StoreUnavailableError) as error:
        raise UnreachableError(str(error)) from None
    for line in risen:
        say(f"{line}; in the copy it works again: revoke or delete it if it must not")
    print_line(f"{folder.path}: restored; start the server")
