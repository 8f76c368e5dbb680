"""Guessing through the HTTP door: what counts as a failure, what too many are answered, and who is never held up."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from functools import partial

import pytest
from aiohttp import ClientResponse, web
from multidict import CIMultiDict

from reductauth import Action, Anonymous, Authenticated, BucketAccess
from reductauth.throttle import Throttle
from reductauth.web import allowed, authorize, requires, write_bucket
from reductauth.web.guard import expect_after_guard
from tests.reductauth.web.conftest import Caller, Now, Serve

WRONG = "canary-of-a-guess-0123456789abcdef"
LIMIT = 3
READ_A = BucketAccess(Action.READ, "a")

routes = web.RouteTableDef()


@routes.get("/guarded")
@requires(Authenticated())
async def guarded(request: web.Request) -> web.Response:
    return web.Response()


@routes.get("/authorized")
@requires(Anonymous())
async def authorized(request: web.Request) -> web.Response:
    await authorize(request, READ_A)
    return web.Response()


@routes.get("/listed")
@requires(Anonymous())
async def listed(request: web.Request) -> web.Response:
    return web.json_response([await allowed(request, READ_A) for _ in range(100)])


@routes.get("/open")
@requires(Anonymous())
async def for_everybody(request: web.Request) -> web.Response:
    return web.Response()


@routes.view("/view")
@requires(Authenticated())
class View(web.View):
    async def get(self) -> web.Response:
        return web.Response()


async def upload(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


def application() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    app.router.add_post("/b/{bucket}", requires(write_bucket("bucket"))(upload))
    app.router.add_post(
        "/expect/{bucket}", requires(write_bucket("bucket"))(upload), expect_handler=expect_after_guard
    )
    return app


@pytest.fixture
async def root(serve: Serve) -> AsyncIterator[Caller]:
    variables = {
        "RS_AUTH_FAILURES_PER_MINUTE": str(LIMIT),
        "RS_ALLOW_BASIC_AUTH": "true",
        "RS_ALLOW_X_AUTH_TOKEN": "true",
    }
    async with serve(application(), **variables) as caller:
        yield caller


async def get(
    caller: Caller, lines: list[tuple[str, str]], path: str = "/guarded", method: str = "GET"
) -> ClientResponse:
    async with caller.client.request(method, path, headers=CIMultiDict(lines)) as response:
        await response.read()
        return response


async def is_out_of_failures(caller: Caller, headers: Mapping[str, str] | None = None) -> bool:
    """Whether one more failure is too many; it counts itself if it is not."""
    response = await caller.using(WRONG)("GET", "/guarded", headers=headers or {})
    return {401: False, 429: True}[response.status]


def bearer(value: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {value}")


def basic(text: str) -> tuple[str, str]:
    return ("Authorization", "Basic " + base64.b64encode(text.encode()).decode())


MISTYPED = "a-rsat1" + "0" * 49
COUNTED: list[tuple[str, list[tuple[str, str]]]] = [
    ("unknown", [bearer(WRONG)]),
    ("unknown, in another case", [("Authorization", f"bEaReR {WRONG}")]),
    ("mistyped", [bearer(MISTYPED)]),
    ("too long", [bearer("x" * 4_097)]),
    ("expired", [bearer("{expired}")]),
    ("revoked", [bearer("{revoked}")]),
    ("from elsewhere", [bearer("{elsewhere}")]),
    ("several", [bearer("{good}"), bearer("{good}")]),
    ("several places", [bearer("{good}"), ("X-Auth-Token", "{good}")]),
    ("basic, unknown", [basic(f"anybody:{WRONG}")]),
    ("basic, unreadable", [("Authorization", "Basic ====")]),
    ("x-auth-token", [("X-Auth-Token", WRONG)]),
]
FREE: list[tuple[str, list[tuple[str, str]], str, int]] = [
    ("nothing presented", [], "/guarded", 401),
    ("an empty bearer", [("Authorization", "Bearer ")], "/guarded", 401),
    ("another scheme", [("Authorization", f"Digest {WRONG}")], "/guarded", 401),
    ("nothing presented, asked inside", [], "/authorized", 401),
    ("nothing presented, left out", [], "/listed", 200),
    ("a good value", [bearer("{good}")], "/guarded", 200),
    ("a good value that may not", [bearer("{good}")], "/api/v1/tokens", 403),
    ("a good value that may not, asked inside", [bearer("{good}")], "/authorized", 403),
    ("a good value that sees nothing", [bearer("{good}")], "/listed", 200),
    ("a route for everybody", [bearer(WRONG)], "/open", 200),
    ("no route", [bearer(WRONG)], "/no-such-route", 404),
    ("no such token", [bearer("{root}")], "/api/v1/tokens/nobody", 404),
]


async def values_of(root: Caller, now: Now) -> dict[str, str]:
    """Values of tokens that are good, and of some that are not."""
    good = await root.make("good")
    elsewhere = await root.make("elsewhere", '{"ip_allowlist": ["192.0.2.1"]}')
    revoked = await root.make("revoked")
    assert (await root("POST", "/api/v1/tokens/revoked/revoke")).status == 200
    expired = await root.make("expired", '{"permissions": {}, "expires_at": "2030-03-17T17:46:41Z"}')
    now.pass_seconds(1)
    holders = {"good": good, "elsewhere": elsewhere, "revoked": revoked, "expired": expired, "root": root}
    return {name: str(holder.value) for name, holder in holders.items()}


def filled_in(lines: list[tuple[str, str]], values: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, text.format(**values)) for name, text in lines]


@pytest.mark.parametrize(("lines"), [lines for _, lines in COUNTED], ids=[name for name, _ in COUNTED])
async def test_what_counts(root: Caller, now: Now, lines: list[tuple[str, str]]) -> None:
    """A credential that is presented and refused: 401 as often as may be, then 429."""
    lines = filled_in(lines, await values_of(root, now))
    statuses = [(await get(root, lines)).status for _ in range(LIMIT + 2)]
    assert statuses == [401] * LIMIT + [429] * 2


@pytest.mark.parametrize(("lines", "path", "status"), [row[1:] for row in FREE], ids=[row[0] for row in FREE])
async def test_what_does_not_count(
    root: Caller, now: Now, lines: list[tuple[str, str]], path: str, status: int
) -> None:
    """Whatever is no refused credential: as often as one likes, before and after the limit, and nothing is used up."""
    lines = filled_in(lines, await values_of(root, now))
    assert [(await get(root, lines, path)).status for _ in range(LIMIT + 2)] == [status] * (LIMIT + 2)
    assert [await is_out_of_failures(root) for _ in range(LIMIT + 1)] == [False] * LIMIT + [True]
    assert [(await get(root, lines, path)).status for _ in range(2)] == [status] * 2


async def test_the_answer(root: Caller) -> None:
    """429, how long to wait, the challenge, and the message in header and body; nothing of what was sent."""
    for _ in range(LIMIT):
        assert not await is_out_of_failures(root)
    message = "Too many failed authentications, try again in 20 seconds"
    for method in ("GET", "HEAD"):
        response = await get(root, [bearer(WRONG)], method=method)
        assert response.status == 429
        assert response.headers["retry-after"] == "20"
        assert response.headers["x-reduct-error"] == message
        assert response.headers["content-type"] == "application/json"
        assert response.headers.getall("www-authenticate") == [
            f'Bearer error="invalid_token", error_description="{message}"',
            'Basic realm="tokens", charset="UTF-8"',
        ]
        assert await response.text() == ("" if method == "HEAD" else f'{{"detail":"{message}"}}')
        assert not any(WRONG in text for text in (*response.headers.values(), await response.text()))


async def test_waiting_as_long_as_is_said_is_enough(root: Caller, now: Now) -> None:
    """Until then the wait counts down, and asking does not make it longer; one more is let through, not two."""
    for _ in range(LIMIT):
        assert not await is_out_of_failures(root)
    told = []
    for _ in range(21):
        response = await get(root, [bearer(WRONG)])
        told.append((response.status, response.headers.get("retry-after")))
        now.pass_seconds(1)
    assert told == [(429, str(seconds)) for seconds in range(20, 0, -1)] + [(401, None)]
    assert (await get(root, [bearer(WRONG)])).headers["x-reduct-error"].endswith("in 19 seconds")
    now.pass_seconds(18)
    assert (await get(root, [bearer(WRONG)])).headers["x-reduct-error"].endswith("in 1 second")


# Every way to a refusal: method, path, further headers.
WAYS: list[tuple[str, str, dict[str, str]]] = [
    ("GET", "/guarded", {}),
    ("HEAD", "/guarded", {}),
    ("GET", "/view", {}),
    ("GET", "/authorized", {}),
    ("POST", "/b/a", {}),
    ("POST", "/expect/a", {}),
    ("POST", "/expect/a", {"Expect": "100-continue"}),
    ("POST", "/api/v1/tokens/t", {"Expect": "100-continue"}),
    ("GET", "/api/v1/me", {}),
    ("DELETE", "/api/v1/me", {}),
    ("GET", "/api/v1/tokens", {}),
]


@pytest.mark.parametrize(("method", "path", "headers"), WAYS)
async def test_every_way_to_a_refusal(root: Caller, method: str, path: str, headers: dict[str, str]) -> None:
    """Wherever a request is refused it counts, once, and what is too much is answered the same."""
    body = "a body" if method == "POST" else None
    stranger = root.using(WRONG)
    responses = [await stranger(method, path, body, headers) for _ in range(LIMIT + 1)]
    assert [response.status for response in responses] == [401] * LIMIT + [429]
    assert responses[-1].headers["retry-after"] == "20"
    assert (await root("GET", "/guarded")).status == 200


async def test_a_handler_that_asks_about_many_buckets(root: Caller) -> None:
    """A hundred questions about one wrong value are one failure, and a stranger sees as little as before."""
    for _ in range(LIMIT - 1):
        assert await (await root.using(WRONG)("GET", "/listed")).json() == [False] * 100
    assert [await is_out_of_failures(root) for _ in range(2)] == [False, True]
    assert await (await root.using(WRONG)("GET", "/listed")).json() == [False] * 100
    assert await (await root("GET", "/listed")).json() == [True] * 100


async def test_a_valid_value_passes_from_a_flooded_network(root: Caller) -> None:
    """Its owner is not held up, whether the value is remembered or used for the first time; refusals stay 403."""
    fresh = await root.make("fresh", '{"write": ["a"]}')
    for _ in range(300):
        await root.using(WRONG)("GET", "/guarded")
    assert await is_out_of_failures(root)
    for caller in (root, fresh):
        assert [(await caller("GET", "/guarded")).status for _ in range(5)] == [200] * 5
    assert (await fresh("POST", "/expect/a", "12345", {"Expect": "100-continue"})).status == 200
    assert (await fresh("GET", "/authorized")).status == 403
    assert (await (await root.make("made-under-fire"))("GET", "/guarded")).status == 200
    assert await is_out_of_failures(root)


# The proxy says who the client is: two clients, and whether failures of the one are those of the other.
CLIENTS = [
    ("203.0.113.7", "203.0.113.7", True),
    ("203.0.113.7", "203.0.113.8", False),
    ("203.0.113.7", "::ffff:203.0.113.7", True),
    ("2001:db8:0:1::1", "2001:db8:0:1::2", True),
    ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
    ("unknown", "203.0.113.7", False),
    ("unknown", "_hidden", True),
    ("198.51.100.1, 203.0.113.7", "198.51.100.2, 203.0.113.7", True),
    ("203.0.113.7, 198.51.100.1", "203.0.113.7, 198.51.100.2", False),
]


@pytest.mark.parametrize(("one", "other", "is_one_client"), CLIENTS)
async def test_behind_a_proxy(
    serve: Serve, one: str, other: str, is_one_client: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client is who the trusted proxies say, by the same walk as for allowlists."""
    # So many slots that two networks do not share one by chance.
    monkeypatch.setattr("reductauth.web.gate.Throttle", partial(Throttle, slots=1 << 22))
    variables = {"RS_AUTH_FAILURES_PER_MINUTE": "1", "RS_TRUSTED_PROXIES": "127.0.0.1"}
    async with serve(application(), **variables) as root:
        said = [{"X-Forwarded-For": client} for client in (one, one, other)]
        found = [await is_out_of_failures(root, headers) for headers in said]
        assert found == [False, True, is_one_client]


async def test_who_is_not_trusted_cannot_choose_a_network(root: Caller) -> None:
    """Whatever an untrusted client says about itself, its failures are its own."""
    said = [{"X-Forwarded-For": f"203.0.113.{number}"} for number in range(LIMIT + 1)]
    found = [await is_out_of_failures(root, headers) for headers in said]
    assert found == [False] * LIMIT + [True]


@pytest.mark.parametrize(("given", "limit"), [("0", 70), ("1", 1), ("60", 60)])
async def test_the_setting(serve: Serve, given: str, limit: int) -> None:
    """As many as it says in a minute; with 0 no limit at all."""
    async with serve(application(), RS_AUTH_FAILURES_PER_MINUTE=given) as root:
        found = [await is_out_of_failures(root) for _ in range(70)]
        assert found == [False] * limit + [True] * (70 - limit)
