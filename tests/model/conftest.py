"""What the tests of this folder share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def rounds(pytestconfig: pytest.Config) -> int | None:
    """How long to go on; None: as short as makes sense."""
    number: int | None = pytestconfig.getoption("--rounds")
    return number
