"""A second, naive reading of conditions: it walks the JSON itself, and every number is a fraction.

It knows no parsing of label texts: whoever uses it says what each label is worth. It covers what can be
said without casts and times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

Worth = Fraction | str


class VoidError(Exception):
    """A label is missing."""


class EndError(Exception):
    """A limit is used up."""


def ordered(left: Any, right: Any) -> int | None:
    """Below zero, zero, above zero; None between a text and a number."""
    if isinstance(left, str) != isinstance(right, str):
        return None
    return int(left > right) - int(left < right)


def exactly_one(*worths: Worth) -> bool:
    return [bool(worth) for worth in worths].count(True) == 1


LAZY: dict[str, Callable[[Iterator[Worth]], bool]] = {
    "$and": all,
    "$all_of": all,
    "$or": any,
    "$any_of": any,
    "$not": lambda worths: not any(worths),
    "$none_of": lambda worths: not any(worths),
}
COUNTERS = {"$limit", "$each_n"}
EAGER: dict[str, Callable[..., bool]] = {
    "$xor": exactly_one,
    "$one_of": exactly_one,
    "$in": lambda wanted, *others: wanted in others,
    "$nin": lambda wanted, *others: wanted not in others,
    "$eq": lambda left, right: ordered(left, right) == 0,
    "$ne": lambda left, right: ordered(left, right) != 0,
    "$gt": lambda left, right: ordered(left, right) == 1,
    "$gte": lambda left, right: ordered(left, right) in {0, 1},
    "$lt": lambda left, right: ordered(left, right) == -1,
    "$lte": lambda left, right: ordered(left, right) in {-1, 0},
}


class Model:
    """One pass over records; counts are kept by the place in the document."""

    def __init__(self, when: dict[str, Any], durations: Mapping[str, int]) -> None:
        self.when = when
        self.durations = durations
        self.counts: dict[tuple[object, ...], int] = {}
        self.labels: Mapping[str, Worth] = {}
        self.over = False

    def judge(self, labels: Mapping[str, Worth]) -> str:
        """M, s, E or ?, as in `tests.storage_demo.engine.conditions.judging.run`."""
        self.labels = labels
        if self.over:
            return "E"
        try:
            for key, value in self.when.items():
                if not self.member(key, value, (key,)):
                    return "s"
        except VoidError:
            return "?"
        except EndError:
            self.over = True
            return "E"
        return "M"

    def member(self, key: str, value: Any, place: tuple[object, ...]) -> bool:
        """The answer of one operator; operands are looked at one by one, so that some are not."""
        if isinstance(value, dict):
            [(name, right)] = value.items()
            operands = [(key, place), *self.flat([right], place)]
        else:
            name, operands = key, self.flat(value if isinstance(value, list) else [value], place)
        worths = (self.worth(*operand) for operand in operands)
        if name in LAZY:
            return LAZY[name](worths)
        if name in COUNTERS:
            [number] = worths
            return self.count(name, number, place)
        return EAGER[name](*list(worths))

    def count(self, name: str, number: Any, place: tuple[object, ...]) -> bool:
        """The answer of an operator that counts."""
        before = self.counts.get(place, 0)
        if name == "$limit" and before >= number:
            raise EndError
        self.counts[place] = before + 1
        return name == "$limit" or self.counts[place] % number == 0

    def flat(self, operands: list[Any], place: tuple[object, ...]) -> list[tuple[Any, tuple[object, ...]]]:
        """Operands with their places; each key of an object is one."""
        found: list[tuple[Any, tuple[object, ...]]] = []
        for index, operand in enumerate(operands):
            if isinstance(operand, dict):
                found += [({key: value}, (*place, index, key)) for key, value in operand.items()]
            else:
                found.append((operand, (*place, index)))
        return found

    def worth(self, operand: Any, place: tuple[object, ...]) -> Worth:
        """What an operand is worth."""
        if isinstance(operand, dict):
            [(key, value)] = operand.items()
            return Fraction(self.member(key, value, place))
        if not isinstance(operand, str):
            return Fraction(operand)
        if operand.startswith("&"):
            if operand[1:] not in self.labels:
                raise VoidError
            return self.labels[operand[1:]]
        if operand in self.durations:
            return Fraction(self.durations[operand])
        return operand.removeprefix("$") if operand.startswith("$$") else operand
