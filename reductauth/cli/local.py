"""The tokens of a folder, by the registry's own code: the same answers as a server's, and the same words.

Several processes may share the folder, so a server may run meanwhile: it sees each change with its next request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from multidict import MultiDict

from reductauth.actor import Actor
from reductauth.chosen import read_key
from reductauth.cli.admin import TokenAdmin
from reductauth.cli.failures import MisuseError, UnreachableError, refusal
from reductauth.cli.folder import check_registry, folder_settings
from reductauth.clock import Clock, system_clock
from reductauth.configuration import Configuration
from reductauth.errors import AuthError, ConfigurationError
from reductauth.key import RegistryKey
from reductauth.registry import TokenRegistry
from reductauth.sqlite import SERVING, SqliteStore, Tuning
from reductauth.web.errors import refusal_of
from reductauth.web.listing import counted_end, full_rows, page_body
from reductauth.web.query import parse_audit_query, parse_question, parse_span, parse_token_query
from reductauth.web.schema import parse_draft, parse_edit, parse_rotation
from reductauth.web.views import audit_view, explanation_view, full_view, minted_view, usage_view
from reductauth.web.wire import to_json

__all__ = ["local_admin", "local_store"]

_CAP = "token_max_lifetime_seconds"


@contextlib.asynccontextmanager
async def local_admin(configuration: Configuration, data_path: Path | None) -> AsyncIterator[TokenAdmin]:
    """Open the registry of a data folder, found as the server finds it. Makes nothing where there is none."""
    async with local_store(configuration, data_path) as (store, cap_seconds):
        clock = system_clock()
        yield _LocalAdmin(TokenRegistry(store, store.key, clock, max_lifetime_seconds=cap_seconds), clock)


@contextlib.asynccontextmanager
async def local_store(
    configuration: Configuration, data_path: Path | None, tuning: Tuning = SERVING
) -> AsyncIterator[tuple[SqliteStore, int | None]]:
    """Open the store below; beside it comes the cap on the lifetime of tokens, in seconds.

    What the store refuses is a `CommandError`.
    """
    try:
        settings = folder_settings(configuration, data_path, _CAP)
        key = read_key(configuration)
    except ConfigurationError as error:
        raise MisuseError(str(error)) from None
    try:
        store = await asyncio.to_thread(_open, settings.auth_folder, key, tuning)
    except ConfigurationError as error:
        raise UnreachableError(str(error)) from None
    try:
        yield store, settings.token_max_lifetime_seconds
    except AuthError as error:
        raise refusal(*refusal_of(error)) from None
    finally:
        await store.close()


def _open(path: Path, key: RegistryKey | None, tuning: Tuning) -> SqliteStore:
    check_registry(path)
    return SqliteStore.open(path, key, tuning)


class _LocalAdmin:
    """See `TokenAdmin`. The actor is the environment: whoever may write the folder may change its tokens."""

    def __init__(self, registry: TokenRegistry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._actor = Actor.environment()

    async def tokens(self, query: Mapping[str, str]) -> Any:
        listing = self._registry.listing
        parsed = parse_token_query(MultiDict(query))
        if parsed is not None:
            return orjson.loads(page_body(await listing.page(parsed, full_rows), parsed))
        batches = [batch async for batch in listing.batches(full_rows)]
        rows = b",".join(batch.rows for batch in batches)
        return orjson.loads(b'{"tokens":[' + rows + counted_end(sum(batch.count for batch in batches)))

    async def token(self, name: str) -> Any:
        return _answer(full_view(await self._registry.details(name), self._clock()))

    async def usage(self, name: str, query: Mapping[str, str]) -> Any:
        return _answer(usage_view(*await self._registry.usage(name, parse_span(MultiDict(query)))))

    async def check(self, name: str, query: Mapping[str, str]) -> Any:
        asked = parse_question(MultiDict(query))
        explanation = await self._registry.explain(name, asked.demand, asked.client_ip, asked.at_us)
        return _answer(explanation_view(explanation))

    async def audit(self, query: Mapping[str, str]) -> Any:
        asked = parse_audit_query(MultiDict(query))
        return _answer(audit_view(await self._registry.audited(asked), asked))

    async def create(self, name: str, body: Mapping[str, Any]) -> Any:
        return _answer(minted_view(await self._registry.create(self._actor, name, parse_draft(_bytes(body)))))

    async def edit(self, name: str, patch: Mapping[str, Any]) -> Any:
        edit = parse_edit(_bytes(patch))
        return _answer(full_view(await self._registry.edit(self._actor, name, edit), self._clock()))

    async def rotate(self, name: str, body: Mapping[str, Any]) -> Any:
        grace_seconds = parse_rotation(_bytes(body))
        return _answer(minted_view(await self._registry.rotate(self._actor, name, grace_seconds)))

    async def revoke(self, name: str) -> Any:
        return _answer(full_view(await self._registry.revoke(self._actor, name), self._clock()))

    async def delete(self, name: str) -> None:
        await self._registry.delete(self._actor, name)


def _answer(view: Any) -> Any:
    return orjson.loads(to_json(view))


def _bytes(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body).encode()
