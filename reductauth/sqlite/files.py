"""The registry's folder: what is in it, who may own it, and the first start.

    auth.db    the registry (SQLite, beside it `-wal` and `-shm`)
    auth.key   its key, unless the environment holds it
    auth.gen   the generation (see `reductauth.sqlite.generation`)
    auth.lock  held while files are made or a change is published

Rules of this file: nothing is ever made where something was lost; the live `auth.db*` files are looked at
with `lstat` only, because opening and closing them in this process would drop SQLite's locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import sqlite3
import stat
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reductauth.errors import ConfigurationError, StoreUnavailableError
from reductauth.key import RegistryKey
from reductauth.sqlite import schema, trail

__all__ = ["FIRST_GENERATION", "FolderLock", "RegistryFolder", "replace_file", "sync"]

FIRST_GENERATION = 2
_LOCK_TIMEOUT_SECONDS = 5.0
_LOCK_PAUSE_SECONDS = 0.001
_MAX_CLAIM = 2**62
_FLOCK = "hhqqi4x"  # struct flock of Linux: type, whence, start, length, pid


class FolderLock:
    """`flock` on `auth.lock`: one holder among all processes. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock. Raises `StoreUnavailableError` when another process keeps it for seconds."""
        deadline = time.monotonic() + _LOCK_TIMEOUT_SECONDS
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreUnavailableError from None
                time.sleep(_LOCK_PAUSE_SECONDS)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def claim(self) -> int:
        """Take a number that is this process's for as long as it lives: a locked byte far behind the file's end."""
        while True:
            number = secrets.randbelow(_MAX_CLAIM) + 1
            with contextlib.suppress(BlockingIOError):
                fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, _byte_lock(fcntl.F_WRLCK, number))
                return number

    def is_claimed(self, number: int) -> bool:
        """Whether a living process holds this number."""
        answer = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, _byte_lock(fcntl.F_WRLCK, number))
        kind, *_ = struct.unpack(_FLOCK, answer)
        return bool(kind != fcntl.F_UNLCK)

    def is_any_claimed(self) -> bool:
        """Whether any other process holds a number: it has the registry open."""
        whole = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 1, 0, 0)
        kind, *_ = struct.unpack(_FLOCK, fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, whole))
        return bool(kind != fcntl.F_UNLCK)

    def close(self) -> None:
        """Let go of the file, once."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _byte_lock(kind: int, offset: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, offset, 1, 0)


@dataclass(frozen=True, slots=True)
class RegistryFolder:
    """The folder at `path`, and the names in it."""

    path: Path

    @property
    def database(self) -> Path:
        """The registry itself."""
        return self.path / "auth.db"

    @property
    def key_file(self) -> Path:
        """The registry's key, 64 hexadecimal digits."""
        return self.path / "auth.key"

    @property
    def generation_file(self) -> Path:
        """The generation, 8 bytes."""
        return self.path / "auth.gen"

    @property
    def lock_file(self) -> Path:
        """What `FolderLock` locks."""
        return self.path / "auth.lock"

    @property
    def unfinished_database(self) -> Path:
        """A registry that a first start has not finished."""
        return self.path / "auth.db.new"

    @property
    def restored_database(self) -> Path:
        """A copy that is about to be put in place."""
        return self.path / "auth.db.restored"

    def logs(self) -> list[Path]:
        """What SQLite keeps beside a database that was not closed."""
        return [self._beside(suffix) for suffix in ("-wal", "-shm", "-journal")]

    def holds_registry(self) -> bool:
        """Whether anything here says that a registry was made, even if parts of it are lost."""
        return os.path.lexists(self.database) or os.path.lexists(self.key_file) or self._has_remains()

    def live_files(self) -> list[Path]:
        """What an open registry writes to."""
        return [
            self.database,
            self._beside("-wal"),
            self._beside("-shm"),
            self.generation_file,
            self.lock_file,
        ]

    def _beside(self, suffix: str) -> Path:
        return self.database.with_name(self.database.name + suffix)

    def _has_remains(self) -> bool:
        """Whether there are files that only a finished registry has, its database and its key aside."""
        remains = (self.generation_file, self._beside("-wal"), self._beside("-journal"))
        return any(os.path.lexists(path) for path in remains)

    def prepare(self) -> None:
        """Make the folder if there is none, and check who owns what is in it.

        Raises `ConfigurationError` for a folder or file that is a symbolic link, not ours, or open to others.
        """
        _make_folder(self.path, 0o700)
        faults = _ownership_faults(self.path, stat.S_ISDIR, "folder")
        if not faults:
            for entry in sorted(self.path.iterdir()):
                faults += _ownership_faults(entry, stat.S_ISREG, "file")
        if faults:
            raise ConfigurationError(faults)

    def stored_key(self) -> RegistryKey:
        """Read the key file, and nothing else: for who needs the key while the registry may be open.

        Raises `ConfigurationError` if there is none, or if it or the folder is not ours alone.
        """
        faults = _ownership_faults(self.path, stat.S_ISDIR, "folder")
        faults += _ownership_faults(self.key_file, stat.S_ISREG, "file")
        if not faults and not os.path.lexists(self.key_file):
            faults.append(
                f"{self.key_file}: there is no key; name the data folder of a server that was started before, "
                "or set RS_AUTH_KEY"
            )
        if faults:
            raise ConfigurationError(faults)
        return self._read_key()

    def first_start(self, given_key: RegistryKey | None) -> RegistryKey:
        """Make the registry if there never was one, resume a first start that was cut short, and find the key.

        The caller holds the lock. Raises `ConfigurationError` when the registry or its key was lost.
        """
        has_database = os.path.lexists(self.database)
        has_key = os.path.lexists(self.key_file)
        if has_database:
            return given_key or self._read_key()
        is_resumed = has_key and given_key is None and os.path.lexists(self.unfinished_database)
        if is_resumed and not self._has_remains():
            key = self._read_key()
            self._finish()
            return key
        if has_key or self._has_remains():
            raise ConfigurationError(
                [
                    f"{self.database}: the token registry is missing, but files that belong to it are there; "
                    f"restore auth.db from a backup or, to begin afresh without any token, remove {self.path}"
                ]
            )
        key = given_key or RegistryKey.generate()
        self._build(key)
        if given_key is None:
            self._write_key(key)
        self._finish()
        return key

    def _read_key(self) -> RegistryKey:
        try:
            text = self.key_file.read_text("ascii", "replace")
        except FileNotFoundError:
            raise ConfigurationError(
                [
                    f"{self.key_file}: the key of the token registry is missing; restore auth.key from a backup, "
                    f"or set RS_AUTH_KEY; to begin afresh without any token, remove {self.path}"
                ]
            ) from None
        return RegistryKey.from_hex(text.removesuffix("\n"), str(self.key_file))

    def _build(self, key: RegistryKey) -> None:
        for leftover in self.path.glob("auth.db.new*"):
            leftover.unlink()
        path = self.unfinished_database
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            # It is synced as a whole, below; a start that is cut short before that begins anew.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = MEMORY")
            facts: dict[str, str | bytes | int] = {
                "key_check": key.check_value,
                "key_id": key.key_id,
                "generation": FIRST_GENERATION,
                "seeded": 0,
                **trail.first_facts(key),
            }
            schema.create(connection, facts)
            # Last: what stood in a log would be moved when the connection is closed, and nobody hears if that fails.
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        sync(path)
        sync(self.path)  # before the key: a key without any database is one whose registry was lost

    def _write_key(self, key: RegistryKey) -> None:
        replace_file(self.key_file, key.to_hex().encode() + b"\n")

    def _finish(self) -> None:
        self.unfinished_database.rename(self.database)
        sync(self.path)
        sync(self.path.parent)  # a start that was killed may have made the folder, and not have come to this


def replace_file(path: Path, content: bytes) -> None:
    """Write a whole file so that a crash leaves the old one or the new one, mode 0600."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    new.rename(path)
    sync(path.parent)


def _make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder and what is missing above it; a power cut does not take them away with all that is in them."""
    if not path.parent.is_dir():
        _make_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode)
        sync(path.parent)


def sync(path: Path) -> None:
    """Have a file, or a folder's names, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ownership_faults(path: Path, is_kind: Callable[[int], bool], kind: str) -> list[str]:
    try:
        status = path.lstat()
    except FileNotFoundError:  # SQLite's own files come and go
        return []
    if stat.S_ISLNK(status.st_mode):
        return [f"{path}: is a symbolic link; the token registry must be a real {kind}"]
    if not is_kind(status.st_mode):
        return [f"{path}: is not a {kind}; move it away, the token registry keeps its own things here"]
    if status.st_uid != os.geteuid():
        return [f"{path}: belongs to user {status.st_uid}, the server runs as {os.geteuid()}; chown it"]
    if status.st_mode & 0o077:
        mode = "700" if kind == "folder" else "600"
        return [f"{path}: open to group or others (mode {status.st_mode & 0o777:o}); run chmod {mode} on it"]
    return []
