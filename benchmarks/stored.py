"""`storage_demo` with its guard, with authentication switched off, or without a guard, for `benchmarks.storage`.

Without a guard, `requires` is replaced before the routes are made by a decorator that hands the handler the token that
it reads, and looks at nothing.
"""

from __future__ import annotations

import asyncio
import functools
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

import click
import orjson
from aiohttp import web

import reductauth.web
from reductauth.disabled import EVERYBODY
from reductauth.value import mint
from reductauth.web import TOKEN
from reductauth.web.guard import RoutePolicy

__all__ = ["GUARDED", "OPEN", "PLAIN", "main"]

PLAIN, OPEN, GUARDED = "plain", "open", "guarded"

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _unguarded(policy: RoutePolicy) -> Callable[[_Handler], _Handler]:
    def decorate(handler: _Handler) -> _Handler:
        @functools.wraps(handler)
        async def unguarded(request: web.Request) -> web.StreamResponse:
            request[TOKEN] = EVERYBODY.token
            return await handler(request)

        unguarded.__reductauth_policy__ = policy  # type: ignore[attr-defined] # the census asks for it
        return unguarded

    return decorate


async def _serve(variant: str) -> None:
    administrator = mint("administrator")
    with tempfile.TemporaryDirectory() as folder:
        environ = {"RS_DATA_PATH": folder, "RS_LOG_LEVEL": "ERROR"}
        environ |= {"RS_API_TOKEN": administrator} if variant == GUARDED else {"RS_DISABLE_AUTH": "true"}
        runner = web.AppRunner(_application(variant, environ), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        told = {"port": runner.addresses[0][1], "value": administrator}
        click.echo(orjson.dumps(told).decode())
        await asyncio.Event().wait()


def _application(variant: str, environ: dict[str, str]) -> web.Application:
    if variant == PLAIN:
        replaced: Any = _unguarded
        reductauth.web.requires = replaced
    from storage_demo.app import build_app  # noqa: PLC0415 - its routes are made when it is imported
    from storage_demo.settings import ServerSettings  # noqa: PLC0415

    return build_app(ServerSettings.from_environment(environ), environ)


@click.command()
@click.argument("variant", type=click.Choice((PLAIN, OPEN, GUARDED)))
def main(variant: str) -> None:
    """Serve an empty storage until the process is ended."""
    asyncio.run(_serve(variant))


if __name__ == "__main__":
    main()
