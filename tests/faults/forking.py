"""Servers in milliseconds: a process that has imported everything forks one for each start.

`python -m tests.faults.forking` reads orders, a line of JSON each, and answers with a line. At the end of its input
it kills the servers that are left.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.faults.disk import Disk
from tests.faults.sabotage import SABOTAGES
from tests.servers import ROOT_VALUE, clean_environment

__all__ = ["ROOT_VALUE", "ForkedServer", "Forks"]

_LISTENING = re.compile(r"listening address=(\S+) port=(\d+)")
_PATIENCE_SECONDS = 20.0
_ATTACH_FAILED = 98


class ForkedServer:
    """`python -m storage_demo` in a process of its own."""

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
            self.status = self._forks.order({"reap": self.pid, "block": False})
        return self.status is not None

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal and wait; return the exit status, negative for a signal."""
        if not self.has_ended():
            os.kill(self.pid, number)
            self.status = self._forks.order({"reap": self.pid, "block": True})
        assert self.status is not None
        return self.status

    def stop(self) -> int:
        """Ask it to stop, and wait; return the exit status."""
        return self.end(signal.SIGTERM)


class Forks:
    """The process that forks servers, with the disk's layer preloaded."""

    def __init__(self, library: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forking"],
            env=clean_environment(LD_PRELOAD=str(library)),
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
        environ: Mapping[str, str] | None = None,
    ) -> ForkedServer:
        """Fork a server with its data in `folder/data`; it is not listening yet."""
        log = folder / f"server-{time.monotonic_ns()}.log"
        log.touch()
        variables = {"RS_API_TOKEN": ROOT_VALUE} if environ is None else dict(environ)
        attach = None
        if disk is not None:
            attach = [str(disk.control), str(disk.journal or ""), str(folder / "data" / "auth")]
        pid = self.order(
            {
                "cwd": str(folder),
                "log": str(log),
                "environ": {
                    "RS_PORT": "0",
                    "RS_DATA_PATH": str(folder / "data"),
                    "RS_AUTH_FAILURES_PER_MINUTE": "0",
                    **variables,
                },
                "attach": attach,
                "sabotage": sabotage,
            }
        )
        return ForkedServer(self, pid, log)

    def start(
        self,
        folder: Path,
        disk: Disk | None = None,
        sabotage: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> ForkedServer:
        """Fork a server and wait until it listens."""
        server = self.begin(folder, disk, sabotage, environ)
        assert server.wait_until_listening(), server.log
        return server

    def start_refused(self, folder: Path, sabotage: str | None = None) -> str:
        """Fork a server that must refuse to start; return what it logged."""
        server = self.begin(folder, sabotage=sabotage)
        assert not server.wait_until_listening(), server.log
        assert server.status == 1, (server.status, server.log)
        return server.log

    def close(self) -> None:
        """End it, and the servers that are left."""
        self._process.communicate(timeout=_PATIENCE_SECONDS)


def _serve(order: dict[str, Any]) -> None:
    """Become a server."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    os.chdir(order["cwd"])
    os.environ.update(order["environ"])
    if order["attach"]:
        layer = ctypes.CDLL(None)
        if layer.disk_attach(*(os.fsencode(path) for path in order["attach"])) != 0:
            os._exit(_ATTACH_FAILED)
    if order["sabotage"]:
        SABOTAGES[order["sabotage"]]()
    from storage_demo.__main__ import main  # noqa: PLC0415 - after the layer is in place

    main(args=[], prog_name="storage-demo")  # ends with SystemExit, as any process of it does


def _reaped(pid: int, *, block: bool) -> int | None:
    reaped, status = os.waitpid(pid, 0 if block else os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if reaped else None


def _take_orders() -> None:
    import storage_demo.__main__  # noqa: F401, PLC0415 - what every server would import

    gc.freeze()
    living: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "reap" in order:
            answer = _reaped(order["reap"], block=order["block"])
            if answer is not None:
                living.discard(order["reap"])
        else:
            answer = os.fork()
            if answer == 0:
                _serve(order)
            living.add(answer)
        print(json.dumps(answer), flush=True)
    for pid in living:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _take_orders()
