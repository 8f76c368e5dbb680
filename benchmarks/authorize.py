"""One decision in process, against the floor: `python -m benchmarks.authorize [--tokens N ...]`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.floor import Floor, floor_code
from benchmarks.measure import Variant, put_beside
from benchmarks.population import Population, clock_after_expiry, populated
from benchmarks.report import Report, Row, json_option
from reductauth.actor import Identity
from reductauth.authenticator import DEFAULT_CACHE_SIZE, Authenticator
from reductauth.clock import Clock, system_clock
from reductauth.permissions import Action
from reductauth.policy import bucket_denied

__all__ = ["SAMPLE", "Decisions", "Requests", "main", "received", "run", "short"]

SAMPLE = 2_000
"""Requests that a variant decides in a round."""
_READ = Action.READ
_CROWDED = f"good value, all tokens in use, {DEFAULT_CACHE_SIZE:,} remembered"

_FLOOR = "floor"
_GOOD = "good value, remembered"
_GOALS = {_GOOD: 1.6, "mistyped value": 1.5, "unknown value": 12.0, "good value, not remembered": 12.0}
_GROWTH = ((10, 100_000, 1.8), (1_000, 1_000_000, 2.0))

Requests = list[tuple[str, str]]
"""Pairs of header and bucket."""


def received(requests: Requests) -> Requests:
    """The same texts, made anew as from a socket: what lies far away in memory is the registry, not the request."""
    return [(header.encode().decode(), bucket.encode().decode()) for header, bucket in requests]


class Decisions:
    """Variants of one decision on one population, `SAMPLE` times each."""

    def __init__(self, population: Population) -> None:
        grants = population.grants
        self._store = population.store
        self._floor = Floor(grants)
        self._everybody: Requests = [(f"Bearer {value}", bucket) for value, bucket in grants]
        self._warm = self._authenticator(len(grants) + 1)
        self._cold = self._authenticator(1)
        self._usual = self._authenticator(DEFAULT_CACHE_SIZE)
        self._good = received(random.choices(self._everybody, k=SAMPLE))
        self._mistyped = [
            (header[:-1] + ("0" if header[-1] != "0" else "1"), bucket) for header, bucket in self._good
        ]
        self._unknown = [(f"Bearer {random.randbytes(24).hex()}", bucket) for _, bucket in self._good]
        self._forbidden = [(header, f"{bucket}-other") for header, bucket in self._good]

    def _authenticator(self, cache_size: int) -> Authenticator:
        return Authenticator(self._store, self._store.key, cache_size)

    async def remember(self) -> None:
        """Present every value once."""
        await self._decide(self._warm, self._everybody, system_clock(), refused=0)

    async def _decide(
        self, authenticator: Authenticator, requests: Requests, clock: Clock, refused: int
    ) -> None:
        denied = 0
        for header, bucket in requests:
            lines, now_us = (header,), clock()
            found = (
                authenticator.recall(lines, "127.0.0.1", now_us)
                or authenticator.refuse_mistyped(lines)
                or await authenticator.authenticate(header[7:], "127.0.0.1", now_us)
            )
            if not isinstance(found, Identity):
                denied += 1
            elif not found.permissions.allows(_READ, bucket):
                bucket_denied(found.token, _READ, bucket)
                denied += 1
        if denied != refused:
            raise AssertionError(f"{denied} requests were refused in place of {refused}")

    async def _notice(self) -> None:
        generation = self._store.generation
        for _ in range(SAMPLE):
            generation()

    def variants(self) -> dict[str, Variant]:
        """By their names; ratios are to the first."""
        clock, later = system_clock(), clock_after_expiry()
        decide = self._decide
        variants: dict[str, Variant] = {
            _FLOOR: lambda: self._floor.decide(self._good),
            _GOOD: lambda: decide(self._warm, self._good, clock, 0),
            "mistyped value": lambda: decide(self._warm, self._mistyped, clock, SAMPLE),
            "unknown value": lambda: decide(self._warm, self._unknown, clock, SAMPLE),
            "expired": lambda: decide(self._warm, self._good, later, SAMPLE),
            "forbidden": lambda: decide(self._warm, self._forbidden, clock, SAMPLE),
            "good value, not remembered": lambda: decide(self._cold, self._good, clock, 0),
            "expired, not remembered": lambda: decide(self._cold, self._good, later, SAMPLE),
            "noticing another process": self._notice,
        }
        if len(self._everybody) > DEFAULT_CACHE_SIZE:
            parts = itertools.cycle(self._crowd())
            variants[_CROWDED] = lambda: decide(self._usual, next(parts), clock, 0)
        return variants

    def _crowd(self) -> list[Requests]:
        """Requests of more tokens than an authenticator remembers."""
        return [
            received(random.choices(self._everybody, k=SAMPLE))
            for _ in range(0, 2 * DEFAULT_CACHE_SIZE, SAMPLE)
        ]


async def run(counts: Sequence[int], rounds: int) -> Report:
    """Measure at each number of tokens, then the growth from some to others, side by side."""
    report = Report("authorize", "the floor, at the same number of tokens")
    async with contextlib.AsyncExitStack() as stack:
        good: dict[int, Variant] = {}
        for count in counts:
            decisions = Decisions(await stack.enter_async_context(populated(count)))
            await decisions.remember()
            variants = decisions.variants()
            good[count] = variants[_GOOD]
            found = await put_beside(_FLOOR, variants, SAMPLE, rounds)
            report.rows += [
                Row(name, beside.ratio, beside.microseconds, goal=_GOALS.get(name), size=count)
                for name, beside in found.items()
            ]
        for few, many, goal in _GROWTH:
            if few in good and many in good:
                pair = {"few": good[few], "many": good[many]}
                beside = (await put_beside("few", pair, SAMPLE, 4 * rounds))["many"]
                name = f"good value, {many:,} tokens over {few:,}"
                report.rows.append(Row(name, beside.ratio, beside.microseconds, goal=goal))
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run((10,), 3))


@click.command()
@click.option(
    "--tokens", "counts", type=int, multiple=True, default=(10, 1_000, 100_000, 1_000_000), show_default=True
)
@click.option("--rounds", default=60, show_default=True)
@json_option
def main(counts: tuple[int, ...], rounds: int, folder: Path) -> None:
    """Measure one decision in process."""
    print(floor_code())
    asyncio.run(run(counts, rounds)).show(folder)


if __name__ == "__main__":
    main()
