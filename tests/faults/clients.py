"""Many clients that change tokens at once, and look afterwards whether what they were told is so."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession

from tests.faults.history import CHANGES, Change, TokenHistory
from tests.servers import ROOT_VALUE

__all__ = ["Clients", "bearer", "books", "check_integrity", "create", "status_of", "views"]

_TOKENS_OF_A_CLIENT = 4
_NOTHING = frozenset({"init-token"})


def bearer(value: str) -> dict[str, str]:
    """The header that presents a value."""
    return {"Authorization": f"Bearer {value}"}


async def status_of(session: ClientSession, value: str) -> int:
    """What a value's holder gets."""
    async with session.get("/api/v1/me", headers=bearer(value)) as response:
        return response.status


async def create(session: ClientSession, name: str) -> str:
    """Create a token that may write to bucket `b`, and return its value."""
    async with session.post(
        f"/api/v1/tokens/{name}", headers=bearer(ROOT_VALUE), json={"write": ["b"]}
    ) as response:
        assert response.status == 200, response.status
        return str((await response.json())["value"])


async def views(session: ClientSession) -> dict[str, dict[str, Any]]:
    """All tokens in full view, by name, what the deployment provisions aside."""
    async with session.get("/api/v1/tokens?view=full", headers=bearer(ROOT_VALUE)) as response:
        assert response.status == 200, response.status
        tokens = (await response.json())["tokens"]
    return {token["name"]: token for token in tokens if token["name"] not in _NOTHING}


def books(folder: Path, after: int) -> tuple[dict[str, list[str]], int]:
    """What the audit table says of each token after a row, and the last row. While a server runs, so beside it."""
    actions: dict[str, list[str]] = defaultdict(list)
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'auth.db'}?mode=ro", uri=True)) as connection:
        for sequence, name, action in connection.execute(
            "SELECT sequence, token_name, action FROM audit WHERE sequence > ? ORDER BY sequence", (after,)
        ):
            actions[name].append(action)
            after = sequence
    return actions, after


def check_integrity(folder: Path) -> None:
    """SQLite finds nothing wrong, and no value is without its token."""
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'auth.db'}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


class Clients:
    """Clients of one registry, over all the servers that it has had. `clock` gives the moments of their histories."""

    def __init__(self, count: int, chance: random.Random, clock: Callable[[], int]) -> None:
        self._chance = chance
        self._clock = clock
        self._numbers = itertools.count(1)
        self._tokens = [
            [TokenHistory(f"client{client}-{number}") for number in range(_TOKENS_OF_A_CLIENT)]
            for client in range(count)
        ]
        self._last_row = 0
        self.told = 0
        self.happened = 0

    @property
    def histories(self) -> list[TokenHistory]:
        """Those of all tokens."""
        return [history for tokens in self._tokens for history in tokens]

    async def work(self, url: str) -> None:
        """Make changes until the server is gone."""
        async with ClientSession(url) as session:
            await asyncio.gather(*(self._work(session, tokens) for tokens in self._tokens))

    async def make_one(self, url: str) -> None:
        """Make one change."""
        async with ClientSession(url) as session:
            await self._make_any(session, self._tokens[0])

    async def _work(self, session: ClientSession, tokens: list[TokenHistory]) -> None:
        with contextlib.suppress(ClientError):
            while True:
                await self._make_any(session, tokens)

    async def _make_any(self, session: ClientSession, tokens: list[TokenHistory]) -> None:
        history = self._chance.choice(tokens)
        possible = [change for change in CHANGES.values() if change.is_possible(history.now)]
        await self._make(session, history, self._chance.choice(possible))

    async def _make(self, session: ClientSession, history: TokenHistory, change: Change) -> None:
        before = history.now
        is_checked = change.ends_values and before.works and self._chance.random() < 0.3
        if is_checked and before.values[-1] is not None:  # in the cache now
            assert await status_of(session, before.values[-1]) == 200
        number = next(self._numbers)
        history.send(change, number, self._clock())
        async with session.request(
            change.method,
            f"/api/v1/tokens/{history.name}{change.path}",
            headers=bearer(ROOT_VALUE),
            json=change.body(number),
        ) as response:
            answer = await response.json() if response.content_type == "application/json" else {}
            assert response.status == 200, (change, answer)
        history.hear(answer.get("value"), self._clock())
        self.told += 1
        if is_checked and before.values[-1] is not None:
            assert await status_of(session, before.values[-1]) == 401

    async def look(self, url: str, folder: Path, crashed_at: float) -> None:
        """Compare the registry with what is possible after a crash, and go on from what it is."""
        check_integrity(folder)
        actions, self._last_row = books(folder, self._last_row)
        async with ClientSession(url) as session:
            present = await views(session)
            assert present.keys() <= {history.name for history in self.histories}
            for history in self.histories:
                is_touched = bool(history.steps)
                done = actions.pop(history.name, [])
                self.happened += len(done) > len(history.possible(crashed_at)[0].actions)
                life = history.settle(present.get(history.name), done, crashed_at)
                if is_touched:
                    for value in life.values:
                        if value is not None:
                            assert await status_of(session, value) == (200 if life.works else 401)
                    for value in history.dead_values:
                        assert await status_of(session, value) == 401
        assert actions.keys() <= _NOTHING
