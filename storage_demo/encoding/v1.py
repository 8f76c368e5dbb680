"""Batches of one entry: a header ``x-reduct-time-{ts}: {length},{type}[,{labels}]`` per record."""

from __future__ import annotations

from collections.abc import Iterable

from storage_demo.encoding.content_type import read_content_type, written_content_type
from storage_demo.encoding.headers import (
    Header,
    duplicate_header,
    error_value,
    invalid_time,
    line_bytes,
    read_length,
    read_number,
)
from storage_demo.encoding.items import AnnouncedRecord, RequestedChange
from storage_demo.encoding.labels import (
    check_change_count,
    format_label,
    read_labels,
    written_labels,
)
from storage_demo.engine import InvalidError, Record, check_label_count

__all__ = [
    "AnnouncedRecord",
    "BatchHeaders",
    "RequestedChange",
    "error_header",
    "read_removal_batch",
    "read_update_batch",
    "read_write_batch",
    "record_header",
]

_TIME_PREFIX = "x-reduct-time-"
_ERROR_PREFIX = "x-reduct-error-"


def read_write_batch(headers: Iterable[Header]) -> list[AnnouncedRecord]:
    """Return the records of a POST, in ascending time: the order of their contents in the body.

    Raises `InvalidError`.
    """
    records = []
    for timestamp_us, value in _records(headers):
        length, content_type, label_part = _split(value)
        labels = dict(read_labels(label_part))
        check_label_count(len(labels))
        records.append(
            AnnouncedRecord(timestamp_us, read_length(length), read_content_type(content_type), labels)
        )
    return records


def read_update_batch(headers: Iterable[Header]) -> list[RequestedChange]:
    """Return the changes of a PATCH, in ascending time; lengths and types are not looked at.

    Raises `InvalidError`.
    """
    updates = []
    for timestamp_us, value in _records(headers):
        _, _, label_part = _split(value)
        changes = {name: text or None for name, text in read_labels(label_part)}
        check_change_count(len(changes))
        updates.append(RequestedChange(timestamp_us, changes))
    return updates


def read_removal_batch(headers: Iterable[Header]) -> list[int]:
    """Return the times of a DELETE in microseconds, ascending; values are not looked at.

    Raises `InvalidError`.
    """
    return [timestamp_us for timestamp_us, _ in _records(headers)]


def record_header(record: Record) -> Header:
    """Return the header that describes *record* in an answer."""
    labels = [format_label(name, value) for name, value in written_labels(sorted(record.labels))]
    value = ",".join([str(record.length_bytes), written_content_type(record.content_type), *labels])
    return f"{_TIME_PREFIX}{record.timestamp_us}", value


def error_header(timestamp_us: int, status: int, message: str) -> Header:
    """Return the header that says why the record at *timestamp_us* failed."""
    return f"{_ERROR_PREFIX}{timestamp_us}", error_value(status, message)


class BatchHeaders:
    """The headers of records of one entry; see the protocol of the same name."""

    def __init__(self) -> None:
        self._items: list[Header] = []
        self._header_bytes = 0
        self._last_us = -1

    @property
    def record_count(self) -> int:
        """How many records the batch has."""
        return len(self._items)

    @property
    def header_bytes(self) -> int:
        """How many bytes the headers take."""
        return self._header_bytes

    def fits(self, record: Record) -> bool:  # noqa: ARG002
        """Records of one entry can always follow each other."""
        return True

    def add(self, record: Record) -> None:
        """Add *record*, later than all before it, or raise `ValueError`."""
        if record.timestamp_us <= self._last_us:
            raise ValueError("records of a batch come in ascending time")
        self._last_us = record.timestamp_us
        header = record_header(record)
        self._items.append(header)
        self._header_bytes += line_bytes(*header)

    def items(self) -> list[Header]:
        """Return the headers in ascending time."""
        return list(self._items)


def _records(headers: Iterable[Header]) -> list[tuple[int, str]]:
    """Time and header value of each record, in ascending time."""
    found: dict[int, str] = {}
    for raw_name, value in headers:
        name = raw_name.lower()
        if not name.startswith(_TIME_PREFIX):
            continue
        timestamp_us = read_number(name.removeprefix(_TIME_PREFIX))
        if timestamp_us is None:
            raise invalid_time(name)
        if timestamp_us in found:
            raise duplicate_header(name)
        found[timestamp_us] = value
    return sorted(found.items())


def _split(value: str) -> tuple[str, str, str]:
    """Length, type and labels of a record's header, as they are."""
    length, comma, rest = value.partition(",")
    if not comma:
        raise InvalidError("Invalid batched header")
    content_type, _, labels = rest.partition(",")
    return length, content_type, labels
