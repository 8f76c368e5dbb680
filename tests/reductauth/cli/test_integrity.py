"""`verify`, `audit`, `backup` and `restore`, as an operator runs them beside a server and without one."""

from __future__ import annotations

import json
import signal
import sqlite3
import stat
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.forked import forked, refused
from tests.reductauth.cli.commands import reductauth_here, remote
from tests.servers import ROOT_VALUE

NOTHING: Mapping[str, str] = MappingProxyType({})
WHOLE = "the registry is whole\n"


def out(folder: Path, *arguments: str, status: int = 0, environ: Mapping[str, str] = NOTHING) -> str:
    """What a command prints; it ends as it should."""
    done = reductauth_here(folder, *arguments, **environ)
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout if status == 0 or done.stdout else done.stderr


def made(folder: Path, name: str, *options: str) -> str:
    """Make a token; return its value."""
    return out(folder, "create", name, *options).strip()


def registry_of(tmp_path: Path) -> None:
    """A server was here once."""
    with forked(tmp_path) as server:
        server.stop(signal.SIGTERM)


def tamper(tmp_path: Path, statement: str) -> None:
    """Change the registry by hand."""
    with closing(sqlite3.connect(tmp_path / "data/auth/auth.db")) as registry:
        registry.execute(statement)
        registry.commit()


def test_beside_a_server(tmp_path: Path) -> None:
    """All is well; somebody changes a permission; it is found, told and refused."""
    with forked(tmp_path) as server:
        value = made(tmp_path, "worker", "--read", "weather")
        assert out(tmp_path, "verify") == WHOLE
        assert out(tmp_path, "audit", "verify") == "the audit is whole\n"
        tamper(tmp_path, "UPDATE tokens SET full_access = 1 WHERE name = 'worker'")
        fault = "its record was changed by something else than this software"
        assert out(tmp_path, "verify", status=1) == (
            f"token 'worker': {fault}; revoke or delete it, or restore the registry from a backup\n"
        )
        there = {"RS_URL": server.url, "RS_API_TOKEN": value}
        assert out(tmp_path, "list", status=3, environ=there) == "Error: Invalid token\n"
        assert f"active, refused: {fault}"[:50] in out(tmp_path, "list", environ=remote(server.url))
        assert fault in out(tmp_path, "show", "worker", environ=remote(server.url))
        out(tmp_path, "delete", "worker", environ=remote(server.url))
        assert out(tmp_path, "verify") == WHOLE


@pytest.mark.parametrize("way", ["folder", "server"])
def test_the_books(tmp_path: Path, way: str) -> None:
    """A table, or the JSON of the route; the same from both sides."""
    with forked(tmp_path) as server:
        made(tmp_path, "worker")
        out(tmp_path, "delete", "worker", environ=remote(server.url))
        where = remote(server.url) if way == "server" else {}
        lines = out(tmp_path, "audit", environ=where).splitlines()
        assert lines[0].split() == ["ENTRY", "TIME", "ACTOR", "ACTION", "TOKEN", "DETAIL"]
        assert [line.split()[0] for line in lines[2:]] == ["3", "2", "1"]
        assert "init-token from 127.0.0.1" in lines[2]
        query = ("--action", "create", "--action", "delete", "--sort", "sequence", "--token", "worker")
        told = json.loads(out(tmp_path, "audit", *query, "--json", environ=where))
        assert [(e["sequence"], e["action"]) for e in told["entries"]] == [(2, "create"), (3, "delete")]
        assert told["query"] == {"found": 2, "length": 2, "offset": 0, "total": 3}
        refused = out(tmp_path, "audit", "--limit", "0", status=1, environ=where)
        assert "limit: must be a whole number from 1 to 1000, got '0'" in refused


def test_entries_of_others(tmp_path: Path) -> None:
    """Neither a line end nor an escape sequence in an entry comes to the terminal; the chain tells of the forgery."""
    registry_of(tmp_path)
    tamper(tmp_path, "UPDATE audit SET actor = 'a' || char(10) || char(27) || '[2J' WHERE sequence = 1")
    assert len(out(tmp_path, "audit").splitlines()) == 3
    assert "\x1b" not in out(tmp_path, "audit")
    assert out(tmp_path, "audit", "verify", status=1).startswith("audit: entry 1 was changed")


def test_no_registry(tmp_path: Path) -> None:
    """Nothing is made where there is none."""
    for command in (("verify",), ("audit", "verify"), ("backup", str(tmp_path / "copy"))):
        assert "there is no token registry" in out(tmp_path, *command, status=4)
    assert list(tmp_path.iterdir()) == []


FAULTS: list[tuple[str, str, str]] = [
    (
        "a value without a token",
        "UPDATE secrets SET token_key = 99",
        "file: row 1 of secrets belongs to nothing",
    ),
    (
        "a trigger",
        "CREATE TRIGGER t AFTER DELETE ON audit BEGIN SELECT 1; END",
        "file: trigger t is no part of",
    ),
    (
        "another key",
        "UPDATE meta SET value = zeroblob(32) WHERE name = 'key_check'",
        "key: the registry was made",
    ),
    ("set back", "UPDATE meta SET value = 0 WHERE name = 'generation'", "generation: "),
]


@pytest.mark.parametrize(("statement", "told"), [pytest.param(s, t, id=name) for name, s, t in FAULTS])
def test_faults(tmp_path: Path, statement: str, told: str) -> None:
    """Each fault is a line."""
    registry_of(tmp_path)
    with closing(sqlite3.connect(tmp_path / "data/auth/auth.db")) as registry:
        registry.execute("PRAGMA foreign_keys = OFF")
        registry.execute(statement)
        registry.commit()
    assert told in out(tmp_path, "verify", status=1)


def test_a_damaged_file(tmp_path: Path) -> None:
    """What SQLite itself finds, or can't even read."""
    registry_of(tmp_path)
    database = tmp_path / "data/auth/auth.db"
    content = bytearray(database.read_bytes())
    content[4096 * 3 : 4096 * 4] = bytes(4096)
    database.write_bytes(content)
    assert "restore the registry from a backup" in out(tmp_path, "verify", status=1)
    database.write_bytes(b"no database" * 999)
    assert "restore the registry from a backup" in out(tmp_path, "verify", status=1)


def test_backup_and_restore(tmp_path: Path) -> None:
    """A copy is made while the server runs; put back, what was taken away since works again, and that is told."""
    copy = tmp_path / "copy"
    with forked(tmp_path) as server:
        for name in ("deleted", "revoked", "rotated", "stays"):
            made(tmp_path, name)
        assert out(tmp_path, "backup", str(copy)) == f"{copy}: the registry as it is now\n"
        assert [path.name for path in copy.iterdir()] == ["auth.db"]
        assert stat.S_IMODE(copy.stat().st_mode) == 0o700
        assert stat.S_IMODE((copy / "auth.db").stat().st_mode) == 0o600
        assert "name a new folder" in out(tmp_path, "backup", str(copy), status=4)
        there = remote(server.url)
        out(tmp_path, "delete", "deleted", environ=there)
        out(tmp_path, "revoke", "revoked", environ=there)
        out(tmp_path, "rotate", "rotated", environ=there)
        made(tmp_path, "later")
        in_use = out(tmp_path, "restore", str(copy), "--replace", status=1)
        assert "a server or a command uses it; stop every one before you restore" in in_use
        server.stop(signal.SIGTERM)
    assert "to overwrite it, say --replace" in out(tmp_path, "restore", str(copy), status=1)
    done = reductauth_here(tmp_path, "restore", str(copy), "--replace")
    assert done.returncode == 0, done.stderr
    assert [line.partition("; ")[0] for line in done.stderr.splitlines()] == [
        "deleted: was deleted",
        "revoked: was revoked or deactivated",
        "rotated: was rotated, and has its older value again",
    ]
    assert out(tmp_path, "verify") == WHOLE
    with forked(tmp_path) as server:
        listed = json.loads(out(tmp_path, "list", "--json", environ=remote(server.url)))["tokens"]
        assert [t["name"] for t in listed] == ["deleted", "init-token", "revoked", "rotated", "stays"]
        (entry,) = json.loads(out(tmp_path, "audit", "--action", "restore", "--json"))["entries"]
        assert (entry["actor"], len(entry["detail"]["back_again"])) == ("environment", 3)
    assert out(tmp_path, "verify") == WHOLE


def test_restore_to_an_empty_place(tmp_path: Path) -> None:
    """With its key; without one it is refused, with what to do."""
    registry_of(tmp_path)
    for name, options in (("with", ["--with-key"]), ("without", [])):
        out(tmp_path, "backup", str(tmp_path / name), *options)
    other = str(tmp_path / "other")
    assert "RS_AUTH_KEY" in out(tmp_path, "restore", str(tmp_path / "without"), "--data", other, status=1)
    out(tmp_path, "restore", str(tmp_path / "with"), "--data", other)
    assert out(tmp_path, "verify", "--data", other) == WHOLE
    key = (tmp_path / "with/auth.key").read_text().strip()
    third = str(tmp_path / "third")
    out(tmp_path, "restore", str(tmp_path / "without"), "--data", third, environ={"RS_AUTH_KEY": key})
    assert not (tmp_path / "third/auth/auth.key").exists()
    assert out(tmp_path, "verify", "--data", third, environ={"RS_AUTH_KEY": key}) == WHOLE


def test_a_copy_that_was_changed(tmp_path: Path) -> None:
    """It is refused, and what is there stays as it is."""
    registry_of(tmp_path)
    copy = tmp_path / "copy"
    out(tmp_path, "backup", str(copy))
    made(tmp_path, "later")
    with closing(sqlite3.connect(copy / "auth.db")) as registry:
        registry.execute("UPDATE tokens SET created_at_us = 1")
        registry.commit()
    refused = out(tmp_path, "restore", str(copy), "--replace", status=1)
    assert "the copy can't be used: token 'init-token': its record was changed" in refused
    assert "there is no such copy" in out(tmp_path, "restore", str(tmp_path / "none"), status=4)
    assert out(tmp_path, "show", "later").startswith("name")
    assert out(tmp_path, "verify") == WHOLE


def test_over_what_can_not_be_read(tmp_path: Path) -> None:
    """A registry that is lost is moved aside; nobody can say what was revoked since."""
    registry_of(tmp_path)
    out(tmp_path, "backup", str(tmp_path / "copy"))
    database = tmp_path / "data/auth/auth.db"
    database.write_bytes(b"no database" * 999)
    out(tmp_path, "restore", str(tmp_path / "copy"), "--replace")
    assert out(tmp_path, "verify") == WHOLE
    with forked(tmp_path) as server:
        out(tmp_path, "list", environ=remote(server.url))


def test_an_old_copy_put_back_by_hand_is_refused(tmp_path: Path) -> None:
    """Not `restore` but cp: the generation is ahead of it."""
    registry_of(tmp_path)
    database = tmp_path / "data/auth/auth.db"
    made(tmp_path, "worker")
    out(tmp_path, "backup", str(tmp_path / "copy"))
    out(tmp_path, "delete", "worker")
    database.write_bytes((tmp_path / "copy/auth.db").read_bytes())
    assert "an older copy of auth.db was put back" in out(tmp_path, "verify", status=1)
    assert "an older copy of auth.db" in refused(tmp_path, {"RS_API_TOKEN": ROOT_VALUE, "RS_PORT": "0"})
