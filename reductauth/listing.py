"""Tokens for somebody to look at: a page of them, or all, a batch at a time.

What is made of the tokens is the caller's `Rendering`. It runs where the tokens are read: off the event loop, and in
the snapshot that they were read in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

from reductauth.clock import Clock
from reductauth.query import Page, TokenQuery
from reductauth.store import Snapshot, TokenStore
from reductauth.token import Token

__all__ = ["EmptyListing", "Rendering", "TokenListing"]

R = TypeVar("R")
Rendering = Callable[[Snapshot, list[Token], int], list[R]]
"""Makes something of each of these tokens at a time, in microseconds since the epoch."""

_BATCH = 250


class TokenListing:
    """Reads the store. Methods raise `StoreUnavailableError`."""

    def __init__(self, store: TokenStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def page(self, query: TokenQuery, render: Rendering[R]) -> Page[R]:
        """What a query asks for."""
        now_us = self._clock()

        def work(snapshot: Snapshot) -> Page[R]:
            page = snapshot.select(query, now_us)
            return Page(render(snapshot, page.rows, now_us), page.found, page.total)

        return await self._store.read(work)

    async def batches(self, render: Rendering[R]) -> AsyncIterator[list[R]]:
        """All tokens by name, some at a time. Nothing is held in between: who reads slowly sees later changes."""
        now_us = self._clock()
        last: str | None = ""
        while last is not None:
            rows, last = await self._store.read(partial(_batch, after=last, render=render, now_us=now_us))
            if rows:
                yield rows


class EmptyListing:
    """No tokens."""

    async def page(self, query: TokenQuery, render: Rendering[R]) -> Page[R]:  # noqa: ARG002
        """Nothing found."""
        return Page([], 0, 0)

    async def batches(self, render: Rendering[R]) -> AsyncIterator[list[R]]:  # noqa: ARG002
        """Nothing."""
        nothing: tuple[list[R], ...] = ()
        for rows in nothing:
            yield rows


def _batch(
    snapshot: Snapshot, *, after: str, render: Rendering[R], now_us: int
) -> tuple[list[R], str | None]:
    """The tokens after a name, and the last one's name if there may be more."""
    tokens, last = snapshot.tokens_after(after, _BATCH)
    return render(snapshot, tokens, now_us), last
