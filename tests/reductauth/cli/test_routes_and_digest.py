"""`python -m reductauth routes module:factory` and `digest`, and the console command, as a user types them."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from reductauth.key import RegistryKey
from tests.forked import run_forked
from tests.reductauth.cli.commands import reductauth
from tests.servers import clean_environment

FACTORIES = """
from aiohttp import web
from reductauth import Anonymous
from reductauth.web import read_bucket, requires

async def bare(request): ...

def guarded():
    app = web.Application()
    app.router.add_get("/b/{name}", requires(read_bucket("name"))(bare), allow_head=False)
    app.router.add_get("/alive", requires(Anonymous())(bare), allow_head=False)
    return app

def unguarded():
    app = web.Application()
    app.router.add_get("/open", bare, allow_head=False)
    return app

def something_else():
    return 5

number = 7
"""


def routes(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "factories.py").write_text(FACTORIES)
    return reductauth(folder, "routes", *arguments)


def test_every_route_and_what_it_demands(tmp_path: Path) -> None:
    """One line per route; the exit status says that all are declared."""
    found = routes(tmp_path, "factories:guarded")
    assert (found.returncode, found.stdout) == (
        0,
        "GET     /alive  anonymous\nGET     /b/{name}  read {name}\n",
    )


def test_an_undeclared_route(tmp_path: Path) -> None:
    """It is listed, named, and the exit status is 1."""
    found = routes(tmp_path, "factories:unguarded")
    assert (found.returncode, found.stdout) == (1, "GET     /open  (no policy)\n")
    assert "GET /open: no policy" in found.stderr


def test_the_demo_needs_no_configuration_to_be_listed(tmp_path: Path) -> None:
    """The reviewed table is what the command prints; nothing is opened for it."""
    golden = Path(__file__).parents[2] / "storage_demo" / "routes.golden"
    found = routes(tmp_path, "storage_demo.app:create_app")
    reviewed = golden.read_text("utf-8").splitlines()
    expected = [line for line in reviewed if "  /metrics  " not in line]  # a page that a setting adds
    assert (found.returncode, found.stdout.splitlines()) == (0, expected)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("factories", "not of the form MODULE:FACTORY"),
        (":guarded", "not of the form MODULE:FACTORY"),
        ("nowhere:guarded", "can't be loaded"),
        ("factories:nothing", "can't be loaded"),
        ("factories:number", "is not a function"),
        ("factories:something_else", "returned int, not an aiohttp application"),
    ],
)
def test_arguments_that_are_refused(tmp_path: Path, argument: str, message: str) -> None:
    """A message, no traceback, status 2."""
    found = routes(tmp_path, argument)
    assert found.returncode == 2
    assert message in found.stderr
    assert "Traceback" not in found.stderr


VALUE = "value-that-was-chosen-by-an-operator"
KEY = RegistryKey.from_hex("0123456789abcdef" * 4, "tests")


def digest(
    folder: Path, text: str | bytes, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    given = text.encode() if isinstance(text, str) else text
    return run_forked(folder, ("-m", "reductauth", "digest", *arguments), variables, given)


def keep_key(data: Path, mode: int = 0o600) -> None:
    """Make a registry's folder with nothing but its key, so that reading anything else would fail."""
    (data / "auth").mkdir(parents=True, mode=0o700)
    (data / "auth" / "auth.key").write_text(KEY.to_hex() + "\n")
    (data / "auth" / "auth.key").chmod(mode)


class TestDigest:
    """`reductauth digest`."""

    @pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
    @pytest.mark.parametrize(
        "source", ["option", "variable", "default", "file", "key", "key file", "key in file"]
    )
    def test_the_digest_of_standard_input(self, tmp_path: Path, ending: str, source: str) -> None:
        """With the key of a folder or of the configuration; its id first, so that a wrong one is noticed."""
        data = tmp_path / ("data" if source == "default" else "elsewhere")
        arguments: list[str] = []
        variables: dict[str, str] = {}
        if "key" in source:
            (tmp_path / "key").write_text(KEY.to_hex() + "\n")
            (tmp_path / "c.yaml").write_text(f"auth_key: {KEY.to_hex()}\n")
            variables = {"key": {"RS_AUTH_KEY": KEY.to_hex()}, "key file": {"RS_AUTH_KEY_FILE": "key"}}.get(
                source, {}
            )
            arguments = ["--config", "c.yaml"] if source == "key in file" else []
        else:
            keep_key(data)
            (tmp_path / "c.yaml").write_text("data_path: elsewhere\ntokens: {a: {role: admin}}\n")
            arguments = {"option": ["--data-path", "elsewhere"], "file": ["--config", "c.yaml"]}.get(
                source, []
            )
            variables = {"RS_DATA_PATH": "elsewhere"} if source == "variable" else {}
        found = digest(tmp_path, VALUE + ending, *arguments, **variables)
        assert found.returncode == 0, found.stderr
        assert found.stdout.decode() == f"{KEY.key_id}:{KEY.digest(VALUE).hex()}\n"
        assert found.stderr == b""

    def test_a_short_value_is_warned_about(self, tmp_path: Path) -> None:
        """On standard error, so that the digest can be taken from standard output."""
        found = digest(tmp_path, "#" * 31, RS_AUTH_KEY=KEY.to_hex())
        assert (found.returncode, found.stdout.decode()) == (
            0,
            f"{KEY.key_id}:{KEY.digest('#' * 31).hex()}\n",
        )
        assert b"shorter than 32 characters" in found.stderr
        assert b"##" not in found.stderr

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "standard input: is empty; it must be the token's value"),
            ("\n", "standard input: is empty; it must be the token's value"),
            (f"{VALUE}\n\n", "standard input: may hold visible ASCII characters only"),
            (f"{VALUE} {VALUE}", "standard input: may hold visible ASCII characters only"),
            (VALUE.encode() + b"\xff", "standard input: may hold visible ASCII characters only"),
            (VALUE * 200, "standard input: is longer than 4096 characters"),
            (
                f"{VALUE}-rsat1{'0' * 49}",
                "standard input: looks like a token of this server, but its checksum",
            ),
        ],
    )
    def test_values_that_are_refused(self, tmp_path: Path, text: str | bytes, message: str) -> None:
        """What the configuration would refuse; nothing of it is shown."""
        found = digest(tmp_path, text, RS_AUTH_KEY=KEY.to_hex())
        assert (found.returncode, found.stdout) == (1, b"")
        assert found.stderr.decode().startswith(message)
        assert VALUE not in found.stderr.decode()
        assert b"Traceback" not in found.stderr

    @pytest.mark.parametrize(
        ("arguments", "variables", "message"),
        [
            (
                ["--data-path", "nowhere"],
                {},
                "nowhere/auth/auth.key: there is no key; name the data folder",
            ),
            (["--data-path", "open"], {}, "open/auth/auth.key: open to group or others (mode 644)"),
            (["--data-path", "linked"], {}, "linked/auth/auth.key: is a symbolic link"),
            ([], {"RS_DATA_PATH": ""}, "RS_DATA_PATH='': must be a folder's path"),
            (["--config", "missing.yaml"], {}, "missing.yaml: can't be read"),
            ([], {"RS_AUTH_KEY": "12"}, "RS_AUTH_KEY: not a registry key"),
            (
                [],
                {"RS_AUTH_KEY": "12", "RS_AUTH_KEY_FILE": "x"},
                "RS_AUTH_KEY and RS_AUTH_KEY_FILE are both set",
            ),
        ],
    )
    def test_keys_that_are_refused(
        self, tmp_path: Path, arguments: list[str], variables: dict[str, str], message: str
    ) -> None:
        """A key that others can read, or none: a message, no digest, and nothing is made."""
        keep_key(tmp_path / "open", 0o644)
        keep_key(tmp_path / "linked")
        (tmp_path / "linked" / "auth" / "auth.key").rename(tmp_path / "key")
        (tmp_path / "linked" / "auth" / "auth.key").symlink_to(tmp_path / "key")
        found = digest(tmp_path, VALUE, *arguments, **variables)
        assert (found.returncode, found.stdout) == (1, b"")
        assert found.stderr.decode().startswith(message)
        assert VALUE not in found.stderr.decode()
        assert not (tmp_path / "nowhere").exists()

    def test_at_a_terminal_it_is_not_shown(self, tmp_path: Path) -> None:
        """It is asked for twice, and what is typed does not appear."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(tmp_path)
            command = [sys.executable, "-m", "reductauth", "digest"]
            os.execve(sys.executable, command, clean_environment(RS_AUTH_KEY=KEY.to_hex()))  # noqa: S606
        shown = b""
        asked = 0
        with contextlib.suppress(OSError):  # how a terminal says that its other end is closed
            while piece := os.read(terminal, 1000):
                shown += piece
                if shown.count(b": ") > asked < 2:
                    asked += 1
                    os.write(terminal, VALUE.encode() + b"\n")
        os.close(terminal)
        assert os.waitpid(child, 0)[1] == 0
        assert f"{KEY.key_id}:{KEY.digest(VALUE).hex()}" in shown.decode()
        assert VALUE not in shown.decode()
