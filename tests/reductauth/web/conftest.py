"""The test kit, under the short names of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from reductauth.testing import Caller, FixedClock, ServeGuarded

__all__ = ["Caller", "Now", "Serve"]

Now = FixedClock
Serve = ServeGuarded


@pytest.fixture
def now(fixed_clock: FixedClock) -> FixedClock:
    return fixed_clock


@pytest.fixture
def serve(serve_guarded: ServeGuarded) -> ServeGuarded:
    return serve_guarded


@pytest.fixture
async def root(serve_guarded: ServeGuarded) -> AsyncIterator[Caller]:
    """Full access to an application that has nothing but the token routes."""
    async with serve_guarded() as caller:
        yield caller
