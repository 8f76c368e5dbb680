"""Rounds of work and crash: the process is killed, or the power goes."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientError, ClientSession

from tests.faults.clients import Clients, bearer, create, status_of, views
from tests.faults.disk import Disk, PowerCut
from tests.faults.forking import ROOT_VALUE, Forks

__all__ = ["Figures", "killed", "killed_in_use", "survived", "without_power", "without_power_at_first"]

_CLIENTS = 8
_LONGEST_WORK_SECONDS = 0.25
_LONGEST_START_SECONDS = 0.06
_LONGEST_REVOCATION_SECONDS = 0.05
_ROUNDS_OF_A_REGISTRY = 50
_USE_SECONDS = 8.0, 10.0
_FLUSH_SECONDS = 5.0 + 2.0
"""How old what was not flushed may be: what is promised, and what a busy machine takes for it."""


@dataclass(slots=True)
class Figures:
    """What was seen."""

    crashes: int = 0
    during_start: int = 0
    inside_an_open_change: int = 0
    while_publishing: int = 0
    acknowledged: int = 0
    happened_unacknowledged: int = 0

    def add(self, clients: Clients) -> None:
        """Add what clients have seen in all their rounds."""
        self.acknowledged += clients.told
        self.happened_unacknowledged += clients.happened

    def __str__(self) -> str:
        """For the report."""
        return (
            f"crashes={self.crashes} during_start={self.during_start} "
            f"inside_an_open_change={self.inside_an_open_change} while_publishing={self.while_publishing} "
            f"acknowledged={self.acknowledged} happened_unacknowledged={self.happened_unacknowledged}"
        )


async def killed(
    forks: Forks, folder: Path, rounds: int, chance: random.Random, sabotage: str | None = None
) -> Figures:
    """SIGKILL at random moments of starts and of work; all is looked at after each."""
    figures = Figures()
    auth = folder / "data" / "auth"
    clients = Clients(_CLIENTS, chance, time.monotonic_ns)
    for number in range(rounds):
        if number % _ROUNDS_OF_A_REGISTRY == 0:
            figures.add(clients)
            shutil.rmtree(folder / "data", ignore_errors=True)
            clients = Clients(_CLIENTS, chance, time.monotonic_ns)
        if chance.random() < 0.1:
            starting = forks.begin(folder, sabotage=sabotage)
            await asyncio.sleep(chance.uniform(0, _LONGEST_START_SECONDS))
            starting.end()
            figures.crashes += 1
            figures.during_start += 1
        server = forks.start(folder, sabotage=sabotage)
        try:
            await clients.look(server.url, auth, math.inf)
            await _work_until_killed(clients, server.url, chance, server.end)
        finally:
            server.end()
        _count(figures, clients, auth)
    server = forks.start(folder)
    await clients.look(server.url, auth, math.inf)
    server.end()
    figures.add(clients)
    return figures


async def without_power(
    forks: Forks, folder: Path, rounds: int, chance: random.Random, sabotage: str | None = None
) -> Figures:
    """The power goes at random moments of starts and of work, and takes with it what was not synced."""
    figures = Figures()
    auth = folder / "data" / "auth"
    disk = Disk(folder, has_journal=True)
    assert disk.journal is not None
    crashed_at: float = math.inf
    clients = Clients(_CLIENTS, chance, disk.position)
    for number in range(rounds):
        if number % _ROUNDS_OF_A_REGISTRY == 0:
            figures.add(clients)
            shutil.rmtree(folder / "data", ignore_errors=True)
            (folder / "data").mkdir()
            clients = Clients(_CLIENTS, chance, disk.position)
        power_cut = PowerCut(auth)
        disk.journal.unlink(missing_ok=True)
        server = forks.start(folder, disk, sabotage)
        started_at = disk.position()
        try:
            await clients.look(server.url, auth, crashed_at)
            await _work_until_killed(clients, server.url, chance, server.end)
        finally:
            server.end()
        is_during_start = chance.random() < 0.1
        crashed_at = power_cut.leave(
            disk.journal, chance, chance.randint(0, started_at) if is_during_start else None
        )
        figures.during_start += crashed_at < started_at
        _count(figures, clients, auth, crashed_at)
    server = forks.start(folder)
    await clients.look(server.url, auth, crashed_at)
    server.end()
    figures.add(clients)
    return figures


async def without_power_at_first(
    forks: Forks, folder: Path, rounds: int, chance: random.Random, sabotage: str | None = None
) -> Figures:
    """The power goes at random moments between nothing at all and the answer to the first change.

    The next start finishes what was begun, also when the power goes again in its course.
    """
    figures = Figures()
    auth = folder / "data" / "auth"
    disk = Disk(folder, has_journal=True)
    assert disk.journal is not None
    for _ in range(rounds):
        shutil.rmtree(folder / "data", ignore_errors=True)
        (folder / "data").mkdir()
        clients = Clients(1, chance, disk.position)
        crashed_at: float = 0
        for _ in range(2):
            power_cut = PowerCut(auth)
            disk.journal.unlink(missing_ok=True)
            server = forks.start(folder, disk, sabotage)
            started_at = disk.position()
            await clients.look(server.url, auth, crashed_at)
            await clients.make_one(server.url)
            server.end()
            crashed_at = power_cut.leave(disk.journal, chance)
            figures.during_start += crashed_at < started_at
            _count(figures, clients, auth, crashed_at)
        server = forks.start(folder)
        await clients.look(server.url, auth, crashed_at)
        server.end()
        figures.add(clients)
    return figures


async def survived(
    forks: Forks, folder: Path, rounds: int, chance: random.Random, sabotage: str | None = None
) -> Figures:
    """Of two servers one is killed while it revokes tokens that the other has in its cache."""
    figures = Figures()
    survivor = forks.start(folder)
    async with ClientSession(survivor.url) as session:
        for number in range(rounds):
            values = {}
            for index in range(_CLIENTS):
                name = f"token{number}-{index}"
                value = values[name] = await create(session, name)
                assert await status_of(session, value) == 200
            victim = forks.start(folder, sabotage=sabotage)
            async with ClientSession(victim.url) as doomed:
                revoking = [asyncio.ensure_future(_is_revoked(doomed, name)) for name in values]
                await asyncio.wait(revoking, timeout=chance.uniform(0, _LONGEST_REVOCATION_SECONDS))
                victim.end()
                told = dict(zip(values, await asyncio.gather(*revoking), strict=True))
            figures.crashes += 1
            figures.inside_an_open_change += not all(told.values())
            figures.acknowledged += sum(told.values())
            present = await views(session)
            for name, value in values.items():
                is_revoked = present[name]["status"] == "revoked"
                figures.happened_unacknowledged += is_revoked and not told[name]
                assert is_revoked or not told[name]
                assert await status_of(session, value) == (401 if is_revoked else 200)
    survivor.end()
    return figures


async def _is_revoked(session: ClientSession, name: str) -> bool:
    try:
        async with session.post(f"/api/v1/tokens/{name}/revoke", headers=bearer(ROOT_VALUE)) as response:
            assert response.status == 200
            return True
    except ClientError:
        return False


async def _work_until_killed(
    clients: Clients, url: str, chance: random.Random, kill: Callable[[], int]
) -> None:
    working = asyncio.create_task(clients.work(url))
    await asyncio.wait([working], timeout=chance.uniform(0, _LONGEST_WORK_SECONDS))
    kill()
    await working


def _count(figures: Figures, clients: Clients, auth: Path, crashed_at: float = math.inf) -> None:
    figures.crashes += 1
    figures.inside_an_open_change += any(history.is_open(crashed_at) for history in clients.histories)
    with contextlib.suppress(FileNotFoundError):  # the first start came to nothing
        generation = int.from_bytes((auth / "auth.gen").read_bytes(), sys.byteorder)
        figures.while_publishing += generation % 2


async def killed_in_use(
    forks: Forks, folder: Path, rounds: int, chance: random.Random, sabotage: str | None = None
) -> tuple[int, int]:
    """SIGKILL while a token is used; return how many of its requests were answered, and how many are counted."""
    answered = counted = 0
    value = ""
    for _ in range(rounds):
        server = forks.start(folder, sabotage=sabotage)
        try:
            async with ClientSession(server.url) as session:
                value = value or await create(session, "worker")
                seen = await _used(session, value, chance.uniform(*_USE_SECONDS))
        finally:
            server.end()
        used_before, counted = counted, await _counted(forks, folder)
        flushed = sum(at <= seen[-1] - _FLUSH_SECONDS for at in seen)
        assert 0 < flushed <= counted - used_before <= len(seen)
        answered += len(seen)

        server = forks.start(folder, sabotage=sabotage)
        async with ClientSession(server.url) as session:
            seen = await _used(session, value, _LONGEST_WORK_SECONDS)
        server.stop()
        used_before, counted = counted, await _counted(forks, folder)
        assert counted == used_before + len(seen)  # a stop in order loses nothing, and nothing counts twice
        answered += len(seen)
    return answered, counted


async def _used(session: ClientSession, value: str, seconds: float) -> list[float]:
    """Use a token for so long; return when each request was answered."""
    until = time.monotonic() + seconds
    seen = []
    while time.monotonic() < until:
        assert await status_of(session, value) == 200
        seen.append(time.monotonic())
        await asyncio.sleep(0.002)
    return seen


async def _counted(forks: Forks, folder: Path) -> int:
    """How many requests the registry knows of."""
    server = forks.start(folder)
    async with ClientSession(server.url) as session:
        counted = (await views(session))["worker"]["usage"]["total"]["read"]
    server.end()
    return int(counted)
