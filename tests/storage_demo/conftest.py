"""The demo's application, served by a real aiohttp server in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from storage_demo.app import build_app
from storage_demo.settings import ServerSettings
from tests.reductauth.web.conftest import Caller
from tests.servers import ROOT_VALUE


@pytest.fixture
async def root(tmp_path: Path) -> AsyncIterator[Caller]:
    """A caller with full access."""
    environ = {"RS_API_TOKEN": ROOT_VALUE, "RS_DATA_PATH": str(tmp_path), "RS_INSTANCE_NAME": "tests"}
    app = build_app(ServerSettings.from_environment(environ), environ)
    async with TestClient(TestServer(app)) as client:
        yield Caller(client, ROOT_VALUE)
