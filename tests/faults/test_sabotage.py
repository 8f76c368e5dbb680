"""Each fault test fails when its mechanism is switched off: run with `--sabotage`."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.faults import crashes
from tests.faults.disk import Kind
from tests.faults.forking import Forks
from tests.faults.sabotage import SABOTAGES
from tests.faults.test_failing_disk import FAULTS, ROUTES, DiskFault, sweep
from tests.faults.test_tampered_files import NOTICED, TAMPERED, refuse, while_running

ROUNDS = 60
"""In which each of them must be found out."""

Experiment = Callable[[Forks, Path, random.Random, str], Awaitable[object]]
Rounds = Callable[[Forks, Path, int, random.Random, str], Awaitable[object]]


def in_rounds(experiment: Rounds) -> Experiment:
    return lambda forks, folder, chance, sabotage: experiment(forks, folder, ROUNDS, chance, sabotage)


def in_use(forks: Forks, folder: Path, chance: random.Random, sabotage: str) -> Awaitable[object]:
    return crashes.killed_in_use(forks, folder, 1, chance, sabotage)


def failing(route: str, fault: DiskFault, kinds: Kind) -> Experiment:
    return lambda forks, folder, chance, sabotage: sweep(
        forks, folder, ROUTES[route], fault, kinds, sabotage=sabotage
    )


def tampered(name: str) -> Experiment:
    return lambda forks, folder, chance, sabotage: refuse(forks, folder, *TAMPERED[name], sabotage)


def tampered_while_running(name: str) -> Experiment:
    async def experiment(forks: Forks, folder: Path, chance: random.Random, sabotage: str) -> None:
        assert await while_running(forks, folder, NOTICED[name], sabotage) == 0

    return experiment


FOUND_OUT: dict[str, Experiment] = {
    "synchronous off": in_rounds(crashes.without_power),
    "synchronous normal": in_rounds(crashes.without_power),
    "no sync of folders": in_rounds(crashes.without_power_at_first),
    "no sync of files": in_rounds(crashes.without_power_at_first),
    "answer before the commit": in_rounds(crashes.killed),
    "two commits for a change": in_rounds(crashes.killed),
    "commit, then publish": in_rounds(crashes.survived),
    "keep changes that failed": failing("create", FAULTS["I/O error"], Kind.SYNC),
    "go on after a failed commit": failing("create", FAULTS["I/O error"], Kind.SYNC),
    "answer 500": failing("rotate", FAULTS["I/O error"], Kind.SYNC),
    "build over what was lost": tampered("database taken away"),
    "trust any generation": tampered("an older database put back"),
    "open files of others": tampered("key readable by others"),
    "flush at the end": in_use,
    "flush twice": in_use,
    "ignore files that went away": tampered_while_running("database exchanged"),
}


def test_each_sabotage_has_its_experiment() -> None:
    """No mechanism is forgotten."""
    assert FOUND_OUT.keys() == SABOTAGES.keys()


@pytest.mark.parametrize("sabotage", SABOTAGES)
async def test_found_out(
    request: pytest.FixtureRequest, forks: Forks, tmp_path: Path, chance: random.Random, sabotage: str
) -> None:
    """The test of the mechanism fails without it."""
    if not request.config.getoption("sabotage"):
        pytest.skip("runs with --sabotage")
    with pytest.raises(AssertionError):
        await FOUND_OUT[sabotage](forks, tmp_path, chance, sabotage)
