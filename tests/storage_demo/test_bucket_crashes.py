"""A server that is killed while it renames or removes a bucket, at every step of the way.

The registry and the engine are two databases. After any kill and the next start, a re-created bucket is open to
nobody, and a renamed one to those who could read it before.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession

from tests.forked import forked
from tests.servers import ROOT_VALUE, ServerProcess

# The demo, except that it kills itself before the Nth step of its first change of a bucket.
DYING = """
import os, signal
from reductauth.sqlite import SqliteStore
from storage_demo import __main__
from storage_demo.engine import Engine

left = int(os.environ["STEPS"])
armed = False

def step():
    global left
    if armed:
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

def around(owner, name, arms=False):
    inner = getattr(owner, name)
    async def stepping(self, *arguments, **options):
        step()
        result = await inner(self, *arguments, **options)
        step()
        return result
    setattr(owner, name, stepping)

def arming(name):
    inner = getattr(Engine, name)
    async def check(self, bucket):
        global armed
        armed = True
        await inner(self, bucket)
    setattr(Engine, name, check)

arming("check_renamable")
arming("check_removable")
around(SqliteStore, "change")
around(Engine, "rename_bucket")
around(Engine, "remove_bucket")
__main__.main()
"""

ROOT = {"Authorization": f"Bearer {ROOT_VALUE}"}


@contextmanager
def dying_server(folder: Path, steps: int) -> Iterator[ServerProcess]:
    (folder / "dying.py").write_text(DYING)
    environ = {"RS_API_TOKEN": ROOT_VALUE, "STEPS": str(steps)}
    with forked(folder, environ, ("dying.py",)) as server:
        yield server


async def prepare(folder: Path) -> dict[str, str]:
    """Make a bucket with a record, and a token with an exact grant on it; return the token's header."""
    with forked(folder) as server:
        async with ClientSession(server.url, headers=ROOT) as session:
            async with session.post("/api/v1/b/old"), session.post("/api/v1/b/old/e?ts=1", data=b"1"):
                pass
            async with session.post("/api/v1/tokens/reader", data=b'{"read": ["old"]}') as made:
                value = (await made.json())["value"]
        assert server.stop() == 0
    return {"Authorization": f"Bearer {value}"}


async def status_of(session: ClientSession, bucket: str, headers: dict[str, str]) -> int:
    async with session.get(f"/api/v1/b/{bucket}/e", headers=headers) as response:
        return response.status


@pytest.mark.parametrize("action", ["rename", "remove"])
async def test_killed_at_each_step(tmp_path: Path, action: str) -> None:
    """Steps are taken one more each time, until the server lives to answer."""
    outcomes = []
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    reader = await prepare(prepared)
    for steps in range(20):
        folder = tmp_path / f"{action}-{steps}"
        shutil.copytree(prepared, folder)
        with dying_server(folder, steps) as server:
            answered = await change_bucket(server, action)
        outcomes.append(await check_after_restart(folder, action, reader, answered))
        if answered:
            break
    else:
        raise AssertionError("the server never lived to answer")
    # It was killed before the engine's step, and after it; both must have been seen to mean anything.
    assert set(outcomes) == {"before", "after"}
    assert len(outcomes) >= 6


async def change_bucket(server: ServerProcess, action: str) -> bool:
    """Rename or remove the bucket; return whether an answer came."""
    async with ClientSession(server.url, headers=ROOT) as session:
        try:
            if action == "rename":
                async with session.put("/api/v1/b/old/rename", data=b'{"new_name": "new"}') as response:
                    assert response.status == 200
            else:
                async with session.delete("/api/v1/b/old") as response:
                    assert response.status == 200
        except ClientError:
            return False
        return True


async def check_after_restart(folder: Path, action: str, reader: dict[str, str], answered: bool) -> str:
    """Look at what the next start made of it; return whether the change had happened."""
    with forked(folder) as server:
        async with ClientSession(server.url, headers=ROOT) as session:
            old, new = await status_of(session, "old", ROOT), await status_of(session, "new", ROOT)
            if old == 200:
                assert not answered
                assert new == 404
                assert await status_of(session, "old", reader) == 200
                return "before"
            assert old == 404
            if action == "rename":
                assert new == 200
                assert await status_of(session, "new", reader) == 200
            async with (
                session.post("/api/v1/b/old"),
                session.post("/api/v1/b/old/e?ts=1", data=b"secret") as made,
            ):
                assert made.status == 200
            assert await status_of(session, "old", reader) == 403
            return "after"
