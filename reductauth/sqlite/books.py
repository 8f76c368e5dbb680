"""A query for audit entries as SQL: conditions, order, and what is bound to them."""

from __future__ import annotations

import sqlite3

from reductauth.audit import AuditEntry, AuditQuery
from reductauth.sqlite.trail import ENTRY_COLUMNS, entry_of

__all__ = ["AuditSelection"]


class AuditSelection:
    """The entries that a query asks for."""

    def __init__(self, query: AuditQuery) -> None:
        self._parameters: dict[str, str | int] = {"limit": query.limit, "offset": query.offset}
        conditions = self._conditions(query)
        self.has_conditions = bool(conditions)
        """Whether not all entries are meant."""
        self._where = " AND ".join([*conditions, "1"])
        self._order = f"sequence {'DESC' if query.descending else 'ASC'}"

    def count(self, connection: sqlite3.Connection) -> int:
        """How many there are."""
        statement = f"SELECT count(*) FROM audit WHERE {self._where}"
        (found,) = connection.execute(statement, self._parameters).fetchone()
        return int(found)

    def entries(self, connection: sqlite3.Connection) -> list[AuditEntry]:
        """Those on the page, in order."""
        rows = connection.execute(
            f"SELECT {ENTRY_COLUMNS} FROM audit WHERE {self._where} ORDER BY {self._order}"
            " LIMIT :limit OFFSET :offset",
            self._parameters,
        )
        return [entry_of(row) for row in rows]

    def _conditions(self, query: AuditQuery) -> list[str]:
        conditions = []
        for name, value, condition in (
            ("token", query.token, "(token_id = :token OR token_name = :token)"),
            ("actor", query.actor, "(actor_id = :actor OR actor = :actor)"),
            ("from_us", query.from_us, "at_us >= :from_us"),
            ("to_us", query.to_us, "at_us < :to_us"),
        ):
            if value is not None:
                conditions.append(condition)
                self._parameters[name] = value
        if query.actions:
            words = ", ".join(f"'{action}'" for action in query.actions)
            conditions.append(f"action IN ({words})")
        return conditions
