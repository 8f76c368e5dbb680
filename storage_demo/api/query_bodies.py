"""Queries as clients write them -> selections."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field

from storage_demo.api.bodies import Body
from storage_demo.api.parameters import microseconds, seconds
from storage_demo.engine import MAX_INTEGER, EntryPatterns, InvalidError, Selection
from storage_demo.engine.conditions import parse_condition

__all__ = ["DEFAULT_TTL_SECONDS", "QueryBody", "selection_of_parameters", "ttl_of_parameters"]

DEFAULT_TTL_SECONDS = 60

_Unsigned = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
_BOOLEANS = {"true": True, "false": False}


class QueryBody(Body):
    """The JSON object that describes a query."""

    query_type: Literal["QUERY", "REMOVE"]
    start: _Unsigned | None = None
    stop: _Unsigned | None = None
    ttl: _Unsigned | None = None
    only_metadata: bool | None = None
    continuous: bool | None = None
    when: dict[str, Any] | None = None
    strict: bool | None = None
    ext: dict[str, Any] | None = None
    entries: list[str] | None = None

    @property
    def ttl_seconds(self) -> int:
        """How long the query may be left alone."""
        return DEFAULT_TTL_SECONDS if self.ttl is None else self.ttl

    def selection(self, entry: str | None = None) -> Selection:
        """What the query is about: the one entry, or those that it names itself. Raises `InvalidError`."""
        return Selection(
            entry=entry,
            patterns=EntryPatterns.parse(self.entries or () if entry is None else ()),
            start_us=self.start,
            stop_us=self.stop,
            condition=None if self.when is None else parse_condition(self.when),
            is_strict=self.strict or False,
            is_continuous=self.continuous or False,
        )


def selection_of_parameters(request: web.Request, entry: str) -> Selection:
    """What a query in the parameters of a request is about. Raises `InvalidError`."""
    continuous = request.query.get("continuous", "false")
    if continuous not in _BOOLEANS:
        raise InvalidError("'continue' must be a bool value")
    return Selection(
        entry=entry,
        start_us=microseconds(request, "start"),
        stop_us=microseconds(request, "stop"),
        is_continuous=_BOOLEANS[continuous],
    )


def ttl_of_parameters(request: web.Request) -> int:
    """How long a query in the parameters of a request may be left alone, in seconds. Raises `InvalidError`."""
    found_seconds = seconds(request, "ttl")
    return DEFAULT_TTL_SECONDS if found_seconds is None else found_seconds
