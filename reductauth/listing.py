"""Tokens for somebody to look at: a page of them, or all, a batch at a time.

What is written of the tokens is the caller's `Rendering`. It runs where the tokens are read: off the event loop, and in
the snapshot that they were read in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

from reductauth.clock import Clock
from reductauth.query import TokenQuery
from reductauth.store import Snapshot, TokenStore
from reductauth.token import Token

__all__ = ["Batch", "EmptyListing", "RenderedPage", "Rendering", "TokenListing"]

Rendering = Callable[[Snapshot, list[Token], int], bytes]
"""Writes these tokens as they are at a time, in microseconds since the epoch."""

_BATCH = 250


@dataclass(frozen=True, slots=True)
class Batch:
    """Some of all tokens."""

    rows: bytes
    """What was written of them."""
    count: int
    """How many they are."""


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """What a query asks for."""

    rows: bytes
    """What was written of the tokens."""
    length: int
    """How many they are."""
    found: int
    """See `Page.found`."""
    total: int
    """See `Page.total`."""


class TokenListing:
    """Reads the store. Methods raise `StoreUnavailableError`."""

    def __init__(self, store: TokenStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def page(self, query: TokenQuery, render: Rendering) -> RenderedPage:
        """What a query asks for."""
        now_us = self._clock()

        def work(snapshot: Snapshot) -> RenderedPage:
            page = snapshot.select(query, now_us)
            rows = render(snapshot, page.rows, now_us)
            return RenderedPage(rows, len(page.rows), page.found, page.total)

        return await self._store.read(work)

    async def batches(self, render: Rendering) -> AsyncIterator[Batch]:
        """All tokens by name, some at a time. Nothing is held in between: who reads slowly sees later changes."""
        now_us = self._clock()
        last: str | None = ""
        while last is not None:
            batch, last = await self._store.read(partial(_batch, after=last, render=render, now_us=now_us))
            if batch.count:
                yield batch


class EmptyListing:
    """No tokens."""

    async def page(self, query: TokenQuery, render: Rendering) -> RenderedPage:  # noqa: ARG002
        """Nothing found."""
        return RenderedPage(b"", 0, 0, 0)

    async def batches(self, render: Rendering) -> AsyncIterator[Batch]:  # noqa: ARG002
        """Nothing."""
        nothing: tuple[Batch, ...] = ()
        for batch in nothing:
            yield batch


def _batch(snapshot: Snapshot, *, after: str, render: Rendering, now_us: int) -> tuple[Batch, str | None]:
    """The tokens after a name, and the last one's name if there may be more."""
    tokens, last = snapshot.tokens_after(after, _BATCH)
    return Batch(render(snapshot, tokens, now_us), len(tokens)), last
