"""A plugin of pytest that writes down how each test came out: a line with its function and what it failed with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

__all__ = ["WRONG_ANSWER"]

WRONG_ANSWER = "wrong answer"
_AS_EXPECTED = "as expected"
_noticed: set[str] = set()
_FAILED = pytest.fail.Exception  # of `pytest.raises` too, when nothing was raised


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Pass over the further cases of a function that has noticed."""
    if item.nodeid.partition("[")[0] in _noticed:
        pytest.skip("noticed already")


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Write the line."""
    if call.excinfo is None and call.when != "call":
        return
    function = item.nodeid.partition("[")[0]
    if call.excinfo is None:
        verdict = _AS_EXPECTED
    elif call.when == "call" and call.excinfo.errisinstance((AssertionError, _FAILED)):
        verdict = WRONG_ANSWER
        _noticed.add(function)
    elif call.excinfo.errisinstance(pytest.skip.Exception):
        return
    else:
        verdict = f"{call.when}: {call.excinfo.exconly()}"
    with Path(os.environ["VERDICTS"]).open("a", encoding="utf-8") as verdicts:
        verdicts.write(f"{function}\t{verdict!r}\n")
