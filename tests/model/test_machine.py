"""Arbitrary sequences of requests by arbitrary callers, against the real server: see `tests.model.machine`."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.house import House
from tests.model.machine import STEPS, ServerMachine


def run(house: House, examples: int, *, shrinks: bool = True) -> None:
    """Drive the servers of a house with so many sequences, and print how much that was."""
    STEPS.clear()
    try:
        run_state_machine_as_test(
            lambda: ServerMachine(house),  # type: ignore[arg-type] # a factory will do
            settings=settings(
                max_examples=examples,
                stateful_step_count=50,
                deadline=None,
                database=None,
                phases=(Phase.generate, Phase.shrink) if shrinks else (Phase.generate,),
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        print(f"{len(STEPS)} sequences, {sum(STEPS)} requests")  # noqa: T201 - what a long run reports


@pytest.mark.parametrize("is_clocked", [False, True], ids=["real clock", "time passes"])
def test_the_server_does_what_the_model_says(rounds: int | None, is_clocked: bool) -> None:
    """As a user starts it; and with a clock that is put forward, so that tokens begin and expire."""
    with closing(House(is_clocked=is_clocked)) as house:
        run(house, rounds or 10)
