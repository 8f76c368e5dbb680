"""A process that reads a file of tokens, so that reading and writing them each have a processor.

Rule of this file: the process ends with the command, however that ends. The command holds one end of a pipe, on which
the key comes too: neither a command line nor an environment is a place for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import orjson

from reductauth.cli.lines import MAX_LINE_BYTES, LineReader
from reductauth.clock import system_clock
from reductauth.key import RegistryKey
from reductauth.plain import PlainToken
from reductauth.record import PlainRecord
from reductauth.transfer import Arrival, Refusal

__all__ = ["Batch", "batches_of", "read_for"]

_BATCH_LINES = 8_000
_BATCH_BYTES = 4 * MAX_LINE_BYTES


@dataclass(slots=True)
class Batch:
    """What some lines say, in their order."""

    size_bytes: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    short_values: int = 0
    """Values of all lines so far that are shorter than is advised."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Go through a pipe as plain tuples: object by object it takes twice the time."""
        arrivals = [
            (line, tuple(token), last_access_us, digests, *has)
            for line, (token, last_access_us, digests), *has in self.arrivals
        ]
        return _batch, (self.size_bytes, arrivals, self.refusals, self.short_values)

    @property
    def is_full(self) -> bool:
        """Whether it is time to hand it over."""
        read = len(self.arrivals) + len(self.refusals)
        return read >= _BATCH_LINES or self.size_bytes > _BATCH_BYTES


def _batch(size_bytes: int, plain: list[Any], refusals: list[Refusal], short_values: int) -> Batch:
    """What `Batch.__reduce__` has taken apart."""
    arrivals = [
        Arrival(line, PlainRecord(PlainToken._make(token), *rest), has_id, has_creation)
        for line, token, *rest, has_id, has_creation in plain
    ]
    return Batch(size_bytes, arrivals, refusals, short_values)


async def batches_of(
    source: BinaryIO, key: RegistryKey, max_lifetime_seconds: int | None
) -> AsyncGenerator[Batch, None]:
    """Read a file, of which nothing was read yet, in another process: a batch at a time, while the last one is used."""
    theirs, ours = os.pipe()
    process = await asyncio.to_thread(_started, source, theirs)
    os.close(theirs)
    try:
        os.write(ours, orjson.dumps([key.to_hex(), max_lifetime_seconds]) + b"\n")
        while (batch := await asyncio.to_thread(_received, process)) is not None:
            yield batch
    finally:
        process.terminate()
        os.close(ours)
        process.communicate()


def _started(source: BinaryIO, pipe: int) -> subprocess.Popen[bytes]:
    code = f"from {__name__} import read_for; read_for({pipe})"
    return subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
        [sys.executable, "-c", code], stdin=source, stdout=subprocess.PIPE, pass_fds=(pipe,)
    )


def _received(process: subprocess.Popen[bytes]) -> Batch | None:
    if process.stdout is None:
        raise AssertionError("its output is a pipe")
    try:
        batch: Batch = pickle.load(process.stdout)  # noqa: S301 - our own process wrote it
    except EOFError:
        return None
    return batch


def _batches(source: BinaryIO, reader: LineReader) -> Iterator[Batch]:
    batch = Batch()
    for number, line, length in _lines(source):
        if line is None:
            batch.refusals.append(Refusal(number, None, f"is longer than {MAX_LINE_BYTES} bytes"))
        elif line:
            found = reader.read(number, line)
            if isinstance(found, Refusal):
                batch.refusals.append(found)
            else:
                batch.arrivals.append(found)
        batch.size_bytes += length
        batch.short_values = reader.short_values
        if batch.is_full:
            yield batch
            batch = Batch()
    yield batch


def _lines(source: BinaryIO) -> Iterator[tuple[int, bytes | None, int]]:
    """Number, content and length of each line; one that is too long has no content."""
    number = 0
    while piece := source.readline(MAX_LINE_BYTES + 2):
        number += 1
        length = len(piece)
        line: bytes | None = piece.rstrip(b"\r\n")
        if line is not None and len(line) > MAX_LINE_BYTES:
            line = None
            while not piece.endswith(b"\n") and (piece := source.readline(MAX_LINE_BYTES)):
                length += len(piece)
        yield number, line, length


def read_for(pipe: int) -> None:
    """Read standard input for the command that holds the other end of a pipe, and write batches to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the command
    command = os.fdopen(pipe, "rb")
    key_hex, max_lifetime_seconds = orjson.loads(command.readline())
    threading.Thread(target=_end_with, args=(command,), daemon=True).start()
    gc.disable()  # nothing here makes circles
    reader = LineReader(RegistryKey.from_hex(key_hex, "pipe"), system_clock(), max_lifetime_seconds)
    with contextlib.suppress(BrokenPipeError):
        for batch in _batches(sys.stdin.buffer, reader):
            pickle.dump(batch, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
            sys.stdout.buffer.flush()


def _end_with(command: BinaryIO) -> None:
    command.read()
    os._exit(0)
