"""What a store of tokens must offer. SQLite is one (`reductauth.sqlite`); a contract suite tests any.

Rules of this file: a change runs whole or not at all; what it raises undoes it and reaches the caller; it is
on disk before `change` returns; and from then on no process that shares the store finds what it took away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar

from reductauth.actor import Actor
from reductauth.audit import AuditAction, AuditEntry, AuditQuery, Detail
from reductauth.details import PeriodUsage, TokenDetails
from reductauth.periods import Span
from reductauth.query import Page, TokenQuery
from reductauth.record import PlainRecord, TokenRecord
from reductauth.token import Secret, Token

__all__ = [
    "BucketIntent",
    "Found",
    "FoundById",
    "IntentKind",
    "Snapshot",
    "StoreCounts",
    "TokenStore",
    "Transaction",
    "UsageDelta",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """A token, by one of its values."""

    token: Token
    secret: Secret


@dataclass(frozen=True, slots=True)
class FoundById:
    """A token, by its id, with the newest of its values; None where it has none any more."""

    token: Token
    newest: Secret | None


class IntentKind(StrEnum):
    """What is about to happen to a bucket."""

    RENAME = "rename"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class BucketIntent:
    """A change of a bucket that the engine has been told to make, and that may or may not have happened."""

    intent_id: int
    kind: IntentKind
    bucket: str
    new_bucket: str | None
    owner: int
    """The process that stated it."""
    fault: str | None = None
    """Why it can't be trusted: something else than this module wrote it."""

    @property
    def suspended(self) -> tuple[str, ...]:
        """The buckets for which exact entries open nothing while it stands."""
        return (self.bucket,) if self.new_bucket is None else (self.bucket, self.new_bucket)


@dataclass(frozen=True, slots=True)
class UsageDelta:
    """What one value of a token was used for since the last flush, on one day (UTC, `YYYY-MM-DD`)."""

    token_id: str
    secret_id: int
    day: str
    read: int
    write: int
    admin: int
    denied: int
    last_access_us: int | None
    last_access_ip: str | None


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """What a store has done in this process."""

    changes: Mapping[str, int] = field(default_factory=dict)
    """Changes of tokens that were kept, by the action that was written down for them."""
    errors: int = 0
    """Lookups, reads and changes that it could not do."""


class Snapshot(Protocol):
    """Reads that see one state of the registry."""

    def token_named(self, name: str) -> Token | None:
        """The token with this name."""
        ...

    def tokens(self) -> list[Token]:
        """All tokens, by name; one whose record is damaged has a fault."""
        ...

    def tokens_after(self, name: str, limit: int) -> tuple[list[Token], str | None]:
        """The next `limit` tokens by name, and where to go on after, or None at the end."""
        ...

    def tokens_named(self, names: Collection[str]) -> list[Token]:
        """The tokens that have one of these names, in no order."""
        ...

    def records(self, tokens: Sequence[Token]) -> list[TokenRecord]:
        """Each of the tokens with the digests of its values, in their order."""
        ...

    def select(self, query: TokenQuery, now_us: int) -> Page[Token]:
        """What a query asks for, as of `now_us`."""
        ...

    def token_by_id(self, token_id: str) -> Token | None:
        """The token with this id."""
        ...

    def secrets(self, token_id: str) -> list[Secret]:
        """The values of a token, oldest first."""
        ...

    def details(self, tokens: Sequence[Token], now_us: int) -> list[TokenDetails]:
        """Each of the tokens with its live values and what it was used for, in their order."""
        ...

    def usage(self, token_id: str, span: Span) -> list[PeriodUsage]:
        """The periods in which a token was used, oldest first. A month sums its days and what was folded into it."""
        ...

    def bucket_intents(self) -> list[BucketIntent]:
        """The intents that stand, oldest first."""
        ...

    def audited(self, query: AuditQuery) -> Page[AuditEntry]:
        """What a query asks for of the books."""
        ...


class Transaction(Snapshot, Protocol):
    """One change: reads see what it wrote. Runs off the event loop; must not be kept."""

    def token_by_digest(self, digest: bytes) -> Token | None:
        """The token that has this value, live or in its grace period."""
        ...

    def names_by_id(self, ids: Collection[str]) -> dict[str, str]:
        """The name of the token that has an id, for those of the ids that one has."""
        ...

    def names_by_digest(self, digests: Collection[bytes]) -> dict[bytes, str]:
        """The name of the token that has a value, live or not, for those of the values that one has."""
        ...

    def provisioned_tokens(self) -> list[Token]:
        """The tokens that the deployment declares, by name."""
        ...

    def tokens_naming_bucket(self, bucket: str) -> list[Token]:
        """The tokens with an exact entry for the bucket."""
        ...

    def has_usable_administrator(self, now_us: int) -> bool:
        """Whether any token is one (see `Token.is_usable_administrator`)."""
        ...

    def add(
        self, at_us: int, actor: Actor, action: AuditAction, token: Token, digests: Sequence[bytes]
    ) -> None:
        """Add a token whose id and values are free, and write it down.

        Its values are those with these digests, made at `at_us`. Raises `TokenExistsError` if its name is not free.
        """
        ...

    def add_records(
        self, at_us: int, actor: Actor, action: AuditAction, records: Sequence[PlainRecord]
    ) -> None:
        """Add tokens with their last accesses, and write each of them down: `add` for many, in a fraction of the time.

        Raises `TokensTakenError` unless all names, ids and values are free; then it has added none.
        """
        ...

    def replace(self, token: Token) -> None:
        """Write a token over the one with its id. Its last access is not written: usage has its own way.

        A token without a fault is genuine from now on, whatever was there before.
        """
        ...

    def remove(self, token_id: str) -> None:
        """Forget a token, its values and its counters."""
        ...

    def add_secret(self, token_id: str, digest: bytes, created_at_us: int) -> None:
        """Give a token one more value, by its digest."""
        ...

    def retire_secrets(self, token_id: str, expires_at_us: int) -> None:
        """Let the values of a token that had no end work until then; those that had one end at once."""
        ...

    def remove_secrets(self, token_id: str) -> None:
        """End all values of a token."""
        ...

    def audit(
        self,
        at_us: int,
        actor: Actor,
        action: AuditAction,
        token: Token | None = None,
        detail: Detail | None = None,
    ) -> None:
        """Write down who did what, and to which token. Raises `StoreUnavailableError` if that can't be done."""
        ...

    def forget_audit(self, before_us: int, limit: int) -> tuple[int, list[Token]]:
        """Remove the oldest entries, all from before `before_us`, at most `limit`.

        Return how many, and the tokens whose last entry was among them: unless each of these is written down again
        in the same change, nobody can tell their records from older ones.
        """
        ...

    def add_usage(self, deltas: Iterable[UsageDelta]) -> None:
        """Add counters and move last accesses forward; tokens and values that are gone are passed over."""
        ...

    def fold_usage(self, before_day: str, limit: int) -> int:
        """Fold counters of days before `before_day` into their months, at most `limit`; return how many."""
        ...

    def remove_ended_secrets(self, now_us: int, limit: int) -> list[Token]:
        """Forget values whose period of grace is over, those of at most `limit` tokens; return these tokens."""
        ...

    def ended_tokens(self, by_us: int, limit: int) -> list[Token]:
        """Tokens, but no provisioned ones, that were revoked or had expired (idle too) by `by_us`, at most `limit`."""
        ...

    def add_bucket_intent(
        self, kind: IntentKind, bucket: str, new_bucket: str | None, at_us: int
    ) -> BucketIntent:
        """State an intent. While it stands, exact entries for its buckets open nothing."""
        ...

    def remove_bucket_intent(self, intent_id: int) -> bool:
        """Settle an intent; False if somebody else did."""
        ...

    def is_seeded(self) -> bool:
        """Whether the registry was ever given its first token."""
        ...

    def mark_seeded(self) -> None:
        """Remember that it was, for good."""
        ...


class TokenStore(Protocol):
    """Where the registry is kept."""

    def generation(self) -> int:
        """A number that moves when anything about an existing token changed, in any process.

        Odd while a change is under way: what is found then must not be kept. Cheap enough for every request.
        """
        ...

    async def changed_between(self, earlier: int, later: int) -> frozenset[str] | None:
        """The ids of the tokens that something changed about after one generation, up to a later one, both even.

        There may be more of them than that. None: perhaps all. Raises `StoreUnavailableError`.
        """
        ...

    async def find(self, digest: bytes) -> Found | None:
        """The token with this value, as it is on disk now, bucket intents applied.

        Raises `StoreUnavailableError`.
        """
        ...

    async def find_by_id(self, token_id: str) -> FoundById | None:
        """The token with this id, as it is on disk now, bucket intents applied.

        Raises `StoreUnavailableError`.
        """
        ...

    async def read(self, work: Callable[[Snapshot], T]) -> T:
        """Run reads off the event loop. Raises `StoreUnavailableError`."""
        ...

    async def change(self, work: Callable[[Transaction], T]) -> T:
        """Run one change and keep it. Raises `StoreUnavailableError`, and whatever `work` raises."""
        ...

    def is_writable(self) -> bool:
        """Whether changes can be kept, as far as is known."""
        ...

    def counts(self) -> StoreCounts:
        """What it has done so far."""
        ...

    def is_anothers(self, intent: BucketIntent) -> bool:
        """Whether another process that lives stated the intent."""
        ...

    async def close(self) -> None:
        """Finish the changes that wait, and let go of every file."""
        ...
