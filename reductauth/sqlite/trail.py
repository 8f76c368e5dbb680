"""The audit as a chain: each entry carries a keyed code over itself and the code of the entry before it.

The head, the last entry's number and code, is kept beside it, so that a tail that was cut off is missed too. Where
old entries were removed on purpose, a checkpoint holds the code that the first one left goes on from, under a code
of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from reductauth.actor import Actor
from reductauth.audit import AuditAction, AuditEntry, Detail, detail_text
from reductauth.errors import StoreUnavailableError
from reductauth.key import RegistryKey
from reductauth.sqlite.facts import read_fact, write_fact

__all__ = [
    "ENTRY_COLUMNS",
    "NOTHING",
    "NO_MAC",
    "UNREAD",
    "Subject",
    "Trail",
    "TrailEnd",
    "TrailKey",
    "entry_of",
    "first_facts",
    "trail_faults",
]

NO_MAC = bytes(32)
"""What the first entry of all goes on from."""

ENTRY_COLUMNS = "sequence, at_us, actor, actor_id, address, action, token_id, token_name, detail"
_CHAINED_COLUMNS = f"{ENTRY_COLUMNS}, token_key"
_DAMAGED = "The audit of the token registry is damaged: run reductauth verify"
_HEAD, _HEAD_MAC = "audit_head", "audit_head_mac"
_CHECKPOINT, _CHECKPOINT_MAC, _CHECKPOINT_SEAL = "checkpoint", "checkpoint_mac", "checkpoint_seal"
_ADD = f"INSERT INTO audit ({_CHAINED_COLUMNS}, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_READ_HEAD = f"""
SELECT (SELECT value FROM meta WHERE name = '{_HEAD}'), (SELECT value FROM meta WHERE name = '{_HEAD_MAC}')
"""
_MOVE_HEAD = f"""
REPLACE INTO meta (name, value) VALUES ('{_HEAD}', ?), ('{_HEAD_MAC}', ?)
"""


class TrailKey:
    """Makes the codes of entries and of checkpoints."""

    def __init__(self, key: RegistryKey) -> None:
        self._hasher = hashlib.blake2b(key=key.derive(b"audit"), digest_size=32)
        self._checkpoints = hashlib.blake2b(key=key.derive(b"audit checkpoint"), digest_size=32)

    def mac(self, previous: bytes, entry: tuple[Any, ...]) -> bytes:
        """The code of an entry, a row with `_CHAINED_COLUMNS`, after one that has the code `previous`."""
        hasher = self._hasher.copy()
        hasher.update(previous)
        hasher.update(orjson.dumps(entry))
        return hasher.digest()

    def checkpoint(self, sequence: int, mac: bytes) -> bytes:
        """The code under which the last entry that was removed is written down."""
        hasher = self._checkpoints.copy()
        hasher.update(orjson.dumps(sequence))
        hasher.update(mac)
        return hasher.digest()


@dataclass(frozen=True, slots=True)
class _Link:
    sequence: int
    mac: bytes


def first_facts(key: RegistryKey) -> dict[str, str | bytes | int]:
    """What `meta` says in a registry without any entry."""
    return {
        _HEAD: 0,
        _HEAD_MAC: NO_MAC,
        _CHECKPOINT: 0,
        _CHECKPOINT_MAC: NO_MAC,
        _CHECKPOINT_SEAL: TrailKey(key).checkpoint(0, NO_MAC),
    }


@dataclass(frozen=True, slots=True)
class TrailEnd:
    """The last entry, and whether the head that is kept names an earlier one."""

    last: _Link | None = None
    """None where it has to be read."""
    is_behind: bool = False


UNREAD = TrailEnd()
"""For who does not know it, or may not know it any more."""


class Subject(NamedTuple):
    """The token that an entry is about: the number of its row, its id, its name."""

    key: int | None
    token_id: str | None
    name: str | None


NOTHING = Subject(None, None, None)
"""Of an entry that is about no token."""


class Trail:
    """Writes entries, in the transaction of the change that they tell of.

    The head follows once for all changes that share a commit: `settle` comes before it.
    """

    def __init__(self, connection: sqlite3.Connection, key: TrailKey) -> None:
        self._connection = connection
        self._key = key
        self.end = UNREAD
        """Kept before a change that may be undone, and put back then."""

    def settle(self) -> None:
        """Let the head that is kept name the last entry."""
        if self.end.last is not None and self.end.is_behind:
            self._connection.execute(_MOVE_HEAD, (self.end.last.sequence, self.end.last.mac))
            self.end = TrailEnd(self.end.last)

    def next_sequence(self) -> int:
        """The number of the entry that is written next."""
        return self._last().sequence + 1

    def write(
        self,
        at_us: int,
        actor: Actor,
        action: AuditAction,
        subject: Subject,
        detail: Detail | None,
    ) -> int:
        """Write one entry; return its number."""
        text = None if detail is None else detail_text(detail)
        return self.write_all(at_us, actor, action, [(subject, text)])

    def write_all(
        self,
        at_us: int,
        actor: Actor,
        action: AuditAction,
        told: Sequence[tuple[Subject, str | None]],
    ) -> int:
        """Write an entry for each subject and text of a detail; return the number of the first."""
        last = self._last()
        mac, first = last.mac, last.sequence + 1
        common = (at_us, actor.name, actor.token_id, actor.address, action)
        rows = []
        for sequence, ((key, token_id, name), detail) in enumerate(told, first):
            entry = (sequence, *common, token_id, name, detail, key)
            mac = self._key.mac(mac, entry)
            rows.append((*entry, mac))
        try:
            self._connection.executemany(_ADD, rows)
        except sqlite3.IntegrityError:  # somebody has put an entry there
            raise StoreUnavailableError(_DAMAGED) from None
        self.end = TrailEnd(_Link(last.sequence + len(rows), mac), is_behind=True)
        return first

    def old(self, before_us: int, limit: int) -> list[tuple[int, str | None]]:
        """Number and token of the oldest entries, as far as all of them are from before `before_us`."""
        rows = self._connection.execute(
            "SELECT sequence, token_id, at_us FROM audit ORDER BY sequence LIMIT ?", (limit,)
        )
        return [row[:2] for row in itertools.takewhile(lambda row: row[2] < before_us, rows)]

    def forget(self, before_us: int, limit: int) -> int:
        """Remove those that `old` gives, and move the checkpoint; return how many."""
        old = self.old(before_us, limit)
        if old:
            sequence, _ = old[-1]
            (mac,) = self._connection.execute(
                "SELECT mac FROM audit WHERE sequence = ?", (sequence,)
            ).fetchone()
            self._connection.execute("DELETE FROM audit WHERE sequence <= ?", (sequence,))
            write_fact(self._connection, _CHECKPOINT, sequence)
            write_fact(self._connection, _CHECKPOINT_MAC, mac)
            write_fact(self._connection, _CHECKPOINT_SEAL, self._key.checkpoint(sequence, mac))
        return len(old)

    def _last(self) -> _Link:
        """The last entry that was written, by this connection or before."""
        last = self.end.last
        if last is None:
            sequence, mac = self._connection.execute(_READ_HEAD).fetchone()
            if not isinstance(sequence, int) or not isinstance(mac, bytes):
                raise StoreUnavailableError(_DAMAGED)
            last = _Link(sequence, mac)
            self.end = TrailEnd(last)
        return last


def trail_faults(connection: sqlite3.Connection, key: TrailKey) -> Iterator[str]:
    """Go through the whole chain; say of each break what it is."""
    last = _checkpoint(connection, key)
    if last is None:
        yield (
            "audit: its checkpoint was changed by something else than this software; what came before the "
            "first entry can't be trusted; compare with a backup"
        )
    rows = connection.execute(f"SELECT {_CHAINED_COLUMNS}, mac FROM audit ORDER BY sequence")
    for *entry, mac in rows:
        sequence = entry[0]
        if last is not None and sequence != last.sequence + 1:
            yield (
                f"audit: entries {last.sequence + 1} to {sequence - 1} are missing; somebody removed them; "
                "look for them in a backup"
            )
        elif last is not None and not hmac.compare_digest(key.mac(last.mac, tuple(entry)), mac):
            yield (
                f"audit: entry {sequence} was changed, or put here, by something else than this software; "
                "compare with a backup"
            )
        last = _Link(sequence, mac)
    head = read_fact(connection, _HEAD, int), read_fact(connection, _HEAD_MAC, bytes)
    if last is not None and head != (last.sequence, last.mac):
        yield (
            f"audit: ends with entry {last.sequence}, entry {head[0]} was the last one that was written; "
            "what is missing was removed, what is too much was put here; compare with a backup"
        )


def _checkpoint(connection: sqlite3.Connection, key: TrailKey) -> _Link | None:
    sequence = read_fact(connection, _CHECKPOINT, int)
    mac = read_fact(connection, _CHECKPOINT_MAC, bytes)
    seal = read_fact(connection, _CHECKPOINT_SEAL, bytes)
    if sequence is None or mac is None or seal is None:
        return None
    return _Link(sequence, mac) if hmac.compare_digest(key.checkpoint(sequence, mac), seal) else None


def entry_of(row: tuple[Any, ...]) -> AuditEntry:
    """Make an entry of a row with `ENTRY_COLUMNS`."""
    return AuditEntry(*row)
