"""The Python SDK as an independent implementation: it reads what we write, and we read what it writes.

Its functions for headers need no server, but they are private and may move with any version. Then these
tests are skipped and say so; the tour of the SDK against the real server remains.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from importlib import import_module, metadata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from storage_demo.encoding import v1, v2
from storage_demo.engine import Record
from tests.storage_demo.encoding.answers import ENTRIES, batches_of, merged_records, values

USED = {
    "reduct.batch.batch_v1": [
        *("Batch", "make_headers_v1", "parse_batched_records_v1", "parse_errors_from_headers_v1"),
    ],
    "reduct.batch.batch_v2": [
        *("RecordBatch", "make_headers_v2", "parse_batched_records_v2", "parse_errors_from_headers_v2"),
    ],
}
try:
    SDK: dict[str, Any] = {
        name: getattr(import_module(module), name) for module, names in USED.items() for name in names
    }
except (ImportError, AttributeError) as error:
    version = metadata.version("reduct-py")
    pytest.skip(f"reduct-py {version} keeps its batches elsewhere: {error}", allow_module_level=True)

MAX_BODY_BYTES = 100  # contents are sent here, so the records are small ones


class Content:
    """The body of an answer, as much as the SDK wants of it."""

    def __init__(self, body: bytes) -> None:
        self.rest = body

    async def read(self, size: int = -1) -> bytes:
        size = len(self.rest) if size < 0 else size
        chunk, self.rest = self.rest[:size], self.rest[size:]
        return chunk

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        while self.rest:
            yield await self.read(size)


class Answer:
    """An answer with a batch, as much as the SDK wants of it."""

    method = "GET"

    def __init__(self, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        self.headers = CIMultiDict([*headers, ("x-reduct-last", "false")])
        self.content = Content(body)
        self.read = self.content.read


def content_of(record: Record) -> bytes:
    """Bytes of the right length that no other record has at the same place."""
    return f"{record.entry}@{record.timestamp_us};".encode().ljust(record.length_bytes, b".")[
        : record.length_bytes
    ]


def read_by_sdk(
    batches: list[list[tuple[str, str]]], records: list[Record], parse: Callable[[Any], AsyncIterator[Any]]
) -> list[tuple[Record, bytes]]:
    """What the SDK makes of answers to a query of *records*."""
    rest = list(records)

    async def read() -> list[tuple[Record, bytes]]:
        found = []
        for headers in batches:
            count = sum(name.rsplit("-", 1)[-1].isdigit() for name, _ in headers)
            body = b"".join(map(content_of, rest[:count]))
            del rest[:count]
            async for record in parse(Answer(headers, body)):
                labels = tuple(sorted(record.labels.items()))
                read = Record("b", record.entry, record.timestamp, record.size, record.content_type, labels)
                found.append((read, await record.read_all()))
        return found

    return asyncio.run(read())


def small(records: list[Record]) -> list[Record]:
    return [record for record in records if record.length_bytes <= MAX_BODY_BYTES]


@settings(deadline=None)  # other work may hold the processor
@given(merged_records())
def test_the_sdk_reads_batches_of_several_entries(merged: list[Record]) -> None:
    """Every record with its own content, in the order of the query."""
    records = small(merged)
    found = read_by_sdk(batches_of(records, v2.BatchHeaders), records, SDK["parse_batched_records_v2"])
    assert found == [(record, content_of(record)) for record in records]


@settings(deadline=None)  # other work may hold the processor
@given(merged_records())
def test_the_sdk_reads_batches_of_one_entry(merged: list[Record]) -> None:
    """The same, but for values with commas: this SDK does not read the protocol's quotes there."""
    records = [
        record
        for record in small(merged)
        if record.entry == ENTRIES[0] and not any("," in value for _, value in record.labels)
    ]
    parse = SDK["parse_batched_records_v1"]
    found = read_by_sdk(
        batches_of(records, v1.BatchHeaders), records, lambda answer: parse(answer, ENTRIES[0])
    )
    assert found == [(record, content_of(record)) for record in records]


# The SDK does not encode percent signs in names, and its v1 does not quote values.
sdk_labels = st.dictionaries(st.sampled_from(["k", "l", "K", "0", "a.b"]), values, max_size=4)
sdk_records = st.dictionaries(
    st.tuples(st.sampled_from(ENTRIES), st.integers(1, 10**16)),
    st.tuples(st.binary(max_size=5), st.sampled_from(["a/b", "text/plain", None]), sdk_labels),
    max_size=20,
)
SdkRecords = dict[tuple[str, int], tuple[bytes, str | None, dict[str, str]]]


@settings(deadline=None)  # other work may hold the processor
@given(sdk_records)
def test_batches_of_several_entries_from_the_sdk(records: SdkRecords) -> None:
    """What the SDK writes arrives, in the order in which it sends the contents; also a batch of nothing."""
    batch = SDK["RecordBatch"]()
    for (entry, timestamp_us), (content, content_type, labels) in records.items():
        batch.add(entry, timestamp_us, content, content_type=content_type, labels=labels)
    length_bytes, headers = SDK["make_headers_v2"](batch)
    found = v2.read_write_batch(headers.items())
    sent = [(*place, *record) for place, record in sorted(records.items())]
    assert [
        (
            item.entry,
            item.timestamp_us,
            item.record.length_bytes,
            item.record.content_type,
            item.record.labels,
        )
        for item in found.items
    ] == [
        (entry, time, len(content), content_type or "application/octet-stream", labels)
        for entry, time, content, content_type, labels in sent
    ]
    assert sum(item.record.length_bytes for item in found.items) == length_bytes
    removed = [(item.entry, item.timestamp_us) for item in v2.read_removal_batch(headers.items()).items]
    assert removed == sorted(records)


@settings(deadline=None)  # other work may hold the processor
@given(sdk_records)
def test_batches_of_one_entry_from_the_sdk(records: SdkRecords) -> None:
    """The same of v1, but for values with commas, which this SDK sends without quotes."""
    batch = SDK["Batch"]()
    kept = {
        time: (content, content_type, labels)
        for (_, time), (content, content_type, labels) in records.items()
        if not any("," in value for value in labels.values())
    }
    for time, (content, content_type, labels) in kept.items():
        batch.add(time, content, content_type=content_type, labels=labels)
    _, headers = SDK["make_headers_v1"](batch)
    assert [
        (new.timestamp_us, new.length_bytes, new.content_type, new.labels)
        for new in v1.read_write_batch(headers.items())
    ] == [
        (time, len(content), content_type or "application/octet-stream", labels)
        for time, (content, content_type, labels) in sorted(kept.items())
    ]
    assert v1.read_removal_batch(headers.items()) == sorted(kept)


def test_label_updates_from_the_sdk() -> None:
    """An empty value removes, in both protocols."""
    several = SDK["RecordBatch"]()
    several.add("a", 1, labels={"k": "v", "l": ""})
    several.add("a", 2, labels={"k": "w", "l": ""})
    several.add("b", 1, labels={"l": "x,y"})
    updates = v2.read_update_batch(SDK["make_headers_v2"](several)[1].items()).items
    assert [(item.entry, item.timestamp_us, item.changes) for item in updates] == [
        ("a", 1, {"k": "v", "l": None}),
        ("a", 2, {"k": "w", "l": None}),
        ("b", 1, {"l": "x,y"}),
    ]
    one = SDK["Batch"]()
    one.add(7, labels={"k": "v", "l": ""})
    (change,) = v1.read_update_batch(SDK["make_headers_v1"](one)[1].items())
    assert (change.timestamp_us, change.changes) == (7, {"k": "v", "l": None})


def test_the_sdk_reads_errors() -> None:
    """With the entries and the start that are sent back."""
    headers = [("x-reduct-entries", "a%2Fb,c"), ("x-reduct-start-ts", "100"), ("x-reduct-0-5", "0,")]
    echo = v2.read_write_batch(headers).echo
    answer = CIMultiDict(
        [*echo, v2.error_header(0, 5, 409, "A record, it seems"), v2.error_header(1, 0, 404, "No")]
    )
    errors = SDK["parse_errors_from_headers_v2"](answer)
    assert {
        entry: {time: (error.status_code, error.message) for time, error in of_entry.items()}
        for entry, of_entry in errors.items()
    } == {"a/b": {105: (409, "A record, it seems")}, "c": {100: (404, "No")}}
    answer = CIMultiDict([v1.error_header(7, 409, "A record, it seems")])
    errors = SDK["parse_errors_from_headers_v1"](answer)
    assert {time: (error.status_code, error.message) for time, error in errors.items()} == {
        7: (409, "A record, it seems")
    }
