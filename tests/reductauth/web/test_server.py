"""`run(app)` in a process of its own: what never reaches a handler, starts that are refused, clean stops."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from yarl import URL

from tests.forked import forked
from tests.servers import ServerProcess, clean_environment, start_refused

CANARY = "canary-value-0123456789-abcdefghijklmnop"

ENGINE = """
import gc, logging, os
from aiohttp import web
import reductauth.web
from reductauth import Authenticated, Anonymous
from reductauth.settings import Settings
from reductauth.web import requires

logging.basicConfig(level=logging.DEBUG, format="%(message)s")

@requires(Authenticated())
async def fails(request):
    raise RuntimeError(f"a fault with {request.headers['Authorization']}")

@requires(Anonymous())
async def fails_late(request):
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"begun")
    raise RuntimeError("a fault")

@requires(Anonymous())
async def shows_objects(request):
    return web.json_response({"frozen": gc.get_freeze_count(), "walked": len(gc.get_objects())})

app = web.Application()
app[reductauth.web.RESPONSE_HEADERS] = {"server": "Engine 1.0"}
app.add_routes([web.get("/fails", fails), web.get("/fails-late", fails_late), web.get("/objects", shows_objects)])
reductauth.web.setup(app, Settings.from_environment())
reductauth.web.run(app, host="127.0.0.1", port=int(os.environ["RS_PORT"]))
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ServerProcess]:
    (tmp_path / "engine.py").write_text(ENGINE)
    with forked(tmp_path, {"RS_API_TOKEN": CANARY}, ("engine.py",)) as process:
        yield process


def exchange(server: ServerProcess, request: bytes) -> bytes:
    """Send bytes, and read until the server closes."""
    url = URL(server.url)
    assert url.host is not None
    assert url.port is not None
    with socket.create_connection((url.host, url.port), timeout=5) as connection:
        connection.sendall(request)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
        return received


MALFORMED = [
    b"GET /api/v1/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \x01" + CANARY.encode() + b"\r\n\r\n",
    b"GET /api/v1/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \x00" + CANARY.encode() + b"\r\n\r\n",
    b"GET /api/v1/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + CANARY.encode() * 400 + b"\r\n\r\n",
    b"GET /api/v1/me HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer " + CANARY.encode() + b"\r\n\r\n",
    b"GET /api/v1/me HTTP/1.1\r\nHost: a\r\n Authorization: Bearer " + CANARY.encode() + b"\r\n\r\n",
    b"GET /" + CANARY.encode() + b" \x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + CANARY.encode() + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    b"nonsense " + CANARY.encode() + b"\r\n\r\n",
]


@pytest.mark.parametrize("request_bytes", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_requests(engine: ServerProcess, request_bytes: bytes) -> None:
    """The parser's own answers are 400 in the usual form, and neither they nor the log hold what was sent."""
    received = exchange(engine, request_bytes)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"400"
    assert b"\r\nserver: Engine 1.0" in head
    assert b"\r\nx-reduct-error: Malformed HTTP request" in head
    assert body == b'{"detail":"Malformed HTTP request"}'
    assert CANARY.encode() not in received
    assert CANARY not in engine.log
    assert "malformed request refused peer=127.0.0.1" in engine.log


def test_a_fault_in_a_handler(engine: ServerProcess) -> None:
    """500 in the usual form, without a word of the fault; the server lives on."""
    request = b"GET /fails HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + CANARY.encode() + b"\r\n\r\n"
    received = exchange(engine, request)
    assert received.startswith(b"HTTP/1.1 500 ")
    assert received.endswith(b'{"detail":"Internal server error"}')
    assert b"server: Engine 1.0" in received
    late = exchange(engine, b"GET /fails-late HTTP/1.1\r\nHost: a\r\n\r\n")
    assert late.count(b"HTTP/1.1") == 1
    assert exchange(engine, b"GET /api/v1/me HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 401"
    )


def test_what_a_full_collection_walks(engine: ServerProcess) -> None:
    """Not what the server is made of: tens of thousands of objects, for which every caller would wait."""
    answer = exchange(engine, b"GET /objects HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    objects = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert objects["frozen"] > 20_000
    assert objects["walked"] < 5_000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clean_stops(engine: ServerProcess, number: signal.Signals) -> None:
    """SIGTERM and SIGINT end the process with status 0, and the log says so."""
    assert engine.stop(number) == 0
    assert engine.log.rstrip().endswith("stopped")
    assert "Traceback" not in engine.log


def test_a_refused_start(tmp_path: Path) -> None:
    """A configuration that is refused ends the process with status 1 and one line per fault."""
    (tmp_path / "engine.py").write_text(ENGINE)
    refused = subprocess.run(
        [sys.executable, "engine.py"],
        cwd=tmp_path,
        env=clean_environment(RS_PORT="0"),
        stderr=subprocess.PIPE,
        timeout=20,
        check=False,
    )
    message = refused.stderr.decode()
    assert refused.returncode == 1
    assert "can't start: no usable full-access token: set RS_API_TOKEN (or RS_INIT_API_TOKEN" in message
    assert "RS_DISABLE_AUTH=true" in message
    assert "Traceback" not in message


def test_a_port_that_is_taken(engine: ServerProcess, tmp_path: Path) -> None:
    """The message names the address; the process ends with status 1."""
    port = str(URL(engine.url).port)
    refused = subprocess.run(
        [sys.executable, "engine.py"],
        cwd=tmp_path,
        env=clean_environment(RS_PORT=port, RS_API_TOKEN=CANARY),
        stderr=subprocess.PIPE,
        timeout=20,
        check=False,
    )
    assert refused.returncode == 1
    assert f"can't start: can't listen on 127.0.0.1:{port}" in refused.stderr.decode()


HANDED = ENGINE.replace('host="127.0.0.1", port=int(os.environ["RS_PORT"])', "sock=handed")


def test_a_socket_that_was_handed_over(tmp_path: Path) -> None:
    """`run` serves it, of whatever kind it is, and the log says where."""
    (tmp_path / "engine.py").write_text(
        "import socket\n"
        "handed = socket.socket(socket.AF_UNIX)\n"
        "handed.bind('engine.socket')\n"
        "handed.listen()\n"
        "print(flush=True)\n" + HANDED
    )
    process = subprocess.Popen(
        [sys.executable, "engine.py"],
        cwd=tmp_path,
        env=clean_environment(RS_API_TOKEN=CANARY),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(tmp_path / "engine.socket"))
        connection.sendall(b"GET /api/v1/me HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "listening address=engine.socket tls=off" in log


def test_a_socket_that_cannot_listen(tmp_path: Path) -> None:
    """The message says which it was; the process ends with status 1."""
    (tmp_path / "engine.py").write_text(
        "import socket\n"
        "handed, other = socket.socket(), socket.socket()\n"
        "for one in (handed, other):\n"
        "    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "handed.bind(('127.0.0.1', 0))\n"
        "other.bind(handed.getsockname())\n"
        "other.listen()\n" + HANDED
    )
    log = start_refused(tmp_path, {"RS_API_TOKEN": CANARY}, ("engine.py",))
    assert re.search(r"can't start: can't listen on the given socket .*\(Address already in use\)", log)
    assert "Traceback" not in log
