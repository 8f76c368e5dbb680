"""All benchmarks in short form."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from benchmarks.extras import MissingExtraError
from benchmarks.floor import floor_code
from benchmarks.report import json_option

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


@click.command()
@json_option
def main(folder: Path) -> None:
    """Run all benchmarks in short form. The figures are for people: nothing fails over them."""
    print(floor_code())
    for name in _MODULES:
        try:
            module = importlib.import_module(f"benchmarks.{name}")
        except MissingExtraError as error:
            print(f"\n{name} is left out. {error}")
            continue
        module.short().show(folder)


if __name__ == "__main__":
    main()
