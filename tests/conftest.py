"""Our own tests use the kit that we ship."""

import pytest

pytest_plugins = ["reductauth.testing"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tests that go on for as long as one likes, and dice that can be thrown again."""
    parser.addoption("--rounds", type=int, default=20, help="rounds of each test that has rounds (20)")
    parser.addoption("--seed", type=int, default=None, help="what a failed test printed, to repeat it")
    parser.addoption(
        "--sabotage", action="store_true", help="show that fault tests fail without their mechanism"
    )
