"""Tokens by the nested body, which the SDK sends since 1.19: expiry, idle time, allowlist, rotation."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from reduct import Client
from reduct.error import ReductError
from reduct.msg.token import Permissions

from tests.servers import ServerProcess
from tests.storage_demo.sdk.client import client, refused


async def test_a_token_keeps_what_it_was_made_with(root: Client) -> None:
    """Permissions, expiry, idle time and allowlist come back as they were given."""
    expires_at = datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)
    value = await root.create_token(
        "full-of-rules",
        Permissions(read=["robots", "arm*"], write=["robots"]),
        expires_at=expires_at,
        ttl=3600,
        ip_allowlist=["127.0.0.0/8", "10.1.2.3"],
    )
    assert value.startswith("full-of-rules-")
    token = await root.get_token("full-of-rules")
    assert token.permissions == Permissions(read=["robots", "arm*"], write=["robots"])
    assert (token.expires_at, token.ttl, token.ip_allowlist) == (
        expires_at,
        3600,
        ["127.0.0.0/8", "10.1.2.3"],
    )
    assert (token.is_provisioned, token.is_expired, token.last_access) == (False, False, None)
    listed = {listed.name: listed for listed in await root.get_token_list()}["full-of-rules"]
    assert (listed.expires_at, listed.ttl, listed.ip_allowlist) == (
        token.expires_at,
        token.ttl,
        token.ip_allowlist,
    )


async def test_a_token_without_rules(root: Client) -> None:
    """What is not given is null, or empty."""
    await root.create_token("plain", Permissions())
    token = await root.get_token("plain")
    assert (token.expires_at, token.ttl, token.ip_allowlist) == (None, None, [])
    assert token.permissions == Permissions(full_access=False, read=[], write=[])


async def test_an_expired_token(root: Client, server: ServerProcess) -> None:
    """It works until its time is up; then it is refused, cannot be rotated, and can be removed."""
    expires_at = datetime.now(UTC) + timedelta(seconds=3)
    value = await root.create_token("brief", Permissions(read=["*"]), expires_at=expires_at)
    assert (await client(server, value).me()).is_expired is False
    await asyncio.sleep((expires_at - datetime.now(UTC)).total_seconds() + 0.1)
    await refused(client(server, value).me(), 401, "Token has expired")
    assert (await root.get_token("brief")).is_expired is True
    await refused(root.rotate_token("brief"), 422, "Can't rotate expired token 'brief'")
    await root.remove_token("brief")


async def test_an_idle_token(root: Client, server: ServerProcess) -> None:
    """One that nobody uses for longer than its idle time is refused, and a rotation wakes it up."""
    value = await root.create_token("sleepy", Permissions(read=["*"]), ttl=1)
    await client(server, value).me()
    await asyncio.sleep(2.5)  # more than one whole second
    await refused(client(server, value).me(), 401, "Token has expired")
    new = await root.rotate_token("sleepy")
    assert (await client(server, new).me()).name == "sleepy"


@pytest.mark.parametrize(
    ("allowlist", "allowed"),
    [
        ([], True),
        (["127.0.0.1"], True),
        (["127.0.0.0/8"], True),
        (["10.0.0.0/8", "127.0.0.1"], True),
        (["10.0.0.0/8"], False),
        (["::1"], False),
    ],
)
async def test_an_allowlist(
    root: Client, server: ServerProcess, allowlist: list[str], allowed: bool, request: pytest.FixtureRequest
) -> None:
    """A token works from the addresses that it names, and from everywhere if it names none."""
    name = f"listed-{request.node.callspec.indices['allowlist']}"
    value = await root.create_token(name, Permissions(read=["*"]), ip_allowlist=allowlist)
    if allowed:
        assert (await client(server, value).me()).name == name
    else:
        await refused(client(server, value).me(), 401, "Token is not allowed for client IP 127.0.0.1")


async def test_rules_that_make_no_sense(root: Client) -> None:
    """They are refused, and no token comes of them."""
    nothing = Permissions()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    await refused(root.create_token("bad", nothing, ttl=0), 422, "Token TTL must be greater than zero")
    await refused(
        root.create_token("bad", nothing, expires_at=yesterday),
        422,
        "Token expiration date must not be in the past",
    )
    for rules in ({"ip_allowlist": ["10.0.0.300"]}, {"expires_at": datetime(2099, 1, 1)}):  # noqa: DTZ001
        with pytest.raises(ReductError) as error:  # the second time has no offset
            await root.create_token("bad", nothing, **rules)
        assert error.value.status_code == 422
    await refused(root.get_token("bad"), 404, "Token 'bad' doesn't exist")
    await root.create_token("good", nothing)
    await refused(root.create_token("good", nothing), 409, "Token 'good' already exists")


async def test_rotation_keeps_the_rules(root: Client, server: ServerProcess) -> None:
    """The old value dies at once, and the new one may what the old one did."""
    old = await root.create_token(
        "turning", Permissions(write=["robots"]), ttl=3600, ip_allowlist=["127.0.0.1"]
    )
    before = await root.get_token("turning")
    new = await root.rotate_token("turning")
    await refused(client(server, old).me(), 401, "Invalid token")
    after = await client(server, new).me()
    assert (after.permissions, after.ttl, after.ip_allowlist) == (
        before.permissions,
        before.ttl,
        before.ip_allowlist,
    )
    assert after.created_at > before.created_at
