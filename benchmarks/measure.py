"""Rounds in turn, lower quartiles, ratios."""

from __future__ import annotations

import json
import platform
import random
import sqlite3
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

__all__ = ["Report", "Row", "take_turns"]

Variant = Callable[[], Awaitable[None]]
"""Does its work `operations` times."""


@dataclass(frozen=True)
class Row:
    """One measured ratio, and what it should be: at most `goal`, or at least where `at_least` is set."""

    name: str
    ratio: float
    microseconds: float
    goal: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """Whether the goal was reached; empty where there is none."""
        if self.goal is None:
            return ""
        reached = self.ratio >= self.goal if self.at_least else self.ratio <= self.goal
        return "reached" if reached else "MISSED"


@dataclass
class Report:
    """A table of ratios, printed and kept as JSON."""

    title: str
    baseline: str
    rows: list[Row] = field(default_factory=list)

    def show(self, folder: Path | None) -> None:
        """Print the table; write `{title}.json` into `folder`."""
        versions = f"aiohttp {version('aiohttp')}, SQLite {sqlite3.sqlite_version}"
        print(f"\n{self.title}  (ratios to: {self.baseline})")
        print(f"Python {platform.python_version()}, {versions}, {platform.machine()}\n")
        print(f"{'':58} {'ratio':>7} {'us':>9}  goal")
        for row in self.rows:
            goal = "" if row.goal is None else f"{'>=' if row.at_least else '<='} {row.goal:g}  {row.verdict}"
            print(f"{row.name:58} {row.ratio:7.2f} {row.microseconds:9.2f}  {goal}")
        if folder is not None:
            rows = [
                {
                    "name": row.name,
                    "ratio": row.ratio,
                    "us": row.microseconds,
                    "goal": row.goal,
                    "verdict": row.verdict,
                }
                for row in self.rows
            ]
            content = {"title": self.title, "python": sys.version, "versions": versions, "rows": rows}
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{self.title}.json").write_text(json.dumps(content, indent=1) + "\n")


async def take_turns(variants: Mapping[str, Variant], operations: int, rounds: int) -> dict[str, float]:
    """Run all variants in every round, in random order; return the lower quartile of each, in us per operation.

    Variants never wait and stay on this thread, so its CPU time is taken, in the kernel too: time that the machine
    gave to others is not counted.
    """
    samples: dict[str, list[float]] = {name: [] for name in variants}
    for variant in variants.values():
        await variant()
    order = list(variants)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            started = time.thread_time()
            await variants[name]()
            samples[name].append((time.thread_time() - started) / operations * 1_000_000)
    return {name: statistics.quantiles(found, n=4)[0] for name, found in samples.items()}
