"""Settings of buckets: defaults, merging, ranges."""

from __future__ import annotations

import pytest

from storage_demo.engine import BucketSettings, InvalidError, QuotaType, SettingsChange

MAX = 9_223_372_036_854_775_807


def test_defaults() -> None:
    """A bucket that was told nothing has no quota and blocks of 64 MB or 1024 records."""
    settings = BucketSettings()
    assert settings.quota_type == "NONE"
    assert (settings.quota_size, settings.max_block_size, settings.max_block_records) == (0, 64_000_000, 1024)


def test_merge_replaces_what_is_given_and_keeps_the_rest() -> None:
    """None leaves a field alone, and a given zero is not mistaken for None."""
    before = BucketSettings(QuotaType.HARD, quota_size=10, max_block_size=20, max_block_records=30)
    after = SettingsChange(quota_size=0, max_block_records=31).merge(before)
    assert after == BucketSettings(QuotaType.HARD, quota_size=0, max_block_size=20, max_block_records=31)


def test_empty_change_changes_nothing() -> None:
    """A change without fields merges to the same settings."""
    before = BucketSettings(QuotaType.FIFO, 1, 2, 3)
    assert SettingsChange().merge(before) == before


def test_the_largest_integers_are_accepted() -> None:
    """2^63-1 is inside the range of every number."""
    change = SettingsChange(quota_size=MAX, max_block_size=MAX, max_block_records=MAX)
    assert change.merge(BucketSettings()).quota_size == MAX


@pytest.mark.parametrize(
    "change",
    [
        SettingsChange(quota_size=-1),
        SettingsChange(quota_size=MAX + 1),
        SettingsChange(max_block_size=0),
        SettingsChange(max_block_size=MAX + 1),
        SettingsChange(max_block_records=0),
        SettingsChange(max_block_records=-1),
        SettingsChange(max_block_records=MAX + 1),
    ],
)
def test_numbers_out_of_range(change: SettingsChange) -> None:
    """Negative numbers, those beyond 63 bits, and blocks for nothing are refused."""
    with pytest.raises(InvalidError, match="must be an integer between"):
        change.merge(BucketSettings())
