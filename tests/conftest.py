"""Our own tests use the kit that we ship; the long ones go on as long as one likes."""

from __future__ import annotations

import pytest

pytest_plugins = ["reductauth.testing"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--rounds`."""
    parser.addoption(
        "--rounds",
        type=int,
        default=None,
        metavar="N",
        help="go on for N rounds where tests are as long as one likes",
    )
