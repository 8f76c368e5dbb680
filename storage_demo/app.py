"""The composition root: settings -> application."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

import reductauth.web
from reductauth import Action, AuthError, BucketAccess, ConfigurationError
from reductauth.configuration import Configuration
from storage_demo.api.batches import batch_routes
from storage_demo.api.buckets import bucket_routes
from storage_demo.api.cors import cross_origin
from storage_demo.api.entries import entry_routes
from storage_demo.api.errors import engine_errors
from storage_demo.api.fallback import fallback_route
from storage_demo.api.keys import ENGINE, SETTINGS, STARTED_AT_SECONDS
from storage_demo.api.links import link_routes
from storage_demo.api.multi_entry import multi_entry_routes
from storage_demo.api.queries import query_routes
from storage_demo.api.records import record_routes
from storage_demo.api.server import server_routes
from storage_demo.api.version import RESPONSE_HEADERS
from storage_demo.engine import BucketSettings, Engine, StorageError
from storage_demo.provisioning import declared_buckets
from storage_demo.settings import ServerSettings

__all__ = ["build_app", "create_app"]

_logger = logging.getLogger("storage_demo")


def create_app() -> web.Application:
    """Make the application that the process's environment describes. Raises `ConfigurationError`."""
    configuration = Configuration.read(os.environ)
    return build_app(ServerSettings.of(configuration), configuration)


def build_app(
    settings: ServerSettings, configuration: Configuration | Mapping[str, str] = os.environ
) -> web.Application:
    """Put engine, routes and guard together. Nothing is opened before the application starts.

    `configuration`, or the environment alone, gives the secrets and what is declared. Raises `ConfigurationError`
    for faults in declared buckets.
    """
    if not isinstance(configuration, Configuration):
        configuration = Configuration.read(configuration)
    faults: list[str] = []
    buckets = declared_buckets(configuration, faults)
    if faults:
        raise ConfigurationError(faults)
    app = web.Application(middlewares=[engine_errors])
    app[SETTINGS] = settings
    app[reductauth.web.RESPONSE_HEADERS] = RESPONSE_HEADERS
    app.on_response_prepare.append(cross_origin(settings.cors_allow_origin))
    app.cleanup_ctx.append(_engine_life)

    async def bucket_names() -> frozenset[str]:
        return await app[ENGINE].bucket_names()

    async def provision(app: web.Application) -> AsyncIterator[None]:
        await _provision_buckets(app, buckets)
        yield

    reductauth.web.setup(app, settings, configuration=configuration, bucket_names=bucket_names)
    # After the registry has settled what a crash cut short: a bucket of that name would look like the old one.
    app.cleanup_ctx.append(provision)
    api = f"{settings.api_base_path}/api/v1"
    entry = f"{api}/b/{{bucket_name:[^/]+}}/{{entry_name:[\\s\\S]+}}"  # line breaks too: they get a proper refusal
    app.add_routes([*server_routes(api), *bucket_routes(api), *multi_entry_routes(api), *link_routes(api)])
    # What has a suffix goes before the entries that could be called so.
    app.add_routes([*query_routes(entry), *batch_routes(entry), *entry_routes(entry), *record_routes(entry)])
    if settings.metrics:
        app.add_routes([_metrics_route(settings.api_base_path)])
    app.add_routes([fallback_route()])
    return app


def _metrics_route(base_path: str) -> web.RouteDef:
    """A page for a token that can do nothing else: no wildcard reaches a `$` bucket, and this one never exists."""
    from reductauth.web.metrics import metrics_route  # noqa: PLC0415 - it needs an extra

    return metrics_route(f"{base_path}/metrics", BucketAccess(Action.READ, "$metrics"))


async def _provision_buckets(app: web.Application, buckets: Mapping[str, BucketSettings]) -> None:
    engine, registry = app[ENGINE], app[reductauth.web.AUTH].registry
    try:
        for name in buckets.keys() - await engine.bucket_names():
            await registry.check_bucket_settled(name)
        for line in await engine.provision_buckets(buckets):
            _logger.info("%s", line)
    except (AuthError, StorageError) as error:
        raise ConfigurationError([f"can't provision the declared buckets: {error}; start again"]) from None


async def _engine_life(app: web.Application) -> AsyncIterator[None]:
    data_path = app[SETTINGS].data_path.absolute()
    try:
        engine = await Engine.open(data_path / "storage")
    except OSError as error:
        raise ConfigurationError(
            [f"RS_DATA_PATH: can't keep data in {data_path} ({error.strerror})"]
        ) from None
    except StorageError as error:
        raise ConfigurationError([f"RS_DATA_PATH: can't keep data in {data_path} ({error})"]) from None
    app[ENGINE] = engine
    app[STARTED_AT_SECONDS] = time.monotonic()
    _logger.info("storage is open folder=%s", data_path)
    yield
    await engine.close()
