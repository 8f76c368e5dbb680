"""When a batch of an answer is full."""

from __future__ import annotations

import pytest

from storage_demo.encoding import v1, v2
from storage_demo.encoding.batch import MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_RECORDS, BatchHeaders, is_full
from storage_demo.engine import Record


def test_limits() -> None:
    """Those of the protocol."""
    assert (MAX_RECORDS, MAX_BODY_BYTES, MAX_HEADER_BYTES) == (85, 8_000_000, 512_000)


@pytest.mark.parametrize("headers", [v1.BatchHeaders(), v2.BatchHeaders()])
def test_by_its_records(headers: BatchHeaders) -> None:
    """The 85th closes the batch."""
    for timestamp_us in range(84):
        headers.add(Record("b", "e", timestamp_us, 0))
    assert not is_full(headers, 0)
    headers.add(Record("b", "e", 84, 0))
    assert is_full(headers, 0)


@pytest.mark.parametrize(("body_bytes", "full"), [(0, False), (8_000_000, False), (8_000_001, True)])
@pytest.mark.parametrize("headers", [v1.BatchHeaders(), v2.BatchHeaders()])
def test_by_its_body(headers: BatchHeaders, body_bytes: int, full: bool) -> None:
    """8,000,000 bytes are not yet too many."""
    assert is_full(headers, body_bytes) is full


def test_by_its_headers() -> None:
    """512,000 bytes are not yet too many."""
    headers = v1.BatchHeaders()
    for timestamp_us in range(9):
        headers.add(Record("b", "e", timestamp_us, 0, "a/b", (("k", "v" * 50_000),)))
    rest = MAX_HEADER_BYTES - headers.header_bytes - len("x-reduct-time-9: 0,a/b,k=\r\n")
    headers.add(Record("b", "e", 9, 0, "a/b", (("k", "v" * rest),)))
    assert headers.header_bytes == 512_000
    assert not is_full(headers, 0)
    headers.add(Record("b", "e", 10, 0))
    assert is_full(headers, 0)
