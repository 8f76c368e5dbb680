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
_MARK = b"-rsat1"
_TAIL_LENGTH = _RANDOM_LENGTH + _CHECKSUM_LENGTH
_MARK_START = -_TAIL_LENGTH - len(_MARK)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)

# Two digits at a time: a checksum is computed for every unknown value, which is what an attacker sends, and a number
# of 256 bits is divided half as often.
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
    return start + _digits(zlib.crc32(start.encode()))


_MINTED, _MISTYPED, _FOREIGN = Shape  # looking a member up on its enumeration is slow


def shape_of(value: str) -> Shape:
    """Tell a value of ours from a mistyped one and from one that people chose."""
    sent = value.encode("utf-8", "surrogatepass")  # for bytes, only ASCII is alphanumeric
    if sent[_MARK_START:-_TAIL_LENGTH] != _MARK or not sent[-_TAIL_LENGTH:].isalnum():
        return _FOREIGN
    # What an attacker sends nearly always differs in the two characters that are looked at first.
    checksum = zlib.crc32(sent[:-_CHECKSUM_LENGTH])
    if value[-2:] != _PAIRS[checksum % _PAIR_COUNT] or value[-_CHECKSUM_LENGTH:] != _digits(checksum):
        return _MISTYPED
    return _MINTED


def _digits(checksum: int) -> str:
    rest, low = divmod(checksum, _PAIR_COUNT)
    high, middle = divmod(rest, _PAIR_COUNT)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def _base62(number: int, length: int) -> str:
    pairs = []
    for _ in range((length + 1) // 2):
        number, pair = divmod(number, _PAIR_COUNT)
        pairs.append(_PAIRS[pair])
    pairs.reverse()
    return "".join(pairs)[-length:]
