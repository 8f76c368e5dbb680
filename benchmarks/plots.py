"""Plots from the figures that benchmarks wrote: `python -m benchmarks.plots [--json FOLDER] [--to FOLDER]`."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.drawing import draw
from benchmarks.report import json_option
from benchmarks.results import read_results

__all__ = ["main"]


@click.command()
@json_option
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="Folder for the plots (SVG); the one of the figures without it.",
)
def main(folder: Path, to: Path | None) -> None:
    """Draw every report: lines over the number of tokens or processes, and bars for what stands alone."""
    for result in read_results(folder):
        for file in draw(result, to or folder):
            print(file)


if __name__ == "__main__":
    main()
