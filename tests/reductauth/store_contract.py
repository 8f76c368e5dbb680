"""What every store of tokens must do, as tests. A store's own test inherits `StoreContract`.

The tests know the store through `reductauth.store.TokenStore` only, apart from the counters, which no caller
reads yet: `usage_of` reads them.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from operator import methodcaller
from typing import Any, ClassVar

import pytest

from reductauth.actor import Actor
from reductauth.audit import AuditAction, AuditQuery
from reductauth.details import NOT_USED, TokenDetails, UsageCounts, UsageTotals
from reductauth.errors import StoreUnavailableError, TokenExistsError, TokensTakenError
from reductauth.networks import NetworkList
from reductauth.periods import PeriodKind, Span
from reductauth.permissions import Action, Permissions, Role
from reductauth.query import SortKey, TokenQuery
from reductauth.record import PlainRecord, SecretDigest, TokenRecord
from reductauth.store import (
    Found,
    FoundById,
    IntentKind,
    Snapshot,
    TokenStore,
    Transaction,
    UsageDelta,
)
from reductauth.token import Secret, Token, TokenStatus

__all__ = [
    "ADMINISTRATOR",
    "DAY_US",
    "NOW_US",
    "SECOND_US",
    "Gate",
    "StoreContract",
    "add",
    "digest_of",
    "make_token",
    "put",
]

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
NOW_US = 1_800_000_000 * SECOND_US
"""2027-01-15T08:00:00Z."""

ADMINISTRATOR = Permissions.of(full_access=True)

Work = Callable[[Transaction], Any]


def make_token(name: str, **fields: Any) -> Token:
    """Make a token with an id that is told by its name."""
    return replace(
        Token(f"id-of-{name}", name, Permissions.of(), created_at_us=NOW_US, updated_at_us=NOW_US), **fields
    )


def digest_of(text: str) -> bytes:
    """Make up the digest of a value."""
    return text.encode().ljust(32, b".")


async def add(store: TokenStore, token: Token, *values: str) -> None:
    """Add a token with these values."""
    await store.change(lambda transaction: put(transaction, token, *values))


def put(transaction: Transaction, token: Token, *values: str) -> None:
    """Add a token with these values within a change, as the environment does."""
    digests = [digest_of(value) for value in values]
    transaction.add(NOW_US, Actor.environment(), AuditAction.CREATE, token, digests)


async def found(store: TokenStore, value: str) -> Found:
    """Find a token that must be there."""
    answer = await store.find(digest_of(value))
    assert answer is not None
    return answer


def record_of(token: Token, *values: str) -> TokenRecord:
    """Make a record of a token with these values."""
    return TokenRecord(token, tuple(SecretDigest("key", digest_of(value), NOW_US) for value in values))


def add_records(transaction: Transaction, *records: TokenRecord) -> None:
    """Add records, as the environment does."""
    plain = [PlainRecord.of(record) for record in records]
    transaction.add_records(NOW_US, Actor.environment(), AuditAction.IMPORT, plain)


def in_turn(*works: Work) -> Work:
    """Do several things in one change."""

    def work(transaction: Transaction) -> None:
        for each in works:
            each(transaction)

    return work


def used(token_id: str, secret_id: int, **fields: Any) -> UsageDelta:
    """Say what a value was used for, on one day."""
    nothing = UsageDelta(token_id, secret_id, "2027-01-15", 0, 0, 0, 0, None, None)
    return replace(nothing, **fields)


class Gate:
    """A change that keeps the others waiting until it is opened, so that they wait together."""

    def __init__(self, store: TokenStore) -> None:
        self._entered, self._opened = threading.Event(), threading.Event()
        self._change = asyncio.ensure_future(store.change(self._work))

    def _work(self, _: Transaction) -> None:
        self._entered.set()
        assert self._opened.wait(20)

    async def reached(self) -> None:
        """Return when whatever is submitted from now on has to wait."""
        assert await asyncio.to_thread(self._entered.wait, 20)

    async def open(self) -> None:
        """Let the others pass."""
        self._opened.set()
        await self._change


async def selected(store: TokenStore, query: TokenQuery) -> list[str]:
    """Name the tokens that a query finds; the count agrees."""
    page = await store.read(lambda snapshot: snapshot.select(query, NOW_US))
    assert page.found == len(page.rows)
    return [token.name for token in page.rows]


EVERYTHING = make_token(
    "everything",
    permissions=Permissions.of(read=["b", "a", "prefix*", "$system"], write=["*"]),
    updated_at_us=NOW_US + 1,
    created_by="somebody",
    description="Straße, 'quotes' and \N{SNOWMAN}",
    role=Role.RECORDER,
    is_provisioned=True,
    active=False,
    valid_from_us=NOW_US + 2,
    expires_at_us=NOW_US + 3,
    revoked_at_us=NOW_US + 4,
    ttl_seconds=2**63 - 1,
    allowlist=NetworkList.of(["10.0.0.0/8", "2001:db8::1"]),
)
"""A token with something in each of its fields, but a last access: that is written by usage only."""

USABLE_ADMINISTRATOR: list[tuple[str, dict[str, Any], bool]] = [
    ("full access", {}, True),
    ("valid since now", {"valid_from_us": NOW_US}, True),
    ("no full access", {"permissions": Permissions.of(read=["*"], write=["*"])}, False),
    ("inactive", {"active": False}, False),
    ("revoked", {"revoked_at_us": NOW_US - 1}, False),
    ("expired", {"expires_at_us": NOW_US}, False),
    ("will expire", {"expires_at_us": NOW_US + 1_000 * DAY_US}, False),
    ("idle time", {"ttl_seconds": 2**62}, False),
    ("scheduled", {"valid_from_us": NOW_US + 1}, False),
    ("allowlist", {"allowlist": NetworkList.of(["0.0.0.0/0"])}, False),
]

DESCRIPTIONS = {
    "a": "Dashboard in the HALL",
    "b": "straße, 100%_done",
    "c": "Hall of the board",
    "d": "\N{GREEK CAPITAL LETTER SIGMA}\N{GREEK CAPITAL LETTER ALPHA}\N{GREEK CAPITAL LETTER SIGMA}",
    "E": "nothing\0hidden [x] * ?",
}
SEARCHES = [
    ("hall", "ac"),
    ("Hall BOARD", "ac"),
    ("hall dash", "a"),
    ("hallin", ""),
    ("STRASSE", "b"),
    ("100%", "b"),
    ("1%", ""),
    ("%_", "b"),
    ("h_ll", ""),
    ("\N{GREEK SMALL LETTER FINAL SIGMA}", "d"),
    ("e", "Eabc"),
    ("e nothing", "E"),
    ("*", "E"),
    ("[x]", "E"),
    ("?", "E"),
    ("g\0h", "E"),
    ("g\0x", ""),
    ("'", ""),
    ("", "Eabcd"),
]

SORTED: dict[str, dict[str, Any]] = {
    "a": {"created_at_us": NOW_US - 1, "updated_at_us": NOW_US + 1, "active": False},
    "b": {"created_at_us": NOW_US - 3, "expires_at_us": NOW_US + 5},
    "c": {"created_at_us": NOW_US - 1, "updated_at_us": NOW_US - 1, "expires_at_us": NOW_US},
    "d": {"created_at_us": NOW_US - 2, "valid_from_us": NOW_US + 1},
    "e": {"revoked_at_us": NOW_US, "expires_at_us": NOW_US},
}
# a inactive, b active, c expired, d scheduled, e revoked; b was used after c, the others never.
SORTINGS = [
    (SortKey.NAME, "abcde", "edcba"),
    (SortKey.CREATED_AT, "bdace", "eacdb"),
    (SortKey.UPDATED_AT, "cbdea", "abdec"),
    (SortKey.LAST_ACCESS, "cbade", "adebc"),
    (SortKey.EXPIRES_AT, "cebad", "adbce"),
    (SortKey.STATUS, "bcaed", "deacb"),
]

DAYS = {
    "2026-11-30": 1,
    "2026-12-01": 10,
    "2026-12-31": 100,
    "2027-01-02": 1_000,
    "2027-01-15": 10_000,
}
SPANS = [
    (Span(), DAYS),
    (Span(PeriodKind.DAY, "2026-12-01"), {day: DAYS[day] for day in sorted(DAYS)[1:]}),
    (Span(PeriodKind.DAY, "2026-12-02", "2026-12-31"), {"2026-12-31": 100}),
    (Span(PeriodKind.DAY, None, "2026-11-30"), {"2026-11-30": 1}),
    (Span(PeriodKind.DAY, "2027-01-03", "2027-01-14"), {}),
    (Span(PeriodKind.MONTH), {"2026-11": 1, "2026-12": 110, "2027-01": 11_000}),
    (Span(PeriodKind.MONTH, "2026-12"), {"2026-12": 110, "2027-01": 11_000}),
    (Span(PeriodKind.MONTH, "2026-11", "2026-12"), {"2026-11": 1, "2026-12": 110}),
]

# What a token is, and whether it had ended by now.
ENDED: list[tuple[str, dict[str, Any], bool]] = [
    ("plain", {}, False),
    ("inactive", {"active": False}, False),
    ("revoked", {"revoked_at_us": NOW_US}, True),
    ("revoked since", {"revoked_at_us": NOW_US + 1}, False),
    ("expired", {"expires_at_us": NOW_US}, True),
    ("expires", {"expires_at_us": NOW_US + 1}, False),
    ("idle", {"ttl_seconds": 5, "created_at_us": NOW_US - 6 * SECOND_US}, True),
    ("about to be idle", {"ttl_seconds": 5, "created_at_us": NOW_US - 6 * SECOND_US + 1}, False),
    (
        "used lately",
        {"ttl_seconds": 5, "created_at_us": NOW_US - DAY_US, "last_access_us": NOW_US - SECOND_US},
        False,
    ),
    ("provisioned", {"is_provisioned": True, "revoked_at_us": NOW_US, "expires_at_us": NOW_US}, False),
]

ONE, TWO = frozenset({"id-of-one"}), frozenset({"id-of-two"})
NOBODY: frozenset[str] = frozenset()

# What is done to the registry with the tokens `one` (value "v") and `two`, and about which of them readers must notice;
# None: about any.
GENERATION: list[tuple[str, Work, frozenset[str] | None]] = [
    ("create", lambda t: put(t, make_token("new")), NOBODY),
    ("records", lambda t: add_records(t, record_of(make_token("new"), "w")), NOBODY),
    ("another value", lambda t: t.add_secret("id-of-one", digest_of("v2"), NOW_US), NOBODY),
    ("usage", lambda t: t.add_usage([used("id-of-one", 1, read=1, last_access_us=NOW_US)]), NOBODY),
    ("seeded", lambda t: t.mark_seeded(), NOBODY),
    ("folding", lambda t: t.fold_usage("2100-01-01", 10), NOBODY),
    ("no value out of grace", lambda t: t.remove_ended_secrets(NOW_US, 10), NOBODY),
    ("reads", lambda t: (t.tokens(), t.secrets("id-of-one"), t.bucket_intents()), NOBODY),
    ("replace", lambda t: t.replace(make_token("one", active=False)), ONE),
    ("remove", lambda t: t.remove("id-of-two"), TWO),
    (
        "both",
        in_turn(lambda t: t.remove("id-of-one"), lambda t: t.replace(make_token("two", active=False))),
        ONE | TWO,
    ),
    ("values ended", lambda t: t.remove_secrets("id-of-one"), ONE),
    ("values retired", lambda t: t.retire_secrets("id-of-one", NOW_US), ONE),
    (
        "a value out of grace",
        in_turn(
            lambda t: t.retire_secrets("id-of-one", NOW_US), lambda t: t.remove_ended_secrets(NOW_US, 10)
        ),
        ONE,
    ),
    ("intent", lambda t: t.add_bucket_intent(IntentKind.REMOVE, "b", None, NOW_US), None),
    (
        "intent and token",
        in_turn(
            lambda t: t.replace(make_token("one")),
            lambda t: t.add_bucket_intent(IntentKind.REMOVE, "b", None, NOW_US),
        ),
        None,
    ),
    ("very many", in_turn(*(methodcaller("remove", f"id-{number}") for number in range(1_001))), None),
]


class Refusal(Exception):  # noqa: N818 - it is what somebody's work raises
    """Raised by the work of a change."""


class StoreContract(ABC):
    """The suite. A subclass gives the fixtures `store` and `beside`, and says how its counters are read."""

    conflict: ClassVar[type[Exception]]
    """What the store raises for a name, an id or a digest that is taken."""

    @pytest.fixture
    @abstractmethod
    def store(self) -> TokenStore:
        """Give an empty store."""

    @pytest.fixture
    @abstractmethod
    def beside(self) -> TokenStore:
        """Give another store on the same registry, as another process has it."""

    @abstractmethod
    def another(self, store: TokenStore) -> TokenStore:
        """Open one more store on the same registry; the caller closes it."""

    @abstractmethod
    async def usage_of(self, store: TokenStore, name: str) -> dict[str, tuple[int, int, int, int]]:
        """Read the counters of a token: read, write, admin and denied of each period."""

    # -- tokens and values ----------------------------------------------------------------------------------

    async def test_a_token_comes_back_as_it_was_added(self, store: TokenStore) -> None:
        """Every field of a token survives, by value, by name, by id and by digest."""
        await add(store, EVERYTHING, "v")
        assert (await found(store, "v")).token == EVERYTHING
        assert await store.read(lambda snapshot: snapshot.token_named("everything")) == EVERYTHING
        assert await store.change(lambda t: t.token_by_id("id-of-everything")) == EVERYTHING
        assert await store.change(lambda t: t.token_by_digest(digest_of("v"))) == EVERYTHING

    async def test_many_tokens_come_back_as_they_were_added(self, store: TokenStore) -> None:
        """Added at once, each has its fields, its last access too, its values in their order, and an entry."""
        rich = replace(EVERYTHING, last_access_us=NOW_US - 1, is_provisioned=False)
        in_grace, newest = record_of(make_token("b"), "v", "w").digests
        two = TokenRecord(make_token("b"), (replace(in_grace, expires_at_us=NOW_US + 1), newest))
        given = [record_of(rich, "u"), two, record_of(make_token("c"))]
        await store.change(lambda t: add_records(t, *given))
        assert (await found(store, "u")).token == rich
        assert (await found(store, "v")).secret.expires_at_us == NOW_US + 1
        assert (await found(store, "w")).token == make_token("b")
        records = await store.read(lambda s: s.records(s.tokens()))
        assert [
            (one.token, [(digest.digest, digest.expires_at_us) for digest in one.digests]) for one in records
        ] == [
            (make_token("b"), [(digest_of("v"), NOW_US + 1), (digest_of("w"), None)]),
            (make_token("c"), []),
            (rich, [(digest_of("u"), None)]),
        ]
        entries = (await store.read(lambda s: s.audited(AuditQuery(descending=False)))).rows
        assert [(entry.action, entry.token_name) for entry in entries] == [
            ("import", "everything"),
            ("import", "b"),
            ("import", "c"),
        ]
        assert store.counts().changes == {"import": 3}
        await store.change(lambda t: t.replace(make_token("b", active=False)))  # as any other token
        assert (await found(store, "w")).token == make_token("b", active=False)

    async def test_who_has_what(self, store: TokenStore) -> None:
        """Tokens are found by many names, ids and digests at once; what nobody has is not there."""
        await store.change(
            lambda t: add_records(t, record_of(make_token("a"), "v", "w"), record_of(make_token("b"), "x"))
        )
        named = await store.read(lambda s: s.tokens_named(["b", "nobody", "a", "A"]))
        assert sorted(token.name for token in named) == ["a", "b"]
        assert await store.read(lambda s: s.tokens_named([])) == []
        assert await store.change(lambda t: t.names_by_id(["id-of-b", "id-of-c"])) == {"id-of-b": "b"}
        digests = [digest_of(value) for value in ("w", "x", "y")]
        assert await store.change(lambda t: t.names_by_digest(digests)) == {
            digest_of("w"): "a",
            digest_of("x"): "b",
        }
        assert await store.change(lambda t: t.names_by_digest([])) == {}

    @pytest.mark.parametrize(
        ("token", "value"),
        [
            pytest.param(make_token("a", token_id="another"), "w", id="name"),
            pytest.param(make_token("b", token_id="id-of-a"), "w", id="id"),
            pytest.param(make_token("b"), "v", id="digest"),
        ],
    )
    async def test_many_tokens_are_added_or_none(self, store: TokenStore, token: Token, value: str) -> None:
        """One of them that can't be keeps all of them out; what the change did before and does after it is kept."""
        await store.change(lambda t: add_records(t, record_of(make_token("a"), "v")))

        def work(transaction: Transaction) -> None:
            add_records(transaction, record_of(make_token("before"), "x"))
            with pytest.raises(TokensTakenError):
                add_records(transaction, record_of(make_token("c"), "z"), record_of(token, value))
            add_records(transaction, record_of(make_token("after"), "z"))

        await store.change(work)
        assert [one.name for one in await store.read(lambda s: s.tokens())] == ["a", "after", "before"]
        for each, name in (("v", "a"), ("x", "before"), ("z", "after")):
            assert (await found(store, each)).token.name == name
        assert await store.find(digest_of("w")) is None
        entries = (await store.read(lambda s: s.audited(AuditQuery(descending=False)))).rows
        assert [entry.token_name for entry in entries] == ["a", "before", "after"]

    async def test_many_tokens_without_values(self, store: TokenStore) -> None:
        """Those that were revoked have none."""
        await store.change(lambda t: add_records(t, record_of(make_token("a")), record_of(make_token("b"))))
        assert [one.name for one in await store.read(lambda s: s.tokens())] == ["a", "b"]
        assert await store.find(digest_of("z")) is None

    async def test_counts_of_what_was_kept(self, store: TokenStore) -> None:
        """What was written down is counted with its change; what was undone with its change is not."""
        token = make_token("a")

        def kept(transaction: Transaction) -> None:
            put(transaction, token)
            transaction.audit(NOW_US, Actor.environment(), AuditAction.EDIT, token)
            transaction.audit(NOW_US, Actor.environment(), AuditAction.DENIED)  # nothing of a token

        def undone(transaction: Transaction) -> None:
            transaction.audit(NOW_US, Actor.environment(), AuditAction.DELETE, token)
            raise RuntimeError

        assert (store.counts().changes, store.counts().errors) == ({}, 0)
        await store.change(kept)
        with pytest.raises(RuntimeError):
            await store.change(undone)
        assert (store.counts().changes, store.counts().errors) == ({"create": 1, "edit": 1}, 0)

    async def test_what_is_not_there(self, store: TokenStore) -> None:
        """A name, an id or a digest that nobody has finds nothing; names are compared exactly."""
        await add(store, make_token("admin"), "v")
        assert await store.find(digest_of("w")) is None
        for name in ("Admin", "admin ", "adm", "admin%", "a_min", "*"):
            assert await store.read(methodcaller("token_named", name)) is None
        assert await store.change(lambda t: t.token_by_id("admin")) is None
        assert await store.change(lambda t: t.token_by_digest(digest_of("w"))) is None
        assert await store.change(lambda t: t.secrets("id-of-nobody")) == []

    async def test_names_in_another_case_are_other_names(self, store: TokenStore) -> None:
        """`Admin` and `admin` are two tokens."""
        await add(store, make_token("admin"), "lower")
        await add(store, make_token("Admin"), "upper")
        assert (await found(store, "lower")).token.name == "admin"
        assert (await found(store, "upper")).token.name == "Admin"

    async def test_replace_writes_every_field(self, store: TokenStore) -> None:
        """A replaced token is the new one, field by field, under its old id and values."""
        await add(store, make_token("plain"), "v")
        changed = replace(EVERYTHING, token_id="id-of-plain", name="renamed")
        await store.change(lambda t: t.replace(changed))
        assert (await found(store, "v")).token == changed
        assert await store.read(lambda snapshot: snapshot.token_named("plain")) is None

    async def test_replace_leaves_the_last_access_alone(self, store: TokenStore) -> None:
        """A change that was computed from an older reading does not turn the last access back."""
        await add(store, make_token("a"), "v")
        secret_id = (await found(store, "v")).secret.secret_id
        seen = used("id-of-a", secret_id, last_access_us=NOW_US + 5, last_access_ip="10.0.0.7")
        await store.change(lambda t: t.add_usage([seen]))
        await store.change(lambda t: t.replace(make_token("a", description="new", last_access_us=1)))
        token = (await found(store, "v")).token
        assert (token.description, token.last_access_us) == ("new", NOW_US + 5)
        assert token.last_access_ip == "10.0.0.7"

    async def test_remove_forgets_token_values_and_counters(self, store: TokenStore) -> None:
        """After a removal the values are unknown, and a new token of that name begins with nothing."""
        await add(store, make_token("a"), "v", "w")
        secret_id = (await found(store, "v")).secret.secret_id
        delta = used("id-of-a", secret_id, read=7, last_access_us=NOW_US + 1)
        await store.change(lambda t: t.add_usage([delta]))
        await store.change(lambda t: t.remove("id-of-a"))
        assert await store.find(digest_of("v")) is None
        assert await store.find(digest_of("w")) is None
        await add(store, make_token("a", token_id="another"), "x")
        assert (await found(store, "x")).token.last_access_us is None
        assert await self.usage_of(store, "a") == {}

    async def test_values_of_a_token(self, store: TokenStore) -> None:
        """A token has any number of values; each finds it, oldest first, and all can be ended at once."""
        await add(store, make_token("a"), "v1")
        await store.change(lambda t: t.add_secret("id-of-a", digest_of("v2"), NOW_US + 9))
        first, second = await store.change(lambda t: t.secrets("id-of-a"))
        assert first == Secret(first.secret_id, NOW_US)
        assert second == Secret(second.secret_id, NOW_US + 9)
        assert first.secret_id != second.secret_id
        assert (await found(store, "v1")).secret == first
        assert (await found(store, "v2")).secret == second
        await store.change(lambda t: t.remove_secrets("id-of-a"))
        assert await store.find(digest_of("v1")) is None
        assert await store.find(digest_of("v2")) is None
        assert await store.change(lambda t: t.secrets("id-of-a")) == []

    async def test_values_that_are_retired(self, store: TokenStore) -> None:
        """The value without an end gets one, those that had one end at once, another token's are left alone."""
        await add(store, make_token("a"), "v1")
        await add(store, make_token("b"), "other")
        await store.change(lambda t: t.retire_secrets("id-of-a", NOW_US + 5))
        await store.change(lambda t: t.add_secret("id-of-a", digest_of("v2"), NOW_US + 1))
        first, second = await store.change(lambda t: t.secrets("id-of-a"))
        assert first == Secret(first.secret_id, NOW_US, NOW_US + 5)
        assert second == Secret(second.secret_id, NOW_US + 1)
        await store.change(lambda t: t.retire_secrets("id-of-a", NOW_US + 9))
        assert await store.find(digest_of("v1")) is None
        assert (await found(store, "v2")).secret == replace(second, expires_at_us=NOW_US + 9)
        assert (await found(store, "other")).secret.expires_at_us is None

    async def test_a_token_and_its_newest_value(self, store: TokenStore, beside: TokenStore) -> None:
        """By its id, as it is on disk now, in any process: the newest value only, or none."""
        await add(store, make_token("b"), "other")
        await add(store, make_token("a"))
        for one in (store, beside):
            assert await one.find_by_id("id-of-a") == FoundById(make_token("a"), None)
            assert await one.find_by_id("a") is None
        await store.change(lambda t: t.add_secret("id-of-a", digest_of("v1"), NOW_US))
        first = (await found(store, "v1")).secret
        for one in (store, beside):
            assert await one.find_by_id("id-of-a") == FoundById(make_token("a"), first)
        await store.change(lambda t: t.retire_secrets("id-of-a", NOW_US + 5))
        retired = replace(first, expires_at_us=NOW_US + 5)
        assert await beside.find_by_id("id-of-a") == FoundById(make_token("a"), retired)
        await store.change(lambda t: t.add_secret("id-of-a", digest_of("v2"), NOW_US))
        second = (await found(store, "v2")).secret
        inactive = make_token("a", active=False)
        await store.change(lambda t: t.replace(inactive))
        for one in (store, beside):
            assert await one.find_by_id("id-of-a") == FoundById(inactive, second)
        await store.change(lambda t: t.remove_secrets("id-of-a"))
        assert await beside.find_by_id("id-of-a") == FoundById(inactive, None)
        await store.change(lambda t: t.remove("id-of-a"))
        for one in (store, beside):
            assert await one.find_by_id("id-of-a") is None

    async def test_an_administrator_whose_value_ends_is_of_no_use(self, store: TokenStore) -> None:
        """A value in its grace does not count: for good is not until then."""
        await add(store, make_token("a", permissions=ADMINISTRATOR), "v1")
        await store.change(lambda t: t.retire_secrets("id-of-a", NOW_US + DAY_US))
        assert not await store.change(lambda t: t.has_usable_administrator(NOW_US))
        await store.change(lambda t: t.add_secret("id-of-a", digest_of("v2"), NOW_US))
        assert await store.change(lambda t: t.has_usable_administrator(NOW_US))

    async def test_secret_ids_are_not_used_again(self, store: TokenStore) -> None:
        """A value's id never comes back: what is still counted for a dead value reaches nobody."""
        await add(store, make_token("a"), "v1")
        first = (await found(store, "v1")).secret.secret_id
        await store.change(lambda t: t.remove_secrets("id-of-a"))
        await store.change(lambda t: t.add_secret("id-of-a", digest_of("v2"), NOW_US))
        assert (await found(store, "v2")).secret.secret_id != first

    @pytest.mark.parametrize(
        ("second", "value", "kind"),
        [
            pytest.param(make_token("a", token_id="another"), "w", TokenExistsError, id="name"),
            pytest.param(make_token("b", token_id="id-of-a"), "w", None, id="id"),
            pytest.param(make_token("b"), "v", None, id="digest"),
        ],
    )
    async def test_what_must_be_unique(
        self, store: TokenStore, second: Token, value: str, kind: type[Exception] | None
    ) -> None:
        """A name, an id or a digest that is taken refuses the whole change."""
        first = make_token("a", description="first")
        await add(store, first, "v")
        with pytest.raises(kind or self.conflict):
            await add(store, second, value)
        assert await store.read(lambda snapshot: snapshot.tokens()) == [first]
        assert (await found(store, "v")).token == first
        assert await store.find(digest_of("w")) is None

    async def test_tokens_are_listed_by_name(self, store: TokenStore) -> None:
        """The list is in the order of the characters' numbers, whatever the order of creation."""
        for name in ("b", "a.b", "B", "a", "a-b", "_", "10", "9"):
            await add(store, make_token(name), name)
        names = [token.name for token in await store.read(lambda snapshot: snapshot.tokens())]
        assert names == ["10", "9", "B", "_", "a", "a-b", "a.b", "b"]

    async def test_provisioned_tokens(self, store: TokenStore) -> None:
        """Those that the deployment declares are told apart, by name."""
        for name, is_provisioned in (("c", True), ("b", False), ("a", True)):
            await add(store, make_token(name, is_provisioned=is_provisioned))
        names = [token.name for token in await store.change(lambda t: t.provisioned_tokens())]
        assert names == ["a", "c"]

    async def test_tokens_naming_a_bucket(self, store: TokenStore) -> None:
        """Exact entries are found in either list; a wildcard, a prefix or a part of a name is not one."""
        grants = {
            "reader": Permissions.of(read=["x", "data"]),
            "writer": Permissions.of(write=["data"]),
            "both": Permissions.of(read=["data"], write=["data"]),
            "wildcard": Permissions.of(read=["*"], write=["data*"]),
            "longer": Permissions.of(read=["database"]),
            "shorter": Permissions.of(read=["dat"]),
            "case": Permissions.of(read=["Data"]),
            "system": Permissions.of(read=["$data"]),
            "full": ADMINISTRATOR,
        }
        for name, permissions in grants.items():
            await add(store, make_token(name, permissions=permissions))
        naming = await store.change(lambda t: t.tokens_naming_bucket("data"))
        assert sorted(token.name for token in naming) == ["both", "reader", "writer"]
        assert await store.change(lambda t: t.tokens_naming_bucket("da_a")) == []

    @pytest.mark.parametrize(
        ("fields", "usable"), [pytest.param(f, u, id=name) for name, f, u in USABLE_ADMINISTRATOR]
    )
    async def test_usable_administrator(
        self, store: TokenStore, fields: dict[str, Any], usable: bool
    ) -> None:
        """Active, not scheduled, without expiry, ttl and allowlist: for good and from anywhere."""
        assert not await store.change(lambda t: t.has_usable_administrator(NOW_US))
        await add(store, make_token("a", **{"permissions": ADMINISTRATOR, **fields}), "v")
        assert await store.change(lambda t: t.has_usable_administrator(NOW_US)) is usable

    async def test_an_administrator_without_a_value_is_of_no_use(self, store: TokenStore) -> None:
        """A token that nobody can present does not count."""
        await add(store, make_token("a", permissions=ADMINISTRATOR))
        assert not await store.change(lambda t: t.has_usable_administrator(NOW_US))

    async def test_seeded(self, store: TokenStore, beside: TokenStore) -> None:
        """A new registry was never given a token; once marked, it stays marked."""
        assert not await store.change(lambda t: t.is_seeded())
        await store.change(lambda t: t.mark_seeded())
        await store.change(lambda t: t.mark_seeded())
        assert await store.change(lambda t: t.is_seeded())
        assert await beside.change(lambda t: t.is_seeded())

    # -- changes --------------------------------------------------------------------------------------------

    async def test_a_change_sees_what_it_wrote(self, store: TokenStore) -> None:
        """Reads within a change are of the state that it is making."""

        def work(transaction: Transaction) -> tuple[list[str], int]:
            put(transaction, make_token("a"), "v")
            put(transaction, make_token("b"))
            transaction.remove("id-of-b")
            return [token.name for token in transaction.tokens()], len(transaction.secrets("id-of-a"))

        assert await store.change(work) == (["a"], 1)

    async def test_what_work_raises_undoes_the_change(self, store: TokenStore) -> None:
        """The caller gets the very exception, and of the change nothing remains."""
        kept = make_token("kept")
        await add(store, kept, "v")
        refusal = Refusal("no")

        def work(transaction: Transaction) -> None:
            put(transaction, make_token("new"))
            transaction.replace(make_token("kept", active=False))
            transaction.remove_secrets("id-of-kept")
            transaction.add_bucket_intent(IntentKind.REMOVE, "b", None, NOW_US)
            transaction.mark_seeded()
            raise refusal

        generation = store.generation()
        with pytest.raises(Refusal) as raised:
            await store.change(work)
        assert raised.value is refusal
        assert await store.read(lambda snapshot: snapshot.tokens()) == [kept]
        assert (await found(store, "v")).token == kept
        assert await store.change(lambda t: (t.bucket_intents(), t.is_seeded())) == ([], False)
        assert store.generation() == generation

    async def test_a_refusal_touches_only_its_own_change(self, store: TokenStore) -> None:
        """Of changes that are submitted together, those that raise are undone and the others are kept."""

        def adding(number: int) -> Callable[[Transaction], int]:
            def work(transaction: Transaction) -> int:
                put(transaction, make_token(f"t{number:02}"))
                if number % 3 == 0:
                    raise Refusal(number)
                return number

            return work

        gate = Gate(store)
        await gate.reached()
        waiting = [asyncio.ensure_future(store.change(adding(number))) for number in range(12)]
        await asyncio.sleep(0)
        await gate.open()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert [repr(answer) for answer in answers] == [
            *("Refusal(0)", "1", "2", "Refusal(3)", "4", "5"),
            *("Refusal(6)", "7", "8", "Refusal(9)", "10", "11"),
        ]
        names = [token.name for token in await store.read(lambda snapshot: snapshot.tokens())]
        assert names == ["t01", "t02", "t04", "t05", "t07", "t08", "t10", "t11"]

    async def test_changes_are_made_one_after_the_other(self, store: TokenStore, beside: TokenStore) -> None:
        """Changes that read and then write never overlap, whichever store they come from."""
        await add(store, make_token("counter", description="0"))

        def work(transaction: Transaction) -> None:
            token = transaction.token_named("counter")
            assert token is not None
            transaction.replace(replace(token, description=str(int(token.description) + 1)))

        await asyncio.gather(*(one.change(work) for one in [store, beside] * 25))
        token = await store.read(lambda snapshot: snapshot.token_named("counter"))
        assert token is not None
        assert token.description == "50"

    async def test_a_read_sees_one_state(self, store: TokenStore) -> None:
        """What is changed while a longer read runs, that read does not see."""
        await add(store, make_token("a"))
        begun, changed = threading.Event(), threading.Event()

        def names(snapshot: Snapshot) -> list[list[str]]:
            before = [token.name for token in snapshot.tokens()]
            begun.set()
            assert changed.wait(20)
            return [before, [token.name for token in snapshot.tokens()]]

        reading = asyncio.ensure_future(store.read(names))
        assert await asyncio.to_thread(begun.wait, 20)
        await add(store, make_token("b"))
        changed.set()
        assert await reading == [["a"], ["a"]]
        assert len(await store.read(lambda snapshot: snapshot.tokens())) == 2

    async def test_what_a_read_raises_reaches_the_caller(self, store: TokenStore) -> None:
        """A read that raises leaves the store as good as it was."""

        def refuse(_: Snapshot) -> None:
            raise Refusal

        with pytest.raises(Refusal):
            await store.read(refuse)
        assert await store.read(lambda snapshot: snapshot.tokens()) == []

    async def test_the_other_store_finds_the_new_state_at_once(
        self, store: TokenStore, beside: TokenStore
    ) -> None:
        """When a change has returned, no store on the registry finds what it took away."""
        for number in range(20):
            await add(store, make_token("a"), f"v{number}")
            assert (await found(beside, f"v{number}")).token.name == "a"
            noted = beside.generation()
            await store.change(lambda t: t.remove("id-of-a"))
            assert beside.generation() != noted
            assert await beside.find(digest_of(f"v{number}")) is None

    async def test_close_keeps_the_changes_that_wait(self, store: TokenStore) -> None:
        """What was submitted before the close is made and answered."""
        leaving = self.another(store)
        gate = Gate(leaving)
        await gate.reached()
        waiting = [asyncio.ensure_future(add(leaving, make_token(f"t{number}"))) for number in range(5)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(leaving.close())
        await gate.open()
        await asyncio.gather(closing, *waiting)
        names = [token.name for token in await store.read(lambda snapshot: snapshot.tokens())]
        assert names == ["t0", "t1", "t2", "t3", "t4"]

    async def test_a_store_that_was_closed(self, store: TokenStore) -> None:
        """It says at once that it is not there, may be closed again, and what it was given before is kept."""
        leaving = self.another(store)
        await add(leaving, make_token("a"), "v")
        await found(leaving, "v")
        for _ in range(2):
            await leaving.close()
        async with asyncio.timeout(5):
            for attempt in (
                add(leaving, make_token("b")),
                leaving.find(digest_of("v")),
                leaving.find_by_id("id-of-a"),
                leaving.read(lambda snapshot: snapshot.tokens()),
            ):
                with pytest.raises(StoreUnavailableError):
                    await attempt
            await leaving.close()
        assert [token.name for token in await store.read(lambda snapshot: snapshot.tokens())] == ["a"]
        await found(store, "v")

    # -- generation -----------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("work", "changed"), [pytest.param(work, changed, id=name) for name, work, changed in GENERATION]
    )
    async def test_generation(
        self, store: TokenStore, beside: TokenStore, work: Work, changed: frozenset[str] | None
    ) -> None:
        """It moves, everywhere, when something about existing tokens changed, and only then; at rest it is even.

        And everywhere it can be asked about which ones.
        """
        await add(store, make_token("one"), "v")
        await add(store, make_token("two"))
        before = store.generation()
        await store.change(work)
        after = store.generation()
        assert (after != before) is (changed != NOBODY)
        assert beside.generation() == after
        assert after % 2 == 0
        for each in (store, beside):
            assert await each.changed_between(before, after) == changed

    async def test_changes_of_several_generations(self, store: TokenStore, beside: TokenStore) -> None:
        """Those after the earlier one; what both processes did is in one row."""
        for name in ("one", "two", "three"):
            await add(store, make_token(name))
        seen = [store.generation()]
        for each, name in ((store, "one"), (beside, "two"), (store, "three"), (beside, "one")):
            await each.change(methodcaller("replace", make_token(name, active=False)))
            seen.append(each.generation())
        expected: set[str] = set()
        for earlier, name in zip(reversed(seen[:-1]), ("one", "three", "two", "one"), strict=True):
            expected.add(f"id-of-{name}")
            assert await store.changed_between(earlier, seen[-1]) == frozenset(expected)
        assert await store.changed_between(seen[-1], seen[-1]) == NOBODY

    async def test_what_is_refused_changes_no_token(self, store: TokenStore) -> None:
        """Of changes that share a commit, one that is refused is not among what changed."""
        for name in ("one", "two"):
            await add(store, make_token(name))
        before = store.generation()
        gate = Gate(store)
        await gate.reached()

        def refused(transaction: Transaction) -> None:
            transaction.remove("id-of-two")
            raise Refusal

        changes = [
            asyncio.ensure_future(store.change(work))
            for work in (refused, methodcaller("replace", make_token("one", active=False)))
        ]
        await asyncio.sleep(0)
        await gate.open()
        with pytest.raises(Refusal):
            await changes[0]
        await changes[1]
        assert await store.changed_between(before, store.generation()) == ONE

    async def test_changes_that_nobody_remembers(self, store: TokenStore) -> None:
        """Before the last thousand or so, any token may have changed; nothing is kept for ever."""
        await add(store, make_token("one"))
        seen = [store.generation()]
        for number in range(1_600):
            await store.change(methodcaller("replace", make_token("one", description=str(number))))
            seen.append(store.generation())
        assert await store.changed_between(seen[-500], seen[-1]) == ONE
        assert await store.changed_between(seen[-1_200], seen[-1]) is None
        assert await store.changed_between(seen[0], seen[-1]) is None
        assert await store.changed_between(seen[0], seen[1]) is None

    async def test_changes_that_did_not_happen_yet(self, store: TokenStore) -> None:
        """Of a generation that is not there any token may have changed."""
        assert await store.changed_between(store.generation(), store.generation() + 2) is None

    async def test_generation_moves_when_an_intent_is_settled(self, store: TokenStore) -> None:
        """Grants that were suspended work again: readers must notice, of any token."""
        intent = await store.change(lambda t: t.add_bucket_intent(IntentKind.REMOVE, "b", None, NOW_US))
        before = store.generation()
        await store.change(lambda t: t.remove_bucket_intent(intent.intent_id))
        assert store.generation() != before
        assert await store.changed_between(before, store.generation()) is None

    async def test_generation_never_comes_back(self, store: TokenStore, beside: TokenStore) -> None:
        """It only grows, so that nothing that was kept under an old number is taken for new."""
        await add(store, make_token("a"), "v")
        seen = [store.generation()]
        for number in range(10):
            one = (store, beside)[number % 2]
            await one.change(methodcaller("replace", make_token("a", description=str(number))))
            seen.append(one.generation())
        assert seen == sorted(set(seen))

    # -- details --------------------------------------------------------------------------------------------

    async def test_details(self, store: TokenStore) -> None:
        """Live values oldest first, and usage as of now; of several tokens in the order asked for."""
        await add(store, make_token("a"), "v1", "v2")
        await add(store, make_token("b"), "w")
        await add(store, make_token("c"))
        v1, v2 = [secret.secret_id for secret in await store.read(lambda s: s.secrets("id-of-a"))]
        deltas = [
            used("id-of-a", v1, day="2026-12-31", read=1),
            used("id-of-a", v1, day="2027-01-14", read=10, write=1, last_access_us=NOW_US - DAY_US),
            used("id-of-a", v2, day="2027-01-15", read=100, admin=2, denied=3, last_access_us=NOW_US),
            used("id-of-a", v2, day="2027-02-01", read=1_000),
        ]
        await store.change(lambda t: t.add_usage(deltas))

        def details(snapshot: Snapshot) -> list[TokenDetails]:
            tokens = {token.name: token for token in snapshot.tokens()}
            return snapshot.details([tokens["c"], tokens["a"], tokens["b"]], NOW_US)

        for found_details in (await store.read(details), await store.change(details)):
            c, a, b = found_details
            assert [one.token.name for one in (a, b, c)] == ["a", "b", "c"]
            assert [(secret.secret_id, secret.uses) for secret in a.secrets] == [(v1, 12), (v2, 1_105)]
            assert a.secrets[1].last_access_us == NOW_US
            assert a.usage == UsageTotals(
                total=UsageCounts(read=1_111, write=1, admin=2, denied=3),
                today=UsageCounts(read=100, admin=2, denied=3),
                this_month=UsageCounts(read=110, write=1, admin=2, denied=3),
            )
            assert [len(one.secrets) for one in (b, c)] == [1, 0]
            assert b.usage == c.usage == NOT_USED
        assert await store.read(lambda s: s.details([], NOW_US)) == []

    # -- queries --------------------------------------------------------------------------------------------

    async def test_tokens_after_a_name(self, store: TokenStore) -> None:
        """All tokens in steps, by name, with the name to go on after; the end is told."""
        for name in ("b", "B", "a", "c", "a.b"):
            await add(store, make_token(name))
        steps, last = [], ""
        while last is not None:
            tokens, last = await store.read(methodcaller("tokens_after", last, 2))
            steps.append([token.name for token in tokens])
        assert steps == [["B", "a"], ["a.b", "b"], ["c"]]
        assert await store.read(methodcaller("tokens_after", "c", 2)) == ([], None)

    async def test_a_page(self, store: TokenStore) -> None:
        """Limit and offset cut a page out; what was found and what there is are counted."""
        for number in range(10):
            await add(store, make_token(f"t{number}", description="odd" if number % 2 else "even"))
        query = TokenQuery(words=("odd",), limit=2, offset=3)
        page = await store.read(lambda snapshot: snapshot.select(query, NOW_US))
        assert ([token.name for token in page.rows], page.found, page.total) == (["t7", "t9"], 5, 10)
        beyond = await store.read(lambda s: s.select(replace(query, offset=2**63 - 1), NOW_US))
        assert (beyond.rows, beyond.found, beyond.total) == ([], 5, 10)

    @pytest.mark.parametrize("descending", [False, True])
    async def test_every_page(self, store: TokenStore, descending: bool) -> None:
        """Pages, from wherever they begin, are slices of the whole, in every order; ties are in the order of names."""
        for number in range(7):
            times = {"created_at_us": NOW_US + number // 3, "expires_at_us": (None, NOW_US, 1)[number % 3]}
            await add(store, make_token(f"t{number}", **times))

        def work(snapshot: Snapshot) -> None:
            for sort in SortKey:
                whole = TokenQuery(sort=sort, descending=descending, words=("t",))
                for query in (whole, replace(whole, words=())):
                    rows = snapshot.select(query, NOW_US).rows
                    assert len(rows) == 7
                    for offset, limit in itertools.product(range(9), (1, 2, 3, 9)):
                        page = snapshot.select(replace(query, offset=offset, limit=limit), NOW_US)
                        assert page.rows == rows[offset : offset + limit], (query, offset, limit)

        await store.read(work)

    async def test_the_total_of_a_page(self, store: TokenStore, beside: TokenStore) -> None:
        """It follows every token that comes or goes, in any process, and within a change."""

        async def total() -> int:
            return (await store.read(lambda snapshot: snapshot.select(TokenQuery(), NOW_US))).total

        def work(transaction: Transaction) -> list[int]:
            totals = [transaction.select(TokenQuery(), NOW_US).total]
            put(transaction, make_token("c"))
            return [*totals, transaction.select(TokenQuery(), NOW_US).total]

        totals = [await total()]
        for one, name in ((store, "a"), (beside, "b")):
            await add(one, make_token(name))
            totals.append(await total())
        assert await store.change(work) == [2, 3]
        for one, name in ((beside, "a"), (store, "b")):
            await one.change(methodcaller("remove", f"id-of-{name}"))
            totals.append(await total())
        assert totals == [0, 1, 2, 2, 1]

    @pytest.mark.parametrize(("text", "names"), SEARCHES)
    async def test_search(self, store: TokenStore, text: str, names: str) -> None:
        """Each word is somewhere in the name or the description, in any case; no character is a wildcard."""
        for name, description in DESCRIPTIONS.items():
            await add(store, make_token(name, description=description))
        words = tuple(text.casefold().split())
        assert "".join(await selected(store, TokenQuery(words=words))) == names

    async def test_a_token_by_its_id(self, store: TokenStore) -> None:
        """An id names one token exactly."""
        await add(store, make_token("a"))
        await add(store, make_token("b"))
        assert await selected(store, TokenQuery(token_id="id-of-b")) == ["b"]
        assert await selected(store, TokenQuery(token_id="id-of-_")) == []

    async def test_status_is_the_tokens_own(self, store: TokenStore) -> None:
        """For every combination of what makes a status, a query finds what the token says of itself."""
        times = (None, NOW_US - 1, NOW_US, NOW_US + 1)
        idle = [
            (ttl_seconds, NOW_US - created * SECOND_US - created_us, accessed)
            for ttl_seconds in (None, 1, 60)
            for created in (0, 1, 60, 61, -1)
            for created_us in (-1, 0, 1)
            for accessed in (None, NOW_US - 61 * SECOND_US, NOW_US - 2 * SECOND_US + 1, NOW_US + SECOND_US)
        ]
        shapes = [
            {"revoked_at_us": r, "expires_at_us": e, "active": a, "valid_from_us": v}
            for r, e, a, v in product((None, NOW_US), times, (True, False), times)
        ]
        tokens = {
            name: make_token(name, ttl_seconds=ttl, created_at_us=created, last_access_us=accessed, **shape)
            for name, (shape, (ttl, created, accessed)) in (
                (f"t{number:05}", combination)
                for number, combination in enumerate(
                    [*product(shapes, idle[::7]), *product(shapes[:1] + shapes[5:6], idle)]
                )
            )
        }

        def work(transaction: Transaction) -> None:
            for token in tokens.values():
                put(transaction, token)
                access = used(token.token_id, 0, last_access_us=token.last_access_us)
                transaction.add_usage([access])

        await store.change(work)
        told: set[TokenStatus] = set()
        for status in TokenStatus:
            query = TokenQuery(statuses=frozenset({status}), limit=100_000)
            expected = [name for name, token in tokens.items() if token.status_at(NOW_US) is status]
            assert await selected(store, query) == expected
            told |= {status} if expected else set()
        assert told == set(TokenStatus)
        two = TokenQuery(
            statuses=frozenset({TokenStatus.ACTIVE, TokenStatus.SCHEDULED}),
            sort=SortKey.STATUS,
            limit=100_000,
        )
        found_statuses = [tokens[name].status_at(NOW_US) for name in await selected(store, two)]
        assert found_statuses == sorted(found_statuses)
        assert set(found_statuses) == two.statuses

    async def test_who_can_reach_a_bucket(self, store: TokenStore) -> None:
        """For every bucket and action, a query finds the tokens whose permissions allow it, and no others."""
        chance = random.Random(7)  # noqa: S311 - the same tokens every time
        names = ["".join(letters) for n in (1, 2, 3) for letters in product("aA_-", repeat=n)]
        buckets = [*names, *(f"${name}" for name in names[:20])]
        patterns = ["*", *buckets, *(f"{name}*" for name in names)]
        grants = {
            f"t{number:03}": Permissions.of(
                full_access=chance.random() < 0.03,
                read=chance.sample(patterns, chance.randrange(4)),
                write=chance.sample(patterns, chance.randrange(4)),
            )
            for number in range(300)
        }

        def work(transaction: Transaction) -> None:
            for name, permissions in grants.items():
                put(transaction, make_token(name, permissions=permissions))

        await store.change(work)
        for bucket in buckets:
            for action in (None, *Action):
                actions = tuple(Action) if action is None else (action,)
                expected = [
                    name
                    for name, permissions in grants.items()
                    if any(permissions.allows(one, bucket) for one in actions)
                ]
                query = TokenQuery(bucket=bucket, action=action, limit=1_000)
                assert await selected(store, query) == expected, (bucket, action)

    @pytest.mark.parametrize(("sort", "ascending", "descending"), SORTINGS)
    async def test_sorting(self, store: TokenStore, sort: SortKey, ascending: str, descending: str) -> None:
        """By each key, nothing at the end; the other way round nothing comes first; ties by name both ways."""
        for name, fields in SORTED.items():
            await add(store, make_token(name, **fields))
        seen = [used(f"id-of-{name}", 0, last_access_us=NOW_US - 5 * (name == "c")) for name in "bc"]
        await store.change(lambda t: t.add_usage(seen))
        assert "".join(await selected(store, TokenQuery(sort=sort))) == ascending
        assert "".join(await selected(store, TokenQuery(sort=sort, descending=True))) == descending

    async def test_conditions_are_combined(self, store: TokenStore) -> None:
        """A token must meet all of them."""
        reader = Permissions.of(read=["data"])
        await add(store, make_token("a", permissions=reader, description="hall"))
        await add(store, make_token("b", permissions=reader, description="hall", active=False))
        await add(store, make_token("c", permissions=reader, description="roof"))
        await add(store, make_token("d", description="hall"))
        query = TokenQuery(
            words=("hall",), bucket="data", action=Action.READ, statuses=frozenset({TokenStatus.ACTIVE})
        )
        assert await selected(store, query) == ["a"]

    # -- bucket intents -------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("kind", "bucket", "new_bucket", "closed"),
        [
            (IntentKind.RENAME, "a", "b", {"a", "b"}),
            (IntentKind.REMOVE, "a", None, {"a"}),
            (IntentKind.REMOVE, "b", None, {"b"}),
        ],
    )
    async def test_an_intent_suspends_exact_grants(
        self,
        store: TokenStore,
        beside: TokenStore,
        kind: IntentKind,
        bucket: str,
        new_bucket: str | None,
        closed: set[str],
    ) -> None:
        """While it stands, exact entries for its buckets open nothing, in any process; other entries do."""
        await add(store, make_token("exact", permissions=Permissions.of(read="abc", write="abc")), "v")
        await found(beside, "v")
        intent = await store.change(lambda t: t.add_bucket_intent(kind, bucket, new_bucket, NOW_US))
        for one in (store, beside):
            permissions = (await found(one, "v")).token.permissions
            by_id = await one.find_by_id("id-of-exact")
            assert by_id is not None
            assert by_id.token.permissions == permissions
            for action in Action:
                assert {name for name in "abc" if not permissions.allows(action, name)} == closed
        assert await store.change(lambda t: t.remove_bucket_intent(intent.intent_id))
        for one in (store, beside):
            assert (await found(one, "v")).token.permissions == Permissions.of(read="abc", write="abc")

    @pytest.mark.parametrize(
        "permissions",
        [
            pytest.param(Permissions.of(read=["*"], write=["*"]), id="wildcard"),
            pytest.param(Permissions.of(read=["da*"], write=["data*"]), id="prefix"),
            pytest.param(ADMINISTRATOR, id="full access"),
        ],
    )
    async def test_an_intent_leaves_wildcards_alone(
        self, store: TokenStore, permissions: Permissions
    ) -> None:
        """Whoever may reach a bucket by a wildcard or by full access still does."""
        await add(store, make_token("a", permissions=permissions), "v")
        await store.change(lambda t: t.add_bucket_intent(IntentKind.RENAME, "data", "database", NOW_US))
        assert (await found(store, "v")).token.permissions == permissions

    async def test_intents_are_listed_oldest_first(self, store: TokenStore) -> None:
        """They are kept until they are settled; settling twice tells so."""
        first = await store.change(lambda t: t.add_bucket_intent(IntentKind.RENAME, "z", "y", NOW_US))
        second = await store.change(lambda t: t.add_bucket_intent(IntentKind.REMOVE, "a", None, NOW_US))
        assert (first.kind, first.bucket, first.new_bucket) == (IntentKind.RENAME, "z", "y")
        assert await store.change(lambda t: t.bucket_intents()) == [first, second]
        assert await store.change(lambda t: t.remove_bucket_intent(first.intent_id)) is True
        assert await store.change(lambda t: t.remove_bucket_intent(first.intent_id)) is False
        assert await store.change(lambda t: t.bucket_intents()) == [second]

    # -- usage ----------------------------------------------------------------------------------------------

    async def test_usage_adds_up(self, store: TokenStore, beside: TokenStore) -> None:
        """Counters of a day are sums, of a token over its values; each value counts its own uses."""
        await add(store, make_token("a"), "v", "w")
        v, w = [secret.secret_id for secret in await store.change(lambda t: t.secrets("id-of-a"))]
        deltas = [
            used("id-of-a", v, read=1, write=2, admin=3, denied=4, last_access_us=NOW_US),
            used("id-of-a", w, read=10, last_access_us=NOW_US),
            used("id-of-a", v, read=100, day="2027-01-16", last_access_us=NOW_US + DAY_US),
        ]
        await store.change(lambda t: t.add_usage(deltas))
        late = used("id-of-a", v, write=1_000, last_access_us=NOW_US)
        await beside.change(lambda t: t.add_usage([late]))
        assert await self.usage_of(store, "a") == {
            "2027-01-15": (11, 1_002, 3, 4),
            "2027-01-16": (100, 0, 0, 0),
        }
        secrets = await store.change(lambda t: t.secrets("id-of-a"))
        assert {secret.secret_id: secret.uses for secret in secrets} == {v: 1_110, w: 10}

    @pytest.mark.parametrize(("span", "periods"), SPANS)
    async def test_usage_by_period(self, store: TokenStore, span: Span, periods: dict[str, int]) -> None:
        """Days as they are, months as the sum of theirs; both ends of a span are part of it; oldest first."""
        await add(store, make_token("a"), "v")
        await add(store, make_token("b"), "w")
        deltas = [used("id-of-a", 0, day=day, read=reads, denied=1) for day, reads in DAYS.items()]
        await store.change(lambda t: t.add_usage(deltas))
        usage = await store.read(lambda snapshot: snapshot.usage("id-of-a", span))
        assert {one.period: one.counts.read for one in usage} == periods
        assert [one.period for one in usage] == list(periods)
        assert all(one.counts.denied > 0 == one.counts.admin for one in usage)
        assert await store.read(lambda snapshot: snapshot.usage("id-of-b", span)) == []

    async def test_folding(self, store: TokenStore) -> None:
        """Days before a day become part of their month, in batches; no sum changes, and late counts are added."""
        await add(store, make_token("a"), "v")
        await add(store, make_token("b"), "w")
        for name in "ab":
            deltas = [used(f"id-of-{name}", 0, day=day, read=reads) for day, reads in DAYS.items()]
            await store.change(methodcaller("add_usage", deltas))
        months = Span(PeriodKind.MONTH)
        before = await store.read(lambda s: (s.usage("id-of-a", months), s.details(s.tokens(), NOW_US)))
        folded = [await store.change(methodcaller("fold_usage", "2027-01-02", 4)) for _ in range(3)]
        assert folded == [4, 2, 0]
        assert await self.usage_of(store, "a") == {
            "2026-11": (1, 0, 0, 0),
            "2026-12": (110, 0, 0, 0),
            "2027-01-02": (1_000, 0, 0, 0),
            "2027-01-15": (10_000, 0, 0, 0),
        }
        after = await store.read(lambda s: (s.usage("id-of-a", months), s.details(s.tokens(), NOW_US)))
        assert after == before
        days = await store.read(lambda s: s.usage("id-of-a", Span()))
        assert [one.period for one in days] == ["2027-01-02", "2027-01-15"]
        await store.change(lambda t: t.add_usage([used("id-of-a", 0, day="2026-12-31", read=5)]))
        assert await store.change(lambda t: t.fold_usage("2027-01-03", 100)) == 3
        assert (await self.usage_of(store, "a"))["2026-12"] == (115, 0, 0, 0)
        assert (await self.usage_of(store, "a"))["2027-01"] == (1_000, 0, 0, 0)
        january = await store.read(lambda s: s.usage("id-of-a", Span(PeriodKind.MONTH, "2027-01")))
        assert [(one.period, one.counts.read) for one in january] == [("2027-01", 11_000)]

    async def test_values_whose_grace_is_over(self, store: TokenStore) -> None:
        """They are forgotten, in batches; those that still work, or have no end, are not."""
        for name in "abc":
            await add(store, make_token(name), f"old-{name}")
            await store.change(methodcaller("retire_secrets", f"id-of-{name}", NOW_US + (name == "c")))
            await store.change(methodcaller("add_secret", f"id-of-{name}", digest_of(f"new-{name}"), NOW_US))
        generation = store.generation()
        removed = [await store.change(lambda t: t.remove_ended_secrets(NOW_US, 1)) for _ in range(3)]
        assert [[token.name for token in tokens] for tokens in removed] == [["a"], ["b"], []]
        assert store.generation() != generation
        left = [await store.find(digest_of(f"old-{name}")) is not None for name in "abc"]
        assert left == [False, False, True]
        for name in "abc":
            await found(store, f"new-{name}")

    @pytest.mark.parametrize(("fields", "ended"), [pytest.param(f, e, id=name) for name, f, e in ENDED])
    async def test_ended_tokens(self, store: TokenStore, fields: dict[str, Any], ended: bool) -> None:
        """Those that were revoked, had expired or were idle by then, but none that the deployment declares."""
        await add(store, make_token("a", **fields))
        if "last_access_us" in fields:
            seen = used("id-of-a", 0, last_access_us=fields["last_access_us"])
            await store.change(lambda t: t.add_usage([seen]))
        names = [token.name for token in await store.change(lambda t: t.ended_tokens(NOW_US, 10))]
        assert names == (["a"] if ended else [])

    async def test_ended_tokens_come_in_batches(self, store: TokenStore) -> None:
        """No more than were asked for."""
        for number in range(5):
            await add(store, make_token(f"t{number}", revoked_at_us=NOW_US))
        assert len(await store.change(lambda t: t.ended_tokens(NOW_US, 3))) == 3

    async def test_usage_without_an_access_counts(self, store: TokenStore) -> None:
        """Requests of which only the number is known are counted for the day and for the value."""
        await add(store, make_token("a"), "v")
        secret_id = (await found(store, "v")).secret.secret_id
        deltas = [
            used("id-of-a", secret_id, read=2, denied=3),
            used("id-of-a", secret_id, write=4, last_access_us=NOW_US, last_access_ip="10.0.0.1"),
            used("id-of-a", secret_id, admin=5),
        ]
        await store.change(lambda t: t.add_usage(deltas))
        assert await self.usage_of(store, "a") == {"2027-01-15": (2, 4, 5, 3)}
        secret = (await found(store, "v")).secret
        assert (secret.uses, secret.last_access_us, secret.last_access_ip) == (14, NOW_US, "10.0.0.1")

    async def test_last_access_only_moves_forward(self, store: TokenStore) -> None:
        """The latest access wins, whatever the order in which processes flush; none leaves it as it is."""
        await add(store, make_token("a"), "v")
        secret_id = (await found(store, "v")).secret.secret_id
        steps: list[tuple[int | None, str | None, int, str]] = [
            (NOW_US + 5, "10.0.0.5", NOW_US + 5, "10.0.0.5"),
            (NOW_US + 3, "10.0.0.3", NOW_US + 5, "10.0.0.5"),
            (NOW_US + 5, "10.0.0.9", NOW_US + 5, "10.0.0.5"),
            (None, None, NOW_US + 5, "10.0.0.5"),
            (NOW_US + 6, "10.0.0.6", NOW_US + 6, "10.0.0.6"),
        ]
        for at_us, address, latest_us, latest_address in steps:
            delta = used("id-of-a", secret_id, last_access_us=at_us, last_access_ip=address)
            await store.change(methodcaller("add_usage", [delta]))
            answer = await found(store, "v")
            assert (answer.token.last_access_us, answer.token.last_access_ip) == (latest_us, latest_address)
            assert (answer.secret.last_access_us, answer.secret.last_access_ip) == (latest_us, latest_address)

    async def test_usage_of_what_is_gone_is_passed_over(self, store: TokenStore) -> None:
        """A token or a value that was removed before the flush takes nothing of the others with it."""
        await add(store, make_token("gone"), "g")
        await add(store, make_token("kept"), "k1")
        gone, dead = [(await found(store, value)).secret.secret_id for value in ("g", "k1")]
        await store.change(lambda t: t.remove("id-of-gone"))
        await store.change(lambda t: t.remove_secrets("id-of-kept"))
        await store.change(lambda t: t.add_secret("id-of-kept", digest_of("k2"), NOW_US))
        deltas = [
            used("id-of-gone", gone, read=5, last_access_us=NOW_US),
            used("id-of-kept", dead, write=6, last_access_us=NOW_US + 1),
        ]
        await store.change(lambda t: t.add_usage(deltas))
        answer = await found(store, "k2")
        assert await self.usage_of(store, "kept") == {"2027-01-15": (0, 6, 0, 0)}
        assert answer.token.last_access_us == NOW_US + 1
        assert (answer.secret.uses, answer.secret.last_access_us) == (0, None)
        assert [token.name for token in await store.read(lambda snapshot: snapshot.tokens())] == ["kept"]
