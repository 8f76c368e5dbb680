"""The headers of a batch in an answer while it is being filled, whichever protocol it follows.

::

    for record in records:
        if not headers.fits(record):
            break
        headers.add(record)
        body_bytes += record.length_bytes
        if is_full(headers, body_bytes):
            break
"""

from __future__ import annotations

from typing import Protocol

from storage_demo.encoding.headers import Header
from storage_demo.engine import Record

MAX_RECORDS = 85
MAX_BODY_BYTES = 8_000_000
MAX_HEADER_BYTES = 512_000


class BatchHeaders(Protocol):
    """The headers that describe the records of one batch, ordered by (time, entry)."""

    @property
    def record_count(self) -> int:
        """How many records the batch has."""

    @property
    def header_bytes(self) -> int:
        """How many bytes the headers of `items` take in the response."""

    def fits(self, record: Record) -> bool:
        """Tell whether *record* may follow in this batch; a batch without records takes any.

        If not, the batch is to be closed before it, with ``x-reduct-last: false``.
        """

    def add(self, record: Record) -> None:
        """Add *record*. Raises `ValueError` if it does not fit or comes out of order."""

    def items(self) -> list[Header]:
        """Return the headers, names in lower case, in the order in which they are to be sent."""


def is_full(headers: BatchHeaders, body_bytes: int) -> bool:
    """Tell whether a batch is to be closed after the records it has.

    *body_bytes* is the sum of their contents, 0 where these are not sent (HEAD).
    """
    return (
        headers.record_count >= MAX_RECORDS
        or body_bytes > MAX_BODY_BYTES
        or headers.header_bytes > MAX_HEADER_BYTES
    )
