"""Several records that are read together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

    from storage_demo.engine.reader import RecordReader
    from storage_demo.engine.records import Record


class BatchRule(Protocol):
    """What goes into one batch; whoever asks for the batch decides."""

    @property
    def is_full(self) -> bool:
        """Whether nothing more goes in. Asked after `add`."""
        ...

    def fits(self, record: Record) -> bool:
        """Whether the batch may go on with *record*; an empty one always may."""
        ...

    def add(self, record: Record) -> None:
        """Take note of a record that goes in."""
        ...


class OneRecord:
    """The rule for reading record by record."""

    is_full = True

    def fits(self, record: Record) -> bool:  # noqa: ARG002 - the protocol's signature
        """Allow the first and only one."""
        return True

    def add(self, record: Record) -> None:
        """Do nothing: one is all."""


class RecordBatch:
    """Records with their contents; use it with ``async with``, which lets the contents go.

    ``records`` describes them, ``readers`` has them in the same order, or nothing if contents were not asked for.
    ``is_last`` says that the query had come to its end when the batch was closed; one without records that is not
    the last only means that looking for the next one takes long.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.readers: list[RecordReader] = []
        self.is_last = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the contents go; a second call does nothing."""
        for reader in self.readers:
            reader.close()
