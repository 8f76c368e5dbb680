"""Domain -> JSON: what answers show. Views are for `to_json`, which writes their times: RFC 3339, UTC with `Z`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from reductauth.audit import AuditEntry, AuditQuery
from reductauth.details import PeriodUsage, TokenDetails, UsageCounts
from reductauth.explanation import Explanation
from reductauth.query import Page
from reductauth.registry import Minted
from reductauth.token import Secret, Token
from reductauth.web.wire import wire_time

__all__ = ["audit_view", "explanation_view", "full_view", "minted_view", "token_view", "usage_view"]


def token_view(token: Token, now_us: int) -> dict[str, Any]:
    """Give a token as the storage protocol shows it."""
    permissions = token.permissions
    return {
        "name": token.name,
        "value": "",
        "created_at": wire_time(token.created_at_us),
        "permissions": {
            "full_access": permissions.full_access,
            "read": permissions.read,
            "write": permissions.write,
        },
        "is_provisioned": token.is_provisioned,
        "expires_at": wire_time(token.expires_at_us),
        "ttl": token.ttl_seconds,
        "last_access": wire_time(token.last_access_us),
        "ip_allowlist": token.allowlist.entries,
        "is_expired": token.is_expired(now_us),
    }


def full_view(details: TokenDetails, now_us: int) -> dict[str, Any]:
    """Give a token with all that operators see: the keys of the storage protocol, and more."""
    token = details.token
    return token_view(token, now_us) | {
        "id": token.token_id,
        "description": token.description,
        "role": token.role,
        "status": token.status_at(now_us),
        "active": token.active,
        "valid_from": wire_time(token.valid_from_us),
        "revoked_at": wire_time(token.revoked_at_us),
        "updated_at": wire_time(token.updated_at_us),
        "created_by": token.created_by,
        "last_access_ip": token.last_access_ip,
        **({} if token.fault is None else {"fault": token.fault}),
        "secrets": [_secret_view(secret) for secret in details.secrets],
        "usage": {
            "total": _counts_view(details.usage.total),
            "today": _counts_view(details.usage.today),
            "this_month": _counts_view(details.usage.this_month),
        },
    }


def usage_view(token: Token, usage: Iterable[PeriodUsage]) -> dict[str, Any]:
    """Give what a token was used for, by period."""
    periods = [{"period": one.period, **_counts_view(one.counts)} for one in usage]
    return {"name": token.name, "id": token.token_id, "usage": periods}


def _counts_view(counts: UsageCounts) -> dict[str, int]:
    return {"read": counts.read, "write": counts.write, "admin": counts.admin, "denied": counts.denied}


def _secret_view(secret: Secret) -> dict[str, Any]:
    return {
        "created_at": wire_time(secret.created_at_us),
        "expires_at": wire_time(secret.expires_at_us),
        "last_access": wire_time(secret.last_access_us),
        "last_access_ip": secret.last_access_ip,
        "uses": secret.uses,
    }


def audit_view(page: Page[AuditEntry], query: AuditQuery) -> dict[str, Any]:
    """Give a page of the audit, with what was found."""
    return {
        "entries": [
            {
                "sequence": entry.sequence,
                "at": wire_time(entry.at_us),
                "actor": entry.actor,
                "actor_id": entry.actor_id,
                "address": entry.address,
                "action": entry.action,
                "token": entry.token_name,
                "token_id": entry.token_id,
                "detail": _detail(entry.detail),
            }
            for entry in page.rows
        ],
        "query": {
            "found": page.found,
            "length": len(page.rows),
            "offset": query.offset,
            "total": page.total,
        },
    }


def _detail(text: str | None) -> Any:
    try:
        return None if text is None else orjson.loads(text)
    except orjson.JSONDecodeError:  # somebody else wrote it; `reductauth audit verify` tells
        return text


def explanation_view(explanation: Explanation) -> dict[str, Any]:
    """Give a decision and every check behind it."""
    return {
        "allowed": explanation.allowed,
        "reason": explanation.reason,
        "checks": [
            {"check": finding.check, "passed": finding.passed, "detail": finding.detail}
            for finding in explanation.findings
        ],
    }


def minted_view(minted: Minted) -> dict[str, Any]:
    """Give a new value: the one response that holds it."""
    view = {"value": minted.value, "created_at": wire_time(minted.created_at_us)}
    if minted.previous_expires_at_us is not None:
        view["previous_expires_at"] = wire_time(minted.previous_expires_at_us)
    return view
