"""Lists of names in one header: comma separated, percent-encoded outside the token characters.

Token characters are those of RFC 9110 §5.6.2. The percent sign is one of them, yet encoded all the same:
receivers decode, and would take a bare one for the beginning of an escape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote_to_bytes

from storage_demo.encoding.headers import excerpt
from storage_demo.engine import InvalidError

_TOKEN_SYMBOLS = "!#$&'*+-.^_`|~"  # noqa: S105
_TOKEN = re.compile(rf"[A-Za-z0-9%{re.escape(_TOKEN_SYMBOLS)}]+")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def is_token(text: str) -> bool:
    """Tell whether *text* is a token of RFC 9110, as header names are."""
    return _TOKEN.fullmatch(text) is not None


def encode_name(name: str) -> str:
    """Return *name* as an item of a list.

    >>> encode_name("arm/camera"), encode_name("arm/$meta")
    ('arm%2Fcamera', 'arm%2F$meta')
    """
    return quote(name, safe=_TOKEN_SYMBOLS)


def encode_names(names: Iterable[str]) -> str:
    """Return the list of *names*."""
    return ",".join(map(encode_name, names))


def decode_names(header: str, text: str) -> list[str]:
    """Return the names in the list *text* of *header*; none in an empty one.

    Characters that needed encoding and have none are accepted. Raises `InvalidError` for broken escapes and
    for what is not UTF-8. The names are not checked further: an empty one may be among them.
    """
    stripped = text.strip(" \t")
    return [_decode_name(header, item.strip(" \t")) for item in stripped.split(",")] if stripped else []


def _decode_name(header: str, item: str) -> str:
    if _BROKEN_ESCAPE.search(item) is None:
        try:
            # Undecodable bytes arrive as surrogates, and become bytes again here.
            return unquote_to_bytes(item.encode("utf-8", "surrogateescape")).decode()
        except UnicodeError:
            pass
    raise InvalidError(f"Invalid {header} header: '{excerpt(item)}' is not a percent-encoded UTF-8 name")
