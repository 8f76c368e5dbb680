"""A token with what is kept of its values: as the rest of the module knows it, and in plain values.

Rule of this file: the plain form is all that is written down of a token, so it can be made in one process and
written down by another, which makes nothing of it any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Self

import orjson

from reductauth.audit import change_of, detail_text
from reductauth.token import Token

__all__ = ["PlainDigest", "PlainRecord", "PlainToken", "SecretDigest", "TokenRecord"]


@dataclass(frozen=True, slots=True)
class SecretDigest:
    """All that is kept of one value of a token, and the id of the key that its digest was made with."""

    key_id: str
    digest: bytes = field(repr=False)
    created_at_us: int
    expires_at_us: int | None = None

    def is_live(self, now_us: int) -> bool:
        """See `Secret.is_live`."""
        return self.expires_at_us is None or now_us < self.expires_at_us


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token, and what is kept of its values, oldest first."""

    token: Token
    digests: tuple[SecretDigest, ...]


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


PlainDigest = tuple[bytes, str, int, int | None]
"""Digest, id of its key, creation, end."""


class PlainRecord(NamedTuple):
    """A token that is to be added, with its values, oldest first, and what the audit says of it."""

    token: PlainToken
    last_access_us: int | None
    digests: tuple[PlainDigest, ...]
    detail: str | None

    @classmethod
    def of(cls, record: TokenRecord) -> Self:
        """Take it apart."""
        token = record.token
        return cls(
            PlainToken.of(token),
            token.last_access_us,
            tuple((one.digest, one.key_id, one.created_at_us, one.expires_at_us) for one in record.digests),
            detail_text(change_of(None, token)),
        )


@lru_cache(maxsize=4096)
def _json(texts: tuple[str, ...]) -> str:
    return orjson.dumps([str(text) for text in texts]).decode()
