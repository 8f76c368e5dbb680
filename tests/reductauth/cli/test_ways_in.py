"""How a command gets to the registry, and how it ends when it can't: exit status, one line, no value in it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reductauth.actor import Actor
from reductauth.clock import system_clock
from reductauth.draft import TokenDraft
from reductauth.permissions import Permissions
from reductauth.registry import TokenRegistry
from reductauth.sqlite import SqliteStore
from tests.forked import forked
from tests.reductauth.cli.commands import reductauth, reductauth_here, remote
from tests.servers import ROOT_VALUE, clean_environment

KEY = "0123456789abcdef" * 4
SECRET = "a-secret-that-nobody-may-see-0123456789"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registry that no server uses."""
    folder = tmp_path_factory.mktemp("folder")
    with forked(folder) as server:
        assert server.stop() == 0
    return folder


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server."""
    with forked(tmp_path_factory.mktemp("server")) as server:
        yield server.url


class NotOurs(BaseHTTPRequestHandler):
    """A server that is no token registry: its path says what it answers."""

    def do_GET(self) -> None:
        status, _, content = self.path.removeprefix("/").partition("/api/")[0].partition("-")
        bodies = {
            "html": b"<html>",
            "list": b"[1, 2]",
            "null": b"null",
            "odd": b'{"tokens": 5}',
            "detail": b'{"detail": "not\\nnow \\u001b[31m"}',
            "numbers": b'{"detail": 7}',
            "": b"",
        }
        self.send_response(int(status))
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", str(len(bodies[content])))
        self.end_headers()
        self.wfile.write(bodies[content])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@pytest.fixture(scope="module")
def not_ours() -> Iterator[str]:
    """The server that is not ours."""
    with ThreadingHTTPServer(("127.0.0.1", 0), NotOurs) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def assert_ends(found: subprocess.CompletedProcess[str], status: int, message: str) -> None:
    """With this status, nothing on standard output, and one line that says this and no secret."""
    assert (found.returncode, found.stdout) == (status, ""), found.stderr
    assert message in found.stderr
    assert found.stderr.count("\n") == 1
    assert SECRET not in found.stderr
    assert ROOT_VALUE not in found.stderr


@pytest.mark.parametrize(
    ("variables", "status", "message"),
    [
        ({"RS_API_TOKEN": SECRET}, 3, "Error: Invalid token"),
        ({"RS_API_TOKEN": f"{SECRET}-rsat1{'0' * 49}"}, 3, "Error: Invalid token"),
        ({}, 2, "a server needs a token: set RS_API_TOKEN"),
        ({"RS_API_TOKEN": ""}, 2, "RS_API_TOKEN: must hold a token's value"),
        ({"RS_API_TOKEN": f"{SECRET}\r\nx: y"}, 2, "RS_API_TOKEN: must hold a token's value"),
        ({"RS_API_TOKEN": f"{SECRET}é"}, 2, "RS_API_TOKEN: must hold a token's value"),
        (
            {"RS_API_TOKEN": SECRET, "RS_API_TOKEN_FILE": "x"},
            2,
            "RS_API_TOKEN and RS_API_TOKEN_FILE are both",
        ),
        ({"RS_API_TOKEN_FILE": SECRET}, 2, "RS_API_TOKEN_FILE: can't be read"),
    ],
)
def test_tokens_that_are_refused(
    tmp_path: Path, url: str, variables: dict[str, str], status: int, message: str
) -> None:
    """A wrong one is the server's to refuse; what can't be one is not sent."""
    assert_ends(reductauth_here(tmp_path, "list", RS_URL=url, **variables), status, message)


def test_a_token_that_may_not(tmp_path: Path, url: str) -> None:
    """Without full access: 3, as for a wrong one, with the server's words."""
    reader = reductauth_here(tmp_path, "create", "reader", "--read", "*", **remote(url)).stdout.strip()
    found = reductauth_here(tmp_path, "list", RS_URL=url, RS_API_TOKEN=reader)
    assert_ends(found, 3, "Error: Token 'reader' doesn't have full access")


@pytest.mark.parametrize(
    ("address", "status", "message"),
    [
        (f"http://root:{SECRET}@127.0.0.1:1", 2, "the server's URL must not hold credentials"),
        (f"http://{SECRET}@127.0.0.1:1", 2, "the server's URL must not hold credentials"),
        ("127.0.0.1:1", 2, "the server's URL must begin with http:// or https://"),
        ("", 2, "the server's URL must begin with http:// or https://"),
        ("ftp://127.0.0.1", 2, "the server's URL must begin with http:// or https://"),
        (f"http://127.0.0.1:1/?token={SECRET}", 2, "the server's URL must end with the path"),
        ("http://127.0.0.1:x", 2, "the server's URL is not a URL"),
        ("http://127.0.0.1:1", 4, "http://127.0.0.1:1: can't be administered: can't connect"),
        ("http://no-such-host.invalid", 4, "can't connect"),
        (f"http://{'a' * 70}.invalid", 4, "can't be administered"),
        ("http://exa mple/", 4, "can't be administered"),
        ("http://\udcff/", 2, "the server's URL is not a URL"),
    ],
)
def test_addresses_that_are_refused(tmp_path: Path, address: str, status: int, message: str) -> None:
    """Whatever is in them, it is not repeated; the same by the option and by the variable."""
    by_variable = reductauth_here(tmp_path, "list", RS_URL=address, RS_API_TOKEN=ROOT_VALUE)
    by_option = reductauth_here(tmp_path, "list", "--url", address, RS_API_TOKEN=ROOT_VALUE)
    assert by_variable.stderr == by_option.stderr
    for found in (by_variable, by_option):
        assert_ends(found, status, message)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("200-html", 4, "it answers 200 OK, and not as a server with tokens does"),
        ("200-list", 4, "the answer is not that of a server with tokens"),
        ("200-null", 4, "it answers 200 OK, and not as a server with tokens does"),
        ("200-odd", 4, "the answer is not that of a server with tokens (tokens)"),
        ("200-", 4, "the answer is not that of a server with tokens"),
        ("302-", 4, "it answers 302 Found, and not as a server with tokens does"),
        ("404-html", 4, "it answers 404 Not Found, and not as"),
        ("404-numbers", 4, "it answers 404 Not Found, and not as"),
        ("502-", 4, "it answers 502 Bad Gateway, and not as"),
        ("401-html", 3, "401 Unauthorized"),
        ("403-", 3, "403 Forbidden"),
        ("422-detail", 1, r"Error: not\nnow \x1b[31m"),
        ("503-detail", 4, r"Error: not\nnow \x1b[31m"),
    ],
)
def test_servers_that_are_not_ours(
    tmp_path: Path, not_ours: str, path: str, status: int, message: str
) -> None:
    """Whatever they answer: one line, which does not steer the terminal."""
    found = reductauth_here(tmp_path, "list", RS_URL=f"{not_ours}/{path}", RS_API_TOKEN=ROOT_VALUE)
    assert_ends(found, status, message)
    assert "\x1b" not in found.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "status", "message"),
    [
        (["list", "--data", "nowhere"], {}, 4, "nowhere/auth: there is no token registry"),
        (["create", "x", "--data", "nowhere"], {}, 4, "nowhere/auth: there is no token registry"),
        (["list", "--data", "empty"], {}, 4, "empty/auth: there is no token registry"),
        (["list"], {"RS_DATA_PATH": ""}, 2, "RS_DATA_PATH='': must be a folder's path"),
        (["list"], {"RS_AUTH_KEY": "12"}, 2, "RS_AUTH_KEY: not a registry key"),
        (["list"], {"RS_AUTH_KEY": KEY}, 4, "was made with another key"),
        (["list", "--config", "missing.yaml"], {}, 2, "missing.yaml: can't be read"),
        (["list", "--url", "http://127.0.0.1:1", "--data", "data"], {}, 2, "--url is for a server"),
        (["list", "--url", "http://127.0.0.1:1", "--config", "x"], {}, 2, "--url is for a server"),
        (["edit", "x"], {}, 2, "nothing to change"),
        (["edit", "x", "--ttl", "5", "--clear", "ttl"], {}, 2, "--ttl and --clear ttl: give one of them"),
        (["check", "x"], {}, 2, "give exactly one of --read, --write and --full-access"),
        (["check", "x", "--read", "a", "--write", "a"], {}, 2, "give exactly one of --read, --write"),
    ],
)
def test_folders_and_arguments_that_are_refused(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variables: dict[str, str],
    status: int,
    message: str,
) -> None:
    """Nothing is made where there is no registry, not even by `create`."""
    monkeypatch.chdir(folder)
    (folder / "empty" / "auth").mkdir(parents=True, exist_ok=True)
    assert_ends(reductauth_here(folder, *arguments, **variables), status, message)
    assert not (folder / "nowhere").exists()
    assert list((folder / "empty" / "auth").iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--status", "x"],
        ["create"],
        ["create", "x", "--ttl", "1.5"],
        ["show", "x", "--token", SECRET],
    ],
)
def test_arguments_that_click_refuses(folder: Path, arguments: list[str]) -> None:
    """With status 2; there is no option that takes a value."""
    found = reductauth_here(folder, *arguments)
    assert (found.returncode, found.stdout) == (2, "")
    assert "Error: " in found.stderr


@pytest.mark.parametrize("source", ["variable file", "option", "standard input"])
def test_where_the_token_comes_from(tmp_path: Path, url: str, source: str) -> None:
    """A file by variable or option, which wins; - is standard input. A newline at the end is not part of it."""
    (tmp_path / "token").write_text(f"{ROOT_VALUE}\n")
    arguments = {"option": ["--token-file", "token"], "standard input": ["--token-file", "-"]}.get(source, [])
    variables = {"RS_API_TOKEN_FILE": "token"} if source == "variable file" else {"RS_API_TOKEN": "wrong"}
    found = reductauth(tmp_path, "list", *arguments, text=f"{ROOT_VALUE}\n", RS_URL=url, **variables)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("arguments", [["--data", "data"], ["--config", "server.yaml"]])
def test_where_the_folder_comes_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """An option that names a folder, or a file that does, wins over the variable that names a server."""
    (folder / "server.yaml").write_text("data_path: data\nport: 8383\ntokens: {a: {role: admin}}\n")
    monkeypatch.chdir(folder)
    environ = {"RS_URL": "http://127.0.0.1:1", "RS_DATA_PATH": "nowhere"}
    if "--config" in arguments:
        cleared = reductauth(folder, "list", *arguments, RS_URL=environ["RS_URL"])
        assert cleared.returncode == 0, cleared.stderr
    else:
        assert reductauth_here(folder, "list", *arguments, **environ).returncode == 0


@pytest.mark.parametrize("source", ["variable", "file"])
def test_the_key_of_a_folder_without_one(tmp_path: Path, source: str) -> None:
    """It is kept elsewhere: the environment, or the file that it names, gives it as it does to the server."""
    (tmp_path / "key").write_text(KEY)
    with forked(tmp_path, {"RS_API_TOKEN": ROOT_VALUE, "RS_AUTH_KEY": KEY}):
        assert_ends(
            reductauth_here(tmp_path, "list"), 4, "auth.key: the key of the token registry is missing"
        )
        given = {"RS_AUTH_KEY": KEY} if source == "variable" else {"RS_AUTH_KEY_FILE": str(tmp_path / "key")}
        assert reductauth_here(tmp_path, "list", **given).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_folder_of_another_user(tmp_path: Path) -> None:
    """Root is told to be the server's user, and not to take the folder from it."""
    (tmp_path / "data" / "auth").mkdir(parents=True)
    os.chown(tmp_path / "data" / "auth", 12_345, -1)
    found = reductauth_here(tmp_path, "list")
    assert_ends(found, 4, "belongs to user 12345, and this command runs as 0; run it as that user")


@pytest.mark.parametrize("way", ["remote", "local"])
def test_arguments_that_are_not_text(folder: Path, url: str, way: str) -> None:
    """They are refused, and not sent without the letters that can't be read: a search would find everything."""
    variables = remote(url) if way == "remote" else {}
    for arguments in (["list", "--search", "\udcff"], ["create", "x", "--read", "a", "--read", "\udcff"]):
        assert_ends(reductauth_here(folder, *arguments, **variables), 2, "the arguments must be UTF-8")


def test_a_folder_that_is_held(folder: Path) -> None:
    """Another process has the lock and does not let go: 4 after a few seconds, nothing kept."""
    descriptor = os.open(folder / "data" / "auth" / "auth.lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        found = reductauth_here(folder, "create", "x", "--role", "viewer")
    finally:
        os.close(descriptor)
    assert_ends(found, 4, "another process has held the token registry for seconds")
    assert reductauth_here(folder, "show", "x").returncode == 1


def test_https(tmp_path: Path) -> None:
    """A certificate is verified: by the system's authorities, or by those in a file."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    chain, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    places = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(chain)]
    subprocess.run([*command.split(), *places], check=True, capture_output=True)
    environ = {"RS_API_TOKEN": ROOT_VALUE, "RS_CERT_PATH": str(chain), "RS_CERT_KEY_PATH": str(key)}
    with forked(tmp_path, environ) as server:
        https = remote(server.url.replace("http:", "https:"))
        assert reductauth_here(tmp_path, "list", "--ca", str(chain), **https).returncode == 0
        assert_ends(reductauth_here(tmp_path, "list", **https), 4, "its certificate is not trusted")
        for wrong in ("missing.pem", str(key)):
            assert_ends(reductauth_here(tmp_path, "list", "--ca", wrong, **https), 2, f"--ca {wrong}: ")


async def test_a_list_of_more_than_a_page(tmp_path: Path) -> None:
    """All of them, with the envelope of one answer; both ways alike."""
    with forked(tmp_path) as server:
        store = await asyncio.to_thread(SqliteStore.open, tmp_path / "data" / "auth")
        registry = TokenRegistry(store, store.key, system_clock())
        draft = TokenDraft(permissions=Permissions.of(read=["weather"]))
        names = [f"t{number:04}" for number in range(2_001)]
        await asyncio.gather(*(registry.create(Actor.environment(), name, draft) for name in names))
        await store.close()
        for command in (["list", "--search", "t", "--sort", "-name"], ["list"]):
            answers = [
                await asyncio.to_thread(reductauth, tmp_path, *command, "--json", **variables)
                for variables in (remote(server.url), {})
            ]
            over_http, on_folder = (json.loads(answer.stdout) for answer in answers)
            found = [token["name"] for token in over_http["tokens"]]
            assert found == [token["name"] for token in on_folder["tokens"]]
            assert over_http.get("query") == on_folder.get("query")
            assert over_http["query"] == {"found": 2002, "length": 2002, "offset": 0, "total": 2002}
            assert found == sorted(["init-token", *names], reverse="-name" in command)
        limited = await asyncio.to_thread(reductauth_here, tmp_path, "list", "--limit", "3")
        assert limited.stderr == "3 of 2002 found\n"


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C while a server does not answer: quiet, with the status that shells use."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        environ = clean_environment(**remote(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        command = [sys.executable, "-m", "reductauth", "list"]
        with subprocess.Popen(
            command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as child:
            connection, _ = silent.accept()
            connection.recv(1)
            child.send_signal(signal.SIGINT)
            assert child.communicate(timeout=20) == (b"", b"")
            connection.close()
        assert child.returncode == 130


@pytest.mark.parametrize("further", [[], ["--json"]])
def test_a_closed_pipe(folder: Path, further: list[str]) -> None:
    """Whoever reads has gone, as `head` does: quiet."""
    reading, writing = os.pipe()
    os.close(reading)
    found = subprocess.run(
        [sys.executable, "-m", "reductauth", "list", *further],
        cwd=folder,
        env=clean_environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=20,
        check=False,
    )
    os.close(writing)
    assert found.stderr == b""
    assert found.returncode != 0


def test_the_help_tells_the_exit_statuses(folder: Path) -> None:
    """Where a script's author looks for them, a line for each."""
    said = reductauth_here(folder, "--help").stdout
    for line in (
        "0    done; check: allowed",
        "1    refused",
        "2    the",
        "3    not allowed",
        "4    the server",
    ):
        assert f"\n    {line}" in said
