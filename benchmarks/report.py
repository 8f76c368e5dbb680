"""A table of ratios, printed for people and written as JSON for `benchmarks.plots`."""

from __future__ import annotations

import os
import platform
import shlex
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson
from tabulate import tabulate

__all__ = ["MISSED", "RESULTS", "Report", "Row", "json_option"]

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

RESULTS = Path(__file__).parent / "results"
_PACKAGES = (
    "aiohttp",
    "orjson",
    "uvloop",
    "PyJWT",
    "cryptography",
    "itsdangerous",
    "pycasbin",
    "aiohttp-security",
)
MISSED = "MISSED"


@dataclass(frozen=True)
class Row:
    """One measurement, and what it should be: at most `goal`, or at least where `at_least` is set.

    The goal is for `ratio`, or for `measured` (in `unit`) where there is nothing to compare with. Rows of one name
    that differ in `size` (how many tokens, or processes) are one line of a plot.
    """

    name: str
    ratio: float | None
    measured: float
    unit: str = "us"
    goal: float | None = None
    at_least: bool = False
    size: int | None = None

    @property
    def verdict(self) -> str:
        """Whether the goal was reached; empty where there is none."""
        if self.goal is None:
            return ""
        found = self.measured if self.ratio is None else self.ratio
        return "reached" if (found >= self.goal if self.at_least else found <= self.goal) else MISSED

    def cells(self, size_name: str) -> tuple[str, ...]:
        """The row of the table."""
        name = self.name if self.size is None else f"{self.name}, {self.size:,} {size_name}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        unit = f" {self.unit}" if self.ratio is None else ""
        goal = "" if self.goal is None else f"{'>=' if self.at_least else '<='} {self.goal:g}{unit}"
        return name, ratio, f"{self.measured:,.2f} {self.unit}", goal, self.verdict


@dataclass
class Report:
    """What one benchmark found in one run. `baseline` says what the ratios are to."""

    title: str
    baseline: str
    size_name: str = "tokens"
    rows: list[Row] = field(default_factory=list)

    def show(self, folder: Path | None) -> None:
        """Print the table; write `{title}.json` into `folder`."""
        machine, versions = _machine(), _versions()
        print(f"\n{self.title}: ratios to {self.baseline}")
        print(", ".join(f"{name} {found}" for name, found in versions.items()))
        print(", ".join(f"{name} {found}" for name, found in machine.items()), end="\n\n")
        cells = [row.cells(self.size_name) for row in self.rows]
        print(
            tabulate(cells, ("", "ratio", "measured", "goal", ""), disable_numparse=True, colalign=_ALIGNED)
        )
        if folder is None:
            return
        content = {
            "title": self.title,
            "baseline": self.baseline,
            "size_name": self.size_name,
            "command": _command(sys.orig_argv),
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions,
            "machine": machine,
            "rows": [{**asdict(row), "verdict": row.verdict} for row in self.rows],
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.title}.json").write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")


_ALIGNED = ("left", "right", "right", "right", "left")


def json_option(command: CommandT) -> CommandT:
    """Let a benchmark's command say where the figures go."""
    return click.option(
        "--json",
        "folder",
        type=click.Path(path_type=Path),
        default=RESULTS,
        help="Folder for the figures as JSON; benchmarks/results without it.",
    )(command)


def _command(arguments: Sequence[str]) -> str:
    """What was typed, without what is only this machine's: where Python is and where the figures go."""
    typed = iter(arguments[1:])
    kept = ["python"]
    for argument in typed:
        if argument == "--json":
            next(typed, None)
        elif not argument.startswith("--json="):
            kept.append(argument)
    return shlex.join(kept)


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, str]:
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "CPU": _cpu(),
        "processors": str(len(os.sched_getaffinity(0))),
        "memory": f"{pages * page_bytes / 2**30:.0f} GiB",
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown"
