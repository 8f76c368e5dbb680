"""The oracle itself: it passes what is right, and finds each thing that can be wrong."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.attacks.oracle import faults_of
from tests.attacks.wire import Connection

VALUE = b"the-value-that-was-sent"
COMMON = b"Server: s\r\nX-Reduct-Api: 1.21\r\nVary: origin\r\nDate: d\r\n"
REFUSED = b"X-Reduct-Error: no\r\nContent-Type: application/json\r\n"
DETAIL = b'Content-Length: 15\r\n\r\n{"detail":"no"}'
GET, UPLOAD = b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 9000\r\n\r\nx"


def judged(answer: bytes, request: bytes = GET) -> list[str]:
    """What is wrong with the answer of a server that says just this and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        server = threading.Thread(target=serve)
        server.start()
        connection = Connection("127.0.0.1", listening.getsockname()[1])
        outcome = connection.exchange(request, is_complete=request is not UPLOAD)
        connection.close()
        server.join()
    return faults_of(
        outcome, is_complete=request is not UPLOAD, is_head=request.startswith(b"HEAD"), secrets=[VALUE]
    )


@pytest.mark.parametrize(
    ("answer", "request_bytes"),
    [
        (b"HTTP/1.1 200 OK\r\n" + COMMON + b"Content-Length: 2\r\n\r\nok", GET),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + COMMON + b"Content-Length: 0\r\n\r\n", GET),
        (b"HTTP/1.1 200 OK\r\n" + COMMON + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", GET),
        (b"HTTP/1.1 404 Not Found\r\n" + COMMON + REFUSED + DETAIL, GET),
        (b"HTTP/1.1 405 Method Not Allowed\r\n" + COMMON + b"Content-Length: 0\r\n\r\n", GET),
        (
            b"HTTP/1.1 404 Not Found\r\n" + COMMON + REFUSED + b"Content-Length: 15\r\n\r\n",
            b"HEAD / HTTP/1.1\r\n\r\n",
        ),
    ],
)
def test_right_answers(answer: bytes, request_bytes: bytes) -> None:
    assert judged(answer, request_bytes) == []


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"", "dropped without an answer"),
        (b"nonsense\r\n\r\n", "dropped without an answer"),
        (b"HTTP/1.1 503 x\r\n" + COMMON + REFUSED + DETAIL, "answered 503"),
        (b"HTTP/1.1 200 OK\r\n" + COMMON + b"Content-Length: 23\r\n\r\n" + VALUE, "a value is in the answer"),
        (
            b"HTTP/1.1 200 OK\r\n" + COMMON + b"X: " + VALUE + b"\r\nContent-Length: 0\r\n\r\n",
            "a value is in the answer",
        ),
        (b"HTTP/1.1 200 OK\r\n" + COMMON + b"Content-Length: 3\r\n\r\nok", "shorter than it says"),
        (
            b"HTTP/1.1 200 OK\r\n" + COMMON + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
            "shorter than it says",
        ),
        (b"HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 0\r\n\r\n", "x-reduct-api is missing"),
        (b"HTTP/1.1 401 x\r\n" + COMMON + REFUSED + DETAIL, "401 without a challenge"),
        (
            b"HTTP/1.1 404 x\r\n" + COMMON + b"Content-Type: application/json\r\n" + DETAIL,
            "without x-reduct-error",
        ),
        (b"HTTP/1.1 404 x\r\n" + COMMON + b"X-Reduct-Error: no\r\n" + DETAIL, "404 is not JSON"),
        (b"HTTP/1.1 404 x\r\n" + COMMON + REFUSED + b"Content-Length: 2\r\n\r\n{}", "404 without a detail"),
        (b"HTTP/1.1 404 x\r\n" + COMMON + REFUSED + b"Content-Length: 2\r\n\r\nno", "404 without a detail"),
    ],
)
def test_wrong_answers(answer: bytes, fault: str) -> None:
    assert any(fault in found for found in judged(answer))


def test_an_upload_without_an_end() -> None:
    """A server that drops a client in the middle of its body owes it an answer too."""
    assert judged(b"", UPLOAD) == ["dropped without an answer"]
