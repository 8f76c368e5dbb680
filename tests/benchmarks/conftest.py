"""Reports and commands of benchmarks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import Report, Row

ROOT = Path(__file__).parents[2]


def run_module(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `python ...` in the project's folder."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    """A folder with a report that a benchmark wrote: two lines of two sizes, and two rows that stand alone."""
    rows = [
        Row("good value", 1.44, 2.25, goal=1.6, size=100_000),
        Row("good value", 1.31, 1.75, goal=1.6, size=10),
        Row("a scan over everything", 2.5, 3.0, size=10),
        Row("a scan over everything", 12_345.6, 15_000.0, size=100_000),
        Row("good value", 1.92, 2.25, goal=1.8),
        Row("memory", None, 84.0, unit="MB", goal=100),
    ]
    folder = tmp_path / "figures"
    Report("decision", "the floor", rows=rows).show(folder)
    return folder
