"""Whether an actor may still change the registry, asked inside the transaction of the change."""

from __future__ import annotations

from reductauth.actor import Actor
from reductauth.errors import InvalidTokenError, PermissionDeniedError
from reductauth.policy import FullAccess
from reductauth.store import Transaction
from reductauth.token import Token, TokenStatus

__all__ = ["check_administrator", "check_holder"]


def check_holder(transaction: Transaction, actor: Actor, now_us: int) -> Token:
    """Return the token that the actor holds. Raise `InvalidTokenError` unless it is good at `now_us`.

    The value that it presented must be live too: a rotation ends what was begun with the old one.
    """
    token = None if actor.token_id is None else transaction.token_by_id(actor.token_id)
    if token is None or token.fault is not None or token.status_at(now_us) is not TokenStatus.ACTIVE:
        raise InvalidTokenError
    if not any(
        secret.secret_id == actor.secret_id and secret.is_live(now_us)
        for secret in transaction.secrets(token.token_id)
    ):
        raise InvalidTokenError
    return token


def check_administrator(transaction: Transaction, actor: Actor, now_us: int) -> None:
    """Raise `InvalidTokenError` or `PermissionDeniedError` unless the actor has full access at `now_us`."""
    if actor.token_id is None:
        return
    decision = FullAccess().decide(check_holder(transaction, actor, now_us))
    if not decision:
        raise PermissionDeniedError(decision.reason)
