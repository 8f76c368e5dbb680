"""`python -m reductauth routes module:factory`, and the console command, as a user types them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
    return subprocess.run(
        [sys.executable, "-m", "reductauth", "routes", *arguments],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


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
    golden = Path(__file__).parents[1] / "storage_demo" / "routes.golden"
    found = routes(tmp_path, "storage_demo.app:create_app")
    assert (found.returncode, found.stdout) == (0, golden.read_text("utf-8"))
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
