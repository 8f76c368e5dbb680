"""What requests for records say outside of their bodies: times, lengths, labels, numbers of queries."""

from __future__ import annotations

import re

from aiohttp import hdrs, web

from storage_demo.encoding.labels import check_label_name, check_label_value
from storage_demo.engine import MAX_INTEGER, InvalidError

__all__ = [
    "LABEL_PREFIX",
    "announced_bytes",
    "bucket_name",
    "entry_name",
    "length_bytes",
    "microseconds",
    "new_labels",
    "query_number",
    "required_timestamp_us",
    "seconds",
    "timestamp_us",
]

LABEL_PREFIX = "x-reduct-label-"
"""Of a header that holds one label of a record."""

_DECLARED_LENGTH = "x-reduct-content-length"
_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
_NO_NUMBER_TEXT = "'query' must be a number"


def bucket_name(request: web.Request) -> str:
    """The bucket that the path names."""
    return request.match_info["bucket_name"]


def entry_name(request: web.Request) -> str:
    """The entry that the path names; slashes belong to it."""
    return request.match_info["entry_name"]


def timestamp_us(request: web.Request) -> int | None:
    """The parameter `ts`, microseconds since the epoch. Raises `InvalidError`."""
    return microseconds(request, "ts")


def required_timestamp_us(request: web.Request) -> int:
    """The parameter `ts`, which must be there. Raises `InvalidError`."""
    found_us = timestamp_us(request)
    if found_us is None:
        raise InvalidError("'ts' parameter is required")
    return found_us


def microseconds(request: web.Request, name: str) -> int | None:
    """A parameter that is a time, microseconds since the epoch; None without it. Raises `InvalidError`."""
    text = request.query.get(name)
    return None if text is None else _number(text, f"'{name}' must be an unix timestamp in microseconds")


def seconds(request: web.Request, name: str) -> int | None:
    """A parameter that is a time span in whole seconds; None without it. Raises `InvalidError`."""
    text = request.query.get(name)
    return None if text is None else _number(text, f"'{name}' must be in seconds as an unsigned integer")


def query_number(text: str, message: str = _NO_NUMBER_TEXT) -> int:
    """The number of a query. Raises `InvalidError` with `message`."""
    return _number(text, message)


def length_bytes(request: web.Request) -> int:
    """The announced length of the body. Raises `InvalidError`."""
    found_bytes = announced_bytes(request)
    if found_bytes is None:
        raise InvalidError("content-length header is required")
    return found_bytes


def announced_bytes(request: web.Request) -> int | None:
    """The announced length of the body, None if nothing is said of it. Raises `InvalidError`."""
    text = request.headers.get(hdrs.CONTENT_LENGTH, request.headers.get(_DECLARED_LENGTH))
    return None if text is None else _number(text, "content-length header must be a number")


def new_labels(request: web.Request) -> dict[str, str]:
    """The labels in the headers of a request; their names are in lower case. Raises `InvalidError`."""
    labels = {}
    for header, value in request.headers.items():
        name = header.lower()
        if name.startswith(LABEL_PREFIX):
            label = name.removeprefix(LABEL_PREFIX)
            check_label_name(label)
            check_label_value(value, name)
            labels[label] = value
    return labels


def _number(text: str, message: str) -> int:
    if _DIGITS.fullmatch(text) is None or int(text) > MAX_INTEGER:
        raise InvalidError(message)
    return int(text)
