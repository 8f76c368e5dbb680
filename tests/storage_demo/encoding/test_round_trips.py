"""What the server writes, clients read: with a decoder that follows their order, and with our own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from storage_demo.encoding import v1, v2
from storage_demo.encoding.labels import format_label, split_labels
from storage_demo.engine import Record
from tests.storage_demo.encoding.answers import ENTRIES, NAMES, batches_of, merged_records, values

Headers = Sequence[tuple[str, str]]


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


@settings(deadline=None)  # other work may hold the processor
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


@settings(deadline=None)  # other work may hold the processor
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


@settings(deadline=None)  # other work may hold the processor
@given(st.lists(st.tuples(st.sampled_from(NAMES), values)))
def test_label_parts(pairs: list[tuple[str, str]]) -> None:
    """Labels that are formatted are read as the same, by a second grammar too."""
    text = ",".join(format_label(name, value) for name, value in pairs)
    assert list(split_labels(text)) == pairs
    assert decoded_label_part(text) == pairs
