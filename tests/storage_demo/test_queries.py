"""Queries of one entry, read record by record: what they find, whose they are, and when they end."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from storage_demo.api.keys import ENGINE
from storage_demo.engine import scan
from tests.reductauth.web.conftest import Caller
from tests.storage_demo.queried import ENTRY, ask, begin, found, put, refused, steps

LATEST = 2**63 - 1
EXPIRED = "Query {} not found and it might have expired. Check TTL in your query request."


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, and the bucket `home` with records at 10, 20, 30 and 40 in `log`."""
    await root("POST", "/api/v1/b/home")
    for timestamp_us in (30, 10, 40, 20):
        await put(root, timestamp_us, f"at {timestamp_us}", n=str(timestamp_us))
    return root


@pytest.mark.parametrize(
    ("start", "stop", "times_us"),
    [
        (None, None, [10, 20, 30, 40]),
        (20, None, [20, 30, 40]),
        (21, None, [30, 40]),
        (None, 30, [10, 20]),
        (20, 40, [20, 30]),
        (0, 41, [10, 20, 30, 40]),
        (20, 20, []),
        (40, None, [40]),
        (41, None, []),
        (50, LATEST, []),
        (0, 0, []),
    ],
)
async def test_start_and_stop(home: Caller, start: int | None, stop: int | None, times_us: list[int]) -> None:
    """`[start, stop)`, from the oldest to behind the latest without them; alike in a body and in parameters."""
    assert await found(home, start=start, stop=stop) == times_us
    given = {name: value for name, value in (("start", start), ("stop", stop)) if value is not None}
    response = await home("GET", f"{ENTRY}/q?" + "&".join(f"{name}={value}" for name, value in given.items()))
    assert response.headers["content-type"] == "application/json"
    assert await steps(home, (await response.json())["id"]) == times_us


async def test_times_at_the_edges(home: Caller) -> None:
    """0 and 2^63-1 are times like others, also as the first and the last of a query."""
    await put(home, 0)
    await put(home, LATEST)
    assert await found(home) == [0, 10, 20, 30, 40, LATEST]
    assert await found(home, start=LATEST) == [LATEST]
    assert await found(home, stop=LATEST) == [0, 10, 20, 30, 40]
    assert await found(home, stop=1) == [0]
    assert await found(home, start=1, stop=11) == [10]


@pytest.mark.parametrize(
    "fields", [{"start": 2, "stop": 1}, {"start": 42}, {"start": LATEST}, {"start": LATEST, "stop": 0}]
)
async def test_a_start_after_the_stop(home: Caller, fields: dict[str, int]) -> None:
    """422, also where the stop is the default; a continuous query has no stop."""
    refusal = (422, "Start time must be before stop time")
    assert refused(await ask(home, **fields)) == refusal
    parameters = "&".join(f"{name}={value}" for name, value in fields.items())
    assert refused(await home("GET", f"{ENTRY}/q?{parameters}")) == refusal
    assert (await ask(home, **fields, continuous=True)).status == 200
    assert (await home("GET", f"{ENTRY}/q?{parameters}&continuous=true")).status == 200


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "9223372036854775808", "%D9%A1"])
async def test_parameters_that_are_refused(home: Caller, value: str) -> None:
    """Each with the protocol's words; unknown parameters do not count."""
    for name in ("start", "stop"):
        assert refused(await home("GET", f"{ENTRY}/q?{name}={value}")) == (
            422,
            f"'{name}' must be an unix timestamp in microseconds",
        )
    assert refused(await home("GET", f"{ENTRY}/q?ttl={value}")) == (
        422,
        "'ttl' must be in seconds as an unsigned integer",
    )
    assert (await home("GET", f"{ENTRY}/q?other={value}")).status == 200


@pytest.mark.parametrize("value", ["", "1", "True", "FALSE", "yes"])
async def test_continuous_is_a_bool(home: Caller, value: str) -> None:
    """Only `true` and `false`, and the message has another name than the parameter."""
    assert refused(await home("GET", f"{ENTRY}/q?continuous={value}")) == (
        422,
        "'continue' must be a bool value",
    )


@pytest.mark.parametrize(
    "body",
    [
        "",
        "x",
        "[]",
        "null",
        "{}",
        '{"query_type": null}',
        '{"query_type": "query"}',
        '{"query_type": "OTHER"}',
        *(
            f'{{"query_type": "QUERY", {field}}}'
            for field in (
                '"start": -1',
                '"start": "1"',
                '"stop": 1.5',
                '"stop": true',
                '"ttl": -1',
                '"ttl": "60"',
                '"continuous": 1',
                '"strict": "true"',
                '"only_metadata": 0',
                '"when": []',
                '"when": "x"',
                '"ext": []',
                '"entries": "log"',
            )
        ),
    ],
)
async def test_bodies_that_are_refused(home: Caller, body: str) -> None:
    """No JSON, or wrong types: 422, and the parser's reason."""
    status, message = refused(await home("POST", f"{ENTRY}/q", body))
    assert (status, message[:14]) == (422, "Invalid JSON: ")


async def test_fields_that_do_not_count(home: Caller) -> None:
    """Null is absent, unknown fields and `entries` are ignored, no type of the body is needed."""
    nothing = dict.fromkeys(
        ("start", "stop", "ttl", "only_metadata", "continuous", "when", "strict", "ext", "entries")
    )
    assert await found(home, **nothing) == [10, 20, 30, 40]
    assert await found(home, entries=["other"], unknown=[1], ext={}) == [10, 20, 30, 40]
    body = json.dumps({"query_type": "QUERY"})
    for content_type in ("text/plain;charset=UTF-8", "application/json", "image/png"):
        response = await home("POST", f"{ENTRY}/q", body, {"Content-Type": content_type})
        assert response.status == 200


async def test_extensions(home: Caller) -> None:
    """None is installed; the message counts as a query."""
    before = await begin(home)
    assert refused(await ask(home, ext={"x": {}})) == (
        422,
        f"Unknown extension 'x' in query id={before + 1}",
    )
    assert await begin(home) == before + 2


async def test_numbers_of_queries(home: Caller) -> None:
    """From 1 on, rising over all buckets and entries, whichever way a query begins."""
    await home("POST", "/api/v1/b/other")
    await home("POST", "/api/v1/b/other/e?ts=1", "x")
    numbers = [await begin(home), await begin(home, "/api/v1/b/other/e")]
    numbers.append((await (await home("GET", f"{ENTRY}/q")).json())["id"])
    assert numbers[0] >= 1
    assert numbers == sorted(set(numbers))


async def test_a_record_of_a_query_is_like_any_other(home: Caller) -> None:
    """The headers of a single read, with GET and with HEAD, which consumes too and has the real length."""
    query_id = await begin(home, only_metadata=True)
    for method, time_us in (("GET", 10), ("HEAD", 20), ("HEAD", 30), ("GET", 40)):
        response = await home(method, f"{ENTRY}?q={query_id}")
        alone = await home(method, f"{ENTRY}?ts={time_us}")
        assert response.status == 200
        assert {**response.headers, "Date": ""} == {**alone.headers, "Date": ""}
        assert response.headers["content-length"] == "5"
        assert await response.read() == (f"at {time_us}".encode() if method == "GET" else b"")


async def test_the_end(home: Caller) -> None:
    """204, `No content`, with GET and HEAD, each time that it is read, also if there is something new by now."""
    query_id = await begin(home, start=40)
    assert await steps(home, query_id) == [40]
    await put(home, 50)
    for method in ("GET", "HEAD", "GET"):
        for path in (f"{ENTRY}?q={query_id}", f"{ENTRY}/batch?q={query_id}"):
            response = await home(method, path)
            assert refused(response) == (204, "No content")
            assert (response.headers["x-reduct-api"], response.headers["server"]) == (
                "1.21",
                "ReductStore 1.21.0",
            )
            assert await response.read() == b""


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "%2B1", "99999999999999999999"])
async def test_numbers_that_are_refused(home: Caller, text: str) -> None:
    """What is no number is not looked for."""
    for path in (f"{ENTRY}?q={text}", f"{ENTRY}/batch?q={text}"):
        assert refused(await home("GET", path)) == (422, "'query' must be a number")


async def test_a_batch_needs_a_query(home: Caller) -> None:
    """422 without the parameter."""
    for method in ("GET", "HEAD"):
        assert refused(await home(method, f"{ENTRY}/batch")) == (
            422,
            "'q' parameter is required for batched reads",
        )


async def test_queries_that_are_not_there(home: Caller) -> None:
    """Never begun, or begun for another entry or in another bucket: 404 alike."""
    await home("POST", "/api/v1/b/home/log/below?ts=1", "x")
    await home("POST", "/api/v1/b/other")
    await home("POST", "/api/v1/b/other/log?ts=1", "x")
    query_id = await begin(home)
    for entry in ("home/log/below", "other/log"):
        for path in (f"{entry}?q={query_id}", f"{entry}/batch?q={query_id}"):
            assert refused(await home("GET", f"/api/v1/b/{path}")) == (404, EXPIRED.format(query_id))
    assert refused(await home("GET", f"{ENTRY}?q=4711")) == (404, EXPIRED.format(4711))
    assert refused(await home("GET", f"{ENTRY}/batch?q=0")) == (404, EXPIRED.format(0))
    read = await home("GET", "/api/v1/io/home/read", None, {"x-reduct-query-id": str(query_id)})
    assert refused(read) == (404, EXPIRED.format(query_id))
    assert await steps(home, query_id) == [10, 20, 30, 40]


async def test_places_that_are_not_there(home: Caller) -> None:
    """404 for the bucket, then for the entry, whatever is asked of them."""
    no_bucket = (404, "Bucket 'none' is not found")
    no_entry = (404, "Entry 'none' not found in bucket 'home'")
    for place, refusal in (("none/log", no_bucket), ("home/none", no_entry)):
        entry = f"/api/v1/b/{place}"
        assert refused(await ask(home, entry)) == refusal
        for path in (f"{entry}/q", f"{entry}?q=1", f"{entry}/batch?q=1"):
            assert refused(await home("GET", path)) == refusal


async def test_a_ttl_that_is_over(home: Caller) -> None:
    """0 is over at once; of 1 second every read starts anew, at the end too."""
    for query_id in (
        await begin(home, ttl=0),
        (await (await home("GET", f"{ENTRY}/q?ttl=0")).json())["id"],
    ):
        assert refused(await home("GET", f"{ENTRY}?q={query_id}")) == (404, EXPIRED.format(query_id))
    query_id = await begin(home, ttl=1, start=30)
    for status in (200, 200, 204, 204):
        await asyncio.sleep(0.6)
        assert (await home("GET", f"{ENTRY}?q={query_id}")).status == status
    await asyncio.sleep(1.05)
    for path in (f"{ENTRY}?q={query_id}", f"{ENTRY}/batch?q={query_id}"):
        assert refused(await home("GET", path)) == (404, EXPIRED.format(query_id))


async def test_a_read_that_takes_longer_than_the_ttl(home: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query is not left alone while the server looks for its next record."""
    assert home.client.app is not None
    queries = home.client.app[ENGINE].queries
    looks = itertools.count()
    monkeypatch.setattr(queries, "_clock", lambda: next(looks) * 0.5)
    monkeypatch.setattr(scan, "MAX_EXAMINED", 1)
    query_id = await begin(home, when={"$has": "none"}, ttl=2)
    before = next(looks)
    for _ in range(3):
        assert (await home("GET", f"{ENTRY}/batch?q={query_id}")).status == 204
    assert next(looks) > before + 4


async def test_a_continuous_query(home: Caller) -> None:
    """It goes on behind what it gave last, never ends, knows no stop, and says at once if there is nothing."""
    query_id = await begin(home, continuous=True, start=30, stop=35)
    assert await steps(home, query_id) == [30, 40]
    async with asyncio.timeout(1):
        assert (await home("GET", f"{ENTRY}?q={query_id}")).status == 204
    await put(home, 60)
    await put(home, 50)
    await put(home, 35)
    assert await steps(home, query_id) == [50, 60]
    response = await home("GET", f"{ENTRY}/q?continuous=true&start=100")
    waiting = (await response.json())["id"]
    assert await steps(home, waiting) == []
    await put(home, 99)
    await put(home, 100)
    assert await steps(home, waiting) == [100]


async def test_a_query_is_of_one_token(home: Caller) -> None:
    """Nobody else reads it, whatever they may read, and nobody can tell that it is there."""
    mine = await home.make("mine", read=["home"])
    other = await home.make("other", read=["home"])
    query_id = await begin(mine)
    for caller in (other, home):
        for path in (f"{ENTRY}?q={query_id}", f"{ENTRY}/batch?q={query_id}"):
            assert refused(await caller("GET", path)) == (404, EXPIRED.format(query_id))
    assert await steps(mine, query_id) == [10, 20, 30, 40]


async def test_what_it_takes(home: Caller) -> None:
    """To ask and to read takes read access to the bucket of the path, and that is decided before what exists."""
    reader = await home.make("reader", read=["home"])
    writer = await home.make("writer", write=["home", "none"])
    stranger = await home.make("stranger", read=["elsewhere"], write=["elsewhere"])
    query_id = await begin(reader)
    assert await steps(reader, query_id) == [10, 20, 30, 40]
    for caller, name in ((writer, "writer"), (stranger, "stranger")):
        for bucket in ("home", "none"):
            refusal = (403, f"Token '{name}' doesn't have read access to bucket '{bucket}'")
            entry = f"/api/v1/b/{bucket}/log"
            assert refused(await ask(caller, entry)) == refusal
            for path in (f"{entry}/q", f"{entry}?q={query_id}", f"{entry}/batch?q={query_id}"):
                assert refused(await caller("GET", path)) == refusal
    assert (await home.using(None)("POST", f"{ENTRY}/q", '{"query_type": "QUERY"}')).status == 401


async def test_access_is_asked_for_with_every_read(home: Caller) -> None:
    """A token that may not read any more does not go on with what it began."""
    reader = await home.make("reader", read=["home"])
    query_id = await begin(reader)
    assert (await reader("GET", f"{ENTRY}?q={query_id}")).status == 200
    changed = await home("PATCH", "/api/v1/tokens/reader", '{"permissions": {"read": []}}')
    assert changed.status == 200, await changed.text()
    assert (await reader("GET", f"{ENTRY}?q={query_id}")).status == 403


@pytest.mark.parametrize("path", ["", "/log"])
async def test_a_place_that_was_made_again(home: Caller, path: str) -> None:
    """What was begun in the old bucket or entry does not go on in one of the same name."""
    query_id = await begin(home)
    assert (await home("DELETE", f"/api/v1/b/home{path}")).status == 200
    assert (await home("GET", f"{ENTRY}?q={query_id}")).status == 404
    await home("POST", "/api/v1/b/home")
    await put(home, 1)
    for read in (f"{ENTRY}?q={query_id}", f"{ENTRY}/batch?q={query_id}"):
        assert refused(await home("GET", read)) == (404, EXPIRED.format(query_id))


async def test_a_place_that_was_renamed(home: Caller) -> None:
    """A query goes on under the new name of its entry and of its bucket."""
    query_id = await begin(home)
    assert (await home("GET", f"{ENTRY}?q={query_id}")).headers["x-reduct-entry"] == "log"
    assert (await home("PUT", f"{ENTRY}/rename", '{"new_name": "moved"}')).status == 200
    assert (await home("GET", f"{ENTRY}?q={query_id}")).status == 404
    response = await home("GET", f"/api/v1/b/home/moved?q={query_id}")
    assert (response.headers["x-reduct-time"], response.headers["x-reduct-entry"]) == ("20", "moved")
    assert (await home("PUT", "/api/v1/b/home/rename", '{"new_name": "away"}')).status == 200
    assert await steps(home, query_id, "/api/v1/b/away/moved") == [30, 40]


async def test_many_reads_at_once(home: Caller) -> None:
    """Each record goes to one of them, whole."""
    for timestamp_us in range(100, 140):
        await put(home, timestamp_us, f"at {timestamp_us}")
    query_id = await begin(home, start=100)

    async def read() -> list[int]:
        times_us: list[int] = []
        while True:
            response = await home("GET", f"{ENTRY}?q={query_id}")
            if response.status == 204:
                return times_us
            times_us.append(int(response.headers["x-reduct-time"]))
            assert await response.text() == f"at {times_us[-1]}"

    shares = await asyncio.gather(*(read() for _ in range(8)))
    assert sorted(itertools.chain(*shares)) == list(range(100, 140))
    assert all(share == sorted(share) for share in shares)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("OPTIONS", f"{ENTRY}/q", 200),
        ("OPTIONS", f"{ENTRY}/batch", 200),
        ("OPTIONS", f"{ENTRY}/rename", 200),
        ("PUT", f"{ENTRY}/q", 404),
        ("PUT", f"{ENTRY}/batch", 404),
        ("PUT", ENTRY, 404),
        ("TRACE", f"{ENTRY}/q", 405),
        ("TRACE", f"{ENTRY}/batch", 405),
        ("TRACE", ENTRY, 405),
    ],
)
async def test_methods_that_are_not_there(home: Caller, method: str, path: str, status: int) -> None:
    """OPTIONS needs no token; nothing is put below a bucket but a new name; 405 has no body. All have the headers."""
    response = await home.using(None)(method, path)
    assert response.status == status
    assert response.headers["x-reduct-api"] == "1.21"
    assert response.headers["server"] == "ReductStore 1.21.0"
    if status == 404:
        assert refused(response) == (404, "Not found")
    else:
        assert await response.read() == b""


HEADERS: list[tuple[str, str, Any, int]] = [
    ("GET", f"{ENTRY}/q", None, 200),
    ("POST", f"{ENTRY}/q", '{"query_type": "QUERY"}', 200),
    ("POST", f"{ENTRY}/q", "{", 422),
    ("GET", f"{ENTRY}/batch?q=77", None, 404),
    ("HEAD", f"{ENTRY}/batch?q=77", None, 404),
    ("PATCH", f"{ENTRY}?ts=10", None, 200),
    ("PATCH", f"{ENTRY}/batch", None, 200),
    ("POST", f"{ENTRY}/batch", None, 200),
    ("DELETE", f"{ENTRY}/batch", None, 200),
    ("DELETE", f"{ENTRY}/q", None, 422),
    ("DELETE", f"{ENTRY}/q?start=0", None, 200),
    ("PUT", f"{ENTRY}/rename", '{"new_name": "moved"}', 200),
    ("DELETE", "/api/v1/b/home/moved", None, 200),
]


async def test_headers_of_every_answer(home: Caller) -> None:
    """Who answers, in which version, to whom else it may be shown; JSON as plain JSON; refusals in both places."""
    for method, path, body, status in HEADERS:
        response = await home(method, path, body, {"Origin": "https://a.example.com"})
        assert response.status == status, (method, path)
        assert response.headers["server"] == "ReductStore 1.21.0"
        assert response.headers["x-reduct-api"] == "1.21"
        assert response.headers["access-control-expose-headers"] == "*"
        assert (
            response.headers["vary"]
            == "origin, access-control-request-method, access-control-request-headers"
        )
        content = await response.read()
        if status >= 400:
            assert response.headers["content-type"] == "application/json"
            if method != "HEAD":
                message = response.headers["x-reduct-error"]
                assert json.loads(content) == {"detail": message.replace('"', "'")}
        elif content:
            assert response.headers["content-type"] == "application/json"
        else:
            assert response.headers["content-length"] == "0"
