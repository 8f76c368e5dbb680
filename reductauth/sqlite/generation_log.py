"""Which tokens each of the last generations was about, so that a reader need not distrust all that it knows.

Rule of this file: in doubt it is any token. A generation that is not written down here leaves a gap, which is seen:
each names the one before it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

import orjson

__all__ = ["advance", "changed_between", "skip"]

_MAX_TOKENS = 1_000
"""Of one generation; of more, any may have changed."""
_MAX_GENERATIONS = 1_000
"""Of those that are kept, those that can be asked for at once."""
_TIDIED_EVERY = 512

_ADVANCE = """
INSERT INTO generations (generation, previous, token_ids)
SELECT max(value + 2, ?), value, ? FROM meta WHERE name = 'generation' RETURNING generation
"""
_KEEP = "UPDATE meta SET value = ? WHERE name = 'generation'"
_SKIP = "UPDATE meta SET value = value + 2 WHERE name = 'generation'"
_FORGET = "DELETE FROM generations WHERE generation <= ?"
_SINCE = f"""
SELECT generation, previous, token_ids FROM generations WHERE generation > ? ORDER BY generation
LIMIT {_MAX_GENERATIONS}
"""


def advance(connection: sqlite3.Connection, at_least: int, token_ids: Collection[str] | None) -> int:
    """Go on to the next generation, an even number, which is about these tokens; None: about any."""
    named = None if token_ids is None or len(token_ids) > _MAX_TOKENS else orjson.dumps([*token_ids]).decode()
    (generation,) = connection.execute(_ADVANCE, (at_least, named)).fetchone()
    connection.execute(_KEEP, (generation,))
    if generation // 2 % _TIDIED_EVERY == 0:
        connection.execute(_FORGET, (generation - 2 * _MAX_GENERATIONS,))
    return int(generation)


def skip(connection: sqlite3.Connection) -> None:
    """Go on to the next generation, and write nothing down about it."""
    connection.execute(_SKIP)


def changed_between(connection: sqlite3.Connection, earlier: int, later: int) -> frozenset[str] | None:
    """Name the tokens that changed after a generation and up to a later one, perhaps some more; None: perhaps all."""
    known = earlier
    changed: set[str] = set()
    for generation, previous, token_ids in connection.execute(_SINCE, (earlier,)):
        named = _named(token_ids)
        if previous != known or named is None:
            return None
        known = generation
        changed |= named
    return frozenset(changed) if known >= later else None


def _named(token_ids: str | None) -> set[str] | None:
    try:
        named = orjson.loads(token_ids or "null")
    except orjson.JSONDecodeError:
        return None
    return set(named) if isinstance(named, list) and all(isinstance(one, str) for one in named) else None
