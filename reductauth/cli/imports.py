"""`reductauth import`: on the server's data folder, by another process than the server.

Rule of this file: nothing is held for long. The registry is let go of after each batch, for longer than one who waits
for it sleeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import stat
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TextIO

import click

from reductauth.actor import Actor
from reductauth.chosen import ADVISED_LENGTH
from reductauth.cli.door import INTERRUPTED
from reductauth.cli.failures import CommandError, MisuseError, UnreachableError
from reductauth.cli.folder import config_option, data_option
from reductauth.cli.line_process import Batch, batches_of
from reductauth.cli.local import local_store
from reductauth.cli.terminal import printable, progress, say
from reductauth.clock import system_clock
from reductauth.configuration import Configuration
from reductauth.errors import StoreUnavailableError
from reductauth.housekeeping import PAUSE_SECONDS
from reductauth.sqlite import LOADING, SqliteStore
from reductauth.store import Transaction
from reductauth.transfer import Arrival, Intake, Refusal, Taken

__all__ = ["import_tokens"]

_NICENESS = 10
"""Enough for whoever serves to come first; on a busy machine a batch still ends in time (`_HOLD_SECONDS`)."""
_HOLD_SECONDS = 0.8
"""How long a batch goes on with the registry to itself; then what it has is committed."""
_TOLD = 100
"""Refusals that are printed; more are counted."""


@dataclass(slots=True)
class _Outcome:
    """What became of a file so far."""

    refused_file: TextIO | None
    imported: int = 0
    present: int = 0
    administrators: int = 0
    refused: int = 0
    short_values: int = 0
    told: list[Refusal] = field(default_factory=list)
    last_line: int = 0

    def add(self, taken: Taken) -> None:
        self.imported += taken.imported
        self.present += taken.present
        self.administrators += taken.administrators
        for refusal in taken.refusals:
            self.refuse(refusal)

    def refuse(self, refusal: Refusal) -> None:
        self.refused += 1
        if len(self.told) < _TOLD:
            self.told.append(refusal)
        if self.refused_file is not None:
            self.refused_file.write(f"{printable(str(refusal))}\n")


@click.command("import")
@click.argument("source", type=click.File("rb"), default="-", metavar="[FILE]")
@click.option(
    "--refused",
    "refused_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help=f"A new file for all refusals; without it the first {_TOLD} are told.",
)
@data_option
@config_option
def import_tokens(
    *, source: BinaryIO, refused_path: Path | None, data_path: Path | None, config_file: Path | None
) -> None:
    """Bring tokens into the registry of a data folder, while servers run on it: each line of FILE is one, in JSON.

    A line is as `export` writes it: `name`, and `permissions` or `role`, and `secrets`, a list of objects with a
    `digest` that was made with this registry's key; or in place of `secrets` a `value`. FILE is standard input without
    it, or if it is -. It works on the folder only, not over HTTP.

    It goes in batches, each kept as a whole. What is there already, as its line says, is left alone: after an
    interruption the same command goes on. A line that can't be taken keeps no other out; the exit status is 1 then.
    """
    with _new_file(refused_path) as refused_file:
        outcome = _Outcome(refused_file)
        interrupted = False
        try:
            configuration = Configuration.read(os.environ, config_file)
            interrupted = asyncio.run(_bring_in(source, configuration, data_path, outcome))
        except KeyboardInterrupt:  # the second, while nothing came from a pipe
            interrupted = True
        except CommandError:
            if outcome.last_line:
                _tell(outcome)
            raise
    _tell(outcome)
    if interrupted:
        say("interrupted: the same command goes on")
        sys.exit(INTERRUPTED)
    if outcome.refused:
        sys.exit(1)


async def _bring_in(
    source: BinaryIO, configuration: Configuration, data_path: Path | None, outcome: _Outcome
) -> bool:
    """Take the whole file; return whether somebody interrupted it."""
    os.nice(_NICENESS)
    try:
        async with local_store(configuration, data_path, LOADING) as (store, cap_seconds):
            with progress("importing", _length_of(source)) as advance, _uncollected():
                async with contextlib.aclosing(batches_of(source, store.key, cap_seconds)) as batches:
                    await _take_all(store, batches, outcome, advance)
            if outcome.short_values:
                say(
                    f"{outcome.short_values} values are shorter than {ADVISED_LENGTH} characters: longer, random "
                    "ones are harder to guess"
                )
    except asyncio.CancelledError:
        return True
    return False


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Do without the collector of circles: nothing here makes any, and it would look at all that a batch holds."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _take_all(
    store: SqliteStore,
    batches: AsyncGenerator[Batch, None],
    outcome: _Outcome,
    advance: Callable[[int], None],
) -> None:
    taker = _Taker(store, outcome)
    async for batch in batches:
        for refusal in batch.refusals:
            outcome.refuse(refusal)
        outcome.short_values = batch.short_values
        taker.waiting += batch.arrivals
        # A few that there was no time for go with the next ones: a change of few takes as long a pause as one of many.
        while len(taker.waiting) >= max(1, len(batch.arrivals)):
            await taker.take()
        advance(batch.size_bytes)
    while taker.waiting:
        await taker.take()
    await taker.folded()


class _Taker:
    """Takes arrivals, as many as there is time for in one change of the registry."""

    def __init__(self, store: SqliteStore, outcome: _Outcome) -> None:
        self.waiting: list[Arrival] = []
        self._store = store
        self._outcome = outcome
        self._intake = Intake(Actor.environment())
        self._clock = system_clock()
        self._released = 0.0
        self._folding = asyncio.ensure_future(_fold_log(store))

    async def take(self) -> None:
        """Take some of those that wait, not before the registry was let go of for long enough."""
        await self.folded()
        await asyncio.sleep(max(0.0, self._released + PAUSE_SECONDS - time.monotonic()))
        change = asyncio.ensure_future(self._store.change(self._step))
        try:
            taken = await asyncio.shield(change)
        except asyncio.CancelledError:
            self._outcome.add(await change)
            raise
        except StoreUnavailableError as error:
            raise UnreachableError(f"{error}; the same command goes on") from None
        self._released = time.monotonic()
        self._outcome.add(taken)
        self._outcome.last_line = self.waiting[taken.done - 1].line
        self.waiting = self.waiting[taken.done :]
        self._folding = asyncio.ensure_future(_fold_log(self._store))

    async def folded(self) -> None:
        """Wait until the log is short again."""
        await self._folding

    def _step(self, transaction: Transaction) -> Taken:
        ends = time.monotonic() + _HOLD_SECONDS
        return self._intake.take(transaction, self.waiting, self._clock(), lambda: time.monotonic() > ends)


async def _fold_log(store: SqliteStore) -> None:
    """Keep the log short; should that fail, a change will tell."""
    with contextlib.suppress(StoreUnavailableError):
        await store.fold_log()


def _length_of(source: BinaryIO) -> int | None:
    """How much there is to read, if that can be known."""
    try:
        status = os.fstat(source.fileno())
        return status.st_size - source.tell() if stat.S_ISREG(status.st_mode) else None
    except (OSError, ValueError):
        return None


def _tell(outcome: _Outcome) -> None:
    for refusal in sorted(outcome.told, key=lambda refusal: refusal.line):
        say(str(refusal))
    if outcome.refused > len(outcome.told):
        say(f"and {outcome.refused - len(outcome.told):,} more")
    click.echo(
        f"{outcome.imported:,} imported, {outcome.present:,} already there, {outcome.refused:,} refused"
    )
    if outcome.administrators:
        say(f"{outcome.administrators:,} of the imported have full access: they are administrators")


@contextlib.contextmanager
def _new_file(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise MisuseError(f"--refused {path}: can't be made ({error.strerror})") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yield file
