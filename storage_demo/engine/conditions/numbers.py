"""Which texts are integers, floats and durations.

Labels are stored as text, so their types are read off it, by the rules of the usual parser of 64-bit
numbers and nothing beyond: ASCII digits, no spaces, no underscores::

    integer  = [ sign ] 1*digit                                      ; -2^63 ... 2^63-1
    float    = [ sign ] ( decimal [ ( "e" / "E" ) integer ] / "inf" / "infinity" / "nan" )
    decimal  = 1*digit [ "." *digit ] / "." 1*digit
    duration = term *( 1*" " term )                                  ; the sum of its terms
    term     = [ "-" ] 1*digit ( "us" / "ms" / "s" / "m" / "h" / "d" )

``inf``, ``infinity`` and ``nan`` may be in upper case. An integer beyond 64 bits is a float, in labels
and in JSON alike, and a duration beyond 64 bits of microseconds is not one.
"""

from __future__ import annotations

import math
import re

_MIN_INTEGER = -(2**63)
_MAX_INTEGER = 2**63 - 1
_MAX_DIGITS = len(str(_MAX_INTEGER))

# re.ASCII also keeps IGNORECASE from taking a dotless i for an i.
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(
    r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE
)
_DURATION = re.compile(r"-?[0-9]+(?:us|ms|s|m|h|d)(?: +-?[0-9]+(?:us|ms|s|m|h|d))*")
_TERM = re.compile(r"(-?[0-9]+)([a-z]+)")

_UNIT_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60 * 1_000_000,
    "h": 3_600 * 1_000_000,
    "d": 86_400 * 1_000_000,
}


def is_64_bit(number: int) -> bool:
    """Tell whether *number* is a signed 64-bit integer."""
    return _MIN_INTEGER <= number <= _MAX_INTEGER


def to_integer(text: str) -> int | None:
    """Return the integer that *text* is, or None."""
    return None if _INTEGER.fullmatch(text) is None else _signed(text)


def to_float(text: str) -> float | None:
    """Return the float that *text* is, or None; too large a number is infinite."""
    return None if _FLOAT.fullmatch(text) is None else float(text)


def to_duration_us(text: str) -> int | None:
    """Return the microseconds of the duration that *text* is, or None.

    >>> to_duration_us("1h 30m"), to_duration_us("-5s"), to_duration_us("5 s")
    (5400000000, -5000000, None)
    """
    if _DURATION.fullmatch(text) is None:
        return None
    total_us = 0
    for count_text, unit in _TERM.findall(text):
        count = _signed(count_text)
        if count is None:
            return None
        total_us += count * _UNIT_US[unit]
    return total_us if is_64_bit(total_us) else None


def _signed(text: str) -> int | None:
    if len(text) < _MAX_DIGITS:
        return int(text)
    digits = text.lstrip("+-0") or "0"
    if len(digits) > _MAX_DIGITS:  # int() refuses thousands of digits with an error of its own
        return None
    number = -int(digits) if text[0] == "-" else int(digits)
    return number if is_64_bit(number) else None


def widened(number: int) -> int | float:
    """Return *number* as a 64-bit integer if it is one, else as the nearest float."""
    if is_64_bit(number):
        return number
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
