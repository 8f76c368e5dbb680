"""AuthError -> status, headers, body: one table.

The message stands in the header `x-reduct-error`, where clients look for it, and in the body as `detail`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import orjson
from aiohttp import web
from multidict import CIMultiDict

from reductauth.errors import (
    AuthenticationError,
    AuthenticationOffError,
    AuthError,
    BodyTooLargeError,
    ConflictError,
    InvalidInputError,
    PermissionDeniedError,
    StoreUnavailableError,
    TokenNotFoundError,
)

__all__ = ["auth_error_response", "error_response", "refusal_of"]

_STATUS: tuple[tuple[type[AuthError], int], ...] = (
    (AuthenticationError, 401),
    (PermissionDeniedError, 403),
    (TokenNotFoundError, 404),
    (ConflictError, 409),
    (BodyTooLargeError, 413),
    (InvalidInputError, 422),
    (AuthenticationOffError, 400),
    (StoreUnavailableError, 503),
)

_UNPARSABLE = "Unparsable message"
_MAX_MESSAGE_LENGTH = 500  # clients have limits for a header's line; what they sent may be quoted in it


def error_response(
    status: int, message: str, headers: Mapping[str, str] = MappingProxyType({})
) -> web.Response:
    """Render any refusal the way clients of the storage protocol expect it."""
    body, common = _rendered(_shortened(message))
    all_headers = common.copy()
    all_headers.update(headers)
    return web.Response(status=status, body=body, headers=all_headers)


def auth_error_response(error: AuthError) -> web.Response:
    """Render a refusal of this module."""
    return error_response(_status_of(error), str(error), _headers(error))


def refusal_of(error: AuthError) -> tuple[int, str]:
    """Give status and detail of a refusal that is one of several results in an answer."""
    body, _ = _rendered(_shortened(str(error)))
    return _status_of(error), orjson.loads(body)["detail"]


def _shortened(message: str) -> str:
    return message if len(message) <= _MAX_MESSAGE_LENGTH else f"{message[:_MAX_MESSAGE_LENGTH]}..."


@lru_cache(maxsize=1024)
def _rendered(message: str) -> tuple[bytes, CIMultiDict[str]]:
    """Body and headers of a refusal. Kept, because refusals come in floods; none of them holds a value."""
    readable = message.encode("utf-8", "replace").decode()  # lone surrogates, from undecodable paths
    headers = CIMultiDict({"x-reduct-error": message if _is_header_value(message) else _UNPARSABLE})
    headers["Content-Type"] = "application/json"
    return orjson.dumps({"detail": readable.replace('"', "'")}), headers


def _status_of(error: AuthError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def _headers(error: AuthError) -> dict[str, str]:
    if isinstance(error, AuthenticationError):
        # RFC 9110 §11.6.1; RFC 6750 §3: no error code where no credential was sent.
        challenge = 'Bearer error="invalid_token"' if error.presented else "Bearer"
        return {"www-authenticate": challenge}
    if isinstance(error, StoreUnavailableError):
        return {"retry-after": str(error.retry_after_seconds)}
    return {}


def _is_header_value(text: str) -> bool:
    """RFC 9110 §5.5, visible ASCII and spaces: aiohttp drops the connection over CR, LF, NUL and DEL."""
    return text.isascii() and text.isprintable()
