"""Servers and commands in milliseconds: a process that has imported everything forks one for each start.

`python -m tests.faults.forking` reads orders, a line of JSON each, and answers with a line. At the end of its input
it kills the servers that are left.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.faults.disk import Disk
from tests.faults.sabotage import SABOTAGES
from tests.servers import ROOT_VALUE, clean_environment

__all__ = ["ROOT_VALUE", "ForkedServer", "Forks"]

_LISTENING = re.compile(r"listening address=(\S+) port=(\d+)")
_PATIENCE_SECONDS = 20.0
_ATTACH_FAILED = 98
_ENVIRONMENT: Mapping[str, str] = MappingProxyType({"RS_API_TOKEN": ROOT_VALUE})
_NOTHING = Path(os.devnull)


class ForkedServer:
    """`python -m storage_demo`, or another command, in a process of its own."""

    def __init__(self, forks: Forks, pid: int, log: Path) -> None:
        self._forks = forks
        self.pid = pid
        self._log = log
        self.url = ""
        self.status: int | None = None

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text("utf-8")

    def wait_until_listening(self) -> bool:
        """Wait for the line that says where it listens; False if the process ended instead."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if found := _LISTENING.search(self.log):
                self.url = f"http://{found[1]}:{found[2]}"
                return True
            if self.has_ended():
                return False
            time.sleep(0.003)
        raise AssertionError(f"the server neither started nor refused:\n{self.log}")

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        if self.status is None:
            self.status = self._forks.order({"reap": self.pid})
        return self.status is not None

    def wait(self) -> int:
        """Wait until it ends; return the exit status, negative for a signal."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self.has_ended():
            assert time.monotonic() < deadline, f"it does not end:\n{self.log}"
            time.sleep(0.003)
        assert self.status is not None
        return self.status

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, unless it has ended, and wait; return the exit status, negative for a signal."""
        if not self.has_ended():
            os.kill(self.pid, number)
        return self.wait()

    def end(self) -> int:
        """Kill it, unless it has ended; return the exit status."""
        return self.stop(signal.SIGKILL)


class Forks:
    """The process that forks; `variables` are there when it imports, and for all that it forks."""

    def __init__(self, **variables: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forking"],
            env=clean_environment(**variables),
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def order(self, order: Mapping[str, Any]) -> Any:
        """Give an order and wait for the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def begin(
        self,
        folder: Path,
        disk: Disk | None = None,
        sabotage: str | None = None,
        environ: Mapping[str, str] = _ENVIRONMENT,
        command: tuple[str, ...] = ("-m", "storage_demo"),
    ) -> ForkedServer:
        """Fork a server in `folder`, with its data in `folder/data`; it is not listening yet."""
        log = folder / f"server-{time.monotonic_ns()}.log"
        log.touch()
        attach = None
        if disk is not None:
            attach = [str(disk.control), str(disk.journal or ""), str(folder / "data" / "auth")]
        variables = {
            "RS_PORT": "0",
            "RS_DATA_PATH": str(folder / "data"),
            "RS_AUTH_FAILURES_PER_MINUTE": "0",
            **environ,
        }
        pid = self._fork(folder, variables, command, stderr=log, attach=attach, sabotage=sabotage)
        return ForkedServer(self, pid, log)

    def start(
        self,
        folder: Path,
        disk: Disk | None = None,
        sabotage: str | None = None,
        environ: Mapping[str, str] = _ENVIRONMENT,
        command: tuple[str, ...] = ("-m", "storage_demo"),
    ) -> ForkedServer:
        """Fork a server and wait until it listens."""
        server = self.begin(folder, disk, sabotage, environ, command)
        assert server.wait_until_listening(), server.log
        return server

    def start_refused(self, folder: Path, sabotage: str | None = None) -> str:
        """Fork a server that must refuse to start; return what it logged."""
        server = self.begin(folder, sabotage=sabotage)
        assert not server.wait_until_listening(), server.log
        assert server.status == 1, (server.status, server.log)
        return server.log

    def run(
        self, folder: Path, environ: Mapping[str, str], command: tuple[str, ...], standard_input: bytes
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `python ...` in `folder` to its end, in a process that is forked."""
        with tempfile.TemporaryDirectory() as place:
            stdin, stdout, stderr = (Path(place, name) for name in ("in", "out", "err"))
            stdin.write_bytes(standard_input)
            pid = self._fork(folder, environ, command, stdin=stdin, stdout=stdout, stderr=stderr)
            status = ForkedServer(self, pid, stderr).wait()
            return subprocess.CompletedProcess(command, status, stdout.read_bytes(), stderr.read_bytes())

    def _fork(
        self,
        folder: Path,
        environ: Mapping[str, str],
        command: tuple[str, ...],
        *,
        stderr: Path,
        stdin: Path = _NOTHING,
        stdout: Path = _NOTHING,
        **further: Any,
    ) -> int:
        """Fork what becomes `python ...`; return its number."""
        return int(
            self.order(
                {
                    "cwd": str(folder),
                    "environ": dict(environ),
                    "command": command,
                    "streams": [str(stdin), str(stdout), str(stderr)],
                    **further,
                }
            )
        )

    def close(self) -> None:
        """End it, and the servers that are left."""
        self._process.communicate(timeout=_PATIENCE_SECONDS)


def _become(order: dict[str, Any]) -> None:
    """Become what `python ...` is once it has imported; it ends with SystemExit."""
    for number, path in enumerate(order["streams"]):
        file = os.open(path, (os.O_WRONLY | os.O_CREAT | os.O_APPEND) if number else os.O_RDONLY, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - nothing is left in it of the orders
    os.chdir(order["cwd"])
    os.environ.update(order["environ"])
    if order.get("attach"):
        layer = ctypes.CDLL(None)
        if layer.disk_attach(*(os.fsencode(path) for path in order["attach"])) != 0:
            os._exit(_ATTACH_FAILED)
    if order.get("sabotage"):
        SABOTAGES[order["sabotage"]]()
    first, *rest = order["command"]
    if first == "-m":
        module, *arguments = rest
        sys.path[0] = order["cwd"]
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")
    raise SystemExit


def _reaped(pid: int) -> int | None:
    reaped, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if reaped else None


def _take_orders() -> None:
    import reductauth.cli  # noqa: F401, PLC0415 - what every command would import
    import storage_demo.__main__  # noqa: F401, PLC0415 - what every server would import

    gc.freeze()
    living: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "reap" in order:
            answer = _reaped(order["reap"])
            if answer is not None:
                living.discard(order["reap"])
        else:
            answer = os.fork()
            if answer == 0:
                _become(order)
            living.add(answer)
        print(json.dumps(answer), flush=True)
    for pid in living:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _take_orders()
