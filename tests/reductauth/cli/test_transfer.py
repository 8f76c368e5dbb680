"""`import` and `export`, as an operator runs them: beside a server, over again, and with files that are wrong."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any
from urllib.request import Request, urlopen

import pytest

from reductauth.cli import imports, line_process
from reductauth.key import RegistryKey
from reductauth.provisioning import KeyedDigest
from reductauth.sqlite import SqliteStore
from tests.forked import forked
from tests.reductauth.cli.commands import reductauth_here, remote
from tests.servers import ROOT_VALUE, clean_environment

KEY = RegistryKey(bytes(range(32)))
ENVIRON = {"RS_AUTH_KEY": KEY.to_hex()}
SERVER = {"RS_API_TOKEN": ROOT_VALUE, **ENVIRON}
WHOLE = "the registry is whole\n"
LONG = "a-value-that-somebody-chose-0123456789-"
ID = "00000000-0000-4000-8000-00000000000"
PADDING = 2**17
BATCH = line_process._BATCH_BYTES // PADDING
"""Lines of `padded`, which are read together."""


@pytest.fixture(autouse=True)
def steady_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in this process must not slow down the other tests."""
    monkeypatch.setattr(os, "nice", lambda _: 0)


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that a server was started on once."""
    folder = tmp_path_factory.mktemp("seeded")
    with forked(folder, SERVER) as server:
        server.stop()
    return folder / "data"


@pytest.fixture
def registry(tmp_path: Path, seeded: Path) -> Path:
    """A folder with a registry of its own, in `data`."""
    with closing(sqlite3.connect(seeded / "auth/auth.db")) as source:
        (tmp_path / "data/auth").mkdir(parents=True, mode=0o700)
        with closing(sqlite3.connect(tmp_path / "data/auth/auth.db")) as target:
            source.backup(target)
    (tmp_path / "data/auth/auth.db").chmod(0o600)
    return tmp_path


def run(
    folder: Path, *arguments: str, status: int = 0, environ: Mapping[str, str] = MappingProxyType({})
) -> tuple[list[str], list[str]]:
    """Run a command here; return the lines of both its outputs. It ends as it should."""
    done = reductauth_here(folder, *arguments, **{**ENVIRON, **environ})
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout.splitlines(), done.stderr.splitlines()


def line(name: str, /, **fields: Any) -> dict[str, Any]:
    """A line that is good, but for what `fields` say (None leaves a field out)."""
    whole = {"name": name, "permissions": {"read": ["weather"]}, "value": LONG + name, **fields}
    return {key: value for key, value in whole.items() if value is not None}


def digest(value: str, key: RegistryKey = KEY) -> str:
    return str(KeyedDigest.of(value, key))


def written(folder: Path, *lines: dict[str, Any] | bytes) -> str:
    """Write a file of lines; return its path."""
    path = folder / "tokens.jsonl"
    path.write_bytes(
        b"".join(one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in lines)
    )
    return str(path)


def names(folder: Path) -> list[str]:
    """Name the tokens that were made here."""
    with closing(sqlite3.connect(folder / "data/auth/auth.db")) as found:
        return [
            name
            for (name,) in found.execute("SELECT name FROM tokens WHERE is_provisioned = 0 ORDER BY name")
        ]


def status_of(url: str, value: str) -> int:
    """How a server answers to a value."""
    request = Request(f"{url}/api/v1/me", headers={"Authorization": f"Bearer {value}"})  # noqa: S310
    try:
        with urlopen(request) as answer:  # noqa: S310 - our own server
            return int(answer.status)
    except OSError as error:
        return int(getattr(error, "code", 0))


def test_there_and_back(tmp_path: Path) -> None:
    """What one registry exports another with its key imports, and exports again word for word; values work in both."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    with forked(old, SERVER) as server:
        environ = remote(server.url)
        values = {}
        for name, options in {
            "plain": ["--read", "weather", "--write", "lab-*"],
            "rich": [
                "--role",
                "viewer",
                "--ttl",
                "86400",
                "--description",
                "Straße \N{SNOWMAN}, 'x'",
                "--ip-allow",
                "127.0.0.0/8",
                "--valid-from",
                "2001-01-01T00:00:00Z",
                "--expires-at",
                "2090-01-01T00:00:00Z",
            ],
            "off": ["--inactive"],
            "gone": ["--full-access"],
            "turned": [],
        }.items():
            values[name] = run(old, "create", name, *options, environ=environ)[0][0]
        run(old, "revoke", "gone", environ=environ)
        turned = run(old, "rotate", "turned", "--grace", "3600", environ=environ)[0][0]
        assert status_of(server.url, values["rich"]) == 200
        file = str(old / "tokens.jsonl")
        assert run(old, "export", file) == ([], ["5 exported, 1 left out that the configuration declares"])
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
    assert sorted(path.suffix for path in old.iterdir()) == ["", ".jsonl", ".log"]
    lines = [json.loads(one) for one in Path(file).read_bytes().splitlines()]
    assert [one["name"] for one in lines] == ["gone", "off", "plain", "rich", "turned"]
    assert [len(one["secrets"]) for one in lines] == [0, 1, 1, 1, 2]
    assert lines[2]["secrets"][0]["digest"] == digest(values["plain"])
    with forked(new, SERVER) as server:
        assert status_of(server.url, values["plain"]) == 401
        assert run(new, "import", file) == (["5 imported, 0 already there, 0 refused"], [])
        works = {name: status_of(server.url, value) for name, value in values.items()}
        assert works == {"plain": 200, "rich": 200, "off": 401, "gone": 401, "turned": 200}
        assert status_of(server.url, turned) == 200
        assert run(new, "verify")[0] == [WHOLE.strip()]
        again = run(new, "export")[0]
        for one, other in zip(again, lines, strict=True):
            told = json.loads(one)
            assert {**told, "last_access": None} == {**other, "last_access": None}
        entries = json.loads(run(new, "audit", "--action", "import", "--json")[0][0])["entries"]
        assert {(entry["token"], entry["actor"]) for entry in entries} == {
            (one["name"], "environment") for one in lines
        }
        (plain,) = [entry for entry in entries if entry["token"] == "plain"]
        assert plain["detail"]["after"]["permissions"]["write"] == ["lab-*"]
        assert run(new, "import", file) == (["0 imported, 5 already there, 0 refused"], [])


FAULTS: list[tuple[str, dict[str, Any] | bytes, str]] = [
    ("no JSON", b"nonsense\n", " is not JSON: "),
    ("cut off", b'{"name": "x", \n', " is not JSON: "),
    ("not UTF-8", b'{"name": "\xff"}\n', " is not JSON: "),
    ("half a character", b'{"name": "\\ud800"}\n', " is not JSON: "),
    ("byte order mark", b'\xef\xbb\xbf{"name": "x"}\n', " is not JSON: "),
    ("NaN", b'{"name": "x", "ttl": NaN}\n', " is not JSON: "),
    ("deep", b"[" * 5000 + b"\n", " is not JSON: "),
    ("deep, unknown", b'{"a":' * 400 + b"1" + b"}" * 400 + b"\n", " name: is missing"),
    (
        "huge number",
        b'{"name": "x", "permissions": {}, "ttl": ' + b"9" * 5000 + b"}\n",
        " is not JSON: ",
    ),
    ("too long", b'{"name": "' + b"x" * 2**20 + b'"}\n', " is longer than 1048576 bytes"),
    ("a list", b"[]\n", " must be a JSON object"),
    (
        "twice",
        b'{"name": "x", "permissions": {}, "value": "secret1", "value": "secret2"}\n',
        " value: is there twice",
    ),
    (
        "twice, inside",
        b'{"name":"x","permissions":{"read":[],"read":[]},"value":"s"}\n',
        " read: is there twice",
    ),
    ("no name", line("x", name=None), " name: is missing"),
    ("bad name", line("a b"), " Token name can contain only letters, digits and [-,_,.] symbols"),
    ("unknown key", line("x", nmae="y"), " nmae: is not a known field"),
    ("no permissions", line("x", permissions=None), "give exactly one of permissions and role"),
    ("two kinds", line("x", role="admin"), "role: stands for other permissions than those that are given"),
    ("bad pattern", line("x", permissions={"read": ["a*b"]}), "Permission can contain only bucket names or"),
    (
        "many patterns",
        line("x", permissions={"read": [f"b{n}" for n in range(1001)]}),
        "at most 1000 entries",
    ),
    ("coerced", line("x", active="true"), " active: must be true or false"),
    ("description", line("x", description="x" * 1001), "Token description can have at most 1000 characters"),
    ("no ttl", line("x", ttl=0), "Token TTL must be greater than zero"),
    ("huge ttl", line("x", ttl=2**63), " ttl: "),
    ("bad time", line("x", expires_at="tomorrow"), " expires_at: must be an RFC 3339 time with an offset"),
    (
        "no window",
        line("x", valid_from="2031-01-01T00:00:00Z", expires_at="2030-01-01T00:00:00Z"),
        "Token must become valid before it expires",
    ),
    ("made later", line("x", created_at="2999-01-01T00:00:00Z"), "created_at: must not be in the future"),
    ("used later", line("x", last_access="2999-01-01T00:00:00Z"), "last_access: must not be in the future"),
    ("bad network", line("x", ip_allowlist=["1.2.3"]), "'1.2.3' is not an IP address"),
    ("bad id", line("x", id="7"), " id: must be a UUID"),
    ("no value", line("x", value=None), "needs a value, or secrets of which at least one has not ended"),
    ("empty value", line("x", value=" "), " value: is empty"),
    ("spaced value", line("x", value="secret with spaces"), " value: may hold visible ASCII characters only"),
    ("long value", line("x", value="s" * 4097), " value: is longer than 4096 characters"),
    ("mistyped value", line("x", value="x-rsat1" + "0" * 49), "its checksum is wrong: mistyped?"),
    ("both", line("x", secrets=[{"digest": digest("v")}]), " value: give either it or secrets"),
    ("no digest", line("x", value=None, secrets=[{}]), " secrets.0.digest: is missing"),
    (
        "bad digest",
        line("x", value=None, secrets=[{"digest": "secret"}]),
        " secrets.0.digest: is not a digest; it must be",
    ),
    (
        "foreign digest",
        line("x", value=None, secrets=[{"digest": digest("v", RegistryKey(bytes(32)))}]),
        f"the registry's key is {KEY.key_id}; make it again with",
    ),
    (
        "same digest",
        line("x", value=None, secrets=[{"digest": digest("v")}] * 2),
        "the same digest is there twice",
    ),
    (
        "ended values",
        line("x", value=None, secrets=[{"digest": digest("v"), "expires_at": "2001-01-01T00:00:00Z"}]),
        "needs a value, or secrets of which at least one has not ended",
    ),
    ("revoked with value", line("x", revoked_at="2020-01-01T00:00:00Z"), "a revoked token has no values"),
    (
        "revoked and active",
        line("x", value=None, revoked_at="2020-01-01T00:00:00Z", active=True),
        "active: must be false for a revoked token",
    ),
    (
        "taken name",
        line("init-token"),
        " token 'init-token': name: a token that is here has it; it differs in",
    ),
    ("taken value", line("x", value=ROOT_VALUE), " token 'x': value: token 'init-token' has it"),
]


def test_lines_that_are_wrong(registry: Path) -> None:
    """Each is told with its number, nothing of it is kept, no value is shown, and the others come in all the same."""
    before = names(registry)
    file = written(registry, *(fault for _, fault, _ in FAULTS), b"\r\n", b"\n", line("good"))
    out, told = run(registry, "import", file, status=1)
    assert out == [f"1 imported, 0 already there, {len(FAULTS)} refused"]
    for number, (one, (name, _, expected)) in enumerate(zip(told, FAULTS, strict=True), 1):
        assert one.startswith(f"line {number}:"), (name, one)
        assert expected in one, (name, one)
    assert "secret" not in "".join(told).replace("secrets", "").replace("secrets.0", "")
    assert names(registry) == [*before, "good"]
    assert run(registry, "verify")[0] == [WHOLE.strip()]


def test_duplicates(registry: Path) -> None:
    """A name, an id or a value that another token has, here or in the file, is told with both; the first counts."""
    run(registry, "import", written(registry, line("old", id=f"{ID}0")))
    file = written(
        registry,
        line("new", id=f"{ID}1"),
        line("new", id=f"{ID}1"),
        line("new", value=LONG + "another"),
        line("b", id=f"{ID}1"),
        line("c", value=LONG + "new"),
        line("d", id=f"{ID}0"),
        line("e", value=LONG + "old"),
        line("old", id=f"{ID}0"),
        line("old", permissions={"read": ["lab"]}),
    )
    out, told = run(registry, "import", file, status=1)
    assert out == ["1 imported, 1 already there, 7 refused"]
    assert told == [
        "line 2: token 'new': name: is that of line 1 too",
        "line 3: token 'new': name: is that of line 1 too",
        "line 4: token 'b': id: token 'new' of line 1 has it",
        "line 5: token 'c': value: token 'new' of line 1 has it",
        "line 6: token 'd': id: token 'old' has it",
        "line 7: token 'e': value: token 'old' has it",
        "line 9: token 'old': name: is that of line 8 too",
    ]
    out, told = run(
        registry, "import", written(registry, line("old", permissions={"read": ["lab"]}, ttl=5)), status=1
    )
    assert told == ["line 1: token 'old': name: a token that is here has it; it differs in permissions, ttl"]


def test_ended_tokens_and_the_cap(registry: Path) -> None:
    """The cap on lifetimes holds for tokens that have not ended; one that has comes in, and its name is taken."""
    file = written(
        registry,
        line("endless"),
        line("late", expires_at="2999-01-01T00:00:00Z"),
        line("ended", expires_at="2020-01-01T00:00:00Z"),
        line("revoked", value=None, revoked_at="2020-01-01T00:00:00Z"),
        line("scheduled", value=None, revoked_at="2020-01-01T00:00:00Z", valid_from="2030-01-01T00:00:00Z"),
    )
    capped = {"RS_TOKEN_MAX_LIFETIME_SECONDS": "3600"}
    out, told = run(registry, "import", file, status=1, environ=capped)
    assert out == ["3 imported, 0 already there, 2 refused"]
    assert [one.split(": ")[2] for one in told] == ["Token can be valid for at most 3600 seconds"] * 2
    shown = {name: json.loads(run(registry, "show", name, "--json")[0][0]) for name in ("ended", "revoked")}
    assert {name: one["status"] for name, one in shown.items()} == {"ended": "expired", "revoked": "revoked"}
    assert (shown["revoked"]["active"], shown["revoked"]["secrets"]) == (False, [])
    assert run(registry, "import", file)[0] == ["2 imported, 3 already there, 0 refused"]


def test_a_value_whose_grace_is_over(registry: Path) -> None:
    """It does not come in, its token does; a second time it is there already."""
    over = {
        "digest": digest("old"),
        "created_at": "2020-01-01T00:00:00Z",
        "expires_at": "2020-01-02T00:00:00Z",
    }
    later = {"digest": digest("older"), "expires_at": "2999-01-01T00:00:00Z"}
    file = written(registry, line("a", value=None, secrets=[over, later, {"digest": digest("new")}]))
    assert run(registry, "import", file)[0] == ["1 imported, 0 already there, 0 refused"]
    with closing(sqlite3.connect(registry / "data/auth/auth.db")) as found:
        kept = {one for (one,) in found.execute("SELECT digest FROM secrets")}
    assert {KEY.digest("older"), KEY.digest("new")} <= kept
    assert KEY.digest("old") not in kept
    assert run(registry, "import", file)[0] == ["0 imported, 1 already there, 0 refused"]


def test_administrators_and_short_values_are_told(registry: Path) -> None:
    """Nobody is made an administrator in passing."""
    file = written(registry, line("boss", permissions=None, role="admin", value="short"), line("a"))
    assert run(registry, "import", file)[1] == [
        "1 values are shorter than 32 characters: longer, random ones are harder to guess",
        "1 of the imported have full access: they are administrators",
    ]


def test_a_flood_of_refusals(registry: Path) -> None:
    """The first hundred are told and the others counted; a file takes all of them."""
    file = written(registry, b"x\n" * 250)
    out, told = run(registry, "import", file, "--refused", str(registry / "refused"), status=1)
    assert out == ["0 imported, 0 already there, 250 refused"]
    assert (len(told), told[-1]) == (101, "and 150 more")
    assert len((registry / "refused").read_text().splitlines()) == 250
    assert stat.S_IMODE((registry / "refused").stat().st_mode) == 0o600
    _, (told_why,) = run(registry, "import", file, "--refused", str(registry / "refused"), status=2)
    assert told_why.endswith("can't be made (File exists)")


def test_no_trace_of_values(registry: Path) -> None:
    """No value that came in a file, good or refused, is in any file of the registry or in what was printed."""
    refused = line("b", value=LONG + "of-b", ttl=0)
    file = Path(written(registry, line("a", value=LONG + "of-a"), refused))
    printed = str(run(registry, "import", str(file), status=1))
    file.unlink()
    assert LONG not in printed
    assert LONG not in str(run(registry, "export"))
    kept = b"".join(path.read_bytes() for path in (registry / "data").rglob("*") if path.is_file())
    assert b"token 'a'" not in kept
    assert KEY.digest(LONG + "of-a") in kept
    assert LONG.encode() not in kept


def test_a_broken_record_is_not_exported(registry: Path) -> None:
    """It is told, and the others are written."""
    run(registry, "import", written(registry, line("a"), line("b")))
    with closing(sqlite3.connect(registry / "data/auth/auth.db")) as connection:
        connection.execute("UPDATE tokens SET full_access = 1 WHERE name = 'a'")
        connection.commit()
    out, told = run(registry, "export", status=1)
    assert [json.loads(one)["name"] for one in out] == ["b"]
    assert told[0] == "token 'a': its record was changed by something else than this software"
    assert told[1].endswith(
        "1 exported, 1 left out that the configuration declares, 1 left out that can't be trusted"
    )
    _, (refused,) = run(registry, "import", written(registry, line("a")), status=1)
    assert "its record was changed by something else" in refused


def test_files_in_the_way(registry: Path) -> None:
    """Nothing is written over, and nothing is left of what could not be written."""
    file = registry / "there"
    file.write_text("mine")
    _, (told,) = run(registry, "export", str(file), status=4)
    assert told == f"Error: {file}: can't be written (there is one already; name a new file)"
    assert file.read_text() == "mine"
    _, (told,) = run(registry, "export", str(registry / "none" / "x"), status=4)
    assert "No such file or directory" in told
    run(registry, "import", str(registry / "none"), status=2)
    run(registry, "export", "--data", str(registry / "elsewhere"), status=4)
    run(registry, "import", str(file), "--data", str(registry / "elsewhere"), status=4)
    assert sorted(path.name for path in registry.iterdir()) == ["data", "there"]


def test_a_value_that_waits_for_the_next_token(registry: Path) -> None:
    """What somebody laid where an imported token comes does not open it."""
    with closing(sqlite3.connect(registry / "data/auth/auth.db")) as connection:
        for key in range(2, 5):
            connection.execute(
                "INSERT INTO secrets (token_key, digest, key_id, created_at_us) VALUES (?, ?, ?, 1)",
                (key, KEY.digest(f"planted-{key}"), KEY.key_id),
            )
        connection.commit()
    run(registry, "import", written(registry, line("a"), line("b"), line("c")))
    assert [len(json.loads(one)["secrets"]) for one in run(registry, "export")[0]] == [1, 1, 1]
    assert run(registry, "verify")[0] == [WHOLE.strip()]


def many(count: int) -> list[bytes]:
    """Lines that are good."""
    return [
        json.dumps(line(f"t{n:06}", value=None, secrets=[{"digest": digest(f"v{n}")}])).encode() + b"\n"
        for n in range(count)
    ]


def padded(lines: list[bytes]) -> bytes:
    """The same lines, so long that few of them make a batch."""
    return b"".join(line.rstrip().ljust(PADDING) + b"\n" for line in lines)


@contextmanager
def importing(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """An import of what a test writes into a pipe."""
    with (folder / "printed").open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "reductauth", "import"],
            cwd=folder,
            env=clean_environment(**ENVIRON),
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
    assert process.stdin is not None
    try:
        yield process, process.stdin
    finally:
        process.kill()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()


def wait_for(folder: Path, count: int) -> None:
    """Wait until so many tokens were made."""
    deadline = time.monotonic() + 30
    while len(names(folder)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_until_gone(pid: str) -> None:
    """Wait until a process has ended, or waits for nothing but to be buried."""
    deadline = time.monotonic() + 30
    status = Path(f"/proc/{pid}/status")
    while status.exists() and "State:\tZ" not in status.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_and_begun_again(registry: Path) -> None:
    """Killed between its batches and inside of one, an import leaves whole batches, and goes on when run again."""
    lines = many(BATCH + 20)
    file = written(registry, *lines)
    with importing(registry) as (process, pipe):
        pipe.write(padded(lines[:BATCH]))
        pipe.flush()
        wait_for(registry, BATCH)
        pipe.write(padded(lines[BATCH:]))
        pipe.flush()
        tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
        (reader,) = "".join(task.read_text() for task in tasks).split()
        process.kill()
        wait_until_gone(reader)  # though it could still read from the pipe
    kept = len(names(registry))
    assert kept >= BATCH
    assert run(registry, "verify")[0] == [WHOLE.strip()]
    out, _ = run(registry, "import", file)
    assert out == [f"{len(lines) - kept:,} imported, {kept:,} already there, 0 refused"]
    assert run(registry, "verify")[0] == [WHOLE.strip()]


def test_interrupted(registry: Path) -> None:
    """Ctrl-C ends it after a batch, also while it waits for more; the same command goes on then, as it says."""
    lines = many(BATCH + 10)
    with importing(registry) as (process, pipe):
        pipe.write(padded(lines[:BATCH]))
        pipe.flush()
        wait_for(registry, BATCH)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130  # though there may be more to read
    assert (registry / "printed").read_text().splitlines() == [
        f"{BATCH:,} imported, 0 already there, 0 refused",
        "interrupted: the same command goes on",
    ]
    assert run(registry, "import", written(registry, *lines))[0] == [
        f"10 imported, {BATCH:,} already there, 0 refused"
    ]


def test_beside_a_server(tmp_path: Path) -> None:
    """While an import runs a server makes its own changes, and lets in who was just imported and unknown before."""
    with forked(tmp_path, SERVER) as server, importing(tmp_path) as (process, pipe):
        lines = many(5_000)
        assert status_of(server.url, "v7") == 401
        pipe.write(padded(lines[:BATCH]))
        pipe.flush()
        wait_for(tmp_path, BATCH)
        assert status_of(server.url, "v7") == 200
        pipe.write(b"".join(lines[BATCH:]))
        pipe.close()
        made = [run(tmp_path, "create", f"own-{n}", environ=remote(server.url))[0][0] for n in range(5)]
        assert [status_of(server.url, value) for value in made] == [200] * 5
        run(tmp_path, "revoke", "t000007", environ=remote(server.url))
        assert status_of(server.url, "v7") == 401
        assert process.wait(60) == 0
        assert status_of(server.url, f"v{len(lines) - 1}") == 200
        assert run(tmp_path, "verify")[0] == [WHOLE.strip()]


def test_others_come_in_between(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two changes of an import the registry is free for longer than one who waits for it sleeps: 0.1 s."""
    change = SqliteStore.change
    times: list[float] = []

    async def timed(self: SqliteStore, work: Any) -> Any:
        times.append(time.monotonic())
        taken = await change(self, work)
        times.append(time.monotonic())
        return taken

    monkeypatch.setattr(SqliteStore, "change", timed)
    monkeypatch.setattr(imports, "_HOLD_SECONDS", 0)
    run(registry, "import", written(registry, *many(1_000)))
    ends, begins = times[1::2], times[2::2]
    assert len(begins) > 2
    assert min(begin - end for begin, end in zip(begins, ends, strict=False)) > 0.1


@pytest.mark.parametrize("command", ["import", "export"])
def test_a_bar_for_people_only(registry: Path, command: str) -> None:
    """A terminal is shown how far it is; a file or a pipe is not."""
    file = written(registry, *many(10)) if command == "import" else str(registry / "out.jsonl")
    assert f"{command}ing" not in str(run(registry, command, file))
    if command == "export":
        Path(file).unlink()
    master, terminal = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "reductauth", command, file],
            cwd=registry,
            env=clean_environment(**ENVIRON),
            stdout=subprocess.DEVNULL,
            stderr=terminal,
        )
        assert process.wait(30) == 0
        shown = os.read(master, 65_536).decode()
    finally:
        os.close(master)
        os.close(terminal)
    assert f"{command}ing" in shown
    assert "100%" in shown
