"""The books: every change of the registry, by whom and from where, what was before and what after.

Rule of this file: no entry ever holds a value, or a digest of one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import orjson

from reductauth.plain import PlainToken
from reductauth.query import DEFAULT_LIMIT
from reductauth.times import rfc3339, rfc3339_or_none
from reductauth.token import Token

__all__ = ["AuditAction", "AuditEntry", "AuditQuery", "Detail", "addition_of", "change_of", "detail_text"]

Detail = dict[str, Any]
"""What an entry says beside the rest: JSON."""


class AuditAction(StrEnum):
    """What happened."""

    CREATE = "create"
    EDIT = "edit"
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    ROTATE = "rotate"
    REVOKE = "revoke"
    DELETE = "delete"
    BOOTSTRAP = "bootstrap"
    PROVISION = "provision"
    BUCKET_RENAMING = "bucket_renaming"
    """A bucket is about to be renamed: exact grants on it rest."""
    BUCKET_REMOVING = "bucket_removing"
    BUCKET_SETTLED = "bucket_settled"
    """It is known what became of the bucket."""
    BUCKET_RENAMED = "bucket_renamed"
    """A token's grants moved to the new name."""
    BUCKET_REMOVED = "bucket_removed"
    """A token's grants on the bucket ended."""
    CLEAN_UP = "clean_up"
    """Values whose period of grace was over were forgotten."""
    CARRY_OVER = "carry_over"
    """A token as it is, written down again because its last entry is about to be removed for its age."""
    IMPORT = "import"
    """A token was brought in from a file, with what its line says."""
    RESTORE = "restore"
    DENIED = "denied"
    """A token without full access asked for what needs it; one entry for a minute."""
    UNAUTHENTICATED = "unauthenticated"
    """Credentials were presented that let nobody in; one entry for a minute."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the books. `detail` is JSON text in ASCII, without a line end, or None."""

    sequence: int
    at_us: int
    actor: str
    actor_id: str | None
    address: str | None
    action: str
    token_id: str | None
    token_name: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """All conditions must be met; one that is empty or None is none.

    `token` and `actor` are each a name or an id. From `from_us` on, up to but without `to_us`.
    """

    token: str | None = None
    actor: str | None = None
    actions: frozenset[AuditAction] = frozenset()
    from_us: int | None = None
    to_us: int | None = None
    descending: bool = True
    limit: int = DEFAULT_LIMIT
    offset: int = 0


def change_of(before: Token | None, after: Token | None) -> Detail:
    """Tell what changed, by the names that the API has for it; None where there was, or is, no token."""
    if before is None:
        return {} if after is None else addition_of(PlainToken.of(after))
    old = _told(PlainToken.of(before))
    if after is None:
        return {"before": old}
    new = _told(PlainToken.of(after))
    changed = [name for name in old if old[name] != new[name]]
    return {"before": {name: old[name] for name in changed}, "after": {name: new[name] for name in changed}}


def addition_of(token: PlainToken) -> Detail:
    """Tell of a token that there was not before."""
    return {"after": _told(token)}


def detail_text(detail: Detail) -> str:
    """Write a detail down: ASCII, so that no line end of any script can be in it."""
    try:
        text = orjson.dumps(detail)
    except TypeError:  # half a character, as an environment may hold
        return json.dumps(detail, separators=(",", ":"))
    return text.decode() if text.isascii() else json.dumps(detail, separators=(",", ":"))


def _told(token: PlainToken) -> Detail:
    return {
        "description": token.description,
        "role": token.role,
        "permissions": {
            "full_access": token.full_access == 1,
            "read": _list(token.read_patterns),
            "write": _list(token.write_patterns),
        },
        "is_provisioned": token.is_provisioned == 1,
        "active": token.active == 1,
        "created_at": rfc3339(token.created_at_us),
        "valid_from": rfc3339_or_none(token.valid_from_us),
        "expires_at": rfc3339_or_none(token.expires_at_us),
        "revoked_at": rfc3339_or_none(token.revoked_at_us),
        "ttl": token.ttl_seconds,
        "ip_allowlist": _list(token.ip_allowlist),
    }


@lru_cache(maxsize=4096)
def _list(text: str) -> tuple[str, ...]:
    return tuple(orjson.loads(text))
