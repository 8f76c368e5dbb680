"""A process that is measured from outside: what it says first, its CPU, its memory."""

from __future__ import annotations

import contextlib
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

__all__ = ["Process", "cpu_us_of", "resident_bytes", "started"]


@dataclass(frozen=True)
class Process:
    """A module that runs by itself, and what it `told` once it was ready."""

    pid: int
    told: dict[str, Any]

    def cpu_us(self) -> float:
        """The CPU time that all threads of the process took so far."""
        return cpu_us_of(self.pid)

    def forget_peak(self) -> None:
        """Let `resident_bytes(peak=True)` begin anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")

    def resident_bytes(self, *, peak: bool = False) -> int:
        """The memory that it has, or had at most."""
        return resident_bytes(self.pid, peak=peak)


def cpu_us_of(pid: int) -> float:
    """The CPU time that all threads of a process took so far."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1_000


def resident_bytes(pid: int, *, peak: bool = False) -> int:
    """The memory that a process has, or had at most."""
    name = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith(name))
    return int(line.split()[1]) * 1_024


@contextlib.asynccontextmanager
async def started(module: str, *arguments: str) -> AsyncIterator[Process]:
    """Run a module until this block ends. The first line that it prints is JSON."""
    process = await create_subprocess_exec(sys.executable, "-m", module, *arguments, stdout=PIPE)
    try:
        if process.stdout is None:
            raise AssertionError("the output of a process is a pipe")
        yield Process(process.pid, orjson.loads(await process.stdout.readline()))
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        await process.wait()
