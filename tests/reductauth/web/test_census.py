"""A route without a declared policy does not exist: the application refuses to start."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.web_urldispatcher import PlainResource

from reductauth import Anonymous, ConfigurationError, FullAccess
from reductauth.web import declare, read_bucket, requires, route_table
from tests.reductauth.web.conftest import Serve


async def bare(request: web.Request) -> web.Response:
    return web.Response()


@requires(Anonymous())
async def guarded(request: web.Request) -> web.Response:
    return web.Response()


class BareView(web.View):
    async def get(self) -> web.Response:
        return web.Response()


class HalfGuardedView(web.View):
    @requires(Anonymous())
    async def get(self) -> web.Response:
        return web.Response()

    async def delete(self) -> web.Response:
        return web.Response()


class OverridingView(HalfGuardedView):
    """Guards `delete`, and opens what its parent had guarded."""

    async def get(self) -> web.Response:
        return web.Response()

    @requires(Anonymous())
    async def delete(self) -> web.Response:
        return web.Response()


@requires(FullAccess())
class DispatchingView(web.View):
    async def get(self) -> web.Response:
        return web.Response()

    async def _iter(self) -> web.StreamResponse:
        return web.Response(text="never asked")


class CustomResource(PlainResource):
    """Resolves in a way that the census cannot know."""


def wrapping(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that forgets `functools.wraps`."""

    async def wrapper(request: web.Request) -> web.StreamResponse:
        return await handler(request)  # type: ignore[no-any-return]

    return wrapper


def plain(app: web.Application) -> None:
    app.router.add_get("/planted", bare)


def dynamic(app: web.Application) -> None:
    app.router.add_post("/b/{bucket}", bare)


def any_method(app: web.Application) -> None:
    app.router.add_route("*", "/planted", bare)


def beside_a_guarded_one(app: web.Application) -> None:
    resource = app.router.add_resource("/planted")
    resource.add_route("GET", guarded)
    resource.add_route("DELETE", bare)


def static(app: web.Application) -> None:
    app.router.add_static("/files", Path(__file__).parent)


def view(app: web.Application) -> None:
    app.router.add_view("/view", BareView)


def one_method_of_a_view(app: web.Application) -> None:
    app.router.add_view("/view", HalfGuardedView)


def overriding_view(app: web.Application) -> None:
    app.router.add_view("/view", OverridingView)


def view_with_a_way_of_its_own(app: web.Application) -> None:
    app.router.add_view("/view", DispatchingView)


def sub_application(app: web.Application) -> None:
    inner = web.Application()
    inner.router.add_get("/planted", bare)
    app.add_subapp("/inner", inner)


def sub_application_of_a_sub_application(app: web.Application) -> None:
    innermost, inner = web.Application(), web.Application()
    innermost.router.add_get("/planted", bare)
    inner.add_subapp("/innermost", innermost)
    app.add_subapp("/inner", inner)


def domain(app: web.Application) -> None:
    inner = web.Application()
    inner.router.add_get("/planted", bare)
    app.add_domain("example.com", inner)


def custom_resource(app: web.Application) -> None:
    app.router.register_resource(CustomResource("/custom"))


def wrapped_without_wraps(app: web.Application) -> None:
    app.router.add_get("/planted", wrapping(guarded))


def partial(app: web.Application) -> None:
    app.router.add_get("/planted", functools.partial(guarded))


def parameter_that_the_path_lacks(app: web.Application) -> None:
    app.router.add_get("/b/{name}", requires(read_bucket("bucket"))(bare))


def parameter_of_a_plain_path(app: web.Application) -> None:
    app.router.add_get("/b", requires(read_bucket("bucket"))(bare))


async def own_expectation(request: web.Request) -> web.Response:
    return web.Response(text="said before the guard")


class InstanceView(HalfGuardedView):
    def __init__(self, request: web.Request) -> None:
        super().__init__(request)
        self.put = self.delete


@requires(FullAccess())
class AnsweringView(web.View):
    def __getattr__(self, name: str) -> object:
        return self.get

    async def get(self) -> web.Response:
        return web.Response()


def expect_handler(app: web.Application) -> None:
    app.router.add_route("POST", "/planted", guarded, expect_handler=own_expectation)


def view_with_methods_of_an_instance(app: web.Application) -> None:
    app.router.add_view("/view", requires(FullAccess())(InstanceView))


def view_that_makes_methods_up(app: web.Application) -> None:
    app.router.add_view("/view", AnsweringView)


PLANTS = {
    expect_handler: "POST /planted: its expect_handler runs before the guard",
    view_with_methods_of_an_instance: "* /view",
    view_that_makes_methods_up: "* /view",
    plain: "GET /planted",
    dynamic: "POST /b/{bucket}",
    any_method: "* /planted",
    beside_a_guarded_one: "DELETE /planted",
    static: "GET /files",
    view: "GET /view",
    one_method_of_a_view: "DELETE /view",
    overriding_view: "GET /view",
    view_with_a_way_of_its_own: "* /view",
    sub_application: "GET /inner/planted",
    sub_application_of_a_sub_application: "GET /inner/innermost/planted",
    domain: "GET //example.com/planted",
    custom_resource: "* /custom",
    wrapped_without_wraps: "GET /planted",
    partial: "GET /planted",
    parameter_that_the_path_lacks: "GET /b/{name}: its policy is about the path parameter 'bucket'",
    parameter_of_a_plain_path: "GET /b: its policy is about the path parameter 'bucket'",
}


@pytest.mark.parametrize(("plant", "named"), PLANTS.items(), ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("disabled", [False, True])
async def test_an_undeclared_route_keeps_the_application_from_starting(
    serve: Serve, tmp_path: Path, plant: Callable[[web.Application], None], named: str, disabled: bool
) -> None:
    """Wherever it is planted; the message names it; nothing was opened; also where authentication is off."""
    app = web.Application()
    plant(app)
    variables = (
        {"RS_DISABLE_AUTH": "true"} if disabled else {"RS_API_TOKEN": "value-of-the-census-0123456789-01234"}
    )
    with pytest.raises(ConfigurationError) as refused:
        async with serve(app, bootstrap=variables):
            raise AssertionError("started")
    assert any(fault.startswith(named) for fault in refused.value.faults), refused.value.faults
    assert not (tmp_path / "auth").exists()


async def test_all_undeclared_routes_are_named_at_once(serve: Serve) -> None:
    """One start tells everything."""
    app = web.Application()
    for path in ("/a", "/b", "/c"):
        app.router.add_get(path, bare, allow_head=False)
    with pytest.raises(ConfigurationError) as refused:
        async with serve(app):
            raise AssertionError("started")
    assert [fault.partition(":")[0] for fault in refused.value.faults] == ["GET /a", "GET /b", "GET /c"]


async def test_declared_routes_start(serve: Serve) -> None:
    """Everything that can be declared, declared."""
    app, inner = web.Application(), web.Application()
    declare(app.router.add_static("/files", Path(__file__).parent), FullAccess())
    declare(app.router.add_route("GET", "/bare", bare), FullAccess())
    app.router.add_get("/guarded", guarded)
    inner.router.add_view("/view", requires(FullAccess())(HalfGuardedView))
    app.add_subapp("/inner", inner)
    async with serve(app) as root:
        assert (await root("GET", "/bare")).status == 200
        assert (await root("GET", "/inner/view")).status == 200
        assert (await root.using(None)("GET", "/inner/view")).status == 401


async def test_no_route_is_added_after_the_census(serve: Serve) -> None:
    """The routers are frozen, those of sub-applications too, before the first request."""
    app, inner = web.Application(), web.Application()
    app.add_subapp("/inner", inner)
    async with serve(app):
        for router in (app.router, inner.router):
            with pytest.raises(RuntimeError):
                router.add_get("/late", guarded)


async def test_a_start_hook_that_adds_a_route_afterwards_fails(serve: Serve) -> None:
    """Whatever runs at the start after the census cannot slip a route in."""
    app = web.Application()

    async def late(app: web.Application) -> None:
        app.router.add_get("/late", bare)

    app.on_startup.append(late)
    with pytest.raises(RuntimeError, match="frozen"):
        async with serve(app):
            raise AssertionError("started")


def test_the_table_lists_what_each_route_demands() -> None:
    """Path, method and policy, views method by method, undeclared routes with what to do about them."""
    app = web.Application()
    app.router.add_get("/b/{bucket}", requires(read_bucket("bucket"))(bare), allow_head=False)
    app.router.add_view("/view", HalfGuardedView)
    assert [str(entry) for entry in route_table(app)] == [
        "GET     /b/{bucket}  read {bucket}",
        "DELETE  /view  (no policy)",
        "GET     /view  anonymous",
    ]
    (undeclared,) = [entry for entry in route_table(app) if entry.fault]
    assert undeclared.fault == "no policy: put @requires(...) on its handler, or declare(...) one"


def test_a_resource_without_routes_of_its_own_cannot_be_declared() -> None:
    """A sub-application is declared route by route."""
    app = web.Application()
    mounted = app.add_subapp("/inner", web.Application())
    with pytest.raises(TypeError):
        declare(mounted, FullAccess())
