"""The module's counters for Prometheus. Needs the extra `metrics` (prometheus-client).

    app.add_routes([metrics_route("/metrics")])         # a page of its own, guarded like every other route
    registry.register(reductauth_collector(app))        # or beside the engine's own, in its `CollectorRegistry`

Rules of this file: every label takes one of a few values that stand here; none holds a name, a bucket, an address
or a token's value. Nothing is counted here: what the module counts anyway is read when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reductauth.audit import AuditAction
from reductauth.counts import Counts
from reductauth.errors import (
    AddressError,
    AuthenticationError,
    ExpiredLinkError,
    ExpiredTokenError,
    InvalidLinkError,
    InvalidTokenError,
    MissingCredentialError,
    MissingLinkError,
    SeveralCredentialsError,
)
from reductauth.policy import FullAccess
from reductauth.usage import UsageKind
from reductauth.web.guard import RoutePolicy, requires
from reductauth.web.keys import AUTH

__all__ = ["metrics_route", "reductauth_collector"]

_ALLOWED = {UsageKind.READ: "read", UsageKind.WRITE: "write", UsageKind.ADMIN: "admin"}
_REFUSED: Mapping[type[AuthenticationError], str] = {
    MissingCredentialError: "missing",
    SeveralCredentialsError: "several",
    InvalidTokenError: "invalid",
    ExpiredTokenError: "expired",
    AddressError: "address",
    MissingLinkError: "link_missing",
    InvalidLinkError: "link_invalid",
    ExpiredLinkError: "link_expired",
}
_PRESENTED = {kind: reason for kind, reason in _REFUSED.items() if kind.presented}

_CHANGES = [
    action for action in AuditAction if action not in {AuditAction.DENIED, AuditAction.UNAUTHENTICATED}
]


def metrics_route(path: str, policy: RoutePolicy = FullAccess()) -> web.RouteDef:  # noqa: B008 - it is frozen
    """A page with the module's metrics, for those who meet `policy`."""

    @requires(policy)
    async def show_metrics(request: web.Request) -> web.Response:
        registry = CollectorRegistry()
        registry.register(reductauth_collector(request.app))
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        headers = {hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-store"}
        return web.Response(body=encode(registry), headers=headers)

    return web.get(path, show_metrics)


def reductauth_collector(app: web.Application) -> Collector:
    """The module's metrics in `app`, for a `CollectorRegistry`; none while the application is not running."""
    return _ReductauthCollector(app)


class _ReductauthCollector(Collector):
    def __init__(self, app: web.Application) -> None:
        self._app = app

    def describe(self) -> Iterable[Metric]:
        return _families(Counts(), is_writable=False)

    def collect(self) -> Iterable[Metric]:
        auth = self._app.get(AUTH)
        return () if auth is None else _families(auth.counts(), is_writable=auth.is_writable())


def _families(counts: Counts, *, is_writable: bool) -> Iterable[Metric]:
    decisions = CounterMetricFamily(
        "reductauth_decisions",
        "Requests that a token is needed for, by what became of them and why",
        labels=("result", "reason"),
    )
    for kind, reason in _ALLOWED.items():
        decisions.add_metric(("allowed", reason), counts.requests.get(kind, 0))
    decisions.add_metric(("forbidden", "permission"), counts.requests.get(UsageKind.DENIED, 0))
    for error, reason in _REFUSED.items():
        decisions.add_metric(("unauthenticated", reason), counts.refused.get(error, 0))
    for error, reason in _PRESENTED.items():
        decisions.add_metric(("throttled", reason), counts.throttled.get(error, 0))
    yield decisions

    changes = CounterMetricFamily(
        "reductauth_changes", "Changes of tokens that were kept, by action", labels=("action",)
    )
    for action in _CHANGES:
        changes.add_metric((action,), counts.store.changes.get(action, 0))
    yield changes

    yield CounterMetricFamily(
        "reductauth_store_errors",
        "Lookups, reads and changes that the token registry could not do",
        value=counts.store.errors,
    )
    lookups = CounterMetricFamily(
        "reductauth_cache_lookups",
        "Values that were remembered (hit) or that the registry was asked for (miss)",
        labels=("result",),
    )
    lookups.add_metric(("hit",), counts.cache_hits)
    lookups.add_metric(("miss",), counts.cache_misses)
    yield lookups
    yield GaugeMetricFamily(
        "reductauth_cached_values", "Values that are remembered", value=counts.cached_values
    )
    yield GaugeMetricFamily(
        "reductauth_registry_writable",
        "Whether the token registry can keep changes: 1 or 0",
        value=int(is_writable),
    )
