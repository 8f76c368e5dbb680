"""Who may come in where: the reviewed file `routes.golden`, and a matrix that is derived from it alone.

A new route belongs into `routes.golden` first, with the policy that the contract gives it, and into `CALLS` with
a request that succeeds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

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


# For each route a request that a permitted caller succeeds with: method, path, body, status.
# `home` is a bucket with the record `log` at 1, `spare` an empty bucket, `worker` a token.
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
    "GET /api/v1/replications": ("GET", "/api/v1/replications", None, 200),
    "HEAD /api/v1/replications": ("HEAD", "/api/v1/replications", None, 200),
    "GET /api/v1/lifecycles": ("GET", "/api/v1/lifecycles", None, 200),
    "HEAD /api/v1/lifecycles": ("HEAD", "/api/v1/lifecycles", None, 200),
    "GET /metrics": ("GET", "/metrics", None, 200),
    "HEAD /metrics": ("HEAD", "/metrics", None, 200),
    "* /{path}": ("GET", "/api/v1/nowhere", None, 404),
}

# The contract, by hand: what each policy answers to each class of caller. None: the handler runs.
NOBODY, STRANGER = (401, "No bearer token in request header"), (401, "Invalid token")
NO_FULL = (403, "Token '{caller}' doesn't have full access")
NO_READ = (403, "Token '{caller}' doesn't have read access to bucket '{bucket}'")
NO_METRICS = (403, "Token '{caller}' doesn't have read access to bucket '$metrics'")
NO_WRITE = (403, "Token '{caller}' doesn't have write access to bucket '{bucket}'")
CALLERS = ("nobody", "stranger", "no-grant", "reader", "writer", "reader-elsewhere", "administrator")
ANSWERS = {
    "anonymous": (None, None, None, None, None, None, None),
    "authenticated": (NOBODY, STRANGER, None, None, None, None, None),
    "read {bucket_name}": (NOBODY, STRANGER, NO_READ, None, NO_READ, NO_READ, None),
    "write {bucket_name}": (NOBODY, STRANGER, NO_WRITE, NO_WRITE, None, NO_WRITE, None),
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
    app = build_app(ServerSettings.from_environment(environ), environ)
    async with TestClient(TestServer(app)) as client:
        yield client


async def call(
    client: Client, value: str | None, method: str, path: str, body: str | None = None
) -> ClientResponse:
    headers = {} if value is None else {"Authorization": f"Bearer {value}"}
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


async def state(client: Client) -> list[object]:
    """All that a refused request must leave as it was."""
    pages = [
        await call(client, ROOT_VALUE, "GET", f"/api/v1/{page}")
        for page in ("list", "b/home", "tokens", "tokens/worker?view=full")
    ]
    contents = [await page.json() for page in pages]
    for token in [*contents[2]["tokens"], contents[3]]:
        del token["last_access"]
    return contents


def test_the_applications_own_table_is_the_reviewed_one(tmp_path: Path) -> None:
    """No route, and no demand of one, changes without this file being reviewed."""
    environ = {"RS_API_TOKEN": ROOT_VALUE, "RS_DATA_PATH": str(tmp_path), "RS_METRICS": "true"}
    app = build_app(ServerSettings.from_environment(environ), environ)
    assert "".join(f"{entry}\n" for entry in route_table(app)) == GOLDEN.read_text("utf-8")


def test_the_matrix_is_complete() -> None:
    """Every reviewed route has a call in the matrix, and every call a route."""
    assert {str(route) for route in golden_routes()} == CALLS.keys()
    assert {route.policy for route in golden_routes()} == ANSWERS.keys()


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("route", golden_routes(), ids=str)
async def test_matrix(client: Client, route: Route, caller: str) -> None:
    """Each caller gets the contract's answer on each route, and a refused one changes nothing."""
    value = await prepare(client, caller)
    before = await state(client)
    method, path, body, status = CALLS[str(route)]
    expected = ANSWERS[route.policy][CALLERS.index(caller)]
    response = await call(client, value, method, path, body)
    assert response.headers["server"] == "ReductStore 1.21.0"
    assert response.headers["x-reduct-api"] == "1.21"
    if expected is None:
        assert response.status == status
        return
    message = expected[1].format(caller=caller, bucket="home")
    assert (response.status, response.headers["x-reduct-error"]) == (expected[0], message)
    code = "invalid_token" if response.status == 401 else "insufficient_scope"
    described = f'Bearer error="{code}", error_description="{message}"'
    assert response.headers["www-authenticate"] == ("Bearer" if caller == "nobody" else described)
    if method != "HEAD":
        assert await response.json() == {"detail": message}
    assert await state(client) == before


async def test_a_stranger_cannot_tell_what_exists(client: Client) -> None:
    """Without a grant, the answer about a bucket that is not there is the one about a bucket that is."""
    value = await prepare(client, "no-grant")
    for path in ("/api/v1/b/{}", "/api/v1/b/{}/log", "/api/v1/b/{}/log?ts=1"):
        there = await call(client, value, "GET", path.format("home"))
        missing = await call(client, value, "GET", path.format("missing"))
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
