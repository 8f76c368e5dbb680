"""Who asks for a change of the registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from reductauth.permissions import Permissions
from reductauth.token import ENVIRONMENT, Token

__all__ = ["Actor", "Identity"]


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller who was authenticated: its token, the one of its values that was presented, its address."""

    token: Token
    secret_id: int
    address: str | None = None
    permissions: Permissions = field(init=False, repr=False, compare=False)
    """The token's, which tokens that may do the same share: most requests are decided without a look at the token."""
    ttl_seconds: int | None = field(init=False, repr=False, compare=False)
    """The token's; here for the same reason."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "permissions", self.token.permissions)
        object.__setattr__(self, "ttl_seconds", self.token.ttl_seconds)


@dataclass(frozen=True, slots=True)
class Actor:
    """A token, by one of its values, or the environment (`token_id` is None).

    A token actor is looked up again inside the transaction of its change: what was true when its request
    was authorized may have ended since.
    """

    name: str
    token_id: str | None = None
    secret_id: int | None = None
    address: str | None = None

    @classmethod
    def environment(cls) -> Self:
        """The deployment itself: bootstrap, provisioning, start-up."""
        return cls(ENVIRONMENT)

    @classmethod
    def of(cls, identity: Identity) -> Self:
        """The caller of a request."""
        return cls(identity.token.name, identity.token.token_id, identity.secret_id, identity.address)
