"""`python -m reductauth` as a child process, with nothing in its environment but what a test gives it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import NoneType

from click.testing import CliRunner

from reductauth.cli import main
from tests.forked import run_forked
from tests.servers import ROOT_VALUE


def reductauth(
    folder: Path, *arguments: str, text: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`; `text` is its standard input."""
    done = run_forked(folder, ("-m", "reductauth", *arguments), variables, text.encode())
    return subprocess.CompletedProcess(arguments, done.returncode, done.stdout.decode(), done.stderr.decode())


def reductauth_here(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, which is quicker. The data folder is `folder/data`."""
    cleared = dict.fromkeys((name for name in os.environ if name.startswith("RS_")), None)
    environ = {**cleared, "RS_DATA_PATH": str(folder / "data"), **variables}
    done = CliRunner(env=environ).invoke(main, arguments)
    if not isinstance(done.exception, (SystemExit, NoneType)):
        raise done.exception
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def remote(url: str) -> dict[str, str]:
    """The environment that asks a server, as its administrator."""
    return {"RS_URL": url, "RS_API_TOKEN": ROOT_VALUE}
