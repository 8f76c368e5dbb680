"""`python -m reductauth` as a child process, with nothing in its environment but what a test gives it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT_VALUE, clean_environment


def reductauth(
    folder: Path, *arguments: str, text: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`; `text` is its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "reductauth", *arguments],
        cwd=folder,
        env=clean_environment(**variables),
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def remote(url: str) -> dict[str, str]:
    """The environment that asks a server, as its administrator."""
    return {"RS_URL": url, "RS_API_TOKEN": ROOT_VALUE}
