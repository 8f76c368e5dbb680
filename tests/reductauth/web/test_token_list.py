"""`GET /tokens`: what is found by which parameter, and all tokens as a stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from reductauth.errors import StoreUnavailableError
from reductauth.sqlite import SqliteStore
from tests.reductauth.web.conftest import Caller, Now, Serve
from tests.reductauth.web.test_full_view import FULL_KEYS
from tests.reductauth.web.test_token_routes import TOKEN_KEYS, answer

ENVELOPE = ["found", "length", "offset", "total"]
TOKENS: dict[str, dict[str, Any]] = {
    "admin": {"role": "admin", "description": "For the Office"},
    "exact": {"permissions": {"read": ["weather"]}, "description": "Straße, 100%"},
    "prefix": {"permissions": {"write": ["wea*"]}, "active": False},
    "scheduled": {"permissions": {}, "valid_from": "2031-01-01T00:00:00Z"},
    "system": {"permissions": {"read": ["$system"]}, "expires_at": "2030-03-17T17:46:50Z"},
    "viewer": {"role": "viewer", "expires_at": "2032-01-01T00:00:00Z", "description": "for the hall"},
}
"""They are made one second after the other, beside the bootstrap token `init-token`; `system` has expired then."""


@pytest.fixture
async def office(root: Caller, now: Now) -> Caller:
    """Full access to a registry with `TOKENS`."""
    for name, body in TOKENS.items():
        now.pass_seconds(1)
        await root.make(name, json.dumps(body))
    now.pass_seconds(10)
    return root


async def listed(caller: Caller, query: str) -> dict[str, Any]:
    """The answer to a query that is accepted."""
    response = await caller("GET", URL(f"/api/v1/tokens?{query}", encoded=True))
    assert response.status == 200, await response.text()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    found: dict[str, Any] = await response.json()
    return found


EVERYONE = "admin exact init-token prefix scheduled system viewer"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("search=hall", "viewer"),
        ("search=FOR+the", "admin viewer"),
        ("search=the%20fice", "admin"),
        ("search=strasse", "exact"),
        ("search=%25", "exact"),
        ("search=_", ""),
        ("search=sys", "system"),
        ("search=", EVERYONE),
        ("search=%20+", EVERYONE),
        ("search=%ff", ""),
        ("bucket=weather", "admin exact init-token prefix viewer"),
        ("bucket=weather&access=read", "admin exact init-token viewer"),
        ("bucket=weather&access=write", "admin init-token prefix"),
        ("bucket=wea", "admin init-token prefix viewer"),
        ("bucket=%24system", "admin init-token system"),
        ("status=active", "admin exact init-token viewer"),
        ("status=inactive,scheduled", "prefix scheduled"),
        ("status=expired", "system"),
        ("status=revoked", ""),
        ("sort=-name&limit=2", "viewer system"),
        ("sort=created_at", "init-token admin exact prefix scheduled system viewer"),
        ("sort=-created_at&limit=3", "viewer system scheduled"),
        ("sort=-updated_at&limit=1", "viewer"),
        ("sort=expires_at&limit=3", "system viewer admin"),
        ("sort=-expires_at&offset=5", "viewer system"),
        ("sort=last_access&limit=1", "init-token"),
        ("sort=status", "admin exact init-token viewer system prefix scheduled"),
        ("limit=1&offset=1", "exact"),
        ("offset=9223372036854775807", ""),
        ("status=active&bucket=weather&access=read&search=for&sort=-name", "viewer admin"),
    ],
)
async def test_what_is_found(office: Caller, tmp_path: Path, query: str, names: str) -> None:
    """Each parameter of the table, alone and together; the answer is in the storage protocol's view."""
    with closing(sqlite3.connect(tmp_path / "auth" / "auth.db")) as registry, registry:
        registry.execute("UPDATE tokens SET last_access_us = 1 WHERE name = 'init-token'")
    page = await listed(office, query)
    assert list(page) == ["tokens", "query"]
    assert " ".join(token["name"] for token in page["tokens"]) == names
    assert all(list(token) == TOKEN_KEYS for token in page["tokens"])
    assert list(page["query"]) == ENVELOPE


@pytest.mark.parametrize(
    ("query", "found", "length", "offset"),
    [
        ("limit=1000", 7, 7, 0),
        ("limit=2", 7, 2, 0),
        ("limit=5&offset=5", 7, 2, 5),
        ("offset=7", 7, 0, 7),
        ("status=active&limit=3", 4, 3, 0),
        ("search=nobody", 0, 0, 0),
    ],
)
async def test_the_envelope(office: Caller, query: str, found: int, length: int, offset: int) -> None:
    """Matches, rows in this answer, rows skipped, tokens in the registry."""
    page = await listed(office, query)
    assert page["query"] == {"found": found, "length": length, "offset": offset, "total": 7}
    assert len(page["tokens"]) == length


async def test_a_hundred_by_default(root: Caller) -> None:
    """With any parameter but `view` a page has 100 tokens; without, all are there."""
    for number in range(101):
        await root.make(f"t{number:03}")
    page = await listed(root, "sort=name")
    assert (len(page["tokens"]), page["query"]) == (
        100,
        {"found": 102, "length": 100, "offset": 0, "total": 102},
    )
    assert len((await listed(root, "limit=102"))["tokens"]) == 102
    bare, full = await listed(root, ""), await listed(root, "view=full")
    assert (list(bare), list(full)) == (["tokens"], ["tokens", "query"])
    assert len(bare["tokens"]) == len(full["tokens"]) == 102
    assert full["query"] == {"found": 102, "length": 102, "offset": 0, "total": 102}


async def test_by_id(office: Caller) -> None:
    """An id finds its token, in either case, and no other."""
    shown = await (await office("GET", "/api/v1/tokens/exact?view=full")).json()
    for token_id in (shown["id"], shown["id"].upper()):
        page = await listed(office, f"id={token_id}")
        assert [token["name"] for token in page["tokens"]] == ["exact"]
    nobody = await listed(office, "id=00000000-0000-0000-0000-000000000000")
    assert nobody["query"] == {"found": 0, "length": 0, "offset": 0, "total": 7}


@pytest.mark.parametrize("query", ["", "&sort=name"])
async def test_a_list_in_full_view(office: Caller, query: str) -> None:
    """`view=full` shows each token as it is shown alone, and the envelope."""
    page = await listed(office, f"view=full{query}")
    assert list(page) == ["tokens", "query"]
    assert page["query"] == {"found": 7, "length": 7, "offset": 0, "total": 7}
    assert " ".join(token["name"] for token in page["tokens"]) == EVERYONE
    for token in page["tokens"]:
        assert list(token) == FULL_KEYS
        assert token == await (await office("GET", f"/api/v1/tokens/{token['name']}?view=full")).json()


ALONE = (
    '{"name":"a","value":"","created_at":"2030-03-17T17:46:40.000000Z","permissions":{"full_access":false,'
    '"read":["b","wea*"],"write":[]},"is_provisioned":false,"expires_at":"2030-03-18T00:00:00.000001Z","ttl":60,'
    '"last_access":null,"ip_allowlist":["10.0.0.0/8","::1"],"is_expired":false}'
)
IN_FULL = (
    ALONE[:-1] + ',"id":"%s","description":"\\"Straße\\"\\n","role":null,"status":"active","active":true,'
    '"valid_from":"2030-03-01T00:00:00.120000Z","revoked_at":null,"updated_at":"2030-03-17T17:46:40.000000Z",'
    '"created_by":"init-token","last_access_ip":null,"secrets":[{"created_at":"2030-03-17T17:46:40.000000Z",'
    '"expires_at":null,"last_access":null,"last_access_ip":null,"uses":0}],"usage":{'
    '"total":{"read":0,"write":0,"admin":0,"denied":0},"today":{"read":0,"write":0,"admin":0,"denied":0},'
    '"this_month":{"read":0,"write":0,"admin":0,"denied":0}}}'
)


async def test_to_the_byte(root: Caller) -> None:
    """The order of the keys, the text of every value and no space between: alone, on a page and in the stream."""
    body = {
        "permissions": {"read": ["b", "wea*", "b"]},
        "description": '"Straße"\n',
        "valid_from": "2030-03-01T00:00:00.12Z",
        "expires_at": "2030-03-18T02:00:00.000001+02:00",
        "ttl": 60,
        "ip_allowlist": ["10.0.0.7/8", "::1"],
    }
    await root.make("a", json.dumps(body))
    token_id = (await (await root("GET", "/api/v1/tokens/a?view=full")).json())["id"]
    in_full = IN_FULL % token_id
    envelope = '"query":{"found":1,"length":1,"offset":0,"total":2}}'
    for path, text in {
        "/a": ALONE,
        "/a?view=full": in_full,
        "?search=straße": f'{{"tokens":[{ALONE}],{envelope}',
        "?search=straße&view=full": f'{{"tokens":[{in_full}],{envelope}',
    }.items():
        assert await (await root("GET", f"/api/v1/tokens{path}")).text() == text
    everybody = await (await root("GET", "/api/v1/tokens")).text()
    assert everybody.startswith(f'{{"tokens":[{ALONE},{{"name":"init-token","value":"","created_at":"')
    assert everybody.endswith("}]}")


STATUSES = "must be one of revoked, expired, inactive, scheduled, active"
KEYS = "must be one of name, created_at, updated_at, last_access, expires_at, status"
LIMIT = "must be a whole number from 1 to 1000"
OFFSET = "must be a whole number from 0 to 9223372036854775807"
BUCKET = "must be the name of a bucket"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "limt=5",
            "unknown parameter 'limt'; known are search, id, bucket, access, status, sort, limit, offset, view",
        ),
        ("view=short", "view: must be full, got 'short'"),
        ("id=exact", "id: must be a UUID, got 'exact'"),
        ("id=", "id: must be a UUID, got ''"),
        ("id={0}", "id: must be a UUID, got '{0}'"),
        ("bucket=", f"bucket: {BUCKET}, got ''"),
        ("bucket=wea*", f"bucket: {BUCKET}, got 'wea*'"),
        ("bucket=a/b", f"bucket: {BUCKET}, got 'a/b'"),
        ("bucket=a&access=full", "access: must be one of read, write, got 'full'"),
        ("access=read", "access: needs bucket beside it"),
        ("status=asleep", f"status: {STATUSES}, got 'asleep'"),
        ("status=active,", f"status: {STATUSES}, got ''"),
        ("status=Active", f"status: {STATUSES}, got 'Active'"),
        ("sort=size", f"sort: {KEYS}, got 'size'"),
        ("sort=--name", f"sort: {KEYS}, got '-name'"),
        ("sort=", f"sort: {KEYS}, got ''"),
        ("limit=0", f"limit: {LIMIT}, got '0'"),
        ("limit=1001", f"limit: {LIMIT}, got '1001'"),
        ("limit=", f"limit: {LIMIT}, got ''"),
        ("limit=1.0", f"limit: {LIMIT}, got '1.0'"),
        ("limit=+5", f"limit: {LIMIT}, got ' 5'"),
        ("limit=0x10", f"limit: {LIMIT}, got '0x10'"),
        ("limit=1_0", f"limit: {LIMIT}, got '1_0'"),
        ("limit=05", f"limit: {LIMIT}, got '05'"),
        ("limit=true", f"limit: {LIMIT}, got 'true'"),
        ("offset=-1", f"offset: {OFFSET}, got '-1'"),
        ("offset=9223372036854775808", f"offset: {OFFSET}, got '9223372036854775808'"),
        ("offset=1e3", f"offset: {OFFSET}, got '1e3'"),
        *((f"{name}=1&{name}=1", f"{name}: is there twice") for name in ("search", "id", "limit", "view")),
        ("status=active&status=expired", "status: is there twice"),
        (
            f"search={'+'.join(f'w{number}' for number in range(101))}",
            "search: can have at most 100 words, got 101",
        ),
    ],
)
async def test_what_is_refused(office: Caller, query: str, message: str) -> None:
    """Whatever is unknown, misspelled, out of bounds or given twice; the message names what would be right."""
    refusal = (422, f"Invalid query: {message}")
    assert await answer(office, "GET", f"/api/v1/tokens?{query}") == refusal


async def test_a_query_that_is_not_utf_8(root: Caller) -> None:
    """Bytes that are no text are refused, not looked for."""
    host, port = str(root.client.host), root.client.port
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(
        b"GET /api/v1/tokens?search=\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Authorization: Bearer " + str(root.value).encode() + b"\r\n\r\n"
    )
    reply = await reader.read()
    writer.close()
    assert reply.split(b" ")[1] in {b"422", b"400"}


@pytest.mark.parametrize("query", ["", "view=full", "limit=5", "search=nobody"])
async def test_head(office: Caller, query: str) -> None:
    """The headers of the answer to GET, and no body."""
    shown = await office("GET", f"/api/v1/tokens?{query}")
    head = await office("HEAD", f"/api/v1/tokens?{query}")
    assert (head.status, await head.read()) == (200, b"")
    for name in ("content-type", "cache-control", "content-length"):
        assert head.headers.get(name) == shown.headers.get(name)
    again = await office("GET", f"/api/v1/tokens?{query}")  # on the same connection, which is still in step
    assert await again.json() == await shown.json()


async def test_while_authentication_is_off(serve: Serve) -> None:
    """The list is empty, also with an envelope."""
    async with serve(bootstrap={}, RS_DISABLE_AUTH="true") as everybody:
        assert await listed(everybody, "") == {"tokens": []}
        nothing = {"found": 0, "length": 0, "offset": 0, "total": 0}
        assert await listed(everybody, "view=full") == {"tokens": [], "query": nothing}
        nothing["offset"] = 2
        assert await listed(everybody, "offset=2") == {"tokens": [], "query": nothing}


# -- the stream ---------------------------------------------------------------------------------------------

MANY = 600
"""More than two batches."""


def fill(folder: Path, count: int) -> None:
    """Put many tokens into a registry, from outside."""
    with closing(sqlite3.connect(folder / "auth" / "auth.db")) as registry, registry:
        (name,) = registry.execute("SELECT group_concat(name) FROM pragma_table_info('tokens')").fetchone()
        columns = [column for column in name.split(",") if column not in {"key", "id", "name"}]
        registry.executemany(
            f"INSERT INTO tokens (id, name, {', '.join(columns)})"
            f" SELECT ?, ?, {', '.join(columns)} FROM tokens WHERE name = 'init-token'",
            [(f"id-{number}", f"t{number:06}") for number in range(count)],
        )


async def test_all_tokens_come_in_order_and_once(root: Caller, tmp_path: Path) -> None:
    """A list of several batches is one JSON document; a damaged token, or a batch of them, is there as well."""
    fill(tmp_path, MANY)
    with closing(sqlite3.connect(tmp_path / "auth" / "auth.db")) as registry, registry:
        registry.execute(
            "UPDATE tokens SET read_patterns = 'damaged' WHERE name BETWEEN 't000001' AND 't000550'"
        )
    expected = ["init-token", *(f"t{number:06}" for number in range(MANY))]
    for query in ("", "view=full"):
        response = await root("GET", f"/api/v1/tokens?{query}")
        tokens = json.loads(await response.read())["tokens"]
        assert [token["name"] for token in tokens] == expected
    page = await listed(root, "bucket=x&limit=1000")
    assert [token["name"] for token in page["tokens"]] == expected


async def test_a_client_that_stops_reading_holds_nothing(
    root: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a list is stuck half way, the rest is not read yet, and the log of changes can be cut."""
    fill(tmp_path, 40_000)
    reads = 0
    read = SqliteStore._read

    def counting(self: SqliteStore, work: Any) -> Any:
        nonlocal reads
        reads += 1
        return read(self, work)

    monkeypatch.setattr(SqliteStore, "_read", counting)
    reader, writer = await asyncio.open_connection(str(root.client.host), root.client.port, limit=1)
    writer.write(
        b"GET /api/v1/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
        + str(root.value).encode()
        + b"\r\n\r\n"
    )
    assert b"200 OK" in await reader.readexactly(15)
    before = -1
    while before != reads:  # until the buffers between both ends are full
        before = reads
        await asyncio.sleep(0.3)
    assert 1 < reads < 160
    await root.make("late")
    assert (await root("DELETE", "/api/v1/tokens/late")).status == 200
    with closing(sqlite3.connect(tmp_path / "auth" / "auth.db")) as registry:
        busy, pages, moved = registry.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (busy, pages, moved) == (0, 0, 0)
    writer.transport.abort()


async def all_that_comes(reader: asyncio.StreamReader) -> bytes:
    """Read until the connection ends, whichever way."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := await reader.read(65_536):
            received += chunk
    return received


@pytest.mark.parametrize(("readable", "status"), [(0, 503), (1, 200)])
async def test_a_store_that_breaks(
    root: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readable: int, status: int
) -> None:
    """Before the first byte the answer is 503; after it the connection ends before the document does."""
    fill(tmp_path, MANY)
    reads = 0
    read = SqliteStore._read

    def failing(self: SqliteStore, work: Any) -> Any:
        nonlocal reads
        reads += 1
        if reads > readable:
            raise StoreUnavailableError
        return read(self, work)

    monkeypatch.setattr(SqliteStore, "_read", failing)
    reader, writer = await asyncio.open_connection(str(root.client.host), root.client.port)
    writer.write(
        b"GET /api/v1/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
        + str(root.value).encode()
        + b"\r\n\r\n"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert int(head.split(b" ")[1]) == status
    if status == 503:
        assert b"x-reduct-error" in head.lower()
    else:
        rest = await asyncio.wait_for(all_that_comes(reader), 5)
        assert not rest.endswith(b"0\r\n\r\n")
        assert b"HTTP/1.1" not in rest
    writer.close()
