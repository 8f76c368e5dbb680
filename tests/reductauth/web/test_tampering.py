"""What somebody who can write the registry's file, but has not its key, gets out of it: nothing, and it is told.

Everything is done with sqlite3 in the file of a running server.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from reductauth.key import RegistryKey
from reductauth.sqlite.files import RegistryFolder
from reductauth.sqlite.seal import SEALED_COLUMNS, Sealer
from reductauth.sqlite.verification import registry_faults
from tests.reductauth.web.conftest import Caller, Now, Serve

ALTERED = "its record was changed by something else than this software"
DRAFT = (
    '{"permissions": {"read": ["weather"], "write": ["notes"]}, "ttl": 86400, "ip_allowlist": ["127.0.0.0/8"],'
    ' "valid_from": "2030-01-01T00:00:00Z", "expires_at": "2031-01-01T00:00:00Z"}'
)

# Each column that decides what a token may do, and what somebody would like to have there.
COLUMNS: list[tuple[str, Any]] = [
    ("id", "00000000-0000-4000-8000-000000000000"),
    ("name", "somebody-else"),
    ("full_access", 1),
    ("read_patterns", '["*"]'),
    ("read_patterns", '["weather", "notes"]'),
    ("write_patterns", '["*"]'),
    ("is_provisioned", 1),
    ("created_at_us", 1_900_000_000_000_001),
    ("valid_from_us", None),
    ("expires_at_us", None),
    ("ttl_seconds", None),
    ("ttl_seconds", 86_401),
    ("ip_allowlist", "[]"),
    ("audit_sequence", 1),
    ("audit_sequence", None),
    ("seal", None),
    ("seal", b"\0" * 32),
]


def tamper(folder: Path, statement: str, *parameters: Any) -> None:
    """Change the live registry from outside."""
    with closing(sqlite3.connect(folder / "auth/auth.db")) as registry:
        cursor = registry.execute(statement, parameters)
        assert cursor.rowcount != 0
        registry.commit()


def verified(folder: Path) -> list[str]:
    """What `verify` finds."""
    place = RegistryFolder(folder / "auth")
    return registry_faults(place, RegistryKey.from_hex(place.key_file.read_text().strip(), "the test"))


async def status(caller: Caller) -> int:
    """How a value is answered."""
    return (await caller("GET", "/api/v1/me")).status


async def cleaned_up(folder: Path) -> None:
    """Return when the server has forgotten the values whose grace is over."""
    async with asyncio.timeout(20):
        while True:
            with closing(sqlite3.connect(folder / "auth/auth.db")) as registry:
                if not registry.execute("SELECT 1 FROM secrets WHERE expires_at_us IS NOT NULL").fetchall():
                    return
            await asyncio.sleep(0.02)


async def fault(root: Caller, name: str) -> str | None:
    """What the list tells of a token."""
    listed = (await (await root("GET", "/api/v1/tokens?view=full")).json())["tokens"]
    (told,) = [token for token in listed if token["name"] == name]
    found: str | None = told.get("fault")
    assert (found is not None) is ("fault" in told)
    return found


@pytest.mark.parametrize("cache", ["cold", "warm"])
@pytest.mark.parametrize(("column", "wished"), COLUMNS)
async def test_a_changed_column(
    serve: Serve, now: Now, tmp_path: Path, column: str, wished: Any, cache: str
) -> None:
    """The token opens nothing any more, a remembered one after ten minutes; it is listed with the reason.

    And `verify` names it.
    """
    async with serve() as root:
        await root.make("bystander")
        holder = await root.make("holder", DRAFT)
        if cache == "warm":
            assert await status(holder) == 200
        tamper(tmp_path, f"UPDATE tokens SET {column} = ? WHERE name = 'holder'", wished)
        if cache == "warm":
            now.pass_seconds(600)
        answer = await holder("GET", "/api/v1/me")
        assert (answer.status, answer.headers.get("x-reduct-error")) == (401, "Invalid token")
        name = wished if column == "name" else "holder"
        told = await fault(root, name)
        assert told is not None
        assert verified(tmp_path) == [
            f"token '{name}': {told}; revoke or delete it, or restore the registry from a backup"
        ]
        assert await status(root) == 200
        assert await fault(root, "bystander") is None


@pytest.mark.parametrize("column", ["full_access = 1, active", "revoked_at_us = NULL, active"])
async def test_a_stopped_token_does_not_rise(serve: Serve, tmp_path: Path, column: str) -> None:
    """Neither an inactive nor a revoked one, with its value put back."""
    async with serve() as root:
        holder = await root.make("holder")
        with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as registry:
            (key, digest, key_id) = registry.execute(
                "SELECT token_key, digest, key_id FROM secrets ORDER BY id DESC LIMIT 1"
            ).fetchone()
        if "revoked" in column:
            assert (await root("POST", "/api/v1/tokens/holder/revoke")).status == 200
            tamper(
                tmp_path,
                "INSERT INTO secrets (token_key, digest, key_id, created_at_us) VALUES (?, ?, ?, 1)",
                *(key, digest, key_id),
            )
        else:
            assert (await root("PATCH", "/api/v1/tokens/holder", '{"active": false}')).status == 200
        tamper(tmp_path, f"UPDATE tokens SET {column} = 1, expires_at_us = NULL WHERE name = 'holder'")
        assert await status(holder) == 401
        assert await fault(root, "holder") == ALTERED


def swap_digests(registry: sqlite3.Connection) -> None:
    """Let the holder's value open the administrator's token."""
    rows = registry.execute("SELECT id, digest FROM secrets WHERE id IN (1, 3)").fetchall()
    (one, digest), (other, others) = rows
    registry.execute("UPDATE secrets SET digest = x'00' WHERE id = ?", (one,))
    registry.execute("UPDATE secrets SET digest = ? WHERE id = ?", (digest, other))
    registry.execute("UPDATE secrets SET digest = ? WHERE id = ?", (others, one))


def move_secret(registry: sqlite3.Connection) -> None:
    """The same, by the row."""
    registry.execute("UPDATE secrets SET token_key = 2 WHERE id = 3")


def prolong_secret(registry: sqlite3.Connection) -> None:
    """Take the end from a value that has one."""
    registry.execute("UPDATE secrets SET expires_at_us = NULL WHERE id = 3")


@pytest.mark.parametrize(
    ("change", "stopped"),
    [
        (swap_digests, {"init-token", "holder"}),
        (move_secret, {"bystander", "holder"}),
        (prolong_secret, {"holder"}),
    ],
)
async def test_values_in_other_hands(
    serve: Serve, tmp_path: Path, change: Callable[[sqlite3.Connection], None], stopped: set[str]
) -> None:
    """A digest that is swapped, a value that is given to another token, one that lives longer than it may."""
    async with serve() as root:
        await root.make("bystander")
        holder = await root.make("holder")
        await root.make("deputy", '{"full_access": true}')
        assert (await root("POST", "/api/v1/tokens/holder/rotate", '{"grace_seconds": 60}')).status == 200
        with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as registry:
            change(registry)
            registry.commit()
        await holder("GET", "/api/v1/me")
        assert await status(holder) == 401
        assert {line.split("'")[1] for line in verified(tmp_path)} == stopped


async def test_an_old_row_put_back(serve: Serve, tmp_path: Path) -> None:
    """A whole record from before a change fits by itself, and is told from the present one by the audit."""
    async with serve() as root:
        await root.make("bystander")
        holder = await root.make("holder", '{"full_access": true}')
        with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as registry:
            columns = [row[1] for row in registry.execute("PRAGMA table_info(tokens)")]
            old = registry.execute("SELECT * FROM tokens WHERE name = 'holder'").fetchone()
        assert (await root("PATCH", "/api/v1/tokens/holder", '{"role": "viewer"}')).status == 200
        tamper(
            tmp_path,
            f"INSERT OR REPLACE INTO tokens ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            *old,
        )
        assert await status(holder) == 401
        assert await fault(root, "holder") == (
            "its record is a copy: it belongs to audit entry 3, the token's last one is 4"
        )


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (2, "its record is a copy: it belongs to audit entry 2, the token's last one is 3"),
        (7, "its record is a copy: it belongs to audit entry 2, the token's last one is none"),
    ],
    ids=["in its place", "in another"],
)
async def test_a_deleted_token_put_back(serve: Serve, tmp_path: Path, key: int, told: str) -> None:
    """Its record and its value, as they were, in the place that they had or in another."""
    async with serve() as root:
        holder = await root.make("holder")
        with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as registry:
            kept = {
                table: registry.execute(f"SELECT * FROM {table} ORDER BY 1 DESC LIMIT 1").fetchone()
                for table in ("tokens", "secrets")
            }
        assert (await root("DELETE", "/api/v1/tokens/holder")).status == 200
        for table, row in kept.items():
            tamper(tmp_path, f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", *row)
        tamper(tmp_path, "UPDATE tokens SET key = ? WHERE name = 'holder'", key)
        tamper(tmp_path, "UPDATE secrets SET token_key = ? WHERE token_key = 2", key)
        assert await status(holder) == 401
        assert await fault(root, "holder") == told


@pytest.mark.parametrize("key", [None, "00" * 32], ids=["no key", "another key"])
async def test_a_seal_of_another_key(serve: Serve, tmp_path: Path, key: str | None) -> None:
    """Who knows how a seal is made, and not the key, makes none that fits."""
    async with serve() as root:
        holder = await root.make("holder")
        tamper(tmp_path, "UPDATE tokens SET full_access = 1 WHERE name = 'holder'")
        with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as registry:
            row = registry.execute(f"SELECT {SEALED_COLUMNS} FROM tokens WHERE name = 'holder'").fetchone()
        seal = hashlib.blake2b(orjson.dumps(row), key=bytes(32), digest_size=32).digest()
        if key is not None:
            seal = Sealer(RegistryKey.from_hex(key, "the test")).seal(row)
        tamper(tmp_path, "UPDATE tokens SET seal = ? WHERE name = 'holder'", seal)
        assert await status(holder) == 401
        assert await fault(root, "holder") == ALTERED


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("read_patterns = '[\"x'", ALTERED),
        ("write_patterns = 'null'", ALTERED),
        ("ip_allowlist = '[\"nowhere\"]'", ALTERED),
        ("role = 'emperor'", "its record can't be read"),
    ],
)
async def test_a_row_that_can_not_be_read(serve: Serve, tmp_path: Path, damage: str, told: str) -> None:
    """It opens nothing, is told of like any other fault, and can be revoked and deleted."""
    async with serve() as root:
        holder = await root.make("holder", '{"full_access": true}')
        for change in ("revoke", "delete"):
            tamper(tmp_path, f"UPDATE tokens SET {damage} WHERE name = 'holder'")
            await root.make(f"bystander-{change}")
            assert await status(holder) == 401
            assert await fault(root, "holder") == told
            shown = await (await root("GET", "/api/v1/tokens/holder?view=full")).json()
            assert shown["permissions"] == {"full_access": False, "read": [], "write": []}
            assert verified(tmp_path) == [
                f"token 'holder': {told}; revoke or delete it, or restore the registry from a backup"
            ]
            if change == "revoke":
                assert (await root("POST", "/api/v1/tokens/holder/revoke")).status == 200
                assert await fault(root, "holder") is None
            else:
                assert (await root("DELETE", "/api/v1/tokens/holder")).status == 200
            assert verified(tmp_path) == []


async def test_a_value_that_waits_for_the_next_token(serve: Serve, tmp_path: Path) -> None:
    """A value that was laid under the number that the next token gets is not sealed with it."""
    async with serve() as root:
        holder = await root.make("holder")
        tamper(tmp_path, "UPDATE secrets SET token_key = 3 WHERE token_key = 2")
        await root.make("powerful", '{"full_access": true}')
        assert await status(holder) == 401
        assert await fault(root, "powerful") is None


async def test_a_trigger(serve: Serve, tmp_path: Path) -> None:
    """Nothing is written where something else would write along; nobody who may come in is kept out."""
    async with serve() as root:
        holder = await root.make("holder")
        tamper_schema = (
            "CREATE TRIGGER t BEFORE UPDATE ON tokens BEGIN UPDATE tokens SET full_access = 1; END"
        )
        with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as registry:
            registry.execute(tamper_schema)
        assert (await root("PATCH", "/api/v1/tokens/holder", '{"ttl": 60}')).status == 503
        assert (await holder("GET", "/api/v1/tokens")).status == 403
        assert verified(tmp_path) == [
            "file: trigger t is no part of a registry; find out who put it there, and "
            "restore the registry from a backup"
        ]


async def test_a_statement_of_statistics_is_no_harm(serve: Serve, tmp_path: Path) -> None:
    """What an operator may do to a registry: VACUUM, ANALYZE."""
    async with serve() as root:
        with closing(sqlite3.connect(tmp_path / "auth/auth.db")) as registry:
            registry.execute("ANALYZE")
            registry.execute("VACUUM")
        await root.make("holder")
        assert verified(tmp_path) == []


# -- what becomes of a token with a fault -------------------------------------------------------------------------

CONFLICT = (
    "Can't {verb} token 'holder': its record was changed by something else than this software; "
    "revoke or delete it, or restore it from a backup"
)


async def test_no_change_makes_it_good(serve: Serve, tmp_path: Path, now: Now) -> None:
    """It can't be edited or rotated, buckets pass it by, time cleans it, a restart does: and the fault stays."""
    async with serve() as root:
        holder = await root.make("holder", '{"read": ["weather"]}')
        grace = '{"grace_seconds": 60}'
        fresh = await root("POST", "/api/v1/tokens/holder/rotate", grace)
        tamper(tmp_path, "UPDATE tokens SET full_access = 1 WHERE name = 'holder'")
        for path, method, body, verb in (
            ("", "PATCH", '{"description": "mine"}', "change"),
            ("", "PATCH", '{"active": false}', "change"),
            ("/rotate", "POST", None, "rotate"),
        ):
            answer = await root(method, f"/api/v1/tokens/holder{path}", body)
            told = answer.headers.get("x-reduct-error")
            assert (answer.status, told) == (409, CONFLICT.format(verb=verb))
        holder = holder.using((await fresh.json())["value"])
        now.pass_seconds(61)
    async with serve() as root:
        await cleaned_up(tmp_path)
        holder = Caller(root.client, holder.value)
        assert await status(holder) == 401
        assert await fault(root, "holder") == ALTERED


async def test_what_can_be_done(serve: Serve, tmp_path: Path) -> None:
    """It can be revoked, which makes the record ours again, and deleted."""
    async with serve() as root:
        holder = await root.make("holder")
        tamper(tmp_path, "UPDATE tokens SET full_access = 1 WHERE name = 'holder'")
        revoked = await root("POST", "/api/v1/tokens/holder/revoke")
        shown = await revoked.json()
        assert (revoked.status, shown["status"], "fault" in shown) == (200, "revoked", False)
        assert await status(holder) == 401
        assert verified(tmp_path) == []
        tamper(tmp_path, "UPDATE tokens SET revoked_at_us = NULL WHERE name = 'holder'")
        assert (await root("DELETE", "/api/v1/tokens/holder")).status == 200
        assert verified(tmp_path) == []


async def test_its_check(serve: Serve, tmp_path: Path) -> None:
    """Told before everything else, with the only thing to do."""
    async with serve() as root:
        await root.make("holder", '{"read": ["*"]}')
        tamper(tmp_path, "UPDATE tokens SET active = 0 WHERE name = 'holder'")
        told = await (await root("GET", "/api/v1/tokens/holder/check?action=read&bucket=b")).json()
        assert told["checks"][0] == {"check": "record genuine", "passed": False, "detail": ALTERED}
        assert told["reason"] == (
            f"{ALTERED}; to allow it: delete it, create another, and find out who can write the registry's files"
        )


async def test_it_is_no_administrator(serve: Serve, tmp_path: Path) -> None:
    """A token that was given full access by hand does not make the last real one removable."""
    pinned = {"bootstrap": {"RS_INIT_API_TOKEN": "the-administrator-of-the-tests-0123456789"}}
    async with serve(**pinned) as root:
        await root.make("holder")
        tamper(tmp_path, "UPDATE tokens SET full_access = 1 WHERE name = 'holder'")
        for method, path in (("DELETE", "init-token"), ("POST", "init-token/revoke")):
            answer = await root(method, f"/api/v1/tokens/{path}")
            assert answer.status == 409
            assert "at least one full-access token must remain" in answer.headers["x-reduct-error"]


async def test_a_provisioned_one_is_made_what_is_declared(serve: Serve, tmp_path: Path) -> None:
    """At the next start: the deployment says all that it may be."""
    async with serve() as root:
        await root.make("bystander")
        tamper(tmp_path, "UPDATE tokens SET expires_at_us = 1 WHERE name = 'init-token'")
        await root("GET", "/api/v1/me")
    async with serve() as root:
        assert await status(root) == 200
        assert await fault(root, "init-token") is None
        assert verified(tmp_path) == []


async def test_it_is_logged_once(serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At ERROR, however often it is tried."""
    async with serve() as root:
        holder = await root.make("holder")
        tamper(tmp_path, "UPDATE tokens SET full_access = 1 WHERE name = 'holder'")
        for _ in range(5):
            assert await status(holder) == 401
        lines = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
        assert lines == [f"token refused name='holder' reason={ALTERED}; run reductauth verify"]


async def test_a_forged_intent_moves_no_grant(serve: Serve, tmp_path: Path) -> None:
    """Somebody states a renaming of a bucket that is not there to one that is: no grant follows."""
    async with serve() as root:
        holder = await root.make("holder", '{"read": ["ghost"]}')
        tamper(
            tmp_path,
            "INSERT INTO bucket_intents (kind, bucket, new_bucket, owner, started_at_us)"
            " VALUES ('rename', 'ghost', 'secret', 1, 1)",
        )
        assert verified(tmp_path) == [
            "bucket 'ghost': its rename was stated by something else than this software; "
            "restore the registry from a backup"
        ]
    async with serve() as root:
        shown = await (await Caller(root.client, holder.value)("GET", "/api/v1/me")).json()
        assert shown["permissions"]["read"] == ["ghost"]
        assert verified(tmp_path) == []
