"""What a new token is asked to be, checked before anything is written."""

from __future__ import annotations

from dataclasses import dataclass

from reductauth.errors import InvalidInputError
from reductauth.networks import ANYWHERE, NetworkList
from reductauth.permissions import NO_PERMISSIONS, Permissions, Role

__all__ = ["MAX_DESCRIPTION_LENGTH", "MAX_INTEGER", "TokenDraft"]

MAX_DESCRIPTION_LENGTH = 1_000
MAX_INTEGER = 2**63 - 1
"""The largest integer that the registry can keep."""


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
        if len(self.description) > MAX_DESCRIPTION_LENGTH:
            raise InvalidInputError(
                f"Token description can have at most {MAX_DESCRIPTION_LENGTH} characters, "
                f"got {len(self.description)}"
            )
        if self.ttl_seconds is not None and self.ttl_seconds < 1:
            raise InvalidInputError("Token TTL must be greater than zero")
        if self.ttl_seconds is not None and self.ttl_seconds > MAX_INTEGER:
            raise InvalidInputError(f"Token TTL must be at most {MAX_INTEGER} seconds")
        if self.expires_at_us is not None and self.expires_at_us <= now_us:
            raise InvalidInputError("Token expiration date must not be in the past")
        if (
            self.valid_from_us is not None
            and self.expires_at_us is not None
            and self.valid_from_us >= self.expires_at_us
        ):
            raise InvalidInputError("Token must become valid before it expires")
