"""Times in answers: the same text, whichever way it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reductauth.times import rfc3339
from reductauth.web.wire import to_json, wire_time

YEAR_1_US = -62_135_596_800_000_000
YEAR_10000_US = 253_402_300_800_000_000


@pytest.mark.parametrize(
    ("time_us", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_900_000_000_000_000, "2030-03-17T17:46:40.000000Z"),
        (1_900_000_000_100_000, "2030-03-17T17:46:40.100000Z"),
        (1_900_000_000_123_456, "2030-03-17T17:46:40.123456Z"),
        (YEAR_1_US, "0001-01-01T00:00:00.000000Z"),
        (YEAR_1_US + 1, "0001-01-01T00:00:00.000001Z"),
        (YEAR_10000_US - 1, "9999-12-31T23:59:59.999999Z"),
        (YEAR_1_US - 1, "0001-01-01T00:00:00.000000Z"),
        (YEAR_10000_US + 1, "9999-12-31T23:59:59.999999Z"),
        (2**63 - 1, "9999-12-31T23:59:59.999999Z"),
        (-(2**63), "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_times(time_us: int, text: str) -> None:
    """Always six digits of fraction; beyond all years of four digits, their end."""
    assert to_json(wire_time(time_us)) == f'"{text}"'.encode()
    assert rfc3339(time_us) == text


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1) | st.integers(YEAR_1_US, YEAR_10000_US))
def test_any_time(time_us: int) -> None:
    """It is written as text elsewhere is: there is one format."""
    assert to_json(wire_time(time_us)) == f'"{rfc3339(time_us)}"'.encode()


def test_no_time() -> None:
    """It is null."""
    assert to_json({"at": wire_time(None)}) == b'{"at":null}'
