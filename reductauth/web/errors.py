"""AuthError -> status, headers, body: one table.

The message stands in the header `x-reduct-error`, where clients look for it, and in the body as `detail`.
"""

from __future__ import annotations

import orjson
from aiohttp import web

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

__all__ = ["auth_error_response", "error_response"]

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
_JSON = "application/json"


def error_response(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """Render any refusal the way clients of the storage protocol expect it."""
    readable = message.encode("utf-8", "replace").decode()  # lone surrogates, from undecodable paths
    return web.Response(
        status=status,
        body=orjson.dumps({"detail": readable.replace('"', "'")}),
        content_type=_JSON,
        headers={"x-reduct-error": message if _is_header_value(message) else _UNPARSABLE, **(headers or {})},
    )


def auth_error_response(error: AuthError) -> web.Response:
    """Render a refusal of this module."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    return error_response(status, str(error), _headers(error))


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
