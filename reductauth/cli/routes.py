"""`reductauth routes`: what an application lets whom do."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import click
from aiohttp import web

from reductauth.web.census import route_table

__all__ = ["routes"]


@click.command()
@click.argument("factory", metavar="MODULE:FACTORY")
def routes(factory: str) -> None:
    """Print every route of an application and what it demands.

    MODULE:FACTORY names a function without arguments that returns an aiohttp application, for example
    storage_demo.app:create_app. Exits with 1 if a route declares no policy: such an application does not start.
    """
    app = _load(factory)()
    if not isinstance(app, web.Application):
        raise click.BadParameter(f"{factory} returned {type(app).__name__}, not an aiohttp application")
    entries = route_table(app)
    for entry in entries:
        click.echo(str(entry))
    faulty = [entry for entry in entries if entry.fault is not None]
    for entry in faulty:
        click.echo(f"{entry.method} {entry.path}: {entry.fault}", err=True)
    if faulty:
        sys.exit(1)


def _load(factory: str) -> Callable[[], object]:
    module_name, _, function_name = factory.partition(":")
    if not module_name or not function_name:
        raise click.BadParameter(f"{factory!r} is not of the form MODULE:FACTORY")
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does; the console command does not
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise click.BadParameter(f"{factory!r} can't be loaded: {error}") from None
    if not callable(function):
        raise click.BadParameter(f"{factory!r} is not a function")
    return function  # type: ignore[no-any-return] # whatever it returns is checked by the caller
