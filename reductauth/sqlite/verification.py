"""Checks a whole registry: the file, its key, the generation, every seal, the audit's chain.

Rule of this file: it runs in a process that serves nobody, because it opens the live files by itself.
"""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from reductauth.errors import ConfigurationError
from reductauth.key import RegistryKey
from reductauth.sqlite import schema
from reductauth.sqlite.facts import read_fact
from reductauth.sqlite.files import RegistryFolder
from reductauth.sqlite.rows import TOKEN_COLUMNS, token_of
from reductauth.sqlite.seal import Sealer
from reductauth.sqlite.trail import TrailKey, trail_faults

__all__ = ["audit_faults", "database_faults", "opened", "registry_faults"]

_RESTORE = "restore the registry from a backup"
_BUSY_TIMEOUT_SECONDS = 5.0


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a registry's file to read one state of it. Raises `ConfigurationError`."""
    try:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None
        )
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            schema.check_version(connection, str(path))
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise ConfigurationError(
            [f"{path}: can't be read as a token registry ({error}); {_RESTORE}"]
        ) from None


def registry_faults(folder: RegistryFolder, key: RegistryKey) -> list[str]:
    """Say all that is wrong with the registry in a folder, a line each with what to do. Servers may run on it.

    Raises `ConfigurationError` if it can't be read.
    """
    counter = _counter(folder)  # first: changes that come in between only move the row on
    with opened(folder.database) as connection:
        return [*_generation_faults(connection, folder, counter), *database_faults(connection, key)]


def audit_faults(folder: RegistryFolder, key: RegistryKey) -> list[str]:
    """Say all that is wrong with the audit's chain. Raises `ConfigurationError` if it can't be read."""
    with opened(folder.database) as connection:
        return [*_key_faults(connection, key)] or [*trail_faults(connection, TrailKey(key))]


def database_faults(connection: sqlite3.Connection, key: RegistryKey) -> Iterator[str]:
    """Say all that is wrong with what a registry's file holds."""
    for (found,) in connection.execute("PRAGMA integrity_check"):
        if found != "ok":
            yield f"file: is damaged ({found}); {_RESTORE}"
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"file: row {row} of {table} belongs to nothing in {parent}; {_RESTORE}"
    for name in schema.foreign_parts(connection):
        yield f"file: {name} is no part of a registry; find out who put it there, and {_RESTORE}"
    wrong_key = list(_key_faults(connection, key))
    if wrong_key:
        yield from wrong_key
        return
    yield from _seal_faults(connection, Sealer(key))
    yield from trail_faults(connection, TrailKey(key))


def _key_faults(connection: sqlite3.Connection, key: RegistryKey) -> Iterator[str]:
    check_value = read_fact(connection, "key_check", bytes)
    if check_value is None or not key.matches(check_value):
        yield (
            f"key: the registry was made with another key than {key.key_id}; restore the auth.key that belongs "
            "to it, or set RS_AUTH_KEY to the right key"
        )


def _counter(folder: RegistryFolder) -> int | None:
    try:
        (counter,) = struct.unpack("=Q", folder.generation_file.read_bytes())
    except (OSError, struct.error):
        return None
    return int(counter)


def _generation_faults(
    connection: sqlite3.Connection, folder: RegistryFolder, counter: int | None
) -> Iterator[str]:
    kept = read_fact(connection, "generation", int)
    if kept is None:
        yield f"generation: is missing in {folder.database}; {_RESTORE}"
    elif counter is None:
        yield (
            f"generation: {folder.generation_file} is missing or no generation file; stop every server that uses "
            "the folder and remove it: the next start makes it anew"
        )
    elif counter > kept + counter % 2:
        yield (
            f"generation: {folder.generation_file} says change {counter}, auth.db is at change {kept}: an older "
            f"copy of auth.db was put back; {_RESTORE} with reductauth restore"
        )


def _seal_faults(connection: sqlite3.Connection, sealer: Sealer) -> Iterator[str]:
    for row in connection.execute(f"SELECT {TOKEN_COLUMNS} FROM tokens ORDER BY name"):
        fault = token_of(row, sealer).fault
        if fault is not None:
            yield f"token {row[1]!r}: {fault}; revoke or delete it, or {_RESTORE}"
    rows = connection.execute("SELECT id, kind, bucket, new_bucket, owner, seal FROM bucket_intents")
    for row in rows:
        if not sealer.fits(row):
            yield f"bucket {row[2]!r}: its {row[1]} was stated by something else than this software; {_RESTORE}"
