"""`view=full`: all that operators see of a token, key for key."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.reductauth.web.conftest import Caller, Now, Serve
from tests.reductauth.web.test_token_routes import TOKEN_KEYS, answer

FULL_KEYS = [
    *TOKEN_KEYS,
    *(
        "id",
        "description",
        "role",
        "status",
        "active",
        "valid_from",
        "revoked_at",
        "updated_at",
        "created_by",
    ),
    *("last_access_ip", "secrets", "usage"),
]
"""`expires_at` and `last_access` of the table are keys of the protocol already."""
NEVER_USED = {"read": 0, "write": 0, "admin": 0, "denied": 0}


async def full(caller: Caller, path: str) -> dict[str, Any]:
    """The full view of one token."""
    response = await caller("GET", f"/api/v1/{path}?view=full")
    assert (response.status, response.headers["cache-control"]) == (200, "no-store")
    shown: dict[str, Any] = await response.json()
    return shown


async def used(caller: Caller, name: str, uses: int) -> dict[str, Any]:
    """The full view of a token, once so many uses have been flushed."""
    for _ in range(100):
        shown = await full(caller, f"tokens/{name}")
        if shown["secrets"][0]["uses"] == uses:
            break
        await asyncio.sleep(0.02)
    return shown


async def test_key_for_key(root: Caller) -> None:
    """The protocol's keys and those of the table, no more and no less; nothing of them in the other view."""
    body = {
        "role": "recorder",
        "description": "Straße",
        "valid_from": "2031-01-01T00:00:00+01:00",
        "expires_at": "2032-01-01T00:00:00Z",
        "active": False,
    }
    await root.make("t", json.dumps(body))
    shown = await full(root, "tokens/t")
    assert list(shown) == FULL_KEYS
    assert len(shown.pop("id")) == 36
    assert shown == {
        "name": "t",
        "value": "",
        "created_at": "2030-03-17T17:46:40.000000Z",
        "permissions": {"full_access": False, "read": [], "write": ["*"]},
        "is_provisioned": False,
        "expires_at": "2032-01-01T00:00:00.000000Z",
        "ttl": None,
        "last_access": None,
        "ip_allowlist": [],
        "is_expired": False,
        "description": "Straße",
        "role": "recorder",
        "status": "inactive",
        "active": False,
        "valid_from": "2030-12-31T23:00:00.000000Z",
        "revoked_at": None,
        "updated_at": "2030-03-17T17:46:40.000000Z",
        "created_by": "init-token",
        "last_access_ip": None,
        "secrets": [
            {
                "created_at": "2030-03-17T17:46:40.000000Z",
                "expires_at": None,
                "last_access": None,
                "last_access_ip": None,
                "uses": 0,
            }
        ],
        "usage": {"total": NEVER_USED, "today": NEVER_USED, "this_month": NEVER_USED},
    }
    assert list(await (await root("GET", "/api/v1/tokens/t")).json()) == TOKEN_KEYS


@pytest.mark.parametrize(
    ("body", "wait_seconds", "status"),
    [
        ({"active": False, "expires_at": "2030-03-17T17:46:50Z"}, 9, "inactive"),
        ({"active": False, "expires_at": "2030-03-17T17:46:50Z"}, 10, "expired"),
        ({"ttl": 5}, 5, "active"),
        ({"ttl": 5}, 6, "expired"),
        ({"valid_from": "2030-03-17T17:46:50Z"}, 9, "scheduled"),
        ({"valid_from": "2030-03-17T17:46:50Z"}, 10, "active"),
        ({"valid_from": "2030-03-17T17:46:50Z", "active": False}, 9, "inactive"),
    ],
)
async def test_status(root: Caller, now: Now, body: dict[str, Any], wait_seconds: float, status: str) -> None:
    """Computed now, the first that fits: expired (idle too), inactive, scheduled, active."""
    await root.make("t", json.dumps({"permissions": {}, **body}))
    now.pass_seconds(wait_seconds)
    assert (await full(root, "tokens/t"))["status"] == status


async def test_id_survives_a_rotation_and_is_never_reused(root: Caller) -> None:
    """A token keeps its id under a new value; a new token of the same name has another one."""
    await root.make("t")
    first = (await full(root, "tokens/t"))["id"]
    await root("POST", "/api/v1/tokens/t/rotate")
    assert (await full(root, "tokens/t"))["id"] == first
    await root("DELETE", "/api/v1/tokens/t")
    await root.make("t")
    assert (await full(root, "tokens/t"))["id"] != first


async def test_role_and_creator(root: Caller) -> None:
    """`role` is null where permissions were given, `created_by` is `environment` for what a deployment declares."""
    other = await root.make("other", '{"full_access": true}')
    await other.make("t")
    assert [(await full(root, f"tokens/{name}"))["created_by"] for name in ("t", "other", "init-token")] == [
        "other",
        "init-token",
        "environment",
    ]
    assert (await full(root, "tokens/other"))["role"] is None


async def test_usage_and_last_access(root: Caller, now: Now) -> None:
    """Requests of today, of this month and ever, each kind by itself; the value they came with counts its own."""
    me = await root.make("t", '{"permissions": {}, "ttl": 10000000}')
    assert (await me("GET", "/api/v1/me")).status == 200
    now.pass_seconds(5)  # a token with a ttl is flushed at once when its last access is older
    assert (await me("GET", "/api/v1/tokens")).status == 403
    shown = await used(root, "t", 2)
    counted = {"read": 1, "write": 0, "admin": 0, "denied": 1}
    assert shown["usage"] == {"total": counted, "today": counted, "this_month": counted}
    assert (shown["last_access"], shown["last_access_ip"]) == ("2030-03-17T17:46:45.000000Z", "127.0.0.1")
    (secret,) = shown["secrets"]
    assert secret == {
        "created_at": "2030-03-17T17:46:40.000000Z",
        "expires_at": None,
        "last_access": "2030-03-17T17:46:45.000000Z",
        "last_access_ip": "127.0.0.1",
        "uses": 2,
    }
    now.pass_seconds(86_400)
    tomorrow = await full(root, "tokens/t")
    assert tomorrow["usage"] == {"total": counted, "today": NEVER_USED, "this_month": counted}
    now.pass_seconds(14 * 86_400)
    next_month = await full(root, "tokens/t")
    assert next_month["usage"] == {"total": counted, "today": NEVER_USED, "this_month": NEVER_USED}


async def test_a_new_value_begins_with_nothing(root: Caller) -> None:
    """After a rotation the dead value is not listed; the token's own counters stay."""
    me = await root.make("t", '{"permissions": {}, "ttl": 10000000}')
    await me("GET", "/api/v1/me")
    await used(root, "t", 1)
    await root("POST", "/api/v1/tokens/t/rotate")
    shown = await full(root, "tokens/t")
    assert [(secret["uses"], secret["last_access"]) for secret in shown["secrets"]] == [(0, None)]
    assert shown["usage"]["total"]["read"] == 1


async def test_oneself(root: Caller) -> None:
    """Any valid token sees itself in full."""
    me = await root.make("t")
    own = await full(me, "me")
    assert list(own) == FULL_KEYS
    assert (own["name"], own["status"], own["created_by"]) == ("t", "active", "init-token")


@pytest.mark.parametrize("path", ["/api/v1/me", "/api/v1/tokens/init-token"])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("view=short", "Invalid query: view: must be full, got 'short'"),
        ("view=", "Invalid query: view: must be full, got ''"),
        ("view=Full", "Invalid query: view: must be full, got 'Full'"),
        ("view=full&view=full", "Invalid query: view: is there twice"),
    ],
)
async def test_views_that_are_refused(root: Caller, path: str, query: str, message: str) -> None:
    """Another view is refused, naming the one there is, and so is one that is asked for twice."""
    assert await answer(root, "GET", f"{path}?{query}") == (422, message)


async def test_while_authentication_is_off(serve: Serve) -> None:
    """Everybody is a full-access token without values."""
    async with serve(bootstrap={}, RS_DISABLE_AUTH="true") as everybody:
        own = await full(everybody, "me")
        assert (own["name"], own["status"], own["secrets"]) == ("AUTHENTICATION-DISABLED", "active", [])
        refusal = (400, "Authentication is disabled")
        assert await answer(everybody, "GET", "/api/v1/tokens/t?view=full") == refusal
