"""Server and bucket routes, as the protocol reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from reductauth.sqlite import SqliteStore
from reductauth.store import IntentKind
from tests.reductauth.web.conftest import Caller

DEFAULTS = {"quota_type": "NONE", "quota_size": 0, "max_block_size": 64_000_000, "max_block_records": 1024}
BAD_NAME = "Bucket or entry name can contain only letters, digests and [-,_] symbols"


async def refusal(caller: Caller, method: str, path: str | URL, body: Any = None) -> tuple[int, str]:
    response = await caller(method, path, body)
    message = response.headers["x-reduct-error"]
    assert await response.json() == {"detail": message}
    return response.status, message


async def page(caller: Caller, path: str) -> Any:
    response = await caller("GET", f"/api/v1/{path}")
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    return await response.json()


async def test_success_without_data(root: Caller) -> None:
    """200, an empty body, `content-length: 0`."""
    for method, path in (
        ("GET", "alive"),
        ("GET", "ready"),
        ("POST", "b/x"),
        ("PUT", "b/x"),
        ("DELETE", "b/x"),
    ):
        response = await root(method, f"/api/v1/{path}")
        assert (response.status, await response.read()) == (200, b"")
        assert response.headers["content-length"] == "0"


async def test_info(root: Caller) -> None:
    """All keys, integers as integers; empty buckets do not count for the oldest record."""
    info = await page(root, "info")
    assert isinstance(info.pop("uptime"), int)
    empty = {
        "version": "1.21.0",
        "instance_name": "tests",
        "instance_role": "STANDALONE",
        "bucket_count": 0,
        "usage": 0,
        "oldest_record": 0,
        "latest_record": 0,
        "defaults": {"bucket": DEFAULTS},
        "license": None,
    }
    assert info == empty
    for path, body in (
        ("b/a", None),
        ("b/b", None),
        ("b/a/e?ts=1000000", "12345678"),
        ("b/a/e?ts=2000000", "x"),
    ):
        assert (await root("POST", f"/api/v1/{path}", body)).status == 200
    info = await page(root, "info")
    assert (info["bucket_count"], info["oldest_record"], info["latest_record"]) == (2, 1_000_000, 2_000_000)
    assert info["usage"] == (await page(root, "b/a"))["info"]["size"]


async def test_a_bucket_page(root: Caller) -> None:
    """Seven keys of info, four settings, seven keys for each entry; entries in byte order of their names."""
    await root("POST", "/api/v1/b/one", '{"quota_type": "HARD", "quota_size": 1000, "max_block_size": null}')
    for path in ("b", "a/x", "B"):
        await root(
            "POST",
            f"/api/v1/b/one/{path}?ts=1000000",
            b"12345678",
            {"Content-Type": "application/octet-stream"},
        )
    found = await page(root, "b/one")
    info = {
        "name": "one",
        "entry_count": 4,
        "size": 120,
        "oldest_record": 1_000_000,
        "latest_record": 1_000_000,
        "is_provisioned": False,
        "status": "READY",
    }
    entry: dict[str, Any] = {
        "size": 40,
        "record_count": 1,
        "block_count": 1,
        "oldest_record": 1_000_000,
        "latest_record": 1_000_000,
        "status": "READY",
    }
    nothing: dict[str, Any] = {
        "size": 0,
        "record_count": 0,
        "block_count": 0,
        "oldest_record": 0,
        "latest_record": 0,
        "status": "READY",
    }
    assert found == {
        "info": info,
        "settings": {**DEFAULTS, "quota_type": "HARD", "quota_size": 1000},
        "entries": [
            {"name": "B", **entry},
            {"name": "a", **nothing},
            {"name": "a/x", **entry},
            {"name": "b", **entry},
        ],
    }
    assert await page(root, "list") == {"buckets": [info]}


async def test_settings_are_merged(root: Caller) -> None:
    """PUT changes what it names; an empty body changes nothing; unknown fields are ignored."""
    await root("POST", "/api/v1/b/one", '{"max_block_records": 5, "unknown": [1]}')
    await root("PUT", "/api/v1/b/one", '{"quota_type": "HARD", "quota_size": 7}')
    await root("PUT", "/api/v1/b/one", "{}")
    await root("PUT", "/api/v1/b/one")
    settings = {"quota_type": "HARD", "quota_size": 7, "max_block_size": 64_000_000, "max_block_records": 5}
    assert (await page(root, "b/one"))["settings"] == settings


@pytest.mark.parametrize(
    "body",
    [
        "nonsense",
        "[]",
        "null",
        '{"quota_type": "SOME"}',
        '{"quota_type": 1}',
        '{"quota_size": "1"}',
        '{"quota_size": 1.5}',
        '{"quota_size": true}',
        '{"quota_size": -1}',
        '{"quota_size": 9223372036854775808}',
        '{"max_block_records": 18446744073709551616}',
        "[" * 20_000,
        b"\xff",
    ],
)
async def test_settings_that_are_refused(root: Caller, body: str | bytes) -> None:
    """422 for creation and change; nothing is made or changed."""
    await root("POST", "/api/v1/b/there")
    assert (await refusal(root, "POST", "/api/v1/b/new", body))[0] == 422
    assert (await refusal(root, "PUT", "/api/v1/b/there", body))[0] == 422
    assert [bucket["name"] for bucket in (await page(root, "list"))["buckets"]] == ["there"]
    assert (await page(root, "b/there"))["settings"] == DEFAULTS


@pytest.mark.parametrize("name", ["a%20b", "%24system", "a.b", "%C3%A9", "a%2Fb", "a%0A", "a*"])
async def test_names_that_are_refused(root: Caller, name: str) -> None:
    """Buckets are made and renamed to names of letters, digits, dash and underscore only."""
    await root("POST", "/api/v1/b/there")
    assert await refusal(root, "POST", URL(f"/api/v1/b/{name}", encoded=True)) == (422, BAD_NAME)
    new_name = URL(f"/{name}", encoded=True).path[1:]
    assert await refusal(
        root, "PUT", "/api/v1/b/there/rename", f'{{"new_name": "{new_name}"}}'.replace("\n", "\\n")
    ) == (
        422,
        BAD_NAME,
    )
    assert [bucket["name"] for bucket in (await page(root, "list"))["buckets"]] == ["there"]


async def test_refusals(root: Caller) -> None:
    """Unknown, taken, ill-formed: each with the protocol's words."""
    await root("POST", "/api/v1/b/one")
    await root("POST", "/api/v1/b/two")
    missing = (404, "Bucket 'no' is not found")
    taken = "Bucket '{}' already exists"
    rename = "/api/v1/b/{}/rename"
    assert await refusal(root, "POST", "/api/v1/b/one") == (409, taken.format("one"))
    for method in ("GET", "PUT", "DELETE"):
        assert await refusal(root, method, "/api/v1/b/no") == missing
    assert await refusal(root, "GET", "/api/v1/b/no/entry") == missing
    assert await refusal(root, "POST", "/api/v1/b/no/entry?ts=1", "x") == missing
    assert await refusal(root, "PUT", rename.format("no"), '{"new_name": "new"}') == missing
    assert await refusal(root, "PUT", rename.format("one"), '{"new_name": "two"}') == (
        409,
        taken.format("two"),
    )
    assert await refusal(root, "PUT", rename.format("one"), '{"new_name": "one"}') == (
        409,
        taken.format("one"),
    )
    for body in ("", "{}", "[]", '{"new_name": null}', '{"new_name": 5}'):
        status, message = await refusal(root, "PUT", rename.format("one"), body)
        assert status == 422
        assert message.startswith("Invalid JSON: ")


async def test_a_renaming_that_is_refused_leaves_grants_alone(root: Caller) -> None:
    """Grants on both names work as before."""
    await root("POST", "/api/v1/b/one")
    await root("POST", "/api/v1/b/two")
    reader = await root.make("reader", '{"read": ["one", "two"]}')
    assert (await root("PUT", "/api/v1/b/one/rename", '{"new_name": "two"}')).status == 409
    assert (await root("DELETE", "/api/v1/b/three")).status == 404
    for name in ("one", "two"):
        assert (await reader("GET", f"/api/v1/b/{name}")).status == 200


async def test_a_removed_bucket_is_empty_when_it_is_made_again(root: Caller) -> None:
    """Neither records nor grants come back with the name."""
    await root("POST", "/api/v1/b/one")
    await root("POST", "/api/v1/b/one/e?ts=1", "x")
    reader = await root.make("reader", '{"read": ["one"]}')
    assert (await reader("GET", "/api/v1/b/one/e")).status == 200
    assert (await root("DELETE", "/api/v1/b/one")).status == 200
    await root("POST", "/api/v1/b/one")
    assert (await reader("GET", "/api/v1/b/one")).status == 403
    assert (await page(root, "b/one"))["entries"] == []


async def test_a_bucket_that_another_process_is_renaming(root: Caller, tmp_path: Path) -> None:
    """Neither of its names can be created, renamed, taken or removed meanwhile; afterwards they can."""
    await root("POST", "/api/v1/b/one")
    await root("POST", "/api/v1/b/other")
    beside = SqliteStore.open(tmp_path / "auth")
    intent = await beside.change(lambda change: change.add_bucket_intent(IntentKind.RENAME, "one", "two", 1))
    busy = "Bucket '{}' is being renamed or removed"
    assert await refusal(root, "POST", "/api/v1/b/two") == (409, busy.format("two"))
    assert await refusal(root, "DELETE", "/api/v1/b/one") == (409, busy.format("one"))
    rename = ("PUT", "/api/v1/b/other/rename", '{"new_name": "two"}')
    assert await refusal(root, *rename) == (409, busy.format("two"))
    await beside.change(lambda change: change.remove_bucket_intent(intent.intent_id))
    await beside.close()
    assert (await root("POST", "/api/v1/b/two")).status == 200
