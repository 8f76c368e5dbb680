"""Starting and stopping the server as its user does: what it says, what it refuses, what it leaves behind."""

from __future__ import annotations

import re
import signal
import stat
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession

from storage_demo.settings import ServerSettings
from tests.servers import ROOT_VALUE, serving, start_refused

ROOT = {"Authorization": f"Bearer {ROOT_VALUE}"}
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR|CRITICAL) [a-z_.]+ \S.*")


@pytest.mark.parametrize("command", ["module", "console"])
def test_what_it_says(tmp_path: Path, command: str) -> None:
    """Where it listens, where the data is, whether authentication is on; one line per event; a clean stop."""
    console = str(Path(sys.executable).with_name("storage-demo"))
    words = ("-m", "storage_demo") if command == "module" else (console,)
    with serving(tmp_path, command=words) as server:
        assert server.stop(signal.SIGTERM) == 0
        log = server.log
    assert f"storage is open folder={tmp_path / 'data'}\n" in log
    assert "authentication is on folder=data/auth\n" in log
    assert re.search(r"listening address=127\.0\.0\.1 port=\d+ tls=off\n", log)
    assert log.endswith("reductauth.server stopped\n")
    assert ROOT_VALUE not in log
    for line in log.splitlines():
        assert LINE.fullmatch(line), line


def test_it_opens_as_many_files_as_it_may(tmp_path: Path) -> None:
    """A limit that only stands until somebody asks for more is raised: slow readers of batches hold many files."""
    words = ("-c", f"ulimit -Sn 256 && exec {sys.executable} -m storage_demo")
    with serving(tmp_path, command=words, interpreter="sh") as server:
        limits = Path(f"/proc/{server.pid}/limits").read_text("ascii")
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    soft, hard = line.split()[3:5]
    assert soft == hard != "256"


def test_what_it_leaves_behind(tmp_path: Path) -> None:
    """Data below the folder it was started in; the registry's folder and files are for its user alone."""
    with serving(tmp_path):
        pass
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"auth", "storage"}
    for path in [tmp_path / "data" / "auth", *(tmp_path / "data").glob("auth/*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


async def test_a_bootstrap_value_from_a_file(tmp_path: Path) -> None:
    """As Docker and Kubernetes hand secrets over; the newline at the end is not part of it."""
    (tmp_path / "secret").write_text(ROOT_VALUE + "\n")
    with serving(tmp_path, {"RS_API_TOKEN_FILE": str(tmp_path / "secret")}) as server:
        async with ClientSession(server.url, headers=ROOT) as session, session.get("/api/v1/me") as response:
            assert response.status == 200


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """One line for each, with the value that was given and what would be right; nothing is made."""
    log = start_refused(
        tmp_path,
        {
            "RS_HOST": "not a host",
            "RS_PORT": "65536",
            "RS_DATA_PATH": "",
            "RS_API_BASE_PATH": "storage",
            "RS_INSTANCE_NAME": "a b",
            "RS_TRUSTED_PROXIES": "10.0.0.0/33",
            "RS_LOG_LEVEL": "LOUD",
            "RS_DISABLE_AUTH": "maybe",
            "RS_API_TOKEN": "",
            "RS_INIT_API_TOKEN": "with a space-0123456789-0123456789",
        },
    )
    for fault in (
        "RS_HOST='not a host': must be an IP address or a host name",
        "RS_PORT='65536': must be a number from 0 to 65535",
        "RS_DATA_PATH='': must be a folder's path",
        "RS_API_BASE_PATH='storage': must be a path such as / or /storage",
        "RS_INSTANCE_NAME='a b': must be 1 to 128 of A-Z a-z 0-9 . _ -",
        "RS_TRUSTED_PROXIES='10.0.0.0/33': must be IP addresses or networks in CIDR form, comma separated",
        "RS_LOG_LEVEL='LOUD': must be DEBUG, INFO, WARNING or ERROR",
        "RS_DISABLE_AUTH='maybe': must be true or false",
        "RS_API_TOKEN: is empty; give it a value, or remove the variable",
        "RS_INIT_API_TOKEN: may hold visible ASCII characters only, without spaces",
        "RS_API_TOKEN and RS_INIT_API_TOKEN are both set: keep the one that is meant",
    ):
        assert f" CRITICAL storage_demo can't start: {fault}\n" in log
    assert "with a space-0123456789" not in log
    assert "Traceback" not in log
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "no usable full-access token: set RS_API_TOKEN (or RS_INIT_API_TOKEN for a new registry)"),
        (
            {"RS_API_TOKEN": "x" * 40, "RS_DISABLE_AUTH": "true"},
            "RS_API_TOKEN and RS_DISABLE_AUTH=true are both set",
        ),
        ({"RS_API_TOKEN": "x" * 40, "RS_DATA_PATH": "/proc/nowhere"}, "can't keep data in /proc/nowhere"),
        ({"RS_API_TOKEN": "x" * 40, "RS_HOST": "192.0.2.1"}, "can't listen on 192.0.2.1:8383"),
        (
            {"RS_API_TOKEN": "x" * 40, "RS_HOST": "no.such.host.invalid"},
            "can't listen on no.such.host.invalid:8383",
        ),
    ],
)
def test_starts_that_are_refused(tmp_path: Path, variables: dict[str, str], message: str) -> None:
    """Status 1 and a line that says what to do; no traceback."""
    log = start_refused(tmp_path, variables)
    assert message in log
    assert "Traceback" not in log


def test_an_unknown_variable_is_warned_about(tmp_path: Path) -> None:
    """A misspelled variable would otherwise change nothing, in silence."""
    with serving(tmp_path, {"RS_API_TOKEN": ROOT_VALUE, "RS_PROT": "1"}) as server:
        assert "WARNING reductauth environment variable RS_PROT is unknown: it changes nothing" in server.log


async def test_names_cannot_write_lines_into_the_log(tmp_path: Path) -> None:
    """Whatever a client puts into a path or a body, each event stays one line of printable characters."""
    with serving(tmp_path, {"RS_API_TOKEN": ROOT_VALUE, "RS_LOG_LEVEL": "debug"}) as server:
        async with ClientSession(server.url, headers=ROOT) as session:
            for path in (
                "/api/v1/b/a%0aFORGED",
                "/api/v1/b/%1b[31m%e2%80%a8",
                "/api/v1/tokens/x%0d%0aFORGED",
            ):
                async with session.post(path, data=b"{}") as response:
                    assert response.status == 422
        assert server.stop() == 0
        assert not any(line.startswith("FORGED") for line in server.log.splitlines())
        assert all(character.isprintable() or character == "\n" for character in server.log)


def test_settings_of_the_server() -> None:
    """Defaults as documented; levels in any case; a name for the instance from the machine's."""
    settings = ServerSettings.from_environment({})
    assert (settings.host, settings.port, settings.log_level) == ("127.0.0.1", 8383, "INFO")
    assert str(settings.data_path) == "data"
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", settings.instance_name)
    assert ServerSettings.from_environment({"RS_LOG_LEVEL": "debug"}).log_level == "DEBUG"
