"""What has to be true before a token's permissions count: each check in order, with its words.

The first check that fails refuses a request; all of them, told one by one, explain a decision to an
administrator. It is the same code, so that the explanation cannot differ from the decision.

Rule of this file: a stranger is told no more than the refusal says; what `detail` and `remedy` say is for
administrators.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from reductauth.errors import AddressError, AuthenticationError, ExpiredTokenError, InvalidTokenError
from reductauth.networks import parse_address
from reductauth.times import rfc3339
from reductauth.token import Secret, Token

__all__ = ["CHECKS", "Attempt", "Check", "failed_check"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody presents a value of a token, from an address (None: unknown), at a time."""

    token: Token
    secret: Secret | None
    """The value; None where the token has none any more."""
    address: str | None
    now_us: int


class Check(ABC):
    """One thing that has to be true of an attempt."""

    name: str
    """What is checked, in a word or two."""

    @abstractmethod
    def passes(self, attempt: Attempt) -> bool:
        """Whether it is true."""

    @abstractmethod
    def detail(self, attempt: Attempt) -> str:
        """What was found, for an administrator."""

    @abstractmethod
    def remedy(self, attempt: Attempt) -> str:
        """The smallest change of the token that would make it true; asked only where it is not."""

    def refusal(self, attempt: Attempt) -> AuthenticationError:  # noqa: ARG002 - for those that differ
        """What whoever made the attempt is told."""
        return InvalidTokenError()


class _Genuine(Check):
    name = "record genuine"

    def passes(self, attempt: Attempt) -> bool:
        return attempt.token.fault is None

    def detail(self, attempt: Attempt) -> str:
        return attempt.token.fault or "its record is as it was written"

    def remedy(self, attempt: Attempt) -> str:  # noqa: ARG002
        return "delete it, create another, and find out who can write the registry's files"


class _NotRevoked(Check):
    name = "not revoked"

    def passes(self, attempt: Attempt) -> bool:
        return attempt.token.revoked_at_us is None

    def detail(self, attempt: Attempt) -> str:
        revoked_at_us = attempt.token.revoked_at_us
        return "it is not revoked" if revoked_at_us is None else f"it was revoked at {rfc3339(revoked_at_us)}"

    def remedy(self, attempt: Attempt) -> str:  # noqa: ARG002
        return "create another token: a revoked one never works again"


class _NotExpired(Check):
    name = "not expired"

    def passes(self, attempt: Attempt) -> bool:
        return not attempt.token.is_past_expiry(attempt.now_us)

    def detail(self, attempt: Attempt) -> str:
        expires_at_us = attempt.token.expires_at_us
        if expires_at_us is None:
            return "it never expires"
        return f"it {'expires' if self.passes(attempt) else 'expired'} at {rfc3339(expires_at_us)}"

    def remedy(self, attempt: Attempt) -> str:  # noqa: ARG002
        return "set a later expires_at"

    def refusal(self, attempt: Attempt) -> AuthenticationError:  # noqa: ARG002
        return ExpiredTokenError()


class _NotIdle(Check):
    name = "not idle"

    def passes(self, attempt: Attempt) -> bool:
        return not attempt.token.is_idle(attempt.now_us)

    def detail(self, attempt: Attempt) -> str:
        token = attempt.token
        if token.ttl_seconds is None:
            return "it may be unused for any time"
        last_us = max(token.created_at_us, token.last_access_us or 0)
        return f"it may be unused for {token.ttl_seconds} seconds, and was last used at {rfc3339(last_us)}"

    def remedy(self, attempt: Attempt) -> str:  # noqa: ARG002
        return "set a longer ttl"

    def refusal(self, attempt: Attempt) -> AuthenticationError:  # noqa: ARG002
        return ExpiredTokenError()


class _Active(Check):
    name = "active"

    def passes(self, attempt: Attempt) -> bool:
        return attempt.token.active

    def detail(self, attempt: Attempt) -> str:
        return "it is active" if attempt.token.active else "it is switched off"

    def remedy(self, attempt: Attempt) -> str:  # noqa: ARG002
        return "set active to true"


class _Begun(Check):
    name = "begun"

    def passes(self, attempt: Attempt) -> bool:
        valid_from_us = attempt.token.valid_from_us
        return valid_from_us is None or attempt.now_us >= valid_from_us

    def detail(self, attempt: Attempt) -> str:
        valid_from_us = attempt.token.valid_from_us
        return (
            "it has no beginning" if valid_from_us is None else f"it is valid from {rfc3339(valid_from_us)}"
        )

    def remedy(self, attempt: Attempt) -> str:  # noqa: ARG002
        return "set an earlier valid_from"


class _LiveValue(Check):
    name = "live value"

    def passes(self, attempt: Attempt) -> bool:
        return attempt.secret is not None and attempt.secret.is_live(attempt.now_us)

    def detail(self, attempt: Attempt) -> str:
        secret = attempt.secret
        if secret is None:
            return "it has no value that works"
        if secret.expires_at_us is None:
            return "its value works until it is rotated"
        verb = "works" if self.passes(attempt) else "worked"
        return f"its value {verb} until {rfc3339(secret.expires_at_us)}"

    def remedy(self, attempt: Attempt) -> str:  # noqa: ARG002
        return "rotate it and use the new value"


class _AddressAllowed(Check):
    name = "client address"

    def passes(self, attempt: Attempt) -> bool:
        if not attempt.token.allowlist:
            return True
        address = None if attempt.address is None else parse_address(attempt.address)
        return address is not None and attempt.token.allowlist.contains(address)

    def detail(self, attempt: Attempt) -> str:
        if not attempt.token.allowlist:
            return "it may be used from anywhere"
        entries = ", ".join(attempt.token.allowlist.entries)
        return f"it may be used from {entries}; the client's address is {attempt.address or 'unknown'}"

    def remedy(self, attempt: Attempt) -> str:
        if attempt.address is None:
            return "say which address the client has, or empty its ip_allowlist"
        return f"add {attempt.address} to its ip_allowlist"

    def refusal(self, attempt: Attempt) -> AuthenticationError:
        address = None if attempt.address is None else parse_address(attempt.address)
        return AddressError(None if address is None else str(address))


CHECKS: tuple[Check, ...] = (
    _Genuine(),
    _NotRevoked(),
    _NotExpired(),
    _NotIdle(),
    _Active(),
    _Begun(),
    _LiveValue(),
    _AddressAllowed(),
)
"""In the order in which they are made."""


def failed_check(attempt: Attempt) -> Check | None:
    """The first check that an attempt does not pass, or None if it passes all."""
    return next((check for check in CHECKS if not check.passes(attempt)), None)
