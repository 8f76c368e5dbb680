"""Who may do what with several entries at once, and that nothing in a request leads out of the path's bucket."""

from __future__ import annotations

from urllib.parse import quote

import orjson
import pytest
from yarl import URL

from tests.reductauth.web.conftest import Caller
from tests.storage_demo.multi_entry_calls import IO, begin, find, next_batch, put

NO_READ = (403, "Token '{}' doesn't have read access to bucket 'home'")
NO_WRITE = (403, "Token '{}' doesn't have write access to bucket 'home'")
QUERY = '{"query_type": "QUERY"}'
REMOVE = '{"query_type": "REMOVE", "start": 0}'


@pytest.fixture
async def home(root: Caller) -> Caller:
    """Full access, the buckets `home` and `away`, each with the record `a` at 1."""
    for bucket in ("home", "away"):
        await root("POST", f"/api/v1/b/{bucket}")
        await put(root, "a", 1, bucket.encode(), {"owner": bucket}, bucket)
    return root


@pytest.mark.parametrize(
    ("method", "path", "body", "reader_may"),
    [
        ("POST", "io/home/q", QUERY, True),
        ("POST", "io/home/q", REMOVE, False),
        ("POST", "b/home/a/q", QUERY, True),
        ("POST", "b/home/a/q", REMOVE, False),
        ("GET", "b/home/a/q", None, True),
        ("DELETE", "b/home/a/q?start=0", None, False),
        ("GET", "io/home/read", None, True),
        ("HEAD", "io/home/read", None, True),
        ("POST", "io/home/write", "", False),
        ("PATCH", "io/home/update", None, False),
        ("DELETE", "io/home/remove", None, False),
        ("POST", "b/home/a/batch", "", False),
        ("PATCH", "b/home/a/batch", None, False),
        ("DELETE", "b/home/a/batch", None, False),
        ("PATCH", "b/home/a?ts=1", None, False),
        ("DELETE", "b/home/a?ts=1", None, False),
        ("DELETE", "b/home/a", None, False),
        ("PUT", "b/home/a/rename", '{"new_name": "b"}', False),
    ],
)
async def test_read_and_write(
    home: Caller, method: str, path: str, body: str | None, *, reader_may: bool
) -> None:
    """What takes read access a writer may not do, and the other way round; the record is still there then."""
    await put(home, "k", 1)
    headers = {"x-reduct-query-id": "1", "x-reduct-entries": "a", "x-reduct-start-ts": "1"}
    callers = {
        "reader": await home.make("reader", read=["home"], write=["away"]),
        "writer": await home.make("writer", write=["home"], read=["away"]),
    }
    refused = "writer" if reader_may else "reader"
    status, message = NO_READ if reader_may else NO_WRITE
    response = await callers[refused](method, f"/api/v1/{path}", body, headers)
    assert (response.status, response.headers["x-reduct-error"]) == (status, message.format(refused))
    assert (await home("GET", "/api/v1/b/home/a?ts=1")).status == 200
    other = await callers["reader" if reader_may else "writer"](method, f"/api/v1/{path}", body, headers)
    assert other.status in {200, 404}  # 404: the query 1 is none of its own


async def test_permission_comes_before_existence(home: Caller) -> None:
    """Of a bucket that is not there a stranger hears what it would hear of one that is."""
    stranger = await home.make("stranger")
    for body in (QUERY, REMOVE):
        answers = [await stranger("POST", f"/api/v1/io/{bucket}/q", body) for bucket in ("home", "gone")]
        there, gone = (answer.headers["x-reduct-error"] for answer in answers)
        assert [answer.status for answer in answers] == [403, 403]
        assert there.replace("home", "gone") == gone


async def test_a_body_of_no_type(home: Caller) -> None:
    """Whoever has no access at all is refused before the body is looked at."""
    stranger = await home.make("stranger")
    assert (await stranger("POST", f"{IO}/q", "{")).status == 403


async def test_a_query_belongs_to_its_token(home: Caller) -> None:
    """Another one, with the same permissions or more, gets what a number that nobody has gets."""
    reader = await home.make("reader", read=["home"])
    twin = await home.make("twin", read=["home"])
    of_all = await begin(reader)
    of_one = (await (await reader("GET", "/api/v1/b/home/a/q")).json())["id"]
    for other in (twin, home):
        refused = await next_batch(other, of_all)
        assert (refused.status, refused.headers["x-reduct-error"]) == (
            404,
            f"Query {of_all} not found and it might have expired. Check TTL in your query request.",
        )
        for path in (f"a?q={of_one}", f"a/batch?q={of_one}"):
            for method in ("GET", "HEAD"):
                assert (await other(method, f"/api/v1/b/home/{path}")).status == 404
    # Nothing of it was consumed.
    assert (await next_batch(reader, of_all)).status == 200
    assert (await reader("GET", f"/api/v1/b/home/a?q={of_one}")).status == 200


async def test_a_token_that_loses_its_access(home: Caller) -> None:
    """A query that was begun before does not outlive it; neither does it survive the token's name."""
    reader = await home.make("reader", read=["home"])
    query_id = await begin(reader)
    await home("DELETE", "/api/v1/tokens/reader")
    assert (await next_batch(reader, query_id)).status == 401
    successor = await home.make("reader", read=["home"])
    assert (await next_batch(successor, query_id)).status == 404


@pytest.mark.parametrize(
    "entry",
    [
        "../away/a",
        "..",
        "/away/a",
        "away/../../away/a",
        "..%2Faway%2Fa",
        "a\\..\\away",
        "./a",
        "../../b/away/a",
    ],
)
async def test_names_in_headers_stay_in_the_bucket(home: Caller, entry: str) -> None:
    """However a header spells a way out, no record of another bucket is written, changed or removed."""
    writer = await home.make("writer", write=["home"])
    for spelt in {entry, quote(entry, safe=""), quote(quote(entry, safe=""), safe="")}:
        headers = {"x-reduct-entries": spelt, "x-reduct-start-ts": "1", "x-reduct-0-0": "0,,owner=thief"}
        for method, path, status in (
            ("POST", "write", "422,"),
            ("PATCH", "update", "404,"),
            ("DELETE", "remove", "404,"),
        ):
            body = b"" if method == "POST" else None
            response = await writer(method, f"{IO}/{path}", body, headers)
            assert response.status == 200
            assert response.headers["x-reduct-error-0-0"].startswith(status)
    away = await home("GET", "/api/v1/b/away/a?ts=1")
    assert (await away.read(), away.headers["x-reduct-label-owner"]) == (b"away", "away")
    assert await find(home, "away") == [("a", 1, b"away")]
    assert await find(home) == [("a", 1, b"home")]


@pytest.mark.parametrize("pattern", ["../away/*", "../away/a", "/../away/a", "away/a", "../**", "**/away/a"])
async def test_patterns_stay_in_the_bucket(home: Caller, pattern: str) -> None:
    """A pattern chooses among the entries of the path's bucket and nothing else."""
    reader = await home.make("reader", read=["home"])
    assert await find(reader, entries=[pattern]) == []
    writer = await home.make("writer", write=["home"])
    body = orjson.dumps({"query_type": "REMOVE", "entries": [pattern]})
    assert await (await writer("POST", f"{IO}/q", body)).json() == {"removed_records": 0}
    assert await find(home, "away") == [("a", 1, b"away")]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/io/home/../away/{}",
        "/api/v1/io/home%2F..%2Faway/{}",
        "/api/v1/io/home/%2E%2E/away/{}",
        "/api/v1/io/home%2Faway/{}",
        "/api/v1/io/away%00/{}",
        "/api/v1/io/%61way/{}",
    ],
)
async def test_paths_stay_in_their_bucket(home: Caller, path: str) -> None:
    """Whatever a path is taken for, who has no access to `away` gets nothing of it."""
    caller = await home.make("caller", read=["home*"], write=["home*"])
    number = str(await begin(home, "away"))
    headers = {
        "x-reduct-query-id": number,
        "x-reduct-entries": "a",
        "x-reduct-start-ts": "1",
        "x-reduct-0-0": "0,,owner=thief",
    }
    for method, end, body in (
        ("POST", "q", QUERY),
        ("POST", "q", REMOVE),
        ("GET", "read", None),
        ("POST", "write", b""),
        ("PATCH", "update", None),
        ("DELETE", "remove", None),
    ):
        response = await caller(method, URL(path.format(end), encoded=True), body, headers)
        assert response.status in {403, 404, 405}, (method, end)
    away = await home("GET", "/api/v1/b/away/a?ts=1")
    assert (await away.read(), away.headers["x-reduct-label-owner"]) == (b"away", "away")
