"""Short forms of what tests of several entries do, and a reader of batches that follows the contract's text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import ClientResponse

from tests.reductauth.web.conftest import Caller

IO = "/api/v1/io/home"

_RECORD = re.compile(r"x-reduct-([0-9]+)-([0-9]+)")

Found = tuple[str, int, bytes]
"""Entry, time in microseconds, content."""


async def put(
    caller: Caller,
    entry: str,
    timestamp_us: int,
    content: bytes = b"x",
    labels: Mapping[str, str] = MappingProxyType({}),
    bucket: str = "home",
) -> None:
    """Store one record."""
    headers = {f"x-reduct-label-{name}": value for name, value in labels.items()}
    path = f"/api/v1/b/{bucket}/{entry}?ts={timestamp_us}"
    response = await caller("POST", path, content, headers)
    assert response.status == 200, response.headers


async def begin(caller: Caller, bucket: str = "home", **fields: Any) -> int:
    """Begin a query of several entries; return its number."""
    body = orjson.dumps({"query_type": "QUERY", **fields})
    response = await caller("POST", f"/api/v1/io/{bucket}/q", body)
    assert response.status == 200, response.headers
    query_id: int = (await response.json())["id"]
    return query_id


async def next_batch(
    caller: Caller, query_id: int, method: str = "GET", bucket: str = "home"
) -> ClientResponse:
    """Read the next batch."""
    path = f"/api/v1/io/{bucket}/read"
    return await caller(method, path, headers={"x-reduct-query-id": str(query_id)})


async def content_of_batch(response: ClientResponse) -> list[Found]:
    """The records of a batch: by entry index, then by time, as the contract orders headers and body."""
    assert response.status == 200
    entries = [unquote(name) for name in response.headers["x-reduct-entries"].split(",")]
    start_us = int(response.headers["x-reduct-start-ts"])
    described = []
    for name, value in response.headers.items():
        if matched := _RECORD.fullmatch(name):
            described.append((int(matched[1]), int(matched[2]), int(value.partition(",")[0])))
    body, found = await response.read(), []
    for index, delta_us, length_bytes in sorted(described):
        found.append((entries[index], start_us + delta_us, body[:length_bytes]))
        body = body[length_bytes:]
    assert body == b""
    return found


async def find(caller: Caller, bucket: str = "home", **fields: Any) -> list[Found]:
    """Begin a query and read it to its end."""
    query_id = await begin(caller, bucket, **fields)
    found: list[Found] = []
    while (response := await next_batch(caller, query_id, bucket=bucket)).status == 200:
        found += await content_of_batch(response)
    assert (response.status, response.headers["x-reduct-error"]) == (204, "No content")
    return found


async def places(caller: Caller, **fields: Any) -> list[tuple[str, int]]:
    """Entries and times of what a query finds, in the order in which it comes."""
    return [(entry, timestamp_us) for entry, timestamp_us, _ in await find(caller, **fields)]


async def bucket_page(caller: Caller, bucket: str = "home") -> tuple[dict[str, Any], dict[str, Any]]:
    """What is said of a bucket, and of each of its entries by name."""
    response = await caller("GET", f"/api/v1/b/{bucket}")
    assert response.status == 200
    page = await response.json()
    return page["info"], {entry["name"]: entry for entry in page["entries"]}
