"""One decision in process by libraries of the field, the floor and us: `python -m benchmarks.peers [--tokens N ...]`.

All decide about the same tokens and take turns in one run. Slow ones decide fewer times in a round, about tokens that
lie evenly over the registry: a search through all of them then takes what it takes on average.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from benchmarks.authorize import SAMPLE, Decisions, Requests, received
from benchmarks.floor import Floor, floor_code
from benchmarks.libraries import (
    Casbin,
    FastCasbin,
    Itsdangerous,
    JwtEdDsa,
    JwtHs256,
    Peer,
    SaltedScan,
    SqliteRead,
    check_permission,
    secure,
)
from benchmarks.measure import Slow, Variant, take_turns
from benchmarks.population import Grants, populated
from benchmarks.report import Report, Row, json_option

__all__ = ["main", "run", "short"]

_FEW = 100
_ENFORCED_LINES = 2_000
"""Lines of its policy that the slower enforcer looks at in a round."""
_SCANNED = 40_000
"""Tokens whose digest a scan makes in a round."""
_UNKNOWN = "Bearer " + "0" * 64


@dataclass(frozen=True)
class _Part:
    """A peer, and how often it decides in a round."""

    peer: Peer
    operations: int


@contextlib.contextmanager
def _parts(grants: Grants) -> Iterator[dict[str, _Part]]:
    count = len(grants)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with contextlib.closing(SqliteRead(grants, folder)) as sqlite_read:
            yield {
                "PyJWT HS256": _Part(JwtHs256(grants), _FEW),
                "PyJWT EdDSA": _Part(JwtEdDsa(grants), _FEW),
                "itsdangerous URLSafeTimedSerializer": _Part(Itsdangerous(grants), 5 * _FEW),
                "pycasbin FastEnforcer": _Part(FastCasbin(grants, folder), _FEW),
                "pycasbin Enforcer": _Part(Casbin(grants, folder), max(1, _ENFORCED_LINES // count)),
                "an indexed SQLite read": _Part(sqlite_read, SAMPLE),
                "a scan over salted SHA-256": _Part(
                    SaltedScan(grants), min(SAMPLE, max(1, _SCANNED // count))
                ),
            }


def _requests(part: _Part, grants: Grants) -> Requests:
    step = len(grants) / part.operations
    numbers = [int((place + 0.5) * step) for place in range(part.operations)]
    random.shuffle(numbers)
    return received([(part.peer.header(number), grants[number][1]) for number in numbers])


def _check(name: str, peer: Peer, request: tuple[str, str]) -> None:
    """Make sure that a peer does the same work as the others."""
    header, bucket = request
    found = [peer.allows(*request), peer.allows(header, "other"), peer.allows(_UNKNOWN, bucket)]
    if found != [True, False, False]:
        raise AssertionError(f"{name}: allowed {found} of a good request, another bucket, an unknown value")


def _allowing(peer: Peer, requests: Requests) -> Slow:
    allows = peer.allows

    async def allow() -> None:
        for header, bucket in requests:
            if not allows(header, bucket):
                raise AssertionError("refused")

    return Slow(allow, len(requests))


def _refusing(peer: Peer, requests: Requests) -> Slow:
    allows = peer.allows

    async def refuse() -> None:
        for _, bucket in requests:
            if allows(_UNKNOWN, bucket):
                raise AssertionError("allowed")

    return Slow(refuse, len(requests))


async def _secured(grants: Grants) -> Slow:
    """Let aiohttp-security check requests that are there already: reading them takes none of its time."""
    app = web.Application()
    secure(app, Floor(grants))
    requests = [
        (make_mocked_request("GET", "/", headers={"Authorization": f"Bearer {value}"}, app=app), bucket)
        for value, bucket in random.choices(grants, k=_FEW)
    ]
    try:
        await check_permission(requests[0][0], "other")
    except web.HTTPForbidden:
        pass
    else:
        raise AssertionError("aiohttp-security allowed another bucket")

    async def allow() -> None:
        for request, bucket in requests:
            await check_permission(request, bucket)

    return Slow(allow, len(requests))


async def _variants(grants: Grants, parts: Mapping[str, _Part]) -> dict[str, Variant]:
    variants: dict[str, Variant] = {}
    for name, part in parts.items():
        requests = _requests(part, grants)
        _check(name, part.peer, requests[0])
        variants[name] = _allowing(part.peer, requests)
        if isinstance(part.peer, SaltedScan):
            variants[f"{name}, unknown value"] = _refusing(part.peer, requests)
    variants["aiohttp-security check_permission"] = await _secured(grants)
    return variants


async def run(counts: Sequence[int], rounds: int) -> Report:
    """Measure at each number of tokens."""
    report = Report("peers", "the floor, at the same number of tokens")
    for count in counts:
        async with populated(count) as population:
            decisions = Decisions(population)
            await decisions.remember()
            ours = decisions.variants()
            with _parts(population.grants) as parts:
                variants = {
                    "floor": ours["floor"],
                    "reductauth, good value": ours["good value, remembered"],
                    "reductauth, unknown value": ours["unknown value"],
                    **await _variants(population.grants, parts),
                }
                found = await take_turns(variants, SAMPLE, rounds)
        for name, microseconds in found.items():
            report.rows.append(Row(name, microseconds / found["floor"], microseconds, size=count))
    return report


def short() -> Report:
    """Measure in short form."""
    return asyncio.run(run((10,), 3))


@click.command()
@click.option("--tokens", "counts", type=int, multiple=True, default=(10, 1_000, 100_000), show_default=True)
@click.option("--rounds", default=40, show_default=True)
@json_option
def main(counts: tuple[int, ...], rounds: int, folder: Path) -> None:
    """Measure one decision by others."""
    print(floor_code())
    asyncio.run(run(counts, rounds)).show(folder)


if __name__ == "__main__":
    main()
