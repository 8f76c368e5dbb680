"""One request through aiohttp without sockets, guarded against plain: `python -m benchmarks.wire`.

Bytes go into the protocol as a socket would hand them over, through parser, router, guard and handler, to
`transport.write`. Every variant gets the same bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import aiohttp_security
import click
from aiohttp import web

from benchmarks.floor import Floor, floor_code
from benchmarks.measure import Variant, take_turns
from benchmarks.report import Report, Row, json_option
from benchmarks.served import BUCKET, NO_END, VARIANTS, Served, application, handler, serving

__all__ = ["main", "run", "short"]

_REQUESTS = 300


class _Transport(asyncio.Transport):
    """Takes what the server writes, and says when an answer is there."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000)})
        self.answered: asyncio.Future[bytes] | None = None

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Line:
    """One application with one open connection."""

    def __init__(self, protocol: web.RequestHandler, request: bytes, statuses: tuple[int, ...]) -> None:
        self._transport = _Transport()
        self._protocol = protocol
        self._request = request
        self._starts = tuple(f"HTTP/1.1 {status} ".encode() for status in statuses)
        protocol.connection_made(self._transport)

    async def __call__(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_REQUESTS):
            self._transport.answered = loop.create_future()
            self._protocol.data_received(self._request)
            if not (await self._transport.answered).startswith(self._starts):
                raise AssertionError(await self._transport.answered)


class _Identity(aiohttp_security.AbstractIdentityPolicy):
    async def identify(self, request: web.Request) -> str | None:
        return request.headers.get("Authorization", "")[7:]

    async def remember(self, request: Any, response: Any, identity: Any, **kwargs: Any) -> None: ...

    async def forget(self, request: Any, response: Any) -> None: ...


class _Authorization(aiohttp_security.AbstractAuthorizationPolicy):
    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    async def permits(self, identity: str | None, permission: Any, context: Any = None) -> bool:  # noqa: ARG002
        token = self._floor.tokens.get(self._floor.digest(identity or ""))
        return token is not None and permission in token.read

    async def authorized_userid(self, identity: str) -> str | None:
        return identity


async def _secured(request: web.Request) -> web.Response:
    await aiohttp_security.check_permission(request, request.match_info["bucket"])
    return await handler(request)


@contextlib.asynccontextmanager
async def _lines() -> AsyncIterator[dict[str, Variant]]:
    async with contextlib.AsyncExitStack() as stack:

        async def serve(variant: str, failures_per_minute: int = NO_END) -> Served:
            return await stack.enter_async_context(serving(variant, failures_per_minute))

        def line(runner: web.AppRunner, bucket: str, value: str, *statuses: int) -> _Line:
            request = (
                f"GET /api/v1/b/{bucket}/oslo HTTP/1.1\r\nHost: 127.0.0.1:8383\r\nAccept: */*\r\n"
                f"User-Agent: benchmark\r\nAuthorization: Bearer {value}\r\n\r\n"
            ).encode()
            return _Line(cast("web.Server", runner.server)(), request, statuses)

        plain, guarded, floored = [await serve(variant) for variant in VARIANTS]
        flooded = await serve("guarded", 1)
        value = guarded.value
        mistyped = value[:-1] + ("0" if value[-1] != "0" else "1")
        secured = application(_secured)
        aiohttp_security.setup(secured, _Identity(), _Authorization(Floor([(value, BUCKET)])))
        secured_runner = web.AppRunner(secured, access_log=None)
        await secured_runner.setup()
        stack.push_async_callback(secured_runner.cleanup)
        yield {
            "plain": line(plain.runner, BUCKET, value, 200),
            "guarded": line(guarded.runner, BUCKET, value, 200),
            "the floor as a decorator": line(floored.runner, BUCKET, floored.value, 200),
            "aiohttp-security check_permission": line(secured_runner, BUCKET, value, 200),
            "refused with 401": line(guarded.runner, BUCKET, mistyped, 401),
            "refused with 429": line(flooded.runner, BUCKET, mistyped, 429, 401),
            "refused with 403": line(guarded.runner, "other", value, 403),
        }


async def run(rounds: int) -> Report:
    """Measure all variants in turn."""
    async with _lines() as lines:
        found = await take_turns(lines, _REQUESTS, rounds)
    report = Report("wire", "plain: the same route without a guard")
    goals = {"guarded": 1.12, "refused with 401": 1.2, "refused with 403": 1.2, "refused with 429": 1.2}
    for name, microseconds in found.items():
        at_least = name.startswith("aiohttp-security")
        goal = 1.3 if at_least else goals.get(name)
        report.rows.append(
            Row(name, microseconds / found["plain"], microseconds, goal=goal, at_least=at_least)
        )
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run(20))


@click.command()
@click.option("--rounds", default=150, show_default=True)
@json_option
def main(rounds: int, folder: Path) -> None:
    """Measure one request through aiohttp, without sockets."""
    print(floor_code())
    asyncio.run(run(rounds)).show(folder)


if __name__ == "__main__":
    main()
