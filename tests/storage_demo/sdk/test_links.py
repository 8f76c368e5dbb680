"""Links: one record, to whoever has the address, as long as the token that made it may read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientSession
from reduct import Client
from reduct.bucket import Bucket
from reduct.error import ReductError
from reduct.msg.token import Permissions
from yarl import URL

from tests.servers import ServerProcess
from tests.storage_demo.sdk.client import refused, visit


async def follow(server: ServerProcess, link: URL | str) -> tuple[int, Mapping[str, str], bytes]:
    """Ask this server for a link's path, as somebody without a token."""
    async with (
        ClientSession() as nobody,
        nobody.get(URL(f"{server.url}{URL(link).raw_path_qs}", encoded=True)) as answer,
    ):
        return answer.status, answer.headers, await answer.read()


async def fails(server: ServerProcess, link: URL | str, status: int, message: str) -> None:
    answered, headers, _ = await follow(server, link)
    assert (answered, headers["x-reduct-error"]) == (status, message)


@pytest.fixture
async def filled(bucket: Bucket) -> Bucket:
    """A bucket with records in two entries."""
    for timestamp in (1, 2, 3):
        labels = {"n": str(timestamp), "list": "a,b"}
        await bucket.write(
            "arm/camera", b"picture%d" % timestamp, timestamp, content_type="image/png", labels=labels
        )
    await bucket.write("log", b"line", timestamp=2)
    return bucket


async def test_a_link(filled: Bucket, server: ServerProcess) -> None:
    """It shows the record with its type and labels, and its path ends in the name of a file."""
    link = await filled.create_query_link("arm/camera", record_timestamp=2)
    assert URL(link).path == "/api/v1/links/arm/camera_2.bin"
    status, headers, content = await follow(server, link)
    assert (status, content) == (200, b"picture2")
    assert {
        name: headers[name]
        for name in (
            "content-type",
            "content-length",
            "x-reduct-time",
            "x-reduct-entry",
            "x-reduct-label-n",
            "x-reduct-label-list",
            "accept-ranges",
        )
    } == {
        "content-type": "image/png",
        "content-length": "8",
        "x-reduct-time": "2",
        "x-reduct-entry": "arm/camera",
        "x-reduct-label-n": "2",
        "x-reduct-label-list": "a,b",
        "accept-ranges": "bytes",
    }


async def test_a_link_over_several_entries(filled: Bucket, server: ServerProcess) -> None:
    """It names one record of what a query finds, wherever that is; the file has the name that was asked for."""
    link = await filled.create_query_link(
        ["arm/camera", "log"], record_entry="log", record_timestamp=2, file_name="my log.txt"
    )
    assert URL(link).path == "/api/v1/links/my log.txt"
    assert (await follow(server, link))[::2] == (200, b"line")


async def test_a_link_elsewhere(filled: Bucket, server: ServerProcess) -> None:
    """Those who stand behind another address give out links there."""
    link = await filled.create_query_link(
        "log", record_timestamp=2, base_url="https://robots.example/storage"
    )
    assert link.startswith("https://robots.example/storage/api/v1/links/log_2.bin?")
    moved = URL(link, encoded=True)
    inside = f"{moved.raw_path.removeprefix('/storage')}?{moved.raw_query_string}"
    assert (await follow(server, inside))[::2] == (200, b"line")
    with pytest.raises(ReductError) as error:
        await filled.create_query_link("log", record_timestamp=2, base_url="nowhere")
    assert error.value.status_code == 422
    assert error.value.message.startswith("Invalid base_url provided for query link: ")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"start": 2, "stop": 3}, True),
        ({"start": 3}, False),
        ({"stop": 2}, False),
        ({"when": {"&n": {"$eq": 2}}}, True),
        ({"when": {"&n": {"$gt": 2}}}, False),
    ],
)
async def test_a_link_shows_what_its_query_finds(
    filled: Bucket, server: ServerProcess, query: dict[str, object], found: bool
) -> None:
    """A record that the query leaves out is not shown."""
    link = await filled.create_query_link("arm/camera", record_timestamp=2, **query)
    if found:
        assert (await follow(server, link))[::2] == (200, b"picture2")
    else:
        await fails(server, link, 404, "Record arm/camera/2 not found in query result")


async def test_a_link_that_is_over(filled: Bucket, server: ServerProcess) -> None:
    """It can be made, and is refused."""
    past = datetime.now(UTC) - timedelta(seconds=5)
    link = await filled.create_query_link("log", record_timestamp=2, expire_at=past)
    await fails(server, link, 422, "Query link has expired")


async def test_a_link_that_was_tampered_with(filled: Bucket, server: ServerProcess) -> None:
    """No part of it can be changed, or left out."""
    link = URL(await filled.create_query_link("log", record_timestamp=2), encoded=True)
    assert len(link.query) >= 1
    for name, text in link.query.items():
        middle = len(text) // 2
        other = "A" if text[middle] != "A" else "B"
        changed = f"{text[:middle]}{other}{text[middle + 1 :]}"
        status, _, content = await follow(server, link.update_query({name: changed}))
        assert (name, 400 <= status < 500) == (name, True)
        assert b"line" not in content
        status, _, content = await follow(server, link.without_query_params(name))
        assert (name, 400 <= status < 500) == (name, True)
        assert b"line" not in content


async def test_who_may_make_a_link(filled: Bucket, root: Client, server: ServerProcess) -> None:
    """Who may read the bucket."""
    writer = await root.create_token("link-writer", Permissions(write=[filled.name]))
    reader = await root.create_token("link-reader", Permissions(read=[filled.name]))
    await refused(
        (await visit(server, writer, filled.name)).create_query_link("log", record_timestamp=2),
        403,
        f"Token 'link-writer' doesn't have read access to bucket '{filled.name}'",
    )
    link = await (await visit(server, reader, filled.name)).create_query_link("log", record_timestamp=2)
    assert (await follow(server, link))[::2] == (200, b"line")


async def test_a_link_ends_with_its_token(filled: Bucket, root: Client, server: ServerProcess) -> None:
    """When the token is rotated, removed, past its time, or may no longer read the bucket."""
    permissions = Permissions(read=[filled.name])
    links = {}
    expires_at = datetime.now(UTC) + timedelta(seconds=6)
    for name in ("rotated", "removed", "expired", "narrowed"):
        value = await root.create_token(
            name, permissions, expires_at=expires_at if name == "expired" else None
        )
        reader = await visit(server, value, filled.name)
        links[name] = await reader.create_query_link("log", record_timestamp=2)
        assert (await follow(server, links[name]))[::2] == (200, b"line")
    await root.rotate_token("rotated")
    status, _, content = await follow(server, links["rotated"])
    assert 400 <= status < 500
    assert b"line" not in content
    await root.remove_token("removed")
    await fails(server, links["removed"], 404, "Token 'removed' doesn't exist")
    await root.create_token("removed", permissions)  # another token of the same name
    status, _, content = await follow(server, links["removed"])
    assert 400 <= status < 500
    assert b"line" not in content
    await asyncio.sleep((expires_at - datetime.now(UTC)).total_seconds() + 0.1)
    await fails(server, links["expired"], 401, "Token has expired")
    old = filled.name
    await filled.remove()
    again = await root.create_bucket(old)  # its grants ended with the bucket of that name
    await again.write("log", b"line", timestamp=2)
    await fails(
        server, links["narrowed"], 403, f"Token 'narrowed' doesn't have read access to bucket '{old}'"
    )


async def test_selecting_by_number(filled: Bucket) -> None:
    """The SDK itself refuses what clients before 1.19 did."""
    with pytest.raises(ValueError, match="Numeric record index selector was removed"):
        await filled.create_query_link("log", record_index=0)
