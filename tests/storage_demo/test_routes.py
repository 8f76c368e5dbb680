"""Who may come in where: the reviewed file `routes.golden`, and a matrix that is derived from it alone.

A new route belongs into `routes.golden` first, with the policy that the contract gives it, and into `CALLS` with
a request that succeeds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from reductauth.web import route_table
from storage_demo.app import build_app
from storage_demo.settings import ServerSettings
from tests.servers import ROOT_VALUE

Client = TestClient[web.Request, web.Application]

GOLDEN = Path(__file__).with_name("routes.golden")


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    policy: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def golden_routes() -> list[Route]:
    lines = GOLDEN.read_text("utf-8").splitlines()
    return [Route(*(part.strip() for part in (line[:8], *line[8:].split("  ")))) for line in lines]


LINK_BODY = (
    '{"bucket": "{bucket}", "entry": "log", "record_entry": "log", "record_timestamp": 1, '
    '"expire_at": 4102444800, "query": {"query_type": "QUERY"}}'
)

# For each route a request that a permitted caller succeeds with: method, path, body, status.
# `home` is a bucket with the record `log` at 1, `spare` an empty bucket, `worker` a token. `{query}` is a query of the
# caller's own on `log`, `{queries}` one on all of `home`, `{link}` a link of the administrator's to the record.
CALLS = {
    "GET /api/v1/alive": ("GET", "/api/v1/alive", None, 200),
    "HEAD /api/v1/alive": ("HEAD", "/api/v1/alive", None, 200),
    "GET /api/v1/ready": ("GET", "/api/v1/ready", None, 200),
    "HEAD /api/v1/ready": ("HEAD", "/api/v1/ready", None, 200),
    "GET /api/v1/info": ("GET", "/api/v1/info", None, 200),
    "HEAD /api/v1/info": ("HEAD", "/api/v1/info", None, 200),
    "GET /api/v1/list": ("GET", "/api/v1/list", None, 200),
    "HEAD /api/v1/list": ("HEAD", "/api/v1/list", None, 200),
    "GET /api/v1/me": ("GET", "/api/v1/me", None, 200),
    "HEAD /api/v1/me": ("HEAD", "/api/v1/me", None, 200),
    "DELETE /api/v1/me": ("DELETE", "/api/v1/me", None, 200),
    "POST /api/v1/me/rotate": ("POST", "/api/v1/me/rotate", '{"grace_seconds": 60}', 200),
    "GET /api/v1/openapi.json": ("GET", "/api/v1/openapi.json", None, 200),
    "HEAD /api/v1/openapi.json": ("HEAD", "/api/v1/openapi.json", None, 200),
    "GET /api/v1/audit": ("GET", "/api/v1/audit?limit=2", None, 200),
    "HEAD /api/v1/audit": ("HEAD", "/api/v1/audit?action=create", None, 200),
    "GET /api/v1/tokens": ("GET", "/api/v1/tokens", None, 200),
    "HEAD /api/v1/tokens": ("HEAD", "/api/v1/tokens", None, 200),
    "GET /api/v1/tokens/{token_name}": ("GET", "/api/v1/tokens/worker", None, 200),
    "HEAD /api/v1/tokens/{token_name}": ("HEAD", "/api/v1/tokens/worker", None, 200),
    "POST /api/v1/tokens/$batch": (
        "POST",
        "/api/v1/tokens/$batch",
        '{"items": [{"op": "delete", "name": "worker"}]}',
        200,
    ),
    "PATCH /api/v1/tokens/{token_name}": ("PATCH", "/api/v1/tokens/worker", '{"ttl": 60}', 200),
    "POST /api/v1/tokens/{token_name}": ("POST", "/api/v1/tokens/fresh", "{}", 200),
    "POST /api/v1/tokens/{token_name}/rotate": ("POST", "/api/v1/tokens/worker/rotate", "{}", 200),
    "POST /api/v1/tokens/{token_name}/revoke": ("POST", "/api/v1/tokens/worker/revoke", None, 200),
    "GET /api/v1/tokens/{token_name}/check": (
        "GET",
        "/api/v1/tokens/worker/check?action=read&bucket=home",
        None,
        200,
    ),
    "HEAD /api/v1/tokens/{token_name}/check": (
        "HEAD",
        "/api/v1/tokens/worker/check?action=full_access",
        None,
        200,
    ),
    "GET /api/v1/tokens/{token_name}/usage": ("GET", "/api/v1/tokens/worker/usage", None, 200),
    "HEAD /api/v1/tokens/{token_name}/usage": ("HEAD", "/api/v1/tokens/worker/usage?by=month", None, 200),
    "DELETE /api/v1/tokens/{token_name}": ("DELETE", "/api/v1/tokens/worker", None, 200),
    "GET /api/v1/b/{bucket_name}": ("GET", "/api/v1/b/home", None, 200),
    "HEAD /api/v1/b/{bucket_name}": ("HEAD", "/api/v1/b/home", None, 200),
    "POST /api/v1/b/{bucket_name}": ("POST", "/api/v1/b/fresh", None, 200),
    "PUT /api/v1/b/{bucket_name}": ("PUT", "/api/v1/b/home", '{"quota_size": 7}', 200),
    "PUT /api/v1/b/{bucket_name}/rename": ("PUT", "/api/v1/b/home/rename", '{"new_name": "moved"}', 200),
    "DELETE /api/v1/b/{bucket_name}": ("DELETE", "/api/v1/b/home", None, 200),
    "GET /api/v1/b/{bucket_name}/{entry_name}": ("GET", "/api/v1/b/home/log?ts=1", None, 200),
    "HEAD /api/v1/b/{bucket_name}/{entry_name}": ("HEAD", "/api/v1/b/home/log?ts=1", None, 200),
    "POST /api/v1/b/{bucket_name}/{entry_name}": ("POST", "/api/v1/b/home/log?ts=2", "x", 200),
    "PATCH /api/v1/b/{bucket_name}/{entry_name}": ("PATCH", "/api/v1/b/home/log?ts=1", None, 200),
    "DELETE /api/v1/b/{bucket_name}/{entry_name}": ("DELETE", "/api/v1/b/home/log", None, 200),
    "PUT /api/v1/b/{bucket_name}/{entry_name}": ("PUT", "/api/v1/b/home/log", "x", 404),
    "PUT /api/v1/b/{bucket_name}/{entry_name}/rename": (
        "PUT",
        "/api/v1/b/home/log/rename",
        '{"new_name": "moved"}',
        200,
    ),
    "GET /api/v1/b/{bucket_name}/{entry_name}/q": ("GET", "/api/v1/b/home/log/q", None, 200),
    "POST /api/v1/b/{bucket_name}/{entry_name}/q": (
        "POST",
        "/api/v1/b/home/log/q",
        '{"query_type": "QUERY"}',
        200,
    ),
    "DELETE /api/v1/b/{bucket_name}/{entry_name}/q": ("DELETE", "/api/v1/b/home/log/q?start=0", None, 200),
    "GET /api/v1/b/{bucket_name}/{entry_name}/batch": (
        "GET",
        "/api/v1/b/home/log/batch?q={query}",
        None,
        200,
    ),
    "HEAD /api/v1/b/{bucket_name}/{entry_name}/batch": (
        "HEAD",
        "/api/v1/b/home/log/batch?q={query}",
        None,
        200,
    ),
    "POST /api/v1/b/{bucket_name}/{entry_name}/batch": ("POST", "/api/v1/b/home/log/batch", "x", 200),
    "PATCH /api/v1/b/{bucket_name}/{entry_name}/batch": ("PATCH", "/api/v1/b/home/log/batch", None, 200),
    "DELETE /api/v1/b/{bucket_name}/{entry_name}/batch": ("DELETE", "/api/v1/b/home/log/batch", None, 200),
    "POST /api/v1/io/{bucket_name}/q": (
        "POST",
        "/api/v1/io/home/q",
        '{"query_type": "QUERY"}',
        200,
    ),
    "GET /api/v1/io/{bucket_name}/read": ("GET", "/api/v1/io/home/read", None, 200),
    "HEAD /api/v1/io/{bucket_name}/read": ("HEAD", "/api/v1/io/home/read", None, 200),
    "POST /api/v1/io/{bucket_name}/write": ("POST", "/api/v1/io/home/write", "x", 200),
    "PATCH /api/v1/io/{bucket_name}/update": ("PATCH", "/api/v1/io/home/update", None, 200),
    "DELETE /api/v1/io/{bucket_name}/remove": ("DELETE", "/api/v1/io/home/remove", None, 200),
    "POST /api/v1/links/{file_name}": (
        "POST",
        "/api/v1/links/log.bin",
        LINK_BODY.replace("{bucket}", "home"),
        200,
    ),
    "GET /api/v1/links/{file_name}": ("GET", "/api/v1/links/log.bin?ct={link}", None, 200),
    "HEAD /api/v1/links/{file_name}": ("HEAD", "/api/v1/links/log.bin?ct={link}", None, 200),
    "GET /api/v1/replications": ("GET", "/api/v1/replications", None, 200),
    "HEAD /api/v1/replications": ("HEAD", "/api/v1/replications", None, 200),
    "GET /api/v1/lifecycles": ("GET", "/api/v1/lifecycles", None, 200),
    "HEAD /api/v1/lifecycles": ("HEAD", "/api/v1/lifecycles", None, 200),
    "GET /metrics": ("GET", "/metrics", None, 200),
    "HEAD /metrics": ("HEAD", "/metrics", None, 200),
    "* /{path}": ("GET", "/api/v1/nowhere", None, 404),
}

# What those requests say in their headers.
ONE_OF_SEVERAL = {"x-reduct-entries": "log", "x-reduct-start-ts": "1"}
HEADERS = {
    "PATCH /api/v1/b/{bucket_name}/{entry_name}": {"x-reduct-label-a": "b"},
    "POST /api/v1/b/{bucket_name}/{entry_name}/batch": {"x-reduct-time-2": "1,"},
    "PATCH /api/v1/b/{bucket_name}/{entry_name}/batch": {"x-reduct-time-1": "0,,a=b"},
    "DELETE /api/v1/b/{bucket_name}/{entry_name}/batch": {"x-reduct-time-1": ""},
    "GET /api/v1/io/{bucket_name}/read": {"x-reduct-query-id": "{queries}"},
    "HEAD /api/v1/io/{bucket_name}/read": {"x-reduct-query-id": "{queries}"},
    "POST /api/v1/io/{bucket_name}/write": {**ONE_OF_SEVERAL, "x-reduct-0-1": "1,"},
    "PATCH /api/v1/io/{bucket_name}/update": {**ONE_OF_SEVERAL, "x-reduct-0-0": "0,,a=b"},
    "DELETE /api/v1/io/{bucket_name}/remove": {**ONE_OF_SEVERAL, "x-reduct-0-0": ""},
}

# The contract, by hand: what each policy answers to each class of caller. None: the handler runs.
NOBODY, STRANGER = (401, "No bearer token in request header"), (401, "Invalid token")
NO_FULL = (403, "Token '{caller}' doesn't have full access")
NO_READ = (403, "Token '{caller}' doesn't have read access to bucket '{bucket}'")
NO_METRICS = (403, "Token '{caller}' doesn't have read access to bucket '$metrics'")
NO_WRITE = (403, "Token '{caller}' doesn't have write access to bucket '{bucket}'")
# Where the body says what is asked for, or of which bucket, the handler decides further than the route says: as if this
# were the route's policy.
DECIDED_BY_BODY = {
    "POST /api/v1/b/{bucket_name}/{entry_name}/q": "read {bucket_name}",
    "POST /api/v1/io/{bucket_name}/q": "read {bucket_name}",
    "POST /api/v1/links/{file_name}": "read {bucket_name}",
}
CALLERS = ("nobody", "stranger", "no-grant", "reader", "writer", "reader-elsewhere", "administrator")
ANSWERS = {
    "anonymous": (None, None, None, None, None, None, None),
    "authenticated": (NOBODY, STRANGER, None, None, None, None, None),
    "read {bucket_name}": (NOBODY, STRANGER, NO_READ, None, NO_READ, NO_READ, None),
    "write {bucket_name}": (NOBODY, STRANGER, NO_WRITE, NO_WRITE, None, NO_WRITE, None),
    "read by link in ct": (None, None, None, None, None, None, None),
    "read $metrics": (NOBODY, STRANGER, *[NO_METRICS] * 4, None),
    "full access": (NOBODY, STRANGER, NO_FULL, NO_FULL, NO_FULL, NO_FULL, None),
}
BODIES = {
    "no-grant": '{"permissions": {}}',
    "reader": '{"read": ["home"]}',
    "writer": '{"write": ["home"]}',
    "reader-elsewhere": '{"read": ["spare", "hom", "homes*"], "write": ["spare"]}',
    "administrator": '{"full_access": true}',
}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    environ = {"RS_API_TOKEN": ROOT_VALUE, "RS_DATA_PATH": str(tmp_path), "RS_METRICS": "true"}
    environ["RS_AUTH_FAILURES_PER_MINUTE"] = "0"  # strangers fail on every route
    app = build_app(ServerSettings.from_environment(environ), environ)
    async with TestClient(TestServer(app)) as client:
        yield client


async def call(
    client: Client,
    value: str | None,
    method: str,
    path: str,
    body: str | None = None,
    further: Mapping[str, str] = MappingProxyType({}),
) -> ClientResponse:
    headers = {**further} if value is None else {**further, "Authorization": f"Bearer {value}"}
    response = await client.request(method, path, data=body, headers=headers)
    await response.read()
    return response


async def prepare(client: Client, caller: str) -> str | None:
    """Make the buckets, the record, the token `worker`, and the caller; return its value."""
    for path, body in (
        ("b/home", None),
        ("b/spare", None),
        ("b/home/log?ts=1", "1"),
        ("tokens/worker", "{}"),
    ):
        assert (await call(client, ROOT_VALUE, "POST", f"/api/v1/{path}", body)).status == 200
    if caller == "nobody":
        return None
    if caller == "stranger":
        return "nobody-ever-made-this-value"
    made = await call(client, ROOT_VALUE, "POST", f"/api/v1/tokens/{caller}", BODIES[caller])
    return str((await made.json())["value"])


async def begun(client: Client, value: str | None, path: str) -> int:
    """The number of a query of the caller's own; of the administrator's where the caller may not query."""
    for asking in (value, ROOT_VALUE):
        response = await call(client, asking, "POST", path, '{"query_type": "QUERY"}')
        if response.status == 200:
            return int((await response.json())["id"])
    raise AssertionError(await response.text())


async def filled(client: Client, value: str | None, text: str) -> str:
    """A path, header or body with what it refers to."""
    if "{query}" in text:
        text = text.replace("{query}", str(await begun(client, value, "/api/v1/b/home/log/q")))
    if "{queries}" in text:
        text = text.replace("{queries}", str(await begun(client, value, "/api/v1/io/home/q")))
    if "{link}" in text:
        text = text.replace("{link}", (await make_link(client, ROOT_VALUE)).partition("?ct=")[2])
    return text


async def make_link(client: Client, value: str, bucket: str = "home") -> str:
    body = LINK_BODY.replace("{bucket}", bucket)
    response = await call(client, value, "POST", "/api/v1/links/log.bin", body)
    assert response.status == 200, await response.text()
    return str((await response.json())["link"])


async def state(client: Client) -> list[object]:
    """All that a refused request must leave as it was."""
    pages = [
        await call(client, ROOT_VALUE, "GET", f"/api/v1/{page}")
        for page in ("list", "b/home", "tokens", "tokens/worker?view=full")
    ]
    contents = [await page.json() for page in pages]
    for token in [*contents[2]["tokens"], contents[3]]:
        del token["last_access"]
    record = await call(client, ROOT_VALUE, "GET", "/api/v1/b/home/log?ts=1")
    labels = [(name, text) for name, text in record.headers.items() if name.startswith("x-reduct")]
    return [*contents, record.status, await record.read(), labels]


def test_the_applications_own_table_is_the_reviewed_one(tmp_path: Path) -> None:
    """No route, and no demand of one, changes without this file being reviewed."""
    environ = {"RS_API_TOKEN": ROOT_VALUE, "RS_DATA_PATH": str(tmp_path), "RS_METRICS": "true"}
    app = build_app(ServerSettings.from_environment(environ), environ)
    assert "".join(f"{entry}\n" for entry in route_table(app)) == GOLDEN.read_text("utf-8")


def test_the_matrix_is_complete() -> None:
    """Every reviewed route has a call in the matrix, and every call a route."""
    assert {str(route) for route in golden_routes()} == CALLS.keys()
    assert {route.policy for route in golden_routes()} == ANSWERS.keys()


def expected_answer(route: Route, caller: str) -> tuple[int, str] | None:
    return ANSWERS[DECIDED_BY_BODY.get(str(route), route.policy)][CALLERS.index(caller)]


async def ask(client: Client, route: Route, value: str | None) -> ClientResponse:
    method, path, body, _ = CALLS[str(route)]
    path = await filled(client, value, path)
    headers = {name: await filled(client, value, text) for name, text in HEADERS.get(str(route), {}).items()}
    response = await call(client, value, method, path, body, headers)
    assert response.headers["server"] == "ReductStore 1.21.0"
    assert response.headers["x-reduct-api"] == "1.21"
    return response


LET_IN = [
    pytest.param(route, caller, id=f"{route}-{caller}")
    for route in golden_routes()
    for caller in CALLERS
    if expected_answer(route, caller) is None
]


@pytest.mark.parametrize(("route", "caller"), LET_IN)
async def test_who_is_let_in(client: Client, route: Route, caller: str) -> None:
    """Each caller that the contract permits gets what it asks for, on every route."""
    value = await prepare(client, caller)
    response = await ask(client, route, value)
    assert response.status == CALLS[str(route)][3]


@pytest.mark.parametrize("caller", [caller for caller in CALLERS if caller != "administrator"])
async def test_who_is_refused(client: Client, caller: str) -> None:
    """Every other caller gets the contract's answer on every route, and changes nothing with any of them."""
    value = await prepare(client, caller)
    before = await state(client)
    refused = [route for route in golden_routes() if expected_answer(route, caller) is not None]
    assert len(refused) > 20
    for route in refused:
        status, words = expected_answer(route, caller) or (0, "")
        message = words.format(caller=caller, bucket="home")
        response = await ask(client, route, value)
        assert (response.status, response.headers["x-reduct-error"]) == (status, message), route
        code = "invalid_token" if status == 401 else "insufficient_scope"
        described = f'Bearer error="{code}", error_description="{message}"'
        assert response.headers["www-authenticate"] == ("Bearer" if caller == "nobody" else described), route
        if route.method != "HEAD":
            assert await response.json() == {"detail": message}, route
        assert await state(client) == before, route


@pytest.mark.parametrize("path", ["/api/v1/b/home/log/q", "/api/v1/io/home/q"])
@pytest.mark.parametrize(
    ("caller", "query_type", "expected"),
    [
        ("reader", "QUERY", None),
        ("reader", "REMOVE", NO_WRITE),
        ("writer", "QUERY", NO_READ),
        ("writer", "REMOVE", None),
        ("no-grant", "QUERY", NO_READ),
        ("no-grant", "REMOVE", NO_WRITE),
        ("no-grant", "ELSE", NO_READ),
        ("reader-elsewhere", "REMOVE", NO_WRITE),
    ],
)
async def test_what_a_query_is_for_decides_which_access_it_takes(
    client: Client, path: str, caller: str, query_type: str, expected: tuple[int, str] | None
) -> None:
    """A body that asks for removal takes write access, any other one read access; nothing else is told before."""
    value = await prepare(client, caller)
    before = await state(client)
    response = await call(client, value, "POST", path, f'{{"query_type": "{query_type}", "start": 0}}')
    if expected is None:
        assert response.status == 200
        return
    message = expected[1].format(caller=caller, bucket="home")
    assert (response.status, response.headers["x-reduct-error"]) == (expected[0], message)
    assert await state(client) == before


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("POST", "io/spare/write", {"x-reduct-entries": "../home/log", "x-reduct-0-1": "1,"}, "x"),
        ("POST", "io/spare/write", {"x-reduct-entries": "home/log", "x-reduct-0-1": "1,"}, "x"),
        ("POST", "io/spare/write", {"x-reduct-entries": "%2Fhome%2Flog", "x-reduct-0-1": "1,"}, "x"),
        ("PATCH", "io/spare/update", {"x-reduct-entries": "../home/log", "x-reduct-0-0": "0,,a=b"}, None),
        ("DELETE", "io/spare/remove", {"x-reduct-entries": "../home/log,log", "x-reduct-1-0": ""}, None),
        ("POST", "io/spare/q", {}, '{"query_type": "REMOVE", "start": 0, "entries": ["../home/log", "log"]}'),
        ("POST", "io/spare/q", {}, '{"query_type": "REMOVE", "start": 0, "bucket": "home", "entry": "log"}'),
        ("PUT", "b/spare/own/rename", {}, '{"new_name": "../home/log"}'),
        ("PUT", "b/spare/own/rename", {}, '{"new_name": "home/log"}'),
        ("POST", "b/spare/..%2Fhome%2Flog?ts=2", {}, "x"),
        ("POST", "b/spare/log/batch", {"x-reduct-time-1": "1,", "x-reduct-bucket": "home"}, "x"),
    ],
)
async def test_headers_and_bodies_do_not_lead_out_of_the_paths_bucket(
    client: Client, method: str, path: str, headers: dict[str, str], body: str | None
) -> None:
    """Whatever a writer of one bucket names as an entry, another bucket stays as it was."""
    value = await prepare(client, "reader-elsewhere")
    assert (await call(client, value, "POST", "/api/v1/b/spare/own?ts=1", "x")).status == 200
    before = (await state(client))[1:]
    await call(client, value, method, f"/api/v1/{path}", body, {"x-reduct-start-ts": "1", **headers})
    assert (await state(client))[1:] == before


async def test_a_query_does_not_lead_out_of_its_bucket(client: Client) -> None:
    """Read under the path of another bucket, which the caller may read as well, a query is not there."""
    await prepare(client, "nobody")
    query = await begun(client, ROOT_VALUE, "/api/v1/io/home/q")
    assert (await call(client, ROOT_VALUE, "POST", "/api/v1/b/spare/log?ts=1", "s")).status == 200
    headers = {"x-reduct-query-id": str(query)}
    for path in ("io/spare/read", f"b/spare/log?q={query}", f"b/home/log?q={query}"):
        response = await call(client, ROOT_VALUE, "GET", f"/api/v1/{path}", None, headers)
        assert response.status == 404
        assert response.headers["x-reduct-error"].startswith(f"Query {query} not found")
    assert (await call(client, ROOT_VALUE, "GET", "/api/v1/io/home/read", None, headers)).status == 200


async def test_a_stranger_cannot_tell_what_exists(client: Client) -> None:
    """Without a grant, the answer about a bucket that is not there is the one about a bucket that is."""
    value = await prepare(client, "no-grant")
    for method, path in (
        ("GET", "/api/v1/b/{}"),
        ("GET", "/api/v1/b/{}/log"),
        ("GET", "/api/v1/b/{}/log?ts=1"),
        ("GET", "/api/v1/b/{}/log?q=1"),
        ("POST", "/api/v1/b/{}/log/q"),
        ("GET", "/api/v1/b/{}/log/batch?q=1"),
        ("DELETE", "/api/v1/b/{}/log"),
        ("PUT", "/api/v1/b/{}/log/rename"),
        ("POST", "/api/v1/io/{}/q"),
        ("GET", "/api/v1/io/{}/read"),
        ("POST", "/api/v1/io/{}/write"),
    ):
        there = await call(client, value, method, path.format("home"))
        missing = await call(client, value, method, path.format("missing"))
        assert there.status == missing.status == 403
        assert there.headers["x-reduct-error"].replace("home", "missing") == missing.headers["x-reduct-error"]


async def test_head_on_a_bucket_is_the_one_exception(client: Client) -> None:
    """By the protocol, `HEAD /b/{bucket}` tells any valid token whether a bucket exists."""
    value = await prepare(client, "no-grant")
    assert (await call(client, value, "HEAD", "/api/v1/b/home")).status == 200
    missing = await call(client, value, "HEAD", "/api/v1/b/missing")
    assert (missing.status, missing.headers["x-reduct-error"]) == (404, "Bucket 'missing' is not found")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PATCH", "/api/v1/tokens", 405),
        ("POST", "/api/v1/info", 405),
        ("TRACE", "/api/v1/info", 405),
        ("PUT", "/api/v1/tokens/worker", 405),
        ("GET", "/", 404),
        ("GET", "/api/v1/info/", 404),
        ("DELETE", "/api/v2/b/home", 404),
        ("OPTIONS", "/api/v1/tokens", 200),
        ("OPTIONS", "/anything", 200),
    ],
)
async def test_what_is_no_route(client: Client, method: str, path: str, status: int) -> None:
    """Unknown paths are 404, wrong methods 405 and empty, OPTIONS is 200; none of them says what exists."""
    for value in (None, ROOT_VALUE):
        response = await call(client, value, method, path)
        assert response.status == status
        if status == 405:
            assert await response.read() == b""
        if status == 404:
            assert await response.json() == {"detail": "Not found"}


async def test_a_base_path(tmp_path: Path) -> None:
    """With `RS_API_BASE_PATH` every route is below it, and nowhere else."""
    environ = {"RS_API_TOKEN": ROOT_VALUE, "RS_DATA_PATH": str(tmp_path), "RS_API_BASE_PATH": "/my/storage/"}
    app = build_app(ServerSettings.from_environment(environ), environ)
    async with TestClient(TestServer(app)) as client:
        for page in ("me", "info", "tokens"):
            assert (await call(client, ROOT_VALUE, "GET", f"/my/storage/api/v1/{page}")).status == 200
            assert (await call(client, ROOT_VALUE, "GET", f"/api/v1/{page}")).status == 404
