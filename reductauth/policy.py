"""What a route demands of a token, and the answer.

Rule of this file: a policy sees a token and returns a decision; it knows no request and no clock. Whether
the token is valid now was decided before (see `reductauth.authenticator`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from reductauth.permissions import Action
from reductauth.token import Token

__all__ = [
    "ALLOWED",
    "Allowed",
    "Anonymous",
    "Authenticated",
    "BucketAccess",
    "Decision",
    "Denied",
    "FullAccess",
    "Policy",
    "bucket_denied",
]


@dataclass(frozen=True, slots=True)
class Allowed:
    """Yes. Truthy."""

    def __bool__(self) -> Literal[True]:
        return True


@dataclass(frozen=True, slots=True)
class Denied:
    """No, and why, for the person who asked. Falsy."""

    reason: str

    def __bool__(self) -> Literal[False]:
        return False


Decision = Allowed | Denied
ALLOWED = Allowed()


class Policy(Protocol):
    """A demand on a valid token."""

    def decide(self, token: Token) -> Decision:
        """Whether `token` meets the demand."""
        ...


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Everybody, without a token. A token that is sent is not looked at."""

    def decide(self, token: Token) -> Decision:  # noqa: ARG002 - the protocol's signature
        """Allow."""
        return ALLOWED

    def __str__(self) -> str:
        return "anonymous"


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Any valid token."""

    def decide(self, token: Token) -> Decision:  # noqa: ARG002 - the protocol's signature
        """Allow: whoever holds a token got this far."""
        return ALLOWED

    def __str__(self) -> str:
        return "authenticated"


@dataclass(frozen=True, slots=True)
class FullAccess:
    """A token with full access."""

    def decide(self, token: Token) -> Decision:
        """Allow full access only."""
        if token.permissions.full_access:
            return ALLOWED
        return Denied(f"Token '{token.name}' doesn't have full access")

    def __str__(self) -> str:
        return "full access"


def bucket_denied(token: Token, action: Action, bucket: str) -> Denied:
    """The answer to a token that may not do `action` to `bucket`."""
    return Denied(f"Token '{token.name}' doesn't have {action} access to bucket '{bucket}'")


@dataclass(frozen=True, slots=True)
class BucketAccess:
    """Read or write access to one bucket."""

    action: Action
    bucket: str

    def decide(self, token: Token) -> Decision:
        """Allow full access, and tokens with a pattern of this action that opens the bucket."""
        if token.permissions.allows(self.action, self.bucket):
            return ALLOWED
        return bucket_denied(token, self.action, self.bucket)

    def __str__(self) -> str:
        return f"{self.action} {self.bucket}"
