"""Two server processes on one folder count together, and know when a token was last used anywhere."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from tests.forked import forked
from tests.servers import ROOT_VALUE

ROOT = {"Authorization": f"Bearer {ROOT_VALUE}"}


async def made(session: ClientSession, body: str) -> dict[str, str]:
    """Create the token `t`; return the headers of its holder."""
    async with session.post("/api/v1/tokens/t", data=body, headers=ROOT) as response:
        return {"Authorization": f"Bearer {(await response.json())['value']}"}


async def status(session: ClientSession, path: str, headers: dict[str, str]) -> int:
    async with session.get(path, headers=headers) as response:
        return response.status


async def page(session: ClientSession, path: str) -> Any:
    async with session.get(path, headers=ROOT) as response:
        assert response.status == 200
        return await response.json()


async def test_counters_of_two_processes_add_up(tmp_path: Path) -> None:
    """Each flushes at its clean stop; the sum is exact, of the token and of its value, and is there after a start."""
    with forked(tmp_path) as first, forked(tmp_path) as second:
        async with ClientSession(first.url) as here, ClientSession(second.url) as there:
            me = await made(here, "{}")
            for number in range(30):
                assert await status((here, there)[number % 2], "/api/v1/me", me) == 200
                assert await status((here, there)[number % 3 == 0], "/api/v1/tokens", me) == 403
        assert (first.stop(), second.stop()) == (0, 0)
    with forked(tmp_path) as third:
        async with ClientSession(third.url) as session:
            shown = await page(session, "/api/v1/tokens/t?view=full")
            by_month = await page(session, "/api/v1/tokens/t/usage?by=month")
    counted = {"read": 30, "write": 0, "admin": 0, "denied": 30}
    assert shown["usage"]["total"] == counted
    assert [secret["uses"] for secret in shown["secrets"]] == [60]
    assert [{**one, "period": ""} for one in by_month["usage"]] == [{"period": "", **counted}]


async def test_a_token_in_use_anywhere_is_not_idle(tmp_path: Path) -> None:
    """Used through one process for longer than its ttl, it is good in the other; unused, it ends in both."""
    with forked(tmp_path) as first, forked(tmp_path) as second:
        async with ClientSession(first.url) as here, ClientSession(second.url) as there:
            me = await made(here, '{"permissions": {}, "ttl": 2}')
            assert await status(there, "/api/v1/me", me) == 200
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                assert await status(here, "/api/v1/me", me) == 200
                await asyncio.sleep(0.2)
            assert await status(there, "/api/v1/me", me) == 200
            await asyncio.sleep(3.1)
            for session in (here, there):
                assert await status(session, "/api/v1/me", me) == 401
