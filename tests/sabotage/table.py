"""The table of sabotages: what switches a mechanism off, and which tests must notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["SABOTAGES", "Sabotage", "noticed_by", "put"]


@dataclass(frozen=True)
class Sabotage:
    """`switch_off` takes hold in the process that calls it, before a server is built."""

    switch_off: Callable[[], None]
    tests: tuple[str, ...]


SABOTAGES: dict[str, Sabotage] = {}


def noticed_by(*tests: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Enter a sabotage; every one of the tests must notice it."""

    def enter(switch_off: Callable[[], None]) -> Callable[[], None]:
        SABOTAGES[switch_off.__name__] = Sabotage(switch_off, tests)
        return switch_off

    return enter


def put(owner: object, name: str, replacement: object) -> None:
    """Replace what is there; raise `AttributeError` if nothing is."""
    getattr(owner, name)
    setattr(owner, name, replacement)
