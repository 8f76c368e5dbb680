"""`requires`, `authorize`, `allowed`: an engine's own routes, guarded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import WSServerHandshakeError, web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from reductauth import Action, Anonymous, Authenticated, BucketAccess, FullAccess
from reductauth.errors import StoreUnavailableError
from reductauth.sqlite import SqliteStore
from reductauth.web import (
    IDENTITY,
    TOKEN,
    actor_of,
    allowed,
    authorize,
    declare,
    read_bucket,
    requires,
    write_bucket,
)
from tests.reductauth.web.conftest import Caller, Serve

routes = web.RouteTableDef()


@routes.get("/anonymous")
@requires(Anonymous())
async def anonymous(request: web.Request) -> web.Response:
    may = [await allowed(request, BucketAccess(Action.READ, "a")), await allowed(request, Anonymous())]
    return web.json_response({"token": TOKEN in request, "may": may})


@routes.get("/authenticated")
@requires(Authenticated())
async def authenticated(request: web.Request) -> web.Response:
    assert actor_of(request).name == request[TOKEN].name == request[IDENTITY].token.name
    return web.json_response({"name": request[TOKEN].name, "address": request[IDENTITY].address})


@routes.get("/full")
@requires(FullAccess())
async def full(request: web.Request) -> web.Response:
    return web.Response()


@routes.get("/fixed")
@requires(BucketAccess(Action.READ, "a"))
async def fixed(request: web.Request) -> web.Response:
    return web.Response()


@routes.get("/b/{bucket}")
@requires(read_bucket("bucket"))
async def read(request: web.Request) -> web.Response:
    return web.Response(text=request.match_info["bucket"])


@routes.post("/b/{bucket}")
@requires(write_bucket("bucket"))
async def write(request: web.Request) -> web.Response:
    return web.Response()


@routes.post("/copy/{bucket}")
@requires(read_bucket("bucket"))
async def copy(request: web.Request) -> web.Response:
    target = await request.text()
    await authorize(request, BucketAccess(Action.WRITE, target))
    return web.Response(text=f"copied to {target}")


@routes.get("/seen")
@requires(Authenticated())
async def seen(request: web.Request) -> web.Response:
    names = [name for name in "abc" if await allowed(request, BucketAccess(Action.READ, name))]
    return web.json_response(names)


@routes.post("/anonymous-then-authorized")
@requires(Anonymous())
async def asks_itself(request: web.Request) -> web.Response:
    await authorize(request, FullAccess())
    return web.Response()


@routes.view("/view/{bucket}")
class GuardedMethods(web.View):
    @requires(read_bucket("bucket"))
    async def get(self) -> web.Response:
        return web.Response(text=self.request[TOKEN].name)

    @requires(write_bucket("bucket"))
    async def post(self) -> web.Response:
        return web.Response()


@routes.view("/full-view")
@requires(FullAccess())
class GuardedClass(web.View):
    async def get(self) -> web.Response:
        return web.Response()

    async def delete(self) -> web.Response:
        return web.Response()


@routes.get("/socket")
@requires(Authenticated())
async def socket(request: web.Request) -> web.WebSocketResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    await response.send_str(request[TOKEN].name)
    await response.close()
    return response


@routes.get("/broken")
@requires(Authenticated())
async def broken(request: web.Request) -> web.Response:
    raise RuntimeError("a fault of the engine's own")


def application() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    return app


@pytest.fixture
async def engine(serve: Serve) -> AsyncIterator[Caller]:
    async with serve(application()) as caller:
        yield caller


TABLE = [
    # path, method, and the status for: nobody, no grant, reads a, writes a, full access
    ("/anonymous", "GET", 200, 200, 200, 200, 200),
    ("/authenticated", "GET", 401, 200, 200, 200, 200),
    ("/full", "GET", 401, 403, 403, 403, 200),
    ("/full", "HEAD", 401, 403, 403, 403, 200),
    ("/fixed", "GET", 401, 403, 200, 403, 200),
    ("/b/a", "GET", 401, 403, 200, 403, 200),
    ("/b/%61", "GET", 401, 403, 200, 403, 200),
    ("/b/A", "GET", 401, 403, 403, 403, 200),
    ("/b/ab", "GET", 401, 403, 403, 403, 200),
    ("/b/a%2F", "GET", 401, 403, 403, 403, 200),
    ("/b/a%20", "GET", 401, 403, 403, 403, 200),
    ("/b/a%00", "GET", 401, 403, 403, 403, 200),
    ("/b/a%0d%0a", "GET", 401, 403, 403, 403, 200),
    ("/b/%2561", "GET", 401, 403, 403, 403, 200),
    ("/b/a", "POST", 401, 403, 403, 200, 200),
    ("/view/a", "GET", 401, 403, 200, 403, 200),
    ("/view/a", "POST", 401, 403, 403, 200, 200),
    ("/full-view", "GET", 401, 403, 403, 403, 200),
    ("/full-view", "DELETE", 401, 403, 403, 403, 200),
    ("/anonymous-then-authorized", "POST", 401, 403, 403, 403, 200),
]
BODIES = {"none": "{}", "reader": '{"read": ["a"]}', "writer": '{"write": ["a"]}'}


@pytest.mark.parametrize(("path", "method", "nobody", "none", "reader", "writer", "root"), TABLE)
async def test_policies(
    engine: Caller, path: str, method: str, nobody: int, none: int, reader: int, writer: int, root: int
) -> None:
    """Every policy against every class of caller, on functions and on views."""
    url = URL(path, encoded=True)
    callers = [engine.using(None), *[await engine.make(name, body) for name, body in BODIES.items()], engine]
    statuses = [(await caller(method, url)).status for caller in callers]
    assert statuses == [nobody, none, reader, writer, root]


async def test_the_handler_finds_its_caller(engine: Caller) -> None:
    """Token, address and actor are on the request; on an anonymous route a token is not even looked at."""
    me = await engine.make("me-myself")
    assert await (await me("GET", "/authenticated")).json() == {"name": "me-myself", "address": "127.0.0.1"}
    for caller in (engine.using(None), engine.using("nobody-knows-this")):
        assert await (await caller("GET", "/anonymous")).json() == {"token": False, "may": [False, True]}
    reader = await engine.make("reader", '{"read": ["a"]}')
    assert await (await reader("GET", "/anonymous")).json() == {"token": False, "may": [True, True]}


async def test_a_second_bucket_is_asked_for_through_the_same_door(engine: Caller) -> None:
    """A body that names another bucket needs a grant on that one too, and the refusal names it."""
    reader = await engine.make("reader", '{"read": ["a"], "write": ["b"]}')
    assert await (await reader("POST", "/copy/a", "b")).text() == "copied to b"
    refused = await reader("POST", "/copy/a", "c")
    assert (refused.status, refused.headers["x-reduct-error"]) == (
        403,
        "Token 'reader' doesn't have write access to bucket 'c'",
    )
    assert (await reader("POST", "/copy/b", "b")).status == 403


async def test_allowed_leaves_out_what_may_not_be_seen(engine: Caller) -> None:
    """`allowed` answers for each bucket by the grants of the caller."""
    reader = await engine.make("reader", '{"read": ["a", "c"]}')
    assert await (await reader("GET", "/seen")).json() == ["a", "c"]
    assert await (await engine("GET", "/seen")).json() == ["a", "b", "c"]


async def test_a_websocket_is_refused_before_it_is_one(engine: Caller) -> None:
    """401 comes in place of 101."""
    with pytest.raises(WSServerHandshakeError) as refused:
        await engine.client.ws_connect("/socket")
    assert refused.value.status == 401
    headers = {"Authorization": f"Bearer {engine.value}"}
    async with engine.client.ws_connect("/socket", headers=headers) as connected:
        assert await connected.receive_str() == "init-token"


async def test_what_cannot_stand_in_a_header(engine: Caller) -> None:
    """A path with line breaks or quotes gets a readable answer, and the connection stays."""
    none = await engine.make("none")
    for path, header, body in (
        ("/b/a%0d%0aevil:%20yes", "Unparsable message", "access to bucket 'a\r\nevil: yes'"),
        ("/b/%C3%A9", "Unparsable message", "access to bucket 'é'"),
        (
            "/b/a%22b%5C",
            "Token 'none' doesn't have read access to bucket 'a\"b\\'",
            "access to bucket 'a'b\\'",
        ),
    ):
        response = await none("GET", URL(path, encoded=True))
        assert response.status == 403
        assert response.headers["x-reduct-error"] == header
        assert (await response.json())["detail"].endswith(body)
        assert "evil" not in response.headers


async def test_route_tables_can_be_shared(serve: Serve) -> None:
    """The decorator binds to no application: two that share a table know their own tokens only."""
    async with serve(application()) as first:
        me = await first.make("me")
        assert (await me("GET", "/authenticated")).status == 200


async def test_without_setup_nothing_is_let_in() -> None:
    """A guarded route in an application without the module fails; it does not open."""
    async with TestClient(TestServer(application())) as client:
        for path in ("/authenticated", "/b/a"):
            response = await client.get(path, headers={"Authorization": "Bearer whatever"})
            assert response.status == 500


async def test_declare_guards_what_decorators_cannot_reach(
    serve: Serve, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Static files and foreign handlers demand what was declared for them."""
    folder = tmp_path_factory.mktemp("static")
    (folder / "page.txt").write_text("a page")

    async def foreign(request: web.Request) -> web.Response:
        return web.Response(text="foreign")

    app = web.Application()
    declare(app.router.add_static("/static", folder), FullAccess())
    declare(app.router.add_route("GET", "/foreign", foreign), Authenticated())
    async with serve(app) as root:
        none = await root.make("none")
        for path in ("/static/page.txt", "/foreign"):
            assert (await root.using(None)("GET", path)).status == 401
        assert (await none("GET", "/static/page.txt")).status == 403
        assert await (await root("GET", "/static/page.txt")).text() == "a page"
        assert await (await none("GET", "/foreign")).text() == "foreign"


async def test_sub_applications_are_guarded_by_the_same_module(serve: Serve) -> None:
    """Setup is called once, on the application that holds the others."""
    outer, inner = web.Application(), application()
    outer.add_subapp("/inner", inner)
    async with serve(outer) as root:
        reader = await root.make("reader", '{"read": ["a"]}')
        assert (await reader("GET", "/inner/b/a")).status == 200
        assert (await reader("GET", "/inner/b/b")).status == 403
        assert (await root.using(None)("GET", "/inner/b/a")).status == 401


async def test_a_body_that_streams_when_its_token_is_removed_may_finish(serve: Serve) -> None:
    """Authorization is decided once, when the headers are in."""
    started, go_on = asyncio.Event(), asyncio.Event()
    table = web.RouteTableDef()

    @table.post("/b/{bucket}")
    @requires(write_bucket("bucket"))
    async def slow(request: web.Request) -> web.Response:
        started.set()
        await go_on.wait()
        return web.Response(text=str(len(await request.read())))

    app = web.Application()
    app.add_routes(table)
    async with serve(app) as root:
        writer = await root.make("writer", '{"write": ["a"]}')
        upload = asyncio.create_task(writer("POST", "/b/a", "12345"))
        await started.wait()
        assert (await root("DELETE", "/api/v1/tokens/writer")).status == 200
        go_on.set()
        assert await (await upload).text() == "5"
        assert (await writer("POST", "/b/a", "12345")).status == 401


@pytest.mark.parametrize("target", [object, lambda: None])
def test_only_coroutine_functions_and_views_can_be_guarded(target: object) -> None:
    """A handler that the guard could not stand before is refused when it is decorated."""
    with pytest.raises(TypeError):
        requires(FullAccess())(target)  # type: ignore[type-var] # that is the point


@pytest.mark.parametrize("headers", [{}, {"Expect": "100-continue"}], ids=["sends", "asks first"])
async def test_a_registry_that_cannot_be_read(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """A value that is not remembered cannot be judged: 503 with a time to try again, never a 500."""

    async def failing(self: SqliteStore, digest: bytes) -> None:
        raise StoreUnavailableError

    app = web.Application()
    app.add_routes(routes)
    async with serve(app) as root:
        monkeypatch.setattr(SqliteStore, "find", failing)
        response = await root("POST", "/b/a", b"x", headers)
        assert response.status == 503
        assert int(response.headers["retry-after"]) > 0
