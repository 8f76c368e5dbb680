"""What an error quotes of a condition."""

from __future__ import annotations

_MAX_CHARACTERS = 200


def excerpt(text: str) -> str:
    """Return *text* fit for a message: not longer than a line or two, and encodable in UTF-8."""
    if len(text) > _MAX_CHARACTERS:
        text = f"{text[:_MAX_CHARACTERS]}…"
    return text.encode(errors="replace").decode()
