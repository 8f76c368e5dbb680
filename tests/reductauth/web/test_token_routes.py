"""The token API through the HTTP door, word by word."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from yarl import URL

from reductauth.testing import ADMINISTRATOR_VALUE
from tests.reductauth.web.conftest import Caller, Now, Serve

TOKEN_KEYS = [
    "name",
    "value",
    "created_at",
    "permissions",
    "is_provisioned",
    "expires_at",
    "ttl",
    "last_access",
    "ip_allowlist",
    "is_expired",
]
TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z")


async def answer(caller: Caller, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """Status and message of a refusal; the body must say the same as the header."""
    response = await caller(method, path, body)
    message = response.headers["x-reduct-error"]
    assert response.headers["content-type"] == "application/json"
    assert await response.json() == {"detail": message.replace('"', "'")}
    return response.status, message


async def test_create_answers_with_the_value_and_nothing_else(root: Caller) -> None:
    """The value begins with the name, has the documented shape, and is in no other answer."""
    response = await root("POST", "/api/v1/tokens/a.b_c-1", '{"read": ["x"]}')
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    created = await response.json()
    assert created.keys() == {"value", "created_at"}
    assert re.fullmatch(r"a\.b_c-1-rsat1[0-9A-Za-z]{49}", created["value"])
    assert created["created_at"] == "2030-03-17T17:46:40.000000Z"
    for caller, path in ((root, "tokens"), (root, "tokens/a.b_c-1"), (root.using(created["value"]), "me")):
        page = await caller("GET", f"/api/v1/{path}")
        assert page.headers["cache-control"] == "no-store"
        assert created["value"] not in await page.text()


async def test_the_token_object_key_for_key(root: Caller, now: Now) -> None:
    """Exactly the ten keys, `value` empty, times in UTC with `Z`; alike in the list, by name, and for oneself."""
    body = {
        "permissions": {"read": ["b", "a*"], "write": ["$sys"]},
        "expires_at": "2030-03-18T20:00:00.5+05:30",
        "ttl": 60,
        "ip_allowlist": ["127.0.0.1", "10.1.2.3/8", "::1"],
    }
    me = await root.make("t", json.dumps(body))
    expected: dict[str, Any] = {
        "name": "t",
        "value": "",
        "created_at": "2030-03-17T17:46:40.000000Z",
        "permissions": {"full_access": False, "read": ["b", "a*"], "write": ["$sys"]},
        "is_provisioned": False,
        "expires_at": "2030-03-18T14:30:00.500000Z",
        "ttl": 60,
        "last_access": None,
        "ip_allowlist": ["127.0.0.1", "10.0.0.0/8", "::1"],
        "is_expired": False,
    }
    shown = await (await root("GET", "/api/v1/tokens/t")).json()
    assert list(shown) == TOKEN_KEYS
    assert shown == expected
    assert (await (await root("GET", "/api/v1/tokens")).json())["tokens"][1] == expected
    own = await (await me("GET", "/api/v1/me")).json()
    assert {**own, "last_access": None} == expected  # its own use of it may be there already
    now.pass_seconds(60 * 60 * 24)
    assert (await (await root("GET", "/api/v1/tokens/t")).json())["is_expired"] is True


async def test_the_list_is_sorted_by_name(root: Caller) -> None:
    """Names in byte order; the bootstrap token is one of them, provisioned, with empty lists."""
    for name in ("b", "B", "a"):
        await root.make(name)
    tokens = (await (await root("GET", "/api/v1/tokens")).json())["tokens"]
    assert [token["name"] for token in tokens] == ["B", "a", "b", "init-token"]
    assert tokens[3]["permissions"] == {"full_access": True, "read": [], "write": []}
    assert tokens[3]["is_provisioned"] is True


async def test_last_access_appears_after_the_first_use(root: Caller, now: Now) -> None:
    """Null until the token was used, then the time of its last use."""
    me = await root.make("t", '{"permissions": {}, "ttl": 8}')
    now.pass_seconds(7)
    assert (await me("GET", "/api/v1/me")).status == 200
    used_at = "2030-03-17T17:46:47.000000Z"
    for _ in range(100):  # a token with a ttl is flushed at once, in the background
        shown = await (await root("GET", "/api/v1/tokens/t")).json()
        if shown["last_access"] is not None:
            break
        await asyncio.sleep(0.02)
    assert shown["last_access"] == used_at
    assert TIME.fullmatch(used_at)


@pytest.mark.parametrize(
    ("body", "read", "write", "full"),
    [
        ("{}", [], [], False),
        ('{"full_access": true}', [], [], True),
        ('{"read": ["a", "a", "b"]}', ["a", "b"], [], False),
        ('{"write": ["w*"], "read": []}', [], ["w*"], False),
        ('{"permissions": {}}', [], [], False),
        (
            '{"permissions": {"full_access": false, "read": ["*"]}, "expires_at": null, "ttl": null}',
            ["*"],
            [],
            False,
        ),
        ('{"role": "admin"}', [], [], True),
        ('{"role": "recorder"}', [], ["*"], False),
        ('{"role": "viewer", "description": "\\u00e9", "active": true}', ["*"], [], False),
    ],
)
async def test_bodies_that_are_accepted(
    root: Caller, body: str, read: list[str], write: list[str], full: bool
) -> None:
    """Flat and nested, with every key optional that the contract calls so; no content type is needed."""
    await root.make("t", body)
    permissions = (await (await root("GET", "/api/v1/tokens/t")).json())["permissions"]
    assert permissions == {"full_access": full, "read": read, "write": write}


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("", ""),
        ("nonsense", ""),
        ("[]", "object"),
        ("null", "object"),
        ('"text"', "object"),
        ("[" * 20_000, ""),
        (b"\xef\xbb\xbf{}", ""),
        (b'{"description": "\xff", "role": "viewer"}', ""),
        ('{"role": "viewer", "description": "\\ud800"}', ""),
        ('{"read": ["a"], "read": ["b"]}', "read"),
        ('{"permissions": {"read": [], "read": []}}', "read"),
        ('{"unknown": 1}', "unknown"),
        ('{"permissions": {"unknown": 1}}', "permissions.unknown"),
        ('{"permissions": {}, "value": "mine"}', "value"),
        ('{"permissions": {}, "name": "other"}', "name"),
        ('{"permissions": {}, "is_provisioned": true}', "is_provisioned"),
        ('{"permissions": {}, "created_at": "2030-01-01T00:00:00Z"}', "created_at"),
        ('{"permissions": {}, "read": ["a"]}', "read"),
        ('{"expires_at": "2031-01-01T00:00:00Z"}', "expires_at"),
        ('{"ttl": 5, "read": ["a"]}', "ttl"),
        ('{"permissions": null}', "permissions"),
        ('{"role": "viewer", "permissions": {}}', "permissions"),
        ('{"role": "root"}', "role"),
        ('{"role": 1}', "role"),
        ('{"full_access": "false"}', "full_access"),
        ('{"full_access": 1}', "full_access"),
        ('{"full_access": null}', "full_access"),
        ('{"full_access": []}', "full_access"),
        ('{"read": "data"}', "read"),
        ('{"read": [1]}', "read.0"),
        ('{"read": null}', "read"),
        ('{"read": {}}', "read"),
        (json.dumps({"read": [f"b{number}" for number in range(1_001)]}), "read"),
        ('{"ip_allowlist": "127.0.0.1"}', "ip_allowlist"),
        ('{"ip_allowlist": [1]}', "ip_allowlist.0"),
        ('{"ip_allowlist": null}', "ip_allowlist"),
        (json.dumps({"ip_allowlist": [1] * 1_001}), "at most 1000"),
        ('{"permissions": {}, "ttl": -1}', "ttl"),
        ('{"permissions": {}, "ttl": 1.5}', "ttl"),
        ('{"permissions": {}, "ttl": "60"}', "ttl"),
        ('{"permissions": {}, "ttl": true}', "ttl"),
        ('{"permissions": {}, "ttl": 9223372036854775808}', "ttl"),
        ('{"permissions": {}, "ttl": 18446744073709551616}', "ttl"),
        ('{"permissions": {}, "ttl": NaN}', ""),
        ('{"permissions": {}, "ttl": 1e400}', ""),
        ('{"permissions": {}, "expires_at": "2031-01-01T00:00:00"}', "expires_at"),
        ('{"permissions": {}, "expires_at": "2031-W01-1"}', "expires_at"),
        ('{"permissions": {}, "expires_at": "2031-02-30T00:00:00Z"}', "expires_at"),
        ('{"permissions": {}, "expires_at": "9999-12-31T23:59:59-14:00"}', "expires_at"),
        ('{"permissions": {}, "expires_at": 1900000000}', "expires_at"),
        ('{"permissions": {}, "valid_from": "0001-01-01T00:00:00+14:00"}', "valid_from"),
        ('{"permissions": {}, "active": "yes"}', "active"),
        ('{"permissions": {}, "description": null}', "description"),
    ],
)
async def test_bodies_that_are_refused(root: Caller, body: str | bytes, names: str) -> None:
    """Nothing is coerced, nothing is passed over; the message names the field; no token is made."""
    status, message = await answer(root, "POST", "/api/v1/tokens/t", body)
    assert status == 422
    assert message.startswith("Invalid body: ")
    assert names in message
    assert (await root("GET", "/api/v1/tokens/t")).status == 404


_MANY_KEYS = ", ".join(f'"{number}": 1' for number in range(20_000))


@pytest.mark.parametrize(
    "body",
    [
        f'{{{_MANY_KEYS}, "19999": 1}}',
        f"{{{_MANY_KEYS}}}",
        f'{{"grace_seconds": {{{_MANY_KEYS}}}}}',
    ],
    ids=["a key twice", "unknown keys", "in an object within"],
)
async def test_many_keys_hold_nobody_up(root: Caller, body: str) -> None:
    """Any token may send a body; one with very many keys is refused at once, while others wait for the loop."""
    narrow = await root.make("narrow")
    begun = time.monotonic()
    status, message = await answer(narrow, "POST", "/api/v1/me/rotate", body)
    assert status == 422
    assert message.startswith("Invalid body: an object can have at most 100 keys, got 2000")
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"ttl": 0}, "Token TTL must be greater than zero"),
        ({"expires_at": "2030-03-17T17:46:39Z"}, "Token expiration date must not be in the past"),
        ({"expires_at": "2030-03-17T17:46:40Z"}, "Token expiration date must not be in the past"),
        (
            {"permissions": {"read": ["a/b"]}},
            "Permission can contain only bucket names or wildcard '*', got 'a/b'",
        ),
        (
            {"permissions": {"write": [""]}},
            "Permission can contain only bucket names or wildcard '*', got ''",
        ),
        ({"permissions": {"read": ["a\n"]}}, "Unparsable message"),
        (
            {"valid_from": "2031-01-01T00:00:00Z", "expires_at": "2030-12-31T23:59:59Z"},
            "Token must become valid before it expires",
        ),
        (
            {"ip_allowlist": ["010.0.0.1"]},
            "'010.0.0.1' is not an IP address or a network in CIDR form, such as 10.0.0.7 or 10.0.0.0/8",
        ),
        ({"description": "x" * 1_001}, "Token description can have at most 1000 characters, got 1001"),
    ],
)
async def test_wishes_that_are_refused(root: Caller, body: dict[str, Any], message: str) -> None:
    """What is well-formed but out of bounds has a message of its own."""
    response = await root("POST", "/api/v1/tokens/t", json.dumps({"permissions": {}, **body}))
    assert (response.status, response.headers["x-reduct-error"]) == (422, message)
    assert (await response.json()).keys() == {"detail"}
    assert (await root("GET", "/api/v1/tokens/t")).status == 404


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large(root: Caller, announced: bool) -> None:
    """Over 1 MiB is 413, whether its length was announced or not; a compressed one counts as it unfolds."""
    body = b'{"read": [' + b" " * 1024 * 1024 + b"]}"

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    assert await answer(root, "POST", "/api/v1/tokens/t", io.BytesIO(body) if announced else chunks()) == (
        413,
        "Body is larger than 1048576 bytes",
    )
    headers = {"Content-Encoding": "gzip"}
    response = await root("POST", "/api/v1/tokens/t", gzip.compress(body), headers)
    assert response.status == 413


@pytest.mark.parametrize(
    "name", ["a b", "a%2Fb", "%C3%A9", "a%00", "a%0d%0ab", "a%22b%5C", "x" * 129, "a@b", "%F0%9F%99%82"]
)
@pytest.mark.parametrize(
    ("method", "suffix"),
    [("GET", ""), ("POST", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/revoke")],
)
async def test_names_that_are_refused(root: Caller, name: str, method: str, suffix: str) -> None:
    """An ill-formed name in a path is 422, for whoever may ask, and 403 for others."""
    path = URL(f"/api/v1/tokens/{name.replace(' ', '%20')}{suffix}", encoded=True)
    narrow = await root.make("narrow")
    headers = {"Authorization": f"Bearer {root.value}"}
    async with root.client.request(
        method, path, data=b"{}" if method in {"POST", "PATCH"} and not suffix else None, headers=headers
    ) as response:
        assert response.status == 422
        assert (
            response.headers["x-reduct-error"]
            == "Token name can contain only letters, digits and [-,_,.] symbols"
        )
    headers = {"Authorization": f"Bearer {narrow.value}"}
    async with root.client.request(method, path, headers=headers) as response:
        assert response.status == 403


@pytest.mark.parametrize("name", ["a", "A", "0", "a.b_c-d", "..", "me", "unauthorized", "x" * 128])
async def test_names_that_are_accepted(root: Caller, name: str) -> None:
    """Letters, digits, dot, underscore and dash; no name gives a right."""
    path = URL(f"/api/v1/tokens/{name.replace('.', '%2E')}", encoded=True)
    headers = {"Authorization": f"Bearer {root.value}"}
    async with root.client.post(path, data=b"{}", headers=headers) as response:
        assert response.status == 200
        value = (await response.json())["value"]
    me = root.using(value)
    assert (await (await me("GET", "/api/v1/me")).json())["name"] == name
    assert (await me("GET", "/api/v1/tokens")).status == 403


async def test_names_are_compared_exactly(root: Caller) -> None:
    """`Admin` and `admin` are two tokens."""
    await root.make("Admin")
    await root.make("admin")
    assert await answer(root, "POST", "/api/v1/tokens/admin", "{}") == (409, "Token 'admin' already exists")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/tokens?limt=5", None),
        ("GET", "/api/v1/tokens/init-token?vew=full", None),
        ("POST", "/api/v1/tokens/t?ttl=60", "{}"),
        ("POST", "/api/v1/tokens/init-token/rotate?grace=1", None),
        ("DELETE", "/api/v1/tokens/init-token?force", None),
    ],
)
async def test_unknown_query_parameters(root: Caller, method: str, path: str, body: str | None) -> None:
    """On the token routes a misspelled parameter does not pass unnoticed."""
    status, message = await answer(root, method, path, body)
    assert status == 422
    assert message.startswith("Invalid query: unknown parameter '")


@pytest.mark.parametrize("body", [None, "{}", " {} "])
async def test_rotation(root: Caller, body: str | None) -> None:
    """A new value; the old one, used a moment ago, is refused on the next request."""
    old = await root.make("t")
    assert (await old("GET", "/api/v1/me")).status == 200
    response = await root("POST", "/api/v1/tokens/t/rotate", body)
    assert (await response.json()).keys() == {"value", "created_at"}
    assert await answer(old, "GET", "/api/v1/me") == (401, "Invalid token")
    assert (await root.using((await response.json())["value"])("GET", "/api/v1/me")).status == 200


async def test_rotation_starts_the_idle_time_anew(root: Caller, now: Now) -> None:
    """`created_at` moves, so a token that was idle for too long works again with its new value."""
    old = await root.make("t", '{"permissions": {}, "ttl": 10}')
    now.pass_seconds(11)
    assert await answer(old, "GET", "/api/v1/me") == (401, "Token has expired")
    rotated = await (await root("POST", "/api/v1/tokens/t/rotate")).json()
    assert rotated["created_at"] == "2030-03-17T17:46:51.000000Z"
    assert (await root.using(rotated["value"])("GET", "/api/v1/me")).status == 200


async def test_rotations_that_are_refused(root: Caller, now: Now) -> None:
    """Unknown, provisioned, expired; a body that says anything."""
    rotate = "/api/v1/tokens/{}/rotate"
    expiring = await root.make("t", '{"permissions": {}, "expires_at": "2030-03-17T17:46:50Z"}')
    assert await answer(root, "POST", rotate.format("nope")) == (404, "Token 'nope' doesn't exist")
    assert await answer(root, "POST", rotate.format("init-token")) == (
        409,
        "Can't rotate provisioned token 'init-token'",
    )
    assert (await answer(root, "POST", rotate.format("t"), '{"unknown": 1}'))[0] == 422
    assert (await answer(root, "POST", rotate.format("t"), "[]"))[0] == 422
    assert (await expiring("GET", "/api/v1/me")).status == 200
    now.pass_seconds(10)
    assert await answer(root, "POST", rotate.format("t")) == (422, "Can't rotate expired token 't'")


async def test_deletion(root: Caller) -> None:
    """The value dies with the token; its name is free again, and a new token of that name inherits nothing."""
    old = await root.make("t", '{"full_access": true}')
    assert (await old("GET", "/api/v1/tokens")).status == 200
    response = await root("DELETE", "/api/v1/tokens/t")
    assert (response.status, await response.read()) == (200, b"")
    assert await answer(old, "GET", "/api/v1/me") == (401, "Invalid token")
    assert await answer(root, "DELETE", "/api/v1/tokens/t") == (404, "Token 't' doesn't exist")
    new = await root.make("t")
    assert await answer(old, "GET", "/api/v1/me") == (401, "Invalid token")
    assert await answer(new, "GET", "/api/v1/tokens") == (403, "Token 't' doesn't have full access")
    provisioned = (409, "Can't remove provisioned token 'init-token'")
    assert await answer(root, "DELETE", "/api/v1/tokens/init-token") == provisioned


@pytest.mark.parametrize(
    "unusable",
    [
        '{"permissions": {"full_access": true}, "expires_at": "2099-01-01T00:00:00Z"}',
        '{"permissions": {"full_access": true}, "ttl": 1000000}',
        '{"permissions": {"full_access": true}, "ip_allowlist": ["127.0.0.1"]}',
        '{"permissions": {"full_access": true}, "active": false}',
        '{"permissions": {"full_access": true}, "valid_from": "2099-01-01T00:00:00Z"}',
        '{"permissions": {"read": ["*"], "write": ["*"]}}',
    ],
)
async def test_the_last_administrator_stays(serve: Serve, unusable: str) -> None:
    """A token that cannot administer now and for good does not count; the caller itself is no exception."""
    async with serve(bootstrap={"RS_INIT_API_TOKEN": ADMINISTRATOR_VALUE}) as root:
        await root.make("other", unusable)
        refusal = (409, "Can't remove token 'init-token': at least one full-access token must remain")
        assert await answer(root, "DELETE", "/api/v1/tokens/init-token") == refusal
        assert (await root("GET", "/api/v1/me")).status == 200
        second = await root.make("second", '{"full_access": true}')
        assert (await root("DELETE", "/api/v1/tokens/init-token")).status == 200
        assert await answer(root, "GET", "/api/v1/me") == (401, "Invalid token")
        assert (await second("GET", "/api/v1/tokens")).status == 200


@pytest.mark.parametrize(
    ("body", "wait_seconds", "status", "message"),
    [
        ('{"permissions": {}, "expires_at": "2030-03-17T17:46:50Z"}', 9.999999, 200, ""),
        ('{"permissions": {}, "expires_at": "2030-03-17T17:46:50Z"}', 10, 401, "Token has expired"),
        ('{"permissions": {}, "ttl": 5}', 5.999999, 200, ""),
        ('{"permissions": {}, "ttl": 5}', 6, 401, "Token has expired"),
        ('{"permissions": {}, "valid_from": "2030-03-17T17:46:50Z"}', 9.999999, 401, "Invalid token"),
        ('{"permissions": {}, "valid_from": "2030-03-17T17:46:50Z"}', 10, 200, ""),
        ('{"permissions": {}, "active": false}', 0, 401, "Invalid token"),
        ('{"permissions": {}, "ip_allowlist": ["127.0.0.0/8"]}', 0, 200, ""),
        (
            '{"permissions": {}, "ip_allowlist": ["10.0.0.0/8"]}',
            0,
            401,
            "Token is not allowed for client IP 127.0.0.1",
        ),
    ],
)
async def test_when_a_token_is_good(
    root: Caller, now: Now, body: str, wait_seconds: float, status: int, message: str
) -> None:
    """Expiry, idleness, schedule, switch and allowlist, each at its boundary."""
    me = await root.make("t", body)
    now.pass_seconds(wait_seconds)
    response = await me("GET", "/api/v1/me")
    assert (response.status, response.headers.get("x-reduct-error", "")) == (status, message)


async def test_fifty_creations_of_one_name_at_once(root: Caller) -> None:
    """One succeeds, and only its value works."""
    responses = await asyncio.gather(*(root("POST", "/api/v1/tokens/t", "{}") for _ in range(50)))
    assert sorted(response.status for response in responses) == [200] + [409] * 49
    (made,) = [await response.json() for response in responses if response.status == 200]
    assert (await root.using(made["value"])("GET", "/api/v1/me")).status == 200


async def test_an_administrator_that_is_removed_cannot_finish(root: Caller) -> None:
    """Creations that race with the deletion of their creator are before it, or do not happen."""
    for number in range(20):
        other = await root.make("other", '{"full_access": true}')
        create, delete = await asyncio.gather(
            other("POST", f"/api/v1/tokens/made-{number}", "{}"), root("DELETE", "/api/v1/tokens/other")
        )
        assert delete.status == 200
        assert create.status in {200, 401}
        exists = (await root("GET", f"/api/v1/tokens/made-{number}")).status == 200
        assert exists == (create.status == 200)
