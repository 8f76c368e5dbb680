"""What nobody asks for: folding counters, and forgetting what has ended for long."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio

import reductauth.housekeeping
from reductauth.errors import StoreUnavailableError
from reductauth.housekeeping import Housekeeper
from reductauth.sqlite import SqliteStore
from reductauth.store import Transaction
from tests.reductauth.sqlite.test_store import folder_of
from tests.reductauth.store_contract import (
    ADMINISTRATOR,
    DAY_US,
    NOW_US,
    SECOND_US,
    add,
    digest_of,
    make_token,
    used,
)

T = TypeVar("T")


class Store(SqliteStore):
    """A store that can be out of order, and counts the changes that are asked of it, and when each was made."""

    changes = 0
    fault: Exception | None = None
    spans: list[tuple[float, float]]

    async def change(self, work: Callable[[Transaction], T]) -> T:
        """Make a change, or none."""
        self.changes += 1
        if self.fault is not None:
            raise self.fault
        start = time.monotonic()
        result = await super().change(work)
        self.spans.append((start, time.monotonic()))
        return result

    async def names(self) -> list[str]:
        """Name the tokens that are left."""
        return [token.name for token in await self.read(lambda snapshot: snapshot.tokens())]


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Give a store with one usable administrator."""
    opened = Store.open(tmp_path / "auth")
    opened.spans = []
    await add(opened, make_token("admin", permissions=ADMINISTRATOR), "admin")
    yield opened
    await opened.close()


def rows(folder: Path, statement: str) -> list[tuple[Any, ...]]:
    """Read the registry from outside."""
    with closing(sqlite3.connect(f"file:{folder}/auth/auth.db?mode=ro", uri=True)) as registry:
        return registry.execute(statement).fetchall()


ENDED = [
    ("never ended", {}, False),
    ("inactive for long", {"active": False, "updated_at_us": NOW_US - 100 * DAY_US}, False),
    ("revoked 30 days ago", {"revoked_at_us": NOW_US - 30 * DAY_US}, True),
    ("revoked later", {"revoked_at_us": NOW_US - 30 * DAY_US + 1}, False),
    ("expired 30 days ago", {"expires_at_us": NOW_US - 30 * DAY_US}, True),
    ("expired later", {"expires_at_us": NOW_US - 30 * DAY_US + 1}, False),
    ("will expire", {"expires_at_us": NOW_US + 1}, False),
    ("idle since 30 days", {"ttl_seconds": 1, "created_at_us": NOW_US - 30 * DAY_US - 2 * SECOND_US}, True),
    ("idle since later", {"ttl_seconds": 1, "created_at_us": NOW_US - 30 * DAY_US - SECOND_US}, False),
    ("provisioned", {"is_provisioned": True, "revoked_at_us": NOW_US - 99 * DAY_US}, False),
    ("administrator", {"permissions": ADMINISTRATOR, "revoked_at_us": NOW_US - 30 * DAY_US}, True),
]


@pytest.mark.parametrize(("fields", "deleted"), [pytest.param(f, d, id=name) for name, f, d in ENDED])
async def test_which_tokens_are_deleted(
    store: Store, tmp_path: Path, fields: dict[str, Any], deleted: bool
) -> None:
    """Those that ended at least so many days ago, each with a row in the audit; by default none."""
    await add(store, make_token("t", **{"created_at_us": NOW_US - 200 * DAY_US, **fields}), "v")
    await Housekeeper(store, lambda: NOW_US, 400, None).tidy()
    assert await store.names() == ["admin", "t"]
    await Housekeeper(store, lambda: NOW_US, 400, 30).tidy()
    assert await store.names() == (["admin"] if deleted else ["admin", "t"])
    assert (await store.find(digest_of("v")) is None) is deleted
    audit = rows(
        tmp_path,
        "SELECT at_us, actor, actor_id, action, token_id, token_name FROM audit WHERE action = 'delete'",
    )
    assert audit == ([(NOW_US, "environment", None, "delete", "id-of-t", "t")] if deleted else [])


async def test_deletion_in_batches(store: Store, tmp_path: Path) -> None:
    """No transaction deletes more than a hundred; all are gone in the end, and other processes notice."""
    for number in range(250):
        await add(store, make_token(f"t{number}", revoked_at_us=NOW_US - DAY_US))
    generation, store.changes = store.generation(), 0
    await Housekeeper(store, lambda: NOW_US, 400, 1).tidy()
    assert store.changes == 1 + 1 + 3
    assert store.generation() != generation
    assert await store.names() == ["admin"]
    assert rows(tmp_path, "SELECT count(*) FROM audit WHERE action = 'delete'") == [(250,)]


async def test_other_processes_come_in_between(store: Store) -> None:
    """Who waits for SQLite's lock looks for it every 0.1 s at least: after each batch it is free for longer."""
    for number in range(250):
        await add(store, make_token(f"t{number}", revoked_at_us=NOW_US - DAY_US))
    store.spans.clear()
    await Housekeeper(store, lambda: NOW_US, 400, 1).tidy()
    batches = store.spans[-3:]
    pauses = [start - end for (_, end), (start, _) in itertools.pairwise(batches)]
    assert len(pauses) == 2
    assert min(pauses) > 0.1


async def test_nothing_to_do_disturbs_nobody(store: Store) -> None:
    """Caches are kept where nothing was deleted."""
    generation = store.generation()
    await Housekeeper(store, lambda: NOW_US, 400, 1).tidy()
    assert store.generation() == generation


async def test_a_last_access_that_another_process_flushed(store: Store) -> None:
    """Whether a token is idle is decided by what is in the store when it would be deleted."""
    old = {"created_at_us": NOW_US - 200 * DAY_US, "ttl_seconds": 60}
    await add(store, make_token("used", **old), "v")
    await add(store, make_token("idle", **old), "w")
    other = SqliteStore.open(folder_of(store))
    seen = used("id-of-used", 0, last_access_us=NOW_US - DAY_US)
    await other.change(lambda t: t.add_usage([seen]))
    await other.close()
    await Housekeeper(store, lambda: NOW_US, 400, 30).tidy()
    assert await store.names() == ["admin", "used"]


async def test_without_a_usable_administrator_nothing_is_deleted(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nobody could undo it, cleaning waits."""
    await store.change(lambda t: t.replace(make_token("admin", permissions=ADMINISTRATOR, active=False)))
    await add(store, make_token("t", revoked_at_us=NOW_US - DAY_US))
    await Housekeeper(store, lambda: NOW_US, 400, 1).tidy()
    assert await store.names() == ["admin", "t"]
    assert "not finished, tried again later: ended tokens deleted" in caplog.text


async def test_values_whose_grace_is_over(store: Store) -> None:
    """Their rows go, whatever the settings; a value that still works, and one without an end, stay."""
    await add(store, make_token("t"), "old")
    await store.change(lambda t: t.retire_secrets("id-of-t", NOW_US))
    await store.change(lambda t: t.add_secret("id-of-t", digest_of("new"), NOW_US))
    await Housekeeper(store, lambda: NOW_US - 1, 400, None).tidy()
    assert await store.find(digest_of("old")) is not None
    await Housekeeper(store, lambda: NOW_US, 400, None).tidy()
    assert await store.find(digest_of("old")) is None
    assert await store.find(digest_of("new")) is not None


@pytest.mark.parametrize(
    ("usage_days", "kept"),
    [
        (1, {"2027-01": 1, "2027-01-14": 10, "2027-01-15": 100}),
        (2, {"2027-01-13": 1, "2027-01-14": 10, "2027-01-15": 100}),
        (400, {"2027-01-13": 1, "2027-01-14": 10, "2027-01-15": 100}),
    ],
)
async def test_folding(store: Store, tmp_path: Path, usage_days: int, kept: dict[str, int]) -> None:
    """Days that lie further back than so many become part of their month; doing it again changes nothing."""
    days = {"2027-01-13": 1, "2027-01-14": 10, "2027-01-15": 100}
    deltas = [used("id-of-admin", 1, day=day, read=count) for day, count in days.items()]
    await store.change(lambda t: t.add_usage(deltas))
    for _ in range(2):
        await Housekeeper(store, lambda: NOW_US, usage_days, None).tidy()
        assert dict(rows(tmp_path, "SELECT period, read FROM usage ORDER BY period")) == kept


@pytest.mark.parametrize("fault", [StoreUnavailableError(), sqlite3.IntegrityError("odd")])
async def test_a_store_that_is_out_of_order(
    store: Store, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    """What could not be done is logged, and done the next time."""
    await add(store, make_token("t", revoked_at_us=NOW_US - DAY_US))
    housekeeper = Housekeeper(store, lambda: NOW_US, 400, 1)
    store.fault = fault
    await housekeeper.tidy()
    assert caplog.text.count("not finished, tried again later") == 3
    store.fault = None
    await housekeeper.tidy()
    assert await store.names() == ["admin"]


async def test_at_the_start_and_again_and_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins at once, goes on after a pause, and ends when it is cancelled."""
    monkeypatch.setattr(reductauth.housekeeping, "INTERVAL_SECONDS", 0.05)
    await add(store, make_token("first", revoked_at_us=NOW_US - DAY_US))
    task = asyncio.create_task(Housekeeper(store, lambda: NOW_US, 400, 1).run())
    async with asyncio.timeout(10):
        while "first" in await store.names():
            await asyncio.sleep(0.01)
        await add(store, make_token("second", revoked_at_us=NOW_US - DAY_US))
        while "second" in await store.names():
            await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
