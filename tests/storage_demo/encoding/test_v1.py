"""Batches of one entry, as the protocol writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from storage_demo.encoding.items import AnnouncedRecord, RequestedChange
from storage_demo.encoding.v1 import (
    BatchHeaders,
    error_header,
    read_removal_batch,
    read_update_batch,
    read_write_batch,
    record_header,
)
from storage_demo.engine import InvalidError, Record

OCTETS = "application/octet-stream"
Reader = Callable[[list[tuple[str, str]]], Any]
READERS: list[Reader] = [read_write_batch, read_update_batch, read_removal_batch]


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(InvalidError) as caught:
        act()
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "record"),
    [
        ("5,text/plain", AnnouncedRecord(7, 5, "text/plain", {})),
        ("5,", AnnouncedRecord(7, 5, OCTETS, {})),
        ("5,,", AnnouncedRecord(7, 5, OCTETS, {})),
        ("0,text/plain,", AnnouncedRecord(7, 0, "text/plain", {})),
        ("5,,k=v", AnnouncedRecord(7, 5, OCTETS, {"k": "v"})),
        (" 5 , text/plain , k = v ", AnnouncedRecord(7, 5, "text/plain", {"k": "v"})),
        ('5,text/plain,k="a,b",k2=c', AnnouncedRecord(7, 5, "text/plain", {"k": "a,b", "k2": "c"})),
        ("5,text/plain; charset=utf-8,K=v", AnnouncedRecord(7, 5, "text/plain; charset=utf-8", {"K": "v"})),
        ("5,text/plain,k=1,k=2", AnnouncedRecord(7, 5, "text/plain", {"k": "2"})),
        ("5,text/plain,k=", AnnouncedRecord(7, 5, "text/plain", {"k": ""})),
        ("5,text/plain,1=a", AnnouncedRecord(7, 5, "text/plain", {"1": "a"})),
        ("9223372036854775807,", AnnouncedRecord(7, 2**63 - 1, OCTETS, {})),
        ("007,", AnnouncedRecord(7, 7, OCTETS, {})),
    ],
)
def test_records_that_are_written(value: str, record: AnnouncedRecord) -> None:
    """Length, type (octet-stream if none is named) and labels, with spaces around the parts."""
    assert read_write_batch([("x-reduct-time-7", value)]) == [record]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "Invalid batched header"),
        ("5", "Invalid batched header"),
        ("5,text/plain,k", "Invalid batched header"),
        ('5,text/plain,k="a', "Invalid batched header"),
        (",text/plain", "Invalid content length"),
        (" ,", "Invalid content length"),
        ("x,", "Invalid content length"),
        ("-1,", "Invalid content length"),
        ("+1,", "Invalid content length"),
        ("1.0,", "Invalid content length"),
        ("1_0,", "Invalid content length"),
        ("\u0661,", "Invalid content length"),
        ("9223372036854775808,", "Invalid content length"),
        ("1" * 5000 + ",", "Invalid content length"),
        ("5,t\xe9xt", "Content type must be printable ASCII"),
        ("5,\udcff", "Content type must be printable ASCII"),
        ("5,a\nb", "Content type must be printable ASCII"),
        ("5,,@k=v", "Label names must not start with '@': reserved for computed labels"),
        ("5,,k=\xe9", "Label values for k must be valid UTF-8 strings"),
        ("5,,k=\udcc3\udca9", "Label values for k must be valid UTF-8 strings"),
        (
            "5,," + ",".join(f"k{i}=v" for i in range(81)),
            "A record can have at most 80 labels, got 81",
        ),
    ],
)
def test_records_that_are_refused(value: str, message: str) -> None:
    """Each with the protocol's words, and the whole request with it."""
    headers = [("x-reduct-time-1", "5,"), ("x-reduct-time-7", value)]
    assert refusal(lambda: read_write_batch(headers)) == message


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        ("0,,k=v,k2=", {"k": "v", "k2": None}),
        ('0,,k="a,b"', {"k": "a,b"}),
        ('0,,k=""', {"k": None}),
        ("0,", {}),
        ("0,,", {}),
        ("not a number,\xff,k=v", {"k": "v"}),
        (",,k=v", {"k": "v"}),
        ("0,,k=v,k=", {"k": None}),
        ("0,,k=,k=v", {"k": "v"}),
    ],
)
def test_labels_that_are_updated(value: str, changes: dict[str, str | None]) -> None:
    """An empty value removes; length and type are ignored."""
    assert read_update_batch([("x-reduct-time-7", value)]) == [RequestedChange(7, changes)]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0", "Invalid batched header"),
        ("0,,k", "Invalid batched header"),
        ("0,,@k=", "Label names must not start with '@': reserved for computed labels"),
        ("0,,k=\xe9", "Label values for k must be valid UTF-8 strings"),
        (
            "0,," + ",".join(f"k{i}=" for i in range(161)),
            "At most 160 labels of a record can be changed, got 161",
        ),
    ],
)
def test_updates_that_are_refused(value: str, message: str) -> None:
    """By the rules of labels that are written."""
    assert refusal(lambda: read_update_batch([("x-reduct-time-7", value)])) == message


@pytest.mark.parametrize("value", ["", "0", "0,", "5,text/plain,k=v", "\xff\udcff", '"'])
def test_records_that_are_removed(value: str) -> None:
    """Only the times count."""
    assert read_removal_batch([("x-reduct-time-7", value)]) == [7]


HEADERS = [
    ("Host", "x"),
    ("X-Reduct-Time-10", "1,"),
    ("x-reduct-time-9", "2,"),
    ("x-reduct-label-x", "y"),
    ("x-reduct-time", "3,"),
    ("x-reduct-times-1", "4,"),
    ("x-reduct-0-1", "5,"),
    ("x-reduct-TIME-0", "6,"),
    ("x-reduct-time-9223372036854775807", "7,"),
]


def test_records_come_in_ascending_numeric_time() -> None:
    """9 before 10, however they were sent; names in any case; other headers are not looked at."""
    times = [0, 9, 10, 2**63 - 1]
    assert [record.timestamp_us for record in read_write_batch(HEADERS)] == times
    assert [record.length_bytes for record in read_write_batch(HEADERS)] == [6, 2, 1, 7]
    assert [change.timestamp_us for change in read_update_batch(HEADERS)] == times
    assert read_removal_batch(HEADERS) == times


@pytest.mark.parametrize("reader", READERS)
def test_a_batch_of_nothing(reader: Reader) -> None:
    """No record headers, no records."""
    assert reader([]) == []
    assert reader([("Host", "x")]) == []


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x-reduct-time-", "x-reduct-time-"),
        ("x-reduct-time-x", "x-reduct-time-x"),
        ("X-Reduct-Time-1X", "x-reduct-time-1x"),
        ("x-reduct-time--1", "x-reduct-time--1"),
        ("x-reduct-time-+1", "x-reduct-time-+1"),
        ("x-reduct-time-1.5", "x-reduct-time-1.5"),
        ("x-reduct-time-\u0661", "x-reduct-time-?"),
        ("x-reduct-time-9223372036854775808", "x-reduct-time-9223372036854775808"),
        ("x-reduct-time-" + "1" * 5000, "x-reduct-time-" + "1" * 86 + "..."),
    ],
)
def test_times_that_are_refused(reader: Reader, name: str, shown: str) -> None:
    """ASCII digits, up to 2^63-1, in every kind of batch."""
    message = f"Invalid header '{shown}': must be an unix timestamp in microseconds"
    assert refusal(lambda: reader([(name, "0,")])) == message


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("second", ["x-reduct-time-1", "X-Reduct-Time-1", "x-reduct-time-01"])
def test_a_record_that_is_sent_twice_is_refused(reader: Reader, second: str) -> None:
    """Nobody could say which of the two is meant, nor which of them an error is about."""
    headers = [("x-reduct-time-1", "1,"), (second, "1,")]
    assert refusal(lambda: reader(headers)) == f"Duplicate header '{second.lower()}'"


@pytest.mark.parametrize(
    ("record", "header"),
    [
        (Record("b", "e", 7, 5), ("x-reduct-time-7", f"5,{OCTETS}")),
        (Record("b", "e", 0, 0, "text/plain"), ("x-reduct-time-0", "0,text/plain")),
        (
            Record("b", "e", 7, 5, "text/plain", (("z", "1"), ("a", "x,y"), ("b", ""))),
            ("x-reduct-time-7", '5,text/plain,a="x,y",b=,z=1'),
        ),
        (Record("b", "e", 7, 5, "text/plain; a=b"), ("x-reduct-time-7", "5,text/plain; a=b")),
        (Record("b", "e", 7, 5, 'multipart/x; a="b,c"'), ("x-reduct-time-7", "5,multipart/x")),
        (Record("b", "e", 7, 5, "a,b"), ("x-reduct-time-7", f"5,{OCTETS}")),
        (Record("b", "e", 7, 5, "é\r\n"), ("x-reduct-time-7", f"5,{OCTETS}")),
        (Record("b", "e", 7, 5, ""), ("x-reduct-time-7", f"5,{OCTETS}")),
    ],
)
def test_records_in_answers(record: Record, header: tuple[str, str]) -> None:
    """Labels sorted by name; a type with a comma goes without its parameters, or as octet-stream."""
    assert record_header(record) == header


@pytest.mark.parametrize(
    ("message", "value"),
    [
        ("A record with timestamp 1 already exists", "409,A record with timestamp 1 already exists"),
        ("a,b", "409,a,b"),
        ("", "409,"),
        ("é", "409,Unparsable message"),
        ("a\r\nx: y", "409,Unparsable message"),
        ("\udcff", "409,Unparsable message"),
        ("x" * 501, "409," + "x" * 500 + "..."),
    ],
)
def test_errors_in_answers(message: str, value: str) -> None:
    """Status and message, which is always a legal header value."""
    assert error_header(7, 409, message) == ("x-reduct-error-7", value)


def test_headers_of_an_answer() -> None:
    """In ascending time; the bytes count names, values, separators and line breaks."""
    headers = BatchHeaders()
    assert (headers.items(), headers.record_count, headers.header_bytes) == ([], 0, 0)
    for record in (Record("b", "e", 1, 5, "a/b"), Record("b", "e", 20, 6, "a/b", (("k", "v"),))):
        assert headers.fits(record)
        headers.add(record)
    assert headers.items() == [("x-reduct-time-1", "5,a/b"), ("x-reduct-time-20", "6,a/b,k=v")]
    assert headers.record_count == 2
    assert headers.header_bytes == len("x-reduct-time-1: 5,a/b\r\nx-reduct-time-20: 6,a/b,k=v\r\n")
    with pytest.raises(ValueError, match="ascending"):
        headers.add(Record("b", "e", 20, 6))
