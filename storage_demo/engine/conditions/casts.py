"""Values as values of another type, as ``$cast`` and the operators that count and measure need them.

bool      whether the value counts as true; so the text ``"false"`` is true, as every text is
int       the integer that a text is; a float without its fraction; microseconds of a duration
float     the number that a text is; microseconds of a duration
string    the text of a label as it is stored, of anything else as it is written
duration  the duration that a text is; a number is microseconds, without its fraction
"""

from __future__ import annotations

import math
from collections.abc import Callable

from storage_demo.engine.conditions.excerpt import excerpt
from storage_demo.engine.conditions.numbers import is_64_bit, to_duration_us, to_float, to_integer
from storage_demo.engine.conditions.values import (
    Value,
    duration_value,
    is_true,
    number_value,
    text_value,
    truth,
)
from storage_demo.engine.errors import ConditionError


def cast(value: Value, type_name: str) -> Value:
    """Return *value* as one of the type. Raises `ConditionError` if it cannot be, or there is no such type."""
    convert = _CASTS.get(type_name)
    if convert is None:
        raise ConditionError(f"Unknown type '{excerpt(type_name)}': use {', '.join(_CASTS)}")
    return convert(value)


def as_integer(value: Value) -> int:
    """Return *value* as a 64-bit integer. Raises `ConditionError`."""
    if isinstance(value.content, str):
        number = to_integer(value.content)
    elif math.isfinite(value.content) and is_64_bit(truncated := math.trunc(value.content)):
        number = truncated
    else:
        number = None
    if number is None:
        raise _refusal(value, "int")
    return number


def as_float(value: Value) -> float:
    """Return *value* as a float. Raises `ConditionError`."""
    number = to_float(value.content) if isinstance(value.content, str) else float(value.content)
    if number is None:
        raise _refusal(value, "float")
    return number


def as_duration_us(value: Value) -> int:
    """Return *value* as microseconds. Raises `ConditionError`."""
    if not isinstance(value.content, str):
        return as_integer(value)
    duration_us = to_duration_us(value.content)
    if duration_us is None:
        raise _refusal(value, "duration")
    return duration_us


def _refusal(value: Value, type_name: str) -> ConditionError:
    return ConditionError(f"Value '{excerpt(value.text)}' cannot be cast to {type_name}")


_CASTS: dict[str, Callable[[Value], Value]] = {
    "bool": lambda value: truth(is_true(value)),
    "int": lambda value: number_value(as_integer(value)),
    "float": lambda value: number_value(as_float(value)),
    "string": lambda value: text_value(value.text),
    "duration": lambda value: duration_value(as_duration_us(value)),
}
