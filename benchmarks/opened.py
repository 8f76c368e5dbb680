"""A process that opens a registry as a server does, and tells what it took, for `benchmarks.startup`."""

from __future__ import annotations

import asyncio
import os
import time
from itertools import islice
from pathlib import Path

import click
import orjson
from aiohttp import web

import reductauth.web
from benchmarks.process import resident_bytes
from reductauth.actor import Identity
from reductauth.authenticator import Authenticator
from reductauth.clock import system_clock
from reductauth.settings import Settings
from reductauth.sqlite import SqliteStore

__all__ = ["main"]

_CHUNK = 1_000


async def _open(folder: Path, values: Path, administrator: str) -> None:
    environ = {"RS_API_TOKEN": administrator, "RS_DATA_PATH": str(folder.parent)}
    app = web.Application()
    reductauth.web.setup(app, Settings.from_environment(environ), environ=environ)
    runner = web.AppRunner(app, access_log=None)
    begun = time.perf_counter()
    await runner.setup()
    start_ms = (time.perf_counter() - begun) * 1_000
    store = SqliteStore.open(folder)  # the application's own is not for others
    authenticator = Authenticator(store, store.key)
    await _fill(authenticator, values)
    told = {"start_ms": start_ms, "resident_bytes": resident_bytes(os.getpid())}
    click.echo(orjson.dumps({**told, "cached_values": authenticator.cached_values}).decode())
    await store.close()
    await runner.cleanup()


async def _fill(authenticator: Authenticator, values: Path) -> None:
    """Present every value; few are in memory at a time."""
    clock = system_clock()
    with values.open(encoding="ascii") as file:
        while some := [line.rstrip() for line in islice(file, _CHUNK)]:
            for value in some:
                if not isinstance(await authenticator.authenticate(value, "127.0.0.1", clock()), Identity):
                    raise AssertionError("refused")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("values", type=click.Path(path_type=Path))
@click.argument("administrator")
def main(folder: Path, values: Path, administrator: str) -> None:
    """Open the registry in FOLDER and present every line of VALUES; ADMINISTRATOR is the bootstrap token."""
    asyncio.run(_open(folder, values, administrator))


if __name__ == "__main__":
    main()
