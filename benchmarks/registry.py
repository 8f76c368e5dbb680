"""Changes, pages and lookups as the registry grows: `python -m benchmarks.registry [--tokens N ...]`.

Registries of all sizes take their turns in one run. A change is what a caller of the registry waits for: the way to
the writer's thread and back, the actor's check, the entry of the audit, the seals, the commit, the sync, and its
share of SQLite's checkpoints. The disk's floor appends as many bytes as a creation keeps to a file on the same file
system, and calls fdatasync, as SQLite does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import click
import orjson

from benchmarks.measure import Variant, take_turns
from benchmarks.population import Population, populated
from benchmarks.report import Report, Row, json_option
from reductauth.actor import Actor, Identity
from reductauth.audit import change_of
from reductauth.authenticator import Authenticator
from reductauth.changes import new_token
from reductauth.clock import system_clock
from reductauth.draft import TokenDraft
from reductauth.edit import TokenEdit
from reductauth.permissions import Permissions
from reductauth.plain import PlainToken
from reductauth.query import DEFAULT_LIMIT, TokenQuery
from reductauth.registry import TokenRegistry
from reductauth.web.listing import page_body, protocol_rows

__all__ = ["main", "run", "short"]

_CHANGES = 128
"""In a turn: enough that SQLite moves its log into the file in most turns."""
_FEW_CHANGES = 64
_IN_FLIGHT = 64
_LOOKUPS = 500
_IN_USE = 1_024
_IN_USE_TOKENS = 100_000
_PAGES = 4
_FLAT = 1.5
_DRAFT = TokenDraft(permissions=Permissions.of(read=["bucket-7"], write=["bucket-7"]))
_ADDRESS = "127.0.0.1"

_FLOOR = "append and fdatasync"
_CREATION, _EDIT, _ROTATION, _REVOCATION = "creation", "edit", "rotation", "revocation"
_TOGETHER = f"creation, {_IN_FLIGHT} in flight, each"
_KNOWN, _UNKNOWN = "good value, not remembered", "unknown value"
_FIRST_PAGE, _DEEP_PAGE = f"first page of {DEFAULT_LIMIT}", f"last page of {DEFAULT_LIMIT}"
_STEADY = f"{_IN_USE:,} tokens in use"
_AFTER_CREATION, _AFTER_EDIT = f"{_STEADY}, after a creation", f"{_STEADY}, after an edit of another"

Key = tuple[str, int]
"""What is done, with how many tokens."""
Times = dict[Key, float]


class _Floor:
    """Appends what a creation keeps, as lines of JSON, to a file."""

    def __init__(self, path: Path, lines: int) -> None:
        token = new_token("token-1000000", _DRAFT, 1, "administrator")
        digest, mac = random.randbytes(32).hex(), random.randbytes(32).hex()
        kept = [PlainToken.of(token)._asdict(), digest, change_of(None, token), mac, _ADDRESS]
        self._lines = lines
        self._line = orjson.dumps(kept, option=orjson.OPT_APPEND_NEWLINE)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def append(self) -> None:
        for _ in range(self._lines):
            os.write(self._file, self._line)
            os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


class _Changes:
    """Changes of one registry, by a token with full access."""

    def __init__(self, population: Population, registry: TokenRegistry, actor: Actor, changes: int) -> None:
        self._registry = registry
        self._changes = changes
        self._actor = actor
        self._kept = range(len(population.grants))
        self._numbers = itertools.count()
        self._made: list[str] = []

    @classmethod
    async def of(cls, population: Population, changes: int) -> _Changes:
        """Make the token that asks for `changes` of a kind in a turn."""
        clock = system_clock()
        registry = TokenRegistry(population.store, population.store.key, clock)
        draft = TokenDraft(permissions=Permissions(full_access=True))
        minted = await registry.create(Actor.environment(), "administrator", draft)
        authenticator = Authenticator(population.store, population.store.key)
        identity = await authenticator.authenticate(minted.value, _ADDRESS, clock())
        if not isinstance(identity, Identity):
            raise AssertionError("refused")
        return cls(population, registry, Actor.of(identity), changes)

    async def create(self) -> None:
        for _ in range(self._changes):
            await self.create_one()

    async def create_together(self) -> None:
        for _ in range(self._changes // _IN_FLIGHT):
            await _gathered(self.create_one() for _ in range(_IN_FLIGHT))

    async def edit(self) -> None:
        for name in self._some():
            edit = TokenEdit(description=f"edit {next(self._numbers)}")
            await self._registry.edit(self._actor, name, edit)

    async def rotate(self) -> None:
        for name in self._some():
            await self._registry.rotate(self._actor, name)

    async def revoke(self) -> None:
        for name in self._made:
            await self._registry.revoke(self._actor, name)

    async def prepare_creation(self) -> None:
        """Forget what was made: the registry keeps its size."""
        await _gathered(self._registry.delete(self._actor, name) for name in self._made)
        self._made.clear()

    async def prepare_revocation(self) -> None:
        await self.prepare_creation()
        await _gathered(self.create_one() for _ in range(self._changes))

    async def create_one(self) -> None:
        name = f"made-{next(self._numbers)}"
        await self._registry.create(self._actor, name, _DRAFT)
        self._made.append(name)

    async def edit_administrator(self) -> None:
        edit = TokenEdit(description=f"edit {next(self._numbers)}")
        await self._registry.edit(self._actor, self._actor.name, edit)

    def _some(self) -> list[str]:
        return [f"token-{number}" for number in random.choices(self._kept, k=self._changes)]


class _Lookups:
    """Values that are not in the cache."""

    def __init__(self, population: Population) -> None:
        self._grants = population.grants
        self._authenticator = Authenticator(population.store, population.store.key, cache_size=1)
        self._values: list[str] = []
        self._are_known = False

    async def choose_known(self) -> None:
        self._are_known = True
        self._values = [value for value, _ in random.choices(self._grants, k=_LOOKUPS)]

    async def choose_unknown(self) -> None:
        self._are_known = False
        self._values = [random.randbytes(24).hex() for _ in range(_LOOKUPS)]

    async def look_up(self) -> None:
        authenticate, clock = self._authenticator.authenticate, system_clock()
        for value in self._values:
            identity = await authenticate(value, _ADDRESS, clock())
            if isinstance(identity, Identity) is not self._are_known:
                raise AssertionError("refused" if self._are_known else "accepted")


class _Pages:
    """Pages in the order of names, as the storage protocol shows them."""

    def __init__(self, population: Population) -> None:
        self._listing = TokenRegistry(population.store, population.store.key, system_clock()).listing
        self._last = max(0, len(population.grants) - DEFAULT_LIMIT)

    async def first(self) -> None:
        await self._show(0)

    async def last(self) -> None:
        await self._show(self._last)

    async def _show(self, offset: int) -> None:
        query = TokenQuery(offset=offset)
        for _ in range(_PAGES):
            page_body(await self._listing.page(query, protocol_rows), query)


class _InUse:
    """Decisions on tokens that were all presented before."""

    def __init__(self, population: Population, changes: _Changes) -> None:
        self._changes = changes
        self._authenticator = Authenticator(population.store, population.store.key)
        self._values = [value for value, _ in random.choices(population.grants, k=_IN_USE)]

    async def create(self) -> None:
        await self._changes.create_one()

    async def edit(self) -> None:
        await self._changes.edit_administrator()

    async def decide(self) -> None:
        authenticator, clock = self._authenticator, system_clock()
        for value in self._values:
            now_us = clock()
            identity = authenticator.recall(value, _ADDRESS, now_us) or await authenticator.authenticate(
                value, _ADDRESS, now_us
            )
            if not isinstance(identity, Identity):
                raise AssertionError("refused")


async def _gathered(work: Iterable[Awaitable[object]]) -> None:
    await asyncio.gather(*work)


async def run(counts: Sequence[int], rounds: int, changes_in_turn: int = _CHANGES) -> Report:
    """Measure at each number of tokens."""
    report = Report("registry", f"the disk's floor ({_FLOOR}) where no other is named")
    async with contextlib.AsyncExitStack() as stack:
        populations = {count: await stack.enter_async_context(populated(count)) for count in counts}
        changes = {
            count: await _Changes.of(population, changes_in_turn) for count, population in populations.items()
        }
        floor = _Floor(next(iter(populations.values())).folder.with_name("floor"), changes_in_turn)
        stack.callback(floor.close)
        gc.collect()
        gc.freeze()  # what the benchmark itself keeps would be walked at every collection
        # Changes come last: a rotation ends the values that the others present.
        steady = await _in_use_times(populations, changes, rounds)
        lookups = await _lookup_times(populations, rounds)
        pages = await _page_times(populations, rounds)
        times = await _change_times(changes, floor, rounds, changes_in_turn) | lookups | pages
    _add_changes(report, times, counts)
    _add_growth(report, times, counts)
    if steady:
        report.rows += [
            Row(
                f"{name}, over without",
                steady[name] / steady[_STEADY],
                steady[name],
                goal=1.3,
                size=_IN_USE_TOKENS,
            )
            for name in (_AFTER_CREATION, _AFTER_EDIT)
        ]
    return report


async def _change_times(
    changes: dict[int, _Changes], floor: _Floor, rounds: int, changes_in_turn: int
) -> Times:
    variants: dict[Key, Variant] = {(_FLOOR, 0): floor.append}
    before: dict[Key, Variant] = {}
    for count, one in changes.items():
        variants |= {
            (_CREATION, count): one.create,
            (_TOGETHER, count): one.create_together,
            (_EDIT, count): one.edit,
            (_ROTATION, count): one.rotate,
            (_REVOCATION, count): one.revoke,
        }
        before |= {
            (_CREATION, count): one.prepare_creation,
            (_TOGETHER, count): one.prepare_creation,
            (_REVOCATION, count): one.prepare_revocation,
        }
    return await take_turns(variants, changes_in_turn, rounds, time.perf_counter, before)


async def _lookup_times(populations: dict[int, Population], rounds: int) -> Times:
    variants: dict[Key, Variant] = {}
    before: dict[Key, Variant] = {}
    for count, population in populations.items():
        lookups = _Lookups(population)
        for name, choose in ((_KNOWN, lookups.choose_known), (_UNKNOWN, lookups.choose_unknown)):
            variants[name, count] = lookups.look_up
            before[name, count] = choose
    return await take_turns(variants, _LOOKUPS, rounds, before=before)


async def _page_times(populations: dict[int, Population], rounds: int) -> Times:
    variants: dict[Key, Variant] = {}
    for count, population in populations.items():
        if count >= DEFAULT_LIMIT:
            pages = _Pages(population)
            variants |= {(_FIRST_PAGE, count): pages.first, (_DEEP_PAGE, count): pages.last}
    return await take_turns(variants, _PAGES, rounds, time.process_time)


async def _in_use_times(
    populations: dict[int, Population], changes: dict[int, _Changes], rounds: int
) -> dict[str, float]:
    if _IN_USE_TOKENS not in populations:
        return {}
    one = _InUse(populations[_IN_USE_TOKENS], changes[_IN_USE_TOKENS])
    before: dict[str, Callable[[], Awaitable[None]]] = {_AFTER_CREATION: one.create, _AFTER_EDIT: one.edit}
    variants = dict.fromkeys((_STEADY, *before), one.decide)
    return await take_turns(variants, _IN_USE, rounds, before=before)


def _add_changes(report: Report, times: Times, counts: Sequence[int]) -> None:
    floor = times[_FLOOR, 0]
    report.rows.append(Row(_FLOOR, 1.0, floor))
    for name in (_CREATION, _EDIT, _ROTATION, _REVOCATION):
        goal = 2.2 if name == _CREATION else None
        for count in counts:
            found = times[name, count]
            report.rows.append(Row(name, found / floor, found, goal=goal, size=count))
    for count in counts:
        found = times[_TOGETHER, count]
        report.rows.append(
            Row(f"{_TOGETHER}, over one", found / times[_CREATION, count], found, goal=0.15, size=count)
        )


def _add_growth(report: Report, times: Times, counts: Sequence[int]) -> None:
    """Compare every size with the smallest that was measured."""
    for name in dict.fromkeys(name for name, _ in times if name != _FLOOR):
        few, *others = (count for count in counts if (name, count) in times)
        for many in others:
            ratio = times[name, many] / times[name, few]
            goal = 1.3 if name == _CREATION else _FLAT
            report.rows.append(
                Row(f"{name}, over {few:,} tokens", ratio, times[name, many], goal=goal, size=many)
            )


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run((10, 1_000), 2, _FEW_CHANGES))


@click.command()
@click.option(
    "--tokens", "counts", type=int, multiple=True, default=(10, 1_000, 100_000, 1_000_000), show_default=True
)
@click.option("--rounds", default=20, show_default=True)
@json_option
def main(counts: tuple[int, ...], rounds: int, folder: Path) -> None:
    """Measure changes, pages and lookups as the registry grows."""
    asyncio.run(run(counts, rounds)).show(folder)


if __name__ == "__main__":
    main()
