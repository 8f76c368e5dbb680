"""Mechanisms of the server, each switched off: what the tests beside this file must notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reductauth import admission, links, registry
from reductauth.buckets import BucketGrants
from reductauth.changes import TokenChange
from reductauth.permissions import Action, Permissions
from reductauth.policy import ALLOWED
from reductauth.registry import TokenRegistry
from reductauth.sqlite.generation import Generation
from reductauth.sqlite.transaction import SqliteTransaction
from reductauth.token import Token
from storage_demo.engine.running import RunningQueries

__all__ = ["SABOTAGES"]


def _put(owner: object, name: str, replacement: object) -> None:
    setattr(owner, name, replacement)


def generation_stands_still() -> None:
    """Changes are not published: caches go on with what they know."""
    _put(Generation, "begin", lambda *of: of[0].read())
    _put(Generation, "publish", lambda *_: None)


def _grants(permissions: Permissions, action: Action) -> tuple[frozenset[str], tuple[str, ...]]:
    if action is Action.READ:
        return permissions.read_names, permissions._read_prefixes
    return permissions.write_names, permissions._write_prefixes


def wildcards_open_system_buckets() -> None:
    """`*` opens buckets whose names begin with `$`."""

    def allows(self: Permissions, action: Action, bucket: str) -> bool:
        names, prefixes = _grants(self, action)
        return self.full_access or bucket in names or bucket.startswith(prefixes)

    _put(Permissions, "allows", allows)


def prefixes_everywhere() -> None:
    """A bucket's name opens every bucket that begins with it."""

    def allows(self: Permissions, action: Action, bucket: str) -> bool:
        names, prefixes = _grants(self, action)
        return self.full_access or bucket.startswith((*names, *prefixes))

    _put(Permissions, "allows", allows)


def last_administrator_may_go() -> None:
    """Nobody looks whether an administrator remains."""
    _put(TokenChange, "_check_administrator_remains", lambda *_: None)


def actor_is_not_checked_again() -> None:
    """Whoever was an administrator when the headers came may still change something when its turn comes."""
    _put(registry, "check_administrator", lambda *_: None)


def edit_outside_the_transaction() -> None:
    """A token is read before its edit waits for its turn: of two edits at once, one is lost."""
    edit = TokenRegistry.edit
    seen: dict[str, Any] = {}

    async def edit_early(self: TokenRegistry, actor: Any, name: str, wish: Any) -> Any:
        seen[name] = (await self.details(name)).token
        return await edit(self, actor, name, wish)

    now_there = TokenChange.token

    def token(self: TokenChange, name: str) -> Any:
        return seen.pop(name, None) or now_there(self, name)

    _put(TokenRegistry, "edit", edit_early)
    _put(TokenChange, "token", token)


def old_values_live_on() -> None:
    """A rotation leaves the old value as it was."""
    _put(SqliteTransaction, "remove_secrets", lambda *_: None)


def revocations_are_forgotten() -> None:
    """A revocation ends the values, and the record does not say so: the token can be rotated to life again."""
    _put(Token, "revoked", lambda *of: of[0])


def grants_stay_behind() -> None:
    """A bucket is renamed or removed, and grants are left as they were."""

    async def apply(
        self: BucketGrants, _outcome: Any, _bucket: str, _new: str | None, intent: Any = None
    ) -> None:
        if intent is not None:
            await self._store.change(lambda transaction: transaction.remove_bucket_intent(intent.intent_id))

    _put(BucketGrants, "_apply", apply)


def switched_off_tokens_pass() -> None:
    """`active` is shown, and decides nothing."""
    _put(admission, "CHECKS", tuple(check for check in admission.CHECKS if check.name != "active"))


def links_outlive_rotations() -> None:
    """A link is good as long as its token is, whatever value made it."""
    _put(links, "_secret_of", lambda _link, found: found.newest)


def links_outlive_permissions() -> None:
    """Whether the token still may what a link is for is not asked."""
    _put(links.LinkBearer, "decide", lambda *_: ALLOWED)


def queries_are_for_everybody() -> None:
    """Whoever knows the number of a query reads it."""
    find = RunningQueries.find

    async def find_any(
        self: RunningQueries, query_id: int, bucket: str, entry: str | None, owner: str
    ) -> Any:
        owners = [name for name, owned in self._owned.items() if query_id in owned._queries]
        return await find(self, query_id, bucket, entry, owner=owners[0] if owners else owner)

    _put(RunningQueries, "find", find_any)


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
        revocations_are_forgotten,
        grants_stay_behind,
        switched_off_tokens_pass,
        links_outlive_rotations,
        links_outlive_permissions,
        queries_are_for_everybody,
    )
}
