"""What a request would get, told beforehand: the very decision, in words, through the HTTP door."""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from aiohttp import web

from reductauth.web import read_bucket, requires, write_bucket
from tests.reductauth.web.conftest import Caller, Now, Serve

CHECKS = [
    "record genuine",
    "not revoked",
    "not expired",
    "not idle",
    "active",
    "begun",
    "live value",
    "client address",
    "permission",
]


async def check(root: Caller, name: str, **parameters: str) -> dict[str, Any]:
    """Ask, and compare what every answer must keep."""
    response = await root("GET", f"/api/v1/tokens/{name}/check?{urlencode(parameters)}")
    assert response.status == 200, await response.text()
    assert response.headers["cache-control"] == "no-store"
    answer: dict[str, Any] = await response.json()
    assert list(answer) == ["allowed", "reason", "checks"]
    assert all(list(finding) == ["check", "passed", "detail"] for finding in answer["checks"])
    assert [finding["check"] for finding in answer["checks"]] == CHECKS
    assert answer["allowed"] is all(finding["passed"] for finding in answer["checks"])
    return answer


async def test_yes(root: Caller) -> None:
    """Everything that was looked at is told."""
    await root.make("worker", read=["weather"])
    answer = await check(root, "worker", action="read", bucket="weather", client_ip="10.0.0.1")
    assert (answer["allowed"], answer["reason"]) == (True, "every check is passed")
    assert [finding["detail"] for finding in answer["checks"]] == [
        "its record is as it was written",
        "it is not revoked",
        "it never expires",
        "it may be unused for any time",
        "it is active",
        "it has no beginning",
        "its value works until it is rotated",
        "it may be used from anywhere",
        "Token 'worker' has read access to bucket 'weather'",
    ]


# The body of a token, and what is done to it -> what is asked -> the checks that fail -> the reason.
NOES: list[tuple[str, dict[str, Any], str | None, dict[str, str], list[str], str]] = [
    (
        "no permission to read",
        {"permissions": {"write": ["weather"]}},
        None,
        {"action": "read", "bucket": "weather"},
        ["permission"],
        "Token 't' doesn't have read access to bucket 'weather'; to allow it: add 'weather' to its read permissions",
    ),
    (
        "no permission to write",
        {"permissions": {"read": ["*"]}},
        None,
        {"action": "write", "bucket": "weather"},
        ["permission"],
        "Token 't' doesn't have write access to bucket 'weather'; to allow it: add 'weather' to its write permissions",
    ),
    (
        "a system bucket",
        {"permissions": {"read": ["*"]}},
        None,
        {"action": "read", "bucket": "$system"},
        ["permission"],
        "Token 't' doesn't have read access to bucket '$system'; to allow it: add '$system' to its read permissions",
    ),
    (
        "no full access",
        {"permissions": {"read": ["*"], "write": ["*"]}},
        None,
        {"action": "full_access"},
        ["permission"],
        "Token 't' doesn't have full access; to allow it: give it full access",
    ),
    (
        "switched off",
        {"permissions": {"full_access": True}, "active": False},
        None,
        {"action": "full_access"},
        ["active"],
        "it is switched off; to allow it: set active to true",
    ),
    (
        "not yet",
        {"permissions": {"full_access": True}, "valid_from": "2030-03-18T00:00:00Z"},
        None,
        {"action": "full_access"},
        ["begun"],
        "it is valid from 2030-03-18T00:00:00.000000Z; to allow it: set an earlier valid_from",
    ),
    (
        "expired by then",
        {"permissions": {"full_access": True}, "expires_at": "2030-03-18T00:00:00Z"},
        None,
        {"action": "full_access", "at": "2030-03-18T00:00:00Z"},
        ["not expired"],
        "it expired at 2030-03-18T00:00:00.000000Z; to allow it: set a later expires_at",
    ),
    (
        "idle by then",
        {"permissions": {"full_access": True}, "ttl": 60},
        None,
        {"action": "full_access", "at": "2030-03-17T18:47:41+01:00"},
        ["not idle"],
        "it may be unused for 60 seconds, and was last used at 2030-03-17T17:46:40.000000Z; "
        "to allow it: set a longer ttl",
    ),
    (
        "from elsewhere",
        {"permissions": {"full_access": True}, "ip_allowlist": ["10.0.0.0/8"]},
        None,
        {"action": "full_access", "client_ip": "11.0.0.1"},
        ["client address"],
        "it may be used from 10.0.0.0/8; the client's address is 11.0.0.1; "
        "to allow it: add 11.0.0.1 to its ip_allowlist",
    ),
    (
        "from nowhere",
        {"permissions": {"full_access": True}, "ip_allowlist": ["10.0.0.0/8"]},
        None,
        {"action": "full_access"},
        ["client address"],
        "it may be used from 10.0.0.0/8; the client's address is unknown; "
        "to allow it: say which address the client has, or empty its ip_allowlist",
    ),
    (
        "several at once",
        {"permissions": {"read": ["a"]}, "active": False, "ip_allowlist": ["::1"]},
        None,
        {"action": "read", "bucket": "b", "client_ip": "10.0.0.1"},
        ["active", "client address", "permission"],
        "it is switched off; to allow it: set active to true, add 10.0.0.1 to its ip_allowlist, "
        "add 'b' to its read permissions",
    ),
    (
        "revoked",
        {"permissions": {"read": ["a"]}},
        "revoke",
        {"action": "read", "bucket": "b"},
        ["not revoked", "not expired", "active", "live value", "permission"],
        "it was revoked at 2030-03-17T17:46:40.000000Z; "
        "to allow it: create another token: a revoked one never works again",
    ),
]


@pytest.mark.parametrize(
    ("body", "then", "asked", "failed", "reason"), [no[1:] for no in NOES], ids=[no[0] for no in NOES]
)
async def test_no(
    root: Caller,
    body: dict[str, Any],
    then: str | None,
    asked: dict[str, str],
    failed: list[str],
    reason: str,
) -> None:
    """The first check that fails is the reason, every one is marked, and the smallest change is named."""
    await root.make("t", json.dumps(body))
    if then is not None:
        assert (await root("POST", f"/api/v1/tokens/t/{then}")).status == 200
    answer = await check(root, "t", **asked)
    assert [finding["check"] for finding in answer["checks"] if not finding["passed"]] == failed
    assert answer["reason"] == reason


async def test_the_change_that_is_named_allows_it(root: Caller) -> None:
    """What the answer says is enough, and it is all that is needed."""
    await root.make(
        "t", json.dumps({"permissions": {"read": ["a"]}, "active": False, "ip_allowlist": ["::1"]})
    )
    asked = {"action": "read", "bucket": "b", "client_ip": "10.0.0.1"}
    patches: list[dict[str, Any]] = [
        {"active": True},
        {"ip_allowlist": ["::1", "10.0.0.1"]},
        {"permissions": {"read": ["a", "b"]}},
    ]
    for patch in patches:
        assert (await check(root, "t", **asked))["allowed"] is False
        assert (await root("PATCH", "/api/v1/tokens/t", json.dumps(patch))).status == 200
    assert (await check(root, "t", **asked))["allowed"] is True


async def test_a_period_of_grace(root: Caller) -> None:
    """The newest value counts: its holder is let in after the old one's time."""
    await root.make("t", read=["b"])
    assert (await root("POST", "/api/v1/tokens/t/rotate", '{"grace_seconds": 60}')).status == 200
    for at in ("2030-03-17T17:46:40Z", "2030-03-17T17:48:00Z"):
        answer = await check(root, "t", action="read", bucket="b", at=at)
        assert answer["checks"][6]["detail"] == "its value works until it is rotated"
        assert answer["allowed"] is True


BAD: list[tuple[str, str]] = [
    ("", "action: must be one of read, write, full_access, got ''"),
    ("action=", "action: must be one of read, write, full_access, got ''"),
    ("action=Read&bucket=b", "action: must be one of read, write, full_access, got 'Read'"),
    ("action=read", "bucket: is needed with action=read"),
    ("action=write", "bucket: is needed with action=write"),
    ("action=full_access&bucket=b", "bucket: has no meaning with action=full_access"),
    ("action=read&bucket=b*", "bucket: must be the name of a bucket, got 'b*'"),
    ("action=read&bucket=", "bucket: must be the name of a bucket, got ''"),
    ("action=read&bucket=b&client_ip=localhost", "client_ip: must be an IP address, got 'localhost'"),
    ("action=read&bucket=b&client_ip=", "client_ip: must be an IP address, got ''"),
    (
        "action=read&bucket=b&at=tomorrow",
        "at: must be an RFC 3339 time with an offset, such as 2030-01-31T12:00:00Z, got 'tomorrow'",
    ),
    (
        "action=read&bucket=b&at=2030-02-30T00:00:00Z",
        "at: must be a time that exists, such as 2030-01-31T12:00:00Z, got '2030-02-30T00:00:00Z'",
    ),
    ("action=read&action=write&bucket=b", "action: is there twice"),
    ("action=read&bucket=b&bucket=c", "bucket: is there twice"),
    (
        "action=read&bucket=b&buckets=c",
        "unknown parameter 'buckets'; known are action, bucket, client_ip, at",
    ),
]


@pytest.mark.parametrize(("query", "message"), BAD)
async def test_questions_that_make_no_sense(root: Caller, query: str, message: str) -> None:
    """422, naming the parameter."""
    await root.make("t")
    response = await root("GET", f"/api/v1/tokens/t/check?{query}")
    assert (response.status, response.headers["x-reduct-error"]) == (422, f"Invalid query: {message}")


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [
        ("nobody", 404, "Token 'nobody' doesn't exist"),
        (quote("a b"), 422, "Token name can contain only letters, digits and [-,_,.] symbols"),
    ],
)
async def test_a_token_that_is_not_there(root: Caller, name: str, status: int, message: str) -> None:
    """As on every route of a token."""
    response = await root("GET", f"/api/v1/tokens/{name}/check?action=full_access")
    assert (response.status, response.headers["x-reduct-error"]) == (status, message)


async def test_who_may_ask(root: Caller) -> None:
    """Full access only: a token may not even ask about itself."""
    worker = await root.make("worker", read=["*"], write=["*"])
    response = await worker("GET", "/api/v1/tokens/worker/check?action=read&bucket=b")
    assert (response.status, response.headers["x-reduct-error"]) == (
        403,
        "Token 'worker' doesn't have full access",
    )


async def test_nothing_is_counted_or_changed(root: Caller) -> None:
    """To ask is not to use."""
    await root.make("worker", read=["b"])
    before = await (await root("GET", "/api/v1/tokens/worker?view=full")).json()
    await check(root, "worker", action="read", bucket="b")
    assert await (await root("GET", "/api/v1/tokens/worker?view=full")).json() == before


# -- the very decision --------------------------------------------------------------------------------------

FIELDS: dict[str, list[dict[str, Any]]] = {
    "permissions": [
        {"permissions": {"read": ["home"]}},
        {"permissions": {"write": ["home"]}},
        {"permissions": {"full_access": True}},
        {"permissions": {"read": ["ho*"], "write": ["*"]}},
    ],
    "validity": [
        {},
        {"valid_from": "2030-03-17T17:46:41Z"},
        {"expires_at": "2030-03-17T17:46:41Z"},
        {"ttl": 1},
    ],
    "switch": [{}, {"active": False}],
    "allowlist": [{}, {"ip_allowlist": ["127.0.0.1"]}, {"ip_allowlist": ["10.0.0.0/8"]}],
}


async def test_it_is_what_requests_get(serve: Serve, now: Now) -> None:
    """Each of 96 tokens asks for each of 4 things, now and 2 seconds later: the check has foretold every answer."""
    routes = web.RouteTableDef()

    @routes.get("/r/{bucket}")
    @requires(read_bucket("bucket"))
    async def read(request: web.Request) -> web.Response:
        return web.Response()

    @routes.get("/w/{bucket}")
    @requires(write_bucket("bucket"))
    async def write(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.add_routes(routes)
    outcomes = set()
    async with serve(app) as root:
        holders = {}
        for number, fields in enumerate(itertools.product(*FIELDS.values())):
            body = {key: value for part in fields for key, value in part.items()}
            holders[f"t{number}"] = await root.make(f"t{number}", json.dumps(body))
        for at in ("2030-03-17T17:46:40Z", "2030-03-17T17:46:42Z"):
            foretold = {}
            for name, (action, bucket) in itertools.product(
                holders, [("read", "home"), ("write", "home"), ("read", "$home"), ("write", "x")]
            ):
                asked = {"action": action, "bucket": bucket, "client_ip": "127.0.0.1", "at": at}
                foretold[name, action, bucket] = (await check(root, name, **asked))["allowed"]
            for (name, action, bucket), allowed in foretold.items():
                response = await holders[name]("GET", f"/{action[0]}/{bucket}")
                assert (response.status == 200) is allowed, (name, action, bucket, at)
                outcomes.add((response.status, allowed))
            now.pass_seconds(2)
    assert outcomes == {(200, True), (401, False), (403, False)}
