"""What is known beside some tokens: a fixed number of statements, however many tokens there are."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import orjson

from reductauth.details import NOT_USED, PeriodUsage, TokenDetails, UsageCounts, UsageTotals
from reductauth.periods import PeriodKind, Span, day_of, month_of
from reductauth.record import SecretDigest, TokenRecord
from reductauth.sqlite.rows import SECRET_COLUMNS, secret_of
from reductauth.token import Secret, Token

__all__ = ["details_of", "records_of", "usage_in"]

_GIVEN = "tokens.id IN (SELECT value FROM json_each(:ids))"
_COLUMNS = ", ".join(f"secrets.{name}" for name in SECRET_COLUMNS.split(", "))
_SECRETS = f"""
SELECT tokens.id, {_COLUMNS} FROM tokens JOIN secrets ON secrets.token_key = tokens.key
WHERE {_GIVEN} ORDER BY secrets.id
"""

_DIGESTS = f"""
SELECT tokens.id, key_id, digest, secrets.created_at_us, secrets.expires_at_us
FROM tokens JOIN secrets ON secrets.token_key = tokens.key
WHERE {_GIVEN} ORDER BY secrets.id
"""


def _sums(condition: str) -> str:
    return ", ".join(
        f"coalesce(sum({kind}) FILTER (WHERE {condition}), 0)"
        for kind in ("read", "write", "admin", "denied")
    )


_USAGE = f"""
SELECT tokens.id, {_sums("1")}, {_sums("period = :day")}, {_sums("substr(period, 1, 7) = :month")}
FROM tokens JOIN usage ON usage.token_key = tokens.key
WHERE {_GIVEN} GROUP BY tokens.id
"""

_PERIODS = f"""
SELECT substr(period, 1, :length) AS of_period, {_sums("1")}
FROM tokens JOIN usage ON usage.token_key = tokens.key
WHERE tokens.id = :id AND length(period) IN (:length, 10)
    AND (:first IS NULL OR of_period >= :first) AND (:last IS NULL OR of_period <= :last)
GROUP BY of_period ORDER BY of_period
"""


def usage_in(connection: sqlite3.Connection, token_id: str, span: Span) -> list[PeriodUsage]:
    """The periods in which a token was used, oldest first."""
    length = len("YYYY-MM-DD" if span.by is PeriodKind.DAY else "YYYY-MM")
    rows = connection.execute(
        _PERIODS, {"id": token_id, "length": length, "first": span.first, "last": span.last}
    )
    return [PeriodUsage(row[0], UsageCounts(*row[1:])) for row in rows]


def details_of(connection: sqlite3.Connection, tokens: Sequence[Token], now_us: int) -> list[TokenDetails]:
    """Each of the tokens with the values that are live and its usage as of `now_us`."""
    ids = orjson.dumps([token.token_id for token in tokens]).decode()
    secrets: dict[str, list[Secret]] = {token.token_id: [] for token in tokens}
    for token_id, *row in connection.execute(_SECRETS, {"ids": ids}):
        secret = secret_of(tuple(row))
        if secret.is_live(now_us):
            secrets[token_id].append(secret)
    day = day_of(now_us)
    usage = {
        row[0]: UsageTotals(UsageCounts(*row[1:5]), UsageCounts(*row[5:9]), UsageCounts(*row[9:13]))
        for row in connection.execute(_USAGE, {"ids": ids, "day": day, "month": month_of(day)})
    }
    return [
        TokenDetails(token, tuple(secrets[token.token_id]), usage.get(token.token_id, NOT_USED))
        for token in tokens
    ]


def records_of(connection: sqlite3.Connection, tokens: Sequence[Token]) -> list[TokenRecord]:
    """Each of the tokens with the digests of its values, oldest first."""
    ids = orjson.dumps([token.token_id for token in tokens]).decode()
    digests: dict[str, list[SecretDigest]] = {token.token_id: [] for token in tokens}
    for token_id, *row in connection.execute(_DIGESTS, {"ids": ids}):
        digests[token_id].append(SecretDigest(*row))
    return [TokenRecord(token, tuple(digests[token.token_id])) for token in tokens]
