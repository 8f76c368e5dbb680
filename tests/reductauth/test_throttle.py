"""Failures of a network: so many at once, then so many a minute; in memory that never grows."""

from __future__ import annotations

import tracemalloc

import pytest

from reductauth.throttle import SLOTS, Throttle

NOW_US = 1_900_000_000_000_000
SECOND_US = 1_000_000
ALICE, BOB = "203.0.113.7", "198.51.100.1"


def fail(throttle: Throttle, times: int, address: str | None = ALICE, now_us: int = NOW_US) -> list[int]:
    """Fail so many times at once; return in how many seconds each may try again."""
    return [throttle.seconds_to_wait(address, now_us) for _ in range(times)]


@pytest.mark.parametrize(
    ("per_minute", "seconds"), [(1, 60), (2, 30), (7, 9), (60, 1), (61, 1), (1_000, 1), (1_000_000, 1)]
)
def test_the_burst_is_a_minutes_worth(per_minute: int, seconds: int) -> None:
    """A network that has been quiet fails so many times at once; then it waits for the next one."""
    throttle = Throttle(per_minute)
    assert fail(throttle, min(per_minute, 2_000)) == [0] * min(per_minute, 2_000)
    fail(throttle, max(per_minute - 2_000, 0))
    assert fail(throttle, 3) == [seconds] * 3


# Twelve a minute: one every five seconds. The bucket is emptied at 0; microseconds after that -> the answer.
REFILL = [
    (0, 5),
    (1, 5),
    (999_999, 5),
    (1_000_000, 4),
    (4_000_000, 1),
    (4_000_001, 1),
    (4_999_999, 1),
    (5_000_000, 0),
    (5_000_000, 5),
    (9_999_999, 1),
    (10_000_000, 0),
    (20_000_000, 0),
    (20_000_000, 0),
    (20_000_000, 5),
]


def test_the_refill_to_the_second() -> None:
    """One is let through every five seconds, not a microsecond sooner; what was too much is forgotten."""
    throttle = Throttle(12)
    assert fail(throttle, 12) == [0] * 12
    assert [throttle.seconds_to_wait(ALICE, NOW_US + after_us) for after_us, _ in REFILL] == [
        wait for _, wait in REFILL
    ]


def test_a_bucket_is_never_more_than_full() -> None:
    """A day of quiet saves up a minute's worth."""
    throttle = Throttle(12)
    assert fail(throttle, 13) == [0] * 12 + [5]
    assert fail(throttle, 13, now_us=NOW_US + 86_400 * SECOND_US) == [0] * 12 + [5]


@pytest.mark.parametrize("back_us", [1, 59 * SECOND_US, 365 * 86_400 * SECOND_US])
def test_a_clock_that_is_set_back(back_us: int) -> None:
    """Nobody waits for the time that was taken back: one interval at most, and then the limit is what it was."""
    throttle = Throttle(12)
    fail(throttle, 12)
    then_us = NOW_US - back_us
    assert fail(throttle, 1, now_us=then_us) == [5]
    assert fail(throttle, 2, now_us=then_us + 5 * SECOND_US) == [0, 5]


def test_a_clock_that_stands() -> None:
    """No time, no refill."""
    throttle = Throttle(12)
    assert fail(throttle, 1_000) == [0] * 12 + [5] * 988


@pytest.mark.parametrize(
    ("one", "other", "is_one_network"),
    [
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("203.0.113.7", "::ffff:cb00:7107", True),
        ("203.0.113.7", "::ffff:203.0.113.8", False),
        ("2001:db8:0:1::1", "2001:db8:0:1::1", True),
        ("2001:db8:0:1::1", "2001:DB8:0:1:ffff:ffff:ffff:ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("2001:db8:0:1::1", "2001:db9:0:1::1", False),
        ("::1", "::2", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("fe80::1%eth0", "fe80::1", True),
        (None, None, True),
        (None, "203.0.113.7", False),
        (None, "2001:db8:0:1::1", False),
        (None, "no:address", True),
    ],
)
def test_networks(one: str | None, other: str | None, is_one_network: bool) -> None:
    """An IPv4 address is a network, so is an IPv6 /64; the unknown ones are one together."""
    for _ in range(3):  # two networks may share a slot by chance: hardly three times
        throttle = Throttle(1)
        assert fail(throttle, 2, one) == [0, 60]
        found = fail(throttle, 1, other)
        if is_one_network or found == [0]:
            break
    assert found == ([60] if is_one_network else [0])


def test_networks_that_share_a_slot_share_a_bucket() -> None:
    """With a single slot everybody's failures are one; nothing else could be, in memory of a fixed size."""
    throttle = Throttle(2, slots=1)
    assert [*fail(throttle, 1), *fail(throttle, 2, BOB), *fail(throttle, 1, None)] == [0, 0, 30, 30]


def test_nobody_knows_who_shares_a_slot() -> None:
    """Which networks share one differs from throttle to throttle: no address can be chosen to get in another's way."""

    def sharing_with_alice() -> list[str]:
        throttle, found = Throttle(1, slots=2), []
        for number in range(64):
            now_us = NOW_US + number * 120 * SECOND_US  # every bucket is full again
            assert fail(throttle, 1, ALICE, now_us) == [0]
            if fail(throttle, 1, f"198.51.100.{number}", now_us) == [60]:
                found.append(f"198.51.100.{number}")
        return found

    assert sharing_with_alice() != sharing_with_alice()


def test_a_flood_frees_nobody_and_takes_no_memory() -> None:
    """100,000 networks fail: who was out of failures still is, and nothing has grown."""
    throttle = Throttle(1)
    assert fail(throttle, 2) == [0, 60]
    strangers = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(100_000)]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for stranger in strangers:
            throttle.seconds_to_wait(stranger, NOW_US)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000
    assert fail(throttle, 1) == [60]
    assert len(throttle._full_at_us) == SLOTS
