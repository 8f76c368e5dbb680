"""What is attached to an entry lies in `{entry}/$meta`, as the protocol reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from aiohttp import ClientResponse

from tests.reductauth.web.conftest import Caller
from tests.storage_demo.multi_entry_calls import IO, Found, bucket_page, find, places, put
from tests.storage_demo.test_buckets import refusal

META = "cam/$meta"
RECORDS_STAY = f"Can't delete records from system entry '{META}'; use label update with remove=true"
ENTRY_STAYS = f"Can't delete system entry '{META}'; remove the parent entry instead"


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, and the bucket `home`."""
    await root("POST", "/api/v1/b/home")
    return root


async def attach(caller: Caller, timestamp_us: int, key: str, content: bytes = b"{}") -> None:
    await put(caller, META, timestamp_us, content, {"key": key})


async def attached(caller: Caller, **fields: Any) -> list[Found]:
    return await find(caller, entries=[META], **fields)


async def hide(caller: Caller, timestamp_us: int, key: str) -> ClientResponse:
    """Take an attachment away as the SDKs do: all its labels, and `remove=true`."""
    headers = {
        "x-reduct-entries": "cam%2F$meta",
        "x-reduct-start-ts": str(timestamp_us),
        "x-reduct-0-0": f"0,,key={key},remove=true",
    }
    return await caller("PATCH", f"{IO}/update", None, headers)


async def test_write_list_and_take_away(home: Caller) -> None:
    """The whole way of the SDKs."""
    headers = {
        "x-reduct-entries": "cam%2F$meta",
        "x-reduct-start-ts": "10",
        "x-reduct-labels": "key",
        "x-reduct-0-0": "2,application/json,0=one",
        "x-reduct-0-1": "3,,0=$two",
    }
    written = await home("POST", f"{IO}/write", b"{}[1]", headers)
    assert written.status == 200
    assert not [name for name in written.headers if name.startswith("x-reduct-error")]
    assert await attached(home) == [(META, 10, b"{}"), (META, 11, b"[1]")]
    text_of_key = {"&key": {"$cast": "string"}}
    assert await attached(home, when={"$in": [text_of_key, "one", "$$two"]}) == await attached(home)
    assert await attached(home, when={"$in": [text_of_key, "$$two", "other"]}) == [(META, 11, b"[1]")]
    assert (await hide(home, 11, "$two")).status == 200
    assert await attached(home) == [(META, 10, b"{}")]


async def test_parents_are_made(home: Caller) -> None:
    """As with every entry; the system entry itself is not listed."""
    await put(home, "a/b/$meta", 1, labels={"key": "k"})
    info, entries = await bucket_page(home)
    assert list(entries) == ["a", "a/b"]
    assert info["entry_count"] == 2


@pytest.mark.parametrize("entry", [META, "$meta"])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({}, "System entry '{}' records must contain label 'key'"),
        ({"other": "1"}, "System entry '{}' records must contain label 'key'"),
        (
            {"key": "k", "remove": "true"},
            "System entry '{}' does not support writing records with label 'remove=true'; use record update",
        ),
    ],
)
async def test_records_that_are_refused(
    home: Caller, entry: str, labels: Mapping[str, str], message: str
) -> None:
    """422 for a single record, and for one of a batch, by either protocol; nothing comes into being."""
    expected = message.format(entry)
    headers = {f"x-reduct-label-{name}": value for name, value in labels.items()}
    single = await home("POST", f"/api/v1/b/home/{entry}?ts=1", "x", headers)
    assert (single.status, single.headers["x-reduct-error"]) == (422, expected)
    operations = "".join(f",{name}={value}" for name, value in labels.items())
    of_one = await home("POST", f"/api/v1/b/home/{entry}/batch", "x", {"x-reduct-time-1": f"1,{operations}"})
    assert of_one.headers["x-reduct-error-1"] == f"422,{expected}"
    of_several = await home(
        "POST",
        f"{IO}/write",
        "x",
        {
            "x-reduct-entries": entry.replace("/", "%2F"),
            "x-reduct-start-ts": "1",
            "x-reduct-0-0": f"1,{operations}",
        },
    )
    assert of_several.headers["x-reduct-error-0-0"] == f"422,{expected}"
    assert await bucket_page(home) == ({**(await bucket_page(home))[0], "entry_count": 0, "size": 0}, {})


async def test_remove_may_say_something_else(home: Caller) -> None:
    """Only `true` takes a record away."""
    await put(home, META, 1, labels={"key": "k", "remove": "false"})
    assert await attached(home) == [(META, 1, b"x")]


@pytest.mark.parametrize("key", ["name", "1", "1.0", "true", "$name", "$$name", "with space", "1h"])
async def test_a_new_record_takes_the_place_of_the_old_one(home: Caller, key: str) -> None:
    """With the same text as key, whatever the text looks like; others stay."""
    await attach(home, 1, key, b"old")
    await attach(home, 2, f"{key}0", b"other")
    await attach(home, 3, key, b"new")
    assert await attached(home) == [(META, 2, b"other"), (META, 3, b"new")]
    assert await refusal(home, "GET", f"/api/v1/b/home/{META}?ts=1") == (
        404,
        f"Record 1 not found in entry home/{META}",
    )


async def test_keys_are_compared_as_text(home: Caller) -> None:
    """`1`, `1.0`, `01` and `true` are four keys, and so are `a` and `A`."""
    keys = ["1", "1.0", "01", "true", "a", "A"]
    for timestamp_us, key in enumerate(keys):
        await attach(home, timestamp_us, key)
    assert len(await attached(home)) == len(keys)


async def test_keys_belong_to_their_entry(home: Caller) -> None:
    """The same key in another entry, or in an ordinary one, is another thing."""
    await attach(home, 1, "k")
    await put(home, "other/$meta", 2, labels={"key": "k"})
    for timestamp_us in (1, 2):
        await put(home, "cam", timestamp_us, labels={"key": "k"})
    assert await attached(home) == [(META, 1, b"{}")]
    assert await places(home) == [("cam", 1), ("cam", 2)]


async def test_one_batch_with_a_key_twice(home: Caller) -> None:
    """The later one stays."""
    headers = {
        "x-reduct-entries": "cam%2F$meta",
        "x-reduct-start-ts": "1",
        "x-reduct-0-0": "3,,key=k",
        "x-reduct-0-1": "3,",
    }
    response = await home("POST", f"{IO}/write", b"oldnew", headers)
    assert response.status == 200
    assert await attached(home) == [(META, 2, b"new")]


async def test_taken_away(home: Caller) -> None:
    """Queries of either protocol hide it, reading by its time still gives it with the label, and the key is free."""
    await attach(home, 1, "k", b"old")
    response = await hide(home, 1, "k")
    assert response.status == 200
    assert not [name for name in response.headers if name.startswith("x-reduct-error")]
    assert await attached(home) == []
    assert await attached(home, when={"&remove": {"$eq": True}}) == []
    number = (await (await home("GET", f"/api/v1/b/home/{META}/q")).json())["id"]
    assert (await home("GET", f"/api/v1/b/home/{META}?q={number}")).status == 204
    stored = await home("GET", f"/api/v1/b/home/{META}?ts=1")
    assert (await stored.read(), stored.headers["x-reduct-label-remove"]) == (b"old", "true")
    assert stored.headers["x-reduct-label-key"] == "k"
    await attach(home, 2, "k", b"new")
    assert await attached(home) == [(META, 2, b"new")]


async def test_it_can_be_brought_back(home: Caller) -> None:
    """By taking the label off again."""
    await attach(home, 1, "k")
    await hide(home, 1, "k")
    patched = await home("PATCH", f"/api/v1/b/home/{META}?ts=1", None, {"x-reduct-label-remove": ""})
    assert patched.status == 200
    assert await attached(home) == [(META, 1, b"{}")]


async def test_label_remove_elsewhere(home: Caller) -> None:
    """In an ordinary entry it is a label like any other."""
    await put(home, "cam", 1, labels={"remove": "true"})
    assert await places(home) == [("cam", 1)]


async def test_hidden(home: Caller) -> None:
    """From the list, the count, the times and everything that selects by wildcard; its bytes count."""
    await put(home, "cam", 5)
    before, _ = await bucket_page(home)
    for timestamp_us in (1, 9):
        await attach(home, timestamp_us, str(timestamp_us))
    await put(home, "$meta", 20, labels={"key": "k"})
    after, entries = await bucket_page(home)
    assert list(entries) == ["cam"]
    assert {**after, "size": 0} == {**before, "size": 0}
    assert (after["entry_count"], after["oldest_record"], after["latest_record"]) == (1, 5, 5)
    assert after["size"] > before["size"]
    usage = await (await home("GET", "/api/v1/info")).json()
    assert (usage["usage"], usage["oldest_record"], usage["latest_record"]) == (after["size"], 5, 5)
    for patterns in (None, [], ["*"], ["**"], ["cam*"], ["cam/*"], ["cam/**"], ["$*"], ["!x"]):
        assert await places(home, entries=patterns) == (
            [] if patterns in (["cam/*"], ["$*"]) else [("cam", 5)]
        )


@pytest.mark.parametrize(
    ("method", "path", "headers", "message"),
    [
        ("DELETE", f"b/home/{META}", {}, ENTRY_STAYS),
        ("DELETE", f"b/home/{META}?ts=1", {}, RECORDS_STAY),
        ("DELETE", f"b/home/{META}?ts=99", {}, RECORDS_STAY),
        ("DELETE", f"b/home/{META}/batch", {"x-reduct-time-1": "0,"}, RECORDS_STAY),
        ("DELETE", f"b/home/{META}/q?start=0", {}, RECORDS_STAY),
    ],
)
async def test_deletions_that_are_refused(
    home: Caller, method: str, path: str, headers: dict[str, str], message: str
) -> None:
    """422 with the protocol's words, and nothing is gone."""
    await attach(home, 1, "k")
    response = await home(method, f"/api/v1/{path}", None, headers)
    assert (response.status, response.headers["x-reduct-error"]) == (422, message)
    assert await attached(home) == [(META, 1, b"{}")]


async def test_deletion_by_a_body(home: Caller) -> None:
    """422 for a removal in the body of a query of the entry."""
    await attach(home, 1, "k")
    body = '{"query_type": "REMOVE", "start": 0}'
    assert await refusal(home, "POST", f"/api/v1/b/home/{META}/q", body) == (422, RECORDS_STAY)
    assert len(await attached(home)) == 1


async def test_deletion_in_a_batch_of_several(home: Caller) -> None:
    """The record of the system entry is refused, the one beside it is removed."""
    await put(home, "cam", 1)
    await attach(home, 1, "k")
    headers = {
        "x-reduct-entries": "cam,cam%2F$meta",
        "x-reduct-start-ts": "1",
        "x-reduct-0-0": "",
        "x-reduct-1-0": "",
    }
    response = await home("DELETE", f"{IO}/remove", None, headers)
    assert response.status == 200
    errors = {name: value for name, value in response.headers.items() if name.startswith("x-reduct-error")}
    assert errors == {"x-reduct-error-1-0": f"422,{RECORDS_STAY}"}
    assert await places(home) == []
    assert await attached(home) == [(META, 1, b"{}")]


@pytest.mark.parametrize(
    "fields", [{"start": 0}, {"entries": ["cam*"]}, {"entries": ["cam", META]}, {"when": {}}]
)
async def test_removal_queries_skip_it(home: Caller, fields: dict[str, Any]) -> None:
    """However they select, and they do not count it."""
    await put(home, "cam", 1)
    await attach(home, 1, "k")
    response = await home("POST", f"{IO}/q", orjson.dumps({"query_type": "REMOVE", **fields}))
    assert (response.status, await response.json()) == (200, {"removed_records": 1})
    assert await attached(home) == [(META, 1, b"{}")]


async def test_it_goes_with_its_parent(home: Caller) -> None:
    """Renamed and removed with it, and with what is above that."""
    await put(home, "arm/cam/$meta", 1, b"at", {"key": "k"})
    renamed = await home("PUT", "/api/v1/b/home/arm/rename", '{"new_name": "leg/arm"}')
    assert renamed.status == 200
    moved = "leg/arm/cam/$meta"
    assert await find(home, entries=[moved, "arm/cam/$meta"]) == [(moved, 1, b"at")]
    await put(home, moved, 2, b"new", {"key": "k"})
    assert await find(home, entries=[moved]) == [(moved, 2, b"new")]
    assert (await home("DELETE", "/api/v1/b/home/leg/arm")).status == 200
    info, entries = await bucket_page(home)
    assert (info["size"], list(entries)) == (0, ["leg"])
    assert await refusal(home, "GET", f"/api/v1/b/home/{moved}?ts=2") == (
        404,
        f"Entry '{moved}' not found in bucket 'home'",
    )


async def test_fifo_does_not_evict_it(home: Caller) -> None:
    """Ordinary records go although they are younger; when nothing else is left, the quota cannot be kept."""
    await attach(home, 1, "k", bytes(300))
    for timestamp_us in (2, 3, 4):
        await put(home, "cam", timestamp_us, bytes(100))
    settings = '{"quota_type": "FIFO", "quota_size": 700}'
    assert (await home("PUT", "/api/v1/b/home", settings)).status == 200
    await put(home, "cam", 5, bytes(100))
    # 344 for the attachment, 133 + 136 + 137 for the others: 100 more fit when the first two are gone.
    assert len(await attached(home)) == 1
    assert await places(home) == [("cam", 4), ("cam", 5)]
    response = await home("POST", "/api/v1/b/home/cam?ts=6", bytes(600))
    assert (response.status, response.headers["x-reduct-error"]) == (500, "Failed to keep quota of 'home'")
    assert len(await attached(home)) == 1


async def test_label_updates(home: Caller) -> None:
    """What a new record must have, a changed one must have too; the key of one can be another."""
    await attach(home, 1, "k")
    without = await home("PATCH", f"/api/v1/b/home/{META}?ts=1", None, {"x-reduct-label-key": ""})
    assert (without.status, without.headers["x-reduct-error"]) == (
        422,
        f"System entry '{META}' records must contain label 'key'",
    )
    renamed = await home("PATCH", f"/api/v1/b/home/{META}?ts=1", None, {"x-reduct-label-key": "n"})
    assert renamed.status == 200
    await attach(home, 2, "k", b"k")
    await attach(home, 3, "n", b"n")
    assert await attached(home) == [(META, 2, b"k"), (META, 3, b"n")]


async def test_the_same_time(home: Caller) -> None:
    """Another key at a time that is taken is a conflict, as everywhere."""
    await attach(home, 1, "k")
    response = await home("POST", f"/api/v1/b/home/{META}?ts=1", "x", {"x-reduct-label-key": "other"})
    assert (response.status, response.headers["x-reduct-error"]) == (
        409,
        "A record with timestamp 1 already exists",
    )
    assert await attached(home) == [(META, 1, b"{}")]


@pytest.mark.parametrize("quota_type", ["HARD", "FIFO"])
async def test_a_quota_has_room_for_what_takes_the_place_of_another(home: Caller, quota_type: str) -> None:
    """An attachment that is written again is not charged for the one that goes."""
    await home("PUT", "/api/v1/b/home", f'{{"quota_type": "{quota_type}", "quota_size": 1000}}')
    await attach(home, 1, "k", b"1" * 600)
    await attach(home, 2, "k", b"2" * 600)
    assert await attached(home) == [(META, 2, b"2" * 600)]
    full = await home("POST", f"/api/v1/b/home/{META}?ts=3", b"3" * 600, {"x-reduct-label-key": "other"})
    assert full.status == (400 if quota_type == "HARD" else 500)
    assert await attached(home) == [(META, 2, b"2" * 600)]


async def test_a_key_that_is_taken(home: Caller) -> None:
    """A label update gives no record the key of another: the next write of that key would take both away."""
    await attach(home, 1, "a")
    await attach(home, 2, "b")
    taken = await home("PATCH", f"/api/v1/b/home/{META}?ts=2", None, {"x-reduct-label-key": "a"})
    assert taken.status == 422
    assert taken.headers["x-reduct-error"] == f"System entry '{META}' has another record with the key 'a'"
    assert (
        await home("PATCH", f"/api/v1/b/home/{META}?ts=2", None, {"x-reduct-label-key": "c"})
    ).status == 200
