"""Many changes in one request. Each is a change of its own: one that is refused undoes nothing of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from reductauth.actor import Actor
from reductauth.details import TokenDetails
from reductauth.edit import TokenEdit
from reductauth.errors import AuthError
from reductauth.web.errors import refusal_of
from reductauth.web.keys import Auth
from reductauth.web.schema import BatchItem, Operation, edit_of
from reductauth.web.views import full_view

__all__ = ["batch_results"]

_TOGETHER = 100
"""Changes that are handed in at once; between them other requests have their turn."""


async def batch_results(auth: Auth, actor: Actor, items: Sequence[BatchItem]) -> list[dict[str, Any]]:
    """Make the changes in their order; say of each what the route for it alone would answer."""
    results: list[dict[str, Any]] = []
    for start in range(0, len(items), _TOGETHER):
        # Tasks begin in the order in which they are made, and each hands in its change before it waits for anything:
        # so the changes stand in the writer's queue one behind the other, and share a commit.
        together = items[start : start + _TOGETHER]
        results += await asyncio.gather(*(_result(auth, actor, item) for item in together))
    return results


async def _result(auth: Auth, actor: Actor, item: BatchItem) -> dict[str, Any]:
    try:
        details = await _changed(auth, actor, item)
    except AuthError as error:
        status, detail = refusal_of(error)
        return {"name": item.name, "status": status, "detail": detail}
    result: dict[str, Any] = {"name": item.name, "status": 200}
    if details is not None:
        result["token"] = full_view(details, auth.clock())
    return result


async def _changed(auth: Auth, actor: Actor, item: BatchItem) -> TokenDetails | None:
    """Make one change; return the token as it is then, None if it is gone."""
    registry = auth.registry
    match item.op:
        case Operation.DELETE:
            await registry.delete(actor, item.name)
            return None
        case Operation.REVOKE:
            return await registry.revoke(actor, item.name)
        case Operation.ACTIVATE:
            return await registry.edit(actor, item.name, TokenEdit(active=True))
        case Operation.DEACTIVATE:
            return await registry.edit(actor, item.name, TokenEdit(active=False))
        case Operation.EDIT:
            return await registry.edit(actor, item.name, edit_of(item.patch))
