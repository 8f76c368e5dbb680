"""The values of conditions, and how they compare.

Booleans, integers, floats and durations (in microseconds) compare as numbers, exactly: true is 1, and
2^53 + 1 is not 2.0^53. Texts compare by their code points. A text and a number are not equal, nor is one
less than the other. Nothing is equal to NaN, less or greater.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from storage_demo.engine.conditions.numbers import to_duration_us, to_float, to_integer, widened


@dataclass(frozen=True, slots=True)
class Value:
    """One operand at work.

    ``content`` is what is compared, for a duration microseconds. ``text`` is what is written: of a label
    the text that is stored (``007`` stays ``007``), so that a label can be compared as it was given.
    """

    content: bool | float | str
    text: str
    is_duration: bool = False


TRUE = Value(content=True, text="true")
FALSE = Value(content=False, text="false")


def truth(answer: bool) -> Value:
    """Return *answer* as a value."""
    return TRUE if answer else FALSE


def label_value(text: str) -> Value:
    """Return the value of a label: a boolean, an integer, a float, or else its text."""
    if text == TRUE.text:
        return TRUE
    if text == FALSE.text:
        return FALSE
    number: float | None = to_integer(text)
    if number is None:
        number = to_float(text)
    return Value(text if number is None else number, text)


def number_value(number: float) -> Value:
    """Return the value of a number; the text of a float is the shortest that reads as the same float."""
    if isinstance(number, int):
        number = widened(number)
    return Value(number, str(number))


def text_value(text: str) -> Value:
    """Return the value of a text, whatever it looks like."""
    return Value(text, text)


def duration_value(duration_us: int, text: str | None = None) -> Value:
    """Return the value of a duration."""
    return Value(duration_us, f"{duration_us}us" if text is None else text, is_duration=True)


def literal_value(text: str) -> Value:
    """Return the value of a JSON string without a prefix: a duration, or else its text, never a number."""
    duration_us = to_duration_us(text)
    return text_value(text) if duration_us is None else duration_value(duration_us, text)


def is_true(value: Value) -> bool:
    """Tell whether *value* counts as true: a number other than zero, or a text that is not empty."""
    return bool(value.content)


def holds(relation: Callable[[Any, Any], bool], left: Value, right: Value) -> bool:
    """Tell whether *relation*, one of equality or order, holds; it does not between a text and a number."""
    if isinstance(left.content, str) is not isinstance(right.content, str):
        return False
    return relation(left.content, right.content)
