"""All benchmarks in short form."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from benchmarks import authorize, http, wire
from benchmarks.floor import floor_code


@click.command()
@click.option("--json", "folder", type=click.Path(path_type=Path), help="Folder for the figures as JSON.")
def main(folder: Path | None) -> None:
    """Run all benchmarks in short form. The figures are for people: nothing fails over them."""
    print(floor_code())
    asyncio.run(authorize.run((10, 1_000), 20)).show(folder)
    asyncio.run(wire.run(20)).show(folder)
    asyncio.run(http.run(5)).show(folder)


if __name__ == "__main__":
    main()
