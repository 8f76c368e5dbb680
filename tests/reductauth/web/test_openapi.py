"""`/api/v1/openapi.json`: the description is true, in every status, header and key that a tour of the routes meets."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import pytest
from aiohttp import ClientResponse
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from reductauth.errors import StoreUnavailableError
from reductauth.sqlite import SqliteStore
from reductauth.times import rfc3339
from tests.reductauth.web.conftest import Caller, Now, Serve
from tests.storage_demo.test_routes import golden_routes

API = "/api/v1"
OF_HTTP = {"content-length", "content-type", "date", "server", "transfer-encoding"}
"""Headers that HTTP itself gives, which no description repeats."""

# For each operation a request that succeeds with full access: path, body. `worker` is a token without any grant.
CALLS: dict[str, tuple[str, str | None]] = {
    "GET /me": ("/me", None),
    "DELETE /me": ("/me", None),
    "POST /me/rotate": ("/me/rotate", None),
    "GET /tokens": ("/tokens", None),
    "POST /tokens/$batch": ("/tokens/$batch", '{"items": [{"op": "revoke", "name": "worker"}]}'),
    "GET /tokens/{token_name}": ("/tokens/worker", None),
    "POST /tokens/{token_name}": ("/tokens/fresh", "{}"),
    "PATCH /tokens/{token_name}": ("/tokens/worker", '{"active": false}'),
    "DELETE /tokens/{token_name}": ("/tokens/worker", None),
    "GET /tokens/{token_name}/usage": ("/tokens/worker/usage", None),
    "GET /tokens/{token_name}/check": ("/tokens/worker/check?action=full_access", None),
    "POST /tokens/{token_name}/rotate": ("/tokens/worker/rotate", "{}"),
    "POST /tokens/{token_name}/revoke": ("/tokens/worker/revoke", "{}"),
    "GET /audit": ("/audit", None),
    "GET /openapi.json": ("/openapi.json", None),
}
BATCH = "POST /tokens/$batch"
ANONYMOUS = {"GET /openapi.json"}
ANY_TOKEN = {"GET /me", "DELETE /me", "POST /me/rotate"}
WITHOUT_TOKENS = {"GET /me", "GET /tokens", "DELETE /tokens/{token_name}", "GET /openapi.json"}
"""What is answered as ever while authentication is off."""
WITH_BODY = {operation for operation in CALLS if operation.startswith(("POST", "PATCH"))}

# Further answers of each operation to full access: path, body, status. `init-token` is provisioned, `ended`
# revoked, `late` expired.
FURTHER: list[tuple[str, str, str | None, int]] = [
    (
        "GET /audit",
        "/audit?token=worker&actor=init-token&action=create,delete&limit=3&sort=sequence",
        None,
        200,
    ),
    ("GET /audit", "/audit?from=2030-01-01T00:00:00Z&to=2030-02-01T00:00:00Z&offset=1", None, 200),
    ("GET /audit", "/audit?action=none", None, 422),
    ("GET /me", "/me?view=full", None, 200),
    ("GET /me", "/me?view=brief", None, 422),
    ("POST /me/rotate", "/me/rotate", '{"grace_seconds": 60}', 200),
    ("POST /me/rotate", "/me/rotate", '{"grace_seconds": -1}', 422),
    ("GET /tokens", "/tokens?view=full", None, 200),
    ("GET /tokens", "/tokens?status=revoked,active&sort=-last_access&limit=2", None, 200),
    ("GET /tokens", "/tokens?search=nothing&view=full&offset=7", None, 200),
    ("GET /tokens", "/tokens?serach=x", None, 422),
    (
        "POST /tokens/$batch",
        "/tokens/$batch",
        '{"items": [{"op": "edit", "name": "worker", "patch": {"ttl": 5}}, {"op": "revoke", "name": "missing"},'
        ' {"op": "activate", "name": "ended"}, {"op": "delete", "name": "init-token"},'
        ' {"op": "edit", "name": "worker", "patch": 5}, {"op": "deactivate", "name": "other"},'
        ' {"op": "delete", "name": "worker"}]}',
        200,
    ),
    ("POST /tokens/$batch", "/tokens/$batch", '{"items": []}', 422),
    ("GET /tokens/{token_name}", "/tokens/worker?view=full", None, 200),
    ("GET /tokens/{token_name}", "/tokens/ended?view=full", None, 200),
    ("GET /tokens/{token_name}", "/tokens/late", None, 200),
    ("GET /tokens/{token_name}", "/tokens/missing", None, 404),
    ("GET /tokens/{token_name}", "/tokens/a%20b", None, 422),
    ("POST /tokens/{token_name}", "/tokens/fresh", '{"role": "viewer"}', 200),
    ("POST /tokens/{token_name}", "/tokens/worker", "{}", 409),
    ("POST /tokens/{token_name}", "/tokens/fresh", '{"read": ["a*b"]}', 422),
    ("POST /tokens/{token_name}", "/tokens/fresh", '{"read": ["Ä\\u0001"]}', 422),
    ("PATCH /tokens/{token_name}", "/tokens/missing", "{}", 404),
    ("PATCH /tokens/{token_name}", "/tokens/ended", "{}", 409),
    ("PATCH /tokens/{token_name}", "/tokens/worker", "[]", 422),
    ("DELETE /tokens/{token_name}", "/tokens/missing", None, 404),
    ("DELETE /tokens/{token_name}", "/tokens/init-token", None, 409),
    ("DELETE /tokens/{token_name}", "/tokens/worker?force=1", None, 422),
    ("GET /tokens/{token_name}/usage", "/tokens/other/usage?by=month&from=2030-01-01", None, 200),
    ("GET /tokens/{token_name}/usage", "/tokens/missing/usage", None, 404),
    ("GET /tokens/{token_name}/usage", "/tokens/worker/usage?by=year", None, 422),
    (
        "GET /tokens/{token_name}/check",
        "/tokens/other/check?action=read&bucket=b&client_ip=::1&at=2030-06-01T00:00:00Z",
        None,
        200,
    ),
    ("GET /tokens/{token_name}/check", "/tokens/ended/check?action=write&bucket=b", None, 200),
    ("GET /tokens/{token_name}/check", "/tokens/missing/check?action=full_access", None, 404),
    ("GET /tokens/{token_name}/check", "/tokens/worker/check?action=read", None, 422),
    ("POST /tokens/{token_name}/rotate", "/tokens/worker/rotate", '{"grace_seconds": 60}', 200),
    ("POST /tokens/{token_name}/rotate", "/tokens/missing/rotate", None, 404),
    ("POST /tokens/{token_name}/rotate", "/tokens/init-token/rotate", None, 409),
    ("POST /tokens/{token_name}/rotate", "/tokens/late/rotate", None, 422),
    ("POST /tokens/{token_name}/revoke", "/tokens/ended/revoke", None, 200),
    ("POST /tokens/{token_name}/revoke", "/tokens/missing/revoke", None, 404),
    ("POST /tokens/{token_name}/revoke", "/tokens/init-token/revoke", None, 409),
    ("POST /tokens/{token_name}/revoke", "/tokens/worker/revoke", '{"why": ""}', 422),
]


class Description:
    """The served document, and whether an answer is as it says."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.seen: set[tuple[str, str]] = set()

    def operations(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                if method != "parameters":
                    yield f"{method.upper()} {path}", operation

    def documented(self) -> set[tuple[str, str]]:
        return {(name, status) for name, operation in self.operations() for status in operation["responses"]}

    def follow(self, described: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in described:
            found: Any = self.document
            for part in described["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            described = found
        return described

    def faults(self, schema: dict[str, Any], value: Any) -> list[str]:
        whole = {**schema, "components": self.document["components"]}
        validator = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def body_schema(self, operation: str) -> dict[str, Any]:
        described = self.follow(dict(self.operations())[operation]["requestBody"])
        schema: dict[str, Any] = described["content"]["application/json"]["schema"]
        return schema

    async def check(self, operation: str, response: ClientResponse) -> None:
        """Nothing that is described is missing, and nothing is there that is not described."""
        status = str(response.status)
        responses = dict(self.operations())[operation]["responses"]
        assert status in responses, await response.text()
        described = self.follow(responses[status])
        headers = {name.lower(): self.follow(header) for name, header in described.get("headers", {}).items()}
        given = {name.lower(): text for name, text in response.headers.items()}
        assert given.keys() - OF_HTTP == headers.keys()
        for name, header in headers.items():
            value = int(given[name]) if header["schema"]["type"] == "integer" else given[name]
            assert self.faults(header["schema"], value) == [], name
        if response.method == "HEAD" or "content" not in described:
            assert await response.read() == b""
        else:
            assert given["content-type"] == "application/json"
            schema = described["content"]["application/json"]["schema"]
            assert self.faults(schema, await response.json()) == []
        self.seen.add((operation, status))


async def described_by(caller: Caller) -> Description:
    return Description(await (await caller("GET", f"{API}/openapi.json")).json())


@contextmanager
def broken_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    async def fail(*_: object) -> None:
        raise StoreUnavailableError

    def fail_at_once(*_: object) -> None:
        raise StoreUnavailableError

    with monkeypatch.context() as patched:
        patched.setattr(SqliteStore, "_read", fail_at_once)
        patched.setattr(SqliteStore, "change", fail)
        patched.setattr(SqliteStore, "find", fail)
        yield


async def made_anew(root: Caller, name: str, body: str) -> Caller:
    await root("DELETE", f"{API}/tokens/{name}")
    return await root.make(name, body)


async def prepare(root: Caller, now: Now) -> tuple[Caller, Caller]:
    """Make the tokens of the tour; return the holders of `other`, with full access, and of `worker`."""
    soon = rfc3339(now.time_us + 1_000_000)
    await made_anew(root, "late", json.dumps({"permissions": {}, "expires_at": soon}))
    now.pass_seconds(1)
    await made_anew(root, "ended", '{"role": "viewer"}')
    await root("POST", f"{API}/tokens/ended/revoke")
    await root("DELETE", f"{API}/tokens/fresh")
    worker = await made_anew(root, "worker", '{"ip_allowlist": ["127.0.0.0/8", "::1"]}')
    return await made_anew(root, "other", '{"full_access": true}'), worker


async def send(caller: Caller, operation: str, path: str, body: str | io.BytesIO | None) -> ClientResponse:
    return await caller(operation.partition(" ")[0], API + path, body)


async def test_it_is_valid(root: Caller) -> None:
    """By the rules of OpenAPI 3.1, with the version of the package, for everybody, from where the routes are."""
    response = await root.using(None)("GET", f"{API}/openapi.json")
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    document = await response.json()
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == version("reductauth")
    assert document["servers"] == [{"url": API}]


async def test_below_a_base_path(serve: Serve) -> None:
    """It is where the routes are, and says where they are."""
    async with serve(RS_API_BASE_PATH="/my/storage/") as root:
        document = await (await root("GET", "/my/storage/api/v1/openapi.json")).json()
        assert document["servers"] == [{"url": "/my/storage/api/v1"}]
        assert (await root("GET", f"{API}/openapi.json")).status == 404


async def test_every_route_is_described_and_no_other(root: Caller) -> None:
    """Path and method, by the reviewed table of routes; a HEAD is a GET without a body, and described with it."""
    description = await described_by(root)
    routes = {
        (route.method, route.path.removeprefix(API), route.policy)
        for route in golden_routes()
        if route.path.startswith((f"{API}/tokens", f"{API}/me", f"{API}/audit", f"{API}/openapi.json"))
    }
    heads = {route for route in routes if route[0] == "HEAD"}
    assert {("GET", path, policy) for _, path, policy in heads} < routes
    described = dict(description.operations())
    assert {f"{method} {path}" for method, path, _ in routes - heads} == described.keys() == CALLS.keys()
    anonymous = {f"{method} {path}" for method, path, policy in routes - heads if policy == "anonymous"}
    assert {name for name, operation in described.items() if operation.get("security") == []} == anonymous
    assert len({operation["operationId"] for operation in described.values()}) == len(CALLS)


async def check_too_many_failures(stranger: Caller, description: Description) -> None:
    """Fail once, which is as often as the stranger may, and then with each operation."""
    assert (await stranger("GET", f"{API}/me")).status == 401
    for operation in CALLS.keys() - ANONYMOUS:
        response = await send(stranger, operation, *CALLS[operation])
        assert response.status == 429, operation
        await description.check(operation, response)


async def test_a_tour_of_all_answers(
    root: Caller, serve: Serve, now: Now, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each operation in each status that is described: no other status, header or key, and none that never comes."""
    description = await described_by(root)
    for operation, (path, body) in CALLS.items():
        other, worker = await prepare(root, now)
        callers = [] if operation in ANONYMOUS else [(root.using(None), 401), (root.using("wrong"), 401)]
        if operation not in ANY_TOKEN | ANONYMOUS:
            callers.append((worker, 403))
        for caller, status in [*callers, (other, 200)]:
            response = await send(caller, operation, path, body)
            assert response.status == status, operation
            await description.check(operation, response)
        if operation.startswith("GET"):
            head = await root("HEAD", API + path)
            assert head.status == 200
            await description.check(operation, head)
    for operation, path, body, status in FURTHER:
        other, _ = await prepare(root, now)
        response = await send(other, operation, path, body)
        assert response.status == status, (operation, path, body)
        await description.check(operation, response)
    for operation in ("DELETE /me", "POST /me/rotate"):
        response = await send(root, operation, *CALLS[operation])
        assert response.status == 409
        await description.check(operation, response)
    for operation in sorted(WITH_BODY):
        response = await send(root, operation, CALLS[operation][0], io.BytesIO(bytes(1024 * 1024 + 1)))
        assert response.status == 413, operation
        await description.check(operation, response)
    unknown_yet, _ = await prepare(root, now)
    with broken_store(monkeypatch):
        for operation, (path, body) in CALLS.items():
            response = await send(unknown_yet, operation, path, body)
            assert response.status == (200 if operation in ANONYMOUS else 503), operation
            await description.check(operation, response)
            response = await send(root, operation, path, body)
            assert response.status == (200 if operation in ANONYMOUS | {BATCH} else 503), operation
            await description.check(operation, response)
    async with serve(RS_AUTH_FAILURES_PER_MINUTE="1") as limited:
        await check_too_many_failures(limited.using("wrong"), description)
    async with serve(bootstrap={}, RS_DISABLE_AUTH="true") as anybody:
        for operation, (path, body) in CALLS.items():
            response = await send(anybody, operation, path, body)
            assert response.status == (200 if operation in WITHOUT_TOKENS else 400), operation
            await description.check(operation, response)
    assert description.seen == description.documented()


PARAMETERS = {
    "GET /audit": "token actor action from to sort limit offset",
    "GET /me": "view",
    "GET /tokens": "search id bucket access status sort limit offset view",
    "GET /tokens/{token_name}": "view",
    "GET /tokens/{token_name}/usage": "by from to",
    "GET /tokens/{token_name}/check": "action bucket client_ip at",
}


async def test_parameters(root: Caller, now: Now) -> None:
    """Those of the contract are described; below `/tokens` any other one is refused."""
    description = await described_by(root)
    described = {
        name: " ".join(description.follow(parameter)["name"] for parameter in operation["parameters"])
        for name, operation in description.operations()
        if "parameters" in operation
    }
    assert described == PARAMETERS
    await prepare(root, now)
    for operation, (path, body) in CALLS.items():
        if "/tokens" in operation:
            unknown = f"{path}{'&' if '?' in path else '?'}unknown=1"
            assert (await send(root, operation, unknown, body)).status == 422, operation


BODIES: dict[str, list[tuple[str, bool]]] = {
    "POST /tokens/{token_name}": [
        ("{}", True),
        ('{"full_access": true, "read": ["a", "a", "b-*", "$c", "*"], "write": []}', True),
        (
            '{"read": [], "ip_allowlist": ["10.1.2.3/8", "255.255.255.255", "::", "fd00::/8", "::ffff:1.2.3.4"]}',
            True,
        ),
        ('{"permissions": {}}', True),
        ('{"permissions": {"read": ["a"]}, "expires_at": null, "ttl": null, "valid_from": null}', True),
        ('{"role": "recorder", "description": "x", "active": false, "ttl": 9223372036854775807}', True),
        ('{"role": "admin", "expires_at": "2031-01-01t00:00:00.123456789+05:30"}', True),
        ('{"role": null, "permissions": {}}', True),
        ('{"role": "viewer", "permissions": null}', True),
        ('{"permissions": {}, "role": "viewer"}', False),
        ('{"permissions": null}', False),
        ('{"role": "owner"}', False),
        ('{"expires_at": null}', False),
        ('{"description": "needs permissions"}', False),
        ('{"full_access": "true"}', False),
        ('{"full_access": 1}', False),
        ('{"full_access": null}', False),
        ('{"read": "a"}', False),
        ('{"read": null}', False),
        ('{"read": [1]}', False),
        ('{"read": [""]}', False),
        ('{"read": ["a*b"]}', False),
        ('{"read": ["**"]}', False),
        ('{"read": ["$a*"]}', False),
        ('{"read": ["$"]}', False),
        ('{"read": ["a/b"]}', False),
        ('{"read": ["\\u0661"]}', False),
        ('{"raed": []}', False),
        ('{"permissions": {"admin": true}}', False),
        ('{"permissions": [], "ttl": 1}', False),
        ('{"permissions": {}, "ttl": 0}', False),
        ('{"permissions": {}, "ttl": -1}', False),
        ('{"permissions": {}, "ttl": 1.5}', False),
        ('{"permissions": {}, "ttl": true}', False),
        ('{"permissions": {}, "ttl": "1"}', False),
        ('{"permissions": {}, "ttl": 9223372036854775808}', False),
        ('{"permissions": {}, "active": null}', False),
        ('{"permissions": {}, "expires_at": "2031-01-01T00:00:00"}', False),
        ('{"permissions": {}, "expires_at": "2031-01-01"}', False),
        ('{"permissions": {}, "expires_at": "2031-13-01T00:00:00Z"}', False),
        ('{"permissions": {}, "valid_from": 1924992000}', False),
        ('{"permissions": {}, "description": null}', False),
        (json.dumps({"permissions": {}, "description": "x" * 1_001}), False),
        (json.dumps({"read": ["x"] * 1_001}), False),
        ('{"ip_allowlist": ["10.0.0.256"]}', False),
        ('{"ip_allowlist": ["10.0.0.01"]}', False),
        ('{"ip_allowlist": ["10.0.0.0/33"]}', False),
        ('{"ip_allowlist": ["fd00::/129"]}', False),
        ('{"ip_allowlist": ["localhost"]}', False),
        ('{"ip_allowlist": [""]}', False),
        ('{"ip_allowlist": null}', False),
        ("[]", False),
        ('"{}"', False),
        ("null", False),
    ],
    "PATCH /tokens/{token_name}": [
        ("{}", True),
        ('{"permissions": {"full_access": null, "read": null, "write": ["a"]}}', True),
        (
            '{"description": null, "valid_from": null, "expires_at": null, "ttl": null, "ip_allowlist": null}',
            True,
        ),
        ('{"role": "viewer", "active": true, "ttl": 60}', True),
        ('{"role": null}', False),
        ('{"active": null}', False),
        ('{"permissions": null}', False),
        ('{"permissions": {"read": [null]}}', False),
        ('{"role": "viewer", "permissions": {}}', False),
        ('{"name": "other"}', False),
        ('{"ttl": 0}', False),
        ('{"expires_at": ""}', False),
    ],
    "POST /tokens/{token_name}/rotate": [
        ("{}", True),
        ('{"grace_seconds": 0}', True),
        ('{"grace_seconds": 2592000}', True),
        ('{"grace_seconds": 2592001}', False),
        ('{"grace_seconds": -1}', False),
        ('{"grace_seconds": null}', False),
        ('{"grace_seconds": "60"}', False),
        ('{"grace": 60}', False),
        ("[]", False),
    ],
    "POST /tokens/{token_name}/revoke": [("{}", True), ('{"active": false}', False), ("[]", False)],
    "POST /tokens/$batch": [
        ('{"items": [{"op": "delete", "name": "worker"}]}', True),
        ('{"items": [{"op": "edit", "name": "worker", "patch": {}}, {"op": "revoke", "name": "a b"}]}', True),
        ('{"items": []}', False),
        ('{"items": [{"op": "rotate", "name": "worker"}]}', False),
        ('{"items": [{"op": "edit", "name": "worker"}]}', False),
        ('{"items": [{"op": "delete", "name": "worker", "patch": {}}]}', False),
        ('{"items": [{"op": "delete"}]}', False),
        ('{"items": [{"op": "delete", "name": 1}]}', False),
        ('{"items": {}, "all": true}', False),
        ("{}", False),
    ],
}


@pytest.mark.parametrize(
    ("operation", "body", "accepted"),
    [(operation, body, accepted) for operation, rows in BODIES.items() for body, accepted in rows],
)
async def test_bodies(root: Caller, now: Now, operation: str, body: str, accepted: bool) -> None:
    """What the description allows is accepted, what it does not is refused."""
    description = await described_by(root)
    await prepare(root, now)
    response = await send(root, operation, CALLS[operation][0], body)
    assert response.status == (200 if accepted else 422), await response.text()
    faults = description.faults(description.body_schema(operation), json.loads(body))
    assert (faults == []) is accepted, faults
