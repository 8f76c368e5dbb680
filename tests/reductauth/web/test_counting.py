"""What requests count as, and that a clean stop forgets none of them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from aiohttp import web

from tests.reductauth.web.conftest import Now, Serve
from tests.reductauth.web.test_guard import routes


async def test_every_kind_is_counted_and_kept_at_a_clean_stop(serve: Serve, tmp_path: Path, now: Now) -> None:
    """Reads, writes, administration and refusals each have a counter; last access and address are kept too."""
    app = web.Application()
    app.add_routes(routes)
    async with serve(app) as root:
        body = '{"permissions": {"full_access": false, "read": ["a"], "write": ["a"]}}'
        caller = await root.make("counted", body)
        calls = (
            [("GET", "/b/a")] * 3
            + [("POST", "/b/a")] * 2
            + [("GET", "/b/b"), ("GET", "/full"), ("POST", "/b/b")]
        )
        for method, path in calls:
            await caller(method, path)
        await caller("GET", "/authenticated")
        await caller("GET", "/anonymous")
        now.pass_seconds(5)
        await caller("GET", "/b/a")
        used_at_us = now()
    with closing(sqlite3.connect(f"file:{tmp_path}/auth/auth.db?mode=ro", uri=True)) as registry:
        counted = registry.execute(
            "SELECT period, read, write, admin, denied, last_access_us, last_access_ip"
            " FROM usage JOIN tokens ON key = token_key WHERE name = 'counted'"
        ).fetchall()
        uses = registry.execute(
            "SELECT uses FROM secrets JOIN tokens ON tokens.key = token_key WHERE name = 'counted'"
        ).fetchone()
        administrator = registry.execute(
            "SELECT admin FROM usage JOIN tokens ON key = token_key WHERE name = 'init-token'"
        ).fetchone()
    assert counted == [("2030-03-17", 5, 2, 0, 3, used_at_us, "127.0.0.1")]
    assert uses == (10,)
    assert administrator == (1,)


async def test_who_asks_before_sending_is_counted_once(serve: Serve) -> None:
    """`Expect: 100-continue` changes nothing about what counts: neither a refusal nor what is let in."""
    app = web.Application()
    app.add_routes(routes)
    async with serve(app) as root:
        caller = await root.make("counted", write=["a"])
        for path, status in (("/b/a", 200), ("/b/b", 403), ("/b/b", 403)):
            response = await caller("POST", path, b"x", {"Expect": "100-continue"})
            assert response.status == status
        for _ in range(100):  # flushed in the background
            shown = await (await root("GET", "/api/v1/tokens/counted?view=full")).json()
            if shown["usage"]["total"]["write"]:
                break
            await asyncio.sleep(0.1)
    assert shown["usage"]["total"] == {"read": 0, "write": 1, "admin": 0, "denied": 2}
    assert shown["secrets"][0]["uses"] == 3
