"""Tokens that come from elsewhere, many at a time: what they may be, and what becomes of each.

Rules of this file: what is brought in is written down like any other change; a token that is here already, as it is
wanted, is left alone, so that the same again does nothing; one that can't be brought in keeps no other out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from reductauth.actor import Actor
from reductauth.audit import AuditAction
from reductauth.authority import check_administrator
from reductauth.draft import check_bounds, check_lifetime
from reductauth.errors import InvalidInputError, TokensTakenError
from reductauth.record import PlainDigest, PlainRecord, TokenRecord
from reductauth.store import Transaction

__all__ = ["Arrival", "Intake", "Refusal", "Taken", "check_arrival"]

_CHUNK = 250
"""Arrivals that are looked up and written together."""

_COMPARED = {
    "description": "description",
    "role": "role",
    "full_access": "permissions",
    "read_patterns": "permissions",
    "write_patterns": "permissions",
    "active": "active",
    "valid_from_us": "valid_from",
    "expires_at_us": "expires_at",
    "revoked_at_us": "revoked_at",
    "ttl_seconds": "ttl",
    "ip_allowlist": "ip_allowlist",
}
"""In what a token that is here has to be as it is wanted, and the fields of a line that say it."""


class Arrival(NamedTuple):
    """A token that a line of a file wants here. The id and the creation count only where the line gave them."""

    line: int
    record: PlainRecord
    has_id: bool
    has_creation: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that was not taken, and why; `name` is None where it could not be read."""

    line: int
    name: str | None
    reason: str

    def __str__(self) -> str:
        token = "" if self.name is None else f" token '{self.name}':"
        return f"line {self.line}:{token} {self.reason}"


@dataclass(slots=True)
class Taken:
    """What became of some arrivals, in their order: how many were dealt with, and how."""

    done: int = 0
    imported: int = 0
    present: int = 0
    """Those that were here already."""
    administrators: int = 0
    """Those of the imported that have full access and are not revoked."""
    refusals: list[Refusal] = field(default_factory=list)

    def add(self, chunk: _Chunk, done: int) -> None:
        """Count what became of the next ones."""
        self.done += done
        self.imported += len(chunk.records)
        self.present += len(chunk.lines) - len(chunk.records)
        self.administrators += chunk.administrators
        self.refusals += chunk.refusals


def check_arrival(record: TokenRecord, max_lifetime_seconds: int | None, now_us: int) -> None:
    """Raise `InvalidInputError` for what no token can be. One that has ended may come: its name stays taken."""
    token = record.token
    # Revoking ends a token that was never valid too.
    check_bounds(token if token.revoked_at_us is None else replace(token, valid_from_us=None))
    _check_past("created_at", token.created_at_us, now_us)
    _check_past("revoked_at", token.revoked_at_us, now_us)
    _check_past("last_access", token.last_access_us, now_us)
    for digest in record.digests:
        _check_past("secrets: created_at", digest.created_at_us, now_us)
    if token.revoked_at_us is not None:
        if record.digests:
            raise InvalidInputError("revoked_at: a revoked token has no values; leave value and secrets out")
        return
    if not any(digest.is_live(now_us) for digest in record.digests):
        raise InvalidInputError("needs a value, or secrets of which at least one has not ended")
    if not token.is_past_expiry(now_us):
        check_lifetime(token, max_lifetime_seconds, now_us)


def _check_past(name: str, time_us: int | None, now_us: int) -> None:
    if time_us is not None and time_us > now_us:
        raise InvalidInputError(f"{name}: must not be in the future")


class Intake:
    """Takes what one file brings, batch by batch, and knows which line had which name."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._lines: dict[str, int] = {}

    def take(
        self,
        transaction: Transaction,
        arrivals: Sequence[Arrival],
        now_us: int,
        is_time_over: Callable[[], bool],
    ) -> Taken:
        """Bring in as many as there is time for, at least some. Raises as a change of the registry does."""
        check_administrator(transaction, self._actor, now_us)
        taken = Taken()
        while taken.done < len(arrivals):
            self._take(transaction, arrivals[taken.done : taken.done + _CHUNK], now_us, taken)
            if is_time_over():
                break
        return taken

    def _take(self, transaction: Transaction, arrivals: Sequence[Arrival], now_us: int, taken: Taken) -> None:
        named = transaction.tokens_named([arrival.record.token.name for arrival in arrivals])
        holders = _Holders(
            {record.token.name: record for record in transaction.records(named)} if named else {}
        )
        try:
            chunk = self._add(transaction, arrivals, holders, now_us)
        except TokensTakenError:
            # Who has an id or a value is asked only now: it is rare, and costs as much as a part of the insertion.
            new = [arrival.record for arrival in arrivals if arrival.record.token.name not in holders.of_name]
            holders.of_id = transaction.names_by_id([record.token.id for record in new])
            holders.of_digest = transaction.names_by_digest(
                [digest for record in new for digest, *_ in record.digests]
            )
            chunk = self._add(transaction, arrivals, holders, now_us)
        self._lines |= chunk.lines
        taken.add(chunk, len(arrivals))

    def _add(
        self, transaction: Transaction, arrivals: Sequence[Arrival], holders: _Holders, now_us: int
    ) -> _Chunk:
        """Add those that can be added, as far as it is known who has what. Raises `TokensTakenError`."""
        chunk = _Chunk(self._lines, holders, now_us)
        for arrival in arrivals:
            chunk.sort(arrival)
        if chunk.records:
            transaction.add_records(now_us, self._actor, AuditAction.IMPORT, chunk.records)
        return chunk


@dataclass(slots=True)
class _Holders:
    """The tokens that are here and have a name, an id or a value which arrivals want."""

    of_name: dict[str, TokenRecord]
    of_id: dict[str, str] = field(default_factory=dict)
    """Their names."""
    of_digest: dict[bytes, str] = field(default_factory=dict)


class _Chunk:
    """What becomes of some arrivals."""

    def __init__(self, lines_before: Mapping[str, int], holders: _Holders, now_us: int) -> None:
        self._lines_before = lines_before
        self._holders = holders
        self._ids, self._digests = dict(holders.of_id), dict(holders.of_digest)
        self._now_us = now_us
        self.lines: dict[str, int] = {}
        """Those that were taken."""
        self.records: list[PlainRecord] = []
        """Of those that are new."""
        self.administrators = 0
        self.refusals: list[Refusal] = []

    def sort(self, arrival: Arrival) -> None:
        """Say what becomes of the next one."""
        record = arrival.record
        token = record.token
        name = token.name
        present = self._holders.of_name.get(name)
        reason = self._reason(arrival, present)
        if reason is not None:
            self.refusals.append(Refusal(arrival.line, name, reason))
            return
        self.lines[name] = arrival.line
        if present is not None:
            return
        self._ids[token.id] = name
        for digest, *_ in record.digests:
            self._digests[digest] = name
        self.records.append(record)
        self.administrators += token.full_access and token.revoked_at_us is None

    def _reason(self, arrival: Arrival, present: TokenRecord | None) -> str | None:
        """Say why an arrival can't be taken, or None."""
        token = arrival.record.token
        line = self._line_of(token.name)
        if line is not None:
            return f"name: is that of line {line} too"
        if present is not None:
            found = present.token.fault or _differing(arrival, present, self._now_us)
            return found and f"name: a token that is here has it; {found}"
        if token.id in self._ids:
            return f"id: {self._holder(self._ids[token.id])} has it"
        for digest, *_ in arrival.record.digests:
            if digest in self._digests:
                return f"value: {self._holder(self._digests[digest])} has it"
        return None

    def _line_of(self, name: str) -> int | None:
        return self.lines.get(name) or self._lines_before.get(name)

    def _holder(self, name: str) -> str:
        line = self._line_of(name)
        return f"token '{name}'" if line is None else f"token '{name}' of line {line}"


def _differing(arrival: Arrival, present: TokenRecord, now_us: int) -> str | None:
    """Say in what a token that is here is not as it is wanted, or None. Its use counts for nothing."""
    wanted, here = arrival.record, PlainRecord.of(present)
    compared = dict(_COMPARED)
    if arrival.has_id:
        compared["id"] = "id"
    if arrival.has_creation:
        compared["created_at_us"] = "created_at"
    differing = [
        field for name, field in compared.items() if getattr(wanted.token, name) != getattr(here.token, name)
    ]
    if _live(wanted.digests, now_us) != _live(here.digests, now_us):
        differing.append("secrets")
    return f"it differs in {', '.join(dict.fromkeys(differing))}" if differing else None


def _live(digests: Iterable[PlainDigest], now_us: int) -> set[tuple[bytes, int | None]]:
    return {
        (digest, ends_at_us)
        for digest, _, _, ends_at_us in digests
        if ends_at_us is None or now_us < ends_at_us
    }
