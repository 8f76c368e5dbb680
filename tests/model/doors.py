"""The way into a server: one connection that is kept, one request at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit

from tests.model.agreement import Answer

__all__ = ["Door", "opened"]


class Door:
    """Asks one server process."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection

    def ask(self, method: str, path: str, caller: str | None, body: Any = None) -> Answer:
        """Send a request below `/api/v1`; a body that is not bytes goes as JSON."""
        headers = {} if caller is None else {"Authorization": f"Bearer {caller}"}
        content = body if body is None or isinstance(body, bytes) else json.dumps(body)
        self._connection.request(method, f"/api/v1{quote(path, safe='/?=&$')}", content, headers)
        response = self._connection.getresponse()
        shown: Any = response.read()
        if shown and response.headers.get_content_type() == "application/json":
            shown = json.loads(shown)
        return Answer(response.status, response.headers.get("x-reduct-error"), shown)


@contextmanager
def opened(url: str) -> Iterator[Door]:
    """A door to the server at `url`."""
    address = urlsplit(url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=30)
    try:
        yield Door(connection)
    finally:
        connection.close()
