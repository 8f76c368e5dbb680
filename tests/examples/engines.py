"""The example engine in processes of its own: which workers it has, and how to meet a certain one."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from aiohttp import ClientSession, TCPConnector

from tests.servers import ROOT_VALUE, StartedServer, serving

ROOT = {"Authorization": f"Bearer {ROOT_VALUE}"}
PATIENCE_SECONDS = 20.0

_READY = re.compile(r"worker (\d+) is ready pid=(\d+)")


def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again, for as long as is reasonable."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or would be if somebody asked how it ended."""
    try:
        return _state(Path(f"/proc/{pid}/stat")) == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _state(stat: Path) -> str:
    return stat.read_text("utf-8").rpartition(")")[2].split()[0]


@contextlib.contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Processes that do nothing meanwhile: they accept no connection."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        threads = [thread for pid in pids for thread in Path(f"/proc/{pid}/task").glob("*/stat")]
        wait_until(lambda: all(_state(thread) == "T" for thread in threads))
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class Engine:
    """`python -m examples.workers`, running."""

    def __init__(self, server: StartedServer, count: int) -> None:
        self.server = server
        self.count = count

    @property
    def workers(self) -> dict[int, int]:
        """The pid of each worker, by its number; of those that were replaced, the replacement's."""
        return {int(number): int(pid) for number, pid in _READY.findall(self.server.log)}

    def wait_until_ready(self, ended: tuple[int, ...] = ()) -> None:
        """Wait until all workers are ready, and none of `ended` is the last of its number."""
        wait_until(lambda: len(self.workers) == self.count and not set(ended) & set(self.workers.values()))

    def anybody(self) -> ClientSession:
        """Make a client that connects anew for every request."""
        return ClientSession(self.server.url, connector=TCPConnector(force_close=True))

    @contextlib.asynccontextmanager
    async def each(self) -> AsyncIterator[list[ClientSession]]:
        """A client for each worker, whose one connection that worker has accepted."""
        async with contextlib.AsyncExitStack() as stack:
            clients = []
            for pid in self.workers.values():
                client = ClientSession(self.server.url, connector=TCPConnector(limit=1))
                await stack.enter_async_context(client)
                with stopped(*(set(self.workers.values()) - {pid})):
                    async with client.get("/api/v1/alive") as response:
                        assert response.headers["x-worker"] == str(pid)
                clients.append(client)
            yield clients


@contextlib.contextmanager
def engine_of(count: int, folder: Path) -> Iterator[Engine]:
    """Run the engine with so many workers, all of them ready."""
    command = ("-m", "examples.workers", "--workers", str(count), "--port", "0")
    with serving(folder, command=command) as server:
        engine = Engine(server, count)
        try:
            engine.wait_until_ready()
            yield engine
        finally:  # nothing is left behind, whatever a test did
            server.stop(signal.SIGKILL)
            for pid in engine.workers.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


async def made(client: ClientSession, name: str, **grants: list[str]) -> dict[str, str]:
    """Create a token; return the headers of its holder."""
    async with client.post(f"/api/v1/tokens/{name}", json=grants, headers=ROOT) as response:
        assert response.status == 200
        return {"Authorization": f"Bearer {(await response.json())['value']}"}


async def status(client: ClientSession, path: str, headers: dict[str, str]) -> int:
    async with client.get(path, headers=headers) as response:
        await response.read()
        return response.status
