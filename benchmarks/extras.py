"""Libraries that only some benchmarks need, from extras of this project."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["MissingExtraError", "from_extra"]


class MissingExtraError(SystemExit):
    """Ends a command with a line that says what to install, and how."""


@contextlib.contextmanager
def from_extra(name: str) -> Iterator[None]:
    """Import what the extra `name` installs. Raises `MissingExtraError`."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"Error: {error.name} is not installed; install it with: pip install -e '.[{name}]'"
        ) from None
