"""What tests of queries have in common: records to ask for, and the ways to ask."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import ClientResponse

from tests.reductauth.web.conftest import Caller

ENTRY = "/api/v1/b/home/log"


async def put(caller: Caller, timestamp_us: int, body: str | bytes = "x", /, **labels: str) -> None:
    """Write one record to `log`."""
    headers = {f"x-reduct-label-{name}": value for name, value in labels.items()}
    content = body.encode() if isinstance(body, str) else body
    response = await caller("POST", f"{ENTRY}?ts={timestamp_us}", content, headers)
    assert response.status == 200, response.headers


async def ask(caller: Caller, entry: str = ENTRY, /, **fields: Any) -> ClientResponse:
    """Send a query with these fields besides its type."""
    return await caller("POST", f"{entry}/q", json.dumps({"query_type": "QUERY", **fields}))


async def begin(caller: Caller, entry: str = ENTRY, /, **fields: Any) -> int:
    """Begin a query; return its number."""
    response = await ask(caller, entry, **fields)
    assert response.status == 200, response.headers
    found = await response.json()
    assert list(found) == ["id"]
    query_id: int = found["id"]
    return query_id


async def steps(caller: Caller, query_id: int, entry: str = ENTRY) -> list[int]:
    """Read a query record by record to its end; return the times."""
    times_us: list[int] = []
    while True:
        response = await caller("GET", f"{entry}?q={query_id}")
        if response.status == 204:
            return times_us
        assert response.status == 200, response.headers
        times_us.append(int(response.headers["x-reduct-time"]))


async def found(caller: Caller, /, **fields: Any) -> list[int]:
    """Query `log` and return the times of what is found."""
    return await steps(caller, await begin(caller, **fields))


def refused(response: ClientResponse) -> tuple[int, str]:
    """Status and message of a refusal."""
    return response.status, response.headers["x-reduct-error"]


def record_headers(response: ClientResponse) -> list[tuple[str, str]]:
    """The headers that describe the records of a batch, as they stood on the wire and in that order."""
    return [
        (name.decode(), value.decode())
        for name, value in response.raw_headers
        if name.startswith(b"x-reduct-time-")
    ]
