"""Each command about tokens, over HTTP and on the folder: the same story twice, with the same answers.

Both stories run while a server serves the folder.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.forked import forked
from tests.reductauth.cli.commands import reductauth, reductauth_here, remote
from tests.servers import ROOT_VALUE, clean_environment

VALUE = re.compile(r"[A-Za-z0-9_.-]+-rsat1[0-9A-Za-z]{49}")
EMPTY_COUNTS = {"read": 0, "write": 0, "admin": 0, "denied": 0}


@dataclass(frozen=True)
class Step:
    """One command: how it ends, what it refuses with, and what its JSON says (of a token: these keys of it)."""

    command: str
    status: int = 0
    refusal: str = ""
    shows: dict[str, Any] = field(default_factory=dict)
    finds: list[str] | None = None


def refused(command: str, refusal: str) -> Step:
    return Step(command, 1, refusal)


STORY = [
    # --- create
    Step(
        "create lamp --read weather --read lab-* --write inbox --description in_the_hall --ttl 86400 "
        "--valid-from 2001-01-01T00:00:00Z --expires-at 2091-01-01T01:00:00+01:00 --ip-allow 10.1.2.3/8 "
        "--ip-allow 2001:db8::7 --inactive"
    ),
    Step(
        "show lamp",
        shows={
            "name": "lamp",
            "value": "",
            "permissions": {"full_access": False, "read": ["weather", "lab-*"], "write": ["inbox"]},
            "description": "in_the_hall",
            "role": None,
            "status": "inactive",
            "active": False,
            "valid_from": "2001-01-01T00:00:00.000000Z",
            "expires_at": "2091-01-01T00:00:00.000000Z",
            "ttl": 86400,
            "ip_allowlist": ["10.0.0.0/8", "2001:db8::7"],
            "is_provisioned": False,
        },
    ),
    Step("create boss --role admin"),
    Step("show boss", shows={"role": "admin", "status": "active", "ip_allowlist": [], "ttl": None}),
    Step("create chief --full-access"),
    Step("show chief", shows={"role": None, "permissions": {"full_access": True, "read": [], "write": []}}),
    Step("create guest"),
    Step("show guest", shows={"permissions": {"full_access": False, "read": [], "write": []}}),
    Step("create .."),
    refused("create lamp --read weather", "Token 'lamp' already exists"),
    refused("create x --role admin --read a", "Invalid body: give exactly one of permissions and role"),
    refused("create x --ttl 0", "Token TTL must be greater than zero"),
    refused(f"create x --ttl {2**63}", "Invalid body: ttl: "),
    refused(f"create x --ttl {2**80}", "Invalid body: "),
    refused("create x --expires-at tomorrow", "Invalid body: expires_at: must be an RFC 3339 time with an"),
    refused("create x --expires-at 2001-01-01T00:00:00Z", "Token expiration date must not be in the past"),
    refused("create x --read a*b", "Permission can contain only bucket names or wildcard '*', got 'a*b'"),
    refused("create x --ip-allow 1.2.3", "1.2.3"),
    refused("create a/b", "Token name can contain only letters, digits and [-,_,.] symbols"),
    refused("create $batch", "Token name can contain only letters, digits and [-,_,.] symbols"),
    # --- edit
    Step(
        "edit lamp --read lab --description new --active --clear ttl --clear ip-allow --clear valid-from",
        shows={
            "permissions": {"full_access": False, "read": ["lab"], "write": ["inbox"]},
            "description": "new",
            "status": "active",
            "ttl": None,
            "ip_allowlist": [],
            "valid_from": None,
            "expires_at": "2091-01-01T00:00:00.000000Z",
        },
    ),
    Step(
        "edit lamp --clear read --clear write --clear description --clear expires-at --ttl 7200 --ip-allow ::1",
        shows={
            "permissions": {"full_access": False, "read": [], "write": []},
            "description": "",
            "ttl": 7200,
            "ip_allowlist": ["::1"],
            "expires_at": None,
        },
    ),
    Step(
        "edit lamp --role viewer --clear ttl --clear ip-allow",
        shows={"role": "viewer", "permissions": {"full_access": False, "read": ["*"], "write": []}},
    ),
    Step("edit lamp --full-access --inactive", shows={"role": None, "status": "inactive"}),
    Step(
        "edit lamp --no-full-access --valid-from 2090-01-01T00:00:00Z --active", shows={"status": "scheduled"}
    ),
    refused("edit nobody --active", "Token 'nobody' doesn't exist"),
    refused("edit lamp --role viewer --read a", "Invalid body: give only one of permissions and role"),
    refused("edit lamp --ttl -1", "Invalid body: ttl: "),
    refused("edit init-token --inactive", "Can't change provisioned token 'init-token'"),
    # --- show, list
    refused("show nobody", "Token 'nobody' doesn't exist"),
    Step("list", finds=["..", "boss", "chief", "guest", "init-token", "lamp"]),
    Step("list --sort -name --offset 1", finds=["init-token", "guest", "chief", "boss", ".."]),
    Step("list --limit 2 --offset 1", finds=["boss", "chief"]),
    Step("list --search LAM", finds=["lamp"]),
    Step("list --bucket weather --access read", finds=["boss", "chief", "init-token", "lamp"]),
    Step("list --bucket weather --access write", finds=["boss", "chief", "init-token"]),
    Step("list --status scheduled --status revoked", finds=["lamp"]),
    Step("list --id 00000000-0000-0000-0000-000000000000", finds=[]),
    refused("list --id 7", "Invalid query: id: must be a UUID, got '7'"),
    refused("list --limit 0", "Invalid query: limit: must be a whole number from 1 to 1000, got '0'"),
    refused("list --access read", "Invalid query: access: needs bucket beside it"),
    # --- rotate
    Step("rotate lamp"),
    Step("rotate lamp --grace 60"),
    Step("show lamp", shows={"status": "scheduled"}),
    refused("rotate nobody", "Token 'nobody' doesn't exist"),
    refused("rotate lamp --grace -1", "Invalid body: grace_seconds: "),
    refused("rotate init-token", "Can't rotate provisioned token 'init-token'"),
    # --- usage
    Step("usage guest", shows={"name": "guest", "usage": []}),
    Step("usage guest --by month --from 2026-01 --to 2026-12", shows={"usage": []}),
    refused("usage nobody", "Token 'nobody' doesn't exist"),
    refused("usage guest --from x", "Invalid query: from: must be a date, YYYY-MM-DD, got 'x'"),
    # --- check
    Step(
        "check guest --write weather",
        1,
        shows={
            "allowed": False,
            "reason": "Token 'guest' doesn't have write access to bucket 'weather'; "
            "to allow it: add 'weather' to its write permissions",
        },
    ),
    Step(
        "check boss --read weather --client-ip 10.0.0.1 --at 2090-01-01T00:00:00+01:00",
        shows={"allowed": True},
    ),
    Step("check boss --full-access", shows={"allowed": True}),
    Step("check guest --full-access", 1, shows={"allowed": False}),
    Step("check lamp --read x", 1, shows={"allowed": False}),
    refused("check nobody --full-access", "Token 'nobody' doesn't exist"),
    refused("check boss --read $", "Invalid query: bucket: must be the name of a bucket, got '$'"),
    refused("check boss --read a --client-ip x", "Invalid query: client_ip: must be an IP address, got 'x'"),
    refused("check boss --read a --at x", "Invalid query: at: must be an RFC 3339 time with an offset"),
    # --- revoke, delete
    Step("revoke lamp", shows={"status": "revoked", "active": False, "secrets": []}),
    Step("revoke lamp", shows={"status": "revoked"}),
    refused("edit lamp --active", "Token 'lamp' is revoked"),
    refused("rotate lamp", "Token 'lamp' is revoked"),
    refused("revoke init-token", "Can't change provisioned token 'init-token'"),
    refused("delete init-token", "Can't remove provisioned token 'init-token'"),
    Step("delete lamp"),
    Step("delete .."),
    refused("delete lamp", "Token 'lamp' doesn't exist"),
    Step("list --sort name", finds=["boss", "chief", "guest", "init-token"]),
]
NUMBERED = list(enumerate(STORY))
NAMES = [f"{number} {step.command[:40]}" for number, step in NUMBERED]

Answer = CompletedProcess[str]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Answer, Answer]]:
    """What every step answered: over HTTP, and on the folder of another server that runs too.

    Each command is a child process when it is there for the first time.
    """
    folders = [tmp_path_factory.mktemp(way) for way in ("remote", "local")]
    known: set[str] = set()
    told = []
    with forked(folders[0]) as server, forked(folders[1]):
        ways = list(zip(folders, (remote(server.url), {}), strict=True))
        for step in STORY:
            arguments = step.command.split()
            run = reductauth_here if arguments[0] in known else reductauth
            known.add(arguments[0])
            over_http, on_folder = (run(folder, *arguments, "--json", **given) for folder, given in ways)
            told.append((over_http, on_folder))
    return told


def steady(text: str) -> str:
    """An answer without what differs from run to run, who made a token, and what the asking itself is counted as."""
    text = VALUE.sub("<value>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "<time>", text)
    text = re.sub(r'"id":"[0-9a-f-]{36}"', '"id":"<id>"', text)
    text = re.sub(r'"created_by":"(init-token|environment)"', '"created_by":"<actor>"', text)
    text = re.sub(r'"last_access(_ip)?":("[^"]*"|null)', r'"last_access\1":"<access>"', text)
    return re.sub(r'"(admin|uses)":\d+', r'"\1":"<count>"', text)


@pytest.mark.parametrize(("number", "step"), NUMBERED, ids=NAMES)
def test_both_ways_answer_alike(answers: list[tuple[Answer, Answer]], number: int, step: Step) -> None:
    """Status, JSON and words are the same; nothing is ever said in more than one line."""
    over_http, on_folder = answers[number]
    assert (over_http.returncode, on_folder.returncode) == (step.status, step.status), over_http.stderr
    assert steady(over_http.stdout) == steady(on_folder.stdout)
    assert over_http.stderr == on_folder.stderr
    assert over_http.stderr.count("\n") == bool(step.refusal)


@pytest.mark.parametrize(("number", "step"), NUMBERED, ids=NAMES)
def test_what_each_step_says(answers: list[tuple[Answer, Answer]], number: int, step: Step) -> None:
    """The contract's words for what is refused; for the rest what the token is like then, and its value only once."""
    for answer in answers[number]:
        if step.refusal:
            assert answer.stdout == ""
            assert step.refusal in answer.stderr
            continue
        word, name = (*step.command.split(), "")[:2]
        if word == "delete":
            assert answer.stdout == ""
            continue
        said = json.loads(answer.stdout)
        if word in {"create", "rotate"}:
            assert VALUE.fullmatch(said["value"])
            assert said["value"].startswith(f"{name}-rsat1")
            assert said.keys() - {"previous_expires_at"} == {"value", "created_at"}
            assert ("previous_expires_at" in said) == ("--grace" in step.command)
        else:
            assert not VALUE.search(answer.stdout)
        if step.finds is not None:
            assert [token["name"] for token in said["tokens"]] == step.finds
        assert {key: said[key] for key in step.shows} == step.shows


def test_the_actor(answers: list[tuple[Answer, Answer]]) -> None:
    """A token that was made on the folder was made by the environment."""
    index = next(number for number, step in NUMBERED if step.command == "show guest")
    assert [json.loads(answer.stdout)["created_by"] for answer in answers[index]] == [
        "init-token",
        "environment",
    ]


def test_one_registry_seen_both_ways(tmp_path: Path) -> None:
    """On one folder the JSON is the same to the letter, and that of the route."""
    with forked(tmp_path) as server:
        http = remote(server.url)
        assert reductauth_here(tmp_path, "create", "lamp", "--read", "weather", **http).returncode == 0
        for command in (["show", "lamp"], ["list", "--search", "lamp"], ["usage", "lamp"]):
            one = reductauth_here(tmp_path, *command, "--json", **http).stdout
            assert one == reductauth_here(tmp_path, *command, "--json").stdout
            assert one.startswith('{"')


@pytest.mark.parametrize("way", ["remote", "local"])
def test_a_value_is_taken_by_a_script(tmp_path: Path, way: str) -> None:
    """`TOKEN=$(reductauth create ...)`: the value alone on standard output, and it is good; words go beside it."""
    with forked(tmp_path) as server:
        variables = remote(server.url) if way == "remote" else {}
        made = reductauth(tmp_path, "create", "boss", "--full-access", **variables)
        value = made.stdout.removesuffix("\n")
        assert VALUE.fullmatch(value)
        assert made.stderr.startswith("token 'boss' has this value since ")
        listed = reductauth(tmp_path, "list", RS_URL=server.url, RS_API_TOKEN=value)
        assert listed.returncode == 0, listed.stderr
        rotated = reductauth(tmp_path, "rotate", "boss", "--grace", "60", **variables)
        assert VALUE.fullmatch(rotated.stdout.removesuffix("\n"))
        assert rotated.stdout != made.stdout
        assert "the value before it works until " in rotated.stderr
        for said in (made.stderr, listed.stdout, listed.stderr, rotated.stderr, server.log):
            assert not VALUE.search(said)
            assert ROOT_VALUE not in said


def test_a_change_of_the_folder_reaches_the_server(tmp_path: Path) -> None:
    """A token that was revoked on the folder is refused by the server with its next request."""
    with forked(tmp_path) as server:
        value = reductauth_here(tmp_path, "create", "boss", "--full-access").stdout.strip()
        as_boss = {"RS_URL": server.url, "RS_API_TOKEN": value}
        assert reductauth_here(tmp_path, "show", "boss", **as_boss).returncode == 0
        assert reductauth_here(tmp_path, "revoke", "boss").returncode == 0
        found = reductauth_here(tmp_path, "show", "boss", **as_boss)
        assert (found.returncode, found.stderr) == (3, "Error: Invalid token\n")


def test_tables(tmp_path: Path) -> None:
    """For people: a row for each token, a line for each property; what others wrote does not steer the terminal."""
    with forked(tmp_path):
        text = "two\nlines, \x1b[31mred, ü" + "x" * 60
        made = reductauth_here(
            tmp_path, "create", "1e5", "--read", "lab-*", "--description", text, "--ttl", "60"
        )
        assert made.returncode == 0
        header, _, *rows = reductauth(tmp_path, "list").stdout.splitlines()
        # A table of numbers only would be one of numbers.
        assert "\n1e5 " in reductauth_here(tmp_path, "list", "--search", "1e5").stdout
        assert re.split(r"  +", header) == ["NAME", "STATUS", "MAY", "EXPIRES", "LAST ACCESS", "DESCRIPTION"]
        start = r"two\nlines, \x1b[31mred, ü"
        assert re.split(r"  +", rows[0]) == [
            "1e5",
            "active",
            "read lab-*",
            start + "x" * (57 - len(start)) + "...",
        ]
        assert rows[1].split() == ["init-token", "active", "full", "access"]
        shown = reductauth_here(tmp_path, "show", "1e5").stdout
        assert re.search(r"^permissions +read lab-\*$", shown, re.MULTILINE)
        assert re.search(r"^ttl +60 s$", shown, re.MULTILINE)
        assert re.escape(start + "x" * 60) in re.escape(shown)
        assert reductauth_here(tmp_path, "usage", "1e5").stdout.split("\n")[0].split() == [
            "PERIOD",
            "READ",
            "WRITE",
            "ADMIN",
            "DENIED",
        ]
        assert re.search(
            r"^status +revoked$", reductauth_here(tmp_path, "revoke", "1e5").stdout, re.MULTILINE
        )
        deleted = reductauth_here(tmp_path, "delete", "1e5")
        assert (deleted.stdout, deleted.stderr) == ("", "token '1e5' is deleted\n")
        assert reductauth_here(tmp_path, "create", "y", "--description", "ü").returncode == 0
        in_ascii = subprocess.run(
            [sys.executable, "-m", "reductauth", "show", "y"],
            cwd=tmp_path,
            env=clean_environment(PYTHONIOENCODING="ascii"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert in_ascii.returncode == 0, in_ascii.stderr
        assert r"\xfc" in in_ascii.stdout


def test_the_lifetime_cap_holds_on_the_folder(tmp_path: Path) -> None:
    """As on the server, where the environment sets it."""
    with forked(tmp_path):
        found = reductauth_here(tmp_path, "create", "x", RS_TOKEN_MAX_LIFETIME_SECONDS="60")
        assert found.returncode == 1
        assert "60 seconds" in found.stderr
        assert reductauth_here(tmp_path, "show", "x").returncode == 1
