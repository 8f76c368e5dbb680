"""`reductauth export`: of the server's data folder, by another process than the server.

Rule of this file: nothing is held for long; it reads page by page.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import click

from reductauth.cli.door import INTERRUPTED
from reductauth.cli.failures import UnreachableError
from reductauth.cli.folder import config_option, data_option
from reductauth.cli.lines import line_of
from reductauth.cli.local import local_store
from reductauth.cli.terminal import progress, say
from reductauth.clock import system_clock
from reductauth.configuration import Configuration
from reductauth.query import TokenQuery
from reductauth.sqlite import SqliteStore
from reductauth.store import Snapshot

__all__ = ["export_tokens"]

_PAGE = 500


@click.command("export")
@click.argument("target", type=click.Path(path_type=Path, allow_dash=True), default="-", metavar="[FILE]")
@data_option
@config_option
def export_tokens(*, target: Path, data_path: Path | None, config_file: Path | None) -> None:
    """Write the tokens of a data folder's registry into FILE, while servers run on it: a line of JSON for each.

    Nothing but digests of values is in it, made with the registry's key: `import` takes them where that key is. FILE
    must be new, and only its owner may read it; it is standard output without it, or if it is -. Tokens that the
    server's configuration declares are left out. It works on the folder only, not over HTTP.

    Exits with 1 if the record of a token can't be trusted; it is left out.
    """
    configuration = Configuration.read(os.environ, config_file)
    try:
        faults = asyncio.run(_export(target, configuration, data_path))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    if faults:
        sys.exit(1)


@dataclass(frozen=True, slots=True)
class _Page:
    lines: list[bytes]
    read: int
    provisioned: int
    faults: list[str]
    last: str | None


async def _export(target: Path, configuration: Configuration, data_path: Path | None) -> int:
    """Write all tokens; return how many have a fault."""
    exported = provisioned = faulty = 0
    async with local_store(configuration, data_path) as (store, _):
        now_us = system_clock()()
        page = await store.read(lambda snapshot: snapshot.select(TokenQuery(limit=1), now_us))
        with _written(target) as output, progress("exporting", page.total) as advance:
            async for found in _pages(store, now_us):
                output.writelines(found.lines)
                for fault in found.faults:
                    say(fault)
                exported += len(found.lines)
                provisioned += found.provisioned
                faulty += len(found.faults)
                advance(found.read)
    told = f"{exported:,} exported"
    if provisioned:
        told += f", {provisioned:,} left out that the configuration declares"
    if faulty:
        told += f", {faulty:,} left out that can't be trusted"
    say(told)
    return faulty


async def _pages(store: SqliteStore, now_us: int) -> AsyncIterator[_Page]:
    last: str | None = ""
    while last is not None:
        page = await store.read(partial(_page, after=last, now_us=now_us))
        yield page
        last = page.last


def _page(snapshot: Snapshot, *, after: str, now_us: int) -> _Page:
    tokens, last = snapshot.tokens_after(after, _PAGE)
    own = [token for token in tokens if not token.is_provisioned]
    good = [token for token in own if token.fault is None]
    return _Page(
        [line_of(record, now_us) for record in snapshot.records(good)],
        len(tokens),
        len(tokens) - len(own),
        [f"token '{token.name}': {token.fault}" for token in own if token.fault is not None],
        last,
    )


@contextlib.contextmanager
def _written(target: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name when it is whole, and takes no other's; or standard output."""
    if str(target) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "there is one already; name a new file")
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as output:
                yield output
                output.flush()
                os.fsync(descriptor)
            os.link(name, target)  # not a renaming, which would take the place of what was made meanwhile
        finally:
            Path(name).unlink()
    except OSError as error:
        raise UnreachableError(f"{target}: can't be written ({error.strerror})") from None
