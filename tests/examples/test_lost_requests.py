"""Workers are killed, and no request is lost but those that a killed one had accepted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from yarl import URL

from tests.examples.engines import PATIENCE_SECONDS, Engine, stopped
from tests.servers import ROOT_VALUE

CLIENTS = 4
HEADERS = f"Host: a\r\nConnection: close\r\nAuthorization: Bearer {ROOT_VALUE}\r\n"
READ = f"GET /api/v1/b/weather HTTP/1.1\r\n{HEADERS}\r\n".encode()
HALF_AN_UPLOAD = f"POST /api/v1/b/weather HTTP/1.1\r\n{HEADERS}Content-Length: 9\r\n\r\nhalf".encode()


@dataclass
class Request:
    """One request on a connection of its own. To be refused, or to wait for ever, fails the test."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def sent(cls, engine: Engine, what: bytes = READ) -> Request:
        url = URL(engine.server.url)
        async with asyncio.timeout(PATIENCE_SECONDS):
            request = cls(*await asyncio.open_connection(url.host, url.port))
            request.writer.write(what)
        return request

    @property
    def port(self) -> int:
        """The client's port, which is how the server's side of the connection is recognized."""
        found: int = self.writer.get_extra_info("sockname")[1]
        return found

    async def is_answered(self) -> bool:
        """Whether the whole answer comes; if not, the connection was lost."""
        answer = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await self.reader.read()
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
        assert not answer or answer.startswith(b"HTTP/1.1 200 ")
        return answer.endswith(b"all of weather\n")


def accepted_by(pid: int) -> set[int]:
    """The clients' ports of the connections that a process has accepted."""
    links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = {link[8:-1] for link in links if link.startswith("socket:[")}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text("utf-8").splitlines()[1:]]
    return {int(line[2].rpartition(":")[2], 16) for line in lines if line[9] in sockets}


async def test_requests_wait_for_a_replacement(engine: Engine) -> None:
    """All workers are killed while connections wait that none has accepted: all are answered."""
    killed = tuple(engine.workers.values())
    with stopped(*killed):
        waiting = [await Request.sent(engine) for _ in range(40)]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
    answered = await asyncio.gather(*(request.is_answered() for request in waiting))
    await asyncio.to_thread(engine.wait_until_ready, killed)
    assert all(answered)


@dataclass
class _Seen:
    answered: int = 0
    lost: set[int] = field(default_factory=set)
    lost_again: int = 0


async def _ask_again_and_again(engine: Engine, seen: _Seen, enough: asyncio.Event) -> None:
    """Send requests one after the other, and each that is lost a second time."""
    while not enough.is_set():
        request = await Request.sent(engine)
        port = request.port
        if await request.is_answered():
            seen.answered += 1
        else:
            seen.lost.add(port)
            seen.lost_again += not await (await Request.sent(engine)).is_answered()
        await asyncio.sleep(0.02)  # the workers' start needs the processor too


def pauses_of_the_first_worker(log: str) -> list[tuple[timedelta, timedelta]]:
    """The pauses before its replacements, as the log says, and how long it took until they were started."""
    ended = re.findall(
        r"^(.{23}) parent.* worker 1 ended by SIGKILL: replaced in (\S+) s$", log, re.MULTILINE
    )
    started = re.findall(r"^(.{23}) parent.* worker 1 started ", log, re.MULTILINE)
    return [
        (timedelta(seconds=float(pause)), datetime.fromisoformat(to) - datetime.fromisoformat(since))
        for (since, pause), to in zip(ended, started[1:], strict=True)
    ]


async def test_workers_that_are_killed_again_and_again(engine: Engine) -> None:
    """Nobody is refused; lost is only what a killed worker had accepted, and a retry gets through; pauses grow."""
    seen, enough, accepted = _Seen(), asyncio.Event(), set[int]()
    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(_ask_again_and_again(engine, seen, enough))
        for _ in range(2):
            victim = engine.workers[1]
            others = set(engine.workers.values()) - {victim}
            with stopped(*others):
                held = await Request.sent(engine, HALF_AN_UPLOAD)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while held.port not in accepted_by(victim):
                        await asyncio.sleep(0)
            with stopped(victim):
                accepted |= accepted_by(victim)
                os.kill(victim, signal.SIGKILL)
            assert not await held.is_answered()
            await asyncio.to_thread(engine.wait_until_ready, (victim,))
        enough.set()
    assert seen.answered > 50
    assert seen.lost - accepted == set()
    assert seen.lost_again == 0
    pauses = pauses_of_the_first_worker(engine.server.log)
    assert pauses[-2][0] < pauses[-1][0]
    assert all(taken >= said for said, taken in pauses)
