"""What a value that is not remembered costs, piece by piece: `python -m benchmarks.lookup [--tokens N ...]`."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.floor import Floor, floor_code
from benchmarks.measure import Variant, take_turns
from benchmarks.population import Population, populated
from benchmarks.report import Report, Row, json_option
from reductauth.authenticator import Authenticator
from reductauth.clock import system_clock
from reductauth.sqlite import reader
from reductauth.sqlite.rows import TOKEN_COLUMNS, secret_of, token_of
from reductauth.sqlite.seal import SEAL_COLUMNS, SEALED_COLUMNS, Sealer

__all__ = ["main", "run", "short"]

_LOOKUPS = 500
_FLOOR = "floor"
_WHOLE = "a value that is not remembered"
_CROWDED = "a value that is not remembered, among as many as there is room for"

_OF_DIGEST = "FROM secrets JOIN tokens ON tokens.key = secrets.token_key WHERE digest = ?"
# What is looked up beside the row itself, in searches of their own, stands at the end of each list.
_SEALED = SEALED_COLUMNS.partition(", (")[0]
_PLAIN = TOKEN_COLUMNS.replace(SEALED_COLUMNS, _SEALED).replace(SEAL_COLUMNS, "seal")


class _Pieces:
    """What a lookup is made of, each for the same values."""

    def __init__(self, population: Population) -> None:
        store = population.store
        grants = random.choices(population.grants, k=_LOOKUPS)
        self._requests = [(f"Bearer {value}", bucket) for value, bucket in grants]
        self._count = len(population.grants)
        self._values = [value for value, _ in grants]
        self._key = store.key
        self._floor = Floor(population.grants)
        self._forgetful = Authenticator(store, store.key, cache_size=1)
        # In turn, each value is pushed out before it comes again.
        self._crowded = Authenticator(store, store.key, cache_size=len(population.grants) - 1)
        self._everybody = itertools.cycle([value for value, _ in population.grants])
        self._connection = store._lookups  # noqa: SLF001 - the pieces of a lookup are not public
        self._digests = [store.key.digest(value) for value in self._values]
        self._rows = [self._connection.execute(reader.FIND, (digest,)).fetchone() for digest in self._digests]

    def variants(self) -> dict[str, Variant]:
        width, sealer = reader.SECRET_WIDTH, Sealer(self._key)
        return {
            _FLOOR: lambda: self._floor.decide(self._requests),
            _WHOLE: lambda: self._look_up(self._forgetful, self._values),
            _CROWDED: lambda: self._look_up(self._crowded, itertools.islice(self._everybody, _LOOKUPS)),
            "the whole statement": self._ask(reader.FIND),
            "the whole statement, without the locks of a transaction": self._ask_in_transaction,
            "its row without values and audit": self._ask(f"SELECT {_PLAIN} {_OF_DIGEST}"),
            "its token's number alone": self._ask("SELECT token_key FROM secrets WHERE digest = ?"),
            "a statement that reads nothing": self._ask("SELECT ?"),
            "the token of the row, its seal too": self._make(lambda row: token_of(row[width:], sealer)),
            "the seal of the row": self._make(lambda row: sealer.fault(row[width:])),
            "the value's own record": self._make(lambda row: secret_of(row[:width])),
            "the digest": self._digest,
        }

    async def fill(self) -> None:
        """Remember as many values as there is room for, and have a good part of them pushed out."""
        await self._look_up(self._crowded, itertools.islice(self._everybody, self._count * 5 // 4))

    async def _look_up(self, authenticator: Authenticator, values: Iterable[str]) -> None:
        clock = system_clock()
        for value in values:
            await authenticator.authenticate(value, "127.0.0.1", clock())

    def _ask(self, statement: str) -> Variant:
        async def ask() -> None:
            for digest in self._digests:
                self._connection.execute(statement, (digest,)).fetchone()

        return ask

    async def _ask_in_transaction(self) -> None:
        self._connection.execute("BEGIN")
        await self._ask(reader.FIND)()
        self._connection.execute("ROLLBACK")

    def _make(self, work: Callable[[tuple[Any, ...]], object]) -> Variant:
        async def make() -> None:
            for row in self._rows:
                work(row)

        return make

    async def _digest(self) -> None:
        for value in self._values:
            self._key.digest(value)


async def run(counts: Sequence[int], rounds: int) -> Report:
    """Measure at each number of tokens."""
    report = Report("lookup", "the floor, at the same number of tokens")
    for count in counts:
        async with populated(count) as population:
            pieces = _Pieces(population)
            await pieces.fill()
            found = await take_turns(pieces.variants(), _LOOKUPS, rounds)
        for name, microseconds in found.items():
            goal = 12 if name in {_WHOLE, _CROWDED} else None
            report.rows.append(Row(name, microseconds / found[_FLOOR], microseconds, goal=goal, size=count))
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run((1_000,), 3))


@click.command()
@click.option("--tokens", "counts", type=int, multiple=True, default=(10, 1_000, 100_000), show_default=True)
@click.option("--rounds", default=60, show_default=True)
@json_option
def main(counts: tuple[int, ...], rounds: int, folder: Path) -> None:
    """Measure the pieces of a lookup."""
    print(floor_code())
    asyncio.run(run(counts, rounds)).show(folder)


if __name__ == "__main__":
    main()
