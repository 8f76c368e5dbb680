"""Files that somebody cut short, wrote over, took away, exchanged, linked, opened to others or put back.

Before a start: refused with what to do about it, and left as they are; put right, everything is there. While a server
runs: what can be noticed is, nobody gets in who should not, and nothing is a 500.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.faults.clients import bearer, create, status_of, views
from tests.faults.forking import ROOT_VALUE, Forks

Tamper = Callable[[Path], None]


def cut_short(name: str, size: int) -> Tamper:
    return lambda auth: os.truncate(auth / name, size)


def written_over(name: str, offset: int) -> Tamper:
    def tamper(auth: Path) -> None:
        with (auth / name).open("r+b") as file:
            file.seek(offset)
            file.write(b"\xa5" * 4_096)

    return tamper


def taken_away(name: str) -> Tamper:
    return lambda auth: (auth / name).unlink()


def exchanged(name: str) -> Tamper:
    def tamper(auth: Path) -> None:
        shutil.copy(auth.with_name("another") / name, auth / "copy")
        (auth / "copy").replace(auth / name)

    return tamper


def linked(name: str) -> Tamper:
    def tamper(auth: Path) -> None:
        (auth / name).rename(auth.with_name("elsewhere"))
        (auth / name).symlink_to(auth.with_name("elsewhere"))

    return tamper


def opened(name: str) -> Tamper:
    return lambda auth: (auth / name).chmod(0o644)


def of_a_newer_schema(auth: Path) -> None:
    connection = sqlite3.connect(auth / "auth.db")
    connection.execute("PRAGMA user_version = 1000")
    connection.close()


def put_back(auth: Path) -> None:
    shutil.copyfile(auth.with_name("older.db"), auth / "auth.db")


TAMPERED: dict[str, tuple[Tamper, str]] = {
    "database cut short": (cut_short("auth.db", 10_000), "auth.db"),
    "database of no bytes": (cut_short("auth.db", 0), "not a token registry"),
    "database written over": (written_over("auth.db", 0), "auth.db: can't be opened as a token registry"),
    "database taken away": (taken_away("auth.db"), "restore auth.db from a backup"),
    "database exchanged": (exchanged("auth.db"), "restore the auth.key that belongs to it"),
    "database linked elsewhere": (linked("auth.db"), "is a symbolic link"),
    "database readable by others": (opened("auth.db"), "run chmod 600"),
    "database of a newer schema": (of_a_newer_schema, "made by a newer release"),
    "an older database put back": (put_back, "an older copy of auth.db was put back"),
    "key cut short": (cut_short("auth.key", 10), "not a registry key"),
    "key taken away": (taken_away("auth.key"), "restore auth.key from a backup"),
    "key exchanged": (exchanged("auth.key"), "made with another key"),
    "key linked elsewhere": (linked("auth.key"), "is a symbolic link"),
    "key readable by others": (opened("auth.key"), "run chmod 600"),
    "generation cut short": (cut_short("auth.gen", 3), "not a generation file"),
    "folder readable by others": (lambda auth: auth.chmod(0o755), "run chmod 700"),
}


def contents_of(auth: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.lstat().st_mode, path.read_bytes()) for path in auth.iterdir()}


async def prepared(forks: Forks, folder: Path) -> dict[str, str]:
    """Leave a registry that was closed in order, with an older copy of it and another one beside it."""
    auth = folder / "data" / "auth"
    forks.start(folder).end()
    auth.rename(auth.with_name("another"))
    values = {}
    server = forks.start(folder)
    async with ClientSession(server.url) as session:
        for name in ("kept", "doomed"):
            values[name] = await create(session, name)
        backup = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))"
        subprocess.run(  # noqa: ASYNC221 - the server is another process
            [sys.executable, "-c", backup, str(auth / "auth.db"), str(auth.with_name("older.db"))], check=True
        )
        async with session.post("/api/v1/tokens/doomed/revoke", headers=bearer(ROOT_VALUE)) as response:
            assert response.status == 200
    assert server.stop() == 0
    return values


async def refuse(
    forks: Forks, folder: Path, tamper: Tamper, message: str, sabotage: str | None = None
) -> None:
    values = await prepared(forks, folder)
    auth = folder / "data" / "auth"
    shutil.copytree(auth, folder / "sound")
    tamper(auth)
    before = contents_of(auth)
    log = forks.start_refused(folder, sabotage=sabotage)
    assert "can't start: " in log
    assert message in log
    assert str(auth) in log
    assert "Traceback" not in log
    assert contents_of(auth) == before
    shutil.rmtree(auth)
    shutil.copytree(folder / "sound", auth)
    server = forks.start(folder)
    async with ClientSession(server.url) as session:
        assert await status_of(session, values["kept"]) == 200
        assert await status_of(session, values["doomed"]) == 401
        assert (await views(session)).keys() == values.keys()
    server.end()


@pytest.mark.parametrize(("tamper", "message"), TAMPERED.values(), ids=TAMPERED)
async def test_before_a_start(forks: Forks, tmp_path: Path, tamper: Tamper, message: str) -> None:
    """The start is refused, names the file and says what to do, and changes nothing."""
    await refuse(forks, tmp_path, tamper, message)


# `auth.gen` and `-shm` are mapped: cutting them short ends every process that maps them, which no process can help.
NOTICED: dict[str, Tamper] = {
    "database cut short": cut_short("auth.db", 10_000),
    "database of no bytes": cut_short("auth.db", 0),
    "database taken away": taken_away("auth.db"),
    "database exchanged": exchanged("auth.db"),
    "database linked elsewhere": linked("auth.db"),
    "generation exchanged": exchanged("auth.gen"),
    "log cut short": cut_short("auth.db-wal", 0),
    "log taken away": taken_away("auth.db-wal"),
}
# Nobody can notice this without reading all of it again; but nobody gets back in, either.
NOT_NOTICED: dict[str, Tamper] = {
    "database written over": written_over("auth.db", 0),
    "database written over further on": written_over("auth.db", 8_192),
    "log written over": written_over("auth.db-wal", 32),
}


async def while_running(forks: Forks, folder: Path, tamper: Tamper, sabotage: str | None = None) -> int:
    """Tamper under a server that has just revoked a token; return how many changes it acknowledges after that."""
    values = await prepared(forks, folder)
    server = forks.start(folder, sabotage=sabotage)
    told = 0
    async with ClientSession(server.url) as session:
        for name in ("late", "lately-doomed"):
            values[name] = await create(session, name)
            assert await status_of(session, values[name]) == 200
        async with session.post(
            "/api/v1/tokens/lately-doomed/revoke", headers=bearer(ROOT_VALUE)
        ) as response:
            assert response.status == 200
        tamper(folder / "data" / "auth")
        for name in ("doomed", "lately-doomed"):
            assert await status_of(session, values[name]) in {401, 503}
        assert await status_of(session, "of-nobody") in {401, 503}
        for name in ("kept", "late"):
            assert await status_of(session, values[name]) in {200, 503}
        for number in range(3):
            async with session.post(
                f"/api/v1/tokens/new{number}", headers=bearer(ROOT_VALUE), json={}
            ) as response:
                assert response.status in {200, 503}, await response.text()
                told += response.status == 200
    server.end()
    again = forks.begin(folder)
    if again.wait_until_listening():
        async with ClientSession(again.url) as session:
            for name in ("doomed", "lately-doomed"):
                assert await status_of(session, values[name]) == 401
    else:
        assert "can't start: " in again.log
        assert "Traceback" not in again.log
    again.end()
    return told


@pytest.mark.parametrize("tamper", NOTICED.values(), ids=NOTICED)
async def test_noticed_while_a_server_runs(forks: Forks, tmp_path: Path, tamper: Tamper) -> None:
    """Nothing is acknowledged that the next start will not find."""
    assert await while_running(forks, tmp_path, tamper) == 0


@pytest.mark.parametrize("tamper", NOT_NOTICED.values(), ids=NOT_NOTICED)
async def test_not_noticed_while_a_server_runs(forks: Forks, tmp_path: Path, tamper: Tamper) -> None:
    """Who was revoked stays out, now and after the next start, if there is one."""
    await while_running(forks, tmp_path, tamper)
