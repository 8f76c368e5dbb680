"""Numbers, names and messages in header lines.

Header names of requests are compared in lower case (RFC 9110 §5.1) and may appear once: where two lines
say different things about one record, or about the whole batch, neither is to be trusted.
"""

from __future__ import annotations

import re

from storage_demo.engine import MAX_INTEGER, InvalidError

_NUMBER = re.compile(r"[0-9]{1,19}")
_PRINTABLE = re.compile(r"[ -~]*")
_UNPRINTABLE_CHARACTER = re.compile(r"[^ -~]")
_MAX_EXCERPT_LENGTH = 100
_MAX_MESSAGE_LENGTH = 500  # clients have limits for a header's line; what they sent may be quoted in it
_FRAME_BYTES = 4  # the colon, a space and the line break

Header = tuple[str, str]


def is_printable(text: str) -> bool:
    """Tell whether *text* is printable ASCII: what a header value can always hold."""
    return _PRINTABLE.fullmatch(text) is not None


def printable(text: str) -> str:
    """Return *text* with a question mark in place of everything that is not printable ASCII."""
    return _UNPRINTABLE_CHARACTER.sub("?", text)


def excerpt(text: str) -> str:
    """Return the part of a client's *text* that may be quoted in a message: short and printable."""
    shown = text if len(text) <= _MAX_EXCERPT_LENGTH else f"{text[:_MAX_EXCERPT_LENGTH]}..."
    return printable(shown)


def read_number(text: str) -> int | None:
    """Return the number that *text* writes in ASCII digits, None unless it is one of 0 ... 2^63-1."""
    if _NUMBER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number <= MAX_INTEGER else None


def read_length(text: str) -> int:
    """Return the bytes that the first part of a record's header announces. Raises `InvalidError`."""
    length_bytes = read_number(text.strip(" \t"))
    if length_bytes is None:
        raise InvalidError("Invalid content length")
    return length_bytes


def invalid_time(name: str) -> InvalidError:
    """Return the refusal of a record's header whose *name* ends in no acceptable time."""
    return InvalidError(f"Invalid header '{excerpt(name)}': must be an unix timestamp in microseconds")


def duplicate_header(name: str) -> InvalidError:
    """Return the refusal of a second header with this *name*, or about the same record."""
    return InvalidError(f"Duplicate header '{excerpt(name)}'")


def error_value(status: int, message: str) -> str:
    """Return status and reason of one record's failure as a legal header value of limited length."""
    if not is_printable(message):
        return f"{status},Unparsable message"
    if len(message) > _MAX_MESSAGE_LENGTH:
        message = f"{message[:_MAX_MESSAGE_LENGTH]}..."
    return f"{status},{message}"


def line_bytes(name: str, value: str) -> int:
    """Return the bytes that a header takes in a response; both are ASCII."""
    return len(name) + len(value) + _FRAME_BYTES
