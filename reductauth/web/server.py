"""`run(app)`: aiohttp's runner, with errors rendered and logged without what the client sent.

aiohttp answers a malformed request by itself, with the offending header, so perhaps a credential, in the body
and in the log. Only a request handler of our own cures that.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Mapping
from ssl import SSLContext
from typing import Any

from aiohttp import hdrs, web, web_protocol
from aiohttp.http import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD

from reductauth.errors import ConfigurationError
from reductauth.web.body import UNKNOWN_EXPECTATION
from reductauth.web.errors import error_response
from reductauth.web.keys import RESPONSE_HEADERS

__all__ = ["STOP_SECONDS", "GuardedRunner", "run"]

STOP_SECONDS = 30.0
"""What requests in flight have to finish when the server is told to stop."""

_PARSER_GAVE_UP = web_protocol._ErrInfo  # noqa: SLF001 - what aiohttp queues in place of a request

_DEFAULT_HOST = "127.0.0.1"
_DEFAULT_PORT = 8383
_logger = logging.getLogger("reductauth.server")


class _RequestHandler(web.RequestHandler):
    """Renders what aiohttp would render with the client's bytes in it."""

    __slots__ = ("_response_headers",)

    def __init__(self, *args: Any, response_headers: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._response_headers = response_headers

    async def start(self) -> None:
        try:
            await super().start()
        except ValueError as error:
            # A target that is no address: aiohttp fails while it makes the request, and nobody would answer.
            refused = HttpProcessingError(message=type(error).__name__)
            self._messages.appendleft((_PARSER_GAVE_UP(400, refused, ""), EMPTY_PAYLOAD))
            await super().start()

    def data_received(self, data: bytes) -> None:
        request = self._current_request
        is_uploading = request is not None and not request.content.is_eof()
        is_closing = self._close, self._force_close
        if is_uploading:
            # A server that is told to stop would drop what is still to come of a body, and wait for its handler.
            self._close = self._force_close = False
        super().data_received(data)
        if is_uploading:
            self._close, self._force_close = is_closing
        if (
            request is not None
            and is_uploading
            and self._messages
            and isinstance(self._messages[-1][0], _PARSER_GAVE_UP)
            and not request.content.is_eof()
        ):
            # The parser gave up within the body of a request that is being handled: its handler must not wait.
            request.content.set_exception(web.RequestPayloadError("malformed body"))

    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ARG002 - they hold what the client sent
        error = kw.get("exc_info")
        _logger.info("connection failed peer=%s error=%s", self.peername, type(error).__name__)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            allow = resp.headers.get(hdrs.ALLOW)
            resp = error_response(resp.status, resp.reason, {} if allow is None else {"allow": allow})
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - holds what the client sent
    ) -> web.StreamResponse:
        if isinstance(exc, ConnectionError) and (request.transport is None or request.transport.is_closing()):
            _logger.info("client went away peer=%s", request.remote)
            raise exc
        if isinstance(exc, (HttpProcessingError, web.RequestPayloadError)):
            _logger.info("malformed request refused peer=%s error=%s", request.remote, type(exc).__name__)
            status, text = 400, "Malformed HTTP request"
        elif isinstance(exc, UnicodeEncodeError) and hdrs.EXPECT in request.headers:
            # Where there is no route, aiohttp refuses what it does not know with its text, which may be none.
            _logger.info("malformed request refused peer=%s error=%s", request.remote, type(exc).__name__)
            status, text = 417, UNKNOWN_EXPECTATION
        else:
            _logger.error("request failed path=%r", request.path, exc_info=exc)
            text = "Internal server error"
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun; the connection is closed")
        response = error_response(status, text, self._response_headers)
        response.force_close()
        return response


class _Server(web.Server):
    """Makes `_RequestHandler`s."""

    def __init__(self, server: web.Server, response_headers: Mapping[str, str]) -> None:
        super().__init__(
            server.request_handler,
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
            **server._kwargs,  # noqa: SLF001 - aiohttp has no public way to choose the handler's class
        )
        self._response_headers = response_headers

    def __call__(self) -> web.RequestHandler:
        return _RequestHandler(self, loop=self._loop, response_headers=self._response_headers, **self._kwargs)


class GuardedRunner(web.AppRunner):
    """An `AppRunner` whose server never shows what it could not parse. For engines that run more than one site."""

    def __init__(self, app: web.Application, **kwargs: Any) -> None:
        kwargs.setdefault("access_log", None)  # half of the throughput, and a place for secrets to end up in
        kwargs.setdefault("lingering_time", 0)  # what a refused client still sends is taken in by `drain`
        super().__init__(app, **kwargs)

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self.app.get(RESPONSE_HEADERS, {}))


def run(
    app: web.Application,
    *,
    host: str = _DEFAULT_HOST,
    port: int = _DEFAULT_PORT,
    sock: socket.socket | None = None,
    ssl_context: SSLContext | None = None,
) -> None:
    """Serve an application until SIGTERM or SIGINT; requests in flight have `STOP_SECONDS` to finish.

    `sock`, a bound socket, takes the place of `host` and `port`: for a socket that another process holds and hands
    to this one, perhaps to several. It is closed in this process when the server stops.

    Ends the process with status 1 and one line per fault when the application refuses to start.
    """
    try:
        asyncio.run(_serve(app, host, port, sock, ssl_context))
    except ConfigurationError as error:
        for fault in error.faults:
            _logger.critical("can't start: %s", fault)
        sys.exit(1)


async def _serve(
    app: web.Application, host: str, port: int, sock: socket.socket | None, ssl_context: SSLContext | None
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = GuardedRunner(app, shutdown_timeout=STOP_SECONDS)
    try:
        await runner.setup()
        # What a server is made of stays until its end: to walk it at every full collection would hold the loop.
        gc.collect()
        gc.freeze()
        try:
            if sock is None:
                await web.TCPSite(runner, host, port, ssl_context=ssl_context).start()
            else:
                await web.SockSite(runner, sock, ssl_context=ssl_context).start()
        except OSError as error:
            where = f"{host}:{port}" if sock is None else f"the given socket {sock}"
            raise ConfigurationError([f"can't listen on {where} ({error.strerror})"]) from None
        for address in runner.addresses:
            where = f"{address[0]} port={address[1]}" if isinstance(address, tuple) else address
            _logger.info("listening address=%s tls=%s", where, "on" if ssl_context else "off")
        await stop.wait()
        _logger.info("stopping")
    finally:
        await runner.cleanup()
    _logger.info("stopped")
