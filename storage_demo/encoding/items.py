"""What a request asks for one record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnnouncedRecord:
    """A record to be stored: time in microseconds since the epoch, length in bytes, type and labels."""

    timestamp_us: int
    length_bytes: int
    content_type: str
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class RequestedChange:
    """What becomes of labels of the record at ``timestamp_us``: None removes one, the others stay."""

    timestamp_us: int
    changes: dict[str, str | None]
