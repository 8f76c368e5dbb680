"""Mechanisms of the server, each switched off: what the tests beside this file must notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reductauth import admission, authenticator, registry
from reductauth.actor import Actor
from reductauth.buckets import BucketGrants
from reductauth.changes import TokenChange
from reductauth.permissions import Action, Permissions
from reductauth.registry import TokenRegistry
from reductauth.sqlite.generation import Generation
from reductauth.sqlite.transaction import SqliteTransaction
from reductauth.token import Token

__all__ = ["SABOTAGES"]


def generation_stands_still() -> None:
    """Changes are not published: caches go on with what they know."""
    Generation.begin = lambda self: self.read()  # type: ignore[method-assign]
    Generation.publish = lambda self, even: None  # type: ignore[method-assign]


def wildcards_open_system_buckets() -> None:
    """`*` opens buckets whose names begin with `$`."""

    def allows(self: Permissions, action: Action, bucket: str) -> bool:
        exact, prefixes = self._read if action == Action.READ else self._write
        return self.full_access or bucket in exact or bucket.startswith(prefixes)

    Permissions.allows = allows  # type: ignore[method-assign]


def prefixes_everywhere() -> None:
    """A bucket's name opens every bucket that begins with it."""

    def allows(self: Permissions, action: Action, bucket: str) -> bool:
        exact, prefixes = self._read if action == Action.READ else self._write
        return self.full_access or bucket.startswith((*exact, *prefixes))

    Permissions.allows = allows  # type: ignore[method-assign]


def last_administrator_may_go() -> None:
    """Nobody looks whether an administrator remains."""
    TokenChange._check_administrator_remains = lambda *_: None  # type: ignore[method-assign,assignment]


def actor_is_not_checked_again() -> None:
    """Whoever was an administrator when the headers came may still change something when its turn comes."""

    registry.check_administrator = lambda *_: None


def edit_outside_the_transaction() -> None:
    """A token is read before its edit waits for its turn: of two edits at once, one is lost."""
    from reductauth.registry import TokenRegistry

    edit = TokenRegistry.edit
    seen: dict[str, Any] = {}

    async def edit_early(self: TokenRegistry, actor: Any, name: str, wish: Any) -> Any:
        seen[name] = (await self.details(name)).token
        return await edit(self, actor, name, wish)

    now_there = TokenChange.token

    def token(self: TokenChange, name: str) -> Any:
        return seen.pop(name, None) or now_there(self, name)

    TokenRegistry.edit = edit_early  # type: ignore[method-assign]
    TokenChange.token = token  # type: ignore[method-assign]


def old_values_live_on() -> None:
    """A rotation leaves the old value as it was."""
    SqliteTransaction.remove_secrets = lambda *_: None  # type: ignore[method-assign]


def revoked_values_pass() -> None:
    """A revocation is written down, and not asked for: values stay, and so does the check that lets them in."""
    Token.revoked = lambda self, at_us: self  # type: ignore[method-assign]


def grants_stay_behind() -> None:
    """A bucket is renamed or removed, and grants are left as they were."""

    async def apply(self: BucketGrants, _outcome: Any, _bucket: str, _new: str | None, intent: Any = None) -> None:
        if intent is not None:
            await self._store.change(lambda transaction: transaction.remove_bucket_intent(intent.intent_id))

    BucketGrants._apply = apply  # type: ignore[method-assign]


def switched_off_tokens_pass() -> None:
    """`active` is shown, and decides nothing."""

    admission.CHECKS = tuple(check for check in admission.CHECKS if check.name != "active")
    assert authenticator.failed_check is admission.failed_check


SABOTAGES: dict[str, Callable[[], None]] = {
    one.__name__: one
    for one in (
        generation_stands_still,
        wildcards_open_system_buckets,
        prefixes_everywhere,
        last_administrator_may_go,
        actor_is_not_checked_again,
        edit_outside_the_transaction,
        old_values_live_on,
        revoked_values_pass,
        grants_stay_behind,
        switched_off_tokens_pass,
    )
}
