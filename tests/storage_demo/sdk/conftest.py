"""One server for each file of tests, and a bucket for each test."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection
from itertools import count

import pytest
from reduct import Client
from reduct.bucket import Bucket
from yarl import URL

from tests.forked import forked
from tests.servers import ROOT_VALUE, ServerProcess
from tests.storage_demo.sdk.client import client

_NUMBERS = count(1)


def announced(server: ServerProcess) -> str | None:
    """The version by which both SDKs choose their protocols."""
    url = URL(server.url)
    connection = HTTPConnection(str(url.host), url.port or 0, timeout=10)
    connection.request("GET", "/api/v1/alive")
    version = connection.getresponse().headers["x-reduct-api"]
    connection.close()
    return version


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that speaks all that the SDKs do."""
    with forked(tmp_path_factory.mktemp("server")) as process:
        version = announced(process)
        if version != "1.21":
            pytest.fail(f"the server announces {version}: the SDKs would not use what is tested here")
        yield process


@pytest.fixture
async def root(server: ServerProcess) -> Client:
    """Full access."""
    full = client(server, ROOT_VALUE)
    await full.info()
    return full


@pytest.fixture
async def bucket(root: Client, request: pytest.FixtureRequest) -> Bucket:
    """A bucket of the test's own, seen with full access."""
    subject = request.node.originalname.removeprefix("test_").replace("_", "-")
    return await root.create_bucket(f"{subject}-{next(_NUMBERS)}")
