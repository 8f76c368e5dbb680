"""A value that is looked for everywhere, driven through every way to be refused that there is.

It is sent as a credential and in places where it does not belong, and configured where it is at fault. It must be in
no answer, log, file or backup. Left out are answers that quote what the contract says is quoted, a name or a
parameter (`QUOTED`): what is sent as a name is a name. They too must not reach log or files.
"""

from __future__ import annotations

import base64
import logging
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from yarl import URL

from reductauth.cli import main as reductauth_command
from storage_demo.__main__ import main as storage_demo_command
from tests.attacks.wire import Connection, Outcome
from tests.forked import forked
from tests.servers import ServerProcess
from tests.storage_demo.test_routes import CALLS, golden_routes

CANARY = "Zq7CanaryThatNobodyMayEverSee9xK"
ROOT, NARROW, STRANGER = (f"{holder}-{CANARY}" for holder in ("root", "narrow", "stranger"))
MISTYPED = f"{CANARY}-rsat1{'0' * 49}"
BASIC = {value: base64.b64encode(f"user:{value}".encode()).decode() for value in (ROOT, STRANGER, MISTYPED)}
NEEDLES = [needle.encode() for needle in (CANARY, *BASIC.values())]

ENVIRON = {
    "RS_API_TOKEN": ROOT,
    "RS_TOKEN_N_NAME": "narrow",
    "RS_TOKEN_N_VALUE": NARROW,
    "RS_TOKEN_N_READ": "other",
    "RS_ALLOW_BASIC_AUTH": "true",
    "RS_ALLOW_X_AUTH_TOKEN": "true",
    "RS_LOG_LEVEL": "DEBUG",
}
OFF = {"RS_DISABLE_AUTH": "true", "RS_LOG_LEVEL": "DEBUG"}


def found_in(content: bytes) -> list[bytes]:
    """Which needles are in it, and from where on."""
    return [content[place : place + 80] for needle in NEEDLES if (place := content.find(needle)) >= 0]


def sent(method: str, target: str, lines: list[str], content: bytes = b"") -> bytes:
    head = [
        f"{method} {target} HTTP/1.1",
        "Host: localhost",
        *lines,
        f"Content-Length: {len(content)}",
        "",
        "",
    ]
    return "\r\n".join(head).encode("latin-1") + content


def bearer(value: str) -> list[str]:
    return [f"Authorization: Bearer {value}"]


# How a value is presented, wrongly or where it is not looked for.
FORMS = [
    "Authorization: {}",
    "Authorization: Bearer  {}x",
    "Authorization: Bearer x{}",
    "Authorization: Bearer {} ,",
    "Authorization: Bearer {}, Bearer {}",
    'Authorization: Bearer "{}"',
    "Authorization: Bearer\t{}",
    "Authorization: Bearer:{}",
    "Authorization: Token {}",
    "Authorization: Digest response={}",
    "Authorization: Basic {}",
    "Authorization: Basic {basic}=",
    "Authorization: Basic x{basic}",
    "Authorization: Basic dXNlcjp4 {basic}",
    "Authorization: Bearer \xe9{}",
    "Authorization: Bearer \x01{}",
    "Authorization: Bearer \0{}",
    "Authorization : Bearer {}",
    " Authorization: Bearer {}",
    "Authorization\0: Bearer {}",
    "Authorization: Bearer {}\r\nAuthorization: Bearer {}",
    "Authorization: Bearer {}\r\nX-Auth-Token: {}",
    "Authorization: Basic {basic}\r\nX-Auth-Token: {}",
    "X-Auth-Token: {}\r\nX-Auth-Token: {}",
    "X-Auth-Token: {}x",
    "X-Auth-Token: Bearer {}",
    "Cookie: token={}",
    "Proxy-Authorization: Bearer {}",
    "Content-Type: {}",
    "Expect: {}",
    "Upgrade: {}\r\nConnection: upgrade",
    "{}: x",
    "{}",
    "X-Forwarded-For: {}",
    "Authorization: Bearer\r\n {}",
    "Transfer-Encoding: {}",
    "Content-Encoding: {}",
    "Content-Length: {}",
]

# What no parser takes: after the request line has come in, in it, or in the framing of a body.
MALFORMED = [
    "GET /api/v1/me?{} HTTP/9\r\n\r\n",
    "GET /api/v1/me HTTP/1.1 {}\r\n\r\n",
    "{} /api/v1/me HTTP/1.1\r\nHost: a\r\n\r\n",
    "{}\r\n\r\n",
    "GET /\0{} HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://[{} HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://{}:x/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT \xe9{} HTTP/1.1\r\nHost: a\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM{}\r\n\r\n",
    "GET /api/v1/me HTTP/1.1\r\nHost: {}\r\nHost: {}\r\n\r\n",
    "GET /api/v1/me HTTP/1.1\r\nAuthorization: Bearer " + "{}" * 400 + "\r\n\r\n",
    "GET /api/v1/me HTTP/1.1\r\n" + "{}" * 400 + ": 1\r\n\r\n",
    "GET /" + "{}" * 400 + " HTTP/1.1\r\n\r\n",
    "POST /api/v1/me/rotate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}\r\n\r\n",
    "POST /api/v1/me/rotate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "POST /api/v1/me/rotate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}\r\n\r\n",
    "POST /api/v1/me/rotate HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "POST /api/v1/me/rotate HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "POST /api/v1/me/rotate HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 36\r\n"
    "Authorization: Bearer {}\r\n\r\n{}",
]

# Bodies with the value where it does not belong: of which route, and with what around it.
BODIES = [
    ("POST", "tokens/fresh", '{"permissions": {}, "expires_at": %s}'),
    ("POST", "tokens/fresh", '{"permissions": {}, "valid_from": %s}'),
    ("POST", "tokens/fresh", '{"permissions": {}, "ttl": %s}'),
    ("POST", "tokens/fresh", '{"permissions": {}, "active": %s}'),
    ("POST", "tokens/fresh", '{"permissions": {}, "value": %s}'),
    ("POST", "tokens/fresh", '{"permissions": {}, "digest": %s}'),
    ("POST", "tokens/fresh", '{"permissions": {}, "is_provisioned": %s}'),
    ("POST", "tokens/fresh", '{"role": %s}'),
    ("POST", "tokens/fresh", '{"full_access": %s}'),
    ("POST", "tokens/fresh", '{"read": %s}'),
    ("POST", "tokens/fresh", '{"permissions": %s}'),
    ("POST", "tokens/fresh", '{"ip_allowlist": %s}'),
    ("POST", "tokens/fresh", "%s"),
    ("POST", "tokens/fresh", "%s{"),
    ("POST", "tokens/fresh", '{"read": [], "read": %s}'),
    ("POST", "tokens/fresh", '{"read": [1, %s]}'),
    ("PATCH", "tokens/worker", '{"active": %s}'),
    ("PATCH", "tokens/worker", '{"ttl": %s}'),
    ("PATCH", "tokens/worker", '{"value": %s}'),
    ("PATCH", "tokens/worker", '{"permissions": {"full_access": %s}}'),
    ("PATCH", "tokens/worker", '{"expires_at": %s}'),
    ("PATCH", "tokens/worker", '{"role": %s}'),
    ("PATCH", "tokens/worker", "[%s]"),
    ("POST", "tokens/worker/rotate", '{"grace_seconds": %s}'),
    ("POST", "tokens/worker/rotate", '{"value": %s}'),
    ("POST", "tokens/worker/rotate", "%s"),
    ("POST", "tokens/worker/revoke", '{"why": %s}'),
    ("POST", "me/rotate", '{"value": %s}'),
    ("POST", "tokens/$batch", '{"items": %s}'),
    ("POST", "tokens/$batch", '{"items": [%s]}'),
    ("POST", "tokens/$batch", '{"items": [{"op": %s, "name": "worker"}]}'),
    ("POST", "tokens/$batch", '{"items": [{"op": "edit", "name": "worker", "patch": %s}]}'),
    ("POST", "tokens/$batch", '{"items": [{"op": "edit", "name": "worker", "patch": {"ttl": %s}}]}'),
    ("POST", "b/fresh", '{"quota_type": %s}'),
    ("POST", "b/fresh", '{"quota_size": %s}'),
    ("PUT", "b/home", '{"max_block_size": %s}'),
    ("PUT", "b/home", "%s"),
    ("PUT", "b/home/rename", '{"new_name": [%s]}'),
    ("PUT", "b/home/rename", "%s"),
]

# Where the contract has the message quote what was sent.
QUOTED = [
    ("GET", "tokens/{}", ""),
    ("DELETE", "tokens/{}", ""),
    ("PATCH", "tokens/{}", "{}"),
    ("GET", "tokens?{}=1", ""),
    ("GET", "tokens?sort={}", ""),
    ("GET", "tokens?status={}", ""),
    ("GET", "tokens?limit={}", ""),
    ("GET", "tokens/worker?view={}", ""),
    ("GET", "tokens/worker/usage?from={}", ""),
    ("GET", "tokens/worker/check?action={}", ""),
    ("GET", "tokens/worker/check?action=read&bucket=x&client_ip={}", ""),
    ("GET", "tokens/worker/check?action=read&bucket=x&at={}", ""),
    ("GET", "b/{}", ""),
    ("DELETE", "b/{}", ""),
    ("GET", "b/home/{}", ""),
    ("GET", "b/home/log?ts={}", ""),
    ("POST", "b/home/log?ts={}", "x"),
    ("POST", "tokens/fresh", '{"read": ["{}/"]}'),
    ("POST", "tokens/fresh", '{"ip_allowlist": ["{}"]}'),
    ("POST", "tokens/fresh", '{"{}": 1}'),
    ("POST", "tokens/$batch", '{"items": [{"op": "delete", "name": "{}"}]}'),
]


def requests() -> Iterator[bytes]:
    """Every way to be refused but those that are quoted."""
    for value in (STRANGER, ROOT, MISTYPED):
        for form in FORMS:
            line = form.replace("{basic}", BASIC[value]).replace("{}", value)
            yield sent("GET", "/api/v1/me", [line])
            yield sent("POST", "/api/v1/tokens/worker", [line], b"{}")
            yield sent("PUT", "/nowhere", [line], b"x")
    for text in MALFORMED:
        yield text.replace("{}", ROOT).encode("latin-1")
    for route in golden_routes():
        method, path, own, _ = CALLS[str(route)]
        for value in (STRANGER, NARROW, MISTYPED):
            if route.method not in {"DELETE", "POST"} or not path.startswith("/api/v1/me"):
                yield sent(method, path, bearer(value), (own or "").encode())
        yield sent("PROPFIND", path, bearer(ROOT))
        yield sent(method, f"{path.partition('?')[0]}?token={ROOT}&access_token={ROOT}", [], ROOT.encode())
    for method, path, text in BODIES:
        content = text.replace("%s", f'"{ROOT}"').encode()
        yield sent(method, f"/api/v1/{path}", bearer(ROOT), content)
        yield sent(method, f"/api/v1/{path}", bearer(STRANGER), content)
    for path in ("tokens/init-token", "tokens/narrow", "me"):
        yield sent("DELETE", f"/api/v1/{path}", bearer(ROOT))
    for path in ("tokens/init-token/rotate", "tokens/init-token/revoke", "me/rotate", "tokens/init-token"):
        yield sent("POST", f"/api/v1/{path}", bearer(ROOT), b"{}")
    yield sent("GET", "/metrics", bearer(ROOT))


def quoted_requests() -> Iterator[bytes]:
    for method, path, text in QUOTED:
        target = f"/api/v1/{path.replace('{}', CANARY)}"
        yield sent(method, target, bearer(ROOT), text.replace("{}", CANARY).encode())


def ask(server: ServerProcess, data: bytes) -> Outcome:
    url = URL(server.url)
    connection = Connection(str(url.host), int(url.port or 0))
    try:
        return connection.exchange(data, is_complete=False)
    finally:
        connection.close()


def refused(server: ServerProcess) -> int:
    """Send everything; no answer holds the value but where it is quoted. Return how many were refusals."""
    for path, content in (("b/home", b""), ("b/home/log?ts=1", b"1"), ("tokens/worker", b"{}")):
        ask(server, sent("POST", f"/api/v1/{path}", bearer(ROOT), content))
    count = 0
    for data in requests():
        outcome = ask(server, data)
        assert outcome.reply is not None, data
        assert found_in(outcome.received) == [], data
        count += outcome.reply.status >= 400
    for data in quoted_requests():
        outcome = ask(server, data)
        assert outcome.reply is not None, data
        count += outcome.reply.status >= 400
    return count


def check_files(folder: Path) -> None:
    """Nothing that is kept holds the value, as bytes or as what SQLite makes of them, in a backup neither."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name.endswith(".db") for path in files)
    for path in files:
        assert found_in(path.read_bytes()) == [], path


def backups(data: Path, folder: Path) -> None:
    """Copy each database with SQLite's own means, and dump it as text."""
    for path in data.rglob("*.db"):
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(folder / path.name)) as copy:
            source.backup(copy)
            (folder / f"{path.name}.sql").write_text("\n".join(copy.iterdump()), "utf-8")


@pytest.mark.parametrize("environ", [ENVIRON, OFF], ids=["guarded", "authentication off"])
def test_requests(tmp_path: Path, environ: dict[str, str]) -> None:
    """Hundreds of refusals: the value is in none of them, not in the log, and in no file."""
    (tmp_path / "backup").mkdir()
    with forked(tmp_path, environ) as server:
        count = refused(server)
        if environ is ENVIRON:
            assert count > 400
            check_files(tmp_path / "data")
        assert server.stop() == 0
        assert found_in(server.log.encode()) == []
    if environ is ENVIRON:
        backups(tmp_path / "data", tmp_path / "backup")
        check_files(tmp_path)


KEY = "0" * 64

# Starts that are refused, the value at fault or beside the fault: variables, and the file, if there is one.
STARTS: list[tuple[dict[str, str], str]] = [
    *(
        ({variable: text.replace("{}", CANARY)}, "")
        for variable in ("RS_API_TOKEN", "RS_INIT_API_TOKEN", "RS_TOKEN_X_VALUE")
        for text in ("{} {}", "\xe9{}", "{}\n\n", "{}" * 200, "{}-rsat1" + "0" * 49, "\t{}")
    ),
    *(
        ({variable: text.replace("{}", CANARY)}, "")
        for variable in (
            "RS_API_TOKEN_FILE",
            "RS_INIT_API_TOKEN_FILE",
            "RS_TOKEN_X_VALUE_FILE",
            "RS_AUTH_KEY_FILE",
        )
        for text in ("{}", "/tmp/{}/x", "{}" * 200)
    ),
    *(
        ({"RS_AUTH_KEY": text.replace("{}", CANARY), "RS_API_TOKEN": ROOT}, "")
        for text in ("{}", KEY + "{}", " {}")
    ),
    *(({"RS_TOKEN_X_DIGEST": text.replace("{}", CANARY)}, "") for text in ("{}", "0:{}", "{}:" + KEY)),
    ({"RS_API_TOKEN": ROOT, "RS_INIT_API_TOKEN": ROOT}, ""),
    ({"RS_API_TOKEN": ROOT, "RS_API_TOKEN_FILE": ROOT}, ""),
    ({"RS_API_TOKEN": ROOT, "RS_DISABLE_AUTH": "true"}, ""),
    ({"RS_API_TOKEN": ROOT, "RS_USAGE_DAYS": "x"}, ""),
    (
        {"RS_API_TOKEN": ROOT, "RS_TOKEN_X_NAME": "x", "RS_TOKEN_X_VALUE": ROOT, "RS_TOKEN_X_ROLE": "viewer"},
        "",
    ),
    ({"RS_TOKEN_X_VALUE": ROOT, "RS_TOKEN_X_DIGEST": ROOT}, ""),
    ({"RS_TOKEN_X_VALUE": ROOT, "RS_TOKEN_X_ROLE": "owner"}, ""),
    ({"RS_TOKEN_X_VALUE": ROOT, "RS_TOKEN_X_NAME": "init-token"}, ""),
    ({"RS_TOKEN_X_VALUE": ROOT, "RS_TOKEN_X_VALEU": ROOT}, ""),
    ({"RS_TOKEN_X_SECRET": ROOT}, ""),
    ({"RS_API_TOKNE": ROOT}, ""),
    ({"RS_API_TOKEN": ROOT}, ""),  # the port is taken
    ({}, f"api_token: [{ROOT}]"),
    ({}, f"api_token: {{a: {ROOT}}}"),
    ({}, f"api_token: *{ROOT}"),
    ({}, f"api_token: !{ROOT} x"),
    ({}, f"api_token: &{ROOT} x"),
    ({}, f"api_token: '{ROOT}"),
    ({}, f"api_token: {ROOT}: {ROOT}"),
    ({}, f"api_token: {ROOT}\n  {ROOT}"),
    ({}, f"api_token: {ROOT}\napi_token: {ROOT}"),
    ({}, f"api_token: {ROOT}\ninit_api_token: {ROOT}"),
    ({}, f"auth_key: {ROOT}\napi_token: {ROOT}"),
    ({}, f"api_token_file: {ROOT}"),
    ({}, f"- {ROOT}"),
    ({}, f"{ROOT}"),
    ({}, f"tokens: {ROOT}"),
    ({}, f"tokens: [{ROOT}]"),
    ({}, f"tokens: {{x: {ROOT}}}"),
    ({}, f"tokens: {{x: [{ROOT}]}}"),
    ({}, f"tokens: {{x: {{value: [{ROOT}]}}}}"),
    ({}, f"tokens: {{x: {{value: {{a: {ROOT}}}}}}}"),
    ({}, f"tokens: {{x: {{value: {ROOT}, digest: {ROOT}}}}}"),
    ({}, f"tokens: {{x: {{value_file: {ROOT}}}}}"),
    ({}, f"tokens: {{x: {{digest: {ROOT}, role: viewer}}}}"),
    ({}, f"tokens: {{x: {{value: {ROOT}, permissions: viewer}}}}"),
    ({}, f"tokens: {{x: {{value: {ROOT}, ttl: -1, role: viewer}}}}"),
    ({}, f"tokens: {{x: {{value: {ROOT}, role: viewer}}, y: {{value: {ROOT}, role: viewer}}}}"),
]
OF_TOKENS = {"RS_TOKEN_X_NAME": "x", "RS_TOKEN_X_READ": "x"}


@contextmanager
def own_logging() -> Iterator[None]:
    """What a command sets up for its log goes away with it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.mark.parametrize(("variables", "document"), STARTS)
def test_starts(tmp_path: Path, variables: dict[str, str], document: str) -> None:
    """A start that is refused says why, and never with which value; and what it has made holds none."""
    (tmp_path / "config.yaml").write_text(document, "utf-8")
    of_token = OF_TOKENS if any(name.startswith("RS_TOKEN_X_") for name in variables) else {}
    with socket.create_server(("127.0.0.1", 0)) as taken, own_logging():
        environ = {
            **of_token,
            **variables,
            "RS_DATA_PATH": str(tmp_path / "data"),
            "RS_PORT": str(taken.getsockname()[1]),
        }
        arguments = ["--config", str(tmp_path / "config.yaml")] if document else []
        result = CliRunner().invoke(storage_demo_command, arguments, env=environ)
    assert result.exit_code == 1
    assert "can't start: " in result.output
    assert found_in(result.output.encode()) == []
    for path in (tmp_path / "data").rglob("*"):
        assert path.is_dir() or found_in(path.read_bytes()) == []


@pytest.mark.parametrize(
    ("typed", "variables"),
    [
        (f"{CANARY} {CANARY}", {}),
        (f"{CANARY}\n{CANARY}\n", {}),
        (f"\xe9{CANARY}", {}),
        (CANARY * 200, {}),
        (MISTYPED, {}),
        (CANARY, {"RS_AUTH_KEY": CANARY}),
        (CANARY, {"RS_AUTH_KEY_FILE": CANARY}),
        (CANARY, {"RS_AUTH_KEY": KEY, "RS_AUTH_KEY_FILE": CANARY}),
        (CANARY, {"RS_AUTH_KEY": ""}),
    ],
)
def test_the_command(typed: str, variables: dict[str, str]) -> None:
    """`reductauth digest` refuses without showing what was typed."""
    result = CliRunner().invoke(
        reductauth_command,
        ["digest"],
        input=typed,
        env={"RS_AUTH_KEY": KEY if not variables else None, **variables},
    )
    assert result.exit_code == 1
    assert result.output
    assert found_in(result.output.encode()) == []


def test_the_search_finds() -> None:
    """The value, by itself and as `Authorization: Basic` has it."""
    assert found_in(b"x" + ROOT.encode())
    assert found_in(f"Basic {BASIC[ROOT]}".encode())
    assert not found_in(b"x")
