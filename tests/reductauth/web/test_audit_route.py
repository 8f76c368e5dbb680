"""`GET /api/v1/audit`, and what stands in the books after what was done through the doors."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from reductauth.audit import AuditAction, AuditQuery
from reductauth.disabled import EVERYBODY
from reductauth.policy import FullAccess
from reductauth.refusals import MAX_REMEMBERED, RefusalMeter
from reductauth.registry import TokenRegistry
from reductauth.web.guard import read_bucket, requires
from reductauth.web.keys import AUTH, actor_of
from tests.reductauth.web.conftest import Caller, Now, Serve

AT = "2030-03-17T17:46:40.000000Z"
NONE: dict[str, Any] = {"full_access": False, "read": [], "write": []}
FRESH: dict[str, Any] = {
    "description": "",
    "role": None,
    "permissions": NONE,
    "is_provisioned": False,
    "active": True,
    "created_at": AT,
    "valid_from": None,
    "expires_at": None,
    "revoked_at": None,
    "ttl": None,
    "ip_allowlist": [],
}


async def books(root: Caller, query: str = "sort=sequence") -> list[dict[str, Any]]:
    """The entries that a query finds."""
    response = await root("GET", f"/api/v1/audit?{query}")
    assert (response.status, response.headers["cache-control"]) == (200, "no-store"), await response.text()
    entries: list[dict[str, Any]] = (await response.json())["entries"]
    return entries


# What is sent as the administrator -> the action, and the whole of what is told.
CHANGES: list[tuple[str, str, str | None, str, dict[str, Any]]] = [
    ("POST", "fresh", "{}", "create", {"after": FRESH}),
    (
        "PATCH",
        "worker",
        '{"ttl": 60, "permissions": {"read": ["a"]}, "description": "x\\ny"}',
        "edit",
        {
            "before": {"description": "", "permissions": NONE, "ttl": None},
            "after": {"description": "x\ny", "permissions": {**NONE, "read": ["a"]}, "ttl": 60},
        },
    ),
    (
        "PATCH",
        "worker",
        '{"active": false}',
        "deactivate",
        {"before": {"active": True}, "after": {"active": False}},
    ),
    (
        "POST",
        "worker/rotate",
        '{"grace_seconds": 60}',
        "rotate",
        {
            "before": {"created_at": AT},
            "after": {
                "created_at": "2030-03-17T17:46:41.000000Z",
                "previous_expires_at": "2030-03-17T17:47:41.000000Z",
            },
        },
    ),
    (
        "POST",
        "worker/revoke",
        None,
        "revoke",
        {
            "before": {"active": True, "expires_at": None, "revoked_at": None},
            "after": {
                "active": False,
                "expires_at": "2030-03-17T17:46:41.000000Z",
                "revoked_at": "2030-03-17T17:46:41.000000Z",
            },
        },
    ),
    ("DELETE", "worker", None, "delete", {"before": FRESH}),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "action", "detail"), CHANGES, ids=[change[3] for change in CHANGES]
)
async def test_a_change(
    root: Caller, now: Now, method: str, path: str, body: str | None, action: str, detail: dict[str, Any]
) -> None:
    """By whom, from where, when, what before, what after."""
    await root.make("worker")
    if action != "create":
        now.pass_seconds(1)
    ids = {
        t["name"]: t["id"] for t in (await (await root("GET", "/api/v1/tokens?view=full")).json())["tokens"]
    }
    assert (await root(method, f"/api/v1/tokens/{path}", body)).status == 200
    (entry,) = await books(root, "limit=1")
    token = path.partition("/")[0]
    assert entry == {
        "sequence": 3,
        "at": AT if action == "create" else "2030-03-17T17:46:41.000000Z",
        "actor": "init-token",
        "actor_id": ids["init-token"],
        "address": "127.0.0.1",
        "action": action,
        "token": token,
        "token_id": ids.get(token, entry["token_id"]),
        "detail": detail,
    }


async def test_the_start(serve: Serve) -> None:
    """What the environment does has no id and no address; a start that changes nothing leaves no trace."""
    for _ in range(2):
        async with serve(RS_TOKEN_A_NAME="sensor", bootstrap=_PROVISIONED) as root:
            entries = await books(root)
    assert [(e["sequence"], e["actor"], e["actor_id"], e["address"]) for e in entries] == [
        (1, "environment", None, None),
        (2, "environment", None, None),
    ]
    assert [(e["action"], e["token"]) for e in entries] == [
        ("bootstrap", "init-token"),
        ("provision", "sensor"),
    ]
    async with serve(bootstrap={"RS_API_TOKEN": _PROVISIONED["RS_API_TOKEN"]}) as root:
        (last,) = await books(root, "limit=1")
    assert (last["action"], last["token"], list(last["detail"])) == ("delete", "sensor", ["before"])


_PROVISIONED = {
    "RS_API_TOKEN": "the-administrator-of-the-tests-0123456789",
    "RS_TOKEN_A_VALUE": "a-value-of-the-sensor-0123456789abcdef",
    "RS_TOKEN_A_READ": "weather",
}


async def test_buckets(serve: Serve) -> None:
    """The intent, what became of it, and each token whose grants moved, all by who asked for it."""
    app = web.Application()

    @requires(FullAccess())
    async def rename(request: web.Request) -> web.Response:
        registry = request.app[AUTH].registry
        assert isinstance(registry, TokenRegistry)
        async with registry.renaming_bucket(actor_of(request), "a", "b"):
            pass
        async with registry.removing_bucket(actor_of(request), "b"):
            pass
        return web.Response()

    app.router.add_post("/rename", rename)
    async with serve(app) as root:
        await root.make("worker", read=["a"])
        await root.make("other", read=["a*"])
        assert (await root("POST", "/rename")).status == 200
        entries = (await books(root))[3:]
    moved = {
        "before": {"permissions": {**NONE, "read": ["a"]}},
        "after": {"permissions": {**NONE, "read": ["b"]}},
    }
    ended = {"before": {"permissions": {**NONE, "read": ["b"]}}, "after": {"permissions": NONE}}
    both = {"bucket": "a", "new_bucket": "b"}
    assert [(e["actor"], e["action"], e["token"], e["detail"]) for e in entries] == [
        ("init-token", "bucket_renaming", None, both),
        ("init-token", "bucket_settled", None, {**both, "outcome": "renamed"}),
        ("init-token", "bucket_renamed", "worker", {**moved, **both}),
        ("init-token", "bucket_removing", None, {"bucket": "b"}),
        ("init-token", "bucket_settled", None, {"bucket": "b", "outcome": "removed"}),
        ("init-token", "bucket_removed", "worker", {**ended, "bucket": "b"}),
    ]


async def test_what_was_refused_changes_nothing(root: Caller) -> None:
    """Neither a conflict nor bad input nor a change that changes nothing has an entry."""
    await root.make("worker")
    for method, path, body in (
        ("POST", "worker", "{}"),
        ("PATCH", "worker", '{"ttl": 0}'),
        ("PATCH", "worker", '{"active": true}'),
        ("DELETE", "init-token", None),
        ("DELETE", "missing", None),
    ):
        await root(method, f"/api/v1/tokens/{path}", body)
    assert [entry["action"] for entry in await books(root)] == ["bootstrap", "create"]


async def test_a_token_that_ends_itself(root: Caller) -> None:
    """It is its own actor, and still has its name in the books."""
    holder = await root.make("holder")
    assert (await holder("DELETE", "/api/v1/me")).status == 200
    (entry,) = await books(root, "actor=holder")
    assert (entry["action"], entry["token"], entry["actor_id"]) == ("revoke", "holder", entry["token_id"])


async def test_no_value_and_no_digest(root: Caller, tmp_path: Path) -> None:
    """Whatever was made and rotated, nothing of it is in the books."""
    holder = await root.make("holder", '{"full_access": true}')
    rotated = await (await root("POST", "/api/v1/tokens/holder/rotate")).json()
    with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as registry:
        digests = [row[0].hex() for row in registry.execute("SELECT digest FROM secrets")]
    text = json.dumps(await books(root))
    for secret in (holder.value, rotated["value"], root.value, *digests):
        assert secret is not None
        assert secret not in text
        assert secret[-20:] not in text


# Query -> the numbers of the entries, in order. 1 bootstrap, 2-3 create a and b, 4 edit a, 5 delete b by a.
QUERIES: list[tuple[str, list[int]]] = [
    ("", [5, 4, 3, 2, 1]),
    ("sort=-sequence", [5, 4, 3, 2, 1]),
    ("sort=sequence", [1, 2, 3, 4, 5]),
    ("token=a&sort=sequence", [2, 4]),
    ("token=b", [5, 3]),
    ("token=B", []),
    ("actor=a", [5]),
    ("actor=environment", [1]),
    ("action=create", [3, 2]),
    ("action=create,delete", [5, 3, 2]),
    ("action=create&token=b", [3]),
    ("from=2030-03-17T17:46:42Z", [5, 4]),
    ("to=2030-03-17T17:46:42Z", [3, 2, 1]),
    ("from=2030-03-17T17:46:42Z&to=2030-03-17T17:46:43Z", [4]),
    ("from=2030-03-17T19:46:42%2B02:00&limit=1&sort=sequence", [4]),
    ("limit=2", [5, 4]),
    ("limit=2&offset=3", [2, 1]),
    ("offset=9", []),
]


async def test_queries(root: Caller, now: Now) -> None:
    """Conditions are combined; a page says how much there is."""
    a = await root.make("a", '{"full_access": true}')
    await root.make("b")
    now.pass_seconds(2)
    await root("PATCH", "/api/v1/tokens/a", '{"description": "x"}')
    now.pass_seconds(1)
    await a("DELETE", "/api/v1/tokens/b")
    for query, expected in QUERIES:
        answer = await (await root("GET", f"/api/v1/audit?{query}")).json()
        assert [entry["sequence"] for entry in answer["entries"]] == expected, query
        paged = "limit" in query or "offset" in query
        found = {"limit=1": 2}.get(query.split("&")[1], 5) if "19:46" in query else 5
        assert answer["query"] == {
            "found": found if paged else len(expected),
            "length": len(expected),
            "offset": int(query.split("offset=")[1]) if "offset" in query else 0,
            "total": 5,
        }, query
    (a_id,) = {entry["token_id"] for entry in await books(root, "token=a")}
    assert [entry["sequence"] for entry in await books(root, f"token={a_id}")] == [4, 2]
    assert [entry["sequence"] for entry in await books(root, f"actor={a_id}")] == [5]


BAD = [
    ("tokn=a", "unknown parameter 'tokn'; known are token, actor, action, from, to, limit, offset, sort"),
    ("token=a%20b", "token: must be the name of a token, or an id, got 'a b'"),
    ("token=a&token=b", "token: is there twice"),
    ("actor=", "actor: must be the name of a token, or an id, got ''"),
    ("limit=0", "limit: must be a whole number from 1 to 1000, got '0'"),
    ("limit=1001", "limit: must be a whole number from 1 to 1000, got '1001'"),
    ("offset=-1", "offset: must be a whole number from 0 to 9223372036854775807, got '-1'"),
    ("sort=at", "sort: must be one of sequence, -sequence, got 'at'"),
    (
        "from=yesterday",
        "from: must be an RFC 3339 time with an offset, such as 2030-01-31T12:00:00Z, got 'yesterday'",
    ),
    ("from=2030-01-02T00:00:00Z&to=2030-01-01T00:00:00Z", "from: must not be after to"),
]


@pytest.mark.parametrize(("query", "message"), BAD)
async def test_bad_queries(root: Caller, query: str, message: str) -> None:
    """422, naming the parameter and what would be right."""
    response = await root("GET", f"/api/v1/audit?{query}")
    assert (response.status, response.headers["x-reduct-error"]) == (422, f"Invalid query: {message}")


async def test_an_unknown_action(root: Caller) -> None:
    """422, naming those that there are."""
    response = await root("GET", "/api/v1/audit?action=create,destroy")
    told = response.headers["x-reduct-error"]
    assert response.status == 422
    assert told.startswith("Invalid query: action: must be one of create, edit, activate, ")
    assert told.endswith(", got 'destroy'")


async def test_off(serve: Serve) -> None:
    """Without authentication there are no books."""
    async with serve(bootstrap={}, RS_DISABLE_AUTH="true") as anybody:
        response = await anybody("GET", "/api/v1/audit")
        assert (response.status, response.headers["x-reduct-error"]) == (400, "Authentication is disabled")


async def test_hostile_entries(root: Caller, tmp_path: Path) -> None:
    """What somebody has put there by hand is told as it is: never a 500."""
    await root.make("worker")
    with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as registry:
        registry.execute(
            "UPDATE audit SET detail = ?, at_us = ?, actor = ? WHERE sequence = 2",
            ("{no json", 2**62, "a\n\x1b[2J"),
        )
        registry.commit()
    entry = (await books(root, "limit=1"))[0]
    assert (entry["detail"], entry["at"]) == ("{no json", "9999-12-31T23:59:59.999999Z")
    assert entry["actor"] == "a\n\x1b[2J"


# -- refusals ---------------------------------------------------------------------------------------------------


async def test_refusals_are_counted(serve: Serve, now: Now) -> None:
    """However many: one entry for a token and a minute, one for all strangers of a minute, none for no credential."""
    async with serve() as root:
        nosy = await root.make("nosy", read=["*"])
        other = await root.make("other")
        for minute in range(2):
            for _ in range(20):
                assert (await nosy("GET", "/api/v1/tokens")).status == 403
                assert (
                    await nosy("POST", "/api/v1/tokens/x", "{}", {"Expect": "100-continue"})
                ).status == 403
                assert (await root.using("wrong")("GET", "/api/v1/me")).status == 401
                assert (await root.using(None)("GET", "/api/v1/me")).status == 401
            if not minute:
                assert (await other("DELETE", "/api/v1/tokens/nosy")).status == 403
                now.pass_seconds(60)
    async with serve() as root:
        entries = await books(root, "action=denied,unauthenticated&sort=sequence")
    told = [(e["at"], e["action"], e["actor"], e["address"], e["token"], e["detail"]) for e in entries]
    later = "2030-03-17T17:47:40.000000Z"
    assert sorted(told, key=str) == [
        (AT, "denied", "nosy", "127.0.0.1", None, {"count": 40}),
        (AT, "denied", "other", "127.0.0.1", None, {"count": 1}),
        (AT, "unauthenticated", "strangers", None, None, {"count": 20}),
        (later, "denied", "nosy", "127.0.0.1", None, {"count": 40}),
        (later, "unauthenticated", "strangers", None, None, {"count": 20}),
    ]


async def test_a_denied_bucket_is_usages_matter(serve: Serve) -> None:
    """Only requests for what needs full access are written down."""
    app = web.Application()

    @requires(read_bucket("bucket"))
    async def read(_: web.Request) -> web.Response:
        return web.Response()

    app.router.add_get("/b/{bucket}", read)
    async with serve(app) as root:
        nosy = await root.make("nosy")
        assert (await nosy("GET", "/b/weather")).status == 403
    async with serve() as root:
        assert await books(root, "action=denied") == []


async def test_refusals_take_little_memory(token_registry: TokenRegistry, now: Now) -> None:
    """Beyond a thousand tokens between two flushes they are counted together."""
    store = token_registry._store
    meter = RefusalMeter(store, now)
    for number in range(MAX_REMEMBERED + 500):
        identity = replace(EVERYBODY, token=replace(EVERYBODY.token, token_id=str(number), name=f"t{number}"))
        meter.deny(identity, now.time_us)
        meter.deny(identity, now.time_us)
    assert len(meter._tallies) == MAX_REMEMBERED + 1
    await meter.flush(whole=True)
    page = await token_registry.audited(AuditQuery(actor="others", actions=frozenset({AuditAction.DENIED})))
    assert [entry.detail for entry in page.rows] == ['{"count":1000}']
    assert page.total == MAX_REMEMBERED + 1
