"""One connection to a server: bytes out, the first reply in, whatever the bytes were."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["Connection", "Ending", "Outcome", "Reply"]

PATIENCE_SECONDS = 30.0
"""For the answer to a whole request. A server takes in refused bodies for up to 10."""
_QUIET_SECONDS = 0.15
"""After which a server is taken to wait for the rest of a request that may have no end."""
_FILLING = b"\r\n0\r\n\r\n" * 512
"""Ends a head, a chunked body, and one of a length that is not far away."""

_MAY_HAVE_A_BODY = re.compile(rb"length|chunked|encoding", re.IGNORECASE)
_STATUS_LINE = re.compile(rb"HTTP/[0-9]\.[0-9] ([1-9][0-9]{2}) ")


class Ending(Enum):
    """How an exchange came to its end."""

    ANSWERED = auto()
    DROPPED = auto()
    """The server closed without an answer."""
    IGNORED = auto()
    """The server said nothing to a whole request."""
    ABANDONED = auto()
    """The server waited for the rest of a body, and the client went away."""


@dataclass(frozen=True)
class Reply:
    """A reply as it stood on the wire. `body` lacks its framing; `is_whole` says whether all of it came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_whole: bool

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known.lower() == name), None)


@dataclass(frozen=True)
class Outcome:
    """All that came back, and the first final reply in it."""

    ending: Ending
    received: bytes
    reply: Reply | None = None


class Connection:
    """A connection that is opened when it is needed, and again when the last exchange left it unusable."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._socket: socket.socket | None = None

    def exchange(self, data: bytes, *, is_complete: bool) -> Outcome:
        """Send a request; wait for its reply, or, if its body may have no end, for a while."""
        is_used = self._socket is not None
        outcome = self._exchange(data, is_complete)
        if outcome.ending is Ending.DROPPED and is_used and not outcome.received:
            # A server may close an idle connection while a request is on its way (RFC 9112 §9.3.1).
            outcome = self._exchange(data, is_complete)
        return outcome

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _exchange(self, data: bytes, is_complete: bool) -> Outcome:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, PATIENCE_SECONDS)
        connection = self._socket
        is_head = (
            data.lstrip(b"\r\n")[:5].upper() == b"HEAD "
        )  # one of aiohttp's parsers takes it in any case
        connection.settimeout(PATIENCE_SECONDS)
        is_closed = not _sent(connection, data)
        received, reply, is_filled = b"", None, is_complete
        has_end = is_complete or _MAY_HAVE_A_BODY.search(data) is None  # at the latest when it is filled
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            connection.settimeout(PATIENCE_SECONDS if has_end and is_filled else _QUIET_SECONDS)
            try:
                chunk = connection.recv(262_144)
            except TimeoutError:
                if is_filled or is_closed:
                    break
                is_closed, is_filled = not _sent(connection, _FILLING), True
                continue
            except OSError:
                chunk = b""
            received += chunk
            reply = _first_reply(received, is_head=is_head, is_closed=not chunk)
            if (reply is not None and reply.is_whole) or not chunk:
                is_closed |= not chunk
                break
        keeps = reply is not None and (reply.header("connection") or "").lower() == "keep-alive"
        may_keep = is_complete and b" HTTP/1.1\r\n" in data and not is_closed
        if (
            reply is None
            or not reply.is_whole
            or not (may_keep and (keeps or reply.header("connection") is None))
        ):
            self.close()
        if reply is not None:
            return Outcome(Ending.ANSWERED, received, reply)
        if is_closed:
            return Outcome(Ending.DROPPED, received)
        return Outcome(Ending.IGNORED if has_end else Ending.ABANDONED, received)


def _sent(connection: socket.socket, data: bytes) -> bool:
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True


def _first_reply(received: bytes, *, is_head: bool, is_closed: bool) -> Reply | None:
    """The first reply that is final (RFC 9110 §15.2), as far as it came."""
    while True:
        head, blank, rest = received.partition(b"\r\n\r\n")
        status_line = _STATUS_LINE.match(head)
        if not blank or status_line is None:
            return None
        status = int(status_line[1])
        if status != 100:
            break
        received = rest
    lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:]]
    headers = tuple((name, value.strip()) for name, _, value in lines)
    framing = {name.lower(): value for name, value in headers}
    if is_head or status in {101, 204, 304}:
        return Reply(status, headers, b"", is_whole=True)
    if framing.get("transfer-encoding", "").lower() == "chunked":
        return Reply(status, headers, *_unchunked(rest))
    if "content-length" in framing:
        length = int(framing["content-length"])
        return Reply(status, headers, rest[:length], is_whole=len(rest) >= length)
    return Reply(status, headers, rest, is_whole=is_closed)


def _unchunked(rest: bytes) -> tuple[bytes, bool]:
    body = b""
    while True:
        size, line_break, rest = rest.partition(b"\r\n")
        if not line_break:
            return body, False
        length = int(size.partition(b";")[0], 16)
        if length == 0:
            return body, rest.startswith(b"\r\n")
        body += rest[:length]
        if len(rest) < length + 2:
            return body, False
        rest = rest[length + 2 :]
