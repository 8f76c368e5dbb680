"""A token's value: the string that a client presents.

    {name}-rsat1{43 base-62 characters}{6 base-62 characters}

The 43 are 256 bits from the system's random source. The 6 are the CRC-32 of all that precedes them, so that
scanners find leaked values (`rsat1[0-9A-Za-z]{49}`) and a typo is refused without a lookup. The checksum
protects nothing; the digest does (see `reductauth.key`).
"""

from __future__ import annotations

import re
import secrets
import zlib
from enum import Enum, auto

from reductauth.errors import InvalidInputError

__all__ = ["MAX_VALUE_LENGTH", "Shape", "check_name", "mint", "shape_of"]

MAX_VALUE_LENGTH = 4_096
"""Characters; longer values are refused before they are hashed."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH = 43
_CHECKSUM_LENGTH = 6
_MARK = "-rsat1"
_TAIL_LENGTH = _RANDOM_LENGTH + _CHECKSUM_LENGTH
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)

# Two digits at a time: a checksum is computed for every unknown value, which is what an attacker sends.
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_PAIR_COUNT = len(_PAIRS)


class Shape(Enum):
    """What a presented string looks like, before anything is looked up."""

    MINTED = auto()
    """Ours, with the right checksum."""
    MISTYPED = auto()
    """Ours, but the checksum is wrong: it was never minted."""
    FOREIGN = auto()
    """Chosen by people (bootstrap and provisioned values carry no checksum)."""


def check_name(name: str) -> str:
    """Return `name` if a token may have it. Raises `InvalidInputError` otherwise."""
    if not name:
        raise InvalidInputError("Token name can't be empty")
    if _NAME.fullmatch(name) is None:
        raise InvalidInputError("Token name can contain only letters, digits and [-,_,.] symbols")
    return name


def mint(name: str) -> str:
    """Make a new value for the token `name`, from the system's random source."""
    start = f"{name}-rsat1{_base62(int.from_bytes(secrets.token_bytes(32)), _RANDOM_LENGTH)}"
    return start + _checksum(start)


def shape_of(value: str) -> Shape:
    """Tell a value of ours from a mistyped one and from one that people chose."""
    tail = value[-_TAIL_LENGTH:]
    if value[-_TAIL_LENGTH - len(_MARK) : -_TAIL_LENGTH] != _MARK or not (tail.isascii() and tail.isalnum()):
        return Shape.FOREIGN
    return Shape.MINTED if _has_checksum(value) else Shape.MISTYPED


def _checksum(start: str) -> str:
    high, middle, low = _checksum_pairs(start)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def _has_checksum(value: str) -> bool:
    high, middle, low = _checksum_pairs(value[:-_CHECKSUM_LENGTH])
    # A mistyped value nearly always differs in the first pair that is looked at.
    return value[-2:] == _PAIRS[low] and value[-4:-2] == _PAIRS[middle] and value[-6:-4] == _PAIRS[high]


def _checksum_pairs(start: str) -> tuple[int, int, int]:
    """The CRC-32 of the text as three digits to the base 62 * 62."""
    rest, low = divmod(zlib.crc32(start.encode("utf-8", "surrogatepass")), _PAIR_COUNT)
    high, middle = divmod(rest, _PAIR_COUNT)
    return high, middle, low


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
