"""One decision in process, against the floor: `python -m benchmarks.authorize [--tokens N ...]`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.floor import Floor, floor_code
from benchmarks.measure import Variant, take_turns
from benchmarks.population import Population, populated
from benchmarks.report import Report, Row, json_option
from reductauth.actor import Identity
from reductauth.authenticator import Authenticator
from reductauth.clock import system_clock
from reductauth.permissions import Action

__all__ = ["main", "run", "short"]

_SAMPLE = 2_000
_READ = Action.READ

Requests = list[tuple[str, str]]


def _received(requests: Requests) -> Requests:
    """The same texts, made anew as from a socket: what lies far away in memory is the registry, not the request."""
    return [(header.encode().decode(), bucket.encode().decode()) for header, bucket in requests]


class _Decisions:
    """Variants of one decision on one population."""

    def __init__(self, population: Population) -> None:
        grants = population.grants
        self.floor = Floor(grants)
        self.warm = Authenticator(population.store, population.store.key, cache_size=len(grants) + 1)
        self.cold = Authenticator(population.store, population.store.key, cache_size=1)
        self.store = population.store
        self.everybody: Requests = [(f"Bearer {value}", bucket) for value, bucket in grants]
        self.requests: Requests = _received(random.choices(self.everybody, k=_SAMPLE))
        self.mistyped = [
            (header[:-1] + ("0" if header[-1] != "0" else "1"), bucket) for header, bucket in self.requests
        ]
        self.unknown = [(f"Bearer {random.randbytes(24).hex()}", bucket) for _, bucket in self.requests]

    async def accept(self, authenticator: Authenticator, requests: Requests) -> None:
        recall, authenticate, clock = authenticator.recall, authenticator.authenticate, system_clock()
        for header, bucket in requests:
            now_us = clock()
            identity = recall((header,), "127.0.0.1", now_us) or await authenticate(
                header[7:], "127.0.0.1", now_us
            )
            if not isinstance(identity, Identity) or not identity.permissions.allows(_READ, bucket):
                raise AssertionError("refused")

    async def refuse(self, requests: Requests) -> None:
        recall, authenticate, clock = self.warm.recall, self.warm.authenticate, system_clock()
        for header, _ in requests:
            now_us = clock()
            identity = recall((header,), "127.0.0.1", now_us) or await authenticate(
                header[7:], "127.0.0.1", now_us
            )
            if isinstance(identity, Identity):
                raise AssertionError("accepted")

    async def notice(self) -> None:
        generation = self.store.generation
        for _ in range(_SAMPLE):
            generation()

    def variants(self) -> dict[str, Variant]:
        return {
            "floor": lambda: self.floor.decide(self.requests),
            "good value, remembered": lambda: self.accept(self.warm, self.requests),
            "mistyped value": lambda: self.refuse(self.mistyped),
            "unknown value": lambda: self.refuse(self.unknown),
            "good value, not remembered": lambda: self.accept(self.cold, self.requests),
            "noticing another process": self.notice,
        }


async def run(counts: Sequence[int], rounds: int) -> Report:
    """Measure at each number of tokens."""
    report = Report("authorize", "the floor, at the same number of tokens")
    warm: dict[int, float] = {}
    for count in counts:
        async with populated(count) as population:
            decisions = _Decisions(population)
            await decisions.accept(decisions.warm, decisions.everybody)
            found = await take_turns(decisions.variants(), _SAMPLE, rounds)
        floor = found["floor"]
        goals = {
            "good value, remembered": 1.6,
            "mistyped value": 1.5,
            "unknown value": 12,
            "good value, not remembered": 12,
        }
        for name, microseconds in found.items():
            goal = goals.get(name)
            report.rows.append(Row(name, microseconds / floor, microseconds, goal=goal, size=count))
        warm[count] = found["good value, remembered"]
    for few, many, goal in ((10, 100_000, 1.8), (1_000, 1_000_000, 2.0)):
        if few in warm and many in warm:
            name = f"good value, {many:,} tokens over {few:,}"
            report.rows.append(Row(name, warm[many] / warm[few], warm[many], goal=goal))
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run((10, 1_000), 20))


@click.command()
@click.option("--tokens", "counts", type=int, multiple=True, default=(10, 1_000, 100_000), show_default=True)
@click.option("--rounds", default=60, show_default=True)
@json_option
def main(counts: tuple[int, ...], rounds: int, folder: Path) -> None:
    """Measure one decision in process."""
    print(floor_code())
    asyncio.run(run(counts, rounds)).show(folder)


if __name__ == "__main__":
    main()
