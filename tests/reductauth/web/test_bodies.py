"""When a client may send its body, and what a server does with one that nobody wanted or can understand."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from yarl import URL

from tests.forked import forked
from tests.servers import ROOT_VALUE, ServerProcess

SECRET = "dash-rsat1SECRETSECRETSECRETSECRET0000"
ROOT = f"Authorization: Bearer {ROOT_VALUE}\r\n"


@pytest.fixture(params=["C parser", "Python parser"])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    parser = {"AIOHTTP_NO_EXTENSIONS": "1"} if request.param == "Python parser" else {}
    with forked(tmp_path, parser=parser) as process:
        yield process


class Connection:
    """A client that sends what it likes, when it likes."""

    def __init__(self, server: ServerProcess) -> None:
        url = URL(server.url)
        self.socket = socket.create_connection((str(url.host), int(url.port or 0)), timeout=10)

    def send(self, head: str, body: bytes = b"") -> None:
        self.socket.sendall(head.replace("\n", "\r\n").replace("\r\r", "\r").encode() + b"\r\n" + body)

    def receive(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer: status, headers with names in lower case, body."""
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = self.socket.recv(65_536)
            assert chunk, f"closed without an answer: {received!r}"
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        while len(body) < int(headers.get("content-length", "0")):
            body += self.socket.recv(65_536)
        return int(lines[0].split(" ")[1]), headers, body

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.socket.close()


def exchange(server: ServerProcess, head: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    with Connection(server) as connection:
        connection.send(head, body)
        return connection.receive()


def refused(answer: tuple[int, dict[str, str], bytes], status: int, message: str) -> None:
    """An answer in the form that every refusal has."""
    found, headers, body = answer
    assert (found, headers["x-reduct-error"]) == (status, message)
    assert json.loads(body) == {"detail": message.replace('"', "'")}
    assert headers["content-type"] == "application/json"
    assert headers["server"].startswith("ReductStore ")


def make_bucket(server: ServerProcess) -> None:
    assert exchange(server, f"POST /api/v1/b/home HTTP/1.1\nHost: a\n{ROOT}Content-Length: 0\n")[0] == 200


@pytest.mark.parametrize(
    ("request_line", "authorization", "status", "message"),
    [
        ("POST /api/v1/tokens/x", "", 401, "No bearer token in request header"),
        ("POST /api/v1/tokens/x", "Authorization: Bearer nobody\n", 401, "Invalid token"),
        ("POST /api/v1/b/home/e?ts=2", "", 401, "No bearer token in request header"),
        ("POST /api/v1/b/home/e?ts=x", ROOT, 422, "'ts' must be an unix timestamp in microseconds"),
        ("POST /api/v1/b/home/e?ts=1", ROOT, 409, "A record with timestamp 1 already exists"),
        ("POST /api/v1/b/none/e?ts=1", ROOT, 404, "Bucket 'none' is not found"),
        ("DELETE /api/v1/tokens/x", "", 401, "No bearer token in request header"),
        ("DELETE /api/v1/tokens/init-token?x", ROOT, 422, "Invalid query: unknown parameter 'x'"),
        ("POST /nowhere", "", 404, "Not found"),
    ],
)
def test_what_is_refused_is_refused_before_it_is_sent(
    server: ServerProcess, request_line: str, authorization: str, status: int, message: str
) -> None:
    """`Expect: 100-continue`: guard, parameters and conflicts are decided first, and the answer comes without `100`."""
    make_bucket(server)
    exchange(server, f"POST /api/v1/b/home/e?ts=1 HTTP/1.1\nHost: a\n{ROOT}Content-Length: 1\n", b"x")
    head = (
        f"{request_line} HTTP/1.1\nHost: a\n{authorization}Content-Length: 100000000\nExpect: 100-continue\n"
    )
    started = time.monotonic()
    answer = exchange(server, head)
    if request_line.startswith("DELETE") and status == 422:
        assert answer[0] == 100  # a route that reads no body says so as soon as the guard has let in
        return
    refused(answer, status, message)
    assert time.monotonic() - started < 5


def test_what_is_let_in_is_asked_for(server: ServerProcess) -> None:
    """`100` comes once, then the body is read, then the answer."""
    make_bucket(server)
    for path, body in (("b/home/e?ts=1", b"12345"), ("tokens/x", b"{}"), ("b/other", b"{}")):
        head = f"POST /api/v1/{path} HTTP/1.1\nHost: a\n{ROOT}Content-Length: {len(body)}\nExpect: 100-Continue\n"
        with Connection(server) as connection:
            connection.send(head)
            assert connection.socket.recv(1_000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.socket.sendall(body)
            assert connection.receive()[0] == 200


@pytest.mark.parametrize("path", ["tokens/x", "b/home/e?ts=1", "info", "nowhere"])
def test_other_expectations(server: ServerProcess, path: str) -> None:
    """417, without what was sent, in the usual form."""
    method = "GET" if path == "info" else "POST"
    head = f"{method} /api/v1/{path} HTTP/1.1\nHost: a\n{ROOT}Content-Length: 0\nExpect: {SECRET}\n"
    refused(exchange(server, head), 417, "Only '100-continue' can be expected")
    assert SECRET not in server.log


@pytest.mark.parametrize("path", ["tokens/x", "b/home/e?ts=1&x-reduct-content-length=1", "b/home"])
def test_a_malformed_chunk(server: ServerProcess, path: str) -> None:
    """400 at once, though the handler waits for the body; neither answer nor log hold what was sent."""
    make_bucket(server)
    method = "PUT" if path == "b/home" else "POST"
    head = f"{method} /api/v1/{path} HTTP/1.1\nHost: a\n{ROOT}Transfer-Encoding: chunked\nx-reduct-content-length: 9\n"
    with Connection(server) as connection:
        connection.send(head)
        time.sleep(0.1)
        connection.socket.sendall(f"{SECRET}\r\n{{}}\r\n0\r\n\r\n".encode())
        answer = connection.receive()
    refused(answer, 400, "Malformed HTTP request")
    assert SECRET.encode() not in answer[2]
    assert SECRET not in server.log
    assert "Traceback" not in server.log


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    ("path", "authorization", "status"),
    [("tokens/x", ROOT, 400), ("b/home/e?ts=1", ROOT, 400), ("b/new", ROOT, 400), ("tokens/x", "", 401)],
)
def test_a_wrong_content_encoding(
    server: ServerProcess, encoding: str, path: str, authorization: str, status: int
) -> None:
    """What cannot be unpacked is the client's fault: 400, or 401 first; no traceback in the log."""
    make_bucket(server)
    head = f"POST /api/v1/{path} HTTP/1.1\nHost: a\n{authorization}Content-Encoding: {encoding}\nContent-Length: 10\n"
    found, headers, _ = exchange(server, head, b"0123456789")
    assert found == status
    assert "x-reduct-error" in headers
    assert "Traceback" not in server.log


def test_errors_are_answered_after_the_body_was_taken_in(server: ServerProcess) -> None:
    """A client that sends without asking can finish, and reads the answer on a connection that stays open."""
    head = "POST /api/v1/b/home/e?ts=1 HTTP/1.1\nHost: a\nContent-Length: 3000000\n"
    with Connection(server) as connection:
        for _ in range(2):
            connection.send(head, b"x" * 3_000_000)
            refused(connection.receive(), 401, "No bearer token in request header")


def test_what_is_drained_has_an_end(server: ServerProcess) -> None:
    """After 64 MiB the answer comes all the same, and the connection ends."""
    sent_megabytes = 0
    with Connection(server) as connection, contextlib.suppress(OSError):
        connection.send("POST /api/v1/b/home/e?ts=1 HTTP/1.1\nHost: a\nContent-Length: 200000000\n")
        for _ in range(200):
            connection.socket.sendall(b"x" * 1_000_000)
            sent_megabytes += 1
    assert 64 <= sent_megabytes < 150


def test_a_client_that_goes_away_is_no_error(server: ServerProcess) -> None:
    """An upload that breaks off leaves one line in the log, and nothing in the way of the next."""
    make_bucket(server)
    with Connection(server) as connection:
        connection.send(f"POST /api/v1/b/home/e?ts=1 HTTP/1.1\nHost: a\n{ROOT}Content-Length: 1000\n", b"x")
        time.sleep(0.1)
    head = f"POST /api/v1/b/home/e?ts=1 HTTP/1.1\nHost: a\n{ROOT}Content-Length: 1\n"
    for _ in range(50):
        if exchange(server, head, b"x")[0] == 200:
            break
        time.sleep(0.02)
    else:
        raise AssertionError("the timestamp is still taken")
    assert "Traceback" not in server.log


@pytest.mark.parametrize("depth", [900, 990, 1_000, 1_020, 5_000])
def test_deep_nesting(server: ServerProcess, depth: int) -> None:
    """However deep JSON is nested, it is 422."""
    make_bucket(server)
    for path, key in (("tokens/x", "a"), ("tokens/x", "read"), ("b/new", "quota_type")):
        for opening, closing in ((f'{{"{key}":', "}"), ("[", "]")):
            body = (f'{{"{key}":' + opening * depth + "1" + closing * depth + "}").encode()
            head = f"POST /api/v1/{path} HTTP/1.1\nHost: a\n{ROOT}Content-Length: {len(body)}\n"
            assert exchange(server, head, body)[0] == 422


def test_what_is_quoted_in_a_message_has_an_end(server: ServerProcess) -> None:
    """A message fits into a header that every client can read."""
    body = b'{"' + b"k" * 70_000 + b'": 1}'
    head = f"POST /api/v1/tokens/x HTTP/1.1\nHost: a\n{ROOT}Content-Length: {len(body)}\n"
    status, headers, _ = exchange(server, head, body)
    assert status == 422
    assert len(headers["x-reduct-error"]) < 600


@pytest.mark.parametrize(
    "request_line",
    ["CONNECT a:1 HTTP/1.1", "GET http://evil HTTP/1.1", "GET * HTTP/1.1", "FOO /api/v1/info HTTP/1.1"],
)
def test_answers_that_no_route_gives(server: ServerProcess, request_line: str) -> None:
    """Whatever aiohttp answers by itself has the usual form."""
    status, headers, _ = exchange(server, f"{request_line}\nHost: a\n")
    assert status in {400, 404, 405}
    assert headers["server"].startswith("ReductStore ")
    assert status == 405 or "x-reduct-error" in headers
