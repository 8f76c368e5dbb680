"""The range of integers the engine takes from outside: what SQLite can hold, and not below zero."""

from __future__ import annotations

from storage_demo.engine.errors import InvalidError

MAX_INTEGER = 2**63 - 1


def check_integer(value: int, message: str, *, minimum: int = 0) -> None:
    """Raise `InvalidError` with *message* unless *value* is *minimum* ... 2^63-1."""
    if not minimum <= value <= MAX_INTEGER:
        raise InvalidError(message)
