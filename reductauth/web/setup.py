"""The one call an engine makes: routes, the registry's life, the census."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from reductauth import bootstrap
from reductauth.authenticator import Authenticator
from reductauth.bootstrap import Bootstrap
from reductauth.buckets import BucketNames
from reductauth.clock import Clock, system_clock
from reductauth.configuration import Configuration
from reductauth.counts import Counts
from reductauth.disabled import DisabledRegistry
from reductauth.errors import ConfigurationError, StoreUnavailableError
from reductauth.housekeeping import Housekeeper
from reductauth.links import OpenLinks, TokenLinks
from reductauth.refusals import RefusalMeter
from reductauth.registry import TokenRegistry
from reductauth.settings import Settings
from reductauth.sqlite import SqliteStore
from reductauth.sqlite.files import RegistryFolder
from reductauth.usage import UsageMeter
from reductauth.web.census import applications, take_census
from reductauth.web.gate import OpenGate, StoreGate
from reductauth.web.keys import AUTH, RESPONSE_HEADERS, Auth
from reductauth.web.openapi import openapi_route
from reductauth.web.routes import token_routes

__all__ = ["setup"]

_logger = logging.getLogger("reductauth")


def setup(
    app: web.Application,
    settings: Settings,
    *,
    environ: Mapping[str, str] = os.environ,
    configuration: Configuration | None = None,
    clock: Clock | None = None,
    bucket_names: BucketNames | None = None,
) -> None:
    """Put the module into an application, before it starts.

    `environ` gives the bootstrap token (see `reductauth.bootstrap`); `configuration` takes its place where a file
    does too: the one that `Settings.of` read. `bucket_names` asks the engine which
    buckets there are: with it, a rename or removal that a crash cut short is settled at the next start; the
    engine must be open by then, so append its own `cleanup_ctx` before this call.

    At start-up the application refuses to run, with a `ConfigurationError`, if a route declares no policy or
    the registry cannot be opened safely.
    """
    app.add_routes([*token_routes(settings.api_base_path), openapi_route(settings.api_base_path)])

    async def life(app: web.Application) -> AsyncIterator[None]:
        take_census(app)
        _put_on_every_answer(app, app.get(RESPONSE_HEADERS))
        given = Configuration.read(environ) if configuration is None else configuration
        for name in type(settings).unknown_variables(given.environ):
            _logger.warning("environment variable %s is unknown: it changes nothing", name)
        async with _running(settings, given, clock or system_clock(), bucket_names) as auth:
            for application in applications(app):
                application[AUTH] = auth
            yield

    app.cleanup_ctx.append(life)


def _put_on_every_answer(app: web.Application, headers: Mapping[str, str] | None) -> None:
    if headers is None:
        return

    async def put(request: web.Request, response: web.StreamResponse) -> None:  # noqa: ARG001
        response.headers.update(headers)

    app.on_response_prepare.append(put)


@contextlib.asynccontextmanager
async def _running(
    settings: Settings, configuration: Configuration, clock: Clock, bucket_names: BucketNames | None
) -> AsyncIterator[Auth]:
    secrets = Bootstrap.of(configuration, disable_auth=settings.disable_auth, now_us=clock())
    if settings.disable_auth:
        _logger.warning("authentication is OFF (RS_DISABLE_AUTH=true): everybody may do everything")
        yield Auth(OpenGate(), DisabledRegistry(), OpenLinks(), clock)
        return
    if not RegistryFolder(settings.auth_folder).holds_registry():
        secrets.check_first_start()
    store = await asyncio.to_thread(SqliteStore.open, settings.auth_folder, secrets.key)
    try:
        registry = TokenRegistry(store, store.key, clock, bucket_names, settings.token_max_lifetime_seconds)
        try:
            await bootstrap.apply(secrets, store, store.key, clock)
            await registry.settle_bucket_intents()
        except StoreUnavailableError as error:
            raise ConfigurationError([f"{settings.auth_folder}: {error}"]) from None
        usage = UsageMeter(store)
        authenticator = Authenticator(store, store.key, settings.auth_cache_size)
        refusals = RefusalMeter(store, clock)
        gate = StoreGate(authenticator, usage, refusals, settings)
        _logger.info("authentication is on folder=%s", settings.auth_folder)

        def counts() -> Counts:
            return Counts(
                usage.totals(),
                dict(gate.refused),
                dict(gate.throttled),
                store.counts(),
                authenticator.hits,
                authenticator.misses,
                authenticator.cached_values,
            )

        housekeeper = Housekeeper(
            store, clock, settings.usage_days, settings.ended_token_days, settings.audit_days
        )
        tasks = [asyncio.create_task(one.run()) for one in (usage, refusals, housekeeper)]
        try:
            yield Auth(gate, registry, TokenLinks(store, store.key), clock, store.is_writable, counts)
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await usage.flush()
            await refusals.flush(whole=True)
    finally:
        await store.close()
