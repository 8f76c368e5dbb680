"""Servers that are killed, and servers whose power goes: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults import crashes
from tests.faults.forking import Forks


@pytest.fixture
def rounds(pytestconfig: pytest.Config) -> int:
    """How many; of fewer than twenty, none may hit an open change by chance."""
    return max(20, int(pytestconfig.getoption("rounds") or 0))


async def test_killed(forks: Forks, tmp_path: Path, rounds: int, chance: random.Random) -> None:
    """SIGKILL while many clients create, edit, rotate, revoke and delete tokens."""
    figures = await crashes.killed(forks, tmp_path, rounds, chance)
    print(figures)
    assert figures.crashes >= rounds
    assert figures.inside_an_open_change > rounds // 2  # else the kills missed what they are for


async def test_without_power(forks: Forks, tmp_path: Path, rounds: int, chance: random.Random) -> None:
    """The same, on a disk that forgets what was not synced, or keeps any part of it."""
    figures = await crashes.without_power(forks, tmp_path, rounds, chance)
    print(figures)
    assert figures.inside_an_open_change > rounds // 4


async def test_without_power_at_first(
    forks: Forks, tmp_path: Path, rounds: int, chance: random.Random
) -> None:
    """The power goes in the first start, or right after the first answer."""
    figures = await crashes.without_power_at_first(forks, tmp_path, rounds, chance)
    print(figures)
    assert figures.during_start > rounds // 4


async def test_a_survivor(forks: Forks, tmp_path: Path, rounds: int, chance: random.Random) -> None:
    """Of two servers on one registry one is killed while it revokes: the other goes by what is on the disk."""
    figures = await crashes.survived(forks, tmp_path, rounds, chance)
    print(figures)
    assert figures.inside_an_open_change > 0


async def test_killed_in_use(
    request: pytest.FixtureRequest, forks: Forks, tmp_path: Path, chance: random.Random
) -> None:
    """SIGKILL while a token is used: what is not counted came after the last flush, and nothing counts twice."""
    rounds = min(10, request.config.getoption("rounds") or 1)  # of ten seconds each
    answered, counted = await crashes.killed_in_use(forks, tmp_path, rounds, chance)
    print(f"answered={answered} counted={counted}")
