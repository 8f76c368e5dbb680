"""Query parameters -> domain, strict: what is given twice or means nothing is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeVar

from multidict import MultiMapping

from reductauth.audit import AuditAction, AuditQuery
from reductauth.draft import MAX_INTEGER
from reductauth.errors import InvalidInputError
from reductauth.explanation import Demand
from reductauth.networks import parse_address
from reductauth.periods import PeriodKind, Span, month_of
from reductauth.permissions import Action, bucket_name
from reductauth.policy import BucketAccess, FullAccess
from reductauth.query import DEFAULT_LIMIT, MAX_LIMIT, MAX_WORDS, SortKey, TokenQuery
from reductauth.times import parse_time
from reductauth.token import TokenStatus
from reductauth.value import check_name

__all__ = [
    "AUDIT_PARAMETERS",
    "LIST_PARAMETERS",
    "QUESTION_PARAMETERS",
    "SPAN_PARAMETERS",
    "Question",
    "is_full_view",
    "parse_audit_query",
    "parse_question",
    "parse_span",
    "parse_token_query",
]

ChoiceT = TypeVar("ChoiceT", bound=StrEnum)

_CONDITIONS = ("search", "id", "bucket", "access", "status", "sort", "limit", "offset")
LIST_PARAMETERS = (*_CONDITIONS, "view")
"""What a list of tokens may be asked with."""

SPAN_PARAMETERS = ("by", "from", "to")
"""What usage may be asked with."""

AUDIT_PARAMETERS = ("token", "actor", "action", "from", "to", "limit", "offset", "sort")
"""What the audit may be asked with."""

QUESTION_PARAMETERS = ("action", "bucket", "client_ip", "at")
"""What a token may be checked with."""

_FULL = "full"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_INTEGER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class _Asked(StrEnum):
    READ = "read"
    WRITE = "write"
    FULL_ACCESS = "full_access"


class _AuditOrder(StrEnum):
    OLDEST_FIRST = "sequence"
    NEWEST_FIRST = "-sequence"


@dataclass(frozen=True, slots=True)
class Question:
    """What would be asked for, from where (None: unknown), and when, in microseconds since the epoch (None: now)."""

    demand: Demand
    client_ip: str | None
    at_us: int | None


def is_full_view(query: MultiMapping[str]) -> bool:
    """Whether `view=full` is asked for. Raises `InvalidInputError` for another view."""
    view = _only(query, "view")
    if view is not None and view != _FULL:
        raise _refusal("view", f"must be {_FULL}", view)
    return view is not None


def parse_token_query(query: MultiMapping[str]) -> TokenQuery | None:
    """Read which tokens to list; None for all. Raises `InvalidInputError`, naming the parameter."""
    if not any(name in query for name in _CONDITIONS):
        return None
    bucket = _bucket(query)
    action = _choice("access", access, Action) if (access := _only(query, "access")) is not None else None
    if action is not None and bucket is None:
        raise InvalidInputError("Invalid query: access: needs bucket beside it")
    sort = _only(query, "sort")
    return TokenQuery(
        words=_words(query),
        token_id=_token_id(query),
        bucket=bucket,
        action=action,
        statuses=_words_of(query, "status", TokenStatus),
        sort=SortKey.NAME if sort is None else _choice("sort", sort.removeprefix("-"), SortKey),
        descending=sort is not None and sort.startswith("-"),
        limit=_integer(query, "limit", 1, MAX_LIMIT, DEFAULT_LIMIT),
        offset=_integer(query, "offset", 0, MAX_INTEGER, 0),
    )


def parse_span(query: MultiMapping[str]) -> Span:
    """Read which days or months are asked for. Raises `InvalidInputError`, naming the parameter."""
    by = _only(query, "by")
    kind = PeriodKind.DAY if by is None else _choice("by", by, PeriodKind)
    span = Span(kind, _period(query, "from", kind), _period(query, "to", kind))
    if span.first is not None and span.last is not None and span.first > span.last:
        raise InvalidInputError("Invalid query: from: must not be after to")
    return span


def parse_audit_query(query: MultiMapping[str]) -> AuditQuery:
    """Read which entries of the audit are asked for. Raises `InvalidInputError`, naming the parameter."""
    sort = _only(query, "sort")
    asked = AuditQuery(
        token=_name_or_id(query, "token"),
        actor=_name_or_id(query, "actor"),
        actions=_words_of(query, "action", AuditAction),
        from_us=_time(query, "from"),
        to_us=_time(query, "to"),
        descending=sort is None or _choice("sort", sort, _AuditOrder) is _AuditOrder.NEWEST_FIRST,
        limit=_integer(query, "limit", 1, MAX_LIMIT, DEFAULT_LIMIT),
        offset=_integer(query, "offset", 0, MAX_INTEGER, 0),
    )
    if asked.from_us is not None and asked.to_us is not None and asked.from_us > asked.to_us:
        raise InvalidInputError("Invalid query: from: must not be after to")
    return asked


def _name_or_id(query: MultiMapping[str], name: str) -> str | None:
    text = _only(query, name)
    if text is None:
        return None
    try:
        return check_name(text)
    except InvalidInputError:
        raise _refusal(name, "must be the name of a token, or an id", text) from None


def parse_question(query: MultiMapping[str]) -> Question:
    """Read what a token may be checked for. Raises `InvalidInputError`, naming the parameter."""
    action = _choice("action", _only(query, "action") or "", _Asked)
    bucket = _bucket(query)
    demand: Demand = FullAccess()
    if action is not _Asked.FULL_ACCESS:
        if bucket is None:
            raise InvalidInputError(f"Invalid query: bucket: is needed with action={action}")
        demand = BucketAccess(Action(action), bucket)
    elif bucket is not None:
        raise InvalidInputError(f"Invalid query: bucket: has no meaning with action={action}")
    client_ip = _only(query, "client_ip")
    if client_ip is not None and parse_address(client_ip) is None:
        raise _refusal("client_ip", "must be an IP address", client_ip)
    return Question(demand, client_ip, _time(query, "at"))


def _time(query: MultiMapping[str], name: str) -> int | None:
    text = _only(query, name)
    try:
        # What was sent as a bare "+" arrives as a space.
        return None if text is None else parse_time(text.replace(" ", "+"))
    except ValueError as error:
        raise _refusal(name, str(error), str(text)) from None


def _period(query: MultiMapping[str], name: str, kind: PeriodKind) -> str | None:
    text = _only(query, name)
    if text is None:
        return None
    if kind is PeriodKind.DAY:
        if not _is_day(text):
            raise _refusal(name, "must be a date, YYYY-MM-DD", text)
        return text
    if not _is_day(text) and not _is_day(f"{text}-01"):
        raise _refusal(name, "must be a month, YYYY-MM, or a date in it, YYYY-MM-DD", text)
    return month_of(text)


def _is_day(text: str) -> bool:
    if _DAY.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _words(query: MultiMapping[str]) -> tuple[str, ...]:
    text = _only(query, "search") or ""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInputError("Invalid query: search: is not UTF-8")
    words = tuple(dict.fromkeys(text.casefold().split()))
    if len(words) > MAX_WORDS:
        raise InvalidInputError(
            f"Invalid query: search: can have at most {MAX_WORDS} words, got {len(words)}"
        )
    return words


def _token_id(query: MultiMapping[str]) -> str | None:
    text = _only(query, "id")
    if text is not None and _UUID.fullmatch(text.lower()) is None:
        raise _refusal("id", "must be a UUID", text)
    return None if text is None else text.lower()


def _bucket(query: MultiMapping[str]) -> str | None:
    text = _only(query, "bucket")
    if text is None:
        return None
    try:
        return bucket_name(text)
    except InvalidInputError:
        raise _refusal("bucket", "must be the name of a bucket", text) from None


def _words_of(query: MultiMapping[str], name: str, kind: type[ChoiceT]) -> frozenset[ChoiceT]:
    text = _only(query, name)
    return frozenset() if text is None else frozenset(_choice(name, word, kind) for word in text.split(","))


def _choice(name: str, text: str, kind: type[ChoiceT]) -> ChoiceT:
    if text not in list(kind):
        raise _refusal(name, f"must be one of {', '.join(kind)}", text)
    return kind(text)


def _integer(query: MultiMapping[str], name: str, least: int, most: int, default: int) -> int:
    text = _only(query, name)
    if text is None:
        return default
    if _INTEGER.fullmatch(text) is None or not least <= int(text) <= most:
        raise _refusal(name, f"must be a whole number from {least} to {most}", text)
    return int(text)


def _only(query: MultiMapping[str], name: str) -> str | None:
    given = query.getall(name, [])
    if len(given) > 1:
        raise InvalidInputError(f"Invalid query: {name}: is there twice")
    return given[0] if given else None


def _refusal(name: str, right: str, given: str) -> InvalidInputError:
    return InvalidInputError(f"Invalid query: {name}: {right}, got '{given}'")
