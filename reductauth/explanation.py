"""The decision that a request would get, told check by check: made by the code that decides requests."""

from __future__ import annotations

from dataclasses import dataclass

from reductauth.admission import CHECKS, Attempt
from reductauth.policy import BucketAccess, FullAccess

__all__ = ["Demand", "Explanation", "Finding", "explain"]

Demand = BucketAccess | FullAccess
"""What somebody may be refused for lack of."""

_PERMISSION = "permission"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check, whether it is passed, and what it saw."""

    check: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Yes or no, why, and every check in the order in which requests meet them."""

    allowed: bool
    reason: str
    """Where it is no: the first check that fails, and the smallest change that would make it a yes."""
    findings: tuple[Finding, ...]


def explain(attempt: Attempt, demand: Demand) -> Explanation:
    """Decide an attempt to do what `demand` asks for, and say why."""
    decision = demand.decide(attempt.token)
    allowed_detail = f"Token '{attempt.token.name}' has {_permission(demand)}"
    findings = (
        *(Finding(check.name, check.passes(attempt), check.detail(attempt)) for check in CHECKS),
        Finding(_PERMISSION, bool(decision), allowed_detail if decision else decision.reason),
    )
    failed = [finding for finding in findings if not finding.passed]
    if not failed:
        return Explanation(True, "every check is passed", findings)
    remedies = [check.remedy(attempt) for check in CHECKS if not check.passes(attempt)]
    if attempt.token.fault is not None or attempt.token.revoked_at_us is not None:
        remedies = remedies[:1]  # nothing else would help
    elif not decision:
        remedies.append(_remedy(demand))
    return Explanation(False, f"{failed[0].detail}; to allow it: {', '.join(remedies)}", findings)


def _permission(demand: Demand) -> str:
    match demand:
        case FullAccess():
            return "full access"
        case BucketAccess(action, bucket):
            return f"{action} access to bucket '{bucket}'"


def _remedy(demand: Demand) -> str:
    match demand:
        case FullAccess():
            return "give it full access"
        case BucketAccess(action, bucket):
            return f"add '{bucket}' to its {action} permissions"
