"""Records and failures -> headers of an answer.

Clients read the records of a batch ordered by (time, entry index), and its body in that order; servers write
by (entry index, time). A batch is therefore closed before an entry comes back after another: then the two
orders are one.
"""

from __future__ import annotations

from storage_demo.encoding.content_type import written_content_type
from storage_demo.encoding.headers import Header, error_value, line_bytes
from storage_demo.encoding.labels import format_label, written_labels
from storage_demo.encoding.names import encode_name
from storage_demo.encoding.v2.header_names import ENTRIES, ERROR_PREFIX, LABELS, RECORD_PREFIX, START
from storage_demo.engine import Record

# Of a line that grows with the batch: clients on aiohttp read at most 8,190 bytes of one.
_MAX_LIST_BYTES = 8_000
# Of all that describes the batch: Node's fetch reads 16 KiB of headers, ours of every answer among them. A record
# that has more by itself goes alone.
_MAX_ANSWER_BYTES = 14_000
_LONGEST_INDEX = 9_999


def error_header(entry_index: int, delta_us: int, status: int, message: str) -> Header:
    """Return the header that says why a record of the request failed."""
    return f"{ERROR_PREFIX}{entry_index}-{delta_us}", error_value(status, message)


class BatchHeaders:
    """The headers of records of several entries; see the protocol of the same name.

    Entries are indexed by their first time in the batch, ties by name, labels as they appear. A label with
    an empty value is left out: the protocol writes "no such label" like that.
    """

    def __init__(self) -> None:
        self._entries = _List(ENTRIES)
        self._labels = _List(LABELS)
        self._records: list[Header] = []
        self._record_bytes = 0
        self._start_us = 0
        self._last: tuple[int, str] = (-1, "")  # time and entry of the last record; what it left to the next
        self._last_content_type = ""
        self._last_labels: dict[str, str] = {}

    @property
    def record_count(self) -> int:
        """How many records the batch has."""
        return len(self._records)

    @property
    def header_bytes(self) -> int:
        """How many bytes the headers take."""
        labels_bytes = self._labels.line_bytes if self._labels.indices else 0
        start_bytes = line_bytes(START, str(self._start_us))
        return self._entries.line_bytes + start_bytes + labels_bytes + self._record_bytes

    def fits(self, record: Record) -> bool:
        """Tell whether *record* may follow: in order, of a new entry or the last one, and the lists stay readable."""
        if not self._records:
            return True
        if (record.timestamp_us, record.entry) <= self._last:
            return False  # a late one, which came when what is before it was sent already
        if record.entry in self._entries.indices and record.entry != self._last[1]:
            return False
        labels = _labels_of(record)
        if not self._entries.takes([record.entry]) or not self._labels.takes(labels):
            return False
        return self.header_bytes + self._most_bytes(record, labels) <= _MAX_ANSWER_BYTES

    def add(self, record: Record) -> None:
        """Add *record*, after all before it by (time, entry), or raise `ValueError`."""
        here = (record.timestamp_us, record.entry)
        if not self.fits(record):
            raise ValueError("records of a batch come ordered by (time, entry), and fit")
        if not self._records:
            self._start_us = record.timestamp_us
        if record.entry not in self._entries.indices:
            self._last_content_type, self._last_labels = "", {}
        content_type, labels = written_content_type(record.content_type), _labels_of(record)
        header = (
            f"{RECORD_PREFIX}{self._entries.index(record.entry)}-{record.timestamp_us - self._start_us}",
            self._value(record.length_bytes, content_type, labels),
        )
        self._records.append(header)
        self._record_bytes += line_bytes(*header)
        self._last, self._last_content_type, self._last_labels = here, content_type, labels

    def items(self) -> list[Header]:
        """Return the headers: of the batch first, then of its records in their order."""
        labels = [(LABELS, self._labels.text)] if self._labels.indices else []
        return [(ENTRIES, self._entries.text), (START, str(self._start_us)), *labels, *self._records]

    def _most_bytes(self, record: Record, labels: dict[str, str]) -> int:
        """No fewer bytes than the headers would grow by with *record*."""
        before = self._last_labels
        operations = [
            format_label(_LONGEST_INDEX, labels.get(name, ""))
            for name in {*before, *labels}
            if before.get(name) != labels.get(name)
        ]
        header = (
            f"{RECORD_PREFIX}{_LONGEST_INDEX}-{record.timestamp_us - self._start_us}",
            ",".join([str(record.length_bytes), written_content_type(record.content_type), *operations]),
        )
        lists_bytes = self._entries.growth_bytes([record.entry]) + self._labels.growth_bytes(labels)
        return line_bytes(*header) + lists_bytes

    def _value(self, length_bytes: int, content_type: str, labels: dict[str, str]) -> str:
        """What a record's header says: the length, and what is not as in the record before."""
        before = self._last_labels
        changed = [name for name in sorted({*before, *labels}) if before.get(name) != labels.get(name)]
        operations = [format_label(self._labels.index(name), labels.get(name, "")) for name in changed]
        parts = [
            str(length_bytes),
            content_type if content_type != self._last_content_type else "",
            *operations,
        ]
        return ",".join(parts if any(parts[1:]) else parts[:1])


class _List:
    """A header that lists names by which others refer to them."""

    def __init__(self, header: str) -> None:
        self.indices: dict[str, int] = {}
        self._header = header
        self._encoded: list[str] = []
        self._bytes = line_bytes(header, "")

    @property
    def text(self) -> str:
        """The list, as the header has it."""
        return ",".join(self._encoded)

    @property
    def line_bytes(self) -> int:
        """How many bytes the header takes."""
        return self._bytes + max(0, len(self._encoded) - 1)

    def takes(self, names: list[str] | dict[str, str]) -> bool:
        """Tell whether the line stays readable with these names too."""
        added_bytes = self.growth_bytes(names)
        return not added_bytes or self.line_bytes + added_bytes <= _MAX_LIST_BYTES

    def growth_bytes(self, names: list[str] | dict[str, str]) -> int:
        """How many bytes the line would grow by with these names."""
        return sum(1 + len(encode_name(name)) for name in names if name not in self.indices)

    def index(self, name: str) -> int:
        """Return the index of a name, which is listed from now on."""
        if name not in self.indices:
            encoded = encode_name(name)
            self.indices[name] = len(self._encoded)
            self._encoded.append(encoded)
            self._bytes += len(encoded)
        return self.indices[name]


def _labels_of(record: Record) -> dict[str, str]:
    return {name: value for name, value in written_labels(record.labels) if value}
