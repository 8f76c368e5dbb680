"""Real servers and commands within milliseconds: their processes are forked from one that has imported everything.

For what they do once they run; how they come to run is the matter of the tests that start them with `tests.servers`
and `subprocess`.
"""

from __future__ import annotations

import atexit
import functools
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from tests.faults.forking import ROOT_VALUE, ForkedServer, Forks

__all__ = ["forked", "refused", "run_forked"]


@contextmanager
def forked(
    folder: Path,
    environ: Mapping[str, str] = MappingProxyType({"RS_API_TOKEN": ROOT_VALUE}),
    command: tuple[str, ...] = ("-m", "storage_demo"),
    parser: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[ForkedServer]:
    """Run a server as `tests.servers.serving` does.

    `parser`: which of aiohttp's it has, by a variable that must be there when aiohttp is imported.
    """
    server = _forks(*parser.items()).start(folder, environ=environ, command=command)
    try:
        yield server
    finally:
        server.end()


def refused(
    folder: Path, variables: Mapping[str, str], command: tuple[str, ...] = ("-m", "storage_demo")
) -> str:
    """Start a server that must refuse, as `tests.servers.start_refused` does; return what it logged."""
    done = run_forked(folder, command, variables)
    assert done.returncode == 1, done.stderr
    return done.stderr.decode()


def run_forked(
    folder: Path, command: tuple[str, ...], variables: Mapping[str, str], standard_input: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run `python ...` in `folder` to its end."""
    return _forks().run(folder, variables, command, standard_input)


@functools.cache
def _forks(*variables: tuple[str, str]) -> Forks:
    """One for this whole process, until it ends."""
    forks = Forks(**dict(variables))
    atexit.register(forks.close)
    return forks
