"""Query parameters -> domain, strict: what is given twice or means nothing is refused."""

from __future__ import annotations

from multidict import MultiMapping

from reductauth.errors import InvalidInputError

__all__ = ["is_full_view"]

_FULL = "full"


def is_full_view(query: MultiMapping[str]) -> bool:
    """Whether `view=full` is asked for. Raises `InvalidInputError` for another view."""
    view = _only(query, "view")
    if view is not None and view != _FULL:
        raise InvalidInputError(f"Invalid query: view: must be {_FULL}, got '{view}'")
    return view is not None


def _only(query: MultiMapping[str], name: str) -> str | None:
    given = query.getall(name, [])
    if len(given) > 1:
        raise InvalidInputError(f"Invalid query: {name}: is there twice")
    return given[0] if given else None
