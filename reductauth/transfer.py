"""Tokens that come from elsewhere, many at a time: what they may be, and what becomes of each.

Rules of this file: what is brought in is written down like any other change; a token that is here already, as it is
wanted, is left alone, so that the same again does nothing; one that can't be brought in keeps no other out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from reductauth.actor import Actor
from reductauth.audit import AuditAction
from reductauth.authority import check_administrator
from reductauth.draft import check_bounds, check_lifetime
from reductauth.errors import InvalidInputError
from reductauth.networks import ANYWHERE, NetworkList
from reductauth.permissions import Permissions, Role
from reductauth.store import SecretDigest, TokenRecord, Transaction
from reductauth.token import Token

__all__ = ["Arrival", "Intake", "Refusal", "Taken", "check_arrival"]

_CHUNK = 250
"""Arrivals that are looked up and written together."""

_COMPARED = (
    *("description", "role", "permissions", "active", "valid_from_us", "expires_at_us", "revoked_at_us"),
    *("ttl_seconds", "allowlist"),
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A token that a line of a file wants here. The id and the creation count only where the line gave them."""

    line: int
    record: TokenRecord
    has_id: bool
    has_creation: bool

    @property
    def token(self) -> Token:
        """The token itself."""
        return self.record.token

    def __reduce__(self) -> tuple[Any, ...]:
        """Go from one process to another flat: part by part it would take longer than it took to read the line."""
        token = self.record.token
        permissions = token.permissions
        granted = permissions.full_access, _plain(permissions.read), _plain(permissions.write)
        told = (
            *(token.created_at_us, token.updated_at_us, token.created_by, token.description),
            *(
                None if token.role is None else str(token.role),
                token.is_provisioned,
                token.active,
                token.valid_from_us,
            ),
            *(token.expires_at_us, token.revoked_at_us, token.ttl_seconds, token.allowlist.entries),
            token.last_access_us,
        )
        digests = [
            (one.key_id, one.digest, one.created_at_us, one.expires_at_us) for one in self.record.digests
        ]
        head = self.line, self.has_id, self.has_creation, token.token_id, token.name
        return _arrival, (head, granted, told, digests)


def _plain(patterns: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(str, patterns))


def _arrival(
    head: tuple[int, bool, bool, str, str],
    granted: tuple[bool, tuple[str, ...], tuple[str, ...]],
    told: tuple[Any, ...],
    digests: Sequence[tuple[str, bytes, int, int | None]],
) -> Arrival:
    """What `Arrival.__reduce__` has taken apart."""
    line, has_id, has_creation, token_id, name = head
    created_at_us, updated_at_us, created_by, description, role, is_provisioned, active, *times = told
    valid_from_us, expires_at_us, revoked_at_us, ttl_seconds, entries, last_access_us = times
    token = Token(
        token_id=token_id,
        name=name,
        permissions=_permissions(*granted),
        created_at_us=created_at_us,
        updated_at_us=updated_at_us,
        created_by=created_by,
        description=description,
        role=None if role is None else Role(role),
        is_provisioned=is_provisioned,
        active=active,
        valid_from_us=valid_from_us,
        expires_at_us=expires_at_us,
        revoked_at_us=revoked_at_us,
        ttl_seconds=ttl_seconds,
        allowlist=NetworkList.of(entries) if entries else ANYWHERE,
        last_access_us=last_access_us,
    )
    record = TokenRecord(token, tuple(SecretDigest(*digest) for digest in digests))
    return Arrival(line, record, has_id, has_creation)


@lru_cache(maxsize=4096)
def _permissions(full_access: bool, read: tuple[str, ...], write: tuple[str, ...]) -> Permissions:
    """What was checked in the other process, once for many tokens that may do the same."""
    return Permissions.kept(full_access=full_access, read=read, write=write)


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


def check_arrival(record: TokenRecord, max_lifetime_seconds: int | None, now_us: int) -> None:
    """Raise `InvalidInputError` for what no token can be. One that has ended may come: its name stays taken."""
    token = record.token
    # Revoking ends a token that was never valid too.
    check_bounds(token if token.revoked_at_us is None else replace(token, valid_from_us=None))
    for name, time_us in (
        ("created_at", token.created_at_us),
        ("revoked_at", token.revoked_at_us),
        ("last_access", token.last_access_us),
        *(("secrets: created_at", digest.created_at_us) for digest in record.digests),
    ):
        if time_us is not None and time_us > now_us:
            raise InvalidInputError(f"{name}: must not be in the future")
    if token.revoked_at_us is not None:
        if record.digests:
            raise InvalidInputError("revoked_at: a revoked token has no values; leave value and secrets out")
        return
    if not any(digest.is_live(now_us) for digest in record.digests):
        raise InvalidInputError("needs a value, or secrets of which at least one has not ended")
    if not token.is_past_expiry(now_us):
        check_lifetime(token, max_lifetime_seconds, now_us)


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
        named = transaction.tokens_named([arrival.token.name for arrival in arrivals])
        present = {record.token.name: record for record in transaction.records(named)}
        new = [arrival for arrival in arrivals if arrival.token.name not in present]
        ids = transaction.names_by_id([arrival.token.token_id for arrival in new if arrival.has_id])
        digests = transaction.names_by_digest(
            [digest.digest for arrival in new for digest in arrival.record.digests]
        )
        records = []
        for arrival in arrivals:
            token = arrival.token
            reason = self._reason(arrival, present.get(token.name), ids, digests, now_us)
            if reason is not None:
                taken.refusals.append(Refusal(arrival.line, token.name, reason))
                continue
            self._lines[token.name] = arrival.line
            if token.name in present:
                taken.present += 1
                continue
            ids[token.token_id] = token.name
            digests.update((digest.digest, token.name) for digest in arrival.record.digests)
            records.append(arrival.record)
            taken.administrators += token.permissions.full_access and token.revoked_at_us is None
        if records:
            transaction.add_records(now_us, self._actor, AuditAction.IMPORT, records)
        taken.imported += len(records)
        taken.done += len(arrivals)

    def _reason(
        self,
        arrival: Arrival,
        present: TokenRecord | None,
        ids: dict[str, str],
        digests: dict[bytes, str],
        now_us: int,
    ) -> str | None:
        """Say why an arrival can't be taken, or None."""
        token = arrival.token
        if token.name in self._lines:
            return f"name: is that of line {self._lines[token.name]} too"
        if present is not None:
            found = present.token.fault or _differing(arrival, present, now_us)
            return found and f"name: a token that is here has it; {found}"
        if token.token_id in ids:
            return f"id: {self._holder(ids[token.token_id])} has it"
        for digest in arrival.record.digests:
            if digest.digest in digests:
                return f"value: {self._holder(digests[digest.digest])} has it"
        return None

    def _holder(self, name: str) -> str:
        line = self._lines.get(name)
        return f"token '{name}'" if line is None else f"token '{name}' of line {line}"


def _differing(arrival: Arrival, present: TokenRecord, now_us: int) -> str | None:
    """Say in what a token that is here is not as it is wanted, or None. Its use counts for nothing."""
    names = list(_COMPARED)
    if arrival.has_id:
        names.append("token_id")
    if arrival.has_creation:
        names.append("created_at_us")
    differing = [name for name in names if getattr(arrival.token, name) != getattr(present.token, name)]
    if _live(arrival.record.digests, now_us) != _live(present.digests, now_us):
        differing.append("secrets")
    fields = ", ".join(_FIELDS.get(name, name.removesuffix("_us")) for name in differing)
    return f"it differs in {fields}" if fields else None


_FIELDS = {"token_id": "id", "ttl_seconds": "ttl", "allowlist": "ip_allowlist"}


def _live(digests: Iterable[SecretDigest], now_us: int) -> set[tuple[bytes, int | None]]:
    return {(digest.digest, digest.expires_at_us) for digest in digests if digest.is_live(now_us)}
