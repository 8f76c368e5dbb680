"""All benchmarks in short form."""

from __future__ import annotations

import importlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click

from benchmarks.extras import MissingExtraError
from benchmarks.floor import floor_code
from benchmarks.report import Report, json_option

_MODULES = (
    "authorize",
    "lookup",
    "peers",
    "wire",
    "pieces",
    "http",
    "registry",
    "reads_beside_changes",
    "usage",
    "startup",
    "listing",
    "storage",
    "loops",
    "workers",
    "transfer",
)


def _short(name: str) -> Report | str:
    """Run one module; return what it found, or why it is left out."""
    try:
        module = importlib.import_module(f"benchmarks.{name}")
    except MissingExtraError as error:
        return f"\n{name} is left out. {error}"
    report: Report = module.short()
    return report


@click.command()
@click.option(
    "--jobs", default=1, show_default=True, help="How many run at once; with more, figures mean nothing."
)
@json_option
def main(jobs: int, folder: Path) -> None:
    """Run all benchmarks in short form. The figures are for people: nothing fails over them."""
    print(floor_code(), flush=True)
    with ProcessPoolExecutor(jobs) as pool:
        for found in pool.map(_short, _MODULES):
            if isinstance(found, str):
                print(found)
            else:
                found.show(folder)


if __name__ == "__main__":
    main()
