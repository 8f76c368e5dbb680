"""Arbitrary sequences of requests by arbitrary callers, against the real server: see `tests.model.machine`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.house import House
from tests.model.machine import STEPS, ServerMachine

_STEPS = 50


def run(house: House, examples: int, *, shrinks: bool = True) -> None:
    """Drive the servers of a house with so many sequences."""
    phases = (Phase.generate, Phase.shrink) if shrinks else (Phase.generate,)
    run_state_machine_as_test(
        lambda: ServerMachine(house),
        settings=settings(
            max_examples=examples,
            stateful_step_count=_STEPS,
            deadline=None,
            database=None,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("is_clocked", [False, True])
def test_the_server_does_what_the_model_says(rounds: int | None, *, is_clocked: bool) -> None:
    STEPS.clear()
    with closing(House(is_clocked=is_clocked)) as house:
        run(house, rounds or 25, shrinks=False)
    print(len(STEPS), sum(STEPS))
