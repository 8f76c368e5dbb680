"""What the server writes, clients read: with a decoder that follows their order, and with our own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from storage_demo.encoding import v1, v2
from storage_demo.encoding.batch import BatchHeaders, is_full
from storage_demo.encoding.labels import format_label, split_labels
from storage_demo.engine import Record

Headers = Sequence[tuple[str, str]]

ENTRIES = ["a", "b", "a/b", "c-1/$meta", "Z_9"]
NAMES = ["k", "l", "K", "0", "12", "a.b", "100%", "%41", "#|~"]
LETTERS = "abXY01 =\"'%;\\"

# Values as they are stored by requests: without spaces around them, and without what no batch can hold.
values = st.one_of(
    st.text(LETTERS, min_size=1).filter(lambda value: not value.startswith('"')),
    st.text(LETTERS.replace('"', ",,"), min_size=1),
).filter(lambda value: value == value.strip())
labels = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)


@st.composite
def merged_records(draw: st.DrawFn) -> list[Record]:
    """Records of several entries as a query merges them, often close to each other and alike."""
    start_us = draw(st.sampled_from([0, 7, 10**15, 2**63 - 300]))
    places = draw(st.sets(st.tuples(st.integers(0, 200), st.sampled_from(ENTRIES)), max_size=30))
    few_labels = draw(st.lists(labels, min_size=1, max_size=3))
    return [
        Record(
            "b",
            entry,
            start_us + delta_us,
            draw(st.sampled_from([0, 1, 5, 9_000_000])),
            draw(st.sampled_from(["application/octet-stream", "text/plain; charset=utf-8", "a/b"])),
            tuple(sorted(draw(st.sampled_from(few_labels)).items())),
        )
        for delta_us, entry in sorted(places)
    ]


def batches_of(records: Sequence[Record], make: Callable[[], BatchHeaders]) -> list[list[tuple[str, str]]]:
    """Headers of one answer after the other, as a server fills them."""
    batches = []
    headers, body_bytes = make(), 0
    for record in records:
        if is_full(headers, body_bytes) or not headers.fits(record):
            batches.append(headers.items())
            headers, body_bytes = make(), 0
        headers.add(record)
        body_bytes += record.length_bytes
    return [*batches, headers.items()] if records else []


def decoded_label_part(text: str) -> list[tuple[str, str]]:
    """Names and values, by a grammar of one line."""
    found = re.findall(r'([^=,]+)=(?:"([^"]*)"|([^,]*))(?:,|$)', text)
    return [(name, quoted or plain) for name, quoted, plain in found]


def decoded_by_client(headers: Headers) -> list[Record]:
    """Read an answer like the SDKs: ordered by delta, then by entry index, sticky by entry."""
    table = dict(headers)
    entries = [unquote(entry) for entry in table["x-reduct-entries"].split(",")]
    names = [unquote(name) for name in table.get("x-reduct-labels", "").split(",")]
    places = [match for name in table if (match := re.fullmatch(r"x-reduct-([0-9]+)-([0-9]+)", name))]
    sticky: dict[str, tuple[str, dict[str, str]]] = {}
    records = []
    for place in sorted(places, key=lambda match: (int(match[2]), int(match[1]))):
        entry = entries[int(place[1])]
        length, content_type, label_part = [*table[place[0]].split(",", 2), "", ""][:3]
        before_type, before_labels = sticky.get(entry, ("none", {}))
        now = dict(before_labels)
        for index, value in decoded_label_part(label_part):
            now[names[int(index)]] = value
        kept = {name: value for name, value in now.items() if value}
        sticky[entry] = (content_type or before_type, kept)
        timestamp_us = int(table["x-reduct-start-ts"]) + int(place[2])
        sorted_labels = tuple(sorted(kept.items()))
        records.append(Record("b", entry, timestamp_us, int(length), sticky[entry][0], sorted_labels))
    return records


def decoded_by_server(headers: Headers) -> list[Record]:
    """Read an answer as if it were a request: ordered by entry index, then by delta."""
    return [
        Record(
            "b",
            item.entry,
            item.timestamp_us,
            item.record.length_bytes,
            item.record.content_type,
            tuple(sorted(item.record.labels.items())),
        )
        for item in v2.read_write_batch(headers).items
    ]


@given(merged_records())
def test_several_entries(records: list[Record]) -> None:
    """Records, their order included, are the same for a client, for a server, and in the query."""
    batches = batches_of(records, v2.BatchHeaders)
    assert [record for batch in batches for record in decoded_by_client(batch)] == records
    assert [record for batch in batches for record in decoded_by_server(batch)] == records


def test_the_property_sees_the_trap() -> None:
    """Without the rule of `fits`, the two orders differ; the property above can fail."""
    records = [Record("b", entry, time, 1, "a/b") for time, entry in ((1, "a"), (2, "b"), (3, "a"))]
    trapped = [
        ("x-reduct-entries", "a,b"),
        ("x-reduct-start-ts", "1"),
        ("x-reduct-0-0", "1,a/b"),
        ("x-reduct-1-1", "1,a/b"),
        ("x-reduct-0-2", "1"),
    ]
    assert decoded_by_client(trapped) == records
    assert decoded_by_server(trapped) != records
    assert len(batches_of(records, v2.BatchHeaders)) == 2


@given(merged_records())
def test_one_entry(records: list[Record]) -> None:
    """What a v1 answer says of records is read from it as a request."""
    alone = [record for record in records if record.entry == ENTRIES[0]]
    found = [
        Record(
            "b", "a", new.timestamp_us, new.length_bytes, new.content_type, tuple(sorted(new.labels.items()))
        )
        for batch in batches_of(alone, v1.BatchHeaders)
        for new in v1.read_write_batch(batch)
    ]
    assert found == alone


@given(st.lists(st.tuples(st.sampled_from(NAMES), values)))
def test_label_parts(pairs: list[tuple[str, str]]) -> None:
    """Labels that are formatted are read as the same, by a second grammar too."""
    text = ",".join(format_label(name, value) for name, value in pairs)
    assert list(split_labels(text)) == pairs
    assert decoded_label_part(text) == pairs
