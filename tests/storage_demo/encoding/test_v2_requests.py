"""Requests with batches of several entries, as the protocol reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from storage_demo.encoding.items import AnnouncedRecord
from storage_demo.encoding.v2 import (
    RemovalItem,
    UpdateItem,
    WriteItem,
    read_removal_batch,
    read_update_batch,
    read_write_batch,
)
from storage_demo.engine import InvalidError

OCTETS = "application/octet-stream"
Reader = Callable[[list[tuple[str, str]]], Any]
READERS: list[Reader] = [
    read_write_batch,
    read_update_batch,
    read_removal_batch,
]

Headers = dict[str, str]


def batch(entries: str = "a,b", start: str = "100", labels: str | None = None, **records: str) -> Headers:
    """Headers of a batch; `r0_5` is the record of entry 0 at delta 5."""
    of_records = {f"x-reduct-{name[1:].replace('_', '-')}": value for name, value in records.items()}
    of_labels = {} if labels is None else {"x-reduct-labels": labels}
    return {"x-reduct-entries": entries, "x-reduct-start-ts": start, **of_labels, **of_records}


def pairs(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items())


def written(headers: Headers) -> list[tuple[str, int, int, str, dict[str, str]]]:
    """Entry, time, length, type and labels of what is written."""
    return [
        (
            item.entry,
            item.timestamp_us,
            item.record.length_bytes,
            item.record.content_type,
            item.record.labels,
        )
        for item in read_write_batch(pairs(headers)).items
    ]


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(InvalidError) as caught:
        act()
    return str(caught.value)


def test_what_an_item_knows() -> None:
    """Its entry and the index of it, its time since the start and since the epoch, and what to do."""
    headers = batch("a,b%2Fc", "100", r1_5="3,text/plain,k=v")
    record = AnnouncedRecord(105, 3, "text/plain", {"k": "v"})
    assert read_write_batch(pairs(headers)).items == [WriteItem("b/c", 1, 5, 105, record)]
    assert read_update_batch(pairs(headers)).items == [UpdateItem("b/c", 1, 5, 105, {"k": "v"})]
    assert read_removal_batch(pairs(headers)).items == [RemovalItem("b/c", 1, 5, 105)]


@pytest.mark.parametrize("reader", READERS)
def test_the_order_is_entry_index_then_delta(reader: Reader) -> None:
    """Numerically both, however they were sent, and names in any case."""
    entries = ",".join("abcdefghijk")
    names = ["X-Reduct-10-0", "x-reduct-2-10", "x-reduct-2-9", "X-REDUCT-0-300", "x-reduct-1-0"]
    headers = batch(entries) | dict.fromkeys(names, "0,")
    found = [(item.entry_index, item.delta_us) for item in reader(pairs(headers)).items]
    assert found == [(0, 300), (1, 0), (2, 9), (2, 10), (10, 0)]


@pytest.mark.parametrize(
    ("values", "records"),
    [
        (["1,", "2"], [(1, OCTETS, {}), (2, OCTETS, {})]),
        (["1,,", "2,"], [(1, OCTETS, {}), (2, OCTETS, {})]),
        (["1,text/plain", "2"], [(1, "text/plain", {}), (2, "text/plain", {})]),
        (
            ["1,text/plain", "2,,k=v", "3"],
            [(1, "text/plain", {}), (2, "text/plain", {"k": "v"}), (3, "text/plain", {"k": "v"})],
        ),
        (
            ["1,a/b,k=v", "2,c/d", "3,,k=w", "4"],
            [(1, "a/b", {"k": "v"}), (2, "c/d", {"k": "v"}), (3, "c/d", {"k": "w"}), (4, "c/d", {"k": "w"})],
        ),
        (
            ["1,,k=v,l=w", "2,,k=", "3,,k=x", "4,,l=,k="],
            [
                (1, OCTETS, {"k": "v", "l": "w"}),
                (2, OCTETS, {"l": "w"}),
                (3, OCTETS, {"l": "w", "k": "x"}),
                (4, OCTETS, {}),
            ],
        ),
        (["1,,k=", '2,,k=""'], [(1, OCTETS, {}), (2, OCTETS, {})]),
        (
            ['1,,k="a,b",l=c', "2,,"],
            [(1, OCTETS, {"k": "a,b", "l": "c"}), (2, OCTETS, {"k": "a,b", "l": "c"})],
        ),
        ([" 1 , a/b , k = v ", " 2 "], [(1, "a/b", {"k": "v"}), (2, "a/b", {"k": "v"})]),
        (["1,,0=v"], [(1, OCTETS, {"0": "v"})]),
    ],
)
def test_what_a_record_takes_over_from_the_one_before(
    values: list[str], records: list[tuple[int, str, dict[str, str]]]
) -> None:
    """The type and the labels, as far as its header does not change them."""
    headers = batch("a") | {f"x-reduct-0-{delta}": value for delta, value in enumerate(values)}
    assert [found[2:] for found in written(headers)] == records


def test_each_entry_begins_afresh() -> None:
    """What is taken over follows the order of the server, not the times of the whole batch."""
    headers = batch("a,b,c", r0_9="1,a/a,k=a", r1_0="2,b/b,k=b", r0_10="3", r1_20="4,,k=,l=b", r2_30="5,")
    assert written(headers) == [
        ("a", 109, 1, "a/a", {"k": "a"}),
        ("a", 110, 3, "a/a", {"k": "a"}),
        ("b", 100, 2, "b/b", {"k": "b"}),
        ("b", 120, 4, "b/b", {"l": "b"}),
        ("c", 130, 5, OCTETS, {}),
    ]


def test_labels_of_records_are_their_own() -> None:
    """Whoever changes those of one does not change those of the next."""
    first, second = read_write_batch(pairs(batch(r0_0="1,,k=v", r0_1="1"))).items
    first.record.labels["k"] = "changed"
    assert second.record.labels == {"k": "v"}


@pytest.mark.parametrize(
    ("labels", "part", "found"),
    [
        ("k,l", "0=v,1=w", {"k": "v", "l": "w"}),
        ("k,l", "1=w", {"l": "w"}),
        ("k,l", "01=w,+0=v", {"l": "w", "k": "v"}),
        ("k", "other=v", {"other": "v"}),
        ("k", "0x=v", {"0x": "v"}),
        ("k", "0=v,k=w", {"k": "w"}),
        (" k , l ", "1=w", {"l": "w"}),
        ("a%7Cb", "0=v", {"a|b": "v"}),
        ("a%7cb", "0=v", {"a|b": "v"}),
        ("", "k=v", {"k": "v"}),
        (None, "0=v,1=w", {"0": "v", "1": "w"}),
        (None, "-1=v", {"-1": "v"}),
    ],
)
def test_label_names_by_number(labels: str | None, part: str, found: dict[str, str]) -> None:
    """An integer is an index into the list of names if there is one; everything else is a name itself."""
    assert written(batch("a", labels=labels, r0_0=f"1,,{part}"))[0][4] == found


@pytest.mark.parametrize("key", ["2", "99", "-1", "-0", "+2", "9223372036854775808"])
@pytest.mark.parametrize("reader", READERS[:2])
def test_label_numbers_out_of_range(reader: Reader, key: str) -> None:
    """The protocol's words, with the number as it was sent."""
    headers = batch("a", labels="k,l", r0_0=f"0,,{key}=v")
    assert refusal(lambda: reader(pairs(headers))) == f"Label index '{key}' is out of range"


@pytest.mark.parametrize("labels", ["@k", "l,@k", "%40k"])
@pytest.mark.parametrize("reader", READERS[:2])
def test_names_of_computed_labels_in_the_list(reader: Reader, labels: str) -> None:
    """A number is no way around the rule."""
    headers = batch("a", labels=labels, r0_0="0,,0=v")
    message = "Label names must not start with '@': reserved for computed labels"
    assert refusal(lambda: reader(pairs(headers))) == message


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        (["0,,k=v"], [{"k": "v"}]),
        (["0,,k="], [{"k": None}]),
        (["0,"], [{}]),
        (
            ["0,,k=v", "0", "0,,k=,l=w", "0,x/y"],
            [{"k": "v"}, {"k": "v"}, {"k": None, "l": "w"}, {"k": None, "l": "w"}],
        ),
        (["x,\xff,k=v", ""], [{"k": "v"}, {"k": "v"}]),
        (["0,,k=", "0,,k=v"], [{"k": None}, {"k": "v"}]),
    ],
)
def test_labels_that_are_updated(values: list[str], changes: list[dict[str, str | None]]) -> None:
    """What is done to one record is done to the later ones of its entry too; length and type are ignored."""
    headers = batch("a,b", r1_0="0,") | {f"x-reduct-0-{delta}": value for delta, value in enumerate(values)}
    items = read_update_batch(pairs(headers)).items
    assert [item.changes for item in items] == [*changes, {}]


@pytest.mark.parametrize("value", ["", "0", "x", "\udcff", '"', "0,,k"])
def test_records_that_are_removed(value: str) -> None:
    """Only the place counts, also of the first record of an entry; labels are not looked at."""
    items = read_removal_batch(pairs(batch(labels="%zz", r1_7=value))).items
    assert [(item.entry, item.timestamp_us) for item in items] == [("b", 107)]


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"x-reduct-entries": "a"}, "x-reduct-start-ts header is required"),
        (batch(start=""), "x-reduct-start-ts header is required"),
        (batch(start="x"), "Invalid x-reduct-start-ts header"),
        (batch(start="-1"), "Invalid x-reduct-start-ts header"),
        (batch(start="1.5"), "Invalid x-reduct-start-ts header"),
        (batch(start="\u0661"), "Invalid x-reduct-start-ts header"),
        (batch(start="9223372036854775808"), "Invalid x-reduct-start-ts header"),
        (batch(start="1" * 5000), "Invalid x-reduct-start-ts header"),
        ({"x-reduct-start-ts": "1"}, "x-reduct-entries header is required"),
        (batch("", r0_0="0,"), "x-reduct-entries header is required"),
        (batch("a,b", r2_0="0,"), "Invalid header 'x-reduct-2-0': entry index out of range"),
        (
            batch(r9223372036854775808_0="0,"),
            "Invalid header 'x-reduct-9223372036854775808-0': entry index out of range",
        ),
        (batch() | {"X-Reduct-x-0": "0,"}, "Invalid header 'x-reduct-x-0': entry index must be a number"),
        (batch() | {"x-reduct--0": "0,"}, "Invalid header 'x-reduct--0': entry index must be a number"),
        (
            batch() | {"x-reduct-time-1": "0,"},
            "Invalid header 'x-reduct-time-1': entry index must be a number",
        ),
        (batch() | {"x-reduct-0--1": "0,"}, "Invalid header 'x-reduct-0--1': entry index must be a number"),
        (
            batch() | {"x-reduct-\u0661-0": "0,"},
            "Invalid header 'x-reduct-?-0': entry index must be a number",
        ),
        (
            batch(start="0", r0_9223372036854775808="0,"),
            "Invalid header 'x-reduct-0-9223372036854775808': must be an unix timestamp in microseconds",
        ),
        (
            batch(start="1", r0_9223372036854775807="0,"),
            "Invalid header 'x-reduct-0-9223372036854775807': must be an unix timestamp in microseconds",
        ),
        (batch("a,a", r0_0="0,"), "Invalid x-reduct-entries header: an entry is listed twice"),
        (batch("a/b,a%2fb", r0_0="0,"), "Invalid x-reduct-entries header: an entry is listed twice"),
        (batch("%zz"), "Invalid x-reduct-entries header: '%zz' is not a percent-encoded UTF-8 name"),
        (batch("a,%4"), "Invalid x-reduct-entries header: '%4' is not a percent-encoded UTF-8 name"),
        (batch("%"), "Invalid x-reduct-entries header: '%' is not a percent-encoded UTF-8 name"),
        (batch("%ff"), "Invalid x-reduct-entries header: '%ff' is not a percent-encoded UTF-8 name"),
        (batch("\udcff"), "Invalid x-reduct-entries header: '?' is not a percent-encoded UTF-8 name"),
        (batch("a,b\ud800"), "Invalid x-reduct-entries header: 'b?' is not a percent-encoded UTF-8 name"),
    ],
)
@pytest.mark.parametrize("reader", READERS)
def test_batches_that_are_refused(reader: Reader, headers: Headers, message: str) -> None:
    """In all three, each with the protocol's words."""
    assert refusal(lambda: reader(pairs(headers))) == message


FIRST = "Content-type and labels must be provided for the first record of an entry"
COUNTED = ",".join(f"k{number}=v" for number in range(81))


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (batch(r0_0="1"), FIRST),
        (batch(r0_0=""), FIRST),
        (batch(r0_0="1,", r1_0="1"), FIRST),
        (batch(r0_0="1,", r0_1=""), "Invalid content length"),
        (batch(r0_0="x,"), "Invalid content length"),
        (batch(r0_0="-1,"), "Invalid content length"),
        (batch(r0_0="1_0,"), "Invalid content length"),
        (batch(r0_0="9223372036854775808,"), "Invalid content length"),
        (batch(r0_0="1,\xe9"), "Content type must be printable ASCII"),
        (batch(r0_0="1,,k"), "Invalid batched header"),
        (batch(r0_0='1,,k="v'), "Invalid batched header"),
        (batch(r0_0="1,,@k=v"), "Label names must not start with '@': reserved for computed labels"),
        (batch(r0_0="1,,k=\xe9"), "Label values for k must be valid UTF-8 strings"),
        (batch(labels="name", r0_0="1,,0=\xe9"), "Label values for name must be valid UTF-8 strings"),
        (batch(r0_0=f"1,,{COUNTED}"), "A record can have at most 80 labels, got 81"),
        (batch(r0_0=f"1,,{COUNTED[:-6]}", r0_1="1,,x=1"), "A record can have at most 80 labels, got 81"),
        (
            batch(labels="%zz", r0_0="1,"),
            "Invalid x-reduct-labels header: '%zz' is not a percent-encoded UTF-8 name",
        ),
    ],
)
def test_writes_that_are_refused(headers: Headers, message: str) -> None:
    """Each with the protocol's words, and the whole request with it."""
    assert refusal(lambda: read_write_batch(pairs(headers))) == message


def test_updates_that_are_refused() -> None:
    """By the rules of writes, but for length and type."""
    assert refusal(lambda: read_update_batch(pairs(batch(r0_0="0")))) == FIRST
    assert refusal(lambda: read_update_batch(pairs(batch(r0_0="0,,k")))) == "Invalid batched header"
    many = ",".join(f"k{number}=" for number in range(160))
    message = "At most 160 labels of a record can be changed, got 161"
    assert refusal(lambda: read_update_batch(pairs(batch(r0_0=f"0,,{many}", r0_1="0,,x=")))) == message


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x-reduct-0-1", "x-reduct-0-1"),
        ("x-reduct-0-1", "X-Reduct-0-1"),
        ("x-reduct-0-1", "x-reduct-00-1"),
        ("x-reduct-0-1", "x-reduct-0-01"),
        ("x-reduct-labels", "X-Reduct-Labels"),
    ],
)
def test_headers_that_are_sent_twice(reader: Reader, first: str, second: str) -> None:
    """Nobody could say which of the two is meant."""
    headers = [*pairs(batch()), (first, "0,"), (second, "0,")]
    assert refusal(lambda: reader(headers)) == f"Duplicate header '{second.lower()}'"


@pytest.mark.parametrize("name", ["x-reduct-entries", "x-reduct-start-ts"])
def test_headers_of_the_batch_that_are_sent_twice(name: str) -> None:
    """Neither of them is trusted, even if they agree."""
    headers = pairs(batch(r0_0="0,"))
    assert refusal(lambda: read_write_batch([*headers, (name, "100")])) == f"Duplicate header '{name}'"


@pytest.mark.parametrize(
    "name",
    ["x-reduct-0-x", "x-reduct-0-", "x-reduct-0", "x-reduct-5", "x-reduct-query-id", "y-reduct-0-1", "host"],
)
@pytest.mark.parametrize("reader", READERS)
def test_headers_that_speak_of_no_record(reader: Reader, name: str) -> None:
    """Without a dash and digits at the end a header is not looked at."""
    assert reader([*pairs(batch()), (name, "not a record")]).items == []


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("start", ["0", "100"])
def test_a_batch_of_nothing(reader: Reader, start: str) -> None:
    """Clients send one with an empty list of entries, and get it back."""
    found = reader(pairs(batch("", start)))
    assert found.items == []
    assert found.echo == [("x-reduct-entries", ""), ("x-reduct-start-ts", start)]


@pytest.mark.parametrize(
    ("entries", "names", "echoed"),
    [
        ("a", ["a"], "a"),
        ("a/b,c", ["a/b", "c"], "a/b,c"),
        ("a%2Fb", ["a/b"], "a%2Fb"),
        ("a%2fb", ["a/b"], "a%2fb"),
        ("a/$meta, b", ["a/$meta", "b"], "a/$meta, b"),
        ("%24meta", ["$meta"], "%24meta"),
        ("%C3%A9", ["é"], "%C3%A9"),
        ("é", ["é"], "%C3%A9"),
        ("\udcc3\udca9", ["é"], "%C3%A9"),
        ("a\tb/c", ["a\tb/c"], "a%09b%2Fc"),
        ("%00", ["\0"], "%00"),
        ("a,,b", ["a", "", "b"], "a,,b"),
    ],
)
@pytest.mark.parametrize("reader", READERS)
def test_entries_and_their_echo(reader: Reader, entries: str, names: list[str], echoed: str) -> None:
    """Names are decoded, not judged; the list goes back as it came, or encoded if it could not be a header."""
    of_records = {f"x-reduct-{index}-0": "0," for index in range(len(names))}
    found = reader(pairs(batch(entries, "0100") | of_records))
    assert [item.entry for item in found.items] == names
    assert found.echo == [("x-reduct-entries", echoed), ("x-reduct-start-ts", "0100")]


def test_the_greatest_time() -> None:
    """Start and delta together may reach 2^63-1."""
    headers = batch("a", "9223372036854775806", r0_1="0,")
    assert [item.timestamp_us for item in read_removal_batch(pairs(headers)).items] == [2**63 - 1]
