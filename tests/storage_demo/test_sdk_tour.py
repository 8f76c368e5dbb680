"""The main job, as its users see it: the official Python SDK, unchanged, against a real server process."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from reduct import BucketSettings, QuotaType
from reduct.msg.token import Permissions

from tests.forked import forked
from tests.servers import ROOT_VALUE, ServerProcess
from tests.storage_demo.sdk.client import bucket_of, client, read, refused


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with forked(tmp_path) as process:
        yield process


async def test_narrow_tokens(server: ServerProcess) -> None:
    """A token that reads, one that writes, one that does neither: each may exactly what it was given."""
    root = client(server, ROOT_VALUE)
    bucket = await root.create_bucket(
        "robots", BucketSettings(quota_type=QuotaType.HARD, quota_size=1_000_000)
    )
    await root.create_bucket("other")
    a = await root.create_token("a", Permissions(read=["robots"]))
    b = await root.create_token("b", Permissions(write=["robots"]))
    c = await root.create_token("c", Permissions(read=["other"], write=["other"]))

    await bucket_of(server, b).write("arm/camera", b"hello", timestamp=1_000_000, labels={"kind": "test"})
    await refused(
        bucket_of(server, a).write("arm/camera", b"x", timestamp=2),
        403,
        "Token 'a' doesn't have write access to bucket 'robots'",
    )
    await refused(
        bucket_of(server, c).write("arm/camera", b"x", timestamp=2),
        403,
        "Token 'c' doesn't have write access to bucket 'robots'",
    )

    assert await read(bucket_of(server, a), "arm/camera", 1_000_000) == b"hello"
    assert await read(bucket_of(server, a), "arm/camera") == b"hello"
    for name, value in (("b", b), ("c", c)):
        await refused(
            read(bucket_of(server, value), "arm/camera"),
            403,
            f"Token '{name}' doesn't have read access to bucket 'robots'",
        )
    assert [entry.name for entry in await bucket.get_entry_list()] == ["arm", "arm/camera"]

    assert [found.name for found in await root.list()] == ["other", "robots"]
    assert [found.name for found in await client(server, a).list()] == ["robots"]
    assert [found.name for found in await client(server, b).list()] == []
    assert [found.name for found in await client(server, c).list()] == ["other"]

    for name, value in (("a", a), ("b", b), ("c", c)):
        narrow = client(server, value)
        no = f"Token '{name}' doesn't have full access"
        await refused(narrow.create_bucket("mine"), 403, no)
        await refused(narrow.get_token_list(), 403, no)
        await refused(narrow.create_token("more", Permissions(full_access=True)), 403, no)
        await refused(narrow.remove_token("init-token"), 403, no)
        await refused(narrow.rotate_token(name), 403, no)
        assert (await narrow.me()).name == name
        await narrow.info()


async def test_rotate_and_remove(server: ServerProcess) -> None:
    """A rotated value and a removed token stop working at once; what replaced the value works."""
    root = client(server, ROOT_VALUE)
    old = await root.create_token("worker", Permissions(read=["a"], write=["b*"]))
    assert old.startswith("worker-")
    assert (await client(server, old).me()).permissions == Permissions(read=["a"], write=["b*"])
    new = await root.rotate_token("worker")
    await refused(client(server, old).me(), 401, "Invalid token")
    assert (await client(server, new).me()).name == "worker"
    await root.remove_token("worker")
    await refused(client(server, new).me(), 401, "Invalid token")
    await refused(root.remove_token("worker"), 404, "Token 'worker' doesn't exist")
    await refused(root.remove_token("init-token"), 409, "Can't remove provisioned token 'init-token'")
    await refused(root.rotate_token("init-token"), 409, "Can't rotate provisioned token 'init-token'")


async def test_grants_follow_a_renamed_bucket_and_end_with_a_removed_one(server: ServerProcess) -> None:
    """Exact grants follow the bucket; wildcards are left alone; a new bucket of the old name opens to nobody."""
    root = client(server, ROOT_VALUE)
    bucket = await root.create_bucket("first")
    value = await root.create_token("t", Permissions(read=["first", "fir*"], write=["first"]))
    await bucket.rename("second")
    assert (await client(server, value).me()).permissions == Permissions(
        read=["second", "fir*"], write=["second"]
    )
    await bucket_of(server, value, "second").write("e", b"1", timestamp=1)
    await (await root.get_bucket("second")).remove()
    await root.create_bucket("second")
    assert (await client(server, value).me()).permissions == Permissions(read=["fir*"], write=[])
    await refused(
        bucket_of(server, value, "second").write("e", b"1", timestamp=1),
        403,
        "Token 't' doesn't have write access to bucket 'second'",
    )


async def test_sdk_housekeeping(server: ServerProcess) -> None:
    """Settings, info, the empty lists, and records of more than one chunk in both directions."""
    root = client(server, ROOT_VALUE)
    bucket = await root.create_bucket("big")
    await bucket.set_settings(BucketSettings(quota_type=QuotaType.HARD, quota_size=10_000_000))
    settings = await bucket.get_settings()
    assert (settings.quota_type, settings.quota_size, settings.max_block_records) == (
        QuotaType.HARD,
        10_000_000,
        1024,
    )
    content = bytes(range(256)) * 20_000

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    await bucket.write("blob", stream(), timestamp=7, content_length=len(content), content_type="image/png")
    async with bucket.read("blob", timestamp=7) as record:
        assert (record.size, record.content_type) == (len(content), "image/png")
        assert await record.read_all() == content
    async with bucket.read("blob", timestamp=7, head=True) as record:
        assert record.size == len(content)
    await refused(
        bucket.write("blob", b"again", timestamp=7), 409, "A record with timestamp 7 already exists"
    )
    await refused(
        bucket.write("blob", stream(), timestamp=8, content_length=len(content)),
        400,
        "Quota of 'big' exceeded",
    )
    assert await root.get_replications() == []
    assert await root.get_lifecycles() == []
    info = await root.info()
    assert (info.version, info.bucket_count, info.oldest_record, info.latest_record) == ("1.21.0", 1, 7, 7)


async def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    """Buckets, records, tokens and their values are there after the next start."""
    with forked(tmp_path) as server:
        root = client(server, ROOT_VALUE)
        await (await root.create_bucket("robots")).write("log", b"kept", timestamp=5, labels={"a": "b"})
        value = await root.create_token("reader", Permissions(read=["robots"]))
        created_at = (await root.get_token("reader")).created_at
        assert server.stop() == 0
    with forked(tmp_path) as server:
        async with bucket_of(server, value).read("log") as record:
            assert (await record.read_all(), record.labels) == (b"kept", {"a": "b"})
        assert (await client(server, ROOT_VALUE).get_token("reader")).created_at == created_at
        assert server.stop(signal.SIGINT) == 0


async def test_a_changed_bootstrap_value_replaces_the_old_one(tmp_path: Path) -> None:
    """After a start with another `RS_API_TOKEN` the former value is nobody's, and other tokens stay."""
    with forked(tmp_path) as server:
        value = await client(server, ROOT_VALUE).create_token("reader", Permissions(read=["*"]))
    changed = "another-root-value-of-the-tests-0123456789"
    with forked(tmp_path, {"RS_API_TOKEN": changed}) as server:
        await refused(client(server, ROOT_VALUE).me(), 401, "Invalid token")
        assert (await client(server, changed).me()).name == "init-token"
        assert (await client(server, value).me()).name == "reader"


async def test_without_authentication(tmp_path: Path) -> None:
    """With `RS_DISABLE_AUTH` everybody may do everything, tokens cannot be made, and the log says so."""
    with forked(tmp_path, {"RS_DISABLE_AUTH": "true"}) as server:
        nobody = client(server, None)
        bucket = await nobody.create_bucket("open")
        await bucket.write("e", b"1", timestamp=1)
        assert await read(bucket, "e") == b"1"
        me = await nobody.me()
        assert (me.name, me.permissions.full_access) == ("AUTHENTICATION-DISABLED", True)
        assert await nobody.get_token_list() == []
        await refused(nobody.create_token("t", Permissions()), 400, "Authentication is disabled")
        await bucket.rename("still-open")
        await bucket.remove()
        assert "authentication is OFF" in server.log
