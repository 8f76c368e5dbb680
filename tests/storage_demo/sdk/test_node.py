"""The JavaScript SDK on Node.js: each file of node/ is a tour of its own, told in that language."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import ROOT_VALUE, ServerProcess

FOLDER = Path(__file__).parent / "node"
LOCK = FOLDER / "package-lock.json"
TOURS = sorted(path.stem for path in FOLDER.glob("*.mjs") if path.stem != "client")
PATIENCE_SECONDS = 300


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with the SDK installed as the lock file says: once, until the lock file changes."""
    command, npm = shutil.which("node"), shutil.which("npm")
    if command is None or npm is None:
        pytest.skip("there is no Node.js with npm here (Debian's packages: nodejs, npm)")
    installed = FOLDER / "node_modules" / ".installed"
    with (FOLDER / "package.json").open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # other processes of the same run want it, too
        if not (installed.exists() and installed.read_bytes() == LOCK.read_bytes()):
            done = subprocess.run(
                [npm, "ci", "--omit=dev"],
                cwd=FOLDER,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
            if done.returncode != 0:
                pytest.fail(f"npm could not install the SDK; does it reach its registry?\n{done.stdout}")
            installed.write_bytes(LOCK.read_bytes())
    return command


@pytest.mark.parametrize("tour", TOURS)
def test_tour(server: ServerProcess, node: str, tour: str) -> None:
    """The file's tests pass, and there are as many as it says."""
    done = subprocess.run(
        [node, "--test-reporter=tap", f"{tour}.mjs", server.url, ROOT_VALUE],
        cwd=FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    counted = dict(re.findall(r"^# (tests|pass|fail|skipped|todo) (\d+)$", done.stdout, re.MULTILINE))
    assert int(counted["tests"]) > 0
    assert counted == {
        "tests": counted["tests"],
        "pass": counted["tests"],
        "fail": "0",
        "skipped": "0",
        "todo": "0",
    }


def test_the_lock_file_names_no_place() -> None:
    """Every package is known by version and digest; from where is the business of those who install it."""
    packages = json.loads(LOCK.read_text("utf-8"))["packages"]
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert name == "" or package["integrity"].startswith("sha512-"), name
