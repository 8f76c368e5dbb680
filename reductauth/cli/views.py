"""What is read out of an answer for a person. A server of another release may know less: then a cell is empty."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from reductauth.cli.failures import UnreachableError

__all__ = ["AuditView", "DecisionView", "MintedView", "PageView", "TokenView", "UsageView", "read_answer"]

ModelT = TypeVar("ModelT", bound=BaseModel)


class _PermissionsView(BaseModel):
    full_access: bool = False
    read: list[str] = []
    write: list[str] = []

    def __str__(self) -> str:
        if self.full_access:
            return "full access"
        parts = [("read", self.read), ("write", self.write)]
        return "; ".join(f"{word} {', '.join(patterns)}" for word, patterns in parts if patterns)


class _CountsView(BaseModel):
    read: int = 0
    write: int = 0
    admin: int = 0
    denied: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{word} {count}" for word, count in self if count) or "none"


class _SecretView(BaseModel):
    created_at: str
    expires_at: str | None = None
    last_access: str | None = None
    last_access_ip: str | None = None
    uses: int = 0

    def __str__(self) -> str:
        end = "" if self.expires_at is None else f", works until {self.expires_at}"
        return (
            f"made {self.created_at}{end}, {_access(self.last_access, self.last_access_ip)}, uses {self.uses}"
        )


class TokenView(BaseModel):
    """A token in full view."""

    name: str
    permissions: _PermissionsView
    id: str = ""
    description: str = ""
    role: str | None = None
    status: str = ""
    is_provisioned: bool = False
    created_at: str = ""
    created_by: str = ""
    updated_at: str = ""
    valid_from: str | None = None
    expires_at: str | None = None
    revoked_at: str | None = None
    ttl: int | None = None
    ip_allowlist: list[str] = []
    last_access: str | None = None
    last_access_ip: str | None = None
    secrets: list[_SecretView] = []
    usage: dict[str, _CountsView] = {}
    fault: str | None = None

    def row(self) -> tuple[str, ...]:
        """One row of a list."""
        return (
            self.name,
            self.status if self.fault is None else f"{self.status}, refused: {self.fault}",
            str(self.permissions),
            self.expires_at or "",
            self.last_access or "",
            self.description,
        )

    def pairs(self) -> list[tuple[str, str]]:
        """All that there is to say."""
        pairs = [
            ("name", self.name),
            ("id", self.id),
            ("description", self.description),
            ("status", self.status),
            *([] if self.fault is None else [("fault", f"refused: {self.fault}")]),
            ("permissions", str(self.permissions)),
            ("role", self.role or ""),
            ("provisioned", "yes" if self.is_provisioned else "no"),
            ("created", f"{self.created_at} by {self.created_by}"),
            ("updated", self.updated_at),
            ("valid from", self.valid_from or ""),
            ("expires", self.expires_at or ""),
            ("revoked", self.revoked_at or ""),
            ("ttl", "" if self.ttl is None else f"{self.ttl} s"),
            ("allowed from", ", ".join(self.ip_allowlist)),
            ("last access", _access(self.last_access, self.last_access_ip)),
        ]
        pairs += [(f"value {number}", str(secret)) for number, secret in enumerate(self.secrets, 1)]
        pairs += [(f"usage {period.replace('_', ' ')}", str(counts)) for period, counts in self.usage.items()]
        return pairs


class PeriodView(_CountsView):
    """Numbers of requests in a day or a month."""

    period: str

    def row(self) -> tuple[str, ...]:
        """One row of a list."""
        return self.period, str(self.read), str(self.write), str(self.admin), str(self.denied)


class UsageView(BaseModel):
    """What a token was used for."""

    usage: list[PeriodView]


class _FindingView(BaseModel):
    check: str
    passed: bool
    detail: str = ""

    def row(self) -> tuple[str, ...]:
        """One row of a list."""
        return self.check, "yes" if self.passed else "NO", self.detail


class DecisionView(BaseModel):
    """What a request would get."""

    allowed: bool
    reason: str
    checks: list[_FindingView]


class _FoundView(BaseModel):
    found: int
    length: int
    offset: int
    total: int


class PageView(BaseModel):
    """A list of tokens, each as it was answered."""

    tokens: list[dict[str, Any]]
    query: _FoundView | None = None


class EntryView(BaseModel):
    """An entry of the audit."""

    sequence: int
    at: str = ""
    actor: str = ""
    address: str | None = None
    action: str = ""
    token: str | None = None
    detail: Any = None

    def row(self) -> tuple[str, ...]:
        """One row of a list."""
        detail = "" if self.detail is None else json.dumps(self.detail, separators=(",", ":"))
        who = self.actor if self.address is None else f"{self.actor} from {self.address}"
        return str(self.sequence), self.at, who, self.action, self.token or "", detail


class AuditView(BaseModel):
    """A page of the audit."""

    entries: list[EntryView]
    query: _FoundView


class MintedView(BaseModel):
    """A new value."""

    value: str
    created_at: str
    previous_expires_at: str | None = None


def read_answer(model: type[ModelT], answer: Any) -> ModelT:
    """Read an answer. Raises `CommandError`, without the answer: there may be a value in it."""
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        places = ", ".join(dict.fromkeys(str(fault["loc"][0]) for fault in error.errors() if fault["loc"]))
        raise UnreachableError(
            f"the answer is not that of a server with tokens ({places or 'not an object'})",
        ) from None


def _access(at: str | None, address: str | None) -> str:
    if at is None:
        return "never used"
    return f"last used {at}" + ("" if address is None else f" from {address}")
