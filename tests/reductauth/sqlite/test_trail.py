"""The audit's chain: whatever somebody without the key does to it is found; what the registry itself does is not."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest
import pytest_asyncio

from reductauth.actor import Actor
from reductauth.audit import AuditAction, AuditQuery
from reductauth.draft import TokenDraft
from reductauth.edit import TokenEdit
from reductauth.errors import AuthError, StoreUnavailableError, TokenExistsError
from reductauth.housekeeping import Housekeeper
from reductauth.permissions import Permissions
from reductauth.registry import TokenRegistry
from reductauth.sqlite import SqliteStore
from reductauth.sqlite.files import RegistryFolder
from reductauth.sqlite.verification import audit_faults, registry_faults
from reductauth.store import Transaction
from tests.reductauth.store_contract import (
    ADMINISTRATOR,
    DAY_US,
    NOW_US,
    Gate,
    add_records,
    make_token,
    put,
    record_of,
)

ENVIRONMENT = Actor.environment()


class Clock:
    """A clock that the test sets."""

    now_us = NOW_US

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def clock() -> Clock:
    """Give a clock at `NOW_US`."""
    return Clock()


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Give an empty store."""
    opened = SqliteStore.open(tmp_path / "auth")
    yield opened
    await opened.close()


@pytest.fixture
def registry(store: SqliteStore, clock: Clock) -> TokenRegistry:
    """Give its registry."""
    return TokenRegistry(store, store.key, clock)


def verified(tmp_path: Path, store: SqliteStore) -> list[str]:
    """What `verify` finds."""
    return registry_faults(RegistryFolder(tmp_path / "auth"), store.key)


def tamper(tmp_path: Path, script: str) -> None:
    """Change the registry from outside."""
    with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as connection:
        connection.executescript(script)


COLUMNS = "at_us, actor, actor_id, address, action, token_key, token_id, token_name, detail"


def cut(sequence: int) -> str:
    return f"audit: ends with entry {sequence}, entry 5 was the last one that was written; "


def changed(sequence: int) -> str:
    return f"audit: entry {sequence} was changed, or put here, by something else than this software; "


def missing(first: int, last: int) -> str:
    return f"audit: entries {first} to {last} are missing; "


# What somebody does to the entries 1 to 5, of a bootstrap and of the tokens a to d -> what is told of the audit.
TAMPERINGS: list[tuple[str, str, list[str]]] = [
    *(
        (f"{column} altered", f"UPDATE audit SET {column} = {value} WHERE sequence = 3", [changed(3)])
        for column, value in (
            *(("at_us", "1"), ("actor", "'x'"), ("actor_id", "'x'"), ("address", "'::1'")),
            *(
                ("action", "'edit'"),
                ("token_key", "NULL"),
                ("token_key", "1"),
                ("token_id", "NULL"),
                ("token_name", "NULL"),
                ("detail", "NULL"),
            ),
        )
    ),
    ("code altered", "UPDATE audit SET mac = zeroblob(32) WHERE sequence = 3", [changed(3), changed(4)]),
    ("one removed", "DELETE FROM audit WHERE sequence = 3", [missing(3, 3)]),
    ("two removed", "DELETE FROM audit WHERE sequence IN (2, 3)", [missing(2, 3)]),
    (
        "removed, and renumbered",
        "DELETE FROM audit WHERE sequence = 3; UPDATE audit SET sequence = sequence - 1 WHERE sequence > 3;",
        [changed(3), changed(4), cut(4)],
    ),
    (
        "two exchanged",
        "UPDATE audit SET sequence = 9 WHERE sequence = 3; UPDATE audit SET sequence = 3 WHERE sequence = 4;"
        " UPDATE audit SET sequence = 4 WHERE sequence = 9;",
        [changed(3), changed(4), changed(5)],
    ),
    ("tail cut", "DELETE FROM audit WHERE sequence > 3", [cut(3)]),
    ("all removed", "DELETE FROM audit", [cut(0)]),
    ("head removed", "DELETE FROM audit WHERE sequence < 3", [missing(1, 2)]),
    (
        "one put at the end",
        f"INSERT INTO audit SELECT 6, {COLUMNS}, mac FROM audit WHERE sequence = 5",
        [changed(6), cut(6)],
    ),
    (
        "tail cut with its head",
        "DELETE FROM audit WHERE sequence > 3; UPDATE meta SET value = 3 WHERE name = 'audit_head'",
        ["audit: ends with entry 3, entry 3 was the last one that was written; "],
    ),
    (
        "a checkpoint that covers a removal",
        "DELETE FROM audit WHERE sequence < 3; UPDATE meta SET value = 2 WHERE name = 'checkpoint'",
        ["audit: its checkpoint was changed by something else than this software; "],
    ),
]


@pytest.mark.parametrize(
    ("script", "told"), [pytest.param(script, told, id=name) for name, script, told in TAMPERINGS]
)
async def test_tampering(
    tmp_path: Path, store: SqliteStore, registry: TokenRegistry, script: str, told: list[str]
) -> None:
    """Each is found, by `verify` and by `audit verify`."""
    for name in ("init", *"abcd"):
        await registry.create(ENVIRONMENT, name, TokenDraft(ADMINISTRATOR))
    assert verified(tmp_path, store) == []
    tamper(tmp_path, script)
    found = [line for line in verified(tmp_path, store) if line.startswith("audit")]
    assert len(found) == len(told), found
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True)), found
    assert audit_faults(RegistryFolder(tmp_path / "auth"), store.key) == found


@pytest.mark.parametrize(
    "script",
    [
        "DELETE FROM meta WHERE name = 'audit_head'",
        "UPDATE meta SET value = 'x' WHERE name = 'audit_head_mac'",
        "INSERT INTO audit VALUES (2, 1, 'x', NULL, NULL, 'edit', NULL, NULL, NULL, NULL, x'00')",
    ],
)
async def test_no_audit_no_change(
    tmp_path: Path, store: SqliteStore, registry: TokenRegistry, script: str
) -> None:
    """Where an entry can't be written, the change that it tells of does not happen; nobody is locked out."""
    value = (await registry.create(ENVIRONMENT, "a", TokenDraft(ADMINISTRATOR))).value
    tamper(tmp_path, script)
    with pytest.raises(StoreUnavailableError, match="run reductauth verify"):
        await registry.create(ENVIRONMENT, "b", TokenDraft())
    assert [token.name for token in await registry.tokens()] == ["a"]
    assert await store.find(store.key.digest(value)) is not None


async def change_something(registry: TokenRegistry, clock: Clock, chance: random.Random) -> None:
    """Any operation on any token or bucket; some are refused."""
    name, (bucket, new) = chance.choice("abcdefgh"), chance.sample("xyzv", 2)
    draft = TokenDraft(Permissions.of(read=[bucket], write=[new]), expires_at_us=clock() + DAY_US)
    buckets = chance.choice(
        [registry.renaming_bucket(ENVIRONMENT, bucket, new), registry.removing_bucket(ENVIRONMENT, bucket)]
    )
    operations = [
        *[registry.create(ENVIRONMENT, name, draft)] * 3,
        registry.edit(ENVIRONMENT, name, TokenEdit(active=chance.random() < 0.5)),
        registry.rotate(ENVIRONMENT, name, chance.choice((0, 5))),
        registry.revoke(ENVIRONMENT, name),
        registry.delete(ENVIRONMENT, name),
        pass_through(buckets),
    ]
    chosen = chance.choice(operations)
    for operation in set(operations) - {chosen}:
        operation.close()
    with contextlib.suppress(AuthError):
        await chosen


async def pass_through(block: AbstractAsyncContextManager[None]) -> None:
    """Let an engine rename or remove a bucket."""
    async with block:
        pass


@pytest.mark.parametrize("seed", range(3))
async def test_a_long_life(
    tmp_path: Path, store: SqliteStore, registry: TokenRegistry, clock: Clock, seed: int
) -> None:
    """After a long random sequence of operations, by two processes and some at once, every check finds nothing."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated
    beside = SqliteStore.open(tmp_path / "auth")
    registries = [registry, TokenRegistry(beside, beside.key, clock)]
    await registry.create(ENVIRONMENT, "admin", TokenDraft(ADMINISTRATOR))
    try:
        for _ in range(40):
            await asyncio.gather(
                *(change_something(chance.choice(registries), clock, chance) for _ in range(4))
            )
            if chance.random() < 0.2:
                clock.now_us += DAY_US // 3
                await Housekeeper(store, clock, 1, 1, 1).tidy()
        assert verified(tmp_path, store) == []
        assert all(token.fault is None for token in await registry.tokens())
        page = await registry.audited(AuditQuery(limit=1_000))
        assert len({entry.action for entry in page.rows}) > 5
    finally:
        await beside.close()


async def test_the_books_set_back(tmp_path: Path, store: SqliteStore, registry: TokenRegistry) -> None:
    """A tail that is cut with the head fits by itself, and not the tokens that it told of."""
    for name in "abc":
        await registry.create(ENVIRONMENT, name, TokenDraft(ADMINISTRATOR))
    tamper(
        tmp_path,
        "DELETE FROM audit WHERE sequence > 1; UPDATE meta SET value = 1 WHERE name = 'audit_head';"
        "UPDATE meta SET value = (SELECT mac FROM audit WHERE sequence = 1) WHERE name = 'audit_head_mac';",
    )
    told = "its record is a copy: it belongs to audit entry {}, the token's last one is none"
    assert [line.partition("; ")[0] for line in verified(tmp_path, store)] == [
        f"token 'b': {told.format(2)}",
        f"token 'c': {told.format(3)}",
    ]


# -- retention ----------------------------------------------------------------------------------------------------


async def test_old_entries_are_removed(
    tmp_path: Path, store: SqliteStore, registry: TokenRegistry, clock: Clock
) -> None:
    """Those from before so many days; a token keeps an entry, and the chain goes on from a checkpoint."""
    value = (await registry.create(ENVIRONMENT, "a", TokenDraft(ADMINISTRATOR))).value
    await registry.create(ENVIRONMENT, "b", TokenDraft())
    await registry.delete(ENVIRONMENT, "b")
    clock.now_us += 10 * DAY_US
    await registry.create(ENVIRONMENT, "c", TokenDraft())
    await Housekeeper(store, clock, 400, None).tidy()
    assert (await registry.audited(AuditQuery())).total == 4
    await Housekeeper(store, clock, 400, None, 11).tidy()
    assert (await registry.audited(AuditQuery())).total == 4
    generation = store.generation()
    await Housekeeper(store, clock, 400, None, 10).tidy()
    assert (await registry.audited(AuditQuery())).total == 4
    clock.now_us += 1
    await Housekeeper(store, clock, 400, None, 10).tidy()
    page = await registry.audited(AuditQuery(descending=False))
    assert (page.found, page.total) == (2, 2)
    entries = page.rows
    assert [(entry.sequence, entry.action, entry.token_name) for entry in entries] == [
        (4, AuditAction.CREATE, "c"),
        (5, AuditAction.CARRY_OVER, "a"),
    ]
    assert verified(tmp_path, store) == []
    found = await store.find(store.key.digest(value))
    assert found is not None
    assert found.token.fault is None
    assert store.generation() == generation


async def test_many_old_entries(
    tmp_path: Path, store: SqliteStore, registry: TokenRegistry, clock: Clock
) -> None:
    """In batches; in the end all are gone."""
    await registry.create(ENVIRONMENT, "a", TokenDraft(ADMINISTRATOR))
    for number in range(125):
        await registry.create(ENVIRONMENT, f"t{number}", TokenDraft())
        await registry.delete(ENVIRONMENT, f"t{number}")
    clock.now_us += 2 * DAY_US
    await Housekeeper(store, clock, 400, None, 1).tidy()
    (entry,) = (await registry.audited(AuditQuery())).rows
    assert (entry.action, entry.sequence) == (AuditAction.CARRY_OVER, 252)
    assert verified(tmp_path, store) == []


async def test_retention_makes_no_old_record_good(
    tmp_path: Path, store: SqliteStore, registry: TokenRegistry, clock: Clock
) -> None:
    """A record from before its last change stays refused when the entry of that change is gone."""
    value = (await registry.create(ENVIRONMENT, "a", TokenDraft(ADMINISTRATOR))).value
    await registry.create(ENVIRONMENT, "b", TokenDraft(ADMINISTRATOR))
    with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as connection:
        old = connection.execute("SELECT * FROM tokens WHERE name = 'a'").fetchone()
    await registry.edit(ENVIRONMENT, "a", TokenEdit(active=False))
    clock.now_us += 2 * DAY_US
    await Housekeeper(store, clock, 400, None, 1).tidy()
    with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as connection:
        marks = ", ".join("?" * len(old))
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(f"INSERT OR REPLACE INTO tokens VALUES ({marks})", old)
        connection.commit()
    found = await store.find(store.key.digest(value))
    assert found is not None
    assert found.token.active
    assert found.token.fault is not None


async def test_retention_leaves_a_fault(
    tmp_path: Path, store: SqliteStore, registry: TokenRegistry, clock: Clock
) -> None:
    """A token that somebody has changed is not carried over: it would be sealed as it is."""
    await registry.create(ENVIRONMENT, "a", TokenDraft())
    await registry.create(ENVIRONMENT, "b", TokenDraft(ADMINISTRATOR))
    tamper(tmp_path, "UPDATE tokens SET full_access = 1 WHERE name = 'a'")
    clock.now_us += 2 * DAY_US
    await Housekeeper(store, clock, 400, None, 1).tidy()
    entries = (await registry.audited(AuditQuery())).rows
    assert [entry.token_name for entry in entries] == ["b"]
    assert (await registry.token("a")).fault is not None


# -- the end of the chain, while changes are made -----------------------------------------------------------


async def numbers(store: SqliteStore) -> list[tuple[int, str, str | None]]:
    """Number, action and token of all entries."""
    page = await store.read(lambda snapshot: snapshot.audited(AuditQuery(descending=False)))
    return [(entry.sequence, entry.action, entry.token_name) for entry in page.rows]


async def test_changes_that_share_a_commit(
    store: SqliteStore, registry: TokenRegistry, tmp_path: Path
) -> None:
    """An entry that was undone with its change leaves no gap, among others in the commit and as the only one."""

    def refused(transaction: Transaction) -> None:
        put(transaction, make_token("refused"))
        raise ValueError

    def imported(transaction: Transaction) -> None:
        add_records(transaction, record_of(make_token("d"), "v"), record_of(make_token("e"), "w"))

    gate = Gate(store)
    await gate.reached()
    changes = [
        asyncio.ensure_future(change)
        for change in (
            registry.create(ENVIRONMENT, "a", TokenDraft()),
            store.change(refused),
            registry.create(ENVIRONMENT, "b", TokenDraft()),
            registry.create(ENVIRONMENT, "a", TokenDraft()),
            registry.create(ENVIRONMENT, "c", TokenDraft()),
            store.change(imported),
            store.change(refused),
            registry.create(ENVIRONMENT, "f", TokenDraft()),
        )
    ]
    await asyncio.sleep(0)
    await gate.open()
    answers = await asyncio.gather(*changes, return_exceptions=True)
    assert [type(answer) for answer in answers if isinstance(answer, Exception)] == [
        *(ValueError, TokenExistsError, ValueError)
    ]
    assert verified(tmp_path, store) == []
    with pytest.raises(ValueError, match=r"^$"):
        await store.change(refused)
    await registry.create(ENVIRONMENT, "g", TokenDraft())
    assert verified(tmp_path, store) == []
    assert await numbers(store) == [
        *((1, "create", "a"), (2, "create", "b"), (3, "create", "c")),
        *((4, "import", "d"), (5, "import", "e"), (6, "create", "f"), (7, "create", "g")),
    ]


async def test_processes_that_take_turns(store: SqliteStore, registry: TokenRegistry, tmp_path: Path) -> None:
    """Each goes on from the entry that another wrote last, whatever it wrote."""
    other = SqliteStore.open(tmp_path / "auth")
    others = TokenRegistry(other, other.key, lambda: NOW_US)
    await registry.create(ENVIRONMENT, "a", TokenDraft())
    await others.create(ENVIRONMENT, "b", TokenDraft())
    await registry.create(ENVIRONMENT, "c", TokenDraft())
    await other.change(lambda t: add_records(t, record_of(make_token("d"), "v")))
    await registry.create(ENVIRONMENT, "e", TokenDraft())
    await other.close()
    assert verified(tmp_path, store) == []
    assert [number for number, *_ in await numbers(store)] == [1, 2, 3, 4, 5]
