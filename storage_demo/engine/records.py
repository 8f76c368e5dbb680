"""What is known about one record, and how much of a bucket it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_demo.engine.errors import InvalidError
from storage_demo.engine.integers import check_integer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT_CONTENT_TYPE = "application/octet-stream"

MAX_LABELS = 80
"""Of one record: they are handed out as lines of a header, of which many clients read no more than 100."""

_US_PER_S = 1_000_000
_NS_PER_US = 1_000
_BITS_PER_VARINT_BYTE = 7


@dataclass(frozen=True, slots=True)
class Record:
    """One time-stamped record without its content.

    ``timestamp_us`` is microseconds since the epoch, ``length_bytes`` the size of the content, ``labels``
    pairs of name and value sorted by name. Raises `InvalidError` for a number outside 0 ... 2^63-1, for more
    than `MAX_LABELS` labels, and for text that is not valid Unicode.
    """

    bucket: str
    entry: str
    timestamp_us: int
    length_bytes: int
    content_type: str = DEFAULT_CONTENT_TYPE
    labels: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Check what SQLite could not hold."""
        check_timestamp(self.timestamp_us)
        check_integer(self.length_bytes, "Content length must be an integer between 0 and 2^63-1")
        check_label_count(len(self.labels))
        _check_text(self.content_type, "Content type must be a valid UTF-8 string")
        for name, value in self.labels:
            _check_text(name, "Label names must be valid UTF-8 strings")
            _check_text(value, f"Label values for {name} must be valid UTF-8 strings")


def sorted_labels(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return *labels* in the form a `Record` keeps them."""
    return tuple(sorted(labels.items()))


def check_label_count(count: int) -> None:
    """Raise `InvalidError` if a record would have more than `MAX_LABELS` labels."""
    if count > MAX_LABELS:
        raise InvalidError(f"A record can have at most {MAX_LABELS} labels, got {count}")


def check_timestamp(timestamp_us: int) -> None:
    """Raise `InvalidError` unless *timestamp_us* is 0 ... 2^63-1."""
    check_integer(timestamp_us, "'ts' must be an unix timestamp in microseconds")


def stored_size_bytes(record: Record, begin_bytes: int) -> int:
    """Return the bytes that *record* takes in a block that already holds *begin_bytes* of content.

    It is the content plus the description of the record as ReductStore encodes it: two bytes of frame,
    then a tag byte and a base-128 number for each of the seconds, the nanoseconds, the begin and the
    end of the content, left out when zero; then the content type and each label, with their lengths.
    Clients compare these sizes, so the formula must not drift.

    >>> stored_size_bytes(Record("b", "e", timestamp_us=1_000_000, length_bytes=8), begin_bytes=0)
    40
    """
    seconds, rest_us = divmod(record.timestamp_us, _US_PER_S)
    numbers = (seconds, rest_us * _NS_PER_US, begin_bytes, begin_bytes + record.length_bytes)
    numbers_bytes = sum(1 + _varint_bytes(number) for number in numbers if number > 0)
    description_bytes = 2 + numbers_bytes + 1 + _text_bytes(record.content_type)
    return record.length_bytes + description_bytes + labels_size_bytes(record.labels)


def labels_size_bytes(labels: Iterable[tuple[str, str]]) -> int:
    """Return the bytes that *labels* take in the description of a record."""
    size_bytes = 0
    for name, value in labels:
        pair_bytes = 2 + _text_bytes(name) + _text_bytes(value)
        size_bytes += 1 + _varint_bytes(pair_bytes) + pair_bytes
    return size_bytes


def _text_bytes(text: str) -> int:
    """Return the bytes of *text* in UTF-8 with its length in front."""
    length_bytes = len(text.encode())
    return _varint_bytes(length_bytes) + length_bytes


def _varint_bytes(number: int) -> int:
    """Return the bytes of *number* in base 128: 1 below 128, 2 below 16384 and so on."""
    return max(1, -(-number.bit_length() // _BITS_PER_VARINT_BYTE))


def _check_text(text: str, message: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate; the value itself must not travel on in the message.
        raise InvalidError(message) from None
