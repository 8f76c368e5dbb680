"""The demo's metrics page: there when a setting says so, for a token that can do nothing else."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from reductauth import ConfigurationError
from storage_demo.app import build_app
from storage_demo.settings import ServerSettings
from tests.reductauth.web.conftest import Caller
from tests.servers import ROOT_VALUE


@pytest.mark.parametrize(
    ("variables", "path", "status"),
    [
        ({}, "/metrics", 404),
        ({"RS_METRICS": "false"}, "/metrics", 404),
        ({"RS_METRICS": "true"}, "/metrics", 200),
        ({"RS_METRICS": "true", "RS_API_BASE_PATH": "/storage"}, "/storage/metrics", 200),
        ({"RS_METRICS": "true", "RS_API_BASE_PATH": "/storage"}, "/metrics", 404),
    ],
)
async def test_the_setting(tmp_path: Path, variables: dict[str, str], path: str, status: int) -> None:
    """No page by default; with the setting one below the prefix of every route."""
    environ = {"RS_API_TOKEN": ROOT_VALUE, "RS_DATA_PATH": str(tmp_path), **variables}
    app = build_app(ServerSettings.from_environment(environ), environ)
    async with TestClient(TestServer(app)) as client:
        assert (await Caller(client, ROOT_VALUE)("GET", path)).status == status


async def test_a_token_for_the_page_alone(tmp_path: Path) -> None:
    """It reads the page and nothing else; nobody can make a bucket of that name."""
    environ = {"RS_API_TOKEN": ROOT_VALUE, "RS_DATA_PATH": str(tmp_path), "RS_METRICS": "true"}
    app = build_app(ServerSettings.from_environment(environ), environ)
    async with TestClient(TestServer(app)) as client:
        root = Caller(client, ROOT_VALUE)
        assert (await root("POST", "/api/v1/b/weather")).status == 200
        assert (await root("POST", "/api/v1/b/$metrics")).status == 422
        scraper = await root.make("scraper", read=["$metrics"])
        response = await scraper("GET", "/metrics")
        assert response.headers["x-reduct-api"] == "1.21"
        assert "reductauth_decisions_total{" in await response.text()
        assert (await scraper("GET", "/api/v1/b/weather")).status == 403
        assert (await scraper("GET", "/api/v1/tokens")).status == 403


def test_without_the_extra_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not start without what it was asked for, and says what to install."""
    find_spec = util.find_spec
    monkeypatch.setattr(
        "storage_demo.settings.find_spec",
        lambda name: None if name == "prometheus_client" else find_spec(name),
    )
    ServerSettings.from_environment({"RS_METRICS": "false"})
    with pytest.raises(ConfigurationError) as refusal:
        ServerSettings.from_environment({"RS_METRICS": "true"})
    assert refusal.value.faults == (
        "RS_METRICS='true': must be false, or true where prometheus-client is installed: "
        "pip install 'reductauth[metrics]'",
    )
