"""A token with what is kept of its values: as the rest of the module knows it, and in plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Self

from reductauth.plain import PlainToken
from reductauth.token import Token

__all__ = ["PlainDigest", "PlainRecord", "SecretDigest", "TokenRecord"]


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


PlainDigest = tuple[bytes, str, int, int | None]
"""Digest, id of its key, creation, end."""


class PlainRecord(NamedTuple):
    """A token that is to be added, with its values, oldest first."""

    token: PlainToken
    last_access_us: int | None
    digests: tuple[PlainDigest, ...]

    @classmethod
    def of(cls, record: TokenRecord) -> Self:
        """Take it apart."""
        token = record.token
        return cls(
            PlainToken.of(token),
            token.last_access_us,
            tuple([(one.digest, one.key_id, one.created_at_us, one.expires_at_us) for one in record.digests]),
        )
