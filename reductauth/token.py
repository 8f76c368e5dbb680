"""A token: a named record of what its holder may do. It never contains its value.

Times are whole microseconds since the epoch, UTC (`_us`). `now` is always an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from reductauth.networks import ANYWHERE, NetworkList
from reductauth.permissions import Permissions, Role

__all__ = ["BOOTSTRAP_NAME", "ENVIRONMENT", "Secret", "Token", "TokenStatus"]

BOOTSTRAP_NAME = "init-token"
"""The token that the environment seeds."""

ENVIRONMENT = "environment"
"""`created_by` of tokens that no token created."""

_SECOND_US = 1_000_000


class TokenStatus(StrEnum):
    """Computed; the first that fits, in this order."""

    REVOKED = "revoked"
    EXPIRED = "expired"
    INACTIVE = "inactive"
    SCHEDULED = "scheduled"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Secret:
    """One live value of a token, as the registry knows it: never the value, and not its digest either.

    `expires_at_us` is set where a rotation left the value a grace period.
    """

    secret_id: int
    created_at_us: int
    expires_at_us: int | None = None
    last_access_us: int | None = None
    last_access_ip: str | None = None
    uses: int = 0

    def is_live(self, now_us: int) -> bool:
        """Whether the value still works, as far as the value itself goes."""
        return self.expires_at_us is None or now_us < self.expires_at_us


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the registry keeps it."""

    token_id: str
    """UUID; given at creation, never changes, never reused."""
    name: str
    permissions: Permissions
    created_at_us: int
    updated_at_us: int
    created_by: str = ENVIRONMENT
    description: str = ""
    role: Role | None = None
    is_provisioned: bool = False
    active: bool = True
    valid_from_us: int | None = None
    expires_at_us: int | None = None
    revoked_at_us: int | None = None
    ttl_seconds: int | None = None
    allowlist: NetworkList = ANYWHERE
    last_access_us: int | None = None
    last_access_ip: str | None = None
    fault: str | None = None
    """Why the record can't be trusted, for administrators: something else than this module changed it."""

    def status_at(self, now_us: int) -> TokenStatus:
        """What the token is good for at `now_us`."""
        if self.revoked_at_us is not None:
            return TokenStatus.REVOKED
        if self.is_expired(now_us):
            return TokenStatus.EXPIRED
        if not self.active:
            return TokenStatus.INACTIVE
        if self.valid_from_us is not None and now_us < self.valid_from_us:
            return TokenStatus.SCHEDULED
        return TokenStatus.ACTIVE

    def is_expired(self, now_us: int) -> bool:
        """Whether it is at or past its expiry, or was idle for longer than its ttl, in whole seconds."""
        return self.is_past_expiry(now_us) or self.is_idle(now_us)

    def is_past_expiry(self, now_us: int) -> bool:
        """Whether it is at or past `expires_at_us`."""
        return self.expires_at_us is not None and now_us >= self.expires_at_us

    def is_idle(self, now_us: int) -> bool:
        """Whether the whole seconds since the last access (or the creation) are more than the ttl."""
        if self.ttl_seconds is None:
            return False
        last_us = max(self.created_at_us, self.last_access_us or 0)
        return (now_us - last_us) // _SECOND_US > self.ttl_seconds

    def is_usable_administrator(self, now_us: int) -> bool:
        """Whether the registry can be administered with it from anywhere, now and for good."""
        return (
            self.permissions.full_access
            and self.fault is None
            and self.status_at(now_us) is TokenStatus.ACTIVE
            and self.expires_at_us is None
            and self.ttl_seconds is None
            and not self.allowlist
        )

    def without_buckets(self, buckets: Iterable[str]) -> Token:
        """The same without exact entries for these buckets."""
        permissions = self.permissions
        for bucket in buckets:
            permissions = permissions.without_bucket(bucket)
        return replace(self, permissions=permissions)

    def accessed(self, at_us: int, address: str | None) -> Token:
        """The same with a later last access; an earlier one changes nothing."""
        if self.last_access_us is not None and at_us <= self.last_access_us:
            return self
        return replace(self, last_access_us=at_us, last_access_ip=address)

    def revoked(self, at_us: int) -> Token:
        """The same, ended for good at `at_us`; an earlier expiry stays."""
        ends_at_us = at_us if self.expires_at_us is None else min(at_us, self.expires_at_us)
        return replace(self, active=False, expires_at_us=ends_at_us, revoked_at_us=at_us, updated_at_us=at_us)
