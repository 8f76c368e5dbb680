"""Whether the time of a refusal tells how close a guess is: `python -m benchmarks.timing [--samples N]`.

In the way of dudect (Reparaz, Balasch, Verbauwhede: Dude, is my code constant time?): values of two classes are
presented in random order, and Welch's t says whether their times differ. Below 4.5 no difference is seen. The times
are compared whole and without their longest, which are the machine's.

Values that people chose, minted ones and mistyped ones differ from each other by design: the checksum is public and
protects nothing. So guesses that are near to a live value are compared with guesses of the same kind that are as near
to a value that is nobody's; the last row shows that a difference is seen at all.
"""

from __future__ import annotations

import asyncio
import gc
import math
import random
import statistics
import string
import time
import zlib
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from benchmarks.population import populated
from benchmarks.report import Report, Row, json_option
from reductauth.actor import Actor, Identity
from reductauth.audit import AuditAction
from reductauth.authenticator import Authenticator
from reductauth.changes import new_token
from reductauth.clock import system_clock
from reductauth.draft import TokenDraft
from reductauth.errors import InvalidTokenError
from reductauth.permissions import Permissions
from reductauth.store import Transaction

__all__ = ["main", "run"]

_MOST = 4.5
_TOKENS = 1_000
_LIVE = 500
"""Values that are guessed at, of each kind."""
_BATCH = 5_000
_ADDRESS = "127.0.0.1"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_MARK = "-rsat1"
_RANDOM_LENGTH = 43
_CHECKSUM_LENGTH = 6
_ITSELF = "a class with itself"
_BY_DESIGN = "minted, mistyped (by design)"
_QUANTILES = (0.5, 0.75, 0.9, 0.99, 1.0)
"""Up to which the times of two classes together are compared."""

Guess = Callable[[], str]


class _Near:
    """Guesses of which so many characters are those of one of many values, all equally long."""

    def __init__(self, values: Sequence[str]) -> None:
        self._values = values
        self._start = values[0].find(_MARK) + len(_MARK) if _MARK in values[0] else 0
        self._end = self._start + _RANDOM_LENGTH

    def guess(self, right: int) -> str:
        """Guess `right` characters and no more; a checksum is right."""
        place = self._start + right
        near = random.choice(self._values)
        value = near[:place] + _other(near[place]) + _letters(self._end - place - 1)
        return _with_checksum(value) if self._start else value

    def mistyped(self, right: int) -> str:
        """Guess as before, with a wrong checksum."""
        value = self.guess(right)
        return value[:-1] + _other(value[-1])


def _pairs(chosen: Sequence[str], minted: Sequence[str]) -> dict[str, tuple[Guess, Guess]]:
    """Two classes each: near to a token's value, and near to one that is just as good and no token's.

    The nearer they are, the fewer they are, and what is presented often is faster: so both must be equally few, and
    near to many, since no two texts take quite the same time.
    """
    names = [value.partition(_MARK)[0] for value in minted]
    of_chosen, of_minted = (
        (
            _Near(values),
            _Near([value[: -_RANDOM_LENGTH - end] + _letters(_RANDOM_LENGTH + end) for value in values]),
        )
        for values, end in ((chosen, 0), (minted, _CHECKSUM_LENGTH))
    )
    pairs: dict[str, tuple[Guess, Guess]] = {}
    for words, right in (("1", 1), ("half", _RANDOM_LENGTH // 2), ("all but 1", _RANDOM_LENGTH - 1)):
        live, other = of_chosen
        pairs[f"chosen, {words} right"] = partial(live.guess, right), partial(other.guess, right)
        live, other = of_minted
        pairs[f"minted, {words} right"] = partial(live.guess, right), partial(other.guess, right)
        pairs[f"mistyped, {words} right"] = partial(live.mistyped, right), partial(other.mistyped, right)
    unknown = _Near(
        [value.replace(name, f"unkno-{name[6:]}") for value, name in zip(minted, names, strict=True)]
    )
    pairs["name of a token"] = partial(of_minted[0].guess, 0), partial(unknown.guess, 0)
    pairs[_ITSELF] = partial(of_minted[1].guess, 1), partial(of_minted[1].guess, 1)
    pairs[_BY_DESIGN] = partial(of_minted[0].guess, 0), partial(of_minted[0].mistyped, 0)
    return pairs


def _letters(count: int) -> str:
    return "".join(random.choices(_ALPHABET, k=count))


def _other(letter: str) -> str:
    return random.choice(_ALPHABET.replace(letter, ""))


def _with_checksum(start: str) -> str:
    """Give the start of a minted value the end that makes it one of ours."""
    checksum, digits = zlib.crc32(start.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        checksum, digit = divmod(checksum, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return start + digits


def welch_t(first: Sequence[float], second: Sequence[float]) -> float:
    """Welch's t of two samples."""
    means = statistics.fmean(first), statistics.fmean(second)
    errors = [
        statistics.variance(found, mean) / len(found)
        for found, mean in zip((first, second), means, strict=True)
    ]
    return (means[0] - means[1]) / math.sqrt(sum(errors))


def largest_t(first: Sequence[int], second: Sequence[int]) -> float:
    """The largest t of two samples, whole and cropped."""
    together = sorted([*first, *second])
    limits = [together[int((len(together) - 1) * quantile)] for quantile in _QUANTILES]
    cropped = [
        [[time_ns for time_ns in found if time_ns <= limit] for found in (first, second)] for limit in limits
    ]
    return max(abs(welch_t(*pair)) for pair in cropped)


def _present(authenticator: Authenticator, sent: bytes, now_us: int) -> int:
    """Present a value as the gate does; return how long its refusal took, in ns."""
    value = sent.decode()  # new, as from a request: nothing about it is remembered
    header = f"Bearer {value}"
    started = time.perf_counter_ns()
    lines = (header,)
    found: object = authenticator.recall(lines, _ADDRESS, now_us) or authenticator.refuse_mistyped(lines)
    if found is None:
        try:
            authenticator.authenticate(value, _ADDRESS, now_us).send(None)
        except StopIteration as answered:
            found = answered.value
    taken_ns = time.perf_counter_ns() - started
    if not isinstance(found, InvalidTokenError):
        raise AssertionError(f"{found} where a refusal was expected")
    return taken_ns


async def _measure(samples: int) -> dict[str, tuple[array[int], array[int]]]:
    chosen = [_letters(_RANDOM_LENGTH) for _ in range(_LIVE)]
    async with populated(_TOKENS) as population:
        store = population.store
        minted = [value for value, _ in population.grants[-_LIVE:]]

        def add(transaction: Transaction) -> None:
            for number, value in enumerate(chosen):
                draft = TokenDraft(permissions=Permissions.of(read=["b"]))
                token = new_token(f"chosen-{number}", draft, 1, "benchmark")
                digests = [store.key.digest(value)]
                transaction.add(1, Actor.environment(), AuditAction.CREATE, token, digests)

        await store.change(add)
        authenticator, now_us = Authenticator(store, store.key), system_clock()()
        for value in (*chosen, *minted):  # they are remembered
            if not isinstance(await authenticator.authenticate(value, _ADDRESS, now_us), Identity):
                raise AssertionError("refused")
        pairs = _pairs(chosen, minted)
        times = {name: (array("q"), array("q")) for name in pairs}
        gc.disable()
        try:
            for start in range(0, samples, _BATCH):
                count = min(_BATCH, samples - start)
                order = [(name, which) for name in pairs for which in (0, 1) for _ in range(count)]
                random.shuffle(order)  # before they are made: what is made last is nearest in memory
                guesses = [(name, which, pairs[name][which]().encode()) for name, which in order]
                for name, which, sent in guesses:
                    times[name][which].append(_present(authenticator, sent, now_us))
        finally:
            gc.enable()
    return times


async def run(samples: int) -> Report:
    """Compare the classes, with so many samples of each."""
    times = await _measure(samples)
    report = Report(
        "timing", f"Welch's |t| in place of a ratio, {samples:,} samples of each class; us: the median"
    )
    for name, (first, second) in times.items():
        goal = None if name == _BY_DESIGN else _MOST
        report.rows.append(Row(name, largest_t(first, second), statistics.median(first) / 1_000, goal=goal))
    return report


@click.command()
@click.option("--samples", default=500_000, show_default=True, help="Of each class; two are compared.")
@json_option
def main(samples: int, folder: Path) -> None:
    """Look for a difference in the time of refusals."""
    asyncio.run(run(samples)).show(folder)


if __name__ == "__main__":
    main()
