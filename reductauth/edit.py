"""What of a token is asked to be otherwise. Frozen, and applied to whatever the token is by then.

An edit names only what it changes, and is applied inside the transaction of its change: of two that race, the
second one sees what the first one did, and neither loses anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, TypeVar

from reductauth.draft import check_bounds, check_expiry
from reductauth.networks import NetworkList
from reductauth.permissions import BucketPattern, Permissions, Role
from reductauth.token import Token

__all__ = ["NOT_GIVEN", "NotGiven", "PermissionsEdit", "TokenEdit"]

T = TypeVar("T")


class NotGiven(Enum):
    """The type of `NOT_GIVEN`."""

    NOT_GIVEN = "not given"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN
"""Stands where an edit leaves something as it is; None means that it is taken away."""


def _either(given: T | NotGiven, present: T) -> T:
    return present if isinstance(given, NotGiven) else given


@dataclass(frozen=True, slots=True)
class PermissionsEdit:
    """Permissions, key by key: a list that is given takes the place of the old one."""

    full_access: bool | NotGiven = NOT_GIVEN
    read: tuple[BucketPattern, ...] | NotGiven = NOT_GIVEN
    write: tuple[BucketPattern, ...] | NotGiven = NOT_GIVEN

    def applied_to(self, permissions: Permissions) -> Permissions:
        """The permissions with this edit in them. Raises `InvalidInputError` for too many patterns."""
        return Permissions.of(
            full_access=_either(self.full_access, permissions.full_access),
            read=_either(self.read, permissions.read),
            write=_either(self.write, permissions.write),
        )


@dataclass(frozen=True, slots=True)
class TokenEdit:
    """The wishes of whoever edits a token: either a role or permissions. Times are microseconds since the epoch."""

    description: str | NotGiven = NOT_GIVEN
    role: Role | NotGiven = NOT_GIVEN
    permissions: PermissionsEdit = PermissionsEdit()
    active: bool | NotGiven = NOT_GIVEN
    valid_from_us: int | NotGiven | None = NOT_GIVEN
    expires_at_us: int | NotGiven | None = NOT_GIVEN
    ttl_seconds: int | NotGiven | None = NOT_GIVEN
    allowlist: NetworkList | NotGiven = NOT_GIVEN

    def applied_to(self, token: Token, now_us: int) -> Token:
        """The token with this edit in it, or the very same where it changes nothing.

        Raises `InvalidInputError` for the first wish that cannot be granted at `now_us`.
        """
        role = _either(self.role, token.role)
        asked = token.permissions if self.role is NOT_GIVEN else Permissions.preset(self.role)
        permissions = self.permissions.applied_to(asked)
        changed = replace(
            token,
            description=_either(self.description, token.description),
            role=role if role is not None and permissions == Permissions.preset(role) else None,
            permissions=permissions,
            active=_either(self.active, token.active),
            valid_from_us=_either(self.valid_from_us, token.valid_from_us),
            expires_at_us=_either(self.expires_at_us, token.expires_at_us),
            ttl_seconds=_either(self.ttl_seconds, token.ttl_seconds),
            allowlist=_either(self.allowlist, token.allowlist),
        )
        if self.expires_at_us is not NOT_GIVEN:
            check_expiry(changed, now_us)
        check_bounds(changed)
        return token if changed == token else replace(changed, updated_at_us=now_us)
