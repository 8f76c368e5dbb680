"""A token's life through the HTTP door: edited, rotated with grace, revoked, capped, by itself too."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import reductauth.web
from reductauth.settings import Settings
from reductauth.testing import ADMINISTRATOR_VALUE
from tests.reductauth.web.conftest import Caller, Now, Serve

NOW = "2030-03-17T17:46:40.000000Z"
LAST = "Can't {} token 'init-token': at least one full-access token must remain"

# A token with something in each field that an edit can name, and what the full view says of these.
GIVEN: dict[str, Any] = {
    "permissions": {"read": ["a"], "write": ["b"]},
    "description": "old",
    "valid_from": "2030-01-01T00:00:00Z",
    "expires_at": "2031-01-01T00:00:00Z",
    "ttl": 60,
    "ip_allowlist": ["127.0.0.1"],
    "active": True,
}
SHOWN: dict[str, Any] = {
    **GIVEN,
    "permissions": {"full_access": False, "read": ["a"], "write": ["b"]},
    "valid_from": "2030-01-01T00:00:00.000000Z",
    "expires_at": "2031-01-01T00:00:00.000000Z",
    "role": None,
}


async def refusal(caller: Caller, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """Status and message of a refusal; the body says the same as the header."""
    response = await caller(method, f"/api/v1/{path}", body)
    message = response.headers["x-reduct-error"]
    assert await response.json() == {"detail": message.replace('"', "'")}
    return response.status, message


async def full(caller: Caller, name: str) -> dict[str, Any]:
    """The full view of a token, without what its uses change."""
    response = await caller("GET", f"/api/v1/tokens/{name}?view=full")
    assert response.status == 200
    view: dict[str, Any] = await response.json()
    return view


async def status_of(caller: Caller) -> int:
    """How the caller is let in."""
    return (await caller("GET", "/api/v1/me")).status


# -- PATCH /tokens/{t} --------------------------------------------------------------------------------------

EDITS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"description": "new"}, {"description": "new"}),
    ({"description": None}, {"description": ""}),
    ({"active": False}, {"active": False}),
    ({"valid_from": "2030-02-01T01:00:00+01:00"}, {"valid_from": "2030-02-01T00:00:00.000000Z"}),
    ({"valid_from": None}, {"valid_from": None}),
    ({"expires_at": "2030-03-17T17:46:41Z"}, {"expires_at": "2030-03-17T17:46:41.000000Z"}),
    ({"expires_at": None}, {"expires_at": None}),
    ({"ttl": 1}, {"ttl": 1}),
    ({"ttl": 2**63 - 1}, {"ttl": 2**63 - 1}),
    ({"ttl": None}, {"ttl": None}),
    ({"ip_allowlist": ["10.1.2.3/8"]}, {"ip_allowlist": ["10.0.0.0/8"]}),
    ({"ip_allowlist": []}, {"ip_allowlist": []}),
    ({"ip_allowlist": None}, {"ip_allowlist": []}),
    (
        {"permissions": {"read": ["c*", "c*"]}},
        {"permissions": {"full_access": False, "read": ["c*"], "write": ["b"]}},
    ),
    (
        {"permissions": {"full_access": True}},
        {"permissions": {"full_access": True, "read": ["a"], "write": ["b"]}},
    ),
    (
        {"permissions": {"full_access": None, "read": None, "write": None}},
        {"permissions": {"full_access": False, "read": [], "write": []}},
    ),
    (
        {"role": "viewer"},
        {"role": "viewer", "permissions": {"full_access": False, "read": ["*"], "write": []}},
    ),
    (
        {"description": "x", "ttl": None, "permissions": {"write": []}},
        {
            "description": "x",
            "ttl": None,
            "permissions": {"full_access": False, "read": ["a"], "write": []},
        },
    ),
]


@pytest.mark.parametrize(("patch", "changed"), EDITS, ids=json.dumps)
async def test_edit(root: Caller, now: Now, patch: dict[str, Any], changed: dict[str, Any]) -> None:
    """What the patch names changes, null takes it back to its default, all else stays; the answer is the full view."""
    await root.make("t", json.dumps(GIVEN))
    before = await full(root, "t")
    assert {key: before[key] for key in SHOWN} == SHOWN
    now.pass_seconds(0.5)
    response = await root("PATCH", "/api/v1/tokens/t", json.dumps(patch))
    assert (response.status, response.headers["cache-control"]) == (200, "no-store")
    view = await response.json()
    assert list(view) == list(before)
    status = "inactive" if changed.get("active") is False else "active"
    assert view == {
        **before,
        **changed,
        "status": status,
        "updated_at": "2030-03-17T17:46:40.500000Z",
    }
    assert await full(root, "t") == view


@pytest.mark.parametrize(
    "patch",
    [
        {},
        {"permissions": {}},
        {"permissions": {"read": ["a"]}},
        {"description": "old", "ttl": 60, "active": True, "expires_at": "2031-01-01T01:00:00+01:00"},
    ],
)
async def test_an_edit_that_changes_nothing(root: Caller, now: Now, patch: dict[str, Any]) -> None:
    """It answers as ever, and leaves the time of the last change alone."""
    await root.make("t", json.dumps(GIVEN))
    before = await full(root, "t")
    now.pass_seconds(1)
    response = await root("PATCH", "/api/v1/tokens/t", json.dumps(patch))
    assert (response.status, await response.json()) == (200, before)
    assert before["updated_at"] == NOW


async def test_a_role_that_is_edited(root: Caller) -> None:
    """The kept role is null once the permissions differ from it, and stays null when they are it again by chance."""
    await root.make("t", '{"role": "viewer"}')
    for patch, role in (
        ('{"description": "x"}', "viewer"),
        ('{"permissions": {"read": ["*"]}}', "viewer"),
        ('{"permissions": {"write": ["a"]}}', None),
        ('{"permissions": {"write": []}}', None),
        ('{"role": "admin"}', "admin"),
        ('{"permissions": {"full_access": false}}', None),
    ):
        view = await (await root("PATCH", "/api/v1/tokens/t", patch)).json()
        assert view["role"] == role


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("", ""),
        ("nonsense", ""),
        ("[]", "object"),
        ("null", "object"),
        ("[" * 20_000, ""),
        ('{"ttl": 1, "ttl": 2}', "ttl"),
        ('{"permissions": {"read": [], "read": []}}', "read"),
        ('{"name": "other"}', "name"),
        ('{"value": "mine"}', "value"),
        ('{"is_provisioned": true}', "is_provisioned"),
        ('{"created_at": "2030-01-01T00:00:00Z"}', "created_at"),
        ('{"revoked_at": null}', "revoked_at"),
        ('{"read": ["a"]}', "read"),
        ('{"permissions": {"unknown": 1}}', "permissions.unknown"),
        ('{"permissions": null}', "permissions"),
        ('{"permissions": []}', "permissions"),
        ('{"permissions": {"full_access": "true"}}', "permissions.full_access"),
        ('{"permissions": {"full_access": 1}}', "permissions.full_access"),
        ('{"permissions": {"read": "a"}}', "permissions.read"),
        ('{"permissions": {"read": [null]}}', "permissions.read.0"),
        ('{"role": null}', "role"),
        ('{"role": "root"}', "role"),
        ('{"role": "viewer", "permissions": {}}', "role"),
        ('{"active": null}', "active"),
        ('{"active": "false"}', "active"),
        ('{"active": 0}', "active"),
        ('{"description": 1}', "description"),
        ('{"ttl": "60"}', "ttl"),
        ('{"ttl": true}', "ttl"),
        ('{"ttl": 1.5}', "ttl"),
        ('{"ttl": -1}', "ttl"),
        ('{"ttl": 9223372036854775808}', "ttl"),
        ('{"ip_allowlist": "127.0.0.1"}', "ip_allowlist"),
        ('{"ip_allowlist": [1]}', "ip_allowlist.0"),
        ('{"expires_at": "2031-01-01T00:00:00"}', "expires_at"),
        ('{"expires_at": 1900000000}', "expires_at"),
        ('{"valid_from": "2031-02-30T00:00:00Z"}', "valid_from"),
    ],
)
async def test_patches_that_are_refused(root: Caller, body: str, names: str) -> None:
    """Nothing is coerced, nothing is passed over; the message names the field; nothing is changed."""
    await root.make("t", json.dumps(GIVEN))
    before = await full(root, "t")
    status, message = await refusal(root, "PATCH", "tokens/t", body)
    assert status == 422
    assert message.startswith("Invalid body: ")
    assert names in message
    assert await full(root, "t") == before


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"ttl": 0}, "Token TTL must be greater than zero"),
        ({"expires_at": "2030-03-17T17:46:40Z"}, "Token expiration date must not be in the past"),
        ({"expires_at": "2029-12-31T00:00:00Z"}, "Token expiration date must not be in the past"),
        ({"valid_from": "2031-01-01T00:00:00Z"}, "Token must become valid before it expires"),
        (
            {"permissions": {"read": ["a/b"]}},
            "Permission can contain only bucket names or wildcard '*', got 'a/b'",
        ),
        (
            {"ip_allowlist": ["010.0.0.1"]},
            "'010.0.0.1' is not an IP address or a network in CIDR form, such as 10.0.0.7 or 10.0.0.0/8",
        ),
        ({"description": "x" * 1_001}, "Token description can have at most 1000 characters, got 1001"),
    ],
)
async def test_wishes_that_are_refused(root: Caller, patch: dict[str, Any], message: str) -> None:
    """The checks of a creation, on the token as it would be."""
    await root.make("t", json.dumps(GIVEN))
    before = await full(root, "t")
    patch = {"description": "lost", **patch}
    assert await refusal(root, "PATCH", "tokens/t", json.dumps(patch)) == (422, message)
    assert await full(root, "t") == before


async def test_tokens_that_are_not_edited(root: Caller) -> None:
    """Unknown, ill-formed, provisioned, revoked; a misspelled parameter."""
    await root.make("t")
    await root("POST", "/api/v1/tokens/t/revoke")
    for path, answer in {
        "tokens/nope": (404, "Token 'nope' doesn't exist"),
        "tokens/a@b": (422, "Token name can contain only letters, digits and [-,_,.] symbols"),
        "tokens/init-token": (409, "Can't change provisioned token 'init-token'"),
        "tokens/t": (409, "Token 't' is revoked"),
        "tokens/t?force=1": (422, "Invalid query: unknown parameter 'force'"),
    }.items():
        for patch in ('{"active": true}', "{}"):
            assert await refusal(root, "PATCH", path, patch) == answer


async def test_an_expired_token_is_prolonged(root: Caller, now: Now) -> None:
    """It works again with its old value; what has nothing to do with its expiry can be changed before that."""
    holder = await root.make("t", '{"permissions": {}, "expires_at": "2030-03-17T17:46:50Z"}')
    now.pass_seconds(10)
    assert await status_of(holder) == 401
    response = await root("PATCH", "/api/v1/tokens/t", '{"description": "soon"}')
    assert (await response.json())["status"] == "expired"
    response = await root("PATCH", "/api/v1/tokens/t", '{"expires_at": "2030-03-17T17:47:00Z"}')
    assert (await response.json())["status"] == "active"
    assert await status_of(holder) == 200


async def test_an_edit_counts_for_the_next_request(root: Caller) -> None:
    """Switch, grants and allowlist, each from the answer on, for a value that was used a moment ago."""
    holder = await root.make("t", '{"full_access": true}')
    assert (await holder("GET", "/api/v1/tokens")).status == 200
    for patch, me, tokens in (
        ('{"active": false}', 401, 401),
        ('{"active": true}', 200, 200),
        ('{"permissions": {"full_access": false}}', 200, 403),
        ('{"permissions": {"full_access": true}}', 200, 200),
        ('{"ip_allowlist": ["10.0.0.1"]}', 401, 401),
        ('{"ip_allowlist": null}', 200, 200),
    ):
        assert (await root("PATCH", "/api/v1/tokens/t", patch)).status == 200
        assert await status_of(holder) == me
        assert (await holder("GET", "/api/v1/tokens")).status == tokens


@pytest.mark.parametrize(
    ("patch", "verb"),
    [
        ('{"active": false}', "deactivate"),
        ('{"permissions": {"full_access": false}}', "change"),
        ('{"permissions": {"full_access": null}}', "change"),
        ('{"role": "recorder"}', "change"),
        ('{"expires_at": "2099-01-01T00:00:00Z"}', "change"),
        ('{"ttl": 1000000}', "change"),
        ('{"valid_from": "2099-01-01T00:00:00Z"}', "change"),
        ('{"ip_allowlist": ["127.0.0.1"]}', "change"),
    ],
)
async def test_the_last_administrator_stays_usable(serve: Serve, patch: str, verb: str) -> None:
    """The caller itself is no exception; once another one is there, the edit is made."""
    async with serve(bootstrap={"RS_INIT_API_TOKEN": ADMINISTRATOR_VALUE}) as root:
        before = await full(root, "init-token")
        answer = (409, LAST.format(verb))
        assert await refusal(root, "PATCH", "tokens/init-token", patch) == answer
        after = await full(root, "init-token")
        assert {key: after[key] for key in SHOWN} == {key: before[key] for key in SHOWN}
        await root.make("second", '{"full_access": true}')
        assert (await root("PATCH", "/api/v1/tokens/init-token", patch)).status == 200


async def test_edits_through_two_servers_at_once(serve: Serve) -> None:
    """Of edits of different fields of one token, through two servers on one folder, none is lost."""
    async with serve() as first, serve() as second:
        await first.make("t", '{"permissions": {}}')
        patches: list[dict[str, Any]] = [
            {"description": "new"},
            {"ttl": 7},
            {"valid_from": "2030-01-01T00:00:00Z"},
            {"expires_at": "2031-01-01T00:00:00Z"},
            {"ip_allowlist": ["10.0.0.1"]},
            {"permissions": {"read": ["r"]}},
            {"permissions": {"write": ["w"]}},
            {"active": False},
        ]
        callers = itertools.cycle((first, second))
        responses = await asyncio.gather(
            *(
                caller("PATCH", "/api/v1/tokens/t", json.dumps(patch))
                for caller, patch in zip(callers, patches, strict=False)
            )
        )
        assert [response.status for response in responses] == [200] * 8
        for caller in (first, second):
            view = await full(caller, "t")
            assert {key: view[key] for key in SHOWN} == {
                "permissions": {"full_access": False, "read": ["r"], "write": ["w"]},
                "description": "new",
                "valid_from": "2030-01-01T00:00:00.000000Z",
                "expires_at": "2031-01-01T00:00:00.000000Z",
                "ttl": 7,
                "ip_allowlist": ["10.0.0.1"],
                "active": False,
                "role": None,
            }


# -- POST /tokens/{t}/rotate --------------------------------------------------------------------------------


async def test_rotation_with_grace(root: Caller, now: Now) -> None:
    """The old value works on for so many seconds, to the microsecond; the full view shows both."""
    old = await root.make("t")
    now.pass_seconds(1)
    response = await root("POST", "/api/v1/tokens/t/rotate", '{"grace_seconds": 60}')
    rotated = await response.json()
    assert (response.status, response.headers["cache-control"]) == (200, "no-store")
    assert rotated == {
        "value": rotated["value"],
        "created_at": "2030-03-17T17:46:41.000000Z",
        "previous_expires_at": "2030-03-17T17:47:41.000000Z",
    }
    new = root.using(rotated["value"])
    secrets = [(one["created_at"], one["expires_at"]) for one in (await full(root, "t"))["secrets"]]
    assert secrets == [(NOW, rotated["previous_expires_at"]), (rotated["created_at"], None)]
    now.pass_seconds(59.999999)
    assert [await status_of(caller) for caller in (old, new)] == [200, 200]
    now.pass_seconds(0.000001)
    assert [await status_of(caller) for caller in (old, new)] == [401, 200]
    assert await refusal(old, "GET", "me") == (401, "Invalid token")
    assert len((await full(root, "t"))["secrets"]) == 1


async def test_a_second_rotation_during_grace(root: Caller) -> None:
    """It ends the oldest value at once; one without grace ends all but its own."""
    callers = [await root.make("t")]
    for body in ('{"grace_seconds": 60}', '{"grace_seconds": 60}', '{"grace_seconds": 2592000}'):
        rotated = await (await root("POST", "/api/v1/tokens/t/rotate", body)).json()
        callers.append(root.using(rotated["value"]))
    assert rotated["previous_expires_at"] == "2030-04-16T17:46:40.000000Z"
    assert [await status_of(caller) for caller in callers] == [401, 401, 200, 200]
    rotated = await (await root("POST", "/api/v1/tokens/t/rotate", '{"grace_seconds": 0}')).json()
    assert rotated.keys() == {"value", "created_at"}
    callers.append(root.using(rotated["value"]))
    assert [await status_of(caller) for caller in callers] == [401, 401, 401, 401, 200]


@pytest.mark.parametrize("state", ['"active": false', '"valid_from": "2031-01-01T00:00:00Z"'])
async def test_a_token_that_does_not_work_can_be_rotated(root: Caller, state: str) -> None:
    """Inactive or scheduled: it gets a new value, and does not work for that."""
    await root.make("t", f'{{"permissions": {{}}, {state}}}')
    rotated = await (await root("POST", "/api/v1/tokens/t/rotate", '{"grace_seconds": 5}')).json()
    new = root.using(rotated["value"])
    assert await refusal(new, "GET", "me") == (401, "Invalid token")
    await root("PATCH", "/api/v1/tokens/t", '{"active": true, "valid_from": null}')
    assert await status_of(new) == 200


@pytest.mark.parametrize(
    "body",
    [
        '{"grace_seconds": -1}',
        '{"grace_seconds": 2592001}',
        '{"grace_seconds": 1.0}',
        '{"grace_seconds": "60"}',
        '{"grace_seconds": true}',
        '{"grace_seconds": null}',
        '{"grace_seconds": 18446744073709551616}',
        '{"grace": 60}',
        '{"grace_seconds": 1, "grace_seconds": 2}',
    ],
)
async def test_grace_that_is_refused(root: Caller, body: str) -> None:
    """A whole number from 0 to 30 days; whatever else changes nothing, by either route."""
    holder = await root.make("t")
    for caller, path in ((root, "tokens/t/rotate"), (holder, "me/rotate")):
        status, message = await refusal(caller, "POST", path, body)
        assert status == 422
        assert message.startswith("Invalid body: grace")
    assert await status_of(holder) == 200
    assert len((await full(root, "t"))["secrets"]) == 1


async def test_the_last_administrator_is_rotated_with_grace(serve: Serve) -> None:
    """Its new value has no end, so it stays usable; a value in its grace acts until its time."""
    async with serve(bootstrap={"RS_INIT_API_TOKEN": ADMINISTRATOR_VALUE}) as root:
        rotated = await root("POST", "/api/v1/me/rotate", '{"grace_seconds": 60}')
        assert rotated.status == 200
        await root.make("t")
        assert (await root("DELETE", "/api/v1/tokens/t")).status == 200
        assert await refusal(root, "DELETE", "me") == (409, LAST.format("revoke"))


async def test_two_rotations_at_once(serve: Serve) -> None:
    """Through two servers on one folder: both new values work, the first one in its grace."""
    async with serve() as first, serve() as second:
        for number in range(5):
            old = await first.make(f"t{number}")
            path = f"/api/v1/tokens/t{number}/rotate"
            responses = await asyncio.gather(
                *(caller("POST", path, '{"grace_seconds": 60}') for caller in (first, second))
            )
            values = [(await response.json())["value"] for response in responses]
            for server in (first, second):
                assert [await status_of(server.using(value)) for value in values] == [200, 200]
                assert await status_of(server.using(old.value)) == 401
            ends = [one["expires_at"] for one in (await full(first, f"t{number}"))["secrets"]]
            assert ends == ["2030-03-17T17:47:40.000000Z", None]


async def test_grace_under_readers(tmp_path: Path) -> None:
    """32 readers at once, by the real clock: the old value is never refused before its time, never let in after."""
    environ = {
        "RS_API_TOKEN": ADMINISTRATOR_VALUE,
        "RS_DATA_PATH": str(tmp_path),
        "RS_AUTH_FAILURES_PER_MINUTE": "0",
    }
    app = web.Application()
    reductauth.web.setup(app, Settings.from_environment(environ), environ=environ)
    async with TestClient(TestServer(app)) as client:
        root = Caller(client, ADMINISTRATOR_VALUE)
        old = await root.make("t")
        seen: list[tuple[float, float, int]] = []
        is_over = False

        async def read() -> None:
            while not is_over:
                sent_at = time.time()
                status = await status_of(old)
                seen.append((sent_at, time.time(), status))

        readers = [asyncio.create_task(read()) for _ in range(32)]
        await asyncio.sleep(0.2)
        rotated = await (await root("POST", "/api/v1/tokens/t/rotate", '{"grace_seconds": 2}')).json()
        ends_at = datetime.fromisoformat(rotated["previous_expires_at"]).timestamp()
        new = root.using(rotated["value"])
        while time.time() < ends_at + 0.3:
            assert await status_of(new) == 200
            await asyncio.sleep(0.05)
        is_over = True
        await asyncio.gather(*readers)
    before = [status for _, answered_at, status in seen if answered_at < ends_at]
    after = [status for sent_at, _, status in seen if sent_at >= ends_at]
    assert set(before) == {200}
    assert set(after) == {401}
    assert 1.9 < ends_at - datetime.fromisoformat(rotated["created_at"]).timestamp() < 2.1


# -- POST /tokens/{t}/revoke --------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [None, "{}"])
async def test_revoke(root: Caller, now: Now, body: str | None) -> None:
    """Every value stops, the record stays for the books; repeating it changes nothing and answers the same."""
    old = await root.make("t", json.dumps(GIVEN))
    rotated = await (await root("POST", "/api/v1/tokens/t/rotate", '{"grace_seconds": 60}')).json()
    new = root.using(rotated["value"])
    before = await full(root, "t")
    now.pass_seconds(5)
    response = await root("POST", "/api/v1/tokens/t/revoke", body)
    view = await response.json()
    revoked_at = "2030-03-17T17:46:45.000000Z"
    assert (response.status, response.headers["cache-control"]) == (200, "no-store")
    assert view == {
        **before,
        "status": "revoked",
        "active": False,
        "expires_at": revoked_at,
        "is_expired": True,
        "revoked_at": revoked_at,
        "updated_at": revoked_at,
        "secrets": [],
    }
    for holder in (old, new):
        assert await refusal(holder, "GET", "me") == (401, "Invalid token")
    now.pass_seconds(5)
    response = await root("POST", "/api/v1/tokens/t/revoke", body)
    assert (response.status, await response.json()) == (200, view)
    assert await refusal(root, "POST", "tokens/t/rotate") == (409, "Token 't' is revoked")
    assert await refusal(root, "POST", "tokens/t", "{}") == (409, "Token 't' already exists")
    assert (await root("DELETE", "/api/v1/tokens/t")).status == 200


async def test_an_earlier_expiry_stays(root: Caller, now: Now) -> None:
    """A token that was expired when it was revoked expired then."""
    await root.make("t", '{"permissions": {}, "expires_at": "2030-03-17T17:46:42Z"}')
    now.pass_seconds(5)
    view = await (await root("POST", "/api/v1/tokens/t/revoke")).json()
    assert view["expires_at"] == "2030-03-17T17:46:42.000000Z"
    assert view["revoked_at"] == "2030-03-17T17:46:45.000000Z"


async def test_revocations_that_are_refused(serve: Serve) -> None:
    """Unknown, ill-formed, provisioned, the last administrator; a body or a parameter that says something."""
    async with serve() as root:
        await root.make("t")
        for path, body, answer in (
            ("nope/revoke", None, (404, "Token 'nope' doesn't exist")),
            ("a@b/revoke", None, (422, "Token name can contain only letters, digits and [-,_,.] symbols")),
            ("init-token/revoke", None, (409, "Can't change provisioned token 'init-token'")),
            ("t/revoke?now", None, (422, "Invalid query: unknown parameter 'now'")),
            ("t/revoke", '{"reason": "x"}', (422, "Invalid body: reason: is not a known field")),
            ("t/revoke", "[]", (422, "Invalid body: must be a JSON object")),
        ):
            assert await refusal(root, "POST", f"tokens/{path}", body) == answer
        assert (await full(root, "t"))["status"] == "active"


async def test_the_last_administrator_is_not_revoked(serve: Serve) -> None:
    """Not by another, not by itself; with a second one beside it, it is."""
    async with serve(bootstrap={"RS_INIT_API_TOKEN": ADMINISTRATOR_VALUE}) as root:
        other = await root.make("other", '{"permissions": {"full_access": true}, "ttl": 1000}')
        for caller in (root, other):
            answer = await refusal(caller, "POST", "tokens/init-token/revoke")
            assert answer == (409, LAST.format("revoke"))
        assert await refusal(root, "DELETE", "me") == (409, LAST.format("revoke"))
        second = await root.make("second", '{"full_access": true}')
        assert (await second("POST", "/api/v1/tokens/init-token/revoke")).status == 200
        assert await status_of(root) == 401


async def test_revocation_against_readers(serve: Serve) -> None:
    """Through two servers on one folder: after its answer no request with the value is let in, by either."""
    async with serve() as first, serve() as second:
        for number in range(10):
            holder = await first.make(f"t{number}")
            holders = [holder, second.using(holder.value)] * 8
            revoked = asyncio.Event()
            late: list[int] = []

            async def read(reader: Caller, revoked: asyncio.Event = revoked, late: list[int] = late) -> None:
                while True:
                    is_late = revoked.is_set()
                    status = await status_of(reader)
                    if is_late:
                        late.append(status)
                        return

            readers = [asyncio.create_task(read(reader)) for reader in holders]
            await asyncio.sleep(0.01)
            assert (await second("POST", f"/api/v1/tokens/t{number}/revoke")).status == 200
            revoked.set()
            await asyncio.gather(*readers)
            assert late == [401] * 16


async def test_edits_against_a_revocation(serve: Serve) -> None:
    """Whichever comes first, through two servers: a revoked token is never active again."""
    async with serve() as first, serve() as second:
        for number in range(10):
            holder = await first.make(f"t{number}")
            path = f"/api/v1/tokens/t{number}"
            edits = [
                caller("PATCH", path, '{"active": true, "expires_at": null}')
                for caller in (first, second) * 4
            ]
            edits.insert(number % 8, second("POST", f"{path}/revoke"))
            responses = await asyncio.gather(*edits)
            assert {response.status for response in responses} <= {200, 409}
            view = await full(first, f"t{number}")
            assert (view["status"], view["active"], view["expires_at"]) == ("revoked", False, NOW)
            assert await status_of(holder) == 401


# -- /me ----------------------------------------------------------------------------------------------------


async def test_a_token_revokes_itself(root: Caller) -> None:
    """Any valid token may; the answer is empty; then it is nobody."""
    holder = await root.make("t")
    response = await holder("DELETE", "/api/v1/me")
    assert (response.status, await response.read()) == (200, b"")
    assert await refusal(holder, "GET", "me") == (401, "Invalid token")
    assert await refusal(holder, "DELETE", "me") == (401, "Invalid token")
    view = await full(root, "t")
    assert (view["status"], view["revoked_at"], view["secrets"]) == ("revoked", NOW, [])


async def test_a_token_rotates_itself(root: Caller) -> None:
    """Without grace its old value is gone with the answer; with grace it may even rotate once more."""
    first = await root.make("t")
    rotated = await (await first("POST", "/api/v1/me/rotate")).json()
    assert rotated.keys() == {"value", "created_at"}
    assert rotated["value"].startswith("t-rsat1")
    second = root.using(rotated["value"])
    assert [await status_of(caller) for caller in (first, second)] == [401, 200]
    rotated = await (await second("POST", "/api/v1/me/rotate", '{"grace_seconds": 60}')).json()
    assert rotated["previous_expires_at"] == "2030-03-17T17:47:40.000000Z"
    third = root.using(rotated["value"])
    rotated = await (await second("POST", "/api/v1/me/rotate", '{"grace_seconds": 60}')).json()
    fourth = root.using(rotated["value"])
    assert [await status_of(caller) for caller in (second, third, fourth)] == [401, 200, 200]


async def test_a_provisioned_token_cannot_change_itself(root: Caller) -> None:
    """It is changed where it is provisioned."""
    assert await refusal(root, "DELETE", "me") == (409, "Can't change provisioned token 'init-token'")
    assert await refusal(root, "POST", "me/rotate") == (409, "Can't rotate provisioned token 'init-token'")
    assert await status_of(root) == 200


async def test_a_token_rotates_itself_twice_at_once(root: Caller) -> None:
    """The second one comes with a value that is dead by then."""
    for number in range(10):
        holder = await root.make(f"t{number}")
        responses = await asyncio.gather(*(holder("POST", "/api/v1/me/rotate") for _ in range(4)))
        assert sorted(response.status for response in responses) == [200, 401, 401, 401]
        (rotated,) = [await one.json() for one in responses if one.status == 200]
        assert await status_of(root.using(rotated["value"])) == 200


# -- RS_TOKEN_MAX_LIFETIME_SECONDS --------------------------------------------------------------------------

CAPPED = (
    422,
    "Token can be valid for at most 3600 seconds: "
    "expires_at must be given, not after 2030-03-17T18:46:40.000000Z",
)


@pytest.mark.parametrize(
    ("body", "is_made"),
    [
        ('{"permissions": {}, "expires_at": "2030-03-17T18:46:40Z"}', True),
        ('{"permissions": {}, "expires_at": "2030-03-17T17:46:41Z"}', True),
        ('{"permissions": {}, "expires_at": "2030-03-17T18:46:40.000001Z"}', False),
        ('{"permissions": {}, "expires_at": "2099-01-01T00:00:00Z"}', False),
        ('{"permissions": {}, "expires_at": null}', False),
        ('{"permissions": {}, "ttl": 60}', False),
        ('{"role": "admin"}', False),
        ('{"read": ["a"]}', False),
        ("{}", False),
    ],
)
async def test_creations_under_a_cap(serve: Serve, body: str, is_made: bool) -> None:
    """A new token must ask for an expiry within the cap."""
    async with serve(RS_TOKEN_MAX_LIFETIME_SECONDS="3600") as root:
        if is_made:
            assert (await root("POST", "/api/v1/tokens/t", body)).status == 200
        else:
            assert await refusal(root, "POST", "tokens/t", body) == CAPPED
            assert (await root("GET", "/api/v1/tokens/t")).status == 404


@pytest.mark.parametrize(
    ("patch", "is_made"),
    [
        ('{"expires_at": "2030-03-17T18:46:40Z"}', True),
        ('{"expires_at": "2030-03-17T17:56:40Z", "description": "as it was"}', True),
        ('{"description": "x"}', True),
        ('{"expires_at": "2030-03-17T18:46:40.000001Z"}', False),
        ('{"expires_at": null}', False),
        ('{"expires_at": null, "ttl": 60}', False),
    ],
)
async def test_edits_under_a_cap(serve: Serve, patch: str, is_made: bool) -> None:
    """An edit cannot lead beyond it; one that leaves the expiry alone is not asked."""
    async with serve(RS_TOKEN_MAX_LIFETIME_SECONDS="3600") as root:
        await root.make("t", '{"permissions": {}, "expires_at": "2030-03-17T17:56:40Z"}')
        before = await full(root, "t")
        if is_made:
            assert (await root("PATCH", "/api/v1/tokens/t", patch)).status == 200
        else:
            assert await refusal(root, "PATCH", "tokens/t", patch) == CAPPED
            assert await full(root, "t") == before


async def test_what_a_cap_does_not_touch(serve: Serve) -> None:
    """The deployment's own tokens, and tokens from before the cap: they work, and are edited in everything else."""
    async with serve(bootstrap={"RS_INIT_API_TOKEN": ADMINISTRATOR_VALUE}) as root:
        old = await root.make("old")
    declared = {
        "RS_TOKEN_HALL_NAME": "hall",
        "RS_TOKEN_HALL_VALUE": "value-of-the-hall-0123456789abcdef",
        "RS_TOKEN_HALL_READ": "a",
        "RS_API_TOKEN": ADMINISTRATOR_VALUE,
    }
    async with serve(bootstrap=declared, RS_TOKEN_MAX_LIFETIME_SECONDS="3600") as root:
        for value in (declared["RS_TOKEN_HALL_VALUE"], old.value):
            assert await status_of(root.using(value)) == 200
        response = await root("PATCH", "/api/v1/tokens/old", '{"description": "kept", "expires_at": null}')
        assert response.status == 200
        assert (await root("POST", "/api/v1/tokens/old/rotate")).status == 200


# -- words --------------------------------------------------------------------------------------------------

TIME = "must be an RFC 3339 time with an offset, such as 2030-01-31T12:00:00Z"
WORDS: list[tuple[dict[str, Any], str]] = [
    ({"permissions": []}, "permissions: must be an object"),
    ({"permissions": {"read": {}}}, "permissions.read: must be a list"),
    ({"permissions": {"read": [1]}}, "permissions.read.0: must be a string"),
    ({"permissions": {"read": ["a"] * 1001}}, "permissions.read: can have at most 1000 entries"),
    ({"permissions": {"reads": []}}, "permissions.reads: is not a known field"),
    ({"role": "owner"}, "role: must be 'admin', 'recorder' or 'viewer'"),
    ({"active": 1}, "active: must be true or false"),
    ({"description": 1}, "description: must be a string"),
    ({"ttl": 1.5}, "ttl: must be an integer"),
    ({"ttl": -1}, "ttl: must be at least 0"),
    ({"ttl": 2**63}, "ttl: must be at most 9223372036854775807"),
    ({"valid_from": "{ttl}"}, f"valid_from: {TIME}"),
    ({"ip_allowlist": "10.0.0.1"}, "ip_allowlist: must be a list"),
]


@pytest.mark.parametrize(("patch", "message"), WORDS, ids=[message for _, message in WORDS])
async def test_what_is_wrong_with_a_body_is_said_in_plain_words(
    root: Caller, patch: dict[str, Any], message: str
) -> None:
    """The field, and what would be right; nothing of how bodies are read."""
    await root.make("t")
    answer = await refusal(root, "PATCH", "tokens/t", json.dumps(patch))
    assert answer == (422, f"Invalid body: {message}")
