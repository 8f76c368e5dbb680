"""`GET /tokens/{t}/usage`, and what a restart does to counters, idle times and ended tokens."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reductauth.testing import ADMINISTRATOR_VALUE
from tests.reductauth.web.conftest import Caller, Now, Serve
from tests.reductauth.web.test_token_routes import answer

DAYS = {"2029-12-31": 1, "2030-03-01": 10, "2030-03-16": 100, "2030-03-17": 1_000}


def put_usage(folder: Path, name: str) -> None:
    """Write counters for `DAYS`."""
    with closing(sqlite3.connect(folder / "auth" / "auth.db")) as registry, registry:
        registry.executemany(
            "INSERT INTO usage SELECT key, ?, ?, 2, 3, 4 FROM tokens WHERE name = ?",
            [(day, reads, name) for day, reads in DAYS.items()],
        )


async def usage(caller: Caller, query: str) -> list[dict[str, Any]]:
    """The periods of a token's usage."""
    response = await caller("GET", f"/api/v1/tokens/t/usage{query}")
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    shown = await response.json()
    assert list(shown) == ["name", "id", "usage"]
    details = await (await caller("GET", "/api/v1/tokens/t?view=full")).json()
    assert (shown["name"], shown["id"]) == ("t", details["id"])
    assert all(list(one) == ["period", "read", "write", "admin", "denied"] for one in shown["usage"])
    periods: list[dict[str, Any]] = shown["usage"]
    return periods


@pytest.mark.parametrize(
    ("query", "reads"),
    [
        ("", DAYS),
        ("?by=day", DAYS),
        ("?from=2030-03-01&to=2030-03-16", {"2030-03-01": 10, "2030-03-16": 100}),
        ("?from=2030-03-17", {"2030-03-17": 1_000}),
        ("?to=2029-12-31", {"2029-12-31": 1}),
        ("?from=2030-03-02&to=2030-03-15", {}),
        ("?from=2030-03-01&to=2030-03-01", {"2030-03-01": 10}),
        ("?by=month", {"2029-12": 1, "2030-03": 1_110}),
        ("?by=month&from=2030-01", {"2030-03": 1_110}),
        ("?by=month&from=2029-12-31&to=2029-12-01", {"2029-12": 1}),
    ],
)
async def test_by_day_and_month(root: Caller, tmp_path: Path, query: str, reads: dict[str, int]) -> None:
    """Oldest first, both ends included, without the periods in which nothing was asked."""
    await root.make("t")
    put_usage(tmp_path, "t")
    shown = await usage(root, query)
    assert {one["period"]: one["read"] for one in shown} == reads
    assert [one["period"] for one in shown] == list(reads)


async def test_each_kind_has_its_counter(root: Caller, tmp_path: Path) -> None:
    """A month sums the four of them."""
    await root.make("t")
    put_usage(tmp_path, "t")
    assert await usage(root, "?by=month&from=2030-01") == [
        {"period": "2030-03", "read": 1_110, "write": 6, "admin": 9, "denied": 12}
    ]


async def test_a_token_that_was_never_used(root: Caller) -> None:
    """Nothing is a list without entries."""
    await root.make("t")
    assert await usage(root, "") == []


DATE = "must be a date, YYYY-MM-DD"
MONTH = "must be a month, YYYY-MM, or a date in it, YYYY-MM-DD"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("by=week", "by: must be one of day, month, got 'week'"),
        ("by=", "by: must be one of day, month, got ''"),
        ("from=2030-02-30", f"from: {DATE}, got '2030-02-30'"),
        ("to=2030-3-1", f"to: {DATE}, got '2030-3-1'"),
        ("to=20300301", f"to: {DATE}, got '20300301'"),
        ("from=2030-03", f"from: {DATE}, got '2030-03'"),
        ("from=", f"from: {DATE}, got ''"),
        ("from=0000-01-01", f"from: {DATE}, got '0000-01-01'"),
        ("by=month&from=2030-13", f"from: {MONTH}, got '2030-13'"),
        ("by=month&to=2030", f"to: {MONTH}, got '2030'"),
        ("from=2030-03-02&to=2030-03-01", "from: must not be after to"),
        ("by=month&from=2030-04&to=2030-03", "from: must not be after to"),
        ("from=2030-03-01&from=2030-03-01", "from: is there twice"),
        ("view=full", "unknown parameter 'view'; known are by, from, to"),
    ],
)
async def test_what_is_refused(root: Caller, query: str, message: str) -> None:
    """Whatever is no date, out of order, unknown or given twice."""
    await root.make("t")
    refusal = (422, f"Invalid query: {message}")
    assert await answer(root, "GET", f"/api/v1/tokens/t/usage?{query}") == refusal


async def test_whose_usage(root: Caller, serve: Serve) -> None:
    """Unknown tokens are 404, ill-formed names 422, and only full access may ask."""
    assert await answer(root, "GET", "/api/v1/tokens/no/usage") == (404, "Token 'no' doesn't exist")
    assert (await answer(root, "GET", "/api/v1/tokens/a%20b/usage"))[0] == 422
    me = await root.make("t")
    assert (await answer(me, "GET", "/api/v1/tokens/t/usage"))[0] == 403


async def test_while_authentication_is_off(serve: Serve) -> None:
    """There is nobody to count for."""
    async with serve(bootstrap={}, RS_DISABLE_AUTH="true") as everybody:
        refusal = (400, "Authentication is disabled")
        assert await answer(everybody, "GET", "/api/v1/tokens/t/usage") == refusal


# -- across a restart ---------------------------------------------------------------------------------------


async def test_a_clean_stop_keeps_counters_and_last_access(serve: Serve, now: Now) -> None:
    """What was counted a moment before a stop is there after the start, and idle times go on from the last use."""
    async with serve() as root:
        me = await root.make("t", '{"permissions": {}, "ttl": 100}')
        await root.make("idle", '{"permissions": {}, "ttl": 100}')
        now.pass_seconds(90)
        assert (await me("GET", "/api/v1/me")).status == 200
        assert (await me("GET", "/api/v1/tokens")).status == 403
    now.pass_seconds(100)
    async with serve() as root:
        again = root.using(me.value)
        assert await usage(root, "") == [
            {"period": "2030-03-17", "read": 1, "write": 0, "admin": 0, "denied": 1}
        ]
        shown = await (await root("GET", "/api/v1/tokens?view=full&sort=name")).json()
        assert {token["name"]: token["status"] for token in shown["tokens"]} == {
            "idle": "expired",
            "init-token": "active",
            "t": "active",
        }
        assert (await again("GET", "/api/v1/me")).status == 200
        now.pass_seconds(101)
        assert await answer(again, "GET", "/api/v1/me") == (401, "Token has expired")


async def test_the_house_is_cleaned_at_the_start(serve: Serve, tmp_path: Path, now: Now) -> None:
    """With the settings: old days are folded, tokens that ended long ago are gone, the deployment's own is not."""
    async with serve(bootstrap={"RS_INIT_API_TOKEN": ADMINISTRATOR_VALUE}) as root:
        await root.make("t")
        await root.make("revoked")
        await root("POST", "/api/v1/tokens/revoked/revoke")
        await root.make("expired", '{"permissions": {}, "expires_at": "2030-03-17T17:46:50Z"}')
        put_usage(tmp_path, "t")
    now.pass_seconds(3 * 86_400)
    settings = {"RS_USAGE_DAYS": "4", "RS_ENDED_TOKEN_DAYS": "2"}
    async with serve(bootstrap={}, **settings) as root, asyncio.timeout(10):
        while (await root("GET", "/api/v1/tokens/revoked")).status != 404:
            await asyncio.sleep(0.02)
        assert (await root("GET", "/api/v1/tokens/expired")).status == 404
        assert [one["period"] for one in await usage(root, "")] == ["2030-03-16", "2030-03-17"]
        months = {one["period"]: one["read"] for one in await usage(root, "?by=month")}
        assert months == {"2029-12": 1, "2030-03": 1_110}
