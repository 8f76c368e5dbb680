"""The tree that a condition is: constants, references and operations.

The tree is shared by all evaluations and never changes; what operators remember from record to record is
in the `Moment`, under the operation it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from storage_demo.engine.conditions.excerpt import excerpt
from storage_demo.engine.conditions.values import Value, label_value, number_value
from storage_demo.engine.errors import ReferenceNotFoundError


@dataclass(frozen=True, slots=True)
class Moment:
    """One record, and what the operations remember of those before it."""

    labels: Mapping[str, str]
    timestamp_us: int
    memory: dict[Operation, int]


class Expression(Protocol):
    """Something that has a value for a record."""

    def evaluate(self, moment: Moment) -> Value:
        """Return the value. Raises `ReferenceNotFoundError`, `ConditionError`, and what ends a query."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value for every record."""

    value: Value

    def evaluate(self, moment: Moment) -> Value:  # noqa: ARG002 - whatever the record
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Label:
    """``&name``: the label of the record."""

    name: str

    def evaluate(self, moment: Moment) -> Value:
        """Return the value of the label. Raises `ReferenceNotFoundError`."""
        text = moment.labels.get(self.name)
        if text is None:
            raise ReferenceNotFoundError(excerpt(self.name))
        return label_value(text)


@dataclass(frozen=True, slots=True)
class ComputedLabel:
    """``@name``: a label that an extension computes; there are no extensions."""

    name: str

    def evaluate(self, moment: Moment) -> Value:  # noqa: ARG002 - no record has any
        """Raise `ReferenceNotFoundError`."""
        raise ReferenceNotFoundError(excerpt(self.name))


@dataclass(frozen=True, slots=True)
class Timestamp:
    """``$timestamp`` or ``$id``: the time of the record in microseconds."""

    def evaluate(self, moment: Moment) -> Value:
        """Return the time."""
        return number_value(moment.timestamp_us)


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """An operator with its operands; equal only to itself, for two alike count each for themselves."""

    operator: Callable[[Operation, Moment], Value]
    operands: tuple[Expression, ...]
    counter_count: int = 0
    """How many operators, itself and those in its operands, count what came before."""

    def evaluate(self, moment: Moment) -> Value:
        """Return what the operator makes of the operands."""
        return self.operator(self, moment)
