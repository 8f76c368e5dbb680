"""What a server answered, held against what the model says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.model.model import Model, Refused

__all__ = ["Answer", "Disagreement", "Work", "agree"]

Work = Callable[[Model, str | None], Any]
"""One thing done to a model, given the value that the server told."""


class Disagreement(AssertionError):  # noqa: N818 - as Hypothesis and pytest show it
    """The server and the model differ."""


@dataclass(frozen=True)
class Answer:
    """A status, the words of a refusal, and what was shown: JSON, or the bytes of a record."""

    status: int
    message: str | None = None
    content: Any = None

    @property
    def told(self) -> str | None:
        """The value that was told, if one was."""
        return self.content.get("value") if isinstance(self.content, dict) else None


def agree(model: Model, work: Work, answer: Answer) -> None:
    """Do to the model what was asked of the server. Raises `Disagreement` unless the server answered so."""
    try:
        seen = work(model, answer.told)
    except Refused as refused:
        if (answer.status, answer.message) != (refused.status, refused.message or answer.message):
            raise Disagreement(f"expected {refused.status} {refused.message!r}, got {answer}") from None
        return
    if answer.status != 200 or (seen is not None and not _shows(answer.content, seen)):
        raise Disagreement(f"expected 200 {seen}, got {answer}")


def _shows(content: Any, expected: Any) -> bool:
    """Whether an answer holds what is expected; it may have more keys, and keeps what is a set in any order."""
    match expected:
        case dict():
            return all(key in content and _shows(content[key], value) for key, value in expected.items())
        case list():
            return len(content) == len(expected) and all(map(_shows, content, expected))
        case frozenset():
            return sorted(content) == sorted(expected)
        case _:
            return type(content) is type(expected) and bool(content == expected)
