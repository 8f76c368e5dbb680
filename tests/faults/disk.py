"""The disk below a server: what fails, and what is left of a folder after a power cut. See `disk.c`."""

from __future__ import annotations

import bisect
import mmap
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from pathlib import Path

__all__ = ["Disk", "Kind", "PowerCut", "compile_layer"]

_SOURCE = Path(__file__).with_name("disk.c")
_CONTROL = struct.Struct("=qqqiii4x")
_HEADER = struct.Struct("=IIQqQQ")
_SECTOR_BYTES = 512


def compile_layer(folder: Path) -> Path:
    """Compile the layer into `folder`; return the library that a server preloads."""
    library = folder / "disk.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


class Kind(IntFlag):
    """Operations that may fail."""

    WRITE = 1
    SYNC = 2
    TRUNCATE = 4
    RENAME = 8
    UNLINK = 16
    CREATE = 32
    OPEN = 64
    CHANGE = WRITE | SYNC | TRUNCATE | RENAME | UNLINK | CREATE


class Disk:
    """The control block that one server shares with its test, and the journal of its writes if it has one."""

    def __init__(self, folder: Path, *, has_journal: bool = False) -> None:
        self.control = folder / "disk-control"
        self.control.write_bytes(bytes(_CONTROL.size))
        with self.control.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _CONTROL.size)
        self.journal = folder / "disk-journal" if has_journal else None

    def fail(self, nth: int, error: int, kinds: Kind = Kind.CHANGE, *, for_good: bool = False) -> None:
        """Let the `nth` operation from now on fail with an `errno`, once or with all that follow."""
        self._map[:] = _CONTROL.pack(0, 0, 0, error, kinds, for_good)
        self._map[:8] = struct.pack("=q", nth)

    def repair(self) -> int:
        """Let everything succeed; return how many operations had failed."""
        _, _, failed, *_ = _CONTROL.unpack(self._map[:])
        self._map[:] = bytes(_CONTROL.size)
        return int(failed)

    def position(self) -> int:
        """How far the journal has come: what happened by then is in it."""
        assert self.journal is not None
        try:
            return self.journal.stat().st_size
        except FileNotFoundError:
            return 0


class _Did(IntEnum):
    CREATED = 1
    WRITTEN = 2
    TRUNCATED = 3
    SYNCED = 4
    FOLDER_SYNCED = 5
    RENAMED = 6
    UNLINKED = 7
    FOLDER_MADE = 8


@dataclass(frozen=True, slots=True)
class _Record:
    ends_at: int
    did: _Did
    inode: int
    offset: int
    generation: int
    path: str
    data: bytes


@dataclass(slots=True)
class _File:
    kept: bytearray = field(default_factory=bytearray)
    unsynced: list[_Record] = field(default_factory=list)

    def sync(self) -> None:
        for record in self.unsynced:
            _apply(record, self.kept)
        self.unsynced.clear()


def _apply(record: _Record, content: bytearray, length: int | None = None) -> None:
    if record.did is _Did.TRUNCATED:
        del content[record.offset :]
        content.extend(bytes(record.offset - len(content)))
        return
    data = record.data[:length]
    content.extend(bytes(max(0, record.offset - len(content))))
    content[record.offset : record.offset + len(data)] = data


class PowerCut:
    """What a folder may look like after the power was cut while a server wrote to it.

    Made before the server starts, from what the folder holds then. What was synced is kept; of the rest nothing,
    everything, or any part (a write torn at any sector), and the same of names made, moved and removed since their
    folder was synced. `auth.gen` is mapped, so it may hold any number that it held.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parent = folder.parent
        self._files: dict[int, _File] = {}
        self._names: dict[str, int] = {}
        if folder.exists():
            self._names[folder.name] = 0
            for path in folder.iterdir():
                inode = path.stat().st_ino
                self._files[inode] = _File(bytearray(path.read_bytes()))
                self._names[f"{folder.name}/{path.name}"] = inode
        self._generations: set[int] = set()

    def leave(self, journal: Path, chance: random.Random, cut: int | None = None) -> int:
        """Put in the folder's place what a power cut left of it; return where in the journal it came.

        `cut` None: anywhere, and at the end of it more often, where everything was acknowledged.
        """
        records = list(_records(journal))
        ends = [0, *(record.ends_at for record in records)]
        if cut is None:
            cut = ends[-1] if chance.random() < 0.3 else chance.choice(ends)
        else:
            cut = ends[bisect.bisect_right(ends, cut) - 1]
        unsynced_names = self._replay([record for record in records if record.ends_at <= cut])
        keeping = chance.choice(["nothing", "everything", "any part"])
        for step in unsynced_names:
            if keeping == "everything" or (keeping == "any part" and chance.random() < 0.5):
                _move(step, self._names)
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._folder.name not in self._names:
            return cut
        self._folder.mkdir(mode=0o700)
        for name, inode in self._names.items():
            if name != self._folder.name and not name.endswith("-shm"):
                self._put(name, self._remains(self._files[inode], keeping, chance), chance)
        return cut

    def _replay(self, records: list[_Record]) -> list[_Step]:
        """Do all that was synced; return what happened to names and was not."""
        unsynced: list[_Step] = []
        seen = dict(self._names)  # by the server, which sees what is not on the disk too
        for record in records:
            self._generations.add(record.generation)
            match record.did:
                case _Did.CREATED | _Did.RENAMED | _Did.UNLINKED | _Did.FOLDER_MADE:
                    if record.did is _Did.CREATED:
                        self._files[record.inode] = _File()
                    step = _step(record, seen)
                    _move(step, seen)
                    unsynced.append(step)
                case _Did.FOLDER_SYNCED:
                    for step in unsynced:
                        if step.folder == record.path:
                            _move(step, self._names)
                    unsynced = [step for step in unsynced if step.folder != record.path]
                case _Did.SYNCED:
                    self._files[record.inode].sync()
                case _:
                    self._files[record.inode].unsynced.append(record)
        return unsynced

    def _remains(self, file: _File, keeping: str, chance: random.Random) -> bytes:
        content = bytearray(file.kept)
        for record in file.unsynced:
            if keeping == "everything" or (keeping == "any part" and chance.random() < 0.5):
                is_torn = keeping == "any part" and chance.random() < 0.2
                _apply(record, content, chance.randrange(0, 4_096, _SECTOR_BYTES) if is_torn else None)
        return bytes(content)

    def _put(self, name: str, content: bytes, chance: random.Random) -> None:
        if name.endswith("auth.gen") and len(content) == 8:
            held = sorted({int.from_bytes(content, sys.byteorder), *self._generations} - {0})
            content = chance.choice(held).to_bytes(8, sys.byteorder)
        path = self._parent / name
        if not path.parent.exists():
            return  # a name in a folder that was lost
        path.write_bytes(content)
        path.chmod(0o600)


@dataclass(frozen=True, slots=True)
class _Step:
    """A name that goes, a name that comes with what it names, or both: a move."""

    gone: str | None
    come: str | None
    inode: int

    @property
    def folder(self) -> str:
        return (self.come or self.gone or "").rpartition("/")[0]


def _step(record: _Record, names: dict[str, int]) -> _Step:
    match record.did:
        case _Did.RENAMED:
            return _Step(record.path, record.data.decode(), names[record.path])
        case _Did.UNLINKED:
            return _Step(record.path, None, 0)
        case _:
            return _Step(None, record.path, record.inode)


def _move(step: _Step, names: dict[str, int]) -> None:
    if step.gone is not None:
        names.pop(step.gone, None)
    if step.come is not None:
        names[step.come] = step.inode


def _records(journal: Path) -> Iterator[_Record]:
    content = memoryview(journal.read_bytes()) if journal.exists() else memoryview(b"")
    start = 0
    while start + _HEADER.size <= len(content):
        did, path_length, inode, offset, data_length, generation = _HEADER.unpack_from(content, start)
        path_at = start + _HEADER.size
        data_at = path_at + path_length
        start = data_at + data_length
        if start > len(content):  # the kill tore the last record
            return
        path = bytes(content[path_at:data_at]).decode()
        yield _Record(start, _Did(did), inode, offset, generation, path, bytes(content[data_at:start]))
