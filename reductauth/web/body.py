"""A request's body: when the client may send it, how much of it is read, and what happens to the rest.

`Expect: 100-continue` (RFC 9110 §10.1.1) is there so that a refused body is never sent. aiohttp says `100` before
any handler runs; here nobody says it before the guard has let the request in, and a handler that has more to
check says it itself, by `let_client_send`, when it is ready to read.
"""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import HttpVersion11, hdrs, web

from reductauth.errors import BodyTooLargeError
from reductauth.web.errors import error_response

__all__ = [
    "DRAIN_SECONDS",
    "MAX_BODY_BYTES",
    "MAX_DRAIN_BYTES",
    "UNKNOWN_EXPECTATION",
    "drain",
    "expect_later",
    "let_client_send",
    "read_body",
    "refuse_expectation",
]

MAX_BODY_BYTES = 1024 * 1024
"""Of a JSON body."""
MAX_DRAIN_BYTES = 64 * 1024 * 1024
DRAIN_SECONDS = 10.0

UNKNOWN_EXPECTATION = "Only '100-continue' can be expected"

_IS_WAITING: web.RequestKey[bool] = web.RequestKey("reductauth client waits for 100", bool)


def refuse_expectation(request: web.Request) -> web.Response | None:
    """Answer to an `Expect` that is not `100-continue`; None if it is."""
    expectation = request.headers.get(hdrs.EXPECT, "")
    if expectation.lower() == "100-continue":
        return None
    return error_response(417, UNKNOWN_EXPECTATION)


async def expect_later(request: web.Request) -> web.Response | None:
    """An `expect_handler` for routes whose handler calls `let_client_send` before it reads."""
    refusal = refuse_expectation(request)
    if refusal is None and request.version >= HttpVersion11:
        request[_IS_WAITING] = True
    return refusal


async def let_client_send(request: web.Request) -> None:
    """Say `100 Continue` to a client that waits for it."""
    if request.get(_IS_WAITING):
        request[_IS_WAITING] = False
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the answer itself was sent


async def read_body(request: web.Request) -> bytes:
    """Read a whole body of at most `MAX_BODY_BYTES`, after decompression. Raises `BodyTooLargeError`."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise BodyTooLargeError(MAX_BODY_BYTES)
    await let_client_send(request)
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLargeError(MAX_BODY_BYTES)
    return bytes(body)


async def drain(request: web.Request, response: web.StreamResponse) -> None:
    """Before an error is answered, take in what a client is sending: many read the answer only after that.

    At most `MAX_DRAIN_BYTES` in `DRAIN_SECONDS`; what is left after that ends with the connection. A client that
    waits for `100` is not waited for.
    """
    if not request.body_exists or request.content.at_eof():
        return
    if request.headers.get(hdrs.EXPECT) is not None and request.get(_IS_WAITING, True):
        response.force_close()
        return
    drained_bytes = 0
    with contextlib.suppress(TimeoutError, ConnectionError, web.RequestPayloadError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while drained_bytes < MAX_DRAIN_BYTES and not request.content.at_eof():
                drained_bytes += len(await request.content.readany())
    if not request.content.at_eof():
        response.force_close()
