"""What tokens are used for: counted in memory, flushed together, lost by nobody but a crash."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio

import reductauth.usage
from reductauth.actor import Actor, Identity
from reductauth.draft import TokenDraft
from reductauth.errors import StoreUnavailableError
from reductauth.registry import TokenRegistry
from reductauth.sqlite import SqliteStore
from reductauth.store import Transaction
from reductauth.token import Secret, Token
from reductauth.usage import UsageKind, UsageMeter
from tests.reductauth.store_contract import DAY_US, NOW_US, SECOND_US

REPOSITORY = Path(__file__).parents[2]
TIMEOUT_SECONDS = 30
ENVIRONMENT = Actor.environment()
TODAY, TOMORROW = "2027-01-15", "2027-01-16"
MIDNIGHT_US = 1_800_057_600 * SECOND_US
"""2027-01-16T00:00:00Z."""

T = TypeVar("T")
Counters = dict[str, tuple[int, int, int, int]]


class Store(SqliteStore):
    """A store that can be out of order, and counts the changes that are asked of it."""

    changes = 0
    is_out_of_order = False

    async def change(self, work: Callable[[Transaction], T]) -> T:
        """Make a change, or none."""
        self.changes += 1
        if self.is_out_of_order:
            raise StoreUnavailableError
        return await super().change(work)

    async def create(self, name: str, ttl_seconds: int | None = None, address: str | None = None) -> Identity:
        """Create a token, and return it as a caller."""
        registry = TokenRegistry(self, self.key, lambda: NOW_US)
        draft = TokenDraft(ttl_seconds=ttl_seconds)
        found = await self.find(self.key.digest((await registry.create(ENVIRONMENT, name, draft)).value))
        assert found is not None
        return Identity(found.token, found.secret.secret_id, address)

    async def token(self, name: str) -> Token:
        """Read a token."""
        token = await self.read(lambda snapshot: snapshot.token_named(name))
        assert token is not None
        return token

    async def secret(self, name: str) -> Secret:
        """Read the only value of a token."""
        token = await self.token(name)
        (secret,) = await super().change(lambda t: t.secrets(token.token_id))
        return secret

    def counters(self, name: str) -> Counters:
        """Read the counters of a token by day: read, write, admin, denied."""
        rows = self._lookups.execute(
            "SELECT period, read, write, admin, denied FROM usage JOIN tokens ON key = token_key WHERE name = ?",
            (name,),
        )
        return {period: (read, write, admin, denied) for period, read, write, admin, denied in rows}


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Give an empty store."""
    opened = Store.open(tmp_path / "auth")
    yield opened
    await opened.close()


@contextlib.asynccontextmanager
async def running(meter: UsageMeter) -> AsyncIterator[None]:
    """Have a meter flush by itself."""
    task = asyncio.create_task(meter.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition, at most for so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)
            return True
    return False


# -- a flush ------------------------------------------------------------------------------------------------


async def test_one_flush_for_everything(store: Store) -> None:
    """Counters, last accesses and addresses of all tokens go over in one change, which no cache has to notice."""
    meter = UsageMeter(store)
    callers = [await store.create(name, address=f"10.0.0.{number}") for number, name in enumerate("abc")]
    for number, caller in enumerate(callers):
        for kind in UsageKind:
            for _ in range(kind.value + 1):
                meter.count(caller, kind, NOW_US + 10 * number)
    meter.count(callers[0], UsageKind.READ, NOW_US + 99)
    assert store.counters("a") == {}
    generation, store.changes = store.generation(), 0
    await meter.flush()
    assert store.changes == 1
    assert store.generation() == generation
    assert store.counters("a") == {TODAY: (2, 2, 3, 4)}
    assert store.counters("b") == store.counters("c") == {TODAY: (1, 2, 3, 4)}
    expected = [("a", 11, NOW_US + 99), ("b", 10, NOW_US + 10), ("c", 10, NOW_US + 20)]
    for number, (name, uses, last_us) in enumerate(expected):
        token, secret = await store.token(name), await store.secret(name)
        assert (token.last_access_us, token.last_access_ip) == (last_us, f"10.0.0.{number}")
        assert (secret.last_access_us, secret.last_access_ip) == (last_us, f"10.0.0.{number}")
        assert secret.uses == uses


async def test_nothing_to_flush(store: Store) -> None:
    """Without requests nothing is written, and what was flushed is not flushed again."""
    meter = UsageMeter(store)
    caller = await store.create("a")
    store.changes = 0
    await meter.flush()
    assert store.changes == 0
    meter.count(caller, UsageKind.READ, NOW_US)
    for _ in range(3):
        await meter.flush()
    assert store.changes == 1
    assert store.counters("a") == {TODAY: (1, 0, 0, 0)}


async def test_flushes_add_up(store: Store) -> None:
    """What comes after a flush is added to what was there."""
    meter = UsageMeter(store)
    caller = await store.create("a")
    for number in range(5):
        meter.count(caller, UsageKind.WRITE, NOW_US + number)
        await meter.flush()
    assert store.counters("a") == {TODAY: (0, 5, 0, 0)}
    assert (await store.secret("a")).uses == 5
    assert (await store.token("a")).last_access_us == NOW_US + 4


async def test_a_request_during_a_flush(store: Store) -> None:
    """What is counted while a flush is under way goes over with the next one, once."""
    meter = UsageMeter(store)
    caller = await store.create("a")
    meter.count(caller, UsageKind.READ, NOW_US)
    flushing = asyncio.ensure_future(meter.flush())
    await asyncio.sleep(0)
    meter.count(caller, UsageKind.READ, NOW_US + 1)
    await flushing
    assert store.counters("a") == {TODAY: (1, 0, 0, 0)}
    await meter.flush()
    assert store.counters("a") == {TODAY: (2, 0, 0, 0)}


@pytest.mark.parametrize("ends_early", [False, True])
async def test_a_flush_of_many_values(
    store: Store, monkeypatch: pytest.MonkeyPatch, ends_early: bool
) -> None:
    """It lets a change in between, whoever asks; one that is cut short loses nothing, and counts nothing twice."""
    monkeypatch.setattr(reductauth.usage, "_BATCH", 3)
    meter = UsageMeter(store)
    names = [f"t{number}" for number in range(10)]
    for number, caller in enumerate([await store.create(name) for name in names]):
        meter.count(caller, UsageKind.READ, NOW_US + number)
    store.changes = 0
    flush = asyncio.create_task(meter.flush())
    while store.changes == 0:
        await asyncio.sleep(0)
    await store.create("between")
    assert not flush.done()
    if ends_early:
        flush.cancel()
        with pytest.raises(asyncio.CancelledError):
            await flush
        await meter.flush()
    else:
        await flush
        assert store.changes == 4 + 1
    assert [store.counters(name) for name in names] == [{TODAY: (1, 0, 0, 0)}] * 10
    assert meter.totals()[UsageKind.READ] == 10


async def test_midnight(store: Store) -> None:
    """Requests count for the day, in UTC, on which they came, though they are flushed together."""
    meter = UsageMeter(store)
    caller = await store.create("a")
    meter.count(caller, UsageKind.READ, MIDNIGHT_US - 2)
    meter.count(caller, UsageKind.READ, MIDNIGHT_US - 1)
    meter.count(caller, UsageKind.READ, MIDNIGHT_US)
    meter.count(caller, UsageKind.WRITE, MIDNIGHT_US + DAY_US)
    await meter.flush()
    assert store.counters("a") == {
        TODAY: (2, 0, 0, 0),
        TOMORROW: (1, 0, 0, 0),
        "2027-01-17": (0, 1, 0, 0),
    }
    assert (await store.token("a")).last_access_us == MIDNIGHT_US + DAY_US
    assert (await store.secret("a")).uses == 4


async def test_what_a_link_lets_in_is_no_access(store: Store) -> None:
    """It counts for the day and for the value; last access and address stay as they are, and so does idle time."""
    meter = UsageMeter(store)
    caller = await store.create("a", ttl_seconds=60, address="10.0.0.1")
    meter.count_by_link(caller, UsageKind.READ, NOW_US)
    await meter.flush()
    assert store.counters("a") == {TODAY: (1, 0, 0, 0)}
    assert (await store.token("a")).last_access_us is None
    secret = await store.secret("a")
    assert (secret.uses, secret.last_access_us, secret.last_access_ip) == (1, None, None)
    meter.count(caller, UsageKind.READ, NOW_US + 1)
    meter.count_by_link(caller, UsageKind.DENIED, NOW_US + 2)
    meter.count_by_link(caller, UsageKind.WRITE, MIDNIGHT_US)
    assert meter.totals() == {
        UsageKind.READ: 2,
        UsageKind.WRITE: 1,
        UsageKind.ADMIN: 0,
        UsageKind.DENIED: 1,
    }
    await meter.flush()
    assert store.counters("a") == {TODAY: (2, 0, 0, 1), TOMORROW: (0, 1, 0, 0)}
    token, secret = await store.token("a"), await store.secret("a")
    assert (token.last_access_us, token.last_access_ip) == (NOW_US + 1, "10.0.0.1")
    assert (secret.last_access_us, secret.last_access_ip, secret.uses) == (NOW_US + 1, "10.0.0.1", 4)


async def test_a_store_that_is_out_of_order(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be kept waits for the next flush, however often that fails, and is then kept once."""
    meter = UsageMeter(store)
    caller = await store.create("a")
    store.is_out_of_order = True
    for number in range(3):
        meter.count(caller, UsageKind.READ, NOW_US + number)
        await meter.flush()
    assert store.counters("a") == {}
    assert "usage not flushed" in caplog.text
    store.is_out_of_order = False
    meter.count(caller, UsageKind.READ, MIDNIGHT_US)
    await meter.flush()
    await meter.flush()
    assert store.counters("a") == {TODAY: (3, 0, 0, 0), TOMORROW: (1, 0, 0, 0)}
    assert (await store.token("a")).last_access_us == MIDNIGHT_US


async def test_what_waits_stays_small(store: Store) -> None:
    """However many flushes fail, one sum waits for each value and day; none of it is lost."""
    meter = UsageMeter(store)
    callers = [await store.create(name, address=f"10.0.0.{number}") for number, name in enumerate("ab")]
    store.is_out_of_order = True
    for number in range(100):
        for caller in callers:
            meter.count(caller, UsageKind.DENIED, NOW_US + number)
            meter.count(caller, UsageKind.ADMIN, MIDNIGHT_US + number)
        await meter.flush()
    assert len(meter._closed) == 4
    store.is_out_of_order = False
    await meter.flush()
    for number, name in enumerate("ab"):
        assert store.counters(name) == {TODAY: (0, 0, 0, 100), TOMORROW: (0, 0, 100, 0)}
        token = await store.token(name)
        assert (token.last_access_us, token.last_access_ip) == (MIDNIGHT_US + 99, f"10.0.0.{number}")
        assert (await store.secret(name)).uses == 200


async def test_a_late_flush_does_not_turn_back(store: Store) -> None:
    """The process that flushes last need not be the one that saw the token last."""
    early, late = UsageMeter(store), UsageMeter(store)
    caller = await store.create("a")
    early.count(caller, UsageKind.READ, NOW_US + 1)
    late.count(caller, UsageKind.READ, NOW_US + 2)
    await late.flush()
    await early.flush()
    assert store.counters("a") == {TODAY: (2, 0, 0, 0)}
    assert (await store.token("a")).last_access_us == NOW_US + 2


async def test_tokens_that_are_gone(store: Store) -> None:
    """A token that was deleted before the flush is passed over; one that was rotated keeps its counters."""
    meter = UsageMeter(store)
    callers = [await store.create(name) for name in ("deleted", "rotated", "kept")]
    for caller in callers:
        meter.count(caller, UsageKind.READ, NOW_US + 1)
    await store.change(lambda t: t.remove(callers[0].token.token_id))
    await TokenRegistry(store, store.key, lambda: NOW_US).rotate(ENVIRONMENT, "rotated")
    again = await store.create("deleted")
    await meter.flush()
    assert store.counters("deleted") == {}
    assert store.counters("rotated") == store.counters("kept") == {TODAY: (1, 0, 0, 0)}
    assert (await store.token("deleted")) == again.token
    assert (await store.token("rotated")).last_access_us == NOW_US + 1
    assert (await store.secret("rotated")).uses == 0
    assert (await store.secret("kept")).uses == 1


# -- by itself ----------------------------------------------------------------------------------------------


async def test_a_meter_flushes_by_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every so often, also after a flush that failed."""
    monkeypatch.setattr(reductauth.usage, "FLUSH_INTERVAL_SECONDS", 0.05)
    meter = UsageMeter(store)
    caller = await store.create("a")
    async with running(meter):
        meter.count(caller, UsageKind.READ, NOW_US)
        assert await until(lambda: store.counters("a") == {TODAY: (1, 0, 0, 0)}, 10)
        store.changes, store.is_out_of_order = 0, True
        meter.count(caller, UsageKind.READ, NOW_US)
        assert await until(lambda: store.changes > 1, 10)
        store.is_out_of_order = False
        assert await until(lambda: store.counters("a") == {TODAY: (2, 0, 0, 0)}, 10)


async def test_idle_times_are_told_at_once(store: Store) -> None:
    """The access of a token with a ttl is written without waiting for the interval; others wait for it."""
    meter = UsageMeter(store)
    patient, hasty = await store.create("patient"), await store.create("hasty", ttl_seconds=3_600)
    async with running(meter):
        meter.count(patient, UsageKind.READ, NOW_US)
        assert not await until(lambda: store.counters("patient") != {}, 0.3)
        meter.count(hasty, UsageKind.READ, NOW_US + 1)
        assert await until(lambda: store.counters("hasty") != {}, 2)
    assert (await store.token("hasty")).last_access_us == NOW_US + 1


async def test_each_idle_time_is_told_at_once(store: Store) -> None:
    """That another token with a ttl was just written keeps none waiting, nor is one written sooner for it."""
    meter = UsageMeter(store)
    callers = {name: await store.create(name, ttl_seconds=3_600) for name in "abc"}

    def is_told(name: str) -> Callable[[], bool]:
        return lambda: store.counters(name) == {TODAY: (1, 0, 0, 0)}

    async with running(meter):
        for number, (name, caller) in enumerate(callers.items()):
            meter.count(caller, UsageKind.READ, NOW_US + number)
            assert await until(is_told(name), 2)
        meter.count(callers["a"], UsageKind.READ, NOW_US + 3)
        assert not await until(lambda: store.counters("a") != {TODAY: (1, 0, 0, 0)}, 0.3)
    for number, name in enumerate(callers):
        assert (await store.token(name)).last_access_us == NOW_US + number


@pytest.mark.parametrize(("ttl_seconds", "patience_us"), [(4, SECOND_US), (3_600, 5 * SECOND_US)])
async def test_idle_times_are_not_told_at_every_request(
    store: Store, ttl_seconds: int, patience_us: int
) -> None:
    """Again at once only when what is stored is older than a quarter of the ttl, and than 5 s at most."""
    meter = UsageMeter(store)
    caller = await store.create("a", ttl_seconds)
    async with running(meter):
        meter.count(caller, UsageKind.READ, NOW_US)
        assert await until(lambda: store.counters("a") == {TODAY: (1, 0, 0, 0)}, 2)
        meter.count(caller, UsageKind.READ, NOW_US + patience_us // 2)
        assert not await until(lambda: store.counters("a") == {TODAY: (2, 0, 0, 0)}, 0.3)
        meter.count(caller, UsageKind.READ, NOW_US + patience_us + 1)
        assert await until(lambda: store.counters("a") == {TODAY: (3, 0, 0, 0)}, 2)


# -- two processes ------------------------------------------------------------------------------------------

COUNT = """
import asyncio, sys
from pathlib import Path
from reductauth.actor import Identity
from reductauth.sqlite import SqliteStore
from reductauth.usage import UsageKind, UsageMeter
from tests.reductauth.store_contract import NOW_US

async def main():
    store = SqliteStore.open(Path(sys.argv[1]))
    token = await store.read(lambda snapshot: snapshot.token_named("a"))
    caller, meter = Identity(token, int(sys.argv[2])), UsageMeter(store)
    for number in range(30):
        meter.count(caller, UsageKind.READ, NOW_US + number)
        meter.count(caller, UsageKind.WRITE, NOW_US + number)
        await meter.flush()
    await store.close()

asyncio.run(main())
"""


async def test_two_processes_add_up(store: Store, tmp_path: Path) -> None:
    """Whoever flushes, when and how often: nothing is lost and nothing is counted twice."""
    caller = await store.create("a")
    meter = UsageMeter(store)
    arguments = [sys.executable, "-c", COUNT, str(tmp_path / "auth"), str(caller.secret_id)]
    children = [subprocess.Popen(arguments, cwd=REPOSITORY) for _ in range(2)]  # noqa: ASYNC220
    for number in range(30):
        meter.count(caller, UsageKind.READ, NOW_US + 100 + number)
        await meter.flush()
    for child in children:
        assert await asyncio.to_thread(child.wait, TIMEOUT_SECONDS) == 0
    assert store.counters("a") == {TODAY: (90, 60, 0, 0)}
    assert (await store.secret("a")).uses == 150
    assert (await store.token("a")).last_access_us == NOW_US + 129


async def test_a_second_use_is_told_when_its_patience_ends(store: Store) -> None:
    """Shortly after a flush another use of a token with a ttl waits for a quarter of the ttl, not for the interval."""
    caller = await store.create("t", ttl_seconds=2)
    meter = UsageMeter(store)
    running = asyncio.create_task(meter.run())
    try:
        for at_us in (NOW_US, NOW_US + SECOND_US // 10):
            meter.count(caller, UsageKind.READ, at_us)
            async with asyncio.timeout(2):
                while (await store.token("t")).last_access_us != at_us:
                    await asyncio.sleep(0.01)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
