"""A guarded application of the tests' own, served by a real aiohttp server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

import reductauth.web
from reductauth.settings import Settings
from tests.servers import ROOT_VALUE


class Now:
    """A clock that stands until it is moved; microseconds since the epoch."""

    def __init__(self) -> None:
        self.time_us = 1_900_000_000_000_000  # 2030-03-17T17:46:40Z

    def __call__(self) -> int:
        return self.time_us

    def pass_seconds(self, seconds: float) -> None:
        self.time_us += round(seconds * 1_000_000)


class Caller:
    """Sends requests with one token, or none."""

    def __init__(self, client: TestClient[web.Request, web.Application], value: str | None) -> None:
        self.client = client
        self.value = value

    def using(self, value: str | None) -> Caller:
        return Caller(self.client, value)

    async def __call__(
        self, method: str, path: str | URL, body: Any = None, headers: dict[str, str] | None = None
    ) -> ClientResponse:
        sent = dict(headers or {})
        if self.value is not None:
            sent["Authorization"] = f"Bearer {self.value}"
        response = await self.client.request(method, path, data=body, headers=sent)
        await response.read()
        return response

    async def make(self, name: str, body: str = "{}") -> Caller:
        """Create a token, and return a caller that uses it."""
        response = await self("POST", f"/api/v1/tokens/{name}", body)
        assert response.status == 200, await response.text()
        return self.using((await response.json())["value"])


Serve = Callable[..., AbstractAsyncContextManager[Caller]]


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def serve(tmp_path: Path, now: Now) -> Serve:
    """Serve an application with the module in it; the caller has full access."""

    @asynccontextmanager
    async def serving(
        app: web.Application | None = None,
        *,
        bootstrap: Mapping[str, str] = MappingProxyType({"RS_API_TOKEN": ROOT_VALUE}),
        **variables: str,
    ) -> AsyncIterator[Caller]:
        environ = {"RS_DATA_PATH": str(tmp_path), **bootstrap, **variables}
        app = app or web.Application()
        reductauth.web.setup(app, Settings.from_environment(environ), environ=environ, clock=now)
        server = TestServer(app)
        await server.start_server()  # first: a client whose server refuses to start is never closed
        async with TestClient(server) as client:
            yield Caller(client, ROOT_VALUE)

    return serving


@pytest.fixture
async def root(serve: Serve) -> AsyncIterator[Caller]:
    """Full access to an application that has nothing but the token routes."""
    async with serve() as caller:
        yield caller
