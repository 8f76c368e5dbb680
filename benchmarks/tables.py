"""The tables of a document, from the figures that benchmarks wrote: `python -m benchmarks.tables`.

A table stands between two lines, which stay: `<!-- benchmarks: authorize -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

import click
from tabulate import tabulate

from benchmarks.report import MISSED, Row
from benchmarks.results import Result, read_result

__all__ = ["DOCUMENT", "FIGURES", "main", "table_of", "updated"]

_DOCS = Path(__file__).parents[1] / "docs"
DOCUMENT = _DOCS / "performance.md"
FIGURES = _DOCS / "performance"

_FORMAT = "pipe"
"""What GitHub renders, and which says how columns are aligned."""

_MARKED = re.compile(r"(^<!-- benchmarks: ([\w-]+) -->\n).*?(^<!-- end -->$)", re.MULTILINE | re.DOTALL)


def updated(text: str, folder: Path) -> str:
    """The text with every marked table as the figures in `folder` give it.

    Raises `click.ClickException` for a mark whose figures are not there, and for marks that do not come in pairs.
    """
    opened, closed = text.count("<!-- benchmarks:"), text.count("<!-- end -->")
    if not opened == closed == len(_MARKED.findall(text)):
        raise click.ClickException(
            f"{opened} lines <!-- benchmarks: NAME --> and {closed} lines <!-- end --> do not make pairs"
        )

    def table(found: re.Match[str]) -> str:
        start, title, end = found.groups()
        return f"{start}\n{table_of(read_result(folder / f'{title}.json'))}\n\n{end}"

    return _MARKED.sub(table, text)


def table_of(result: Result) -> str:
    """A report as Markdown: how it was measured, a table with a column for each size, a table of what stands alone."""
    machine, versions = (
        ", ".join(f"{name} {found}" for name, found in facts.items())
        for facts in (result.machine, result.versions)
    )
    parts = [
        f"Ratios to {result.baseline}.\n`{result.command}`, {result.measured_at[:10]}; {versions}; {machine}."
    ]
    if result.sized:
        parts.append(_sized_table(result))
    if result.single:
        parts.append(
            tabulate(
                [row.cells(result.size_name) for row in result.single],
                ("", "ratio", "measured", "goal", ""),
                tablefmt=_FORMAT,
                disable_numparse=True,
                colalign=("left", "right", "right", "right", "left"),
            )
        )
    return "\n\n".join(parts)


def _sized_table(result: Result) -> str:
    sizes = sorted({row.size for row in result.rows if row.size is not None})
    lines = []
    for name, rows in result.sized.items():
        cells = {row.size: _cell(row) for row in rows}
        goals = dict.fromkeys(row.cells(result.size_name)[3] for row in rows)
        lines.append((name, *(cells.get(size, "") for size in sizes), " ".join(goals)))
    headers = ("", *(f"{size:,}" for size in sizes), "goal")
    aligned = ("left", *("right" for _ in sizes), "right")
    return f"By {result.size_name}:\n\n" + tabulate(
        lines, headers, tablefmt=_FORMAT, disable_numparse=True, colalign=aligned
    )


def _cell(row: Row) -> str:
    shown = f"{row.measured:,.2f} {row.unit}"
    if row.ratio is not None:
        shown = f"{row.ratio:,.{0 if row.ratio >= 100 else 2}f} ({shown})"
    return f"{shown} {MISSED}" if row.verdict == MISSED else shown


@click.command()
@click.option(
    "--json",
    "folder",
    type=click.Path(path_type=Path),
    default=FIGURES,
    help="Folder of the figures; docs/performance without it.",
)
@click.argument("document", type=click.Path(path_type=Path, dir_okay=False, exists=True), default=DOCUMENT)
def main(folder: Path, document: Path) -> None:
    """Bring the tables of DOCUMENT (docs/performance.md without it) up to the figures."""
    text = document.read_text("utf-8")
    document.write_text(updated(text, folder), "utf-8")


if __name__ == "__main__":
    main()
