"""Whatever is sent, a batch is read or refused: no other error, and in time linear in its size."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_demo.encoding import v1, v2
from storage_demo.encoding.batch import BatchHeaders
from storage_demo.engine import InvalidError, Record

Reader = Callable[[list[tuple[str, str]]], Any]
READERS: list[Reader] = [
    v1.read_write_batch,
    v1.read_update_batch,
    v1.read_removal_batch,
    v2.read_write_batch,
    v2.read_update_batch,
    v2.read_removal_batch,
]

pieces = st.one_of(
    st.sampled_from(
        ["0", "1", "00", "-1", "18446744073709551616", "9" * 99, "", " ", ",", "=", '"', "@", "%"]
    ),
    st.sampled_from(
        ["%zz", "%4", "%41", "%ff", "é", "\udcff", "\ud800", "\u0661", "\0", "\r\n", "k=v", 'k="a,b"']
    ),
    st.sampled_from(["a", "a/b", "text/plain", "0=v", "5,text/plain,k=v"]),
    st.text(max_size=3),
)
texts = st.lists(pieces, max_size=6).map("".join)
names = st.one_of(
    st.sampled_from(
        ["x-reduct-entries", "x-reduct-start-ts", "x-reduct-labels", "X-Reduct-0-0", "x-reduct-1-7"]
    ),
    st.integers(0, 12).map(lambda number: f"x-reduct-time-{number}"),
    pieces.map(lambda piece: f"x-reduct-time-{piece}"),
    st.tuples(pieces, pieces).map(lambda pair: f"x-reduct-{pair[0]}-{pair[1]}"),
    texts,
)
sound_starts = st.sampled_from([[], [("x-reduct-entries", "a,b"), ("x-reduct-start-ts", "5")]])
encodable = st.text(st.characters(exclude_categories=["Cs"]))


@settings(deadline=None)  # other work may hold the processor
@given(st.sampled_from(READERS), sound_starts, st.lists(st.tuples(names, texts), max_size=8))
def test_nothing_but_a_refusal(
    reader: Reader, start: list[tuple[str, str]], headers: list[tuple[str, str]]
) -> None:
    """`InvalidError` alone is raised, and its message is printable ASCII that a header can hold."""
    message = ""
    try:
        reader([*start, *headers])
    except InvalidError as error:
        message = str(error)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 500


@settings(deadline=None)  # other work may hold the processor
@given(
    st.dictionaries(encodable, encodable, max_size=3),
    encodable,
    st.sampled_from([v1.BatchHeaders, v2.BatchHeaders]),
)
def test_every_stored_record_can_be_written(
    labels: dict[str, str], content_type: str, make: Callable[[], BatchHeaders]
) -> None:
    """Whatever the engine holds, an answer's headers are printable, and can be read."""
    headers = make()
    headers.add(Record("b", "e", 1, 5, content_type, tuple(sorted(labels.items()))))
    for name, value in headers.items():
        assert (name + value).isascii()
        assert (name + value).isprintable()
    if isinstance(headers, v1.BatchHeaders):
        assert len(v1.read_write_batch(headers.items())) == 1
    else:
        assert len(v2.read_write_batch(headers.items()).items) == 1


def seconds_of(reader: Reader, headers: list[tuple[str, str]]) -> float:
    """Processor time of reading or refusing, the best of three."""
    best = float("inf")
    for _ in range(3):
        begin = time.process_time()
        with contextlib.suppress(InvalidError):
            reader(headers)
        best = min(best, time.process_time() - begin)
    return best


def framed(headers: list[tuple[str, str]], labels: str = "k,l") -> list[tuple[str, str]]:
    head = [("x-reduct-entries", "a,b"), ("x-reduct-start-ts", "5"), ("x-reduct-labels", labels)]
    return [*head, *headers]


def v1_records(count: int) -> list[tuple[str, str]]:
    return [(f"x-reduct-time-{count - number}", '5,a/b,k="a,b"') for number in range(count)]


def v2_records(count: int) -> list[tuple[str, str]]:
    return framed([(f"x-reduct-0-{count - number}", f"5,a/b,0={number},l=") for number in range(count)])


def many_entries(count: int) -> list[tuple[str, str]]:
    head = [
        ("x-reduct-entries", ",".join(f"e{number}" for number in range(count))),
        ("x-reduct-start-ts", "5"),
    ]
    return head + [(f"x-reduct-{number}-0", "0,,k=v") for number in range(count)]


def growing_labels(count: int) -> list[tuple[str, str]]:
    return framed([(f"x-reduct-0-{number}", f"5,,k{number}=v") for number in range(count)])


def single(make: Callable[[int], str]) -> Callable[[int], list[tuple[str, str]]]:
    """One long header value, in both protocols."""
    return lambda count: framed([("x-reduct-0-0", make(count * 4))])


@pytest.mark.parametrize(
    ("reader", "headers"),
    [
        (v1.read_write_batch, v1_records),
        (v1.read_update_batch, v1_records),
        (v1.read_removal_batch, v1_records),
        (v2.read_write_batch, v2_records),
        (v2.read_update_batch, v2_records),
        (v2.read_removal_batch, v2_records),
        (v2.read_write_batch, many_entries),
        (v2.read_write_batch, growing_labels),
        (v2.read_update_batch, growing_labels),
        (v2.read_write_batch, single(lambda count: "5,," + "0=v," * count)),
        (v2.read_write_batch, single(lambda count: "5,," + '0="v",' * count)),
        (v2.read_write_batch, single(lambda count: "5,," + '0="' * count)),
        (v2.read_write_batch, single(lambda count: "5,,0=" + " " * count + "x")),
        (v2.read_write_batch, single(lambda count: "5,,0=v," + " " * count)),
        (v2.read_write_batch, single(lambda count: "," * count)),
        (v2.read_write_batch, single(lambda count: "=" * count)),
        (v2.read_write_batch, single(lambda count: "9" * count + ",")),
        (v2.read_write_batch, single(lambda count: "5,," + "9" * count + "=v")),
        (v2.read_write_batch, lambda count: framed([("x-reduct-0-" + "1-" * count * 10 + "x", "")])),
        (v2.read_write_batch, lambda count: framed([("x-reduct-0-" + "1" * count * 10 + "x", "")])),
        (v2.read_write_batch, lambda count: framed([], labels="%" * count * 10)),
        (v2.read_write_batch, lambda count: framed([], labels="%41" * count * 10)),
    ],
)
def test_the_time_is_linear(reader: Reader, headers: Callable[[int], list[tuple[str, str]]]) -> None:
    """Eight times as much takes about eight times as long, not sixty-four; 10,000 records are no burden."""
    small, large = seconds_of(reader, headers(1_250)), seconds_of(reader, headers(10_000))
    assert large < max(25 * small, 0.02), f"{small:.4f} s became {large:.4f} s"
    assert large < 2


def test_10_000_records_are_read() -> None:
    """All of them, in order."""
    assert [record.timestamp_us for record in v1.read_write_batch(v1_records(10_000))] == list(
        range(1, 10_001)
    )
    items = v2.read_write_batch(v2_records(10_000)).items
    assert [item.delta_us for item in items] == list(range(1, 10_001))
    assert items[0].record.labels == {"k": "9999"}
