"""`run(app)`: aiohttp's runner, with errors rendered and logged without what the client sent.

aiohttp answers a malformed request by itself, with the offending header, so perhaps a credential, in the body
and in the log. Only a request handler of our own cures that.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from reductauth.errors import ConfigurationError
from reductauth.web.errors import error_response
from reductauth.web.keys import RESPONSE_HEADERS

__all__ = ["GuardedRunner", "run"]

_DEFAULT_HOST = "127.0.0.1"
_DEFAULT_PORT = 8383
_logger = logging.getLogger("reductauth.server")


class _RequestHandler(web.RequestHandler):
    """Renders what aiohttp would render with the client's bytes in it."""

    __slots__ = ("_response_headers",)

    def __init__(self, *args: Any, response_headers: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._response_headers = response_headers

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - holds what the client sent
    ) -> web.StreamResponse:
        if status < 500:
            _logger.info("malformed request refused peer=%s error=%s", request.remote, type(exc).__name__)
            text = "Malformed HTTP request"
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
        super().__init__(app, **kwargs)

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self.app.get(RESPONSE_HEADERS, {}))


def run(app: web.Application, *, host: str = _DEFAULT_HOST, port: int = _DEFAULT_PORT) -> None:
    """Serve an application until SIGTERM or SIGINT; requests in flight are finished.

    Ends the process with status 1 and one line per fault when the application refuses to start.
    """
    try:
        asyncio.run(_serve(app, host, port))
    except ConfigurationError as error:
        for fault in error.faults:
            _logger.critical("can't start: %s", fault)
        sys.exit(1)


async def _serve(app: web.Application, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = GuardedRunner(app)
    try:
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise ConfigurationError([f"can't listen on {host}:{port} ({error.strerror})"]) from None
        for address in runner.addresses:
            _logger.info("listening address=%s port=%d", *address[:2])
        await stop.wait()
        _logger.info("stopping")
    finally:
        await runner.cleanup()
    _logger.info("stopped")
