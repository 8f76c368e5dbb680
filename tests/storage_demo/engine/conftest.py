"""An engine on a fresh folder for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from storage_demo.engine import Engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a path where no engine has been yet."""
    return tmp_path / "data"


@pytest_asyncio.fixture
async def engine(folder: Path) -> AsyncIterator[Engine]:
    """Yield an engine on *folder* that is closed at the end."""
    opened = await Engine.open(folder)
    yield opened
    await opened.close()
