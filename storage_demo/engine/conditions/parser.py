"""From the JSON of ``when`` to a condition.

Grammar, in terms of JSON values::

    condition = { *member }                      ; all of them, in the order of the document
    member    = "$operator": [ *operand ]
              / "$operator": literal             ; one operand
              / literal: { "$operator": operand }  ; two operands, or more if the right one is an object
    operand   = literal / condition              ; an object with k members is k operands
    literal   = number / true / false / "&label" / "@computed label" / "$timestamp" / "$id"
              / "$$text that starts with one $" / "duration" / "text"

What is wrong is reported in the order of the document, the name of an operator before its operands, and
their number last. Depth and size are looked at first, so that what follows may recurse.
"""

from __future__ import annotations

import json

from storage_demo.engine.conditions.evaluation import Condition
from storage_demo.engine.conditions.excerpt import excerpt
from storage_demo.engine.conditions.expressions import (
    ComputedLabel,
    Constant,
    Expression,
    Label,
    Operation,
    Timestamp,
)
from storage_demo.engine.conditions.operators import OPERATORS, Operator
from storage_demo.engine.conditions.values import literal_value, number_value, text_value, truth
from storage_demo.engine.errors import InvalidError

MAX_DEPTH = 128
MAX_VALUES = 10_000
MAX_COUNTERS = 16
"""Each remembers something for every entry that a query is about."""


def parse_condition(when: object) -> Condition:
    """Return the condition that *when*, decoded JSON, describes; an empty object matches everything.

    Raises `InvalidError` for what is not a condition, for operators and directives that this server does
    not have, and for more than `MAX_DEPTH` objects and arrays in each other or `MAX_VALUES` values in all,
    or `MAX_COUNTERS` operators that count.
    """
    if not isinstance(when, dict):
        raise InvalidError("Condition must be a JSON object")
    _check_size(when)
    condition = Condition(_applied(OPERATORS["$all_of"], _operands(when)))
    if condition.counter_count > MAX_COUNTERS:
        raise InvalidError(
            f"Condition must not have more than {MAX_COUNTERS} operators that count: $limit, $each_n, $each_t"
        )
    return condition


def _check_size(when: dict[str, object]) -> None:
    depth = 0
    values = 1
    containers: list[dict[str, object] | list[object]] = [when]
    while containers:
        depth += 1
        inner = [
            value
            for container in containers
            for value in (container.values() if isinstance(container, dict) else container)
        ]
        values += len(inner)
        if depth > MAX_DEPTH:
            raise InvalidError(f"Condition must not have more than {MAX_DEPTH} levels of objects and arrays")
        if values > MAX_VALUES:
            raise InvalidError(f"Condition must not have more than {MAX_VALUES} values")
        containers = [value for value in inner if isinstance(value, dict | list)]


def _operands(value: object) -> list[Expression]:
    if isinstance(value, dict):
        return [_member(key, inner) for key, inner in value.items()]
    return [_literal(value)]


def _member(key: str, value: object) -> Expression:
    _refuse_directive(key)
    if isinstance(value, dict):
        if len(value) != 1:
            raise InvalidError("Object notation must have exactly one operator")
        [(name, right)] = value.items()
        left = _text(key)
        return _operation(name, [left], [right])
    return _operation(key, [], value if isinstance(value, list) else [value])


def _operation(name: str, operands: list[Expression], others: list[object]) -> Expression:
    operator = _operator(name)
    for other in others:
        operands += _operands(other)
    if not operator.arity.allows(len(operands)):
        raise InvalidError(f"{name} {operator.arity.complaint}")
    return _applied(operator, operands)


def _applied(operator: Operator, operands: list[Expression]) -> Operation:
    counters = operator.counts + sum(
        operand.counter_count for operand in operands if isinstance(operand, Operation)
    )
    return Operation(operator.evaluate, tuple(operands), counters)


def _operator(name: str) -> Operator:
    _refuse_directive(name)
    if not name.startswith("$"):
        raise InvalidError(f"Operator '{excerpt(name)}' must start with '$'")
    if name not in OPERATORS:
        raise InvalidError(f"Operator '{excerpt(name)}' not supported")
    return OPERATORS[name]


def _refuse_directive(key: str) -> None:
    if key.startswith("#"):
        raise InvalidError(f"Directive '{excerpt(key)}' is not supported")


def _literal(value: object) -> Expression:
    match value:
        case bool():
            return Constant(truth(value))
        case int() | float():
            return Constant(number_value(value))
        case str():
            return _text(value)
        case None:
            raise InvalidError("Null type is not supported: null")
        case _:
            compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            raise InvalidError(f"Array type is not supported: {excerpt(compact)}")


def _text(text: str) -> Expression:
    match text[:1]:
        case "&":
            return Label(text[1:])
        case "@":
            return ComputedLabel(text[1:])
        case "$" if text in {"$timestamp", "$id"}:
            return Timestamp()
        case "$" if text.startswith("$$"):
            return Constant(text_value(text[1:]))
        case "$":
            raise InvalidError(f"Unknown '$' literal '{excerpt(text)}'; use '$$' to escape a string value")
        case _:
            return Constant(literal_value(text))
