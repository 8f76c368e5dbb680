"""A condition at work: what it says of one record after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from storage_demo.engine.conditions.expressions import Expression, Moment, Operation
from storage_demo.engine.conditions.operators import LimitReachedError
from storage_demo.engine.conditions.values import is_true


class Verdict(Enum):
    """What a condition says of a record."""

    MATCH = "match"
    """The record belongs to the result."""
    SKIP = "skip"
    """The record does not; a later one may."""
    END = "end"
    """A ``$limit`` is used up: neither this record does nor any later one."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed ``when``. It remembers nothing, and may be shared by any number of evaluations."""

    root: Operation

    @property
    def remembers(self) -> bool:
        """Whether what it says of a record depends on those before it: ``$limit``, ``$each_n``, ``$each_t``."""
        return self.counter_count > 0

    @property
    def counter_count(self) -> int:
        """How many operators remember something for each evaluation."""
        return self.root.counter_count

    def begin(self) -> Evaluation:
        """Return an evaluation that has seen no record yet; a query needs one for each of its entries."""
        return Evaluation(self.root)


class Evaluation:
    """One pass over the records of an entry, in ascending order of time."""

    def __init__(self, root: Expression) -> None:
        self._root = root
        self._memory: dict[Operation, int] = {}
        self._ended = False

    def judge(self, labels: Mapping[str, str], timestamp_us: int) -> Verdict:
        """Return what the condition says of the next record. Once it was `Verdict.END`, it stays so.

        Raises `ReferenceNotFoundError` if the condition needs a label that is not there, `ConditionError`
        if it cannot be evaluated for another reason. The next record can be judged nevertheless: what was
        counted before the error stays counted.
        """
        if self._ended:
            return Verdict.END
        try:
            value = self._root.evaluate(Moment(labels, timestamp_us, self._memory))
        except LimitReachedError:
            self._ended = True
            return Verdict.END
        return Verdict.MATCH if is_true(value) else Verdict.SKIP
