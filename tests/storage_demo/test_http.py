"""What holds for every answer: headers, CORS, HEAD, TLS, and a stop that lets requests finish."""

from __future__ import annotations

import asyncio
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout, TCPConnector

from tests.forked import forked, refused
from tests.servers import ROOT_VALUE, serving

ROOT = {"Authorization": f"Bearer {ROOT_VALUE}"}
TOKEN = {"RS_API_TOKEN": ROOT_VALUE}
VARY = "origin, access-control-request-method, access-control-request-headers"
LISTED, OTHER = "https://console.example.com", "https://evil.example.com"

# Answers of every kind: method, path, status.
ANSWERS = [
    ("GET", "/api/v1/alive", 200),
    ("GET", "/api/v1/info", 401),
    ("GET", "/api/v1/b/none", 401),
    ("POST", "/api/v1/info", 405),
    ("GET", "/nowhere", 404),
    ("HEAD", "/api/v1/info", 401),
    ("OPTIONS", "/api/v1/tokens/x", 200),
    ("OPTIONS", "/nowhere", 200),
]


@pytest.mark.parametrize(
    ("setting", "origin", "allowed"),
    [
        ("", LISTED, None),
        (LISTED, LISTED, LISTED),
        (f" {OTHER}x , {LISTED} ", LISTED, LISTED),
        (LISTED, OTHER, None),
        (LISTED, LISTED.upper(), None),
        (LISTED, None, None),
        ("*", OTHER, "*"),
        ("*", None, "*"),
    ],
)
async def test_cross_origin_requests(
    tmp_path: Path, setting: str, origin: str | None, allowed: str | None
) -> None:
    """A listed origin is named, any other is served without being named; no credentials are allowed along."""
    headers = {} if origin is None else {"Origin": origin}
    with forked(tmp_path, {**TOKEN, "RS_CORS_ALLOW_ORIGIN": setting}) as server:
        async with ClientSession(server.url, headers=headers) as session:
            for method, path, status in ANSWERS:
                async with session.request(method, path) as response:
                    assert response.status == status
                    assert response.headers.get("access-control-allow-origin") == allowed
                    assert response.headers["vary"] == VARY
                    preflight = (
                        response.headers.get("access-control-allow-methods"),
                        response.headers.get("access-control-allow-headers"),
                    )
                    assert preflight == (("*", "*") if method == "OPTIONS" else (None, None))
                    assert response.headers.get("access-control-expose-headers") == (
                        None if method == "OPTIONS" else "*"
                    )
                    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize(
    "setting", ["console.example.com", "https://a.example.com/path", "https://a b", "**"]
)
def test_origins_that_are_refused(tmp_path: Path, setting: str) -> None:
    """What no browser would ever send is no origin."""
    log = refused(tmp_path, {**TOKEN, "RS_CORS_ALLOW_ORIGIN": setting})
    assert f"RS_CORS_ALLOW_ORIGIN={setting!r}: must be origins such as" in log


async def test_head_has_the_headers_of_get(tmp_path: Path) -> None:
    """The real length and no body, on every route that has both."""
    with forked(tmp_path, TOKEN) as server:
        async with ClientSession(server.url, headers=ROOT) as session:
            async with session.post("/api/v1/b/home"), session.post("/api/v1/b/home/e?ts=1", data=b"12345"):
                pass
            for path in (
                "info",
                "list",
                "me",
                "tokens?sort=name",
                "tokens/init-token",
                "b/home/e?ts=1",
                "replications",
                "alive",
            ):
                async with session.get(f"/api/v1/{path}") as get, session.head(f"/api/v1/{path}") as head:
                    body = await get.read()
                    assert head.status == get.status == 200
                    assert head.headers["content-length"] == str(len(body))
                    assert head.headers.get("content-type") == get.headers.get("content-type")
                    assert await head.read() == b""


async def test_a_stop_lets_requests_finish(tmp_path: Path) -> None:
    """After SIGTERM nobody new is let in, an upload that is under way is kept and answered, and the exit is clean."""
    told_to_stop = asyncio.Event()

    async def upload() -> AsyncIterator[bytes]:
        yield b"x" * 600_000
        await told_to_stop.wait()
        yield b"y" * 600_000

    headers = {**ROOT, "x-reduct-content-length": "1200000"}
    with serving(tmp_path, TOKEN) as server:
        async with ClientSession(server.url, timeout=ClientTimeout(20)) as session:
            async with session.post("/api/v1/b/home", headers=ROOT) as made:
                assert made.status == 200
            uploading = asyncio.create_task(
                session.post("/api/v1/b/home/e?ts=1", data=upload(), headers=headers)
            )
            async with asyncio.timeout(5):
                while not list((tmp_path / "data" / "storage" / "contents").iterdir()):
                    await asyncio.sleep(0.01)
            server.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                while "stopping" not in server.log:
                    await asyncio.sleep(0.01)
            async with ClientSession(server.url) as stranger:
                with pytest.raises(ClientConnectorError):
                    await stranger.get("/api/v1/alive")
            told_to_stop.set()
            async with await uploading as response:
                assert response.status == 200
        assert server.process.wait(20) == 0
    with forked(tmp_path, TOKEN) as again:
        async with (
            ClientSession(again.url, headers=ROOT) as session,
            session.get("/api/v1/b/home/e") as response,
        ):
            assert await response.read() == b"x" * 600_000 + b"y" * 600_000


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    chain, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    places = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(chain)]
    subprocess.run([*command.split(), *places], check=True, capture_output=True)
    return chain, key


async def test_tls(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """With a certificate and its key the server speaks HTTPS, and only that."""
    chain, key = certificate
    environ = {**TOKEN, "RS_CERT_PATH": str(chain), "RS_CERT_KEY_PATH": str(key)}
    with forked(tmp_path, environ) as server:
        assert "tls=on" in server.log
        trusting = ssl.create_default_context(cafile=chain)
        url = server.url.replace("http:", "https:")
        connector = TCPConnector(ssl=trusting)
        async with (
            ClientSession(url, headers=ROOT, connector=connector) as session,
            session.get("/api/v1/me") as response,
        ):
            assert (response.status, (await response.json())["name"]) == (200, "init-token")
        async with ClientSession(server.url) as session:
            with pytest.raises(ClientError):
                await session.get("/api/v1/alive")


def test_certificates_that_are_refused(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """Half a pair, files that are not there, and files that hold something else."""
    chain, key = (str(path) for path in certificate)
    missing = str(tmp_path / "missing.pem")
    for given in ({"RS_CERT_PATH": chain}, {"RS_CERT_KEY_PATH": key}):
        assert "set both for HTTPS, or none for HTTP" in refused(tmp_path, {**TOKEN, **given})
    for pair in ((missing, key), (chain, missing), (key, chain), (key, key)):
        log = refused(tmp_path, {**TOKEN, "RS_CERT_PATH": pair[0], "RS_CERT_KEY_PATH": pair[1]})
        assert "can't be loaded" in log
        assert "Traceback" not in log
