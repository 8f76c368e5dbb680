"""The operators: one table of name, number of operands, and evaluation.

``$and``, ``$or`` and ``$not`` stop at the first operand that decides. All others evaluate every operand,
in order: operands may count, and an error in any of them is one of the whole.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from storage_demo.engine.conditions.casts import as_float, as_integer, cast
from storage_demo.engine.conditions.excerpt import excerpt
from storage_demo.engine.conditions.expressions import Moment, Operation
from storage_demo.engine.conditions.values import FALSE, TRUE, Value, holds, is_true, truth
from storage_demo.engine.errors import ConditionError

_US_PER_S = 1_000_000


class LimitReachedError(Exception):
    """``$limit`` ends the query; it passes every operator on its way out."""


@dataclass(frozen=True, slots=True)
class Arity:
    """How many operands an operator takes: at least, at most (None is any number).

    ``complaint`` is what to say, after the name of the operator, of another number.
    """

    minimum: int
    maximum: int | None
    complaint: str

    def allows(self, count: int) -> bool:
        """Tell whether *count* operands are right."""
        return self.minimum <= count and (self.maximum is None or count <= self.maximum)


_ANY = Arity(0, None, "takes any number of operands")
_ONE = Arity(1, 1, "requires exactly one operand")
_TWO = Arity(2, 2, "requires exactly two operands")
_AT_LEAST_TWO = Arity(2, None, "operator requires at least two operands")


@dataclass(frozen=True, slots=True)
class Operator:
    """What there is to know about an operator besides its name."""

    arity: Arity
    evaluate: Callable[[Operation, Moment], Value]
    counts: bool = False
    """Whether what it says of a record depends on those before."""


def _all_of(operation: Operation, moment: Moment) -> Value:
    for operand in operation.operands:
        if not is_true(operand.evaluate(moment)):
            return FALSE
    return TRUE


def _any_of(operation: Operation, moment: Moment) -> Value:
    for operand in operation.operands:
        if is_true(operand.evaluate(moment)):
            return TRUE
    return FALSE


def _none_of(operation: Operation, moment: Moment) -> Value:
    for operand in operation.operands:
        if is_true(operand.evaluate(moment)):
            return FALSE
    return TRUE


def _values(operation: Operation, moment: Moment) -> list[Value]:
    return [operand.evaluate(moment) for operand in operation.operands]


def _one_of(operation: Operation, moment: Moment) -> Value:
    return truth(sum(is_true(value) for value in _values(operation, moment)) == 1)


def _comparison(relation: Callable[[Any, Any], bool]) -> Callable[[Operation, Moment], Value]:
    def compare(operation: Operation, moment: Moment) -> Value:
        left, right = _values(operation, moment)
        return truth(holds(relation, left, right))

    return compare


def _ne(operation: Operation, moment: Moment) -> Value:
    # Not a relation of its own: a text and a number are unequal.
    left, right = _values(operation, moment)
    return truth(not holds(operator.eq, left, right))


def _is_among(operation: Operation, moment: Moment) -> bool:
    wanted, *others = _values(operation, moment)
    return any(holds(operator.eq, wanted, other) for other in others)


def _in(operation: Operation, moment: Moment) -> Value:
    return truth(_is_among(operation, moment))


def _nin(operation: Operation, moment: Moment) -> Value:
    return truth(not _is_among(operation, moment))


def _exists(operation: Operation, moment: Moment) -> Value:
    return truth(all(value.text in moment.labels for value in _values(operation, moment)))


def _cast(operation: Operation, moment: Moment) -> Value:
    value, type_name = _values(operation, moment)
    return cast(value, type_name.text)


def _limit(operation: Operation, moment: Moment) -> Value:
    limit = _count("$limit", operation, moment, minimum=0)
    evaluations = moment.memory.get(operation, 0) + 1
    if evaluations > limit:
        raise LimitReachedError
    moment.memory[operation] = evaluations
    return TRUE


def _each_n(operation: Operation, moment: Moment) -> Value:
    step = _count("$each_n", operation, moment, minimum=1)
    evaluations = moment.memory.get(operation, 0) + 1
    moment.memory[operation] = evaluations
    return truth(evaluations % step == 0)


def _each_t(operation: Operation, moment: Moment) -> Value:
    period_us = _period_us(operation, moment)
    last_us = moment.memory.get(operation)
    if last_us is None:
        moment.memory[operation] = moment.timestamp_us
        return truth(period_us == 0)
    if moment.timestamp_us - last_us < period_us:
        return FALSE
    moment.memory[operation] = moment.timestamp_us
    return TRUE


def _count(name: str, operation: Operation, moment: Moment, *, minimum: int) -> int:
    [value] = _values(operation, moment)
    count = as_integer(value)
    if count < minimum:
        raise ConditionError(f"{name} must be at least {minimum}, not '{excerpt(value.text)}'")
    return count


def _period_us(operation: Operation, moment: Moment) -> int:
    [value] = _values(operation, moment)
    period_us = as_integer(value) if value.is_duration else as_float(value) * _US_PER_S
    if not 0 <= period_us < math.inf:
        raise ConditionError(f"$each_t must be at least 0 and finite, not '{excerpt(value.text)}'")
    # 0.000249 s is 249 us, although the product of the floats is a little less.
    return round(period_us)


OPERATORS: dict[str, Operator] = {
    "$and": Operator(_ANY, _all_of),
    "$all_of": Operator(_ANY, _all_of),
    "$or": Operator(_ANY, _any_of),
    "$any_of": Operator(_ANY, _any_of),
    "$not": Operator(_ANY, _none_of),
    "$none_of": Operator(_ANY, _none_of),
    "$xor": Operator(_ANY, _one_of),
    "$one_of": Operator(_ANY, _one_of),
    "$eq": Operator(_TWO, _comparison(operator.eq)),
    "$ne": Operator(_TWO, _ne),
    "$gt": Operator(_TWO, _comparison(operator.gt)),
    "$gte": Operator(_TWO, _comparison(operator.ge)),
    "$lt": Operator(_TWO, _comparison(operator.lt)),
    "$lte": Operator(_TWO, _comparison(operator.le)),
    "$in": Operator(_AT_LEAST_TWO, _in),
    "$nin": Operator(_AT_LEAST_TWO, _nin),
    "$exists": Operator(_ANY, _exists),
    "$has": Operator(_ANY, _exists),
    "$limit": Operator(_ONE, _limit, counts=True),
    "$each_n": Operator(_ONE, _each_n, counts=True),
    "$each_t": Operator(_ONE, _each_t, counts=True),
    "$cast": Operator(_TWO, _cast),
}
