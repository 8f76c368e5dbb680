"""Several processes on one port and one registry: what holds across them, and how they come and go."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from aiohttp import ClientConnectorError, ClientError, ClientSession
from yarl import URL

from examples.workers import supervisor
from reductauth.web.server import STOP_SECONDS
from tests.examples.engines import (
    PATIENCE_SECONDS,
    ROOT,
    Engine,
    engine_of,
    has_ended,
    made,
    status,
    wait_until,
)
from tests.reductauth.cli.commands import reductauth_here
from tests.servers import ROOT_VALUE, clean_environment, start_refused

BUCKET = "/api/v1/b/weather"
COMMAND = ("-m", "examples.workers", "--workers", "3", "--port", "0")


async def test_a_revoked_value_is_refused_by_every_worker_at_once(engine: Engine) -> None:
    """Their caches are warm, any of them revokes, and the next request to each is refused; so are fresh ones."""
    accepted_after_revocation = 0
    async with engine.anybody() as anybody, engine.each() as workers:
        for number in range(30):
            me = await made(anybody, f"t{number}", read=["weather"])
            for client in workers * 2:  # the first makes a cache warm, the second shows that it is used
                assert await status(client, BUCKET, me) == 200
            async with anybody.post(f"/api/v1/tokens/t{number}/revoke", headers=ROOT) as revoked:
                assert revoked.status == 200
            answers = await asyncio.gather(
                *(status(client, BUCKET, me) for client in workers),
                *(status(anybody, BUCKET, me) for _ in range(6)),
            )
            accepted_after_revocation += len(answers) - answers.count(401)
    assert accepted_after_revocation == 0


async def uploading(part_sent: asyncio.Event, go_on: asyncio.Event) -> AsyncIterator[bytes]:
    """A body that comes in two parts."""
    yield b"x" * 10
    part_sent.set()
    await go_on.wait()
    yield b"x" * 10


async def test_a_clean_stop(tmp_path: Path) -> None:
    """Nobody new is let in, requests in flight finish, and what the workers counted is written down: it adds up."""
    part_sent, go_on = asyncio.Event(), asyncio.Event()
    with engine_of(2, tmp_path) as engine:
        async with engine.anybody() as anybody, engine.each() as workers:
            me = await made(anybody, "t", read=["weather"], write=["weather"])
            for number, client in enumerate(workers, start=1):
                for _ in range(10 * number):
                    assert await status(client, BUCKET, me) == 200
            body = uploading(part_sent, go_on)
            upload = asyncio.create_task(workers[0].post(BUCKET, data=body, headers=me))
            await part_sent.wait()
            engine.server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: engine.server.log.count("reductauth.server stopping") == 2)
            with pytest.raises(ClientConnectorError):
                await status(anybody, BUCKET, me)
            go_on.set()
            async with await upload as response:
                assert (response.status, await response.text()) == (200, "20 bytes for weather\n")
        assert engine.server.process.wait(PATIENCE_SECONDS) == 0
        assert engine.server.log.count("reductauth.server stopped") == 2
    shown = await asyncio.to_thread(reductauth_here, tmp_path, "usage", "t", "--by", "month", "--json")
    used = orjson.loads(shown.stdout)["usage"]
    assert sum(month["read"] for month in used) == 30
    assert sum(month["write"] for month in used) == 1


async def test_a_second_signal(tmp_path: Path) -> None:
    """It waits for nobody."""
    part_sent, go_on = asyncio.Event(), asyncio.Event()
    with engine_of(1, tmp_path) as engine:
        async with ClientSession(engine.server.url, headers=ROOT) as client:
            upload = asyncio.create_task(client.post(BUCKET, data=uploading(part_sent, go_on)))
            await part_sent.wait()
            engine.server.process.send_signal(signal.SIGINT)
            wait_until(lambda: "reductauth.server stopping" in engine.server.log)
            engine.server.process.send_signal(signal.SIGINT)
            with pytest.raises(ClientError):
                await upload
        assert engine.server.process.wait(PATIENCE_SECONDS) == 0
        assert "reductauth.server stopped" not in engine.server.log


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    """Killed, it can tell them nothing: they notice, stop as if they had been told to, and the port is free."""
    with engine_of(2, tmp_path) as engine:
        engine.server.stop(signal.SIGKILL)
        wait_until(lambda: all(has_ended(pid) for pid in engine.workers.values()))
        assert engine.server.log.count("reductauth.server stopped") == 2
        url = URL(engine.server.url)
        socket.create_server((url.host or "", url.port or 0)).close()


def test_the_parent_is_more_patient_than_a_worker() -> None:
    """It kills none that still lets its requests finish."""
    assert supervisor._PATIENCE_SECONDS > STOP_SECONDS


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "can't start: no usable full-access token: set RS_API_TOKEN"),
        ({"RS_API_TOKEN": ROOT_VALUE, "RS_USAGE_DAYS": "many"}, "can't start: RS_USAGE_DAYS='many'"),
    ],
)
def test_a_fault_in_the_configuration(tmp_path: Path, variables: dict[str, str], said: str) -> None:
    """It keeps all workers from starting, and is told once."""
    log = start_refused(tmp_path, variables, COMMAND)
    assert log.count(said) == 1
    assert "worker 1 ended with status 1: giving up" in log
    assert "Traceback" not in log


def test_a_port_that_is_taken(engine: Engine, tmp_path: Path) -> None:
    """The message names the address, and no worker is started."""
    port = str(URL(engine.server.url).port)
    log = start_refused(tmp_path, {"RS_API_TOKEN": ROOT_VALUE}, ("-m", "examples.workers", "--port", port))
    assert f"can't start: can't listen on 127.0.0.1:{port} (Address already in use" in log
    assert "worker-1" not in log


def test_workers_that_open_a_fresh_registry_at_once(tmp_path: Path) -> None:
    """One of them makes it, and all of them have it; the parent, to tell of faults once, starts the first alone."""
    lines, processes = [], []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for number in range(3):
            ours, theirs = socket.socketpair()
            ours.settimeout(PATIENCE_SECONDS)
            handed = (listener.fileno(), theirs.fileno())
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "examples.workers.worker", str(number), *map(str, handed)],
                    cwd=tmp_path,
                    env=clean_environment(RS_API_TOKEN=ROOT_VALUE),
                    pass_fds=handed,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            theirs.close()
            lines.append(ours)
    assert [line.recv(5) for line in lines] == [b"ready"] * 3
    for line in lines:
        line.close()
    logs = [process.communicate(timeout=PATIENCE_SECONDS)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert "".join(logs).count("token provisioned name=init-token") == 1
    assert reductauth_here(tmp_path, "verify").returncode == 0
