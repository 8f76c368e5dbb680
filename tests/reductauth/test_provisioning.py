"""Declared tokens: what a declaration may say, and what a start makes of it, through the door.

`served` is an aiohttp application with `setup`, started and stopped on one data folder as an operator would.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from reductauth.bootstrap import Bootstrap
from reductauth.clock import system_clock
from reductauth.configuration import Configuration
from reductauth.errors import ConfigurationError
from reductauth.key import RegistryKey
from reductauth.permissions import Permissions
from reductauth.provisioning import DeclaredToken, KeyedDigest
from reductauth.registry import TokenRegistry
from reductauth.settings import Settings
from reductauth.sqlite import SqliteStore
from reductauth.token import Token
from reductauth.web import setup
from tests.reductauth.test_bootstrap import BAD_VALUES

ROOT = "root-value-that-was-chosen-by-an-operator"
ONE = "first-value-that-was-chosen-by-an-operator"
TWO = "second-value-that-was-chosen-by-an-operator"
KEY = RegistryKey.from_hex("0123456789abcdef" * 4, "tests")
OTHER_KEY = RegistryKey.from_hex("fedcba9876543210" * 4, "tests")
DIGEST = str(KeyedDigest.of(ONE, KEY))

ADMIN = {"RS_API_TOKEN": ROOT}


def variables(token_id: str, name: str, value: str | None = ONE, **fields: str) -> dict[str, str]:
    """Declare a token in the environment; it may read unless `fields` say something else."""
    secret = {} if value is None else {"VALUE": value}
    permissions = {} if {"ROLE", "READ", "WRITE", "FULL_ACCESS"} & fields.keys() else {"READ": "*"}
    return {
        f"RS_TOKEN_{token_id}_{field}": text
        for field, text in {"NAME": name, **secret, **permissions, **fields}.items()
    }


def read(
    environ: Mapping[str, str], file: Path | None = None, *, now_us: int | None = None
) -> list[DeclaredToken]:
    """Read declared tokens."""
    now_us = system_clock()() if now_us is None else now_us
    secrets = Bootstrap.of(Configuration.read(environ, file), disable_auth=False, now_us=now_us)
    return list(secrets.tokens)


def faults_of(environ: Mapping[str, str], file: Path | None = None) -> list[str]:
    """Return what is said of declarations that are refused."""
    with pytest.raises(ConfigurationError) as refusal:
        read(environ, file)
    return list(refusal.value.faults)


class Client:
    """An HTTP client of one running server."""

    def __init__(self, client: TestClient[web.Request, web.Application]) -> None:
        self._client = client

    async def ask(
        self, method: str, path: str, value: str | None = ROOT, body: Any = None
    ) -> tuple[int, Any]:
        """Send a request; return status and JSON body (None where there is none)."""
        headers = {} if value is None else {"authorization": f"Bearer {value}"}
        async with self._client.request(method, f"/api/v1{path}", headers=headers, json=body) as response:
            return response.status, (await response.json() if await response.read() else None)

    async def statuses(self, *values: str) -> list[int]:
        """Return the statuses that `/me` has for values."""
        return [(await self.ask("GET", "/me", value))[0] for value in values]


@contextlib.asynccontextmanager
async def served(data: Path, environ: Mapping[str, str], file: Path | None = None) -> AsyncIterator[Client]:
    """Run a server on a data folder until the block is left."""
    configuration = Configuration.read({"RS_DATA_PATH": str(data), **environ}, file)
    app = web.Application()
    setup(app, Settings.of(configuration), configuration=configuration)
    server = TestServer(app)
    await server.start_server()
    async with TestClient(server) as client:
        yield Client(client)


async def refusal_of(data: Path, environ: Mapping[str, str], file: Path | None = None) -> list[str]:
    """Return why a server does not start."""
    with pytest.raises(ConfigurationError) as refusal:
        async with served(data, environ, file):
            pass
    return list(refusal.value.faults)


@contextlib.asynccontextmanager
async def opened(
    data: Path, key: RegistryKey | None = None
) -> AsyncIterator[tuple[SqliteStore, TokenRegistry]]:
    """Open a registry that nobody serves."""
    store = SqliteStore.open(data / "auth", key)
    try:
        yield store, TokenRegistry(store, store.key, system_clock())
    finally:
        await store.close()


async def kept(data: Path) -> list[Token]:
    """Read all tokens of a registry that nobody serves."""
    async with opened(data) as (_, registry):
        return await registry.tokens()


class TestDeclaration:
    """What a declaration may say."""

    def test_every_field_in_the_environment(self) -> None:
        """Each becomes what a creation over HTTP would make of it."""
        (token,) = read(
            variables(
                "MY_APP",
                "my.app",
                FULL_ACCESS="false",
                READ="weather, lab-*",
                WRITE="inbox",
                EXPIRES_AT="2999-01-01T00:00:00+01:00",
                VALID_FROM="2998-01-01T00:00:00Z",
                TTL="60",
                IP_ALLOWLIST="10.0.0.7/8, ::1",
                DESCRIPTION="what it is for",
                ACTIVE="false",
            )
        )
        assert (token.name, token.secret, token.where) == ("my.app", ONE, "RS_TOKEN_MY_APP_VALUE")
        assert token.draft.permissions == Permissions.of(read=["weather", "lab-*"], write=["inbox"])
        assert token.draft.expires_at_us == 32_472_140_400_000_000
        assert token.draft.valid_from_us == 32_440_608_000_000_000
        assert token.draft.ttl_seconds == 60
        assert token.draft.allowlist.entries == ("10.0.0.0/8", "::1")
        assert (token.draft.description, token.draft.active, token.draft.role) == (
            "what it is for",
            False,
            None,
        )

    def test_the_file_says_the_same(self, tmp_path: Path) -> None:
        """Both places are read by one schema: the drafts are equal."""
        file = tmp_path / "storage.yaml"
        file.write_text(
            f"""
tokens:
  my.app:
    value: {ONE}
    permissions: {{full_access: false, read: [weather, lab-*], write: inbox}}
    expires_at: 2999-01-01T00:00:00Z
    ttl: 60
    ip_allowlist: [10.0.0.7/8, "::1"]
    description: what it is for
    active: false
"""
        )
        fields = {
            "FULL_ACCESS": "false",
            "READ": "weather, lab-*",
            "WRITE": "inbox",
            "EXPIRES_AT": "2999-01-01T00:00:00Z",
            "TTL": "60",
            "IP_ALLOWLIST": "10.0.0.7/8, ::1",
            "DESCRIPTION": "what it is for",
            "ACTIVE": "false",
        }
        (of_file,), (of_environment,) = read({}, file), read(variables("A", "my.app", **fields))
        assert of_file.draft == of_environment.draft
        assert (of_file.name, of_file.secret) == (of_environment.name, of_environment.secret)

    @pytest.mark.parametrize("role", ["admin", "recorder", "viewer"])
    def test_roles(self, role: str) -> None:
        """A preset, and its name."""
        (token,) = read(variables("A", "a", ROLE=role))
        assert token.draft.role == role
        assert token.draft.permissions.full_access is (role == "admin")

    @pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
    def test_a_value_from_a_file(self, tmp_path: Path, ending: str) -> None:
        """Without the newline at its end."""
        (tmp_path / "value").write_bytes((ONE + ending).encode())
        (token,) = read(variables("A", "a", None, VALUE_FILE=str(tmp_path / "value")))
        assert token.secret == ONE

    @pytest.mark.parametrize("text", [DIGEST, DIGEST.upper()])
    def test_a_digest(self, text: str) -> None:
        """With the id of its key; it is what the registry with that key keeps for the value."""
        (token,) = read(variables("A", "a", None, DIGEST=text))
        assert token.digest(KEY) == KEY.digest(ONE)
        with pytest.raises(ConfigurationError, match="was made with key"):
            token.digest(OTHER_KEY)

    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            (
                variables("A", "init-token"),
                "RS_TOKEN_A: the name 'init-token' is that of RS_API_TOKEN and RS_INIT",
            ),
            (
                variables("A", "a b"),
                "RS_TOKEN_A: Token name can contain only letters, digits and [-,_,.] symbols",
            ),
            (variables("A", "x" * 129), "RS_TOKEN_A: Token name can contain only letters"),
            (
                variables("A", "a", None),
                "RS_TOKEN_A: needs exactly one of RS_TOKEN_A_VALUE, RS_TOKEN_A_VALUE_FILE, ",
            ),
            (
                variables("A", "a", DIGEST=DIGEST),
                "RS_TOKEN_A: needs exactly one of RS_TOKEN_A_VALUE, RS_TOKEN_A_VALUE_FILE, RS_TOKEN_A_DIGEST; "
                "has RS_TOKEN_A_VALUE and RS_TOKEN_A_DIGEST",
            ),
            (variables("A", "a", VALUE_FILE="/x"), "RS_TOKEN_A: needs exactly one of"),
            (
                variables("A", "a", None, VALUE_FILE="/no/such/file"),
                "RS_TOKEN_A_VALUE_FILE: can't be read (no such file); it must name a file that holds the value",
            ),
            (
                variables("A", "a", None, DIGEST=""),
                "RS_TOKEN_A_DIGEST: is not a digest; it must be 16 hexadecimal",
            ),
            (variables("A", "a", None, DIGEST=ONE), "RS_TOKEN_A_DIGEST: is not a digest"),
            (variables("A", "a", None, DIGEST="0" * 64), "RS_TOKEN_A_DIGEST: is not a digest"),
            (variables("A", "a", None, DIGEST=DIGEST + "0"), "RS_TOKEN_A_DIGEST: is not a digest"),
            (variables("A", "a", None, DIGEST=f" {DIGEST}"), "RS_TOKEN_A_DIGEST: is not a digest"),
            (
                variables("A", "a", None, DIGEST=DIGEST) | {"RS_AUTH_KEY": OTHER_KEY.to_hex()},
                f"RS_TOKEN_A_DIGEST: was made with key {KEY.key_id}, the registry's key is {OTHER_KEY.key_id}",
            ),
            (
                variables("A", "a", ROLE="admin", READ="x"),
                "RS_TOKEN_A: needs either RS_TOKEN_A_ROLE, or some of RS_TOKEN_A_FULL_ACCESS, RS_TOKEN_A_READ, ",
            ),
            (
                {"RS_TOKEN_A_NAME": "a", "RS_TOKEN_A_VALUE": ONE},
                "RS_TOKEN_A: needs either RS_TOKEN_A_ROLE, or some",
            ),
            (variables("A", "a", ROLE="Admin"), "RS_TOKEN_A_ROLE='Admin': must be admin, recorder or viewer"),
            (variables("A", "a", FULL_ACCESS="yes"), "RS_TOKEN_A_FULL_ACCESS='yes': must be true or false"),
            (variables("A", "a", FULL_ACCESS=""), "RS_TOKEN_A_FULL_ACCESS='': must be true or false"),
            (variables("A", "a", READ=""), "RS_TOKEN_A_READ='': must be a list, comma separated"),
            (
                variables("A", "a", READ="a,,b"),
                "RS_TOKEN_A: Permission can contain only bucket names or wildcard",
            ),
            (
                variables("A", "a", WRITE="a*b"),
                "RS_TOKEN_A: Permission can contain only bucket names or wildcard",
            ),
            (
                variables("A", "a", READ=",".join(f"b{number}" for number in range(1001))),
                "RS_TOKEN_A: Permissions can contain at most 1000 bucket names",
            ),
            (
                variables("A", "a", EXPIRES_AT="2999-01-01T00:00:00"),
                "RS_TOKEN_A_EXPIRES_AT='2999-01-01T00:00:00': must be an RFC 3339 time with an offset",
            ),
            (
                variables("A", "a", EXPIRES_AT="2999-01-01"),
                "RS_TOKEN_A_EXPIRES_AT='2999-01-01': must be an RFC 3339",
            ),
            (variables("A", "a", EXPIRES_AT=""), "RS_TOKEN_A_EXPIRES_AT='': must be an RFC 3339 time"),
            (
                variables("A", "a", EXPIRES_AT="2999-02-30T00:00:00Z"),
                "RS_TOKEN_A_EXPIRES_AT='2999-02-30T00:00:00Z'",
            ),
            (
                variables("A", "a", EXPIRES_AT="2020-01-01T00:00:00Z"),
                "RS_TOKEN_A: Token expiration date must not be in the past",
            ),
            (
                variables("A", "a", VALID_FROM="tomorrow"),
                "RS_TOKEN_A_VALID_FROM='tomorrow': must be an RFC 3339",
            ),
            (
                variables("A", "a", VALID_FROM="2999-01-02T00:00:00Z", EXPIRES_AT="2999-01-01T00:00:00Z"),
                "RS_TOKEN_A: Token must become valid before it expires",
            ),
            (
                variables("A", "a", TTL="0"),
                "RS_TOKEN_A_TTL='0': must be a whole number from 1 to 9223372036854775807",
            ),
            (
                variables("A", "a", TTL="9223372036854775808"),
                "RS_TOKEN_A_TTL='9223372036854775808': must be a whole",
            ),
            (variables("A", "a", TTL="1.5"), "RS_TOKEN_A_TTL='1.5': must be a whole number"),
            (variables("A", "a", IP_ALLOWLIST=""), "RS_TOKEN_A_IP_ALLOWLIST='': must be a list"),
            (
                variables("A", "a", IP_ALLOWLIST="10.0.0.1,"),
                "RS_TOKEN_A_IP_ALLOWLIST='10.0.0.1,': must be IP addresses",
            ),
            (
                variables("A", "a", IP_ALLOWLIST="010.0.0.1"),
                "RS_TOKEN_A_IP_ALLOWLIST='010.0.0.1': must be IP",
            ),
            (
                variables("A", "a", DESCRIPTION="x" * 1001),
                "RS_TOKEN_A: Token description can have at most 1000",
            ),
            (variables("A", "a", ACTIVE="1"), "RS_TOKEN_A_ACTIVE='1': must be true or false"),
            (variables("A", "a", EXPIRE="x"), "RS_TOKEN_A_EXPIRE: is not a variable of a declared token"),
            (
                variables("A", "a") | variables("B", "b"),
                "RS_TOKEN_A_VALUE and RS_TOKEN_B_VALUE give the same value: every token needs its own",
            ),
            (
                variables("A", "a", None, DIGEST=DIGEST) | variables("B", "b", None, DIGEST=DIGEST.upper()),
                "RS_TOKEN_A_DIGEST and RS_TOKEN_B_DIGEST give the same value",
            ),
            (
                variables("A", "a", None, DIGEST=DIGEST)
                | variables("B", "b")
                | {"RS_AUTH_KEY": KEY.to_hex()},
                "RS_TOKEN_A_DIGEST and RS_TOKEN_B_VALUE give the same value",
            ),
            (
                variables("A", "a") | {"RS_API_TOKEN": ONE},
                "RS_API_TOKEN and RS_TOKEN_A_VALUE give the same value",
            ),
            (
                variables("A", "a") | {"RS_INIT_API_TOKEN": ONE},
                "RS_INIT_API_TOKEN and RS_TOKEN_A_VALUE give the same value",
            ),
            (
                variables("A", "a") | variables("B", "a", TWO),
                "RS_TOKEN_A and RS_TOKEN_B both declare token 'a'",
            ),
        ],
    )
    def test_what_is_refused(self, environ: dict[str, str], expected: str) -> None:
        """One fault, one line, which names the place; a value is not in it."""
        (fault,) = faults_of(environ)
        assert fault.startswith(expected)
        assert ONE not in fault

    @pytest.mark.parametrize(("value", "expected"), BAD_VALUES)
    def test_bad_values(self, value: str, expected: str) -> None:
        """The rules of bootstrap values."""
        assert faults_of(variables("A", "a", value)) == [f"RS_TOKEN_A_VALUE: {expected}"]

    def test_every_fault_is_told_at_once(self) -> None:
        """Those of one token, and those of all."""
        faults = faults_of(
            variables("A", "a b", " ", ROLE="x", TTL="x", ACTIVE="x", EXPIRES_AT="x")
            | variables("B", "init-token", None, READ="/", COLOUR="x")
        )
        assert len(faults) == 10

    def test_it_is_not_shown(self) -> None:
        """Neither value nor digest."""
        shown = repr(read(variables("A", "a") | variables("B", "b", None, DIGEST=DIGEST.replace("0", "1"))))
        assert ONE not in shown
        assert DIGEST[17:40] not in shown

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"ROLE": "admin"}, True),
            ({"FULL_ACCESS": "true", "VALID_FROM": "2020-01-01T00:00:00Z"}, True),
            ({"READ": "*", "WRITE": "*"}, False),
            ({"ROLE": "admin", "ACTIVE": "false"}, False),
            ({"ROLE": "admin", "TTL": "1000000"}, False),
            ({"ROLE": "admin", "EXPIRES_AT": "2999-01-01T00:00:00Z"}, False),
            ({"ROLE": "admin", "VALID_FROM": "2999-01-01T00:00:00Z"}, False),
            ({"ROLE": "admin", "IP_ALLOWLIST": "0.0.0.0/0"}, False),
        ],
    )
    async def test_who_counts_as_administrator(
        self, tmp_path: Path, fields: dict[str, str], expected: bool
    ) -> None:
        """Without any other token: the start is refused, before anything is made, or works with this one."""
        environ = variables("A", "boss", **fields)
        if expected:
            async with served(tmp_path / "data", environ) as client:
                assert (await client.ask("GET", "/tokens", ONE))[0] == 200
            return
        (fault,) = await refusal_of(tmp_path / "data", environ)
        assert fault.startswith("no usable full-access token")
        assert list(tmp_path.iterdir()) == []


class TestStart:
    """What a start makes of declarations, as clients see it."""

    async def test_a_declared_token_works(self, tmp_path: Path) -> None:
        """It is let in, sees itself provisioned, may what it is declared to, and is changed nowhere else."""
        environ = ADMIN | variables("A", "dashboard", READ="weather", IP_ALLOWLIST="127.0.0.0/8", TTL="3600")
        async with served(tmp_path, environ) as client:
            status, me = await client.ask("GET", "/me", ONE)
            assert status == 200
            assert (me["name"], me["value"], me["is_provisioned"]) == ("dashboard", "", True)
            assert me["permissions"] == {"full_access": False, "read": ["weather"], "write": []}
            assert (me["ttl"], me["ip_allowlist"]) == (3600, ["127.0.0.0/8"])
            assert (await client.ask("GET", "/tokens", ONE))[0] == 403
            assert await client.statuses(TWO, ONE[:-1], ONE + "x") == [401] * 3
            for method, path, verb in (
                ("POST", "/tokens/dashboard/rotate", "rotate"),
                ("DELETE", "/tokens/dashboard", "remove"),
            ):
                status, answer = await client.ask(method, path)
                assert (status, answer) == (409, {"detail": f"Can't {verb} provisioned token 'dashboard'"})
            assert await client.statuses(ONE) == [200]

    async def test_a_changed_value_replaces_the_old_one(self, tmp_path: Path) -> None:
        """At the next start; the token keeps its id."""
        async with served(tmp_path, ADMIN | variables("A", "a", ONE)):
            pass
        before, _ = await kept(tmp_path)
        async with served(tmp_path, ADMIN | variables("A", "a", TWO)) as client:
            assert await client.statuses(ONE, TWO) == [401, 200]
        after, _ = await kept(tmp_path)
        assert after.token_id == before.token_id
        assert after.created_at_us > before.created_at_us

    async def test_a_changed_field_is_brought_in_line(self, tmp_path: Path) -> None:
        """The value stays, and so do id and creation."""
        async with served(tmp_path, ADMIN | variables("A", "a", READ="x", TTL="10")):
            pass
        before, _ = await kept(tmp_path)
        async with served(tmp_path, ADMIN | variables("A", "a", WRITE="y", DESCRIPTION="new")) as client:
            _, me = await client.ask("GET", "/me", ONE)
            assert me["permissions"] == {"full_access": False, "read": [], "write": ["y"]}
        after, _ = await kept(tmp_path)
        assert (after.token_id, after.created_at_us) == (before.token_id, before.created_at_us)
        assert after.updated_at_us > before.updated_at_us
        assert (after.ttl_seconds, after.description) == (None, "new")

    async def test_two_tokens_exchange_their_values(self, tmp_path: Path) -> None:
        """Neither is in the other's way."""
        async with served(tmp_path, ADMIN | variables("A", "a", ONE) | variables("B", "b", TWO)):
            pass
        async with served(tmp_path, ADMIN | variables("A", "a", TWO) | variables("B", "b", ONE)) as client:
            names = [(await client.ask("GET", "/me", value))[1]["name"] for value in (ONE, TWO)]
        assert names == ["b", "a"]

    async def test_another_name_takes_the_value(self, tmp_path: Path) -> None:
        """The old name is declared no longer, so its value is free."""
        async with served(tmp_path, ADMIN | variables("A", "a")):
            pass
        async with served(tmp_path, ADMIN | variables("A", "b")) as client:
            assert (await client.ask("GET", "/me", ONE))[1]["name"] == "b"

    async def test_removed_from_the_configuration(self, tmp_path: Path) -> None:
        """After a restart it is 401 and gone; tokens made by hand go on."""
        async with served(tmp_path, ADMIN | variables("A", "a")) as client:
            _, answer = await client.ask("POST", "/tokens/by-hand", body={"read": ["x"]})
        async with served(tmp_path, ADMIN) as client:
            assert await client.statuses(ONE, answer["value"]) == [401, 200]
            _, listed = await client.ask("GET", "/tokens")
            assert [token["name"] for token in listed["tokens"]] == ["by-hand", "init-token"]

    async def test_it_takes_over_a_token_made_by_hand(self, tmp_path: Path) -> None:
        """The id stays; values that were issued stop working."""
        async with served(tmp_path, ADMIN) as client:
            _, answer = await client.ask("POST", "/tokens/a", body={"full_access": True})
        before, _ = await kept(tmp_path)
        async with served(tmp_path, ADMIN | variables("A", "a", READ="x")) as client:
            assert await client.statuses(answer["value"], ONE) == [401, 200]
            _, me = await client.ask("GET", "/me", ONE)
            assert (me["is_provisioned"], me["permissions"]["full_access"]) == (True, False)
        after, _ = await kept(tmp_path)
        assert (after.token_id, after.created_by) == (before.token_id, "environment")
        assert before.created_by == "init-token"

    async def test_it_takes_over_a_token_of_the_same_value(self, tmp_path: Path) -> None:
        """The value that was minted for it stays, and is its only one."""
        async with served(tmp_path, ADMIN) as client:
            _, answer = await client.ask("POST", "/tokens/a", body={"full_access": True})
        async with served(tmp_path, ADMIN | variables("A", "a", answer["value"], READ="x")) as client:
            _, me = await client.ask("GET", "/me", answer["value"])
            assert (me["is_provisioned"], me["permissions"]["full_access"]) == (True, False)

    async def test_the_value_of_another_token_is_refused(self, tmp_path: Path) -> None:
        """Told by the name of its holder, for every such token; nothing is changed."""
        async with served(tmp_path, ADMIN) as client:
            values = [
                (await client.ask("POST", f"/tokens/{name}", body={}))[1]["value"] for name in ("one", "two")
            ]
        before = await kept(tmp_path)
        faults = await refusal_of(
            tmp_path, ADMIN | variables("A", "a", values[0]) | variables("B", "b", values[1])
        )
        assert [fault.partition(":")[0] for fault in faults] == [
            "RS_TOKEN_A_VALUE holds the value of token 'one'",
            "RS_TOKEN_B_VALUE holds the value of token 'two'",
        ]
        assert not [value for value in values if value in str(faults)]
        assert await kept(tmp_path) == before

    async def test_the_last_administrator(self, tmp_path: Path) -> None:
        """A configuration that would leave none is refused and changes nothing; the old one still starts."""
        environ = variables("A", "boss", ROLE="admin") | variables("B", "b", TWO)
        async with served(tmp_path, environ):
            pass
        before = await kept(tmp_path)
        for changed in (
            {},
            variables("B", "b", TWO),
            variables("A", "boss", ROLE="viewer") | variables("B", "c", TWO),
            variables("A", "boss", ROLE="admin", ACTIVE="false"),
        ):
            (fault,) = await refusal_of(tmp_path, changed)
            assert fault.startswith("no usable full-access token")
            assert await kept(tmp_path) == before
        async with served(tmp_path, environ) as client:
            assert await client.statuses(ONE, TWO) == [200, 200]

    async def test_a_declared_administrator_can_replace_init_token(self, tmp_path: Path) -> None:
        """Both changes are one: at no time is there none."""
        async with served(tmp_path, ADMIN):
            pass
        async with served(tmp_path, variables("A", "boss", ROLE="admin")) as client:
            assert await client.statuses(ROOT, ONE) == [401, 200]

    async def test_an_unchanged_restart_writes_nothing(self, tmp_path: Path) -> None:
        """Neither the generation moves nor anything in the registry, and nothing is told."""
        environ = (
            ADMIN
            | variables("A", "a", READ="x,y", IP_ALLOWLIST="10.0.0.7/8", EXPIRES_AT="2999-01-01T00:00:00Z")
            | variables("B", "b", TWO, ROLE="recorder", VALID_FROM="2020-01-01T00:00:00Z", TTL="5")
        )

        async def state() -> tuple[int, bytes]:
            async with opened(tmp_path) as (store, _):
                generation = store.generation()
            return generation, (tmp_path / "auth" / "auth.db").read_bytes()

        async with served(tmp_path, environ):
            pass
        before = await state()
        log = tmp_path / "auth" / "auth.db-wal"
        for _ in range(2):
            async with served(tmp_path, environ):
                assert not log.exists() or log.stat().st_size == 0
        assert await state() == before

    async def test_a_bad_configuration_changes_nothing(self, tmp_path: Path) -> None:
        """One token with a fault keeps the others from being applied too."""
        async with served(tmp_path, ADMIN | variables("A", "a")):
            pass
        before = await kept(tmp_path)
        environ = ADMIN | variables("A", "a", TWO) | variables("B", "b", None)
        with pytest.raises(ConfigurationError):
            Settings.from_environment({"RS_DATA_PATH": str(tmp_path), **environ})
        app = web.Application()
        setup(app, Settings(data_path=tmp_path), environ=environ)
        with pytest.raises(ConfigurationError, match="RS_TOKEN_B: needs exactly one of"):
            await web.AppRunner(app).setup()
        assert await kept(tmp_path) == before

    async def test_the_environment_alone_is_enough_for_an_engine(self, tmp_path: Path) -> None:
        """`setup` with `environ`, as without a file."""
        app = web.Application()
        setup(app, Settings(data_path=tmp_path), environ=ADMIN | variables("A", "a"))
        async with TestClient(TestServer(app)) as client:
            assert await Client(client).statuses(ROOT, ONE) == [200, 200]

    async def test_from_a_file(self, tmp_path: Path) -> None:
        """Tokens and the bootstrap value, and what the environment says of one of them instead."""
        file = tmp_path / "storage.yaml"
        file.write_text(
            f"api_token: {ROOT}\n"
            f"tokens:\n  a: {{value: {ONE}, permissions: {{read: [x]}}}}\n  b: {{value: {ONE}, role: admin}}\n"
        )
        async with served(tmp_path / "data", variables("B", "b", TWO, READ="y"), file) as client:
            assert await client.statuses(ROOT, ONE, TWO) == [200, 200, 200]
            _, listed = await client.ask("GET", "/tokens")
        assert [
            (token["name"], token["permissions"]["read"], token["is_provisioned"])
            for token in listed["tokens"]
        ] == [
            ("a", ["x"], True),
            ("b", ["y"], True),
            ("init-token", [], True),
        ]

    async def test_short_values_are_warned_about(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """By the place, not with the value."""
        async with served(tmp_path, ADMIN | variables("A", "a", "#" * 31) | variables("B", "b", "%" * 32)):
            pass
        warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert [text.partition(" is")[0] for text in warned] == ["RS_TOKEN_A_VALUE"]
        assert "##" not in caplog.text

    @pytest.mark.parametrize("disabled", ["true", "TRUE"])
    async def test_disabled_authentication_beside_tokens(self, tmp_path: Path, disabled: str) -> None:
        """Both together contradict each other, also if the token has a fault."""
        for environ in (variables("A", "a"), variables("A", "a", None)):
            faults = await refusal_of(tmp_path / "data", {"RS_DISABLE_AUTH": disabled, **environ})
            assert faults[-1] == "RS_TOKEN_A and RS_DISABLE_AUTH=true are both set: remove one of them"
        assert not (tmp_path / "data").exists()


class TestDigest:
    """A value that the configuration does not hold."""

    async def test_it_opens_the_door_for_its_value(self, tmp_path: Path) -> None:
        """With a key of the environment from the first start on, also as the only administrator."""
        environ = {"RS_AUTH_KEY": KEY.to_hex(), **variables("A", "a", None, DIGEST=DIGEST, ROLE="admin")}
        async with served(tmp_path, environ) as client:
            assert await client.statuses(ONE, TWO, DIGEST, DIGEST[17:]) == [200, 401, 401, 401]

    async def test_with_the_key_of_the_folder(self, tmp_path: Path) -> None:
        """Once the registry has one; a value and its digest are the same to the registry."""
        async with served(tmp_path, ADMIN | variables("A", "a")):
            pass
        async with opened(tmp_path) as (store, _):
            digest = str(KeyedDigest.of(ONE, store.key))
            before = store.generation()
        async with served(tmp_path, ADMIN | variables("A", "a", None, DIGEST=digest)) as client:
            assert await client.statuses(ONE) == [200]
        async with opened(tmp_path) as (store, _):
            assert store.generation() == before

    async def test_another_key_is_refused(self, tmp_path: Path) -> None:
        """The fault names both keys; nothing is changed."""
        async with served(tmp_path, ADMIN):
            pass
        before = await kept(tmp_path)
        (fault,) = await refusal_of(tmp_path, ADMIN | variables("A", "a", None, DIGEST=DIGEST))
        assert fault.startswith(f"RS_TOKEN_A_DIGEST: was made with key {KEY.key_id}, the registry's key is ")
        assert await kept(tmp_path) == before

    async def test_a_new_registry_without_a_key_is_refused(self, tmp_path: Path) -> None:
        """Its key would be made at this start: no digest can belong to it. Nothing is made."""
        (fault,) = await refusal_of(tmp_path / "data", ADMIN | variables("A", "a", None, DIGEST=DIGEST))
        assert fault.startswith(
            "RS_TOKEN_A_DIGEST: there is no registry yet whose key could have made this digest"
        )
        assert not (tmp_path / "data").exists()

    async def test_a_value_beside_its_digest_is_refused(self, tmp_path: Path) -> None:
        """Also where only the key in the folder can tell that they are the same."""
        async with served(tmp_path, ADMIN):
            pass
        async with opened(tmp_path) as (store, _):
            digest = str(KeyedDigest.of(ONE, store.key))
        environ = ADMIN | variables("A", "a", None, DIGEST=digest) | variables("B", "b")
        (fault,) = await refusal_of(tmp_path, environ)
        assert fault.startswith("RS_TOKEN_A_DIGEST and RS_TOKEN_B_VALUE give the same value")


async def test_no_value_is_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the log, nor in an answer, nor in a file of the registry: running, stopped, and after refusals."""
    caplog.set_level(logging.DEBUG)
    data, file = tmp_path / "data", tmp_path / "storage.yaml"
    file.write_text(f"tokens: {{b: {{value: {TWO}, role: viewer}}}}\n")
    seen = ""

    def is_kept(text: str) -> bool:
        found = subprocess.run(["grep", "-r", "-q", "-a", "-F", text, data], check=False)
        assert found.returncode in {0, 1}
        return found.returncode == 0

    async with served(data, ADMIN | variables("A", "a"), file) as client:
        for path in ("/me", "/tokens", "/tokens/a", "/tokens/b"):
            seen += str(await client.ask("GET", path, ROOT))
        seen += str(await client.ask("POST", "/tokens/a/rotate", ROOT))
        assert is_kept("init-token")
        assert [is_kept(value) for value in (ROOT, ONE, TWO)] == [False] * 3
    seen += str(await refusal_of(data, variables("A", "a"), file))
    seen += str(await refusal_of(data, ADMIN | variables("A", "init-token") | variables("B", "x", TWO), file))
    async with served(data, ADMIN):
        pass
    assert "token provisioned name=a" in caplog.text
    assert "token removed name=b" in caplog.text
    assert [is_kept(value) for value in (ROOT, ONE, TWO)] == [False] * 3
    assert [value in seen + caplog.text for value in (ROOT, ONE, TWO)] == [False] * 3


async def test_the_environment_made_them(tmp_path: Path) -> None:
    """The registry tells declared tokens from those that were made by hand."""
    async with served(tmp_path, ADMIN | variables("A", "a")) as client:
        await client.ask("POST", "/tokens/by-hand", body={})
    async with opened(tmp_path) as (store, registry):
        assert {token.name: token.created_by for token in await registry.tokens()} == {
            "a": "environment",
            "by-hand": "init-token",
            "init-token": "environment",
        }
        names = await store.change(lambda transaction: [one.name for one in transaction.provisioned_tokens()])
    assert names == ["a", "init-token"]
