"""How a bucket behaves: its quota and the shape of its blocks."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum

from storage_demo.engine.integers import MAX_INTEGER, check_integer


class QuotaType(StrEnum):
    """What happens when a record does not fit into `BucketSettings.quota_size`."""

    NONE = "NONE"
    """The size is not limited; `BucketSettings.quota_size` is kept and ignored."""
    FIFO = "FIFO"
    """The oldest records of the bucket are evicted until the new one fits."""
    HARD = "HARD"
    """The new record is refused; nothing stored is touched."""


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """The settings of one bucket, all given.

    ``quota_size`` and ``max_block_size`` are bytes, ``max_block_records`` is a number of records.
    A ``quota_size`` of 0 is a limit of zero bytes. Raises `InvalidError` for an integer above 2^63-1
    or below zero, and for a block that could hold nothing.
    """

    quota_type: QuotaType = QuotaType.NONE
    quota_size: int = 0
    max_block_size: int = 64_000_000
    max_block_records: int = 1024

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_range("quota_size", self.quota_size, minimum=0)
        _check_range("max_block_size", self.max_block_size, minimum=1)
        _check_range("max_block_records", self.max_block_records, minimum=1)


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """Some of the settings of a bucket; None means "leave it as it is"."""

    quota_type: QuotaType | None = None
    quota_size: int | None = None
    max_block_size: int | None = None
    max_block_records: int | None = None

    def merge(self, settings: BucketSettings) -> BucketSettings:
        """Return *settings* with the given fields replaced.

        Raises `InvalidError` if the result is not valid.
        """
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(settings, **{name: value for name, value in given.items() if value is not None})


NO_CHANGE = SettingsChange()


def _check_range(name: str, value: int, *, minimum: int) -> None:
    message = f"'{name}' must be an integer between {minimum} and {MAX_INTEGER}"
    check_integer(value, message, minimum=minimum)
