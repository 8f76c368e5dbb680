"""Records as a query merges them, and the answers that a server makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from storage_demo.encoding.batch import BatchHeaders, is_full
from storage_demo.engine import Record

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
    places = draw(st.sets(st.tuples(st.integers(0, 200), st.sampled_from(ENTRIES)), max_size=15))
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
