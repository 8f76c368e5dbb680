"""Our own tests use the kit that we ship; the long ones go on as long as one likes."""

from __future__ import annotations

import pytest

pytest_plugins = ["reductauth.testing"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--rounds`, `--seed` and `--sabotage`."""
    parser.addoption(
        "--rounds",
        type=int,
        default=None,
        metavar="N",
        help="go on for N rounds where tests are as long as one likes",
    )
    parser.addoption("--seed", type=int, default=None, metavar="N", help="repeat what a random test did")
    parser.addoption(
        "--sabotage", action="store_true", help="show that fault tests fail without their mechanism"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with those that are long."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def rounds(pytestconfig: pytest.Config) -> int | None:
    """What `--rounds` says, None if it does not: as short as makes sense."""
    found: int | None = pytestconfig.getoption("rounds")
    return found


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int | None:
    """What `--seed` says, None if it does not."""
    found: int | None = pytestconfig.getoption("seed")
    return found
