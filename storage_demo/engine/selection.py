"""Which records of a bucket a query is about."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from storage_demo.engine.errors import InvalidError
from storage_demo.engine.patterns import EntryPatterns

if TYPE_CHECKING:
    from storage_demo.engine.conditions import Condition


@dataclass(frozen=True, slots=True)
class Selection:
    """Times, entries and a condition.

    The records of ``start_us`` ... ``stop_us`` - 1, microseconds since the epoch; None is the oldest, and the
    latest at the time of asking. They are of the one entry called ``entry``, or of those that ``patterns`` choose.
    ``condition`` None takes all; a record for which it cannot be evaluated is left out, or with ``is_strict``
    ends the query with an error. A continuous query never ends, and knows no stop.
    """

    entry: str | None = None
    patterns: EntryPatterns = field(default_factory=EntryPatterns)
    start_us: int | None = None
    stop_us: int | None = None
    condition: Condition | None = None
    is_strict: bool = False
    is_continuous: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether nothing was said about which records: asked before they are removed."""
        return (
            self.start_us is None
            and self.stop_us is None
            and self.condition is None
            and (self.entry is not None or self.patterns.is_all)
        )

    def around(self, timestamp_us: int) -> Selection:
        """Return what has to be looked through to know whether a record of that time is selected.

        A condition that counts has to see all that comes before.
        """
        is_free = self.condition is None or not self.condition.remembers
        return replace(
            self,
            start_us=max(self.start_us or 0, timestamp_us) if is_free else self.start_us,
            stop_us=timestamp_us + 1 if self.stop_us is None else min(self.stop_us, timestamp_us + 1),
        )

    def check_removal(self) -> None:
        """Raise `InvalidError` unless something was said about which records to remove."""
        if self.is_everything:
            raise InvalidError("Define at least one query parameter to delete records")
