"""The Nth write, sync or rename fails, for N = 1, 2, 3, ... until none fails any more, under every route that changes.

The answer is 503 with `Retry-After`; memory has the state before, and so has the disk after a kill. Only a disk that
goes on failing may leave, of a change that was written and could not be synced, the whole: never a part.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import shutil
import sqlite3
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.faults.clients import bearer, create, status_of, views
from tests.faults.disk import Disk, Kind
from tests.faults.forking import ROOT_VALUE, ForkedServer, Forks

MOST_OPERATIONS = 60
Request = tuple[str, str, Any]

# What is done to the token at {t}, whose value presents itself where a route is about oneself.
ROUTES: dict[str, Request] = {
    "create": ("POST", "/tokens/new-{t}", {"write": ["b"]}),
    "edit": ("PATCH", "/tokens/{t}", {"description": "edited", "permissions": {"write": ["c"]}}),
    "deactivate": ("PATCH", "/tokens/{t}", {"active": False}),
    "rotate": ("POST", "/tokens/{t}/rotate", None),
    "rotate with grace": ("POST", "/tokens/{t}/rotate", {"grace_seconds": 60}),
    "revoke": ("POST", "/tokens/{t}/revoke", None),
    "delete": ("DELETE", "/tokens/{t}", None),
    "rotate oneself": ("POST", "/me/rotate", None),
    "revoke oneself": ("DELETE", "/me", None),
    "many at once": (
        "POST",
        "/tokens/$batch",
        {
            "items": [
                {"op": "edit", "name": "{t}", "patch": {"description": "x"}},
                {"op": "revoke", "name": "{t}"},
            ]
        },
    ),
}


@dataclass(frozen=True, slots=True)
class DiskFault:
    """What the disk says, and whether it goes on saying so."""

    error: int
    for_good: bool = False


FAULTS = {
    "I/O error": DiskFault(errno.EIO),
    "I/O error for good": DiskFault(errno.EIO, for_good=True),
    "full": DiskFault(errno.ENOSPC, for_good=True),
    "full for a moment": DiskFault(errno.ENOSPC),
    "read-only": DiskFault(errno.EROFS, for_good=True),
    "over quota": DiskFault(errno.EDQUOT, for_good=True),
}


class Bench:
    """A server on a disk that can fail, one token after the other, and what each of them is."""

    def __init__(self, forks: Forks, folder: Path, sabotage: str | None = None) -> None:
        self._forks = forks
        self._folder = folder
        self._sabotage = sabotage
        self.disk = Disk(folder)
        self.values: dict[str, str] = {}
        self._life = AsyncExitStack()

    async def start(self) -> None:
        self._server: ForkedServer = self._forks.start(self._folder, self.disk, self._sabotage)
        self.session = await self._life.enter_async_context(ClientSession(self._server.url))

    async def kill(self) -> None:
        await self._life.aclose()
        self._server.end()

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    async def prepare(self, name: str) -> None:
        """Make a token, whose value is in the cache."""
        self.values[name] = await create(self.session, name)
        assert await status_of(self.session, self.values[name]) == 200

    async def send(self, request: Request, name: str) -> tuple[int, str | None, Any]:
        """Send a request about a token; return status, `Retry-After` and body."""
        method, path, body = request
        value = self.values[name] if path.startswith("/me") else ROOT_VALUE
        async with self.session.request(
            method,
            "/api/v1" + path.replace("{t}", name),
            headers=bearer(value),
            json=_filled(body, name),
            timeout=None,
        ) as response:
            answer = await response.json() if response.content_type == "application/json" else None
            return response.status, response.headers.get("Retry-After"), answer

    async def state(self) -> dict[str, Any]:
        """All that can be seen of the tokens, what they were used for aside."""
        present = await views(self.session)
        state: dict[str, Any] = {
            name: {
                **{key: value for key, value in view.items() if key not in {"usage", "secrets"}},
                "last_access": None,
                "last_access_ip": None,
                "secrets": [(secret["created_at"], secret["expires_at"]) for secret in view["secrets"]],
            }
            for name, view in present.items()
        }
        state["values"] = {name: await status_of(self.session, value) for name, value in self.values.items()}
        return state


def _filled(body: Any, name: str) -> Any:
    if isinstance(body, dict):
        return {key: _filled(value, name) for key, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, name) for value in body]
    return name if body == "{t}" else body


def shape_of(state: dict[str, Any], name: str) -> Any:
    """What one token is, without what differs from token to token."""
    views_of_it = [state.get(name), state.get(f"new-{name}")]
    return [
        view
        and {
            **{
                key: value
                for key, value in view.items()
                if key not in {"id", "name", "created_at", "updated_at"}
            },
            **{key: view[key] is not None for key in ("expires_at", "revoked_at")},
            "secrets": [expires_at is None for _, expires_at in view["secrets"]],
        }
        for view in views_of_it
    ] + [state["values"][name]]


def is_refused(answer: tuple[int, str | None, Any]) -> bool:
    status, retry_after, body = answer
    if isinstance(body, dict) and "results" in body:
        return status == 200 and [result["status"] for result in body["results"]] == [503, 503]
    return status == 503 and retry_after is not None and int(retry_after) >= 1


async def sweep(
    forks: Forks,
    folder: Path,
    request: Request,
    fault: DiskFault,
    kinds: Kind = Kind.CHANGE,
    every: int = 1,
    sabotage: str | None = None,
) -> int:
    """Fail every operation, or every so many, of a change in turn; return how many there were."""
    bench = Bench(forks, folder, sabotage)
    await bench.start()
    try:
        await bench.prepare("whole")
        await bench.send(request, "whole")
        whole = shape_of(await bench.state(), "whole")
        for nth in range(1, MOST_OPERATIONS, every):
            name = f"token{nth}"
            await bench.prepare(name)
            before = await bench.state()
            bench.disk.fail(nth, fault.error, kinds, for_good=fault.for_good)
            answer = await bench.send(request, name)
            memory = await bench.state()
            if not bench.disk.repair():
                assert shape_of(memory, name) == whole
                return nth - 1
            assert is_refused(answer), (nth, answer)
            assert memory == before, nth
            await bench.restart()
            disk = await bench.state()
            if disk != before:
                assert fault.for_good, nth
                assert shape_of(disk, name) == whole, nth
        raise AssertionError("no end of it")
    finally:
        await bench.kill()


@pytest.mark.parametrize("request_", [pytest.param(r, id=name) for name, r in ROUTES.items()])
async def test_a_sync_fails(forks: Forks, tmp_path: Path, request_: Request) -> None:
    """The change was written whole, and may not come back."""
    assert await sweep(forks, tmp_path, request_, FAULTS["I/O error"], Kind.SYNC) >= 1


@pytest.mark.parametrize("request_", [pytest.param(r, id=name) for name, r in ROUTES.items()])
async def test_the_nth_operation_fails(forks: Forks, tmp_path: Path, request_: Request, every: int) -> None:
    """An I/O error in the middle of a change: refused, and nothing of it anywhere."""
    assert await sweep(forks, tmp_path, request_, FAULTS["I/O error"], every=every) >= 5


@pytest.mark.parametrize(
    "fault", [pytest.param(f, id=name) for name, f in FAULTS.items() if name != "I/O error"]
)
async def test_other_faults(forks: Forks, tmp_path: Path, fault: DiskFault, every: int) -> None:
    """A disk that is full, read-only or gone, for a moment or for good."""
    assert await sweep(forks, tmp_path, ROUTES["rotate"], fault, every=every) >= 5


@pytest.fixture
def every(request: pytest.FixtureRequest) -> int:
    """With a hundred rounds each operation fails in its turn; with fewer, every so many."""
    return max(1, 100 // int(request.config.getoption("rounds") or 12))


STARTS: dict[str, tuple[bool, int]] = {
    "first, I/O error": (False, errno.EIO),
    "first, full": (False, errno.ENOSPC),
    "later, I/O error": (True, errno.EIO),
    "later, full": (True, errno.ENOSPC),
    "later, read-only": (True, errno.EROFS),
}


@pytest.mark.parametrize(("has_registry", "error"), STARTS.values(), ids=STARTS)
async def test_a_start_fails(
    forks: Forks, tmp_path: Path, has_registry: bool, error: int, every: int
) -> None:
    """A start whose disk fails is refused in a sentence, or succeeds; the next one has all that was kept."""
    (tmp_path / "data").mkdir()
    bench = Bench(forks, tmp_path)
    if has_registry:
        await bench.start()
        await bench.prepare("kept")
        await bench.kill()
    refused = 0
    for nth in itertools.count(1, every):
        if not has_registry:
            shutil.rmtree(tmp_path / "data")
            (tmp_path / "data").mkdir()
        bench.disk.fail(nth, error)
        server = forks.begin(tmp_path, bench.disk)
        listens = server.wait_until_listening()
        if not listens:
            refused += 1
            assert server.status == 1
            assert "Traceback" not in server.log
            assert "can't start: " in server.log
            assert str(tmp_path / "data") in server.log
        server.end()
        failed = bench.disk.repair()
        await bench.start()
        state = await bench.state()
        assert state["values"] == ({"kept": 200} if has_registry else {})
        await bench.kill()
        if not failed:
            break
    assert refused >= 1


async def test_the_database_is_locked(forks: Forks, tmp_path: Path) -> None:
    """While another process keeps it locked, changes are refused after seconds; who is known passes."""
    bench = Bench(forks, tmp_path)
    await bench.start()
    await bench.prepare("token")
    before = await bench.state()
    with contextlib.closing(sqlite3.connect(tmp_path / "data/auth/auth.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = asyncio.ensure_future(bench.send(ROUTES["revoke"], "token"))
        await asyncio.sleep(0.2)
        assert await bench.state() == before
        assert is_refused(await refused)
    assert await bench.state() == before
    assert (await bench.send(ROUTES["revoke"], "token"))[0] == 200
    assert await status_of(bench.session, bench.values["token"]) == 401
    await bench.kill()
