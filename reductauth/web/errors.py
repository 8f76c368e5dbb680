"""AuthError -> status, headers, body: one table.

The message stands in the header `x-reduct-error`, where clients look for it, and in the body as `detail`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import orjson
from aiohttp import hdrs, web
from multidict import CIMultiDict

from reductauth.errors import (
    AuthenticationError,
    AuthenticationOffError,
    AuthError,
    BodyTooLargeError,
    ConflictError,
    InvalidInputError,
    LinkError,
    PermissionDeniedError,
    StoreUnavailableError,
    TokenNotFoundError,
    TooManyFailuresError,
)

__all__ = ["auth_error_response", "error_response", "refusal_of"]

_STATUS: tuple[tuple[type[AuthError], int], ...] = (
    (TooManyFailuresError, 429),  # before what it is a case of
    (LinkError, 422),  # as above
    (AuthenticationError, 401),
    (PermissionDeniedError, 403),
    (TokenNotFoundError, 404),
    (ConflictError, 409),
    (BodyTooLargeError, 413),
    (InvalidInputError, 422),
    (AuthenticationOffError, 400),
    (StoreUnavailableError, 503),
)

_DESCRIPTION = re.compile(r"[ !#-\[\]-~]+", re.ASCII)
_UNPARSABLE = "Unparsable message"
_MAX_MESSAGE_LENGTH = 500  # clients have limits for a header's line; what they sent may be quoted in it


def error_response(
    status: int, message: str, headers: Mapping[str, str] = MappingProxyType({})
) -> web.Response:
    """Render any refusal the way clients of the storage protocol expect it."""
    body, all_headers = _rendered(_shortened(message), tuple(headers.items()))
    return web.Response(status=status, body=body, headers=all_headers)


def auth_error_response(error: AuthError, further_challenges: tuple[str, ...] = ()) -> web.Response:
    """Render a refusal of this module; one of authentication with `further_challenges`, beside the one for bearers."""
    status, body, headers = _refusal_of(error, further_challenges)
    return web.Response(status=status, body=body, headers=headers)


def refusal_of(error: AuthError) -> tuple[int, str]:
    """Give status and detail of a refusal that is one of several results in an answer."""
    status, body, _ = _refusal_of(error)
    return status, orjson.loads(body)["detail"]


def _shortened(message: str) -> str:
    return message if len(message) <= _MAX_MESSAGE_LENGTH else f"{message[:_MAX_MESSAGE_LENGTH]}..."


def _refusal_of(
    error: AuthError, further_challenges: tuple[str, ...] = ()
) -> tuple[int, bytes, CIMultiDict[str]]:
    message, pause = _shortened(str(error)), error.retry_after_seconds
    # mypy takes the __hash__ of instances for the one of their class
    return _refusal(type(error), message, pause, further_challenges)  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def _refusal(
    kind: type[AuthError], message: str, retry_after_seconds: int | None, further_challenges: tuple[str, ...]
) -> tuple[int, bytes, CIMultiDict[str]]:
    """Status, body and headers. Kept, because refusals come in floods; none of them holds a value."""
    status = next((status for known, status in _STATUS if issubclass(kind, known)), 500)
    headers = _headers(kind, message)
    if retry_after_seconds is not None:
        headers["retry-after"] = str(retry_after_seconds)
    body, all_headers = _rendered(message, tuple(headers.items()))
    if issubclass(kind, AuthenticationError):
        all_headers.extend((hdrs.WWW_AUTHENTICATE, challenge) for challenge in further_challenges)
    return status, body, all_headers


def _rendered(message: str, further: tuple[tuple[str, str], ...]) -> tuple[bytes, CIMultiDict[str]]:
    readable = message.encode("utf-8", "replace").decode()  # lone surrogates, from undecodable paths
    headers = CIMultiDict({"x-reduct-error": message if _is_header_value(message) else _UNPARSABLE})
    headers["Content-Type"] = "application/json"
    headers.update(further)
    return orjson.dumps({"detail": readable.replace('"', "'")}), headers


def _headers(kind: type[AuthError], message: str) -> dict[str, str]:
    if issubclass(kind, LinkError):
        return {}  # no header would help
    if issubclass(kind, AuthenticationError):
        # RFC 9110 §11.6.1; RFC 6750 §3: no error code where no credential was sent.
        return {"www-authenticate": _challenge("invalid_token", message) if kind.presented else "Bearer"}
    if issubclass(kind, PermissionDeniedError):
        return {"www-authenticate": _challenge("insufficient_scope", message)}
    return {}


def _challenge(code: str, message: str) -> str:
    """A challenge of RFC 6750 §3, with a description where its grammar has the characters for it."""
    described = f', error_description="{message}"' if _DESCRIPTION.fullmatch(message) else ""
    return f'Bearer error="{code}"{described}'


def _is_header_value(text: str) -> bool:
    """RFC 9110 §5.5, visible ASCII and spaces: aiohttp drops the connection over CR, LF, NUL and DEL."""
    return text.isascii() and text.isprintable()
