"""Answers with batches of several entries, as the protocol writes them."""

from __future__ import annotations

import pytest

from storage_demo.encoding.v2 import BatchHeaders, error_header
from storage_demo.engine import Record

OCTETS = "application/octet-stream"


def record(entry: str, timestamp_us: int, content_type: str = "a/b", **labels: str) -> Record:
    return Record("b", entry, timestamp_us, 5, content_type, tuple(sorted(labels.items())))


def headers_of(*records: Record) -> BatchHeaders:
    headers = BatchHeaders()
    for each in records:
        assert headers.fits(each)
        headers.add(each)
    return headers


@pytest.mark.parametrize(
    ("records", "items"),
    [
        ([], [("x-reduct-entries", ""), ("x-reduct-start-ts", "0")]),
        (
            [record("a", 100)],
            [("x-reduct-entries", "a"), ("x-reduct-start-ts", "100"), ("x-reduct-0-0", "5,a/b")],
        ),
        (
            [record("a", 100, OCTETS), record("a", 101, OCTETS)],
            [
                ("x-reduct-entries", "a"),
                ("x-reduct-start-ts", "100"),
                ("x-reduct-0-0", f"5,{OCTETS}"),
                ("x-reduct-0-1", "5"),
            ],
        ),
        (
            [record("z/y", 1), record("a", 2), record("k/$meta", 2, "c/d")],
            [
                ("x-reduct-entries", "z%2Fy,a,k%2F$meta"),
                ("x-reduct-start-ts", "1"),
                ("x-reduct-0-0", "5,a/b"),
                ("x-reduct-1-1", "5,a/b"),
                ("x-reduct-2-1", "5,c/d"),
            ],
        ),
        (
            [
                record("a", 1, k="v"),
                record("a", 2, k="v"),
                record("a", 3, k="w", l="x,y"),
                record("a", 4, "c/d", l="x,y"),
                record("a", 5, "c/d"),
                record("b", 5, "c/d", l="z"),
                record("b", 6, "c/d", k="", l="z"),
            ],
            [
                ("x-reduct-entries", "a,b"),
                ("x-reduct-start-ts", "1"),
                ("x-reduct-labels", "k,l"),
                ("x-reduct-0-0", "5,a/b,0=v"),
                ("x-reduct-0-1", "5"),
                ("x-reduct-0-2", '5,,0=w,1="x,y"'),
                ("x-reduct-0-3", "5,c/d,0="),
                ("x-reduct-0-4", "5,,1="),
                ("x-reduct-1-4", "5,c/d,1=z"),
                ("x-reduct-1-5", "5"),
            ],
        ),
        (
            [record("a", 1, "", **{"100%": "v"}), record("a", 2, OCTETS, **{"100%": '"'})],
            [
                ("x-reduct-entries", "a"),
                ("x-reduct-start-ts", "1"),
                ("x-reduct-labels", "100%25"),
                ("x-reduct-0-0", f"5,{OCTETS},0=v"),
                ("x-reduct-0-1", "5,,0='"),
            ],
        ),
    ],
)
def test_headers_of_an_answer(records: list[Record], items: list[tuple[str, str]]) -> None:
    """Entries by their first time, ties by name; a type and labels only where they differ from those before."""
    headers = headers_of(*records)
    assert headers.items() == items
    assert headers.record_count == len(records)
    assert headers.header_bytes == sum(len(f"{name}: {value}\r\n") for name, value in items)


@pytest.mark.parametrize(
    ("before", "following", "fits"),
    [
        ([], record("a", 1), True),
        ([record("a", 1)], record("a", 2), True),
        ([record("a", 1)], record("b", 1), True),
        ([record("a", 1), record("b", 1)], record("b", 2), True),
        ([record("a", 1), record("b", 1)], record("c", 2), True),
        ([record("a", 1), record("b", 1)], record("a", 2), False),
        ([record("a", 1), record("b", 1), record("b", 2)], record("a", 3), False),
        ([record("a", 1), record("b", 1), record("c", 1)], record("b", 2), False),
    ],
)
def test_an_entry_does_not_come_back_after_another(
    before: list[Record], following: Record, fits: bool
) -> None:
    """Where it would, clients and servers read the records in different orders: the batch ends before it."""
    headers = headers_of(*before)
    assert headers.fits(following) is fits
    if not fits:
        with pytest.raises(ValueError, match="fit"):
            headers.add(following)
        assert headers.record_count == len(before)


@pytest.mark.parametrize("second", [record("b", 1), record("a", 2), record("b", 2)])
def test_records_out_of_order(second: Record) -> None:
    """Whoever merges entries wrongly hears of it."""
    headers = headers_of(record("b", 2))
    with pytest.raises(ValueError, match="ordered by"):
        headers.add(second)


def test_lists_stay_readable_for_clients() -> None:
    """A line of more than 8,190 bytes is read by no client on aiohttp; the first record goes in any case."""
    headers = BatchHeaders()
    added = 0
    while headers.fits(record(f"{added:02}-{'x' * 400}", added)):
        headers.add(record(f"{added:02}-{'x' * 400}", added))
        added += 1
    (entries,) = [len(value) for name, value in headers.items() if name == "x-reduct-entries"]
    assert 8_000 - 404 < entries + len("x-reduct-entries: \r\n") <= 8_000
    assert headers.fits(record(f"{added - 1:02}-{'x' * 400}", added))
    assert not headers.fits(record("y" * 404, added))

    labels = {f"{number}-{'x' * 92}": "v" for number in range(79)}
    headers = headers_of(record("a", 1, **labels))
    assert headers.fits(record("a", 2, **labels))
    assert not headers.fits(record("a", 2, **labels, **{"y" * 500: "v"}))


def test_all_headers_of_an_answer_stay_readable_for_node() -> None:
    """Node's fetch reads 16 KiB of headers, ours among them: a batch goes on up to 14,000 bytes and not further."""
    headers = BatchHeaders()
    added = 0
    while headers.fits(record("a", added, k=f"{added:0200}")):
        headers.add(record("a", added, k=f"{added:0200}"))
        added += 1
    sent = sum(len(f"{name}: {value}\r\n") for name, value in headers.items())
    assert 14_000 - 300 < sent == headers.header_bytes <= 14_000
    alone = BatchHeaders()
    assert alone.fits(record("a", 1, k="v" * 20_000))


@pytest.mark.parametrize(
    ("message", "value"),
    [
        ("Record 1 not found in entry b/e", "404,Record 1 not found in entry b/e"),
        ("Entry 'é' not found in bucket 'b'", "404,Unparsable message"),
    ],
)
def test_errors_in_answers(message: str, value: str) -> None:
    """Status and message, which is always a legal header value."""
    assert error_header(1, 20, 404, message) == ("x-reduct-error-1-20", value)
