"""Entries that are renamed, with all that is below them."""

from __future__ import annotations

import json

import pytest

from tests.reductauth.web.conftest import Caller
from tests.storage_demo.queried import refused

HOME = "/api/v1/b/home"
MADE = ("a", "a/b/c", "ab", "other")


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, and a record at 1 in some entries, which holds the name of its entry."""
    await root("POST", HOME)
    for name in MADE:
        assert (await root("POST", f"{HOME}/{name}?ts=1", name)).status == 200
    return root


async def rename(caller: Caller, name: str, new_name: str) -> tuple[int, str]:
    response = await caller("PUT", f"{HOME}/{name}/rename", json.dumps({"new_name": new_name}))
    return response.status, response.headers.get("x-reduct-error", "")


async def names(caller: Caller) -> list[str]:
    page = await (await caller("GET", HOME)).json()
    return [entry["name"] for entry in page["entries"]]


async def content(caller: Caller, name: str) -> str:
    response = await caller("GET", f"{HOME}/{name}")
    return await response.text() if response.status == 200 else ""


async def test_an_entry_moves_with_all_below_it(home: Caller) -> None:
    """And not what is only called alike; sizes stay, and the old names are free."""
    before = await (await home("GET", HOME)).json()
    response = await home("PUT", f"{HOME}/a/rename", '{"new_name": "moved"}', {"Content-Type": "text/plain"})
    assert (response.status, await response.read()) == (200, b"")
    assert response.headers["content-length"] == "0"
    assert await names(home) == ["ab", "moved", "moved/b", "moved/b/c", "other"]
    assert [await content(home, name) for name in ("moved", "moved/b/c", "ab")] == ["a", "a/b/c", "ab"]
    assert (await home("GET", f"{HOME}/moved/b/c?ts=1")).headers["x-reduct-entry"] == "moved/b/c"
    after = await (await home("GET", HOME)).json()
    assert after["info"] == before["info"]
    assert refused(await home("GET", f"{HOME}/a")) == (404, "Entry 'a' not found in bucket 'home'")
    assert (await home("POST", f"{HOME}/a?ts=1", "new")).status == 200
    assert await content(home, "moved") == "a"


async def test_parents_are_made(home: Caller) -> None:
    """Of the new name; those of the old one stay."""
    assert await rename(home, "a/b/c", "x/y/z") == (200, "")
    assert await names(home) == ["a", "a/b", "ab", "other", "x", "x/y", "x/y/z"]
    assert await content(home, "x/y/z") == "a/b/c"


async def test_upwards(home: Caller) -> None:
    """Out of its parent, and back below it."""
    assert await rename(home, "a/b", "up") == (200, "")
    assert await names(home) == ["a", "ab", "other", "up", "up/c"]
    assert await rename(home, "up", "a/b") == (200, "")
    assert await names(home) == ["a", "a/b", "a/b/c", "ab", "other"]
    assert await content(home, "a/b/c") == "a/b/c"


async def test_attachments_move_along(home: Caller) -> None:
    """They are below their entry."""
    await home("POST", f"{HOME}/a/$meta?ts=1", "{}", {"x-reduct-label-key": "k"})
    assert await rename(home, "a", "moved") == (200, "")
    assert await content(home, "moved/$meta") == "{}"
    assert (await home("GET", f"{HOME}/a/$meta")).status == 404


@pytest.mark.parametrize(
    ("name", "new_name", "refusal"),
    [
        ("none", "new", (404, "Entry 'none' not found in bucket 'home'")),
        ("none", "other", (404, "Entry 'none' not found in bucket 'home'")),
        ("a", "other", (409, "Entry 'other' already exists in bucket 'home'")),
        ("a", "a", (409, "Entry 'a' already exists in bucket 'home'")),
        ("a", "a/b", (409, "Entry 'a/b' already exists in bucket 'home'")),
        ("a", "a/new", (409, "Entry 'a/new' already exists in bucket 'home'")),
        ("a", "a/b/c/new", (409, "Entry 'a/b/c/new' already exists in bucket 'home'")),
        ("a/b", "a", (409, "Entry 'a' already exists in bucket 'home'")),
        ("a", "", (422, "Entry name must be non-empty and must not contain empty path segments")),
        ("a", "x//y", (422, "Entry name must be non-empty and must not contain empty path segments")),
        ("a", "/x", (422, "Entry name must be non-empty and must not contain empty path segments")),
        (
            "a",
            "x y",
            (422, "Entry name can contain only letters, digits and [-,_,/] symbols or end with '/$meta'"),
        ),
        (
            "a",
            "$meta/x",
            (422, "Entry name can contain only letters, digits and [-,_,/] symbols or end with '/$meta'"),
        ),
    ],
)
async def test_refusals(home: Caller, name: str, new_name: str, refusal: tuple[int, str]) -> None:
    """Each with the protocol's words; nothing has moved, and no parents were made."""
    assert await rename(home, name, new_name) == refusal
    assert await names(home) == ["a", "a/b", "a/b/c", "ab", "other"]
    assert [await content(home, made) for made in MADE] == list(MADE)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"new_name": null}',
        '{"new_name": 1}',
        '{"name": "x"}',
        '{"new_name": "\\ud800"}',
    ],
)
async def test_bodies_that_are_refused(home: Caller, body: str) -> None:
    """422, and nothing has moved."""
    response = await home("PUT", f"{HOME}/a/rename", body)
    assert response.status == 422
    assert await names(home) == ["a", "a/b", "a/b/c", "ab", "other"]


async def test_buckets_that_are_not_there(home: Caller) -> None:
    """404 for the bucket."""
    response = await home("PUT", "/api/v1/b/none/a/rename", '{"new_name": "x"}')
    assert refused(response) == (404, "Bucket 'none' is not found")


async def test_other_puts(home: Caller) -> None:
    """Nothing else below a bucket is put, whoever asks."""
    for caller in (home, home.using(None)):
        for path in ("a", "a?ts=1", "a/q", "a/batch", "a/rename/x", "none"):
            assert refused(await caller("PUT", f"{HOME}/{path}", "{}")) == (404, "Not found")


async def test_entries_that_are_called_like_a_route(home: Caller) -> None:
    """The suffix wins on the methods that define it, on others it is a name."""
    for name in ("a/rename", "a/q", "a/batch"):
        method = "POST" if name == "a/rename" else "PUT"
        status = 200 if method == "POST" else 404
        assert (await home(method, f"{HOME}/{name}?ts=7", "x")).status == status
    assert await content(home, "a/rename") == "x"
    assert await rename(home, "a/rename", "named") == (200, "")
    assert await content(home, "named") == "x"


async def test_what_it_takes(home: Caller) -> None:
    """Write access, which is decided before what exists."""
    reader = await home.make("reader", read=["home", "none"])
    writer = await home.make("writer", write=["home"])
    for bucket in ("home", "none"):
        refusal = (403, f"Token 'reader' doesn't have write access to bucket '{bucket}'")
        for body in ('{"new_name": "x"}', "{"):
            assert refused(await reader("PUT", f"/api/v1/b/{bucket}/a/rename", body)) == refusal
    assert (await home.using(None)("PUT", f"{HOME}/a/rename", "{}")).status == 401
    assert await rename(writer, "a", "x") == (200, "")
