"""Importing and exporting tokens while a server serves from the same folder: `python -m benchmarks.transfer`.

The real commands, a server in a process of its own, and reads of it at a steady rate, each timed from when it was due.
What counts is the 99th percentile of these reads during the import over that before and after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.process import started
from benchmarks.report import Report, Row, json_option
from benchmarks.served import BUCKET
from reductauth.changes import new_token
from reductauth.cli.lines import line_of
from reductauth.draft import TokenDraft
from reductauth.key import RegistryKey
from reductauth.permissions import Permissions
from reductauth.record import SecretDigest, TokenRecord
from reductauth.sqlite.files import RegistryFolder

__all__ = ["main", "run", "short"]

_MILLION = 1_000_000
_GOAL_SECONDS = 120.0
_READS_PER_SECOND = 200
_END = b"x" * 100


@dataclass(frozen=True)
class _Server:
    """A guarded application on a data folder."""

    port: int
    value: str
    folder: Path

    async def read(self, latencies_us: list[float]) -> None:
        """Read at a steady rate until cancelled."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        request = (
            f"GET /api/v1/b/{BUCKET}/oslo HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.value}\r\n\r\n"
        ).encode()
        try:
            due = time.perf_counter()
            while True:
                due += 1 / _READS_PER_SECOND
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                writer.write(request)
                answer = await reader.readuntil(_END)
                latencies_us.append((time.perf_counter() - due) * 1_000_000)
                if not answer.startswith(b"HTTP/1.1 200 "):
                    raise AssertionError(answer)
        finally:
            writer.close()

    async def command(self, name: str, file: Path) -> float:
        """Run a command on the folder to its end; return how many seconds it took."""
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "reductauth", name, str(file), "--data", str(self.folder)),
            stdout=DEVNULL,
            stderr=DEVNULL,
            env={name: value for name, value in os.environ.items() if not name.startswith("RS_")},
        )
        if await process.wait() != 0:
            raise AssertionError(f"{name} failed")
        return time.perf_counter() - started


@contextlib.asynccontextmanager
async def _read_beside(server: _Server, latencies_us: list[float]) -> AsyncIterator[None]:
    reading = asyncio.create_task(server.read(latencies_us))
    try:
        yield
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


def _write(file: Path, count: int, key: RegistryKey) -> None:
    """Write tokens as an export does, sorted by name."""
    with file.open("wb") as lines:
        for number in range(count):
            draft = TokenDraft(permissions=Permissions.of(read=[f"bucket-{number % 100}"]))
            token = new_token(f"token-{number:07}", draft, number, "benchmark")
            digest = SecretDigest(key.key_id, key.digest(token.token_id), number)
            lines.write(line_of(TokenRecord(token, (digest,)), number))


async def run(tokens: int, quiet_seconds: float) -> Report:
    """Measure reads without an import, during one, and without again; then an import of the same, and an export."""
    alone_us: list[float] = []
    beside_us: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        async with started("benchmarks.served", "guarded") as process:
            told = process.told
            server = _Server(told["port"], told["value"], Path(told["folder"]))
            file = Path(folder) / "tokens.jsonl"
            await asyncio.to_thread(_write, file, tokens, RegistryFolder(server.folder / "auth").stored_key())
            async with _read_beside(server, alone_us):
                await asyncio.sleep(quiet_seconds)
            async with _read_beside(server, beside_us):
                import_seconds = await server.command("import", file)
            async with _read_beside(server, alone_us):
                await asyncio.sleep(quiet_seconds)
            again_seconds = await server.command("import", file)
            export_seconds = await server.command("export", Path(folder) / "exported.jsonl")
    report = Report("transfer", "reads while nothing is imported, for the 99th percentile")
    goal = _GOAL_SECONDS if tokens == _MILLION else None
    alone, beside = (statistics.quantiles(found, n=100)[-1] for found in (alone_us, beside_us))
    report.rows += [
        Row("import", None, import_seconds, "s", goal, size=tokens),
        Row("imported tokens a second", None, tokens / import_seconds, "1/s", size=tokens),
        Row("p99 of reads beside the import", beside / alone, beside, goal=2.0, size=tokens),
        Row("import of what is there", None, again_seconds, "s", size=tokens),
        Row("export", None, export_seconds, "s", size=tokens),
    ]
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run(1_000, 0.5))


@click.command()
@click.option("--tokens", default=_MILLION, show_default=True)
@click.option(
    "--quiet-seconds", default=20.0, show_default=True, help="Reads without an import, before and after."
)
@json_option
def main(tokens: int, quiet_seconds: float, folder: Path) -> None:
    """Measure import and export beside a server."""
    asyncio.run(run(tokens, quiet_seconds)).show(folder)


if __name__ == "__main__":
    main()
