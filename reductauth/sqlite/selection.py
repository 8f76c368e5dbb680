"""A query for tokens as SQL: conditions, order, and what is bound to them. All of it runs without the GIL."""

from __future__ import annotations

import sqlite3

from reductauth.permissions import Action
from reductauth.query import SortKey, TokenQuery
from reductauth.token import TokenStatus

__all__ = ["Selection"]

# The same as `Token.status_at`.
_STATUS = f"""CASE
    WHEN revoked_at_us IS NOT NULL THEN '{TokenStatus.REVOKED}'
    WHEN expires_at_us <= :now_us THEN '{TokenStatus.EXPIRED}'
    WHEN (:now_us - max(created_at_us, coalesce(last_access_us, 0))) / 1000000 > ttl_seconds
        THEN '{TokenStatus.EXPIRED}'
    WHEN active = 0 THEN '{TokenStatus.INACTIVE}'
    WHEN valid_from_us > :now_us THEN '{TokenStatus.SCHEDULED}'
    ELSE '{TokenStatus.ACTIVE}'
END"""

_PATTERNS = {Action.READ: "read_patterns", Action.WRITE: "write_patterns"}

_SORTED_BY = {
    SortKey.NAME: "name",
    SortKey.CREATED_AT: "created_at_us",
    SortKey.UPDATED_AT: "updated_at_us",
    SortKey.LAST_ACCESS: "last_access_us",
    SortKey.EXPIRES_AT: "expires_at_us",
    SortKey.STATUS: _STATUS,
}


class Selection:
    """The tokens that a query asks for, as of `now_us`."""

    def __init__(self, query: TokenQuery, now_us: int) -> None:
        self._parameters: dict[str, str | int] = {"now_us": now_us}
        self._offset, self._limit = query.offset, query.limit
        conditions = self._conditions(query)
        self.has_conditions = bool(conditions)
        """Whether not all tokens are meant."""
        self._where = " AND ".join([*conditions, "1"])
        by = _SORTED_BY[query.sort]
        ways = (f"{by} ASC NULLS LAST", f"{by} DESC NULLS FIRST")
        there, back = reversed(ways) if query.descending else ways
        self._order, self._reverse_order = f"{there}, name ASC", f"{back}, name DESC"

    def count(self, connection: sqlite3.Connection) -> int:
        """How many there are."""
        statement = f"SELECT count(*) FROM tokens WHERE {self._where}"
        (found,) = connection.execute(statement, self._parameters).fetchone()
        return int(found)

    def keys(self, connection: sqlite3.Connection, found: int) -> list[int]:
        """The internal keys of those on the page, in order; `found` is their number on all pages."""
        limit = min(self._limit, found - self._offset)
        if limit <= 0:
            return []
        if self._offset <= found // 2:
            return self._keys(connection, self._order, limit, self._offset)
        # SQLite walks past all that comes before the page: from the nearer end there is less.
        return self._keys(connection, self._reverse_order, limit, found - self._offset - limit)[::-1]

    def _keys(self, connection: sqlite3.Connection, order: str, limit: int, offset: int) -> list[int]:
        statement = f"SELECT key FROM tokens WHERE {self._where} ORDER BY {order} LIMIT :limit OFFSET :offset"
        rows = connection.execute(statement, {**self._parameters, "limit": limit, "offset": offset})
        return [key for (key,) in rows]

    def _conditions(self, query: TokenQuery) -> list[str]:
        conditions = []
        for number, word in enumerate(query.words):
            conditions.append(f"instr(search_text, :word{number}) > 0")
            self._parameters[f"word{number}"] = word
        if query.token_id is not None:
            conditions.append("id = :id")
            self._parameters["id"] = query.token_id
        if query.bucket is not None:
            conditions.append(self._reach(query.bucket, query.action))
        if query.statuses:
            words = ", ".join(f"'{status}'" for status in query.statuses)
            conditions.append(f"{_STATUS} IN ({words})")
        return conditions

    def _reach(self, bucket: str, action: Action | None) -> str:
        """The same as `Permissions.allows`; a row with damaged patterns matches by full access only."""
        self._parameters["bucket"] = bucket
        opens = "value = :bucket"
        if not bucket.startswith("$"):
            opens += (
                " OR (substr(value, -1) = '*'"
                " AND substr(value, 1, length(value) - 1) = substr(:bucket, 1, length(value) - 1))"
            )
        ways = ["full_access = 1"]
        for column in _PATTERNS.values() if action is None else [_PATTERNS[action]]:
            patterns = f"json_each(CASE WHEN json_valid({column}) THEN {column} ELSE '[]' END)"
            ways.append(f"EXISTS (SELECT 1 FROM {patterns} WHERE {opens})")
        return f"({' OR '.join(ways)})"
