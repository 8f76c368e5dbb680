"""A test kit for engines that embed the module: pytest fixtures, against the real thing.

    pytest_plugins = ["reductauth.testing"]

    async def test_a_reader_cannot_write(serve_guarded):
        async with serve_guarded(my_application()) as admin:
            reader = await admin.make("reader", read=["weather"])
            assert (await reader("GET", "/b/weather")).status == 200
            assert (await reader("POST", "/b/weather", "3.5")).status == 403

    async def test_strangers(serve_guarded):
        async with serve_guarded(my_application()) as admin:
            await assert_strangers_are_refused(admin)

It needs pytest, pytest-aiohttp and what they bring (`pip install reductauth[test]`). Nothing is mocked: a registry in
a temporary folder, an aiohttp server on a free port, a clock that the test moves.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import orjson
import pytest
import pytest_asyncio
from aiohttp import ClientResponse, hdrs, web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

import reductauth.web
from reductauth.policy import Anonymous
from reductauth.registry import TokenRegistry
from reductauth.settings import Settings
from reductauth.sqlite import SqliteStore
from reductauth.web import route_table

__all__ = [
    "ADMINISTRATOR_VALUE",
    "Caller",
    "FixedClock",
    "ServeGuarded",
    "assert_strangers_are_refused",
    "fixed_clock",
    "serve_guarded",
    "token_registry",
]

ADMINISTRATOR_VALUE = "the-administrator-of-the-tests-0123456789"
"""The value of `init-token`, which the first caller has."""

_START_US = 1_900_000_000_000_000


class FixedClock:
    """A clock that stands at 2030-03-17T17:46:40Z until the test moves it; microseconds since the epoch."""

    def __init__(self) -> None:
        self.time_us = _START_US

    def __call__(self) -> int:
        """Tell the time."""
        return self.time_us

    def pass_seconds(self, seconds: float) -> None:
        """Let time go by."""
        self.time_us += round(seconds * 1_000_000)


class Caller:
    """Somebody who sends requests: with the value of a token, or (None) without any."""

    def __init__(self, client: TestClient[web.Request, web.Application], value: str | None) -> None:
        self.client = client
        self.value = value

    def using(self, value: str | None) -> Caller:
        """The same client with another value, or none."""
        return Caller(self.client, value)

    async def __call__(
        self,
        method: str,
        path: str | URL,
        body: Any = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> ClientResponse:
        """Send a request and read the whole answer."""
        sent = dict(headers)
        if self.value is not None:
            sent[hdrs.AUTHORIZATION] = f"Bearer {self.value}"
        response = await self.client.request(method, path, data=body, headers=sent)
        await response.read()
        return response

    async def make(
        self, name: str, body: str | None = None, *, read: Iterable[str] = (), write: Iterable[str] = ()
    ) -> Caller:
        """Create a token with these permissions, or with the whole `body` of a creation; return its holder."""
        given = orjson.dumps({"read": list(read), "write": list(write)}).decode() if body is None else body
        response = await self("POST", f"/api/v1/tokens/{name}", given)
        if response.status != 200:
            raise AssertionError(f"token '{name}' was not made: {response.status} {await response.text()}")
        return self.using((await response.json())["value"])


ServeGuarded = Callable[..., AbstractAsyncContextManager[Caller]]


@pytest.fixture
def fixed_clock() -> FixedClock:
    """A clock that stands still until it is moved."""
    return FixedClock()


@pytest_asyncio.fixture
async def token_registry(tmp_path: Path, fixed_clock: FixedClock) -> AsyncIterator[TokenRegistry]:
    """A registry in a temporary folder, without any token."""
    store = SqliteStore.open(tmp_path / "auth")
    yield TokenRegistry(store, store.key, fixed_clock)
    await store.close()


@pytest.fixture
def serve_guarded(tmp_path: Path, fixed_clock: FixedClock) -> ServeGuarded:
    """Serve an application with the module in it; gives a caller with full access.

    `serve_guarded(app, bootstrap={...}, RS_TRUSTED_PROXIES=...)`: `setup` is called for the application, with the
    variables as its environment, and a registry in the test's own folder. Without an application, an empty one.
    Failed authentications are not limited, unless a variable does.
    """

    @asynccontextmanager
    async def serving(
        app: web.Application | None = None,
        *,
        bootstrap: Mapping[str, str] = MappingProxyType({"RS_API_TOKEN": ADMINISTRATOR_VALUE}),
        **variables: str,
    ) -> AsyncIterator[Caller]:
        environ = {
            "RS_DATA_PATH": str(tmp_path),
            "RS_AUTH_FAILURES_PER_MINUTE": "0",
            **bootstrap,
            **variables,
        }
        app = app or web.Application()
        reductauth.web.setup(app, Settings.from_environment(environ), environ=environ, clock=fixed_clock)
        server = TestServer(app)
        await server.start_server()  # first: a client whose server refuses to start is never closed
        async with TestClient(server) as client:
            yield Caller(client, ADMINISTRATOR_VALUE)

    return serving


async def assert_strangers_are_refused(caller: Caller) -> None:
    """Ask every route of the application that demands a token, without one and with a made-up one: 401 each time.

    A route that demands a link refuses those without one with 422.

    Raises `AssertionError` naming the first route that answers otherwise, or if there is none to ask.
    """
    app = cast("TestServer", caller.client.server).app
    entries = [entry for entry in route_table(app) if entry.policy != str(Anonymous())]
    asked = 0
    for entry in entries:
        if entry.path.startswith("//"):  # of another domain
            continue
        path = re.sub(r"\{[^{}]*\}", "x", entry.path)
        method = hdrs.METH_GET if entry.method == hdrs.METH_ANY else entry.method
        for value in (None, "a-value-that-nobody-has-0123456789"):
            response = await caller.using(value)(method, path)
            if response.status != (422 if entry.by_link else 401):
                raise AssertionError(f"{entry.method} {entry.path} answers a stranger with {response.status}")
        asked += 1
    if not asked:
        raise AssertionError("the application has no route that demands a token")
