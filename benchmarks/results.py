"""Reports that were written as JSON, read again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import orjson

from benchmarks.report import Row

__all__ = ["Result", "read_result", "read_results"]


@dataclass(frozen=True)
class Result:
    """One report, and where, when and how it was measured."""

    title: str
    baseline: str
    size_name: str
    command: str
    measured_at: str
    versions: dict[str, str]
    machine: dict[str, str]
    rows: list[Row]

    @property
    def sized(self) -> dict[str, list[Row]]:
        """Rows of one name that differ in size, smallest first."""
        lines: dict[str, list[Row]] = {}
        for row in self.rows:
            if row.size is not None:
                lines.setdefault(row.name, []).append(row)
        return {name: sorted(rows, key=lambda row: row.size or 0) for name, rows in lines.items()}

    @property
    def single(self) -> list[Row]:
        """Rows that stand alone."""
        return [row for row in self.rows if row.size is None]


def read_results(folder: Path) -> list[Result]:
    """Read all that is in a folder, by title. Raises `click.ClickException` where nothing is."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise click.ClickException(
            f"{folder} holds no figures; measure some with: python -m benchmarks --json {folder}"
        )
    return [read_result(file) for file in files]


def read_result(file: Path) -> Result:
    """Read one report. Raises `click.ClickException` for a file that is not there or that no benchmark wrote."""
    if not file.exists():
        raise click.ClickException(
            f"{file} is not there; measure with: python -m benchmarks.{file.stem} --json {file.parent}"
        )
    try:
        content: dict[str, Any] = orjson.loads(file.read_bytes())
        rows = [
            Row(**{key: cell for key, cell in row.items() if key != "verdict"}) for row in content.pop("rows")
        ]
        return Result(**content, rows=rows)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise click.ClickException(f"{file} is not what a benchmark wrote: {error}") from None
