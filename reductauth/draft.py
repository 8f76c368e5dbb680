"""What a token is asked to be, checked before anything is written."""

from __future__ import annotations

from dataclasses import dataclass

from reductauth.errors import InvalidInputError
from reductauth.networks import ANYWHERE, NetworkList
from reductauth.permissions import NO_PERMISSIONS, Permissions, Role
from reductauth.times import rfc3339
from reductauth.token import Token

__all__ = [
    "MAX_DESCRIPTION_LENGTH",
    "MAX_INTEGER",
    "MAX_LIFETIME_SECONDS",
    "TokenDraft",
    "check_bounds",
    "check_expiry",
    "check_lifetime",
]

MAX_DESCRIPTION_LENGTH = 1_000
MAX_INTEGER = 2**63 - 1
"""The largest integer that the registry can keep."""
MAX_LIFETIME_SECONDS = 100 * 366 * 86_400
"""The longest cap on a token's lifetime: a hundred years, so that what it allows can be written as a time."""

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenDraft:
    """The wishes of whoever creates a token. Times are microseconds since the epoch, UTC."""

    permissions: Permissions = NO_PERMISSIONS
    role: Role | None = None
    description: str = ""
    active: bool = True
    valid_from_us: int | None = None
    expires_at_us: int | None = None
    ttl_seconds: int | None = None
    allowlist: NetworkList = ANYWHERE

    def check(self, now_us: int) -> None:
        """Raise `InvalidInputError` for the first wish that cannot be granted at `now_us`."""
        check_expiry(self, now_us)
        check_bounds(self)


def check_bounds(wished: TokenDraft | Token) -> None:
    """Raise `InvalidInputError` for what no token can be, at any time."""
    if len(wished.description) > MAX_DESCRIPTION_LENGTH:
        raise InvalidInputError(
            f"Token description can have at most {MAX_DESCRIPTION_LENGTH} characters, "
            f"got {len(wished.description)}"
        )
    if wished.ttl_seconds is not None and wished.ttl_seconds < 1:
        raise InvalidInputError("Token TTL must be greater than zero")
    if wished.ttl_seconds is not None and wished.ttl_seconds > MAX_INTEGER:
        raise InvalidInputError(f"Token TTL must be at most {MAX_INTEGER} seconds")
    if (
        wished.valid_from_us is not None
        and wished.expires_at_us is not None
        and wished.valid_from_us >= wished.expires_at_us
    ):
        raise InvalidInputError("Token must become valid before it expires")


def check_expiry(wished: TokenDraft | Token, now_us: int) -> None:
    """Raise `InvalidInputError` for an expiry that is over at `now_us`."""
    if wished.expires_at_us is not None and wished.expires_at_us <= now_us:
        raise InvalidInputError("Token expiration date must not be in the past")


def check_lifetime(wished: TokenDraft | Token, max_lifetime_seconds: int | None, now_us: int) -> None:
    """Raise `InvalidInputError` for an expiry, or none, that is beyond the cap (None: there is no cap)."""
    if max_lifetime_seconds is None:
        return
    latest_us = now_us + max_lifetime_seconds * _SECOND_US
    if wished.expires_at_us is None or wished.expires_at_us > latest_us:
        raise InvalidInputError(
            f"Token can be valid for at most {max_lifetime_seconds} seconds: "
            f"expires_at must be given, not after {rfc3339(latest_us)}"
        )
