"""Links to records, as the protocol reads: made with a token, followed without one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from storage_demo.app import build_app
from storage_demo.settings import ServerSettings
from tests.reductauth.web.conftest import Caller
from tests.servers import ROOT_VALUE
from tests.storage_demo.test_buckets import refusal

FOREVER = 4_102_444_800  # 2100
LONG_AGO = 1_000_000_000  # 2001


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, and the bucket `home` with `log` at 1, 2 and 3, labelled `n`, and `other` at 2."""
    await root("POST", "/api/v1/b/home")
    for timestamp in (1, 2, 3):
        headers = {"x-reduct-label-n": str(timestamp), "Content-Type": "text/plain"}
        written = await root("POST", f"/api/v1/b/home/log?ts={timestamp}", f"log {timestamp}", headers)
        assert written.status == 200
    assert (await root("POST", "/api/v1/b/home/other?ts=2", "other 2")).status == 200
    return root


def body(**changes: Any) -> str:
    """What clients send; None leaves a field out."""
    fields = {
        "bucket": "home",
        "entry": "log",
        "record_entry": "log",
        "record_timestamp": 2,
        "query": {"query_type": "QUERY"},
        "expire_at": FOREVER,
        **changes,
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None})


async def make(caller: Caller, file: str = "log.txt", **changes: Any) -> str:
    response = await caller("POST", f"/api/v1/links/{file}", body(**changes))
    assert response.status == 200, await response.text()
    answer = await response.json()
    assert list(answer) == ["link"]
    return str(answer["link"])


async def follow(caller: Caller, link: str, method: str = "GET", **headers: str) -> ClientResponse:
    """Follow a link as somebody who has nothing else."""
    url = URL(link)
    return await caller.client.request(method, URL(url.raw_path_qs, encoded=True), headers=headers)


async def refused(caller: Caller, link: str) -> tuple[int, str]:
    response = await follow(caller, link)
    message = response.headers["x-reduct-error"]
    assert await response.json() == {"detail": message.replace('"', "'")}
    return response.status, message


async def test_a_link_is_followed_without_a_token(home: Caller) -> None:
    """The answer is that of the record's own route, with `accept-ranges`; for HEAD its headers alone."""
    link = await make(home)
    for method, content in (("GET", b"log 2"), ("HEAD", b"")):
        response = await follow(home, link, method)
        assert (response.status, await response.read()) == (200, content)
        expected = {
            "content-type": "text/plain",
            "content-length": "5",
            "content-disposition": "attachment",
            "accept-ranges": "bytes",
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
            "x-reduct-time": "2",
            "x-reduct-entry": "log",
            "x-reduct-label-n": "2",
        }
        assert {name: response.headers[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("asked", "status", "content", "content_range"),
    [
        ("bytes=0-0", 206, b"l", "bytes 0-0/5"),
        ("bytes=1-3", 206, b"og ", "bytes 1-3/5"),
        ("bytes=4-", 206, b"2", "bytes 4-4/5"),
        ("bytes=2-99", 206, b"g 2", "bytes 2-4/5"),
        ("bytes=-1", 206, b"2", "bytes 4-4/5"),
        ("bytes=-99", 206, b"log 2", "bytes 0-4/5"),
        ("bytes=0-", 206, b"log 2", "bytes 0-4/5"),
        ("bytes=-0", 416, None, "bytes */5"),
        ("bytes=5-", 416, None, "bytes */5"),
        ("bytes=0-0,2-2", 200, b"log 2", None),
        ("bytes=x", 200, b"log 2", None),
        ("lines=1-2", 200, b"log 2", None),
    ],
)
async def test_a_part_of_a_record(
    home: Caller, asked: str, status: int, content: bytes | None, content_range: str | None
) -> None:
    """One range is served (RFC 9110 §14.2); what cannot be read, or is several, does not count."""
    response = await follow(home, await make(home), Range=asked)
    assert (response.status, response.headers.get("content-range")) == (status, content_range)
    if content is not None:
        assert await response.read() == content
        assert response.headers["content-length"] == str(len(content))


async def test_a_part_under_a_condition_that_cannot_be_met(home: Caller) -> None:
    """There is no validator, so with `If-Range` the whole record is sent (RFC 9110 §13.1.5)."""
    response = await follow(home, await make(home), **{"Range": "bytes=1-1", "If-Range": '"a"'})
    assert (response.status, await response.read()) == (200, b"log 2")


async def test_a_part_of_a_large_record(home: Caller) -> None:
    """Ranges of a record that is kept in a file are right at its pieces' borders."""
    content = bytes(range(256)) * 4_000
    assert (await home("POST", "/api/v1/b/home/large?ts=1", content)).status == 200
    link = await make(home, entry="large", record_entry="large", record_timestamp=1)
    for start, stop in ((0, 1), (262_143, 262_145), (262_144, 524_288), (1_000_000, 1_024_000)):
        response = await follow(home, link, Range=f"bytes={start}-{stop - 1}")
        assert (response.status, await response.read()) == (206, content[start:stop])


async def test_another_record_of_the_same_query(home: Caller) -> None:
    """`e` and `ts` choose among what the link's query finds, and nothing beside it."""
    link = await make(home, query={"query_type": "QUERY", "entries": ["*"], "stop": 3})
    assert await (await follow(home, f"{link}&e=other&ts=2")).read() == b"other 2"
    assert await (await follow(home, f"{link}&ts=1")).read() == b"log 1"
    not_found = "Record {}/{} not found in query result"
    assert await refused(home, f"{link}&ts=3") == (404, not_found.format("log", 3))
    assert await refused(home, f"{link}&e=secret&ts=1") == (404, not_found.format("secret", 1))
    assert await refused(home, f"{link}&ts=x") == (422, "'ts' must be an unix timestamp in microseconds")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {1, 2, 3}),
        ({"start": 2}, {2, 3}),
        ({"stop": 2}, {1}),
        ({"when": {"&n": {"$gt": 1}}}, {2, 3}),
        ({"when": {"$limit": 2}}, {1, 2}),
        ({"when": {"$each_n": 2}}, {2}),
        ({"when": {"&n": {"$gt": 1}, "$limit": 1}}, {2}),
        ({"entries": ["other"]}, set()),
        ({"entries": None}, {1, 2, 3}),
        ({"entries": []}, {1, 2, 3}),
        ({"entries": ["l*"]}, {1, 2, 3}),
        ({"continuous": True}, {1, 2, 3}),
    ],
)
async def test_what_the_query_leaves_out_is_not_found(
    home: Caller, query: dict[str, Any], found: set[int]
) -> None:
    """The link opens what its query finds, counting operators included."""
    for timestamp in (1, 2, 3):
        link = await make(home, record_timestamp=timestamp, query={"query_type": "QUERY", **query})
        response = await follow(home, link)
        expected = (200, f"log {timestamp}") if timestamp in found else (404, None)
        assert (response.status, await response.text() if response.status == 200 else None) == expected


async def test_file_names(home: Caller) -> None:
    """The last part of the path is for people: it may hold slashes and anything else, and decides nothing."""
    link = await make(home, file="a/b%20%C3%BC.txt")
    assert URL(link).path == "/api/v1/links/a/b ü.txt"
    assert (await follow(home, link)).status == 200
    assert (await follow(home, link.replace("a/b%20%C3%BC.txt", "other"))).status == 200


async def test_where_a_link_leads(home: Caller) -> None:
    """By default to the server's own address; `base_url` takes its place, with a slash at its end."""
    assert (await make(home)).startswith("http://127.0.0.1:8383/api/v1/links/log.txt?ct=")
    for base_url in ("https://storage.example.com/x", "https://storage.example.com/x/"):
        link = await make(home, base_url=base_url)
        assert link.startswith("https://storage.example.com/x/api/v1/links/log.txt?ct=")


@pytest.mark.parametrize(
    ("environ", "start"),
    [
        ({"RS_PUBLIC_URL": "https://a.example/"}, "https://a.example/api/v1/links/"),
        ({"RS_PUBLIC_URL": "https://a.example/b"}, "https://a.example/b/api/v1/links/"),
        ({"RS_API_BASE_PATH": "/base"}, "http://127.0.0.1:8383/base/api/v1/links/"),
        ({"RS_HOST": "10.0.0.1", "RS_PORT": "80"}, "http://10.0.0.1/api/v1/links/"),
        ({"RS_HOST": "::1"}, "http://[::1]:8383/api/v1/links/"),
    ],
)
async def test_the_servers_own_address(tmp_path: Any, environ: dict[str, str], start: str) -> None:
    """`RS_PUBLIC_URL`, or what is listened on."""
    environ = {"RS_API_TOKEN": ROOT_VALUE, "RS_DATA_PATH": str(tmp_path), **environ}
    app = build_app(ServerSettings.from_environment(environ), environ)
    async with TestClient(TestServer(app)) as client:
        root = Caller(client, ROOT_VALUE)
        base = environ.get("RS_API_BASE_PATH", "")
        response = await root("POST", f"{base}/api/v1/links/x", body())
        assert (await response.json())["link"].startswith(start)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query": {"query_type": "REMOVE"}}, "Only 'Query' type is supported for query links"),
        ({"record_entry": None}, "Both 'record_entry' and 'record_timestamp' must be provided in payload"),
        (
            {"record_timestamp": None},
            "Both 'record_entry' and 'record_timestamp' must be provided in payload",
        ),
        ({"query": {"query_type": "QUERY", "when": {"$nope": 1}}}, "Operator '$nope' not supported"),
    ],
)
async def test_links_that_are_not_made(home: Caller, changes: dict[str, Any], message: str) -> None:
    """422 with the protocol's words."""
    assert await refusal(home, "POST", "/api/v1/links/x", body(**changes)) == (422, message)


@pytest.mark.parametrize(
    "base_url",
    ["", "storage.example.com", "/x", "ftp://a.example/", "http://", "http://a:b:c/", "https://a/?x=1"],
)
async def test_base_urls_that_are_refused(home: Caller, base_url: str) -> None:
    """A prefix must be an absolute address; a link that leads nowhere is not made."""
    status, message = await refusal(home, "POST", "/api/v1/links/x", body(base_url=base_url))
    assert status == 422
    assert message.startswith("Invalid base_url provided for query link: ")


@pytest.mark.parametrize(
    "changes",
    [
        {"bucket": None},
        {"bucket": 1},
        {"query": None},
        {"expire_at": None},
        {"expire_at": "2100-01-01"},
        {"expire_at": -1},
        {"expire_at": 2**63},
        {"record_timestamp": 2**63},
        {"record_timestamp": "2"},
    ],
)
async def test_bodies_that_are_refused(home: Caller, changes: dict[str, Any]) -> None:
    """Missing fields and wrong types are 422."""
    status, message = await refusal(home, "POST", "/api/v1/links/x", body(**changes))
    assert status == 422
    assert message.startswith("Invalid JSON: ")


async def test_existence_is_not_checked_before_use(home: Caller) -> None:
    """A link to what is not there, or that has expired already, is made; following it says so."""
    link = await make(home, record_entry="later", entry="later", record_timestamp=9)
    assert await refused(home, link) == (404, "Record later/9 not found in query result")
    assert (await home("POST", "/api/v1/b/home/later?ts=9", "x")).status == 200
    assert await (await follow(home, link)).read() == b"x"
    assert await refused(home, await make(home, expire_at=LONG_AGO)) == (422, "Query link has expired")


async def test_links_that_are_no_links(home: Caller) -> None:
    """Without its parameter, and with a letter of it changed."""
    link = await make(home)
    path, _, text = link.partition("?ct=")
    assert await refused(home, path) == (422, "Missing 'ct' parameter")
    for position in range(5, len(text), 7):
        other = "A" if text[position] != "A" else "B"
        changed = f"{path}?ct={text[:position]}{other}{text[position + 1 :]}"
        status, message = await refused(home, changed)
        assert (status, message.split(":")[0]) == (422, "Failed to decrypt query")


async def test_a_link_dies_with_what_made_it(home: Caller) -> None:
    """Used before, and refused with the next request: permission taken away, expired, rotated, removed."""
    made = await home("POST", "/api/v1/tokens/reader", '{"read": ["home"]}')
    reader = Caller(home.client, (await made.json())["value"])
    link = await make(reader)
    assert (await follow(home, link)).status == 200

    await home("PATCH", "/api/v1/tokens/reader", '{"permissions": {"read": ["other"]}}')
    assert await refused(home, link) == (403, "Token 'reader' doesn't have read access to bucket 'home'")
    await home("PATCH", "/api/v1/tokens/reader", '{"permissions": {"read": ["home"]}}')
    assert (await follow(home, link)).status == 200

    await home("PATCH", "/api/v1/tokens/reader", '{"active": false}')
    assert await refused(home, link) == (401, "Invalid token")
    await home("PATCH", "/api/v1/tokens/reader", '{"active": true}')
    assert (await follow(home, link)).status == 200

    await home("POST", "/api/v1/tokens/reader/rotate", '{"grace_seconds": 60}')
    assert await refused(home, link) == (401, "Invalid token")
    assert (await reader("GET", "/api/v1/b/home/log")).status == 200  # the old value itself is in its grace
    assert (await reader("POST", "/api/v1/links/x", body())).status == 409

    await home("DELETE", "/api/v1/tokens/reader")
    assert await refused(home, link) == (404, "Token 'reader' doesn't exist")


async def test_nobody_links_to_what_they_may_not_read(home: Caller) -> None:
    """The bucket that counts is the body's: a token that writes it, or reads others, makes no link to it."""
    await home("POST", "/api/v1/b/spare")
    made = await home("POST", "/api/v1/tokens/narrow", '{"read": ["spare", "hom"], "write": ["home"]}')
    narrow = Caller(home.client, (await made.json())["value"])
    denied = (403, "Token 'narrow' doesn't have read access to bucket 'home'")
    assert await refusal(narrow, "POST", "/api/v1/links/x", body()) == denied
    assert await refusal(narrow, "POST", "/api/v1/links/home", body(bucket="home")) == denied
    # What is wrong beside that is not told to somebody without access.
    assert await refusal(narrow, "POST", "/api/v1/links/x", body(record_entry=None)) == denied
    link = await make(narrow, bucket="spare", entry="../home/log", record_entry="home/log")
    assert await refused(home, link) == (404, "Record home/log/2 not found in query result")


async def test_a_link_is_for_reading_what_it_names_and_for_nothing_else(home: Caller) -> None:
    """As a credential it is worth nothing, in whichever place, also that of an administrator."""
    text = (await make(home)).partition("?ct=")[2]
    for path in ("/api/v1/me", f"/api/v1/me?ct={text}", f"/api/v1/b/home/log?ts=2&ct={text}"):
        bare = await home.client.get(URL(path, encoded=True))
        assert bare.status == 401
        bearer = await home.client.get(URL(path, encoded=True), headers={"Authorization": f"Bearer {text}"})
        assert bearer.status == 401
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        response = await home.client.request(method, URL(f"/api/v1/links/x?ct={text}", encoded=True))
        assert response.status in {401, 405}


async def test_links_of_a_renamed_and_of_a_new_bucket(home: Caller) -> None:
    """A link names its bucket: after a renaming it opens nothing, and a new bucket only if the token may read it."""
    made = await home("POST", "/api/v1/tokens/reader", '{"read": ["home"]}')
    link = await make(Caller(home.client, (await made.json())["value"]))
    assert (await home("PUT", "/api/v1/b/home/rename", '{"new_name": "moved"}')).status == 200
    assert await refused(home, link) == (403, "Token 'reader' doesn't have read access to bucket 'home'")
    assert (await home("POST", "/api/v1/b/home")).status == 200
    assert (await home("POST", "/api/v1/b/home/log?ts=2", "new")).status == 200
    assert await refused(home, link) == (403, "Token 'reader' doesn't have read access to bucket 'home'")


async def test_without_authentication(tmp_path: Any) -> None:
    """Links work all the same while authentication is off."""
    environ = {"RS_DISABLE_AUTH": "true", "RS_DATA_PATH": str(tmp_path)}
    app = build_app(ServerSettings.from_environment(environ), environ)
    async with TestClient(TestServer(app)) as client:
        anybody = Caller(client, "whatever")
        await anybody("POST", "/api/v1/b/home")
        await anybody("POST", "/api/v1/b/home/log?ts=2", "x")
        link = await make(anybody)
        assert await (await follow(anybody, link)).read() == b"x"
        assert (await refused(anybody, f"{link[:-1]}{'A' if link[-1] != 'A' else 'B'}"))[0] == 422


async def test_what_a_link_is_too_short_for(home: Caller) -> None:
    """Extensions are refused as in any query; a condition, or a file's name, that would make it too long, as well."""
    status, message = await refusal(
        home, "POST", "/api/v1/links/x", body(query={"query_type": "QUERY", "ext": {"x": {}}})
    )
    assert (status, message.partition(" in query id=")[0]) == (422, "Unknown extension 'x'")
    for width in (2_000, 20_000):
        when = {"$in": ["&n", *("x" * 10 for _ in range(width // 13))]}
        response = await home("POST", "/api/v1/links/x", body(query={"query_type": "QUERY", "when": when}))
        assert response.status == (200 if width == 2_000 else 422)
    assert (await home("POST", f"/api/v1/links/{'x' * 7_900}", body())).status == 422
