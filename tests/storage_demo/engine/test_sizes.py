"""The size of a record, against sums made by hand.

Each expectation is: content + 2, + seconds, nanoseconds, begin, end (1 + digits in base 128 each, nothing
for zero), + 1 + length byte + content type, + labels.
"""

from __future__ import annotations

import pytest

from storage_demo.engine import Record
from storage_demo.engine.records import stored_size_bytes

OCTETS = "application/octet-stream"


@pytest.mark.parametrize(
    ("record", "begin_bytes", "expected_bytes"),
    [
        # 8+2, s=1: 2, n=0, begin=0, end=8: 2, type: 1+1+24
        (Record("b", "e", 1_000_000, 8), 0, 40),
        # 11+2, s=2: 2, end=11: 2, type: 26
        (Record("b", "e", 2_000_000, 11), 0, 43),
        # the same after 8 bytes: begin=8: 2 more
        (Record("b", "e", 2_000_000, 11), 8, 45),
        # nothing but the frame and the type: 0+2+26
        (Record("b", "e", 0, 0), 0, 28),
        # n = 1 us = 1000 ns: 1+2
        (Record("b", "e", 1, 0), 0, 31),
        # s=127: 1+1, then s=128: 1+2
        (Record("b", "e", 127_000_000, 0), 0, 30),
        (Record("b", "e", 128_000_000, 0), 0, 31),
        # s=16383: 1+2, s=16384: 1+3
        (Record("b", "e", 16_383_000_000, 0), 0, 31),
        (Record("b", "e", 16_384_000_000, 0), 0, 32),
        # s=1_700_000_000 (31 bits): 1+5, n=123_456_000 (27 bits): 1+4; end=128: 1+2
        (Record("b", "e", 1_700_000_000_123_456, 128), 0, 128 + 2 + 6 + 5 + 3 + 26),
        # the largest timestamp: s=9223372036854 (44 bits): 1+7, n=775_807_000 (30 bits): 1+5
        (Record("b", "e", 9_223_372_036_854_775_807, 0), 0, 2 + 8 + 6 + 26),
        # begin=100: 1+1, end=200: 1+2
        (Record("b", "e", 0, 100), 100, 100 + 2 + 2 + 3 + 26),
        # an empty type still has tag and length
        (Record("b", "e", 0, 0, ""), 0, 4),
        # a type of 128 bytes needs two length bytes
        (Record("b", "e", 0, 0, "x" * 128), 0, 2 + 1 + 2 + 128),
        # label k=v: m = 2+1+1+1+1 = 6, so 1+1+6
        (Record("b", "e", 0, 0, OCTETS, (("k", "v"),)), 0, 28 + 8),
        # two labels, the second with an empty value: m = 2+1+1+1+0 = 5
        (Record("b", "e", 0, 0, OCTETS, (("k", "v"), ("l", ""))), 0, 28 + 8 + 7),
        # text counts in bytes of UTF-8: m = 2+1+1+1+2 = 7
        (Record("b", "e", 0, 0, OCTETS, (("k", "é"),)), 0, 28 + 9),
        # a long value: 200 bytes need two length bytes, m = 2+1+1+2+200 = 206, itself two bytes
        (Record("b", "e", 0, 0, OCTETS, (("k", "v" * 200),)), 0, 28 + 1 + 2 + 206),
    ],
)
def test_size(record: Record, begin_bytes: int, expected_bytes: int) -> None:
    """A record takes its content, its description, and no more."""
    assert stored_size_bytes(record, begin_bytes) == expected_bytes
