"""Real servers for tests: a child process of its own, found by the line it logs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

ROOT_VALUE = "root-value-of-the-tests-0123456789abcdef"

_LISTENING = re.compile(r"listening address=(\S+) port=(\d+)")
_PATIENCE_SECONDS = 20.0


def clean_environment(**variables: str) -> dict[str, str]:
    """The environment of this process without any `RS_*`, with `variables`, and with the project to import."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RS_")}
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), kept.get("PYTHONPATH")]))
    return {**kept, "PYTHONPATH": path, **variables}


class ServerProcess(Protocol):
    """A process that serves, however it was started."""

    url: str

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    @property
    def log(self) -> str:
        """What it has logged."""
        ...

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; return the exit status, negative for a signal."""
        ...


class StartedServer:
    """`python -m storage_demo`, or another command that serves, as a user starts it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log
        self.url = ""

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text("utf-8")

    def wait_until_listening(self, patience_seconds: float) -> None:
        """Wait for the line that says where it listens."""
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            found = _LISTENING.search(self.log)
            if found:
                self.url = f"http://{found[1]}:{found[2]}"
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the server did not start:\n{self.log}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; return the exit status, negative for a signal."""
        self.process.send_signal(number)
        return self.process.wait(_PATIENCE_SECONDS)


@contextmanager
def serving(
    folder: Path,
    environ: Mapping[str, str] = MappingProxyType({"RS_API_TOKEN": ROOT_VALUE}),
    command: tuple[str, ...] = ("-m", "storage_demo"),
    *,
    interpreter: str = sys.executable,
    patience_seconds: float = _PATIENCE_SECONDS,
) -> Iterator[StartedServer]:
    """Run a server in `folder`, with its data in `folder/data`, on a port of the system's choice.

    Failed authentications are not limited, unless `environ` says so: many of these tests are made of them.
    """
    variables = {"RS_PORT": "0", "RS_AUTH_FAILURES_PER_MINUTE": "0", **environ}
    log = folder / f"server-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [interpreter, *command], cwd=folder, env=clean_environment(**variables), stderr=output
        )
    server = StartedServer(process, log)
    try:
        server.wait_until_listening(patience_seconds)
        yield server
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(_PATIENCE_SECONDS)


def start_refused(
    folder: Path, variables: Mapping[str, str], command: tuple[str, ...] = ("-m", "storage_demo")
) -> str:
    """Start a server that must refuse; return what it logged."""
    refused = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=clean_environment(**variables),
        stderr=subprocess.PIPE,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    assert refused.returncode == 1, refused.stderr
    return refused.stderr.decode()
