"""The tests of this folder notice when a mechanism of the server is switched off."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from tests.model.agreement import Disagreement
from tests.model.house import House
from tests.model.sabotage import SABOTAGES
from tests.model.test_histories import check_administrators, check_names
from tests.model.test_machine import run

# Which test has to notice it, and how much it may need for that.
Watch = Callable[[House], object]


def sequences(house: House) -> None:
    """Arbitrary requests, one after the other."""
    run(house, 1_000, shrinks=False)


def names(house: House) -> None:
    """Changes at once, by name."""
    for seed in range(20):
        check_names(house, seed)


def administrators(house: House) -> None:
    """Administrators who end each other."""
    for seed in range(50):
        check_administrators(house, seed)


NOTICED: dict[str, Watch] = {
    "generation_stands_still": sequences,
    "wildcards_open_system_buckets": sequences,
    "prefixes_everywhere": sequences,
    "last_administrator_may_go": sequences,
    "actor_is_not_checked_again": administrators,
    "edit_outside_the_transaction": names,
    "old_values_live_on": sequences,
    "revocations_are_forgotten": sequences,
    "grants_stay_behind": sequences,
    "switched_off_tokens_pass": sequences,
    "links_outlive_rotations": sequences,
    "links_outlive_permissions": sequences,
    "queries_are_for_everybody": sequences,
}


def test_the_table_is_complete() -> None:
    """Every sabotage has somebody who notices it."""
    assert NOTICED.keys() == SABOTAGES.keys()


@pytest.mark.parametrize("sabotage", NOTICED)
def test_a_sabotage_is_noticed(sabotage: str, pytestconfig: pytest.Config) -> None:
    """The servers start and answer, and an answer is wrong."""
    if not pytestconfig.getoption("sabotage"):
        pytest.skip("takes a while: give --sabotage")
    with closing(House(sabotage)) as house, pytest.raises(Disagreement):
        NOTICED[sabotage](house)
