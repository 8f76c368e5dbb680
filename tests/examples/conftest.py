"""An engine for the tests that leave it running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.examples.engines import Engine, engine_of


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Two workers, ready at the beginning of a test if they were at the end of the one before."""
    with engine_of(2, tmp_path_factory.mktemp("engine")) as found:
        yield found
