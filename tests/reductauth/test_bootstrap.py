"""The environment -> the registry's first token, row by row, in real registries and through the door.

`started` is the module without HTTP: store, bootstrap and authenticator. `Server` is an aiohttp application
with `setup`, started and stopped on one data folder as an operator would.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import logging
import os
import pickle
import subprocess
import threading
import zlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from reductauth import bootstrap
from reductauth.actor import Actor, Identity
from reductauth.authenticator import Authenticator
from reductauth.bootstrap import Bootstrap
from reductauth.clock import system_clock
from reductauth.draft import TokenDraft
from reductauth.errors import ConfigurationError
from reductauth.networks import NetworkList
from reductauth.permissions import Permissions
from reductauth.registry import TokenRegistry
from reductauth.settings import Settings
from reductauth.sqlite import SqliteStore
from reductauth.token import Token
from reductauth.web import AUTH, setup

OLD = "old-value-that-was-chosen-by-an-operator"
NEW = "new-value-that-was-chosen-by-an-operator"
HEX_KEY = "0123456789abcdef" * 4
OTHER_HEX_KEY = "fedcba9876543210" * 4

EMPTY = "is empty; give it a value, or remove the variable"
INVISIBLE = "may hold visible ASCII characters only, without spaces"
TOO_LONG = "is longer than 4096 characters"
MISTYPED = "looks like a token of this server, but its checksum is wrong: mistyped?"
TWO_TOKENS = "RS_API_TOKEN and RS_INIT_API_TOKEN are both set: keep the one that is meant"

FULL = Permissions(full_access=True)


def value_with_checksum(start: str) -> str:
    """Make a value of the module's own shape, independently of the module."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number, text = zlib.crc32(start.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        text = digits[digit] + text
    return start + text


OWN_SHAPE = value_with_checksum("init-token-rsat1" + "Ab3" * 14 + "x")
WRONG_CHECKSUM = OWN_SHAPE[:-1] + ("0" if OWN_SHAPE[-1] != "0" else "1")


class Started:
    """A registry that was opened and brought in line with an environment."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.registry = TokenRegistry(store, store.key, system_clock())

    async def holder(self, value: str) -> str | None:
        """Name the token that a value opens, if it opens one."""
        found = await Authenticator(self.store, self.store.key).authenticate(value, None, system_clock()())
        return found.token.name if isinstance(found, Identity) else None

    async def create(self, name: str, **wishes: Any) -> str:
        """Create a token and return its value."""
        draft = TokenDraft(**{"permissions": FULL, **wishes})
        return (await self.registry.create(Actor.environment(), name, draft)).value

    async def names(self) -> list[str]:
        """Name all tokens."""
        return [token.name for token in await self.registry.tokens()]


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Started]:
    """Open a registry as it is."""
    store = SqliteStore.open(folder)
    try:
        yield Started(store)
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def started(folder: Path, environ: Mapping[str, str]) -> AsyncIterator[Started]:
    """Open a registry and apply an environment."""
    secrets = Bootstrap.read(environ, disable_auth=False)
    store = SqliteStore.open(folder, secrets.key)
    try:
        await bootstrap.apply(secrets, store, store.key, system_clock())
        yield Started(store)
    finally:
        await store.close()


async def kept(folder: Path) -> list[Token]:
    """Read all tokens of a registry that nobody serves."""
    async with opened(folder) as running:
        return await running.registry.tokens()


def names_in(folder: Path) -> list[str]:
    """Name all that is in a folder."""
    return sorted(path.name for path in folder.iterdir())


class Client:
    """An HTTP client of one running server."""

    def __init__(self, client: TestClient[web.Request, web.Application]) -> None:
        self._client = client

    async def ask(
        self, method: str, path: str, value: str | None = None, body: Any = None
    ) -> tuple[int, Any]:
        """Send a request; return status and JSON body (None where there is none)."""
        headers = {} if value is None else {"authorization": f"Bearer {value}"}
        async with self._client.request(method, f"/api/v1{path}", headers=headers, json=body) as response:
            return response.status, (await response.json() if await response.read() else None)

    async def status(self, value: str | None) -> int:
        """Return the status that `/me` has for a value."""
        status, _ = await self.ask("GET", "/me", value)
        return status


@contextlib.asynccontextmanager
async def serving(data: Path, environ: Mapping[str, str]) -> AsyncIterator[Client]:
    """Run a server on a data folder until the block is left."""
    app = web.Application()
    settings = Settings.from_environment({"RS_DATA_PATH": str(data), **environ})
    setup(app, settings, environ=environ)
    server = TestServer(app)
    await server.start_server()
    async with TestClient(server) as client:
        yield Client(client)


async def refusal_of(data: Path, environ: Mapping[str, str]) -> list[str]:
    """Return why a server does not start."""
    with pytest.raises(ConfigurationError) as refusal:
        async with serving(data, environ):
            pass
    return list(refusal.value.faults)


class TestPinned:
    """RS_API_TOKEN: the value of `init-token`, at every start."""

    async def test_it_makes_the_administrator(self, tmp_path: Path) -> None:
        """On a new folder there is `init-token`, full access, provisioned, and nothing else."""
        async with started(tmp_path / "auth", {"RS_API_TOKEN": OLD}) as running:
            assert await running.holder(OLD) == "init-token"
            (token,) = await running.registry.tokens()
        assert token.name == "init-token"
        assert (token.permissions.full_access, token.permissions.read, token.permissions.write) == (
            True,
            (),
            (),
        )
        assert token.is_provisioned is True
        assert token.created_by == "environment"
        assert (token.expires_at_us, token.ttl_seconds, token.allowlist.entries) == (None, None, ())

    async def test_it_opens_the_door(self, tmp_path: Path) -> None:
        """Through HTTP: the value is let in and sees itself, anything else is not, and the view holds no value."""
        async with serving(tmp_path, {"RS_API_TOKEN": OLD}) as client:
            status, me = await client.ask("GET", "/me", OLD)
            assert status == 200
            assert (me["name"], me["value"], me["is_provisioned"]) == ("init-token", "", True)
            assert me["permissions"] == {"full_access": True, "read": [], "write": []}
            assert [await client.status(value) for value in (None, NEW, OLD[:-1], OLD + "x")] == [401] * 4

    async def test_the_same_value_changes_nothing(self, tmp_path: Path) -> None:
        """A restart leaves the token as it was: same id, same time of creation."""
        async with started(tmp_path / "auth", {"RS_API_TOKEN": OLD}) as running:
            before = await running.registry.tokens()
        async with started(tmp_path / "auth", {"RS_API_TOKEN": OLD}) as running:
            assert await running.registry.tokens() == before
            assert await running.holder(OLD) == "init-token"

    async def test_a_changed_value_replaces_the_old_one(self, tmp_path: Path) -> None:
        """After a restart with another value the old one is 401 and the new one 200; the token keeps its id."""
        async with serving(tmp_path, {"RS_API_TOKEN": OLD}) as client:
            assert (await client.status(OLD), await client.status(NEW)) == (200, 401)
        (before,) = await kept(tmp_path / "auth")
        async with serving(tmp_path, {"RS_API_TOKEN": NEW}) as client:
            assert (await client.status(OLD), await client.status(NEW)) == (401, 200)
        (after,) = await kept(tmp_path / "auth")
        assert after.token_id == before.token_id

    async def test_it_is_changed_where_it_is_provisioned(self, tmp_path: Path) -> None:
        """Neither rotation nor removal nor a second creation works on it, and its value goes on working."""
        async with serving(tmp_path, {"RS_API_TOKEN": OLD}) as client:
            assert await client.ask("POST", "/tokens/init-token/rotate", OLD) == (
                409,
                {"detail": "Can't rotate provisioned token 'init-token'"},
            )
            assert await client.ask("DELETE", "/tokens/init-token", OLD) == (
                409,
                {"detail": "Can't remove provisioned token 'init-token'"},
            )
            assert await client.ask("POST", "/tokens/init-token", OLD, {"full_access": True}) == (
                409,
                {"detail": "Token 'init-token' already exists"},
            )
            assert await client.status(OLD) == 200

    async def test_it_takes_over_a_seeded_token(self, tmp_path: Path) -> None:
        """Pinning a registry that was seeded replaces the seed's value."""
        async with started(tmp_path / "auth", {"RS_INIT_API_TOKEN": OLD}):
            pass
        async with started(tmp_path / "auth", {"RS_API_TOKEN": NEW}) as running:
            assert (await running.holder(OLD), await running.holder(NEW)) == (None, "init-token")
            (token,) = await running.registry.tokens()
            assert token.is_provisioned is True

    async def test_it_takes_over_a_seeded_token_of_the_same_value(self, tmp_path: Path) -> None:
        """The value stays, the token becomes provisioned."""
        async with started(tmp_path / "auth", {"RS_INIT_API_TOKEN": OLD}):
            pass
        async with started(tmp_path / "auth", {"RS_API_TOKEN": OLD}) as running:
            assert await running.holder(OLD) == "init-token"
            (token,) = await running.registry.tokens()
            assert token.is_provisioned is True

    @pytest.mark.parametrize(
        "wishes",
        [
            {"permissions": Permissions.of(read=["*"])},
            {"active": False},
            {"ttl_seconds": 60},
            {"expires_at_us": 4_000_000_000_000_000},
            {"valid_from_us": 4_000_000_000_000_000},
            {"allowlist": NetworkList.of(["10.0.0.1"])},
        ],
    )
    async def test_a_lost_administrator_is_recovered(self, tmp_path: Path, wishes: dict[str, Any]) -> None:
        """Whatever `init-token` had become, setting RS_API_TOKEN and restarting makes it usable again."""
        async with started(tmp_path / "auth", {"RS_INIT_API_TOKEN": OLD}) as running:
            admin = await running.create("admin")
            await running.registry.delete(Actor.environment(), "init-token")
            crippled = await running.create("init-token", **wishes)
        async with started(tmp_path / "auth", {"RS_API_TOKEN": NEW}) as running:
            assert await running.holder(NEW) == "init-token"
            assert await running.holder(crippled) is None
            assert await running.holder(admin) == "admin"
            token = await running.registry.token("init-token")
            assert token.is_usable_administrator(system_clock()()) is True

    async def test_a_deleted_init_token_comes_back_when_it_is_pinned(self, tmp_path: Path) -> None:
        """Pinning, unlike seeding, happens at every start."""
        async with started(tmp_path / "auth", {"RS_INIT_API_TOKEN": OLD}) as running:
            await running.create("admin")
            await running.registry.delete(Actor.environment(), "init-token")
        async with started(tmp_path / "auth", {"RS_API_TOKEN": NEW}) as running:
            assert await running.names() == ["admin", "init-token"]
            assert (await running.holder(OLD), await running.holder(NEW)) == (None, "init-token")

    async def test_the_value_of_another_token_is_refused(self, tmp_path: Path) -> None:
        """One value can't open two tokens: the start names the other token, and nothing is changed."""
        async with started(tmp_path / "auth", {"RS_API_TOKEN": OLD}) as running:
            value = await running.create("robot", permissions=Permissions())
        before = await kept(tmp_path / "auth")
        (fault,) = await refusal_of(tmp_path, {"RS_API_TOKEN": value})
        assert fault.startswith("RS_API_TOKEN holds the value of token 'robot'")
        assert value not in fault
        assert await kept(tmp_path / "auth") == before
        async with started(tmp_path / "auth", {"RS_API_TOKEN": OLD}) as running:
            assert (await running.holder(OLD), await running.holder(value)) == ("init-token", "robot")

    async def test_the_whole_value_counts(self, tmp_path: Path) -> None:
        """Two values that are equal in their first 72 bytes are two values."""
        first, second = "a" * 72 + "-first", "a" * 72 + "-second"
        async with serving(tmp_path, {"RS_API_TOKEN": first}) as client:
            assert (await client.status(first), await client.status(second)) == (200, 401)
        async with serving(tmp_path, {"RS_API_TOKEN": second}) as client:
            assert (await client.status(first), await client.status(second)) == (401, 200)


class TestPinRemoved:
    """A provisioned token that the configuration no longer names is removed at the next start."""

    async def test_removed_if_another_administrator_remains(self, tmp_path: Path) -> None:
        """Its value stops working, the other tokens go on."""
        async with serving(tmp_path, {"RS_API_TOKEN": OLD}) as client:
            status, answer = await client.ask("POST", "/tokens/admin", OLD, {"full_access": True})
            assert status == 200
        async with serving(tmp_path, {}) as client:
            assert await client.status(OLD) == 401
            status, listed = await client.ask("GET", "/tokens", answer["value"])
            assert status == 200
            assert [token["name"] for token in listed["tokens"]] == ["admin"]

    @pytest.mark.parametrize(
        "wishes",
        [
            None,
            {"permissions": Permissions.of(read=["*"], write=["*"])},
            {"active": False},
            {"ttl_seconds": 10**9},
            {"expires_at_us": 4_000_000_000_000_000},
            {"valid_from_us": 4_000_000_000_000_000},
            {"allowlist": NetworkList.of(["0.0.0.0/0"])},
        ],
    )
    @pytest.mark.parametrize("environ", [{}, {"RS_INIT_API_TOKEN": NEW}])
    async def test_start_refused_if_no_usable_administrator_remains(
        self, tmp_path: Path, wishes: dict[str, Any] | None, environ: dict[str, str]
    ) -> None:
        """None, or one that expires, idles, sleeps or is tied to addresses: the start is refused, nothing changes."""
        async with started(tmp_path / "auth", {"RS_API_TOKEN": OLD}) as running:
            if wishes is not None:
                await running.create("almost", **wishes)
        before = await kept(tmp_path / "auth")
        (fault,) = await refusal_of(tmp_path, environ)
        assert all(name in fault for name in ("RS_API_TOKEN", "RS_INIT_API_TOKEN", "RS_DISABLE_AUTH"))
        assert await kept(tmp_path / "auth") == before
        async with serving(tmp_path, {"RS_API_TOKEN": OLD}) as client:
            assert await client.status(OLD) == 200


class TestSeed:
    """RS_INIT_API_TOKEN: seeds `init-token` once, when the registry is new."""

    async def test_it_makes_the_administrator(self, tmp_path: Path) -> None:
        """On a new folder there is `init-token`, full access, not provisioned."""
        async with serving(tmp_path, {"RS_INIT_API_TOKEN": OLD}) as client:
            status, me = await client.ask("GET", "/me", OLD)
            assert status == 200
            assert (me["name"], me["is_provisioned"]) == ("init-token", False)
            assert me["permissions"] == {"full_access": True, "read": [], "write": []}

    @pytest.mark.parametrize("environ", [{"RS_INIT_API_TOKEN": OLD}, {"RS_INIT_API_TOKEN": NEW}, {}])
    async def test_it_is_ignored_later(self, tmp_path: Path, environ: dict[str, str]) -> None:
        """The first value goes on working, whether the variable stays, changes or goes; another never works."""
        async with serving(tmp_path, {"RS_INIT_API_TOKEN": OLD}) as client:
            assert await client.status(OLD) == 200
        async with serving(tmp_path, environ) as client:
            assert (await client.status(OLD), await client.status(NEW)) == (200, 401)

    async def test_it_can_be_rotated_and_stays_so(self, tmp_path: Path) -> None:
        """After a rotation and a restart with the variable still set, only the rotated value works."""
        async with serving(tmp_path, {"RS_INIT_API_TOKEN": OLD}) as client:
            status, answer = await client.ask("POST", "/tokens/init-token/rotate", OLD)
            assert status == 200
            assert (await client.status(OLD), await client.status(answer["value"])) == (401, 200)
        async with serving(tmp_path, {"RS_INIT_API_TOKEN": OLD}) as client:
            assert (await client.status(OLD), await client.status(answer["value"])) == (401, 200)

    @pytest.mark.parametrize("environ", [{"RS_INIT_API_TOKEN": OLD}, {"RS_INIT_API_TOKEN": NEW}])
    async def test_it_can_be_removed_and_stays_removed(self, tmp_path: Path, environ: dict[str, str]) -> None:
        """A restart does not undo its removal, whatever the variable says."""
        async with serving(tmp_path, {"RS_INIT_API_TOKEN": OLD}) as client:
            _, answer = await client.ask("POST", "/tokens/admin", OLD, {"full_access": True})
            admin = answer["value"]
            assert await client.ask("DELETE", "/tokens/init-token", admin) == (200, None)
            assert await client.status(OLD) == 401
        async with serving(tmp_path, environ) as client:
            assert [await client.status(value) for value in (OLD, NEW, admin)] == [401, 401, 200]
            _, listed = await client.ask("GET", "/tokens", admin)
            assert [token["name"] for token in listed["tokens"]] == ["admin"]

    async def test_it_is_ignored_after_a_registry_was_pinned(self, tmp_path: Path) -> None:
        """A registry that got its first token from RS_API_TOKEN is not new: there is nothing to seed."""
        async with started(tmp_path / "auth", {"RS_API_TOKEN": OLD}) as running:
            admin = await running.create("admin")
        async with started(tmp_path / "auth", {"RS_INIT_API_TOKEN": NEW}) as running:
            assert await running.names() == ["admin"]
            assert [await running.holder(value) for value in (OLD, NEW, admin)] == [None, None, "admin"]

    async def test_the_last_administrator_is_not_removed(self, tmp_path: Path) -> None:
        """Alone, the seeded token cannot be deleted, so a registry never loses its last one to the API."""
        async with serving(tmp_path, {"RS_INIT_API_TOKEN": OLD}) as client:
            assert await client.ask("DELETE", "/tokens/init-token", OLD) == (
                409,
                {"detail": "Can't remove token 'init-token': at least one full-access token must remain"},
            )
            assert await client.status(OLD) == 200

    async def test_a_first_start_that_was_cut_short_is_seeded_by_the_next(self, tmp_path: Path) -> None:
        """A registry that was made and got no token yet is still new."""
        async with opened(tmp_path / "auth"):
            pass
        async with started(tmp_path / "auth", {"RS_INIT_API_TOKEN": OLD}) as running:
            assert await running.holder(OLD) == "init-token"


class TestDisabled:
    """RS_DISABLE_AUTH=true: no authentication at all."""

    @pytest.mark.parametrize("value", [None, "", OLD, "no such value"])
    async def test_everybody_may_do_everything(self, tmp_path: Path, value: str | None) -> None:
        """With a token, with a wrong one and without any, the caller has full access."""
        async with serving(tmp_path, {"RS_DISABLE_AUTH": "true"}) as client:
            status, me = await client.ask("GET", "/me", value)
        assert status == 200
        assert me["name"] == "AUTHENTICATION-DISABLED"
        assert me["permissions"] == {"full_access": True, "read": [], "write": []}

    @pytest.mark.parametrize(
        ("method", "path", "body", "status", "answer"),
        [
            ("GET", "/tokens", None, 200, {"tokens": []}),
            ("GET", "/tokens/robot", None, 400, {"detail": "Authentication is disabled"}),
            ("GET", "/tokens/init-token", None, 400, {"detail": "Authentication is disabled"}),
            ("POST", "/tokens/robot", {"full_access": True}, 400, {"detail": "Authentication is disabled"}),
            ("POST", "/tokens/robot/rotate", None, 400, {"detail": "Authentication is disabled"}),
            ("DELETE", "/tokens/robot", None, 200, None),
            ("PATCH", "/tokens/robot", {"active": True}, 400, {"detail": "Authentication is disabled"}),
            ("PATCH", "/tokens/robot", {"nonsense": 1}, 400, {"detail": "Authentication is disabled"}),
            ("POST", "/tokens/robot/revoke", None, 400, {"detail": "Authentication is disabled"}),
            ("POST", "/tokens/$batch", {"items": []}, 400, {"detail": "Authentication is disabled"}),
            ("DELETE", "/me", None, 400, {"detail": "Authentication is disabled"}),
            ("POST", "/me/rotate", None, 400, {"detail": "Authentication is disabled"}),
        ],
    )
    async def test_token_routes(
        self, tmp_path: Path, method: str, path: str, body: Any, status: int, answer: Any
    ) -> None:
        """No token can be made or shown, the list is empty, and there is nothing to delete."""
        async with serving(tmp_path, {"RS_DISABLE_AUTH": "true"}) as client:
            assert await client.ask(method, path, None, body) == (status, answer)

    async def test_no_registry_is_made(self, tmp_path: Path) -> None:
        """The folder stays as it was."""
        async with serving(tmp_path / "data", {"RS_DISABLE_AUTH": "true"}) as client:
            assert await client.status(None) == 200
        assert not (tmp_path / "data" / "auth").exists()

    async def test_a_registry_is_not_opened(self, tmp_path: Path) -> None:
        """One that is there, even one that could not be opened, is left alone and works again afterwards."""
        async with serving(tmp_path, {"RS_INIT_API_TOKEN": OLD}):
            pass
        folder = tmp_path / "auth"
        folder.chmod(0o755)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert "open to group or others" in (await refusal_of(tmp_path, {}))[0]
        async with serving(tmp_path, {"RS_DISABLE_AUTH": "true"}) as client:
            assert (await client.ask("GET", "/tokens")) == (200, {"tokens": []})
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        folder.chmod(0o700)
        async with serving(tmp_path, {}) as client:
            assert (await client.status(OLD), await client.status(None)) == (200, 401)

    async def test_it_is_said_at_every_start(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """An open door is a warning in the log, each time; a shut one is not."""
        for environ, count in (
            ({"RS_DISABLE_AUTH": "true"}, 1),
            ({"RS_DISABLE_AUTH": "true"}, 1),
            ({"RS_DISABLE_AUTH": "false", "RS_API_TOKEN": OLD}, 0),
        ):
            caplog.clear()
            async with serving(tmp_path, environ):
                pass
            said = [
                record
                for record in caplog.records
                if record.levelno >= logging.WARNING and "authentication is OFF" in record.getMessage()
            ]
            assert len(said) == count

    async def test_false_is_not_true(self, tmp_path: Path) -> None:
        """`false` leaves the door shut."""
        async with serving(tmp_path, {"RS_DISABLE_AUTH": "false", "RS_API_TOKEN": OLD}) as client:
            assert (await client.status(None), await client.status(OLD)) == (401, 200)


class TestNothing:
    """None of the three variables."""

    @pytest.mark.parametrize(
        "environ", [{}, {"RS_DISABLE_AUTH": "false"}, {"RS_AUTH_KEY": HEX_KEY}, {"RS_API_TOKENS": OLD}]
    )
    async def test_a_new_folder_is_refused(self, tmp_path: Path, environ: dict[str, str]) -> None:
        """The message names all three variables, and nothing is created."""
        (fault,) = await refusal_of(tmp_path / "data", environ)
        assert all(name in fault for name in ("RS_API_TOKEN", "RS_INIT_API_TOKEN", "RS_DISABLE_AUTH=true"))
        assert names_in(tmp_path) == []

    async def test_a_registry_without_a_usable_administrator_is_refused(self, tmp_path: Path) -> None:
        """One that was made but never seeded has nobody who may enter."""
        async with opened(tmp_path / "auth"):
            pass
        (fault,) = await refusal_of(tmp_path, {})
        assert all(name in fault for name in ("RS_API_TOKEN", "RS_INIT_API_TOKEN", "RS_DISABLE_AUTH=true"))
        assert await kept(tmp_path / "auth") == []

    async def test_a_registry_with_a_usable_administrator_starts(self, tmp_path: Path) -> None:
        """What was kept is enough."""
        async with serving(tmp_path, {"RS_INIT_API_TOKEN": OLD}):
            pass
        async with serving(tmp_path, {}) as client:
            assert (await client.status(OLD), await client.status(None)) == (200, 401)


class TestCombinations:
    """Variables that contradict each other refuse the start."""

    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({"RS_API_TOKEN": OLD, "RS_INIT_API_TOKEN": NEW}, [TWO_TOKENS]),
            ({"RS_API_TOKEN": OLD, "RS_INIT_API_TOKEN": OLD}, [TWO_TOKENS]),
            ({"RS_API_TOKEN": OLD, "RS_INIT_API_TOKEN_FILE": "{file}"}, [TWO_TOKENS]),
            ({"RS_API_TOKEN_FILE": "{file}", "RS_INIT_API_TOKEN": OLD}, [TWO_TOKENS]),
            ({"RS_API_TOKEN_FILE": "{file}", "RS_INIT_API_TOKEN_FILE": "{file}"}, [TWO_TOKENS]),
            (
                {"RS_API_TOKEN": OLD, "RS_DISABLE_AUTH": "true"},
                ["RS_API_TOKEN and RS_DISABLE_AUTH=true are both set: remove one of them"],
            ),
            (
                {"RS_API_TOKEN_FILE": "{file}", "RS_DISABLE_AUTH": "true"},
                ["RS_API_TOKEN and RS_DISABLE_AUTH=true are both set: remove one of them"],
            ),
            (
                {"RS_INIT_API_TOKEN": OLD, "RS_DISABLE_AUTH": "true"},
                ["RS_INIT_API_TOKEN and RS_DISABLE_AUTH=true are both set: remove one of them"],
            ),
            (
                {"RS_INIT_API_TOKEN_FILE": "{file}", "RS_DISABLE_AUTH": "true"},
                ["RS_INIT_API_TOKEN and RS_DISABLE_AUTH=true are both set: remove one of them"],
            ),
            (
                {"RS_API_TOKEN": OLD, "RS_API_TOKEN_FILE": "{file}"},
                ["RS_API_TOKEN and RS_API_TOKEN_FILE are both set: keep the one that is meant"],
            ),
            (
                {"RS_INIT_API_TOKEN": OLD, "RS_INIT_API_TOKEN_FILE": "{file}"},
                ["RS_INIT_API_TOKEN and RS_INIT_API_TOKEN_FILE are both set: keep the one that is meant"],
            ),
            (
                {"RS_API_TOKEN": OLD, "RS_AUTH_KEY": HEX_KEY, "RS_AUTH_KEY_FILE": "{file}"},
                ["RS_AUTH_KEY and RS_AUTH_KEY_FILE are both set: keep the one that is meant"],
            ),
        ],
    )
    async def test_refused(self, tmp_path: Path, environ: dict[str, str], expected: list[str]) -> None:
        """The message names both, and nothing is created."""
        file = tmp_path / "secret"
        file.write_text(NEW)
        filled = {name: text.replace("{file}", str(file)) for name, text in environ.items()}
        faults = await refusal_of(tmp_path / "data", filled)
        assert faults == expected
        assert not (tmp_path / "data").exists()

    def test_all_three(self) -> None:
        """Every contradiction is told."""
        environ = {"RS_API_TOKEN": OLD, "RS_INIT_API_TOKEN": NEW, "RS_DISABLE_AUTH": "true"}
        with pytest.raises(ConfigurationError) as refusal:
            Bootstrap.read(environ, disable_auth=True)
        assert refusal.value.faults == (
            TWO_TOKENS,
            "RS_API_TOKEN and RS_DISABLE_AUTH=true are both set: remove one of them",
        )


BAD_VALUES = [
    ("", EMPTY),
    (" ", EMPTY),
    ("\t \n", EMPTY),
    ("\u00a0", EMPTY),
    ("long-enough-but-with-one space-in-it", INVISIBLE),
    (" long-enough-with-a-space-before-it", INVISIBLE),
    ("long-enough-with-a-space-behind-it ", INVISIBLE),
    ("long-enough-with-a-tab-in-it\tand-more", INVISIBLE),
    ("long-enough-with-lines\nand-more-lines", INVISIBLE),
    ("long-enough-with-two-newlines-behind\n\n", INVISIBLE),
    ("long-enough-with-nul-in-it\0-and-more", INVISIBLE),
    ("long-enough-with-del-in-it\x7f-and-more", INVISIBLE),
    ("long-enough-with-escape-in-it\x1b[31m", INVISIBLE),
    ("long-enough-but-caf\u00e9-is-not-ascii-at-all", INVISIBLE),
    ("\ufefflong-enough-with-a-byte-order-mark", INVISIBLE),
    ("x" * 4097, TOO_LONG),
    ("x" * 100_000, TOO_LONG),
    (WRONG_CHECKSUM, MISTYPED),
    (OWN_SHAPE.replace("init", "inlt"), MISTYPED),
]


class TestBadValues:
    """Values that nobody can have meant refuse the start."""

    @pytest.mark.parametrize("variable", ["RS_API_TOKEN", "RS_INIT_API_TOKEN"])
    @pytest.mark.parametrize(("value", "expected"), BAD_VALUES)
    def test_in_the_environment(self, variable: str, value: str, expected: str) -> None:
        """Empty, blank, invisible, outside ASCII, too long or mistyped; the message does not show the value."""
        with pytest.raises(ConfigurationError) as refusal:
            Bootstrap.read({variable: value}, disable_auth=False)
        assert refusal.value.faults == (f"{variable}: {expected}",)

    @pytest.mark.parametrize("variable", ["RS_API_TOKEN", "RS_INIT_API_TOKEN"])
    @pytest.mark.parametrize(("value", "expected"), BAD_VALUES)
    def test_in_a_file(self, tmp_path: Path, variable: str, value: str, expected: str) -> None:
        """The same in a file, which the message names by its variable; what is not ASCII is never blank there."""
        file = tmp_path / "secret"
        file.write_bytes(value.encode())
        with pytest.raises(ConfigurationError) as refusal:
            Bootstrap.read({f"{variable}_FILE": str(file)}, disable_auth=False)
        assert refusal.value.faults == (f"{variable}_FILE: {expected if value.isascii() else INVISIBLE}",)

    async def test_the_server_does_not_start(self, tmp_path: Path) -> None:
        """A bad value creates nothing."""
        faults = await refusal_of(tmp_path / "data", {"RS_API_TOKEN": WRONG_CHECKSUM})
        assert faults == [f"RS_API_TOKEN: {MISTYPED}"]
        assert names_in(tmp_path) == []

    def test_a_newline_is_trimmed_from_files_only(self) -> None:
        """An environment variable has no newline at its end by accident."""
        with pytest.raises(ConfigurationError, match="visible ASCII"):
            Bootstrap.read({"RS_API_TOKEN": OLD + "\n"}, disable_auth=False)

    @pytest.mark.parametrize(
        "value",
        ["!", "~", "x" * 4096, "".join(map(chr, range(0x21, 0x7F))), OWN_SHAPE, OLD, "a-rsat1" + "0" * 48],
    )
    async def test_values_at_the_limits_work(self, tmp_path: Path, value: str) -> None:
        """All of visible ASCII, up to 4,096 characters, and our own shape with its right checksum."""
        async with started(tmp_path / "auth", {"RS_API_TOKEN": value}) as running:
            assert await running.holder(value) == "init-token"

    @pytest.mark.parametrize(("length", "warned"), [(1, True), (31, True), (32, False), (33, False)])
    @pytest.mark.parametrize("variable", ["RS_API_TOKEN", "RS_INIT_API_TOKEN"])
    async def test_short_values_work_with_a_warning(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, variable: str, length: int, warned: bool
    ) -> None:
        """Fewer than 32 characters are accepted, and the log advises against them by the variable's name."""
        value = "#" * length
        async with started(tmp_path / "auth", {variable: value}) as running:
            assert await running.holder(value) == "init-token"
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert [variable in text for text in warnings] == [True] * warned
        assert "#" not in caplog.text


class TestFiles:
    """Each token variable has a twin that names a file."""

    @pytest.mark.parametrize("variable", ["RS_API_TOKEN_FILE", "RS_INIT_API_TOKEN_FILE"])
    @pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
    async def test_one_newline_at_the_end_is_trimmed(
        self, tmp_path: Path, variable: str, ending: str
    ) -> None:
        """The value is what the file holds without the newline that editors and `echo` put there."""
        file = tmp_path / "secret"
        file.write_bytes((OLD + ending).encode())
        async with serving(tmp_path / "data", {variable: str(file)}) as client:
            assert await client.status(OLD) == 200
            _, me = await client.ask("GET", "/me", OLD)
            assert me["is_provisioned"] is (variable == "RS_API_TOKEN_FILE")

    @pytest.mark.parametrize("variable", ["RS_API_TOKEN_FILE", "RS_INIT_API_TOKEN_FILE"])
    @pytest.mark.parametrize("ending", ["\r", "\n\r", "\r\r", "\n\n", "\r\n\n", "\r\n\r\n", "\r\r\n"])
    def test_no_other_ending_is_trimmed(self, tmp_path: Path, variable: str, ending: str) -> None:
        """One newline, not two, and no carriage return without one: what is left is no part of a value."""
        file = tmp_path / "secret"
        file.write_bytes((OLD + ending).encode())
        with pytest.raises(ConfigurationError) as refusal:
            Bootstrap.read({variable: str(file)}, disable_auth=False)
        assert refusal.value.faults == (f"{variable}: {INVISIBLE}",)

    async def test_the_longest_value_with_a_newline(self, tmp_path: Path) -> None:
        """The newline does not count towards the 4,096 characters."""
        file = tmp_path / "secret"
        file.write_text("x" * 4096 + "\n")
        async with started(tmp_path / "auth", {"RS_API_TOKEN_FILE": str(file)}) as running:
            assert await running.holder("x" * 4096) == "init-token"

    async def test_a_changed_file_counts_at_the_next_start(self, tmp_path: Path) -> None:
        """The file is read at every start, like the variable."""
        file = tmp_path / "secret"
        file.write_text(OLD + "\n")
        async with serving(tmp_path / "data", {"RS_API_TOKEN_FILE": str(file)}) as client:
            assert await client.status(OLD) == 200
        file.write_text(NEW + "\n")
        async with serving(tmp_path / "data", {"RS_API_TOKEN_FILE": str(file)}) as client:
            assert (await client.status(OLD), await client.status(NEW)) == (401, 200)

    @pytest.mark.parametrize("twin", ["RS_API_TOKEN_FILE", "RS_INIT_API_TOKEN_FILE", "RS_AUTH_KEY_FILE"])
    @pytest.mark.parametrize("name", ["missing", ".", "missing/file"])
    def test_a_file_that_cannot_be_read_is_refused(self, tmp_path: Path, twin: str, name: str) -> None:
        """A missing file or a folder: the message names the variable, not what may be the value itself."""
        path = tmp_path / name
        with pytest.raises(ConfigurationError) as refusal:
            Bootstrap.read({twin: str(path)}, disable_auth=False)
        (fault,) = refusal.value.faults
        assert fault.startswith(f"{twin}: can't be read (")
        assert str(path) not in fault
        assert fault.endswith("it must name a file that holds the value")

    @pytest.mark.parametrize("twin", ["RS_API_TOKEN_FILE", "RS_INIT_API_TOKEN_FILE", "RS_AUTH_KEY_FILE"])
    def test_a_pipe_is_refused_at_once(self, tmp_path: Path, twin: str) -> None:
        """A start does not wait for who may never write: a pipe is no file that holds a value."""
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        faults: list[str] = []

        def read() -> None:
            with pytest.raises(ConfigurationError) as refusal:
                Bootstrap.read({twin: str(pipe)}, disable_auth=False)
            faults.extend(refusal.value.faults)

        reading = threading.Thread(target=read, daemon=True)
        reading.start()
        reading.join(5)
        assert not reading.is_alive()
        (fault,) = faults
        assert fault.startswith(f"{twin}: can't be read (")
        assert fault.endswith("it must name a file that holds the value")

    @pytest.mark.parametrize("twin", ["RS_API_TOKEN_FILE", "RS_INIT_API_TOKEN_FILE", "RS_AUTH_KEY_FILE"])
    @pytest.mark.parametrize("path", ["", "a\0b"])
    def test_a_path_that_is_none_is_refused(self, twin: str, path: str) -> None:
        """No file can have this path."""
        with pytest.raises(ConfigurationError, match=twin):
            Bootstrap.read({twin: path}, disable_auth=False)


class TestKey:
    """RS_AUTH_KEY, or the file that RS_AUTH_KEY_FILE names, replaces the key file."""

    async def test_without_it_the_key_is_in_the_folder(self, tmp_path: Path) -> None:
        """64 hexadecimal digits, random."""
        for name in ("one", "two"):
            async with started(tmp_path / name, {"RS_API_TOKEN": OLD}):
                pass
        keys = [(tmp_path / name / "auth.key").read_text().strip() for name in ("one", "two")]
        assert [len(bytes.fromhex(key)) for key in keys] == [32, 32]
        assert keys[0] != keys[1]

    @pytest.mark.parametrize("in_file", [False, True])
    async def test_it_is_used_and_not_written(self, tmp_path: Path, in_file: bool) -> None:
        """No key file is made, and the same key opens the registry again."""
        file = tmp_path / "key"
        file.write_text(HEX_KEY + "\n")
        given = {"RS_AUTH_KEY_FILE": str(file)} if in_file else {"RS_AUTH_KEY": HEX_KEY}
        async with serving(tmp_path / "data", {"RS_API_TOKEN": OLD, **given}) as client:
            assert await client.status(OLD) == 200
        assert not (tmp_path / "data" / "auth" / "auth.key").exists()
        found = [path.name for path in (tmp_path / "data").rglob("*") if path.is_file()]
        assert "auth.db" in found
        assert not any(
            HEX_KEY.encode() in path.read_bytes() or bytes.fromhex(HEX_KEY) in path.read_bytes()
            for path in (tmp_path / "data").rglob("*")
            if path.is_file()
        )
        async with serving(tmp_path / "data", {"RS_API_TOKEN": OLD, "RS_AUTH_KEY": HEX_KEY}) as client:
            assert await client.status(OLD) == 200

    async def test_another_key_is_refused(self, tmp_path: Path) -> None:
        """A wrong key does not make every value unknown: the start is refused, and the right one still works."""
        async with serving(tmp_path, {"RS_INIT_API_TOKEN": OLD, "RS_AUTH_KEY": HEX_KEY}):
            pass
        before = (tmp_path / "auth" / "auth.db").read_bytes()
        (fault,) = await refusal_of(tmp_path, {"RS_API_TOKEN": OLD, "RS_AUTH_KEY": OTHER_HEX_KEY})
        assert "RS_AUTH_KEY" in fault
        assert OTHER_HEX_KEY not in fault
        assert (tmp_path / "auth" / "auth.db").read_bytes() == before
        async with serving(tmp_path, {"RS_AUTH_KEY": HEX_KEY}) as client:
            assert await client.status(OLD) == 200

    async def test_a_registry_made_with_it_does_not_start_without_it(self, tmp_path: Path) -> None:
        """Nothing is made afresh where a key is missing."""
        async with serving(tmp_path, {"RS_INIT_API_TOKEN": OLD, "RS_AUTH_KEY": HEX_KEY}):
            pass
        (fault,) = await refusal_of(tmp_path, {"RS_API_TOKEN": OLD})
        assert "RS_AUTH_KEY" in fault
        assert not (tmp_path / "auth" / "auth.key").exists()

    async def test_it_does_not_open_a_registry_with_a_key_file_of_another_key(self, tmp_path: Path) -> None:
        """A registry that has its own key file is not rekeyed by a variable."""
        async with serving(tmp_path, {"RS_INIT_API_TOKEN": OLD}):
            pass
        (fault,) = await refusal_of(tmp_path, {"RS_AUTH_KEY": OTHER_HEX_KEY})
        assert "RS_AUTH_KEY" in fault
        async with serving(tmp_path, {}) as client:
            assert await client.status(OLD) == 200

    @pytest.mark.parametrize("text", ["", " ", "0123", HEX_KEY + "0", HEX_KEY[:-1] + "g", HEX_KEY + " "])
    def test_what_is_no_key_is_refused(self, tmp_path: Path, text: str) -> None:
        """In the variable and in its file; the message does not show what was there."""
        file = tmp_path / "key"
        file.write_text(text)
        right = "not a registry key; it must be exactly 64 hexadecimal digits (32 bytes)"
        for variable, given in (("RS_AUTH_KEY", text), ("RS_AUTH_KEY_FILE", str(file))):
            with pytest.raises(ConfigurationError) as refusal:
                Bootstrap.read({variable: given}, disable_auth=False)
            assert refusal.value.faults == (f"{variable}: {right}",)


def is_in_folder(text: str, folder: Path) -> bool:
    """Search a folder's files from another process: opening them here would drop SQLite's locks."""
    found = subprocess.run(
        ["grep", "--recursive", "--quiet", "--fixed-strings", "--text", text, folder], check=False
    )
    assert found.returncode in {0, 1}
    return found.returncode == 0


class TestSilence:
    """A value goes from the environment into a digest, and is seen nowhere else."""

    @pytest.mark.parametrize("variable", ["RS_API_TOKEN", "RS_INIT_API_TOKEN"])
    async def test_it_is_in_no_file_and_no_log(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, variable: str
    ) -> None:
        """Neither while the server runs, nor after it, nor after a restart with another value."""
        caplog.set_level(logging.DEBUG)
        minted = ""
        for value in (OLD, NEW):
            async with serving(tmp_path, {variable: value, "RS_AUTH_KEY": HEX_KEY}) as client:
                using = value if variable == "RS_API_TOKEN" else OLD
                status, answer = await client.ask(
                    "POST", f"/tokens/for-{value[:3]}", using, {"read": ["data"]}
                )
                assert status == 200
                minted = answer["value"]
                await client.ask("POST", "/tokens/bad name", using, {"read": [using]})
                await client.status(minted)
                assert is_in_folder("init-token", tmp_path)
                assert [is_in_folder(text, tmp_path) for text in (OLD, NEW, minted, HEX_KEY)] == [False] * 4
        assert [is_in_folder(text, tmp_path) for text in (OLD, NEW, minted, HEX_KEY)] == [False] * 4
        assert "authentication is on" in caplog.text
        assert [text in caplog.text for text in (OLD, NEW, minted, HEX_KEY)] == [False] * 4

    def test_the_secrets_of_the_environment_are_not_shown(self) -> None:
        """`Bootstrap` shows that it is one, and the id of the key."""
        for environ in ({"RS_API_TOKEN": OLD}, {"RS_INIT_API_TOKEN": OLD}):
            secrets = Bootstrap.read({**environ, "RS_AUTH_KEY": HEX_KEY}, disable_auth=False)
            for text in (repr(secrets), str(secrets), f"{secrets}", repr([secrets])):
                assert text.strip("[]").startswith("Bootstrap(")
                assert OLD not in text
                assert HEX_KEY not in text
                assert repr(bytes.fromhex(HEX_KEY)) not in text

    def test_the_secrets_of_the_environment_are_not_copied(self) -> None:
        """`Bootstrap` is neither pickled, whatever the protocol, nor copied: the copy would hold the values."""
        secrets = Bootstrap.read({"RS_API_TOKEN": OLD, "RS_AUTH_KEY": HEX_KEY}, disable_auth=False)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match=r"^secrets are not pickled$"):
                pickle.dumps(secrets, protocol)
        for duplicate in (copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=r"^secrets are not pickled$"):
                duplicate(secrets)

    async def test_nothing_that_runs_shows_a_value(self, tmp_path: Path) -> None:
        """Registry, store, authenticator, identity, token and a new value: none shows what it knows."""
        async with started(tmp_path / "auth", {"RS_API_TOKEN": OLD, "RS_AUTH_KEY": HEX_KEY}) as running:
            minted = await running.registry.create(Actor.environment(), "robot", TokenDraft(permissions=FULL))
            authenticator = Authenticator(running.store, running.store.key)
            identity = await authenticator.authenticate(OLD, "10.0.0.1", system_clock()())
            assert isinstance(identity, Identity)
            assert minted.value.startswith("robot-rsat1")
            shown = [
                repr(thing)
                for thing in (
                    minted,
                    authenticator,
                    identity,
                    identity.token,
                    Actor.of(identity),
                    running.registry,
                    running.store,
                    running.store.key,
                    await running.registry.tokens(),
                    *(vars(authenticator), vars(running.registry), vars(running.store)),
                )
            ]
            shown += [str(minted), f"{minted}", str(dataclasses.asdict(identity))]
            for secret in (OLD, minted.value, HEX_KEY, repr(bytes.fromhex(HEX_KEY))[2:-1]):
                assert [text for text in shown if secret in text] == []

    async def test_the_running_application_shows_no_value(self, tmp_path: Path) -> None:
        """What the module leaves on an application can be printed."""
        app = web.Application()
        environ = {"RS_API_TOKEN": OLD, "RS_AUTH_KEY": HEX_KEY}
        setup(app, Settings(data_path=tmp_path), environ=environ)
        async with TestClient(TestServer(app)):
            shown = repr(app[AUTH]) + repr(dict(app.items())) + repr(Settings(data_path=tmp_path))
        assert "reductauth" in shown
        assert OLD not in shown
        assert HEX_KEY not in shown
