"""Requests with a batch -> what each asks for every record.

Only headers ``x-reduct-...-{digits}`` speak of records. Within an entry a record's header may leave out what has not
changed: the type, and the labels, of which it says only what to set and what to drop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from storage_demo.encoding.content_type import read_content_type
from storage_demo.encoding.headers import (
    Header,
    duplicate_header,
    excerpt,
    invalid_time,
    is_printable,
    read_length,
    read_number,
)
from storage_demo.encoding.items import AnnouncedRecord
from storage_demo.encoding.labels import (
    check_change_count,
    check_label_name,
    check_label_value,
    split_labels,
)
from storage_demo.encoding.names import decode_names, encode_names
from storage_demo.encoding.v2.header_names import ENTRIES, LABELS, RECORD_PREFIX, START
from storage_demo.engine import DEFAULT_CONTENT_TYPE, MAX_INTEGER, InvalidError, check_label_count

_RECORD_NAME = re.compile(rf"{RECORD_PREFIX}(.*)-([0-9]+)", re.DOTALL)
_DIGITS = re.compile(r"[0-9]+")
_INTEGER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, slots=True)
class RemovalItem:
    """A record to be removed: its entry, the entry's index in the request, and its time.

    ``delta_us`` is the time since the start of the batch, ``timestamp_us`` since the epoch.
    """

    entry: str
    entry_index: int
    delta_us: int
    timestamp_us: int


@dataclass(frozen=True, slots=True)
class WriteItem(RemovalItem):
    """A record to be stored."""

    record: AnnouncedRecord


@dataclass(frozen=True, slots=True)
class UpdateItem(RemovalItem):
    """A record whose labels change: None removes a label, those not named stay."""

    changes: dict[str, str | None]


ItemT = TypeVar("ItemT", bound=RemovalItem)


@dataclass(frozen=True, slots=True)
class Batch(Generic[ItemT]):
    """Items in the order of the server: by entry index, then by time; contents of a body follow it.

    ``echo`` are the headers of the request that the answer repeats.
    """

    items: list[ItemT]
    echo: list[Header]


WriteBatch: TypeAlias = Batch[WriteItem]
UpdateBatch: TypeAlias = Batch[UpdateItem]
RemovalBatch: TypeAlias = Batch[RemovalItem]


def read_write_batch(headers: Iterable[Header]) -> WriteBatch:
    """Return what a write asks for. Raises `InvalidError`."""
    request = _read(headers)
    label_names = _label_names(request)
    items = []
    content_type = DEFAULT_CONTENT_TYPE
    labels: dict[str, str] = {}
    for place, is_first, value in request.records:
        if is_first:
            content_type, labels = DEFAULT_CONTENT_TYPE, {}
        length, content_type_part, label_part = _split(value, is_first=is_first)
        content_type = read_content_type(content_type_part, default=content_type)
        labels = dict(labels)  # a record of its own each, and none has many
        for name, text in _operations(label_part, label_names):
            if text:
                labels[name] = text
            else:
                labels.pop(name, None)
        check_label_count(len(labels))
        record = AnnouncedRecord(place.timestamp_us, read_length(length), content_type, labels)
        items.append(WriteItem(*place, record))
    return Batch(items, request.echo)


def read_update_batch(headers: Iterable[Header]) -> UpdateBatch:
    """Return what an update asks for; what is done to an entry's record is done to its later ones too.

    Lengths and types are not looked at. Raises `InvalidError`.
    """
    request = _read(headers)
    label_names = _label_names(request)
    items = []
    changes: dict[str, str | None] = {}
    for place, is_first, value in request.records:
        changes = {} if is_first else dict(changes)
        _, _, label_part = _split(value, is_first=is_first)
        for name, text in _operations(label_part, label_names):
            changes[name] = text or None
        check_change_count(len(changes))
        items.append(UpdateItem(*place, changes))
    return Batch(items, request.echo)


def read_removal_batch(headers: Iterable[Header]) -> RemovalBatch:
    """Return what a removal asks for; values are not looked at. Raises `InvalidError`."""
    request = _read(headers)
    return Batch([RemovalItem(*place) for place, _, _ in request.records], request.echo)


class _Place(NamedTuple):
    entry: str
    entry_index: int
    delta_us: int
    timestamp_us: int


class _Request(NamedTuple):
    records: list[tuple[_Place, bool, str]]  # where, whether it is the first of its entry, the header's value
    labels_header: str | None
    echo: list[Header]


def _read(headers: Iterable[Header]) -> _Request:
    """Tell the headers of the batch and of records apart, and put the latter in order."""
    of_batch: dict[str, str] = {}
    of_records: dict[tuple[str, int], tuple[str, str]] = {}
    for raw_name, value in headers:
        name = raw_name.lower()
        if name in {ENTRIES, START, LABELS}:
            if name in of_batch:
                raise duplicate_header(name)
            of_batch[name] = value.strip(" \t")
        elif matched := _RECORD_NAME.fullmatch(name):
            key = _record_key(name, *matched.groups())
            if key in of_records:
                raise duplicate_header(name)
            of_records[key] = (name, value)

    start_us = _start_us(of_batch.get(START))
    entries = _entries(of_batch.get(ENTRIES), has_records=bool(of_records))
    places = []
    for (index, delta_us), (name, value) in of_records.items():
        entry_index = read_number(index)
        if entry_index is None or entry_index >= len(entries):
            raise InvalidError(f"Invalid header '{excerpt(name)}': entry index out of range")
        if start_us + delta_us > MAX_INTEGER:
            raise invalid_time(name)
        places.append((_Place(entries[entry_index], entry_index, delta_us, start_us + delta_us), value))
    places.sort(key=lambda found: found[0][1:])
    return _Request(list(_with_first(places)), of_batch.get(LABELS), _echo(of_batch, entries))


def _record_key(name: str, index: str, delta: str) -> tuple[str, int]:
    """Index and time of a record's header; an index too long to be a number is still a string of digits."""
    if _DIGITS.fullmatch(index) is None:
        raise InvalidError(f"Invalid header '{excerpt(name)}': entry index must be a number")
    delta_us = read_number(delta)
    if delta_us is None:
        raise invalid_time(name)
    return index.lstrip("0") or "0", delta_us


def _start_us(text: str | None) -> int:
    if not text:
        raise InvalidError(f"{START} header is required")
    start_us = read_number(text)
    if start_us is None:
        raise InvalidError(f"Invalid {START} header")
    return start_us


def _entries(text: str | None, *, has_records: bool) -> list[str]:
    # Clients send the header empty with a batch of nothing; without it, nobody meant a batch.
    if text is None or (has_records and not text):
        raise InvalidError(f"{ENTRIES} header is required")
    entries = decode_names(ENTRIES, text)
    if len(set(entries)) < len(entries):
        # Clients keep what is sticky by name, others by index: they would not read the same.
        raise InvalidError(f"Invalid {ENTRIES} header: an entry is listed twice")
    return entries


def _echo(of_batch: dict[str, str], entries: list[str]) -> list[Header]:
    listed = of_batch[ENTRIES]
    return [(ENTRIES, listed if is_printable(listed) else encode_names(entries)), (START, of_batch[START])]


def _with_first(places: list[tuple[_Place, str]]) -> Iterator[tuple[_Place, bool, str]]:
    previous = -1
    for place, value in places:
        yield place, place.entry_index != previous, value
        previous = place.entry_index


def _split(value: str, *, is_first: bool) -> tuple[str, str, str]:
    """Length, type and labels of a record's header, as they are; empty if left out."""
    length, comma, rest = value.partition(",")
    if is_first and not comma:
        raise InvalidError("Content-type and labels must be provided for the first record of an entry")
    content_type, _, labels = rest.partition(",")
    return length, content_type, labels


def _label_names(request: _Request) -> list[str] | None:
    """The names that labels may refer to by number, None if all are written out."""
    if request.labels_header is None:
        return None
    names = decode_names(LABELS, request.labels_header)
    for name in names:
        check_label_name(name)
    return names


def _operations(label_part: str, label_names: list[str] | None) -> Iterator[tuple[str, str]]:
    """What to set, and with an empty text what to drop."""
    for key, text in split_labels(label_part):
        if label_names is not None and _INTEGER.fullmatch(key):
            index = read_number(key.removeprefix("+"))
            if index is None or index >= len(label_names):
                raise InvalidError(f"Label index '{excerpt(key)}' is out of range")
            name = label_names[index]
        else:
            check_label_name(key)
            name = key
        check_label_value(text, name)
        yield name, text
