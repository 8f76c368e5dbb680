"""The test kit tells a guarded engine from one that is not."""

from __future__ import annotations

import pytest
from aiohttp import web

from reductauth import Anonymous, Authenticated
from reductauth.actor import Actor
from reductauth.draft import TokenDraft
from reductauth.registry import TokenRegistry
from reductauth.testing import FixedClock, ServeGuarded, assert_strangers_are_refused
from reductauth.web import read_bucket, requires, write_bucket


@requires(read_bucket("bucket"))
async def read(request: web.Request) -> web.Response:
    return web.Response(text=request.match_info["bucket"])


@requires(write_bucket("bucket"))
async def write(request: web.Request) -> web.Response:
    return web.Response()


@requires(Anonymous())
async def welcome(request: web.Request) -> web.Response:
    return web.Response()


def engine() -> web.Application:
    app = web.Application()
    app.add_routes([web.get("/b/{bucket}", read), web.post("/b/{bucket}", write), web.get("/", welcome)])
    return app


async def test_a_signed_in_client(serve_guarded: ServeGuarded) -> None:
    """A token with given permissions may what it was given."""
    async with serve_guarded(engine()) as admin:
        reader = await admin.make("reader", read=["weather"])
        assert await (await reader("GET", "/b/weather")).text() == "weather"
        assert (await reader("POST", "/b/weather", "3.5")).status == 403
        assert (await admin.using(None)("GET", "/b/weather")).status == 401


async def test_strangers(serve_guarded: ServeGuarded) -> None:
    """Every route that demands a token is asked; those for everybody are left out."""
    async with serve_guarded(engine()) as admin:
        await assert_strangers_are_refused(admin)


async def test_a_route_that_lets_strangers_in_is_named(serve_guarded: ServeGuarded) -> None:
    """A handler that answers before its guard does is found out."""

    @web.middleware
    async def answers_by_itself(request: web.Request, handler: object) -> web.StreamResponse:
        return web.Response(text="cached")

    app = web.Application(middlewares=[answers_by_itself])
    app.add_routes([web.get("/b/{bucket}", read)])
    async with serve_guarded(app) as admin:
        with pytest.raises(AssertionError, match=r"answers a stranger with 200"):
            await assert_strangers_are_refused(admin)


async def test_a_clock_that_is_moved(serve_guarded: ServeGuarded, fixed_clock: FixedClock) -> None:
    """Expiry is reached by moving the clock, not by waiting."""
    app = web.Application()
    app.router.add_get("/in", requires(Authenticated())(welcome))
    async with serve_guarded(app) as admin:
        caller = await admin.make("short", '{"permissions": {}, "ttl": 60}')
        assert (await caller("GET", "/in")).status == 200
        fixed_clock.pass_seconds(61)
        assert (await caller("GET", "/in")).status == 401


async def test_a_registry_by_itself(token_registry: TokenRegistry) -> None:
    """For what an engine does without HTTP."""
    made = await token_registry.create(Actor.environment(), "t", TokenDraft())
    assert made.value.startswith("t-")
    assert [token.name for token in await token_registry.tokens()] == ["t"]
