"""Copies a registry while servers run on it, and puts a copy in place while none does.

Rule of this file: it runs in a process that serves nobody, because it opens the live files by itself.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reductauth.actor import Actor
from reductauth.audit import AuditAction
from reductauth.errors import ConfigurationError
from reductauth.key import RegistryKey
from reductauth.sqlite.facts import read_fact, write_fact
from reductauth.sqlite.files import FolderLock, RegistryFolder, replace_file, sync
from reductauth.sqlite.trail import NOTHING, Trail, TrailKey
from reductauth.sqlite.verification import database_faults, opened

__all__ = ["back_up", "restore"]


def back_up(folder: RegistryFolder, target: Path, key: RegistryKey, *, with_key: bool) -> list[str]:
    """Copy the registry into a new folder, mode 0700, its files 0600; return what is wrong with the copy.

    Raises `ConfigurationError` if there is something already, or the copy can't be made.
    """
    try:
        target.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigurationError([f"{target}: can't be made ({error.strerror}); name a new folder"]) from None
    copy = RegistryFolder(target)
    with opened(folder.database) as source:
        source.execute("COMMIT")  # the copy has a snapshot of its own
        _copy(source, copy.database)
    if with_key:
        _write_key(copy, key)
    sync(target)
    with opened(copy.database) as made:
        return list(database_faults(made, key))


def restore(
    source: RegistryFolder,
    folder: RegistryFolder,
    given_key: RegistryKey | None,
    now_us: int,
    *,
    replace: bool,
) -> list[str]:
    """Put a copy in place of what is in a folder, and return what of it had been taken back since.

    The copy is checked before, goes on as the newest generation, and has it in its audit. With `replace` a registry
    that is there is overwritten. The key is that beside the copy, or `given_key`, or the one in the place. Raises
    `ConfigurationError` with what an operator has to do; then nothing is lost.
    """
    folder.prepare()
    lock = FolderLock(folder.lock_file)
    try:
        with lock.held():
            if lock.is_any_claimed():
                raise ConfigurationError(
                    [f"{folder.path}: a server or a command uses it; stop every one before you restore"]
                )
            if folder.holds_registry() and not replace:
                raise ConfigurationError(
                    [f"{folder.path}: there is a token registry; to overwrite it, say --replace"]
                )
            return _put_in_place(source, folder, _key_of(source, folder, given_key), now_us)
    finally:
        lock.close()


def _put_in_place(source: RegistryFolder, folder: RegistryFolder, key: RegistryKey, now_us: int) -> list[str]:
    copy = folder.restored_database
    copy.unlink(missing_ok=True)
    with opened(source.database) as given:
        given.execute("COMMIT")
        _copy(given, copy)
    try:
        new = _checked(copy, key)
        old = _summary_of_present(folder)
        risen = [] if old is None else new.risen_since(old)
        generation = max(new.generation, 0 if old is None else old.generation, _counter(folder)) // 2 * 2 + 2
        with _changing(copy) as made:
            write_fact(made, "generation", generation)
            detail = {"generation": generation, "back_again": risen}
            trail = Trail(made, TrailKey(key))
            trail.write(now_us, Actor.environment(), AuditAction.RESTORE, NOTHING, detail)
            trail.settle()
        sync(copy)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    _fold_log(folder)
    if source.key_file.exists():
        _write_key(folder, key)
    copy.rename(folder.database)
    sync(folder.path)
    if not folder.generation_file.exists():
        replace_file(folder.generation_file, struct.pack("=Q", generation))
    return risen


def _key_of(source: RegistryFolder, folder: RegistryFolder, given_key: RegistryKey | None) -> RegistryKey:
    return source.stored_key() if source.key_file.exists() else given_key or folder.stored_key()


def _write_key(folder: RegistryFolder, key: RegistryKey) -> None:
    replace_file(folder.key_file, key.to_hex().encode() + b"\n")


def _checked(copy: Path, key: RegistryKey) -> _Summary:
    with opened(copy) as connection:
        faults = list(database_faults(connection, key))
        if not faults:
            return _Summary.of(connection)
    raise ConfigurationError([f"the copy can't be used: {fault}" for fault in faults])


def _copy(source: sqlite3.Connection, target: Path) -> None:
    """Copy a registry into one new file, mode 0600."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # nothing of it in another file
    sync(target)


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")


def _fold_log(folder: RegistryFolder) -> None:
    """See to it that no log of the present registry is left that would be applied to its successor.

    A registry that can't be opened any more is moved aside, with its log.
    """
    if not folder.database.exists():
        for path in folder.logs():
            path.unlink(missing_ok=True)
        return
    try:
        with contextlib.closing(sqlite3.connect(folder.database, isolation_level=None)) as present:
            (mode,) = present.execute("PRAGMA journal_mode = DELETE").fetchone()
        if mode != "delete":
            raise ConfigurationError(
                [f"{folder.database}: another process reads it; try again when none does"]
            )
    except sqlite3.Error:
        for path in (folder.database, *folder.logs()):
            if path.exists():
                path.rename(path.with_name(f"{path.name}.replaced"))


def _counter(folder: RegistryFolder) -> int:
    try:
        (counter,) = struct.unpack("=Q", folder.generation_file.read_bytes())
    except FileNotFoundError:
        return 0
    except struct.error:
        folder.generation_file.unlink()
        return 0
    return int(counter)


@dataclass(frozen=True, slots=True)
class _Summary:
    """What decides who may come in. Tokens by their ids."""

    generation: int
    names: dict[str, str]
    stopped: frozenset[str]
    values: dict[str, frozenset[bytes]]

    @classmethod
    def of(cls, connection: sqlite3.Connection) -> _Summary:
        tokens = connection.execute("SELECT id, name, active = 0 OR revoked_at_us IS NOT NULL FROM tokens")
        rows = tokens.fetchall()
        values: dict[str, set[bytes]] = {}
        for token_id, digest in connection.execute(
            "SELECT tokens.id, digest FROM secrets JOIN tokens ON tokens.key = token_key"
        ):
            values.setdefault(token_id, set()).add(digest)
        return cls(
            read_fact(connection, "generation", int) or 0,
            {token_id: name for token_id, name, _ in rows},
            frozenset(token_id for token_id, _, is_stopped in rows if is_stopped),
            {token_id: frozenset(digests) for token_id, digests in values.items()},
        )

    def risen_since(self, later: _Summary) -> list[str]:
        """Name the tokens that work here, and in a later state do not, or not with these values."""
        found = []
        for token_id, name in sorted(self.names.items(), key=lambda item: item[1]):
            if token_id in self.stopped or token_id not in self.values:
                continue
            if token_id not in later.names:
                found.append(f"{name}: was deleted")
            elif token_id in later.stopped:
                found.append(f"{name}: was revoked or deactivated")
            elif self.values[token_id] - later.values.get(token_id, frozenset()):
                found.append(f"{name}: was rotated, and has its older value again")
        return found


def _summary_of_present(folder: RegistryFolder) -> _Summary | None:
    """What the registry says that is to be overwritten; None if there is none that can be read."""
    if not folder.database.exists():
        return None
    try:
        with opened(folder.database) as present:
            return _Summary.of(present)
    except ConfigurationError:
        return None
