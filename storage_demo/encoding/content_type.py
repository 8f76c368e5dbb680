"""The content type of a record in a batch, where a comma ends it."""

from __future__ import annotations

import re

from storage_demo.encoding.headers import is_printable
from storage_demo.engine import DEFAULT_CONTENT_TYPE, InvalidError

_WITHOUT_COMMA = re.compile(r"[ -+\--~]+")


def read_content_type(text: str, default: str = DEFAULT_CONTENT_TYPE) -> str:
    """Return the content type that a record's header names, *default* if it names none.

    Raises `InvalidError` for what could not be put back into a response header.
    """
    content_type = text.strip(" \t")
    if not is_printable(content_type):
        raise InvalidError("Content type must be printable ASCII")
    return content_type or default


def written_content_type(content_type: str) -> str:
    """Return *content_type* as a record's header can hold it.

    A record that was written alone may have parameters with commas, for which the batch has no escape: its
    type goes without parameters then, and as the default if that does not help either.
    """
    for candidate in (content_type.strip(), content_type.partition(";")[0].strip()):
        if _WITHOUT_COMMA.fullmatch(candidate) is not None:
            return candidate
    return DEFAULT_CONTENT_TYPE
