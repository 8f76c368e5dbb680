"""Who is let in, on a real store: caches are warm before anything is taken away."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, replace
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from reductauth import authenticator
from reductauth.actor import Actor, Identity
from reductauth.authenticator import Authenticator
from reductauth.draft import TokenDraft
from reductauth.errors import (
    InvalidInputError,
    InvalidTokenError,
    StoreUnavailableError,
    TokenExistsError,
    TokenNotFoundError,
)
from reductauth.key import RegistryKey
from reductauth.networks import NetworkList
from reductauth.permissions import Permissions
from reductauth.registry import Minted, TokenRegistry
from reductauth.sqlite import SqliteStore
from reductauth.store import Found, IntentKind, UsageDelta
from tests.reductauth.store_contract import DAY_US, NOW_US, SECOND_US

ENVIRONMENT = Actor.environment()


class CountingStore(SqliteStore):
    """A store that counts the lookups."""

    finds = 0

    async def find(self, digest: bytes) -> Found | None:
        """Count, and look up."""
        self.finds += 1
        return await super().find(digest)


@dataclass
class Door:
    """A process, as far as tokens go: a store, its registry, and who is let in. The clock is set by the test."""

    store: CountingStore
    now_us: int = NOW_US
    cache_size: int = 65_536

    def __post_init__(self) -> None:
        self.registry = TokenRegistry(self.store, self.store.key, lambda: self.now_us)
        self.authenticator = Authenticator(self.store, self.store.key, self.cache_size)

    async def create(self, name: str, draft: TokenDraft | None = None) -> str:
        """Create a token and return its value."""
        return (await self.registry.create(ENVIRONMENT, name, draft or TokenDraft())).value

    async def knock(self, value: str, address: str | None = None) -> str:
        """Present a value: the name of its token, or in brackets why it is refused; the short way says the same."""
        recalled = self.recall(value, address)
        answer = await self.authenticator.authenticate(value, address, self.now_us)
        refused = self.authenticator.refuse_mistyped([f"Bearer {value}"])
        assert recalled is None or repr(recalled) == repr(answer)
        assert refused is None or repr(refused) == repr(answer)
        return answer.token.name if isinstance(answer, Identity) else f"[{answer}]"

    def recall(self, value: str, peer: str | None) -> Identity | None:
        """Present a value as a request does that goes the short way."""
        return self.authenticator.recall([f"Bearer {value}"], peer, self.now_us)

    async def choose(self, name: str, value: str) -> None:
        """Give a token a value that somebody chose."""
        token = await self.registry.token(name)
        digest = self.store.key.digest(value)
        await self.store.change(lambda t: t.add_secret(token.token_id, digest, self.now_us))

    async def edit(self, name: str, **fields: Any) -> None:
        """Change a token."""
        token = await self.registry.token(name)
        await self.store.change(lambda t: t.replace(replace(token, **fields)))

    async def remove(self, name: str) -> None:
        """Delete a token without the registry's rules."""
        token = await self.registry.token(name)
        await self.store.change(lambda t: t.remove(token.token_id))

    async def see(self, name: str, at_us: int) -> None:
        """Write down an access, as another process flushes it."""
        token = await self.registry.token(name)
        delta = UsageDelta(token.token_id, 0, "2027-01-15", 1, 0, 0, 0, at_us, None)
        await self.store.change(lambda t: t.add_usage([delta]))


INVALID = "[Invalid token]"
EXPIRED = "[Token has expired]"


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Give a door with nobody to let in."""
    store = CountingStore.open(tmp_path / "auth")
    yield Door(store)
    await store.close()


@pytest_asyncio.fixture
async def beside(door: Door, tmp_path: Path) -> AsyncIterator[Door]:
    """Give another process's door to the same registry."""
    store = CountingStore.open(tmp_path / "auth")
    yield Door(store)
    await store.close()


# -- values -------------------------------------------------------------------------------------------------


async def test_a_good_value(door: Door) -> None:
    """It is its token's, cold and warm, and the address is handed on."""
    value = await door.create("a", TokenDraft(Permissions.of(read=["x"])))
    for _ in range(2):
        answer = await door.authenticator.authenticate(value, "10.0.0.1", NOW_US)
        assert isinstance(answer, Identity)
        assert (answer.token.name, answer.address) == ("a", "10.0.0.1")
        assert answer.token.permissions == Permissions.of(read=["x"])
        found = await door.store.find(door.store.key.digest(value))
        assert found is not None
        assert answer.secret_id == found.secret.secret_id


@pytest.mark.parametrize(
    "fields", [{}, {"ttl_seconds": 10}, {"allowlist": NetworkList.of(["10.0.0.0/8"])}], ids=str
)
async def test_a_caller_is_told_by_value_and_address(door: Door, fields: dict[str, Any]) -> None:
    """Of a token with two values: its record as it is kept, the one that was presented, and from where."""
    await door.create("a")
    for value in ("old", "new"):
        await door.choose("a", value)
    await door.edit("a", **fields)
    for value, address in (
        *(("old", "10.0.0.1"), ("old", "10.0.0.1"), ("old", "10.0.0.2"), ("new", "10.0.0.2")),
        *(("new", "10.0.0.1"), ("old", "10.0.0.2"), ("old", "10.0.0.1")),
    ):
        found = await door.store.find(door.store.key.digest(value))
        assert found is not None
        answer = await door.authenticator.authenticate(value, address, NOW_US)
        assert isinstance(answer, Identity)
        assert answer == Identity(found.token, found.secret.secret_id, address)


async def test_values_that_are_nobodys(door: Door) -> None:
    """Whatever is not exactly a value of a token is unknown."""
    value = await door.create("a")
    digest = door.store.key.digest(value)
    assert await door.knock(value) == "a"
    for wrong in (
        *(value[:-1], value + "x", value.swapcase(), f" {value}", f"{value} ", f'"{value}"', f"{value}\n"),
        *(value.replace("a-rsat1", "b-rsat1"), value.removeprefix("a-"), f"{value}{value}", f"{value}\0"),
        *(
            "a",
            "rsat1",
            "",
            "-",
            "\0",
            "é",
            "init-token",
            digest.hex(),
            digest.decode("latin-1"),
            "x" * 4_096,
        ),
    ):
        assert await door.knock(wrong) == INVALID
    assert await door.knock(value) == "a"


@pytest.mark.parametrize(
    "value",
    [
        "\udcff",
        "\udc80" * 100,
        "good\udcffbad",
        "x-rsat1" + "\udcff" * 49,
        "\udcff-rsat1" + "0" * 49,
        pytest.param("\ud800", id="no surrogateescape"),
        pytest.param("\ud800-rsat1" + "0" * 49, id="no surrogateescape, our shape"),
    ],
)
async def test_bytes_that_are_no_text(door: Door, value: str) -> None:
    """Header bytes that cannot be decoded arrive as lone surrogates: unknown, no fault."""
    assert await door.knock(value) == INVALID


async def test_mistyped_values_are_not_looked_up(door: Door) -> None:
    """The checksum of a value of ours refuses every slip before the store is asked."""
    value = await door.create("a")
    for position in range(len(value) - 49, len(value)):
        wrong = "x" if value[position] != "x" else "y"
        mistyped = value[:position] + wrong + value[position + 1 :]
        assert isinstance(door.authenticator.refuse_mistyped([f"Bearer {mistyped}"]), InvalidTokenError)
        assert await door.knock(mistyped) == INVALID
    assert door.store.finds == 0
    for lines in (
        [],
        [f"Bearer {mistyped}"] * 2,
        [mistyped],
        [f"bearer {mistyped}"],
        ["Bearer x"],
        [f"Bearer {value}"],
    ):
        assert door.authenticator.refuse_mistyped(lines) is None
    assert await door.knock(value) == "a"


async def test_values_that_people_chose(door: Door) -> None:
    """They carry no checksum and are looked up like any other, up to 4,096 characters, the whole of them."""
    await door.create("a")
    longest = "x" * 4_096
    await door.choose("a", longest)
    await door.choose("a", "short")
    assert await door.knock("short") == "a"
    assert await door.knock(longest) == "a"
    assert await door.knock(longest[:-1]) == INVALID
    assert await door.knock(longest[:-1] + "y") == INVALID


@pytest.mark.parametrize("is_broken", [lambda text: text.startswith("Bearer "), lambda text: text[0] != "B"])
async def test_neither_hash_lets_anybody_in_alone(
    door: Door, monkeypatch: pytest.MonkeyPatch, is_broken: Callable[[str], bool]
) -> None:
    """Whoever found a value with one hash of a remembered one would not be let in, nor keep its owner out."""
    weak: list[str] = []

    def weak_hash(text: str) -> int:
        weak.append(text)
        return 7 if is_broken(text) else hash(text)

    monkeypatch.setattr(authenticator, "hash", weak_hash, raising=False)
    alice, bob = await door.create("alice"), await door.create("bob")
    for _ in range(2):
        assert await door.knock(alice) == "alice"
        for stranger in ("no-such-value", f"{alice}x", alice[:-1], bob[:-6] + "000000"):
            assert door.recall(stranger, None) is None
            assert await door.knock(stranger) == INVALID
    for _ in range(2):
        assert await door.knock(bob) == "bob"
        assert await door.knock(alice) == "alice"
    assert {is_broken(text) for text in weak} == {True, False}


async def test_the_proof_is_salted(door: Door, tmp_path: Path) -> None:
    """Also where Python's hashes are the same in every process, what one knows a value by is nothing to another."""
    value = await door.create("a")
    await door.knock(value)
    another = Door(CountingStore.open(tmp_path / "auth"))
    await another.knock(value)
    (one,), (other,) = (list(each.authenticator._memory.entries.items()) for each in (door, another))
    await another.store.close()
    assert one[0] == other[0]
    assert one[1].proof != other[1].proof


async def test_values_that_are_too_long(door: Door) -> None:
    """Nothing over 4,096 characters is looked up, even if the registry should hold it."""
    await door.create("a")
    await door.choose("a", "x" * 4_097)
    for length in (4_097, 100_000):
        assert await door.knock("x" * length) == INVALID
    assert door.store.finds == 0


class CountingKey(RegistryKey):
    """A key that counts what it digests."""

    digests = 0

    def digest(self, value: str) -> bytes:
        """Count, and digest."""
        self.digests += 1
        return super().digest(value)


@pytest.mark.parametrize("character", ["x", "\u20ac", "\udc80"])
async def test_values_that_are_too_long_are_not_digested(door: Door, character: str) -> None:
    """Nobody makes the server hash more than 4,096 characters at a time."""
    key = CountingKey(bytes.fromhex(door.store.key.to_hex()))
    authenticator = Authenticator(door.store, key)
    for length, digests in ((4_096, 1), (4_097, 1), (1_000_000, 1), (4_096, 2)):
        answer = await authenticator.authenticate(character * length, None, NOW_US)
        assert isinstance(answer, InvalidTokenError)
        assert authenticator.recall([f"Bearer {character * length}"], None, NOW_US) is None
        assert key.digests == digests


# -- validity -----------------------------------------------------------------------------------------------

EXPIRY_US = NOW_US + DAY_US

# A token, and what it says some microseconds after NOW_US. The same value is presented in this order.
VALIDITY: list[tuple[str, dict[str, Any], list[tuple[int, str]]]] = [
    ("inactive", {"active": False}, [(0, INVALID)]),
    ("revoked", {"revoked_at_us": NOW_US + 5}, [(0, INVALID), (9, INVALID)]),
    ("revoked and expired", {"revoked_at_us": NOW_US, "expires_at_us": NOW_US}, [(0, INVALID)]),
    ("scheduled", {"valid_from_us": NOW_US + 5}, [(0, INVALID), (4, INVALID), (5, "a"), (6, "a")]),
    (
        "expiry",
        {"expires_at_us": EXPIRY_US},
        [(0, "a"), (DAY_US - 1, "a"), (DAY_US, EXPIRED), (DAY_US + 1, EXPIRED)],
    ),
    ("expired and inactive", {"expires_at_us": NOW_US, "active": False}, [(0, EXPIRED)]),
    (
        "from, to",
        {"valid_from_us": NOW_US + 5, "expires_at_us": NOW_US + 7},
        [(4, INVALID), (5, "a"), (6, "a"), (7, EXPIRED)],
    ),
    (
        "idle from the beginning",
        {"ttl_seconds": 10},
        [(11 * SECOND_US, EXPIRED), (12 * SECOND_US, EXPIRED)],
    ),
    ("just not idle", {"ttl_seconds": 10}, [(11 * SECOND_US - 1, "a")]),
    (
        "kept busy",
        {"ttl_seconds": 10},
        [
            (0, "a"),
            (9 * SECOND_US, "a"),
            (19 * SECOND_US, "a"),
            (30 * SECOND_US - 1, "a"),
            (41 * SECOND_US, EXPIRED),
        ],
    ),
    (
        "a refusal is no use",
        {"ttl_seconds": 10, "allowlist": NetworkList.of(["10.0.0.1"])},
        [(9 * SECOND_US, "[Client IP is required for this token]"), (11 * SECOND_US, EXPIRED)],
    ),
]


@pytest.mark.parametrize(
    ("fields", "steps"), [pytest.param(fields, steps, id=name) for name, fields, steps in VALIDITY]
)
async def test_validity(door: Door, fields: dict[str, Any], steps: list[tuple[int, str]]) -> None:
    """Each bound is exact, cached or not, and strangers learn no more than that a token has expired."""
    value = await door.create("a")
    await door.edit("a", **fields)
    for after_us, expected in steps:
        door.now_us = NOW_US + after_us
        assert await door.knock(value) == expected


async def test_a_grace_period(door: Door) -> None:
    """A value that a rotation left works until its grace period is over; the other one goes on."""
    await door.create("a")
    await door.choose("a", "old")
    token = await door.registry.token("a")
    await door.store.change(lambda t: t.retire_secrets(token.token_id, NOW_US + 10))
    await door.choose("a", "new")
    steps = [(0, "a"), (9, "a"), (10, INVALID), (11, INVALID)]
    for after_us, expected in steps:
        door.now_us = NOW_US + after_us
        assert await door.knock("old") == expected
        assert await door.knock("new") == "a"


async def test_an_access_that_another_process_saw(door: Door, beside: Door) -> None:
    """Before a token is refused for idleness the store is asked whether it was used elsewhere."""
    value = await door.create("a", TokenDraft(ttl_seconds=10))
    assert await door.knock(value) == "a"
    await beside.see("a", NOW_US + 8 * SECOND_US)
    door.now_us = NOW_US + 18 * SECOND_US
    assert await door.knock(value) == "a"
    door.now_us = NOW_US + 29 * SECOND_US
    assert await door.knock(value) == EXPIRED
    await beside.see("a", NOW_US + 20 * SECOND_US)
    assert await door.knock(value) == "a"


async def test_the_store_is_not_asked_while_a_token_is_busy(door: Door) -> None:
    """An idle time costs a lookup only when it seems to be over."""
    value = await door.create("a", TokenDraft(ttl_seconds=10))
    for _ in range(10):
        assert await door.knock(value) == "a"
        door.now_us += 10 * SECOND_US
    assert door.store.finds == 1


async def test_an_idle_time_on_the_short_way(door: Door) -> None:
    """It is decided to the microsecond, and begins anew with every use, also with those that go the short way."""
    value = await door.create("a", TokenDraft(ttl_seconds=10))
    assert door.recall(value, None) is None
    assert await door.knock(value) == "a"
    ends_us = NOW_US + 11 * SECOND_US
    for door.now_us in (NOW_US + 1, NOW_US + 9 * SECOND_US, ends_us - 1):
        assert door.recall(value, None) is not None
    door.now_us = ends_us - 1 + 11 * SECOND_US - 1  # the last use was a moment before the end
    assert door.recall(value, None) is None
    answer = await door.authenticator.authenticate(value, None, door.now_us)
    assert isinstance(answer, Identity)
    door.now_us += 11 * SECOND_US
    assert await door.knock(value) == EXPIRED
    assert door.store.finds == 2  # the second before it was refused


async def test_an_idle_time_of_a_value_that_many_use(door: Door) -> None:
    """It begins anew with a use from anywhere, without a look into the store."""
    value = await door.create("a", TokenDraft(ttl_seconds=10))
    for number in range(5):
        assert await door.knock(value, f"10.0.0.{number}") == "a"
        door.now_us += 9 * SECOND_US
    assert door.store.finds == 1


async def test_an_idle_time_and_an_expiry(door: Door) -> None:
    """Whichever comes first ends it, and it does not begin before its time."""
    draft = TokenDraft(ttl_seconds=10, valid_from_us=NOW_US + 5, expires_at_us=NOW_US + 8 * SECOND_US)
    value = await door.create("a", draft)
    for after_us, expected in ((4, INVALID), (5, "a"), (8 * SECOND_US - 1, "a"), (8 * SECOND_US, EXPIRED)):
        door.now_us = NOW_US + after_us
        assert await door.knock(value) == expected


# -- allowlist ----------------------------------------------------------------------------------------------

REQUIRED = "[Client IP is required for this token]"
ADDRESSES: list[tuple[str | None, str]] = [
    ("10.0.0.1", "a"),
    ("10.255.255.255", "a"),
    ("::ffff:10.0.0.1", "a"),
    ("::ffff:a00:1", "a"),
    ("2001:db8::1", "a"),
    ("2001:0db8:0::0001", "a"),
    ("11.0.0.1", "[Token is not allowed for client IP 11.0.0.1]"),
    ("::ffff:11.0.0.1", "[Token is not allowed for client IP 11.0.0.1]"),
    ("2001:db8::2", "[Token is not allowed for client IP 2001:db8::2]"),
    ("::10.0.0.1", "[Token is not allowed for client IP ::a00:1]"),
    ("fe80::1%eth0", REQUIRED),
    ("010.0.0.1", REQUIRED),
    ("10.0.0.1:80", REQUIRED),
    ("10.0.0", REQUIRED),
    ("localhost", REQUIRED),
    ("", REQUIRED),
    (None, REQUIRED),
]


@pytest.mark.parametrize(("address", "expected"), ADDRESSES)
async def test_allowlist(door: Door, address: str | None, expected: str) -> None:
    """Only from the addresses of its list, IPv4 however it is written; an unknown address is on no list."""
    allowlist = NetworkList.of(["10.0.0.0/8", "2001:db8::1"])
    value = await door.create("a", TokenDraft(allowlist=allowlist))
    assert await door.knock(value, "10.0.0.7") == "a"
    assert await door.knock(value, address) == expected
    assert await door.knock(value, "10.0.0.7") == "a"


async def test_an_allowlist_on_the_short_way(door: Door) -> None:
    """Who came last may come again; nobody else comes in on their account, and nobody's refusal keeps them out."""
    value = await door.create("a", TokenDraft(allowlist=NetworkList.of(["10.0.0.0/8"])))
    assert door.recall(value, "10.0.0.1") is None
    assert await door.knock(value, "10.0.0.1") == "a"
    for _ in range(2):
        assert door.recall(value, "10.0.0.1") is not None
        assert door.recall(value, "::ffff:10.0.0.1") is not None
        for stranger in ("11.0.0.1", "::ffff:11.0.0.1", "", None):
            assert door.recall(value, stranger) is None
            assert (await door.knock(value, stranger)).startswith("[")
    assert await door.knock(value, "10.0.0.2") == "a"
    assert (door.recall(value, "10.0.0.1"), door.recall(value, "10.0.0.2") is None) == (None, False)
    await door.edit("a", allowlist=NetworkList.of(["10.0.0.1"]))
    assert door.recall(value, "10.0.0.2") is None
    assert await door.knock(value, "10.0.0.2") == "[Token is not allowed for client IP 10.0.0.2]"
    assert await door.knock(value, "10.0.0.1") == "a"


@pytest.mark.parametrize("address", [None, "nonsense", "10.0.0.1"])
async def test_no_allowlist(door: Door, address: str | None) -> None:
    """A token without a list works from anywhere, known or not."""
    assert await door.knock(await door.create("a"), address) == "a"


# -- what is taken away -------------------------------------------------------------------------------------

ENDS: dict[str, Callable[[Door], Awaitable[Any]]] = {
    "deleted": lambda door: door.remove("a"),
    "rotated": lambda door: door.registry.rotate(ENVIRONMENT, "a"),
    "revoked": lambda door: door.edit("a", revoked_at_us=NOW_US),
    "inactive": lambda door: door.edit("a", active=False),
}


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_what_is_taken_away_ends_at_once(
    door: Door, beside: Door, end: Callable[[Door], Awaitable[Any]], elsewhere: bool
) -> None:
    """A value that was used a moment ago is refused as soon as the change has returned, in every process."""
    value = await door.create("a")
    for one in (door, beside):
        for _ in range(2):
            assert await one.knock(value) == "a"
    await end(beside if elsewhere else door)
    for one in (door, beside):
        assert await one.knock(value) == INVALID


async def test_a_thousand_ends(door: Door, beside: Door) -> None:
    """A thousand values, each warm in one process and ended in another: not one is let in afterwards."""
    names = [f"t{number}" for number in range(1_000)]
    minted = await asyncio.gather(*(door.registry.create(ENVIRONMENT, name, TokenDraft()) for name in names))
    ends: list[Callable[[str], Awaitable[Any]]] = [
        beside.remove,
        lambda name: beside.registry.rotate(ENVIRONMENT, name),
        lambda name: beside.edit(name, revoked_at_us=NOW_US),
        lambda name: beside.edit(name, active=False),
    ]
    wrong = []
    for number, (name, value) in enumerate(zip(names, [one.value for one in minted], strict=True)):
        assert await door.knock(value) == name
        await ends[number % len(ends)](name)
        if await door.knock(value) != INVALID:
            wrong.append(name)
    assert wrong == []


async def test_what_is_given_works_at_once(door: Door, beside: Door) -> None:
    """Neither an earlier refusal nor an earlier answer is remembered against a token."""
    await door.create("a", TokenDraft(active=False))
    for one in (door, beside):
        assert await one.knock("chosen") == INVALID
    await beside.choose("a", "chosen")
    for one in (door, beside):
        assert await one.knock("chosen") == INVALID
    await beside.edit("a", active=True)
    for one in (door, beside):
        assert await one.knock("chosen") == "a"


async def test_permissions_are_the_latest(door: Door, beside: Door) -> None:
    """A change of permissions reaches a warm cache, and so does a bucket that is about to be renamed."""
    value = await door.create("a", TokenDraft(Permissions.of(read=["x", "y"])))

    async def permissions() -> Permissions:
        answer = await door.authenticator.authenticate(value, None, NOW_US)
        assert isinstance(answer, Identity)
        return answer.token.permissions

    assert await permissions() == Permissions.of(read=["x", "y"])
    intent = await beside.store.change(lambda t: t.add_bucket_intent(IntentKind.REMOVE, "x", None, NOW_US))
    assert await permissions() == Permissions.of(read=["y"])
    await beside.store.change(lambda t: t.remove_bucket_intent(intent.intent_id))
    assert await permissions() == Permissions.of(read=["x", "y"])
    await beside.edit("a", permissions=Permissions.of(write=["z"]))
    assert await permissions() == Permissions.of(write=["z"])


# -- the cache ----------------------------------------------------------------------------------------------


async def test_a_warm_value_costs_no_lookup(door: Door, beside: Door) -> None:
    """Neither again and again, nor after creations and counted usage, here or elsewhere."""
    value = await door.create("a")
    assert await door.knock(value) == "a"
    await door.create("b")
    await beside.create("c")
    await beside.see("a", NOW_US + 1)
    for _ in range(100):
        assert await door.knock(value) == "a"
    assert door.store.finds == 1


async def test_a_warm_value_takes_the_short_way(door: Door) -> None:
    """A value of any length that was let in a moment ago is recalled, from the address it came from."""
    await door.create("a")
    for value in ("short", "x" * 4_096):
        await door.choose("a", value)
        assert door.recall(value, "10.0.0.1") is None
        assert await door.knock(value, "10.0.0.1") == "a"
        for peer, recalled in (
            *(("10.0.0.1", True), ("10.0.0.2", False), (None, False)),
            *(("::ffff:10.0.0.1", True), ("::ffff:10.0.0.2", False), ("", False)),
        ):
            identity = door.recall(value, peer)
            assert (identity is not None and identity.token.name == "a") is recalled
        assert door.recall(value, "10.0.0.1") is door.recall(value, "::ffff:10.0.0.1")


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Bearer {}", "Bearer {}"),
        ("Bearer {}", ""),
        *(
            (line,)
            for line in (
                "{}",
                "bearer {}",
                "Bearer  {}",
                "Bearer {} ",
                " Bearer {}",
                "Bearer\t{}",
                "Basic {}",
            )
        ),
    ],
)
async def test_anything_but_one_plain_line_takes_the_long_way(door: Door, lines: tuple[str, ...]) -> None:
    """However warm the value is: what the lines mean is for somebody else to say."""
    value = await door.create("a")
    assert await door.knock(value) == "a"
    assert door.authenticator.recall([line.format(value) for line in lines], None, NOW_US) is None


async def test_the_cache_is_bounded(tmp_path: Path) -> None:
    """However many values are in use, no more than its size are remembered; all are answered right."""
    store = CountingStore.open(tmp_path / "auth")
    door = Door(store, cache_size=8)
    values = {f"t{number}": await door.create(f"t{number}") for number in range(20)}
    for _ in range(3):
        for name, value in values.items():
            assert await door.knock(value) == name
            assert door.authenticator.cached_values <= 8
    await store.close()


async def test_unknown_values_push_nothing_out(tmp_path: Path) -> None:
    """A flood of unknown values leaves what is in use where it is."""
    store = CountingStore.open(tmp_path / "auth")
    door = Door(store, cache_size=8)
    values = {f"t{number}": await door.create(f"t{number}") for number in range(8)}
    for name, value in values.items():
        assert await door.knock(value) == name
    for number in range(500):
        assert await door.knock(f"guess {number}") == INVALID
    store.finds = 0
    for name, value in values.items():
        assert await door.knock(value) == name
    assert store.finds == 0
    await store.close()


async def test_values_that_died_do_not_stay(tmp_path: Path) -> None:
    """A full cache of dead values makes room for living ones."""
    store = CountingStore.open(tmp_path / "auth")
    door = Door(store, cache_size=2)
    dead = [await door.create(f"dead{number}") for number in range(2)]
    for value in dead:
        await door.knock(value)
    for number in range(2):
        await door.remove(f"dead{number}")
    living = [await door.create(f"living{number}") for number in range(2)]
    for value in (*dead, *living, *living):
        await door.knock(value)
    store.finds = 0
    assert [await door.knock(value) for value in living] == ["living0", "living1"]
    assert store.finds == 0
    await store.close()


async def test_a_value_that_died_leaves_before_a_living_one(tmp_path: Path) -> None:
    """The place of a dead value that was presented again is free: nobody is pushed out for a newcomer."""
    store = CountingStore.open(tmp_path / "auth")
    door = Door(store, cache_size=2)
    first, dead, second = [await door.create(name) for name in ("first", "dead", "second")]
    for value in (first, dead):
        await door.knock(value)
    await door.remove("dead")
    assert [await door.knock(value) for value in (first, dead, second)] == ["first", INVALID, "second"]
    store.finds = 0
    assert [await door.knock(value) for value in (first, second)] == ["first", "second"]
    assert store.finds == 0
    await store.close()


# -- after a change -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_a_change_costs_nobody_else_a_lookup(
    door: Door, beside: Door, end: Callable[[Door], Awaitable[Any]], elsewhere: bool
) -> None:
    """Whatever ends a token in whichever process, the values of others go on from memory: in each process."""
    ended = await door.create("a")
    values = {name: await door.create(name) for name in ("b", "c", "d")}
    for one in (door, beside):
        for value in (ended, *values.values()):
            await one.knock(value)
    await end(beside if elsewhere else door)
    for one in (door, beside):
        one.store.finds = 0
        assert {name: await one.knock(value) for name, value in values.items()} == {
            name: name for name in values
        }
        assert one.store.finds == 0
        assert await one.knock(ended) == INVALID
        assert one.store.finds == 1


async def test_all_values_of_a_token_are_looked_up_again(door: Door) -> None:
    """However many it has, and whatever else was remembered and forgotten between them."""
    other = await door.create("b")
    await door.create("a")
    values = ["v1", "v2", "v3"]
    for value in values:
        await door.choose("a", value)
        for known in (value, other):
            await door.knock(known)
    await door.edit("a", permissions=Permissions.of(read=["x"]))
    door.store.finds = 0
    for _ in range(2):
        for value in values:
            answer = await door.authenticator.authenticate(value, None, NOW_US)
            assert isinstance(answer, Identity)
            assert answer.token.permissions == Permissions.of(read=["x"])
        assert await door.knock(other) == "b"
    assert door.store.finds == 3


async def test_values_that_share_the_last_places(tmp_path: Path) -> None:
    """A value that made room for another of its token is not thought of any more; the other one is."""
    store = CountingStore.open(tmp_path / "auth")
    door = Door(store, cache_size=2)
    await door.create("a")
    for value in ("v1", "v2", "v3"):
        await door.choose("a", value)
        assert await door.knock(value) == "a"
    await door.edit("a", active=False)
    for value in ("v1", "v2", "v3"):
        assert await door.knock(value) == INVALID
    await door.edit("a", active=True)
    for value in ("v3", "v2", "v1"):
        assert await door.knock(value) == "a"
    await store.close()


@pytest.mark.parametrize("count", [1, 3])
async def test_a_bucket_that_is_renamed_concerns_everybody(door: Door, beside: Door, count: int) -> None:
    """After it all are looked up once; so are all of whom it is not known whether they changed, after many changes."""
    value = await door.create("a")
    other = await door.create("b")
    for _ in range(count):
        assert await door.knock(value) == "a"
        await beside.edit("b", description="c")
        intent = await beside.store.change(
            lambda t: t.add_bucket_intent(IntentKind.REMOVE, "x", None, NOW_US)
        )
        await beside.store.change(methodcaller("remove_bucket_intent", intent.intent_id))
        door.store.finds = 0
        assert [await door.knock(each) for each in (value, other, value, other)] == ["a", "b", "a", "b"]
        assert door.store.finds == 2


async def test_what_is_remembered_grows_old(door: Door, tmp_path: Path) -> None:
    """After ten minutes it is looked up again: what somebody did to the file is noticed by then, if not before."""
    value = await door.create("t", TokenDraft(ttl_seconds=3_600))
    assert await door.knock(value) == "t"
    with closing(sqlite3.connect(tmp_path / "auth" / "auth.db")) as registry, registry:
        registry.execute("UPDATE tokens SET full_access = 1 WHERE name = 't'")
    for door.now_us in (NOW_US + 300 * SECOND_US, NOW_US + 600 * SECOND_US - 1):
        assert await door.knock(value) == "t"
    assert door.store.finds == 1
    door.now_us += 1
    assert door.recall(value, None) is None
    assert await door.knock(value) == INVALID


@pytest.mark.parametrize("end", ["revoke", "delete", "rotate the other"])
async def test_a_token_that_was_moved_and_then_ends(
    door: Door, beside: Door, tmp_path: Path, end: str
) -> None:
    """Whoever gives its record another id does not keep a remembered value alive when the token is ended."""
    value, other = await door.create("a"), await door.create("b")
    await door.create("root", TokenDraft(Permissions(full_access=True)))
    for one in (door, beside):
        assert [await one.knock(each) for each in (value, other)] == ["a", "b"]
    with closing(sqlite3.connect(tmp_path / "auth" / "auth.db")) as registry, registry:
        registry.execute("UPDATE tokens SET id = 'x' WHERE name = 'a'")
        registry.execute(
            "UPDATE tokens SET id = (SELECT id FROM tokens WHERE name = 'b') || 'x' WHERE name = 'b'"
        )
    if end == "revoke":
        await beside.registry.revoke(ENVIRONMENT, "a")
    elif end == "delete":
        await beside.registry.delete(ENVIRONMENT, "a")
    else:
        await beside.remove("b")
    for one in (door, beside):
        assert [await one.knock(each) for each in (value, other)] == [INVALID, INVALID]


@pytest.mark.parametrize("told", ["", "{", "1", "null", '"a"', "[1]", "[[]]", '["a", null]'])
async def test_a_list_of_changes_that_makes_no_sense(door: Door, tmp_path: Path, told: str) -> None:
    """It may have been any token: each is looked up once, and nobody is kept out."""
    value = await door.create("a")
    assert await door.knock(value) == "a"
    await door.create("b")
    await door.edit("b", description="x")
    with closing(sqlite3.connect(tmp_path / "auth" / "auth.db")) as registry, registry:
        assert registry.execute("UPDATE generations SET token_ids = ?", (told,)).rowcount == 1
    for _ in range(2):
        assert await door.knock(value) == "a"
    assert door.store.finds == 2


class SlowStore(CountingStore):
    """A store in another place: what it finds arrives when the test lets it."""

    arrival: asyncio.Event | None = None

    async def find(self, digest: bytes) -> Found | None:
        """Find, and be on the way."""
        found = await super().find(digest)
        if self.arrival is not None:
            await self.arrival.wait()
        return found


async def test_a_lookup_that_a_change_overtakes(tmp_path: Path) -> None:
    """What was found before a change and arrives after it, and after others have caught up, is not kept."""
    store = SlowStore.open(tmp_path / "auth")
    door = Door(store)
    value, other = await door.create("a"), await door.create("b")
    assert await door.knock(other) == "b"
    arrival = store.arrival = asyncio.Event()
    late = asyncio.ensure_future(door.authenticator.authenticate(value, None, NOW_US))
    await asyncio.sleep(0)
    await door.edit("a", active=False)
    assert await door.knock(other) == "b"
    arrival.set()
    assert isinstance(await late, Identity)  # its headers came before the change
    assert door.recall(value, None) is None
    assert await door.knock(value) == INVALID
    await store.close()


async def test_changes_that_cannot_be_read(door: Door, beside: Door) -> None:
    """When something changed and nobody can say what, nothing is let in from memory."""
    value, other = await door.create("a"), await door.create("b")
    for each in (value, other):
        await door.knock(each)
    await beside.remove("b")
    door.store._lookups.close()
    for _ in range(2):
        assert door.recall(value, None) is None
        with pytest.raises(StoreUnavailableError):
            await door.knock(value)


# -- the store goes away ------------------------------------------------------------------------------------


async def test_a_store_that_cannot_be_read(door: Door) -> None:
    """What is remembered goes on; everything else is `StoreUnavailableError`, never "Invalid token"."""
    warm, cold = await door.create("warm"), await door.create("cold")
    idle = await door.create("idle", TokenDraft(ttl_seconds=10))
    for value, name in ((warm, "warm"), (idle, "idle")):
        assert await door.knock(value) == name
    door.store._lookups.close()
    assert await door.knock(warm) == "warm"
    for value in (cold, "unknown"):
        with pytest.raises(StoreUnavailableError):
            await door.knock(value)
    door.now_us += 11 * SECOND_US
    with pytest.raises(StoreUnavailableError):
        await door.knock(idle)


# -- a model ------------------------------------------------------------------------------------------------


@dataclass
class ModelToken:
    """What the model knows of a token."""

    value: str
    expires_at_us: int | None
    active: bool = True


NAMES = st.sampled_from(["a", "b", "c"])
PROCESSES = st.integers(0, 1)


class TokenMachine(RuleBasedStateMachine):
    """Two processes on one registry against a dictionary: name -> token. Every value ever told is tried."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.tokens: dict[str, ModelToken] = {}
        self.told: list[str] = []

    @initialize(cache_size=st.sampled_from([1, 2, 100]))
    def start(self, cache_size: int) -> None:
        """Open the registry twice."""
        path = Path(self.folder.name) / "auth"
        self.doors = [Door(CountingStore.open(path), cache_size=cache_size) for _ in range(2)]

    @rule(process=PROCESSES, name=NAMES, lifetime_us=st.sampled_from([None, 1, 5]))
    def create(self, process: int, name: str, lifetime_us: int | None) -> None:
        """A free name makes a token; a taken one is refused."""
        expires_at_us = None if lifetime_us is None else self.now_us + lifetime_us
        minted = self.try_(
            process, lambda r: r.create(ENVIRONMENT, name, TokenDraft(expires_at_us=expires_at_us))
        )
        assert (minted is not None) == (name not in self.tokens)
        if minted is not None:
            self.tokens[name] = ModelToken(minted.value, expires_at_us)
            self.told.append(minted.value)

    @rule(process=PROCESSES, name=NAMES)
    def rotate(self, process: int, name: str) -> None:
        """A token that is there and not expired gets a new value; its old one is nobody's."""
        token = self.tokens.get(name)
        minted = self.try_(process, lambda r: r.rotate(ENVIRONMENT, name))
        assert (minted is not None) == (token is not None and not self.is_expired(token))
        if minted is not None and token is not None:
            token.value = minted.value
            self.told.append(minted.value)

    @rule(process=PROCESSES, name=NAMES)
    def delete(self, process: int, name: str) -> None:
        """The token is gone; the registry's rule of the last administrator is left out."""
        if self.tokens.pop(name, None) is not None:
            self.run(self.doors[process].remove(name))

    @rule(process=PROCESSES, name=NAMES, active=st.booleans())
    def switch(self, process: int, name: str, active: bool) -> None:
        """A token is switched off or on."""
        if name in self.tokens:
            self.tokens[name].active = active
            self.run(self.doors[process].edit(name, active=active))

    @rule(microseconds=st.integers(1, 3))
    def wait(self, microseconds: int) -> None:
        """Time passes."""
        for door in self.doors:
            door.now_us += microseconds

    @rule(process=PROCESSES, data=st.data())
    @precondition(lambda self: self.told)
    def authenticate(self, process: int, data: st.DataObject) -> None:
        """A value is let in exactly if it is the present value of a token that is active and not expired."""
        value = data.draw(st.sampled_from(self.told))
        assert self.run(self.doors[process].knock(value)) == self.expected(value)

    def teardown(self) -> None:
        """Try every value in both processes, then close."""
        if hasattr(self, "doors"):
            for door in self.doors:
                for value in self.told:
                    assert self.run(door.knock(value)) == self.expected(value)
                self.run(door.store.close())
        self.runner.close()
        self.folder.cleanup()

    def expected(self, value: str) -> str:
        """What the model says of a value."""
        for name, token in self.tokens.items():
            if token.value == value:
                if self.is_expired(token):
                    return EXPIRED
                return name if token.active else INVALID
        return INVALID

    def is_expired(self, token: ModelToken) -> bool:
        """Whether a token is at or past its expiry."""
        return token.expires_at_us is not None and self.now_us >= token.expires_at_us

    @property
    def now_us(self) -> int:
        """The time of all."""
        return self.doors[0].now_us

    def try_(self, process: int, change: Callable[[TokenRegistry], Awaitable[Minted]]) -> Minted | None:
        """Make a change; None if it is refused."""

        async def attempt() -> Minted | None:
            try:
                return await change(self.doors[process].registry)
            except (TokenExistsError, TokenNotFoundError, InvalidInputError):
                return None

        minted: Minted | None = self.run(attempt())
        return minted

    def run(self, coroutine: Any) -> Any:
        """Run to the end."""
        return self.runner.run(coroutine)


TestTokenMachine = TokenMachine.TestCase
TestTokenMachine.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


# -- what else may happen to a registry --------------------------------------------------------------------


async def test_an_idle_time_survives_a_change_of_another_token(door: Door) -> None:
    """A use that is not flushed yet counts, also when what was remembered has to be looked up again."""
    value = await door.create("t", TokenDraft(ttl_seconds=2))
    assert await door.knock(value) == "t"
    door.now_us += 2 * SECOND_US
    assert await door.knock(value) == "t"
    await door.create("other")
    await door.remove("other")
    door.now_us += 2 * SECOND_US
    assert await door.knock(value) == "t"


async def test_a_generation_that_went_away(door: Door, tmp_path: Path) -> None:
    """A process whose counter was removed trusts nothing that it remembers, once it has noticed."""
    value = await door.create("t")
    assert await door.knock(value) == "t"
    (tmp_path / "auth" / "auth.gen").unlink()
    other = SqliteStore.open(tmp_path / "auth")
    token = await door.registry.token("t")
    await other.change(lambda t: t.remove(token.token_id))
    await other.close()
    with pytest.raises(StoreUnavailableError):  # any change notices, a flush of usage too
        await door.create("u")
    assert await door.knock(value) == INVALID
    assert door.recall(value, None) is None


@pytest.mark.parametrize(
    "damage",
    [
        "read_patterns = '[\"x'",
        "ip_allowlist = '[\"nowhere\"]'",
        "role = 'emperor'",
        "write_patterns = 'null'",
    ],
)
async def test_a_row_that_was_damaged(door: Door, tmp_path: Path, damage: str) -> None:
    """It opens nothing, it is reported, and it stands in nobody else's way."""
    value, other = await door.create("t"), await door.create("other")
    with closing(sqlite3.connect(tmp_path / "auth" / "auth.db")) as registry, registry:
        registry.execute(f"UPDATE tokens SET {damage} WHERE name = 't'")
    assert await door.knock(value) == INVALID
    assert await door.knock(other) == "other"
    assert [(token.name, token.fault is None) for token in await door.registry.tokens()] == [
        ("other", True),
        ("t", False),
    ]
    async with door.registry.removing_bucket(ENVIRONMENT, "x"):
        pass
