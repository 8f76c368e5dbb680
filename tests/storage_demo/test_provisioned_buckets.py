"""Declared buckets: what a declaration may say, what a start makes of it, and what the API then refuses."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from reductauth import ConfigurationError
from reductauth.actor import Actor
from reductauth.configuration import Configuration
from reductauth.registry import TokenRegistry
from reductauth.store import IntentKind
from reductauth.web import AUTH
from storage_demo.api.keys import ENGINE
from storage_demo.app import build_app
from storage_demo.engine import BucketSettings, Engine, ProvisionedBucketError, QuotaType, SettingsChange
from storage_demo.provisioning import declared_buckets
from storage_demo.settings import ServerSettings
from tests.reductauth.web.conftest import Caller
from tests.servers import ROOT_VALUE, serving, start_refused

DEFAULTS = {"quota_type": "NONE", "quota_size": 0, "max_block_size": 64_000_000, "max_block_records": 1024}
WEATHER = {"RS_BUCKET_A_NAME": "weather", "RS_BUCKET_A_QUOTA_TYPE": "FIFO", "RS_BUCKET_A_QUOTA_SIZE": "1000"}


@contextlib.asynccontextmanager
async def served(
    data: Path, environ: Mapping[str, str], file: Path | None = None, *, token: str = ROOT_VALUE
) -> AsyncIterator[Caller]:
    """Run a server on a data folder until the block is left; the caller has full access."""
    secrets = {} if environ.get("RS_DISABLE_AUTH") else {"RS_API_TOKEN": ROOT_VALUE}
    configuration = Configuration.read({"RS_DATA_PATH": str(data), **secrets, **environ}, file)
    app = build_app(ServerSettings.of(configuration), configuration)
    async with TestClient(TestServer(app)) as client:
        yield Caller(client, token)


async def page(caller: Caller, bucket: str) -> tuple[bool, Any]:
    """Return whether a bucket is provisioned, and its settings."""
    response = await caller("GET", f"/api/v1/b/{bucket}")
    assert response.status == 200
    shown = await response.json()
    return shown["info"]["is_provisioned"], shown["settings"]


async def refusal(caller: Caller, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """Return status and message."""
    response = await caller(method, f"/api/v1/b/{path}", body)
    return response.status, response.headers["x-reduct-error"]


class TestDeclaration:
    """What a declaration may say."""

    def test_both_places(self, tmp_path: Path) -> None:
        """Environment and file are read by one schema; what is not given has a new bucket's default."""
        file = tmp_path / "storage.yaml"
        file.write_text(
            "buckets:\n"
            "  weather: {quota_type: HARD}\n"
            "  logs: {quota_type: HARD, quota_size: 5, max_block_size: 6, max_block_records: 7}\n"
            "  plain:\n"
        )
        faults: list[str] = []
        assert declared_buckets(Configuration.read(WEATHER, file), faults) == {
            "weather": BucketSettings(QuotaType.FIFO, 1000),
            "logs": BucketSettings(QuotaType.HARD, 5, 6, 7),
            "plain": BucketSettings(),
        }
        assert faults == []

    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            (
                {"RS_BUCKET_A_NAME": "a b"},
                "RS_BUCKET_A: 'a b' can't be a bucket's name; it can contain only letters",
            ),
            ({"RS_BUCKET_A_NAME": "$system"}, "RS_BUCKET_A: '$system' can't be a bucket's name"),
            ({"RS_BUCKET_A_NAME": ""}, "RS_BUCKET_A: needs the bucket's name in RS_BUCKET_A_NAME"),
            ({"RS_BUCKET_A_QUOTA_SIZE": "1"}, "RS_BUCKET_A: needs the bucket's name in RS_BUCKET_A_NAME"),
            (
                {"RS_BUCKET_A_SIZE": "1"},
                "RS_BUCKET_A_SIZE: is not a variable of a declared bucket; it must be",
            ),
            (
                WEATHER | {"RS_BUCKET_B_NAME": "weather"},
                "RS_BUCKET_A and RS_BUCKET_B both declare bucket 'weather'",
            ),
            (
                WEATHER | {"RS_BUCKET_A_QUOTA_TYPE": "fifo"},
                "RS_BUCKET_A_QUOTA_TYPE='fifo': must be NONE, FIFO or HARD",
            ),
            (
                WEATHER | {"RS_BUCKET_A_QUOTA_SIZE": "-1"},
                "RS_BUCKET_A_QUOTA_SIZE='-1': must be a whole number from 0",
            ),
            (
                WEATHER | {"RS_BUCKET_A_QUOTA_SIZE": "1G"},
                "RS_BUCKET_A_QUOTA_SIZE='1G': must be a whole number",
            ),
            (
                WEATHER | {"RS_BUCKET_A_QUOTA_SIZE": str(2**63)},
                "RS_BUCKET_A_QUOTA_SIZE='9223372036854775808': must",
            ),
            (
                WEATHER | {"RS_BUCKET_A_MAX_BLOCK_SIZE": "0"},
                "RS_BUCKET_A_MAX_BLOCK_SIZE='0': must be a whole number",
            ),
            (
                WEATHER | {"RS_BUCKET_A_MAX_BLOCK_RECORDS": ""},
                "RS_BUCKET_A_MAX_BLOCK_RECORDS='': must be a whole",
            ),
        ],
    )
    def test_what_is_refused(self, environ: dict[str, str], expected: str) -> None:
        """One fault, one line, by settings and by the application alike."""
        with pytest.raises(ConfigurationError) as refused:
            ServerSettings.from_environment(environ)
        (fault,) = refused.value.faults
        assert fault.startswith(expected)
        with pytest.raises(ConfigurationError) as refused:
            build_app(ServerSettings(), environ)
        assert refused.value.faults == (fault,)

    def test_variables_are_known(self) -> None:
        """Well-formed ones are not reported as misspelled."""
        assert ServerSettings.unknown_variables([*WEATHER, "RS_BUCKET_A_COLOUR", "RS_BUCKETS"]) == [
            "RS_BUCKETS",
            "RS_BUCKET_A_COLOUR",
        ]


class TestStart:
    """What a start makes of declarations, as clients see it."""

    async def test_a_declared_bucket_is_made(self, tmp_path: Path) -> None:
        """With its settings; it is shown provisioned, and can be used."""
        async with served(tmp_path, WEATHER) as root:
            assert await page(root, "weather") == (
                True,
                {**DEFAULTS, "quota_type": "FIFO", "quota_size": 1000},
            )
            assert (await root("POST", "/api/v1/b/weather/e?ts=1", "x")).status == 200
            listed = await (await root("GET", "/api/v1/list")).json()
            assert [(one["name"], one["is_provisioned"]) for one in listed["buckets"]] == [("weather", True)]
            assert await refusal(root, "POST", "weather") == (409, "Bucket 'weather' already exists")

    async def test_it_is_changed_where_it_is_declared(self, tmp_path: Path) -> None:
        """409 in the protocol's words; nothing is changed, and grants on it go on working."""
        async with served(tmp_path, WEATHER) as root:
            await root("POST", "/api/v1/b/own")
            reader = await root.make("reader", '{"read": ["weather", "own"]}')
            before = await page(root, "weather")
            for body in (None, "{}", '{"quota_size": 1}'):
                assert await refusal(root, "PUT", "weather", body) == (
                    409,
                    "Can't change settings of provisioned bucket 'weather'",
                )
            assert await refusal(root, "PUT", "weather/rename", '{"new_name": "new"}') == (
                409,
                "Can't rename provisioned bucket 'weather'",
            )
            assert await refusal(root, "DELETE", "weather") == (
                409,
                "Can't remove provisioned bucket 'weather'",
            )
            assert await refusal(root, "PUT", "own/rename", '{"new_name": "weather"}') == (
                409,
                "Bucket 'weather' already exists",
            )
            assert (await refusal(root, "PUT", "weather/rename", '{"new_name": "a b"}'))[0] == 422
            assert (await refusal(root, "PUT", "weather", "nonsense"))[0] == 422
            assert await page(root, "weather") == before
            for name in ("weather", "own"):
                assert (await reader("GET", f"/api/v1/b/{name}")).status == 200

    async def test_nobody_else_learns_that_it_is_provisioned(self, tmp_path: Path) -> None:
        """Permission comes first: 401 and 403 as for every bucket."""
        async with served(tmp_path, WEATHER) as root:
            reader = await root.make("reader", '{"read": ["*"], "write": ["*"]}')
            for caller, status in ((reader, 403), (root.using(None), 401)):
                for method, path in (("PUT", "weather"), ("DELETE", "weather"), ("PUT", "weather/rename")):
                    assert (await refusal(caller, method, path, '{"new_name": "x"}'))[0] == status

    async def test_grants_are_not_suspended_by_a_refusal(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is refused never states an intent, which would suspend the grants on the bucket for a while."""
        async with served(tmp_path, WEATHER) as root:
            for name in ("removing_bucket", "renaming_bucket"):
                monkeypatch.setattr(TokenRegistry, name, None)
            assert (await refusal(root, "DELETE", "weather"))[0] == 409
            assert (await refusal(root, "PUT", "weather/rename", '{"new_name": "new"}'))[0] == 409

    async def test_it_is_brought_in_line(self, tmp_path: Path) -> None:
        """A bucket that was made by hand, and one that is declared differently; records stay."""
        async with served(tmp_path, {}) as root:
            await root("POST", "/api/v1/b/weather", '{"max_block_records": 5}')
            await root("POST", "/api/v1/b/weather/e?ts=1", "kept")
        async with served(tmp_path, WEATHER) as root:
            assert await page(root, "weather") == (
                True,
                {**DEFAULTS, "quota_type": "FIFO", "quota_size": 1000},
            )
        async with served(tmp_path, {"RS_BUCKET_B_NAME": "weather"}) as root:
            assert await page(root, "weather") == (True, DEFAULTS)
            assert await (await root("GET", "/api/v1/b/weather/e")).text() == "kept"

    async def test_declared_no_longer(self, tmp_path: Path) -> None:
        """It keeps settings and records, and is a bucket like any other."""
        async with served(tmp_path, WEATHER) as root:
            await root("POST", "/api/v1/b/weather/e?ts=1", "kept")
        async with served(tmp_path, {"RS_BUCKET_A_NAME": "other"}) as root:
            assert await page(root, "weather") == (
                False,
                {**DEFAULTS, "quota_type": "FIFO", "quota_size": 1000},
            )
            assert (await page(root, "other"))[0] is True
            assert await (await root("GET", "/api/v1/b/weather/e")).text() == "kept"
            assert (await root("PUT", "/api/v1/b/weather", '{"quota_size": 2000}')).status == 200
            assert (await root("PUT", "/api/v1/b/weather/rename", '{"new_name": "new"}')).status == 200
            assert (await root("DELETE", "/api/v1/b/new")).status == 200

    async def test_without_authentication(self, tmp_path: Path) -> None:
        """Buckets can be declared all the same."""
        async with served(tmp_path, WEATHER | {"RS_DISABLE_AUTH": "true"}, token="") as anybody:
            assert await refusal(anybody.using(None), "DELETE", "weather") == (
                409,
                "Can't remove provisioned bucket 'weather'",
            )

    async def test_an_old_bucket_of_the_name_is_settled_first(self, tmp_path: Path) -> None:
        """A removal that a crash cut short ends the grants on the old bucket: they don't open the declared one."""
        async with served(tmp_path, {}) as root:
            await root("POST", "/api/v1/b/weather")
            reader = await root.make("reader", '{"read": ["weather"]}')
            app = root.client.app
            assert app is not None
            store = app[AUTH].registry._store  # type: ignore[union-attr] # a registry that is open
            await store.change(
                lambda transaction: transaction.add_bucket_intent(IntentKind.REMOVE, "weather", None, 1)
            )
            await app[ENGINE].remove_bucket("weather")
        async with served(tmp_path, WEATHER) as root:
            assert (await root("GET", "/api/v1/b/weather")).status == 200
            assert (await root.using(reader.value)("GET", "/api/v1/b/weather")).status == 403

    async def test_a_removal_under_way_elsewhere(self, tmp_path: Path) -> None:
        """Another process is at work on the bucket: the start is refused, and nothing is made."""
        async with served(tmp_path, {}) as root:
            app = root.client.app
            assert app is not None
            registry = app[AUTH].registry
            await root("POST", "/api/v1/b/weather")
            async with registry.removing_bucket(Actor.environment(), "weather"):
                await app[ENGINE].remove_bucket("weather")
                environ = {"RS_DATA_PATH": str(tmp_path), "RS_API_TOKEN": ROOT_VALUE, **WEATHER}
                runner = web.AppRunner(build_app(ServerSettings.from_environment(environ), environ))
                with pytest.raises(
                    ConfigurationError, match="'weather' is being renamed or removed; start again"
                ):
                    await runner.setup()
                await runner.cleanup()
                assert await app[ENGINE].bucket_names() == frozenset()


async def test_the_engine_refuses_by_itself(tmp_path: Path) -> None:
    """Inside the change, whatever was checked before; the sign is kept on disk."""
    engine = await Engine.open(tmp_path)
    assert await engine.provision_buckets({"a": BucketSettings()}) == ["bucket provisioned name=a"]
    await engine.close()
    engine = await Engine.open(tmp_path)
    try:
        with pytest.raises(ProvisionedBucketError):
            await engine.change_settings("a", SettingsChange(quota_size=1))
        with pytest.raises(ProvisionedBucketError):
            await engine.rename_bucket("a", "b")
        with pytest.raises(ProvisionedBucketError):
            await engine.remove_bucket("a")
        assert await engine.provision_buckets({"a": BucketSettings()}) == []
        assert await engine.provision_buckets({}) == ["bucket released name=a: no longer declared"]
        await engine.remove_bucket("a")
    finally:
        await engine.close()


class TestCommand:
    """`--config`, as the server's user types it."""

    @pytest.mark.parametrize("command", ["module", "console"])
    async def test_it_serves(self, tmp_path: Path, command: str) -> None:
        """Settings, the bootstrap value, tokens and buckets of the file; a relative path counts from the folder."""
        value = "value-of-a-declared-token-0123456789"
        (tmp_path / "storage.yaml").write_text(
            f"api_token: {ROOT_VALUE}\ndata_path: kept/here\nlog_level: debug\n"
            f"tokens: {{a: {{value: {value}, permissions: {{read: [weather]}}}}}}\nbuckets: {{weather: }}\n"
        )
        words = ["-m", "storage_demo", "--config", "storage.yaml"]
        if command == "console":
            words = ["-c", "from storage_demo.__main__ import main; main()", "--config", "storage.yaml"]
        with serving(tmp_path, {}, tuple(words)) as server:
            async with ClientSession(server.url) as session:
                headers = {"Authorization": f"Bearer {value}"}
                async with session.get("/api/v1/b/weather", headers=headers) as response:
                    assert response.status == 200
                    assert (await response.json())["info"]["is_provisioned"] is True
            assert server.stop() == 0
        assert "bucket provisioned name=weather" in server.log
        assert "token provisioned name=a" in server.log
        assert [text for text in (value, ROOT_VALUE) if text in server.log] == []
        assert (tmp_path / "kept" / "here" / "auth" / "auth.db").exists()

    def test_every_fault_is_told_at_once(self, tmp_path: Path) -> None:
        """One line for each, of the file as of the environment; nothing is made."""
        (tmp_path / "storage.yaml").write_text(
            "port: x\nprot: 1\ntokens: {a: {role: admin}}\nbuckets: {b: {quota_type: SOME}}\n"
        )
        command = ("-m", "storage_demo", "--config", "storage.yaml")
        log = start_refused(tmp_path, {"RS_BUCKET_C_NAME": "/"}, command)
        for fault in (
            "storage.yaml: port='x': must be a number from 0 to 65535",
            "storage.yaml: prot: is not a known key",
            "storage.yaml: tokens.a: needs exactly one of value, value_file, digest; has none",
            "storage.yaml: buckets.b.quota_type='SOME': must be NONE, FIFO or HARD",
            "RS_BUCKET_C: '/' can't be a bucket's name",
        ):
            assert f" CRITICAL storage_demo can't start: {fault}" in log
        assert "Traceback" not in log
        assert [path.name for path in tmp_path.iterdir()] == ["storage.yaml"]

    def test_a_missing_file(self, tmp_path: Path) -> None:
        """Not passed over."""
        log = start_refused(
            tmp_path, {"RS_API_TOKEN": ROOT_VALUE}, ("-m", "storage_demo", "--config", "no.yaml")
        )
        assert (
            "can't start: no.yaml: can't be read (No such file or directory); it must be a YAML file" in log
        )
