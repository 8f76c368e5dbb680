"""A token in plain values.

Rule of this file: the plain form is all that a change writes of a token, so it can be made in one process and written
down by another.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Self

import orjson

from reductauth.token import Token

__all__ = ["PlainToken"]


class PlainToken(NamedTuple):
    """What a change writes of a token. Its last access is not: that is usage's to write.

    Truths are 0 or 1, lists are JSON text, times microseconds since the epoch.
    """

    id: str
    name: str
    description: str
    search_text: str
    role: str | None
    full_access: int
    read_patterns: str
    write_patterns: str
    is_provisioned: int
    active: int
    created_at_us: int
    updated_at_us: int
    created_by: str
    valid_from_us: int | None
    expires_at_us: int | None
    revoked_at_us: int | None
    ttl_seconds: int | None
    ip_allowlist: str

    @classmethod
    def of(cls, token: Token) -> Self:
        """Take it apart."""
        permissions = token.permissions
        return cls(
            token.token_id,
            token.name,
            token.description,
            f"{token.name} {token.description}".casefold(),
            None if token.role is None else token.role.value,
            int(permissions.full_access),
            _json(permissions.read),
            _json(permissions.write),
            int(token.is_provisioned),
            int(token.active),
            token.created_at_us,
            token.updated_at_us,
            token.created_by,
            token.valid_from_us,
            token.expires_at_us,
            token.revoked_at_us,
            token.ttl_seconds,
            _json(token.allowlist.entries),
        )


@lru_cache(maxsize=4096)
def _json(texts: tuple[str, ...]) -> str:
    return orjson.dumps(texts).decode()
