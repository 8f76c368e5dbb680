"""Links through the HTTP door: what one opens, for how long, and what takes it away."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import ClientResponse, ClientSession, web
from yarl import URL

from reductauth import Action, Anonymous, Authenticated, BucketAccess, FullAccess
from reductauth.errors import StoreUnavailableError
from reductauth.sqlite import SqliteStore
from reductauth.testing import assert_strangers_are_refused
from reductauth.web import (
    AUTH,
    IDENTITY,
    LINK,
    TOKEN,
    RouteEntry,
    actor_of,
    allowed,
    authorize,
    make_link,
    read_link,
    requires,
    route_table,
    write_link,
)
from tests.forked import forked
from tests.reductauth.web.conftest import Caller, Now, Serve
from tests.servers import ROOT_VALUE

MINUTE_US = 60 * 1_000_000
GRANTS = '{"read": ["a", "c"], "write": ["a"]}'
NOT_OURS = (422, "Failed to decrypt query: it is no link of this server, or was changed")
EXPIRED = (422, "Query link has expired")
MISSING = (422, "Missing 'ct' parameter")
INVALID = (401, "Invalid token")

routes = web.RouteTableDef()


@routes.post("/links/{bucket}")
@requires(Authenticated())
async def make(request: web.Request) -> web.Response:
    """Make a link that is good for so many microseconds."""
    access = BucketAccess(Action(request.query.get("action", "read")), request.match_info["bucket"])
    expires_at_us = request.app[AUTH].clock() + int(request.query.get("for_us", MINUTE_US))
    await request.app[MAKING].pass_by()
    return web.Response(text=await make_link(request, access, expires_at_us, await request.read()))


@routes.get("/linked")
@requires(read_link("ct"))
async def linked(request: web.Request) -> web.Response:
    assert request[IDENTITY].token is request[TOKEN]
    link = request[LINK]
    may = [
        f"{action} {bucket}"
        for bucket in ("a", "b", "c", "$system")
        for action in Action
        if await allowed(request, BucketAccess(action, bucket))
    ]
    return web.json_response(
        {
            "bucket": link.bucket,
            "payload": link.payload.decode(),
            "token": request[TOKEN].name,
            "may": may,
            "address": request[IDENTITY].address,
        }
    )


@routes.post("/linked")
@requires(write_link("ct"))
async def written(request: web.Request) -> web.Response:
    await authorize(request, BucketAccess(Action.WRITE, request[LINK].bucket))
    return web.Response(text=await request.text())


@routes.view("/view")
class View(web.View):
    @requires(read_link("ct"))
    async def get(self) -> web.Response:
        return web.Response(text=self.request[LINK].bucket)


@routes.get("/linked/elsewhere")
@requires(read_link("ct"))
async def elsewhere(request: web.Request) -> web.Response:
    await authorize(request, BucketAccess(Action.READ, "c"))
    return web.Response()


@routes.get("/linked/again")
@requires(read_link("ct"))
async def again(request: web.Request) -> web.Response:
    return web.Response(text=await make_link(request, BucketAccess(Action.READ, "a"), 2**62))


@routes.get("/linked/administration")
@requires(read_link("ct"))
async def administration(request: web.Request) -> web.Response:
    await request.app[AUTH].registry.revoke(actor_of(request), "bystander")
    return web.Response()


@routes.get("/linked/broken")
@requires(read_link("ct"))
async def broken(request: web.Request) -> web.Response:
    raise RuntimeError("a fault of the engine's own")


@routes.post("/anonymous")
@requires(Anonymous())
async def anonymous(request: web.Request) -> web.Response:
    return web.Response(text=await make_link(request, BucketAccess(Action.READ, "a"), 2**62))


@routes.post("/rename/{bucket}/{new_bucket}")
@requires(FullAccess())
async def rename(request: web.Request) -> web.Response:
    names = request.match_info["bucket"], request.match_info["new_bucket"]
    async with request.app[AUTH].registry.renaming_bucket(actor_of(request), *names):
        await request.app[RENAMING].pass_by()
    return web.Response()


@routes.post("/remove/{bucket}")
@requires(FullAccess())
async def remove(request: web.Request) -> web.Response:
    async with request.app[AUTH].registry.removing_bucket(actor_of(request), request.match_info["bucket"]):
        pass
    return web.Response()


class Door:
    """Where a handler waits, if it is told to."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def pass_by(self) -> None:
        self.reached.set()
        await self.open.wait()


RENAMING: web.AppKey[Door] = web.AppKey("while a bucket is renamed", Door)
MAKING: web.AppKey[Door] = web.AppKey("before a link is made", Door)


def application() -> web.Application:
    app = web.Application()
    app[RENAMING], app[MAKING] = Door(), Door()
    app.add_routes(routes)
    return app


def door_of(caller: Caller, key: web.AppKey[Door]) -> Door:
    app = caller.client.app
    assert app is not None
    return app[key]


@pytest.fixture
async def root(serve: Serve) -> AsyncIterator[Caller]:
    async with serve(application()) as caller:
        yield caller


@pytest.fixture
async def beside(serve: Serve, root: Caller) -> AsyncIterator[Caller]:
    """Another server, with a store of its own, on the same folder."""
    async with serve(application()) as caller:
        yield caller


async def link_of(caller: Caller, path: str = "/links/a", payload: str = "payload") -> str:
    """Have a token make a link."""
    response = await caller("POST", path, payload)
    assert response.status == 200, await response.text()
    return await response.text()


async def follow(caller: Caller, text: str, path: str = "/linked", method: str = "GET") -> ClientResponse:
    """Come with a link and nothing else."""
    return await caller.using(None)(method, URL(path).with_query(ct=text))


async def answer(caller: Caller, text: str, path: str = "/linked", method: str = "GET") -> tuple[int, str]:
    """Status and words of the answer to a link."""
    response = await follow(caller, text, path, method)
    return response.status, response.headers.get("x-reduct-error", "")


# -- what a link opens --------------------------------------------------------------------------------------


async def test_a_link_lets_in_whoever_has_it(root: Caller) -> None:
    """It stands for the token that made it, with one action on one bucket, and carries what the engine put in."""
    text = await link_of(await root.make("maker", GRANTS))
    response = await follow(root, text)
    assert response.status == 200
    assert await response.json() == {
        "bucket": "a",
        "payload": "payload",
        "token": "maker",
        "may": ["read a"],
        "address": "127.0.0.1",
    }


@pytest.mark.parametrize("maker", ["everything", "by a prefix", "root"])
async def test_a_link_opens_one_bucket_whatever_its_token_may_do(root: Caller, maker: str) -> None:
    """Wildcards and full access are not handed on."""
    makers = {
        "everything": await root.make("everything", read=["*"], write=["*"]),
        "by a prefix": await root.make("prefix", read=["a*", "c"]),
        "root": root,
    }
    text = await link_of(makers[maker])
    assert (await (await follow(root, text)).json())["may"] == ["read a"]
    status, words = await answer(root, text, "/linked/elsewhere")
    assert (status, words.split(" ", 2)[2]) == (403, "doesn't have read access to bucket 'c'")


async def test_a_link_to_a_system_bucket(root: Caller) -> None:
    """By its exact name, as with tokens."""
    assert (await (await follow(root, await link_of(root, "/links/$system"))).json())["may"] == [
        "read $system"
    ]


async def test_a_link_is_for_one_action(root: Caller) -> None:
    """A link to read writes nothing, and the other way round, though its token may do both."""
    maker = await root.make("maker", GRANTS)
    to_read, to_write = await link_of(maker), await link_of(maker, "/links/a?action=write")
    assert await answer(root, to_read, method="POST") == (403, "Link doesn't have write access to bucket 'a'")
    assert await answer(root, to_write) == (403, "Link doesn't have read access to bucket 'a'")
    response = await root.using(None)("POST", URL("/linked").with_query(ct=to_write), "content")
    assert (response.status, await response.text()) == (200, "content")


async def test_head_and_views(root: Caller) -> None:
    """The guard is the same for both."""
    text = await link_of(root)
    for path, method, expected in (("/linked", "HEAD", ""), ("/view", "GET", "a")):
        response = await follow(root, text, path, method)
        assert response.status == 200
        assert expected in await response.text()
        assert await answer(root, text[:-1], path, method) == NOT_OURS
    assert await (await follow(root, text[:-1], method="HEAD")).read() == b""


async def test_nothing_else_of_the_request_is_asked(root: Caller) -> None:
    """A value that is sent along neither opens the route nor closes it, nor does a link open another route."""
    text = await link_of(root)
    for value in (root.value, "nobody-ever-made-this-value", ""):
        assert (await root.using(value)("GET", URL("/linked").with_query(ct=text))).status == 200
        refused = await root.using(value)("GET", "/linked")
        assert (refused.status, refused.headers["x-reduct-error"]) == MISSING
    headers = {"Authorization": f"Bearer {text}"}
    assert (await root.using(None)("GET", "/linked", headers=headers)).status == 422
    assert (await root.using(text)("GET", "/api/v1/me")).status == 401
    assert (await follow(root, text, "/api/v1/me")).status == 401


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", MISSING),
        ("ct", MISSING),
        ("ct=", MISSING),
        ("ct=&ct=", MISSING),
        ("CT={link}", MISSING),
        ("link={link}", MISSING),
        ("ct={link}&ct={link}", (422, "Failed to decrypt query: there is more than one")),
        ("ct=&ct={link}", (422, "Failed to decrypt query: there is more than one")),
        ("ct={link}x", NOT_OURS),
        ("ct=x{link}", NOT_OURS),
        ("ct={link}%0A", NOT_OURS),
        ("ct=+{link}", NOT_OURS),
        ("ct={link}%3D", NOT_OURS),
        ("ct=%FF%00", NOT_OURS),
        ("ct={value}", NOT_OURS),
        ("ct=" + "A" * 7_000, (422, "Failed to decrypt query: it is too long to be a link of this server")),
    ],
)
async def test_what_is_no_link(root: Caller, query: str, expected: tuple[int, str]) -> None:
    """422 with the reason, and no challenge: no credential in a header would help."""
    query = query.format(link=await link_of(root), value=root.value)
    for method in ("GET", "POST"):
        response = await root.using(None)(method, URL(f"/linked?{query}", encoded=True))
        assert (response.status, response.headers["x-reduct-error"]) == expected
        assert await response.json() == {"detail": expected[1].replace('"', "'")}
        assert "www-authenticate" not in response.headers


async def test_a_link_of_another_registry(
    serve: Serve, root: Caller, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It opens nothing here, though a token of that name is here too."""
    folder = tmp_path_factory.mktemp("another")
    async with serve(application(), RS_DATA_PATH=str(folder)) as another:
        assert await answer(root, await link_of(another)) == NOT_OURS
        assert await answer(another, await link_of(root)) == NOT_OURS


async def test_a_link_outlives_the_server(serve: Serve) -> None:
    """The key is the registry's: after a restart links are what they were."""
    async with serve(application()) as root:
        text = await link_of(root)
    async with serve(application()) as root:
        assert (await follow(root, text)).status == 200


# -- what takes it away -------------------------------------------------------------------------------------

NO_READ = (403, "Token 'maker' doesn't have read access to bucket 'a'")
NOT_FROM_HERE = (401, "Token is not allowed for client IP 127.0.0.1")
GONE = (404, "Token 'maker' doesn't exist")
GOOD = (200, "")
MAKER = "/api/v1/tokens/maker"
STATES: list[tuple[str, list[tuple[str, str, str]], tuple[int, str]]] = [
    # what happened since the link was made, and the answer to it
    ("nothing", [], GOOD),
    ("deleted", [("DELETE", MAKER, "")], GONE),
    ("deleted and made anew", [("DELETE", MAKER, ""), ("POST", MAKER, GRANTS)], GONE),
    ("revoked", [("POST", f"{MAKER}/revoke", "")], INVALID),
    ("switched off", [("PATCH", MAKER, '{"active": false}')], INVALID),
    (
        "switched off and on",
        [("PATCH", MAKER, '{"active": false}'), ("PATCH", MAKER, '{"active": true}')],
        GOOD,
    ),
    ("scheduled", [("PATCH", MAKER, '{"valid_from": "2030-03-18T00:00:00Z"}')], INVALID),
    ("rotated", [("POST", f"{MAKER}/rotate", "")], INVALID),
    ("rotated with grace", [("POST", f"{MAKER}/rotate", '{"grace_seconds": 3600}')], INVALID),
    ("permission taken away", [("PATCH", MAKER, '{"permissions": {"read": ["b"]}}')], NO_READ),
    ("all permissions taken away", [("PATCH", MAKER, '{"permissions": {"read": [], "write": []}}')], NO_READ),
    ("only reading left", [("PATCH", MAKER, '{"permissions": {"write": []}}')], GOOD),
    ("by a wildcard now", [("PATCH", MAKER, '{"permissions": {"read": ["*"]}}')], GOOD),
    ("from elsewhere only", [("PATCH", MAKER, '{"ip_allowlist": ["192.0.2.1"]}')], NOT_FROM_HERE),
    ("from here only", [("PATCH", MAKER, '{"ip_allowlist": ["127.0.0.0/8"]}')], GOOD),
    ("bucket removed", [("POST", "/remove/a", "")], NO_READ),
    ("bucket renamed", [("POST", "/rename/a/d", "")], NO_READ),
    ("bucket renamed and back", [("POST", "/rename/a/d", ""), ("POST", "/rename/d/a", "")], GOOD),
    ("another bucket took the name", [("POST", "/rename/a/d", ""), ("POST", "/rename/c/a", "")], GOOD),
    ("something else changed", [("PATCH", MAKER, '{"description": "x"}')], GOOD),
    ("another token went", [("DELETE", "/api/v1/tokens/bystander", "")], GOOD),
]


@pytest.mark.parametrize(
    ("changes", "expected"), [row[1:] for row in STATES], ids=[name for name, *_ in STATES]
)
async def test_a_link_is_worth_what_its_token_is_worth(
    root: Caller, beside: Caller, changes: list[tuple[str, str, str]], expected: tuple[int, str]
) -> None:
    """It was good and in use in two processes; the very next request in either gets the answer of now."""
    await root.make("bystander")
    text = await link_of(await root.make("maker", GRANTS))
    for caller in (root, beside):
        assert await answer(caller, text) == GOOD
    for method, path, body in changes:
        assert (await root(method, path, body or None)).status == 200
    for caller in (beside, root):
        for method in ("GET", "HEAD"):
            response = await follow(caller, text, method=method)
            assert (response.status, response.headers.get("x-reduct-error", "")) == expected
            if response.status == 401:
                assert response.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


async def test_a_link_made_with_the_new_value_is_good(root: Caller) -> None:
    """Rotation ends what was made before it, and nothing else."""
    maker = await root.make("maker", GRANTS)
    old = await link_of(maker)
    rotated = await root("POST", f"{MAKER}/rotate", '{"grace_seconds": 3600}')
    new = await link_of(maker.using((await rotated.json())["value"]))
    assert await answer(root, old) == INVALID
    assert await answer(root, new) == GOOD


async def test_while_a_bucket_is_renamed(root: Caller, beside: Caller) -> None:
    """Grants on it are suspended, so links to it are; a link that needs no exact grant goes on."""
    door = door_of(root, RENAMING)
    exact, full = await link_of(await root.make("maker", GRANTS)), await link_of(root)
    assert await answer(beside, exact) == GOOD
    door.open.clear()
    renaming = asyncio.create_task(root("POST", "/rename/a/d"))
    await door.reached.wait()
    for caller in (root, beside):
        assert await answer(caller, exact) == NO_READ
        assert await answer(caller, full) == GOOD
    door.open.set()
    assert (await renaming).status == 200


async def test_the_end_of_a_link(root: Caller, now: Now) -> None:
    """From `expires_at` on, to the microsecond; one that is past already is made, and opens nothing."""
    text = await link_of(root, "/links/a?for_us=1000000")
    now.pass_seconds(0.999_999)
    assert await answer(root, text) == GOOD
    now.pass_seconds(0.000_001)
    assert await answer(root, text) == EXPIRED
    assert await answer(root, await link_of(root, "/links/a?for_us=0")) == EXPIRED
    assert await answer(root, await link_of(root, "/links/a?for_us=-5000000000000000")) == EXPIRED


async def test_an_expired_link_tells_nothing_of_its_token(root: Caller, now: Now) -> None:
    """Its own time is asked first, so it does not show whether the token is still there."""
    text = await link_of(await root.make("maker", GRANTS))
    assert (await root("DELETE", MAKER)).status == 200
    assert await answer(root, text) == GONE
    now.pass_seconds(60)
    assert await answer(root, text) == EXPIRED


async def test_the_end_of_the_token(root: Caller, now: Now) -> None:
    """A link that is good for longer than its token ends with it."""
    body = '{"permissions": {"read": ["a"]}, "expires_at": "2030-03-17T17:46:50Z"}'
    text = await link_of(await root.make("maker", body))
    now.pass_seconds(9)
    assert await answer(root, text) == GOOD
    now.pass_seconds(1)
    assert await answer(root, text) == (401, "Token has expired")


async def test_a_link_does_not_keep_its_token_from_being_idle(root: Caller, now: Now) -> None:
    """However often it is used: whoever holds the value has to use it."""
    maker = await root.make("maker", '{"permissions": {"read": ["a"]}, "ttl": 60}')
    text = await link_of(maker, "/links/a?for_us=1000000000")
    await written_down(root)
    for _ in range(6):
        now.pass_seconds(10)
        assert await answer(root, text) == GOOD
    now.pass_seconds(1)
    assert await answer(root, text) == (401, "Token has expired")
    assert (await maker("POST", "/links/a")).status == 401


async def written_down(root: Caller) -> None:
    """Return when the last access of the token `maker` is in the registry."""
    async with asyncio.timeout(20):
        while (await (await root("GET", MAKER)).json())["last_access"] is None:
            await asyncio.sleep(0.01)


async def test_the_address_is_the_clients(serve: Serve) -> None:
    """Behind a trusted proxy it is read from the proxy's header, as for a value."""
    async with serve(application(), RS_TRUSTED_PROXIES="127.0.0.0/8") as root:
        body = '{"permissions": {"read": ["a"]}, "ip_allowlist": ["192.0.2.1"]}'
        maker = await root.make("maker", body)
        here, there = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
        made = await maker("POST", "/links/a", "", here)
        url = URL("/linked").with_query(ct=await made.text())
        nobody = root.using(None)
        assert (await (await nobody("GET", url, headers=here)).json())["address"] == "192.0.2.1"
        refused = await nobody("GET", url, headers=there)
        assert (refused.status, refused.headers["x-reduct-error"]) == (
            401,
            "Token is not allowed for client IP 192.0.2.2",
        )


# -- making one ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/links/a", 200, ""),
        ("/links/a?action=write", 200, ""),
        ("/links/c", 200, ""),
        ("/links/c?action=write", 403, "Token 'maker' doesn't have write access to bucket 'c'"),
        ("/links/b", 403, "Token 'maker' doesn't have read access to bucket 'b'"),
        ("/links/A", 403, "Token 'maker' doesn't have read access to bucket 'A'"),
        ("/links/*", 403, "Token 'maker' doesn't have read access to bucket '*'"),
        ("/links/$system", 403, "Token 'maker' doesn't have read access to bucket '$system'"),
    ],
)
async def test_nobody_hands_on_what_they_have_not(root: Caller, path: str, status: int, words: str) -> None:
    """The permission is asked by the module itself, whatever the route demanded."""
    maker = await root.make("maker", GRANTS)
    response = await maker("POST", path)
    assert (response.status, response.headers.get("x-reduct-error", "")) == (status, words)


async def test_a_value_in_its_grace_makes_no_links(root: Caller, beside: Caller) -> None:
    """A link would be dead at once: 409 says which value to use."""
    maker = await root.make("maker", GRANTS)
    rotated = await root("POST", f"{MAKER}/rotate", '{"grace_seconds": 3600}')
    for caller in (root, beside):
        refused = await caller.using(maker.value)("POST", "/links/a")
        assert (refused.status, refused.headers["x-reduct-error"]) == (
            409,
            "Token 'maker' was rotated: use its new value to make links",
        )
        await link_of(caller.using((await rotated.json())["value"]))


@pytest.mark.parametrize(("method", "ending"), [("DELETE", ""), ("POST", "/revoke")])
async def test_a_token_that_ended_after_it_was_let_in(root: Caller, method: str, ending: str) -> None:
    """A handler that takes its time makes no link for a token that is gone or revoked by then."""
    maker = await root.make("maker", GRANTS)
    door = door_of(root, MAKING)
    door.open.clear()
    making = asyncio.create_task(maker("POST", "/links/a"))
    await door.reached.wait()
    assert (await root(method, MAKER + ending)).status == 200
    door.open.set()
    refused = await making
    assert (refused.status, refused.headers["x-reduct-error"]) == INVALID


@pytest.mark.parametrize(
    ("path", "payload", "words"),
    [
        ("/links/*", "", "A link is for one bucket, got '*'"),
        ("/links/we*", "", "A link is for one bucket, got 'we*'"),
        (
            "/links/a?for_us=9223372036854775807",
            "",
            "A link can't expire later than 2^63-1 microseconds after 1970",
        ),
        ("/links/a", "x" * 6_000, "A link can have at most 6000 characters, this one would have 8195"),
    ],
)
async def test_what_cannot_be_a_link(root: Caller, path: str, payload: str, words: str) -> None:
    """422 in words for whoever asked for it."""
    refused = await root("POST", path, payload)
    assert (refused.status, refused.headers["x-reduct-error"]) == (422, words)


async def test_a_link_does_not_beget(root: Caller) -> None:
    """Who came by a link makes no links, and changes no tokens: not even by an administrator's link."""
    await root.make("bystander")
    text = await link_of(root)
    assert await answer(root, text, "/linked/again") == (403, "A link can't make links")
    assert await answer(root, text, "/linked/administration") == (
        403,
        "A link can't change tokens or buckets",
    )
    bystander = await (await root("GET", "/api/v1/tokens/bystander?view=full")).json()
    assert bystander["status"] == "active"


async def test_no_link_in_nobodys_name(root: Caller) -> None:
    """A route that demands no token makes none, whoever calls it: that is a fault of the engine's."""
    for caller in (root, root.using(None)):
        assert (await caller("POST", "/anonymous")).status == 500


# -- what is counted ----------------------------------------------------------------------------------------

LIMIT = 3


@pytest.fixture
async def limited(serve: Serve) -> AsyncIterator[Caller]:
    async with serve(application(), RS_AUTH_FAILURES_PER_MINUTE=str(LIMIT)) as caller:
        yield caller


@pytest.mark.parametrize(
    ("which", "status"),
    [("changed", 422), ("expired", 422), ("deleted", 404), ("revoked", 401), ("from elsewhere", 401)],
)
async def test_what_counts_as_a_failure(limited: Caller, which: str, status: int) -> None:
    """Whatever was presented and opens nothing, as with values: then 429. What is good passes meanwhile."""
    good = await link_of(limited)
    texts = {"changed": good[:-1] + ("A" if good[-1] != "A" else "B")}
    texts["expired"] = await link_of(limited, "/links/a?for_us=0")
    for name in ("deleted", "revoked", "from elsewhere"):
        texts[name] = await link_of(await limited.make(name.replace(" ", "-"), GRANTS))
    await limited("DELETE", "/api/v1/tokens/deleted")
    await limited("POST", "/api/v1/tokens/revoked/revoke")
    await limited("PATCH", "/api/v1/tokens/from-elsewhere", '{"ip_allowlist": ["192.0.2.1"]}')
    statuses = [(await follow(limited, texts[which])).status for _ in range(LIMIT + 2)]
    assert statuses == [status] * LIMIT + [429] * 2
    assert (await follow(limited, good)).status == 200
    assert (await limited("GET", "/api/v1/me")).status == 200
    audited = await (await limited("GET", "/api/v1/audit?action=unauthenticated")).json()
    assert audited["entries"] == []  # it is written when the minute is over


async def test_what_does_not_count(limited: Caller) -> None:
    """Nothing presented is nothing guessed; a link that may not is known."""
    maker = await limited.make("maker", GRANTS)
    text = await link_of(maker)
    assert (await limited("PATCH", MAKER, '{"permissions": {"read": []}}')).status == 200
    for _ in range(LIMIT + 2):
        assert (await limited.using(None)("GET", "/linked")).status == 422
        assert (await follow(limited, text)).status == 403
    assert (await limited.using("no-such-value")("GET", "/api/v1/me")).status == 401


async def test_failures_are_in_the_audit(serve: Serve, tmp_path: Path) -> None:
    """One entry for all that was presented in vain in a minute."""
    async with serve(application()) as root:
        for text in ("x", "rsl1.AAAA", await link_of(root, "/links/a?for_us=0")):
            assert (await follow(root, text)).status == 422
    with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as registry:
        found = registry.execute("SELECT detail FROM audit WHERE action = 'unauthenticated'").fetchall()
    assert found == [('{"count":3}',)]


async def test_uses_are_counted_for_the_token(serve: Serve, tmp_path: Path, now: Now) -> None:
    """By what they were, and by the value that the link was made with; last access is the token's own."""
    async with serve(application()) as root:
        maker = await root.make("maker", GRANTS)
        to_read, to_write = await link_of(maker), await link_of(maker, "/links/a?action=write")
        used_at_us = now()
        now.pass_seconds(5)
        for _ in range(3):
            assert await answer(root, to_read) == GOOD
        assert await answer(root, to_write, method="POST") == GOOD
        assert (await answer(root, to_read, method="POST"))[0] == 403
    with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as registry:
        found = registry.execute(
            "SELECT read, write, admin, denied, tokens.last_access_us, uses, secrets.last_access_us"
            " FROM tokens JOIN usage ON usage.token_key = key JOIN secrets ON secrets.token_key = key"
            " WHERE name = 'maker'"
        ).fetchall()
    assert found == [(2 + 3, 1, 0, 1, used_at_us, 2 + 5, used_at_us)]


# -- bodies, faults, secrets --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "begins"),
    [
        ("ct={link}", b"HTTP/1.1 100 Continue\r\n"),
        ("ct={link}x", b"HTTP/1.1 422 "),
        ("", b"HTTP/1.1 422 "),
        ("ct={to_read}", b"HTTP/1.1 403 "),
        ("ct={dead}", b"HTTP/1.1 401 "),
    ],
)
async def test_who_asks_before_sending(root: Caller, query: str, begins: bytes) -> None:
    """`Expect: 100-continue`: no body is asked for before the link is known to be good."""
    dead = await link_of(await root.make("maker", GRANTS), "/links/a?action=write")
    assert (await root("POST", f"{MAKER}/revoke")).status == 200
    query = query.format(
        link=await link_of(root, "/links/a?action=write"), to_read=await link_of(root), dead=dead
    )
    reader, writer = await asyncio.open_connection(root.client.host, root.client.port)
    head = f"POST /linked?{query} HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(10):
        first = await reader.readline()
        assert first.startswith(begins)
        if b" 100 " in first:
            writer.write(b"content")
            await reader.readline()
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_a_refusal_before_sending_is_counted_once(limited: Caller) -> None:
    """The guard does not decide a second time about what it refused."""
    statuses = []
    for _ in range(LIMIT + 1):
        url = URL("/linked").with_query(ct="x")
        response = await limited.using(None)("POST", url, b"content", {"Expect": "100-continue"})
        statuses.append(response.status)
    assert statuses == [422] * LIMIT + [429]


async def test_a_registry_that_cannot_be_read(root: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link whose token can't be asked for opens nothing: 503 with a time to try again."""

    async def failing(self: SqliteStore, token_id: str) -> None:
        raise StoreUnavailableError

    text = await link_of(root)
    monkeypatch.setattr(SqliteStore, "find_by_id", failing)
    for headers in ({}, {"Expect": "100-continue"}):
        response = await root.using(None)("GET", URL("/linked").with_query(ct=text), b"x", headers)
        assert response.status == 503
        assert int(response.headers["retry-after"]) > 0
    assert (await root("POST", "/links/a")).status == 503


async def test_whoever_writes_the_file_revives_no_link(root: Caller, tmp_path: Path) -> None:
    """A rotation ended it: giving the new value the number, and the time, of the old one brings it back to nobody."""
    text = await link_of(await root.make("maker", GRANTS))
    of_maker = "FROM secrets JOIN tokens ON tokens.key = token_key WHERE name = 'maker'"
    statement = f"SELECT secrets.id, secrets.created_at_us {of_maker}"
    with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as registry:
        old = registry.execute(statement).fetchone()
        app = root.client.app
        assert app is not None
        app[AUTH].clock.pass_seconds(1)  # type: ignore[attr-defined] # the test's clock
        assert (await root("POST", f"{MAKER}/rotate")).status == 200
        assert await answer(root, text) == INVALID
        (new,) = registry.execute(f"SELECT secrets.id {of_maker}").fetchone()
        with registry:
            registry.execute("UPDATE secrets SET id = ?, created_at_us = ? WHERE id = ?", (*old, new))
        assert registry.execute(statement).fetchone() == old
        assert await answer(root, text) == INVALID
        with registry:
            registry.execute("UPDATE tokens SET created_at_us = ? WHERE name = 'maker'", (old[1],))
        assert await answer(root, text) == INVALID  # and now its seal is broken


async def test_no_value_is_in_a_link(root: Caller, tmp_path: Path) -> None:
    """Nor a digest of one."""
    maker = await root.make("maker", GRANTS)
    text = await link_of(maker)
    content = base64.urlsafe_b64decode(text.removeprefix("rsl1.") + "===")
    assert b"payload" in content
    with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as registry:
        digests = [digest for (digest,) in registry.execute("SELECT digest FROM secrets")]
    assert len(digests) == 2
    for secret in (str(maker.value).encode(), str(maker.value)[-49:-6].encode(), *digests):
        assert secret not in content
        assert secret.hex().encode() not in content


ENGINE = """
import logging
import reductauth.web
from reductauth.settings import Settings
from tests.reductauth.web.test_links import application

logging.basicConfig(level="DEBUG")
app = application()
reductauth.web.setup(app, Settings.from_environment())
reductauth.web.run(app, port=0)
"""


async def test_two_processes_and_what_they_log(tmp_path: Path) -> None:
    """What one takes away the other refuses at once; and no link is in a log or a file, whatever happens to it."""
    (tmp_path / "engine.py").write_text(ENGINE)
    environ = {"RS_API_TOKEN": ROOT_VALUE}
    with (
        forked(tmp_path, environ, ("engine.py",)) as first,
        forked(tmp_path, environ, ("engine.py",)) as second,
    ):
        headers = {"Authorization": f"Bearer {ROOT_VALUE}"}
        async with ClientSession(first.url, headers=headers) as here, ClientSession(second.url) as there:
            for _ in range(20):
                async with here.post(MAKER, data=GRANTS) as made:
                    value = (await made.json())["value"]
                maker = {"Authorization": f"Bearer {value}"}
                async with there.post("/links/a", headers=maker) as linked:
                    text = await linked.text()
                for path, status in (("/linked", 200), ("/linked/broken", 500), ("/linked/again", 403)):
                    async with there.get(URL(path).with_query(ct=text)) as seen:
                        assert seen.status == status
                        assert text[5:40] not in await seen.text() + str(seen.headers)
                async with here.delete(MAKER) as removed:
                    assert removed.status == 200
                for changed, status in ((text, 404), (text + "x", 422)):
                    async with there.get(URL("/linked").with_query(ct=changed)) as seen:
                        assert seen.status == status
                        assert text[5:40] not in await seen.text() + str(seen.headers)
        assert first.stop() == second.stop() == 0
        for kept in (first.log, second.log, *files_of(tmp_path / "data")):
            assert text[5:40] not in kept
        assert "request failed path='/linked/broken'" in second.log


def files_of(folder: Path) -> list[str]:
    return [file.read_bytes().decode("latin-1") for file in folder.rglob("*") if file.is_file()]


# -- authentication off, the census, the kit ----------------------------------------------------------------


async def test_while_authentication_is_off(serve: Serve, now: Now) -> None:
    """Everybody makes and uses links; they are checked for changes and for their end, and die with the process."""
    off = {"bootstrap": {"RS_DISABLE_AUTH": "true"}}
    async with serve(application(), **off) as caller:
        nobody = caller.using(None)
        text = await link_of(nobody)
        assert (await (await follow(nobody, text)).json())["may"] == ["read a"]
        assert await answer(nobody, text[:-1]) == NOT_OURS
        assert (await nobody("GET", "/linked")).status == 422
        now.pass_seconds(60)
        assert await answer(nobody, text) == EXPIRED
        text = await link_of(nobody)
    async with serve(application(), **off) as caller:
        assert await answer(caller, text) == NOT_OURS


def test_the_census_knows_the_policy() -> None:
    """`reductauth routes` and a reviewed table show what a link is needed for, and in which parameter."""
    by_link = [entry for entry in route_table(application()) if entry.by_link]
    assert RouteEntry("/linked", "GET", "read by link in ct", None, by_link=True) in by_link
    assert RouteEntry("/linked", "POST", "write by link in ct", None, by_link=True) in by_link
    assert str(by_link[0]) == "GET     /linked  read by link in ct"
    assert {entry.path for entry in by_link if entry.method == "GET"} == {
        *("/linked", "/linked/again", "/linked/administration", "/linked/broken"),
        *("/linked/elsewhere", "/view"),
    }


async def test_the_kit_knows_the_policy(serve: Serve) -> None:
    """Strangers have no link either."""
    app = web.Application()
    app.add_routes([web.get("/linked", linked), web.post("/links/{bucket}", make)])
    async with serve(app) as root:
        await assert_strangers_are_refused(root)
