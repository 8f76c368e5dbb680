"""All benchmarks in short form."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks import authorize, http, transfer, wire
from benchmarks.floor import floor_code
from benchmarks.report import json_option

_MODULES = (authorize, wire, http, transfer)


@click.command()
@json_option
def main(folder: Path) -> None:
    """Run all benchmarks in short form. The figures are for people: nothing fails over them."""
    print(floor_code())
    for module in _MODULES:
        module.short().show(folder)


if __name__ == "__main__":
    main()
