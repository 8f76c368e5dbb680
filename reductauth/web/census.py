"""Every route declares a policy, or the application does not start.

What is walked: plain and dynamic resources, static ones, sub-applications by prefix and by domain, `web.View`
classes method by method, WebSocket routes and fallbacks (routes like any other). What cannot be seen: a
middleware that answers by itself, `add_route` on a resource that was kept after the start, a decorator put
around `requires(...)` that does not call what it wraps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import hdrs, web, web_urldispatcher
from aiohttp.web_urldispatcher import (
    DynamicResource,
    MatchedSubAppResource,
    PlainResource,
    PrefixedSubAppResource,
    StaticResource,
)

from reductauth.errors import ConfigurationError
from reductauth.web.body import expect_later
from reductauth.web.guard import (
    AnyBucketAccess,
    PathBucketAccess,
    RoutePolicy,
    expect_after_guard,
    policy_of,
    requires,
)
from reductauth.web.links import SignedLink

__all__ = ["RouteEntry", "applications", "declare", "route_table", "take_census"]

_AIOHTTP_EXPECT = web_urldispatcher._default_expect_handler  # noqa: SLF001 - as below
_EXPECT_HANDLERS = (_AIOHTTP_EXPECT, expect_after_guard, expect_later)
_DISPATCH = ("_iter", "__await__", "__init__", "__new__", "__getattr__", "__getattribute__")
_LEAVES = (PlainResource, DynamicResource, StaticResource)
_BRANCHES = (PrefixedSubAppResource, MatchedSubAppResource)


@dataclass(frozen=True, slots=True, order=True)
class RouteEntry:
    """One route. `policy` is None where none is declared; `fault` says what is wrong with it.

    `by_link` where it is a link that the route demands, and no token.
    """

    path: str
    method: str
    policy: str | None
    fault: str | None = None
    by_link: bool = False

    def __str__(self) -> str:
        return f"{self.method:<7} {self.path}  {self.policy or '(no policy)'}"


def declare(target: web.AbstractResource | web.AbstractRoute, policy: RoutePolicy) -> None:
    """Put a policy on what decorators cannot reach: a static resource, a handler from elsewhere.

    The handlers of all routes of `target` are guarded from now on. Call it before the application starts.
    """
    routes = list(target) if isinstance(target, web.AbstractResource) else [target]
    if not routes:
        raise TypeError(f"{target!r} has no routes of its own: declare a policy on each resource in it")
    for route in routes:
        route._handler = requires(policy)(route._handler)  # noqa: SLF001 - aiohttp offers no other way


def take_census(app: web.Application) -> None:
    """Refuse an application with an undeclared route, and let no route be added from now on.

    Routes on which aiohttp would say `100 Continue` before the guard has decided get a handler that does not.

    Raises `ConfigurationError` naming each such route.
    """
    faults = [
        f"{entry.method} {entry.path}: {entry.fault}" for entry in route_table(app) if entry.fault is not None
    ]
    if faults:
        raise ConfigurationError(faults)
    for application in applications(app):
        application.router.freeze()
        for route in application.router.routes():
            if route._expect_handler is _AIOHTTP_EXPECT:  # noqa: SLF001 - aiohttp offers no other way
                route._expect_handler = expect_after_guard  # noqa: SLF001


def route_table(app: web.Application) -> list[RouteEntry]:
    """All routes of an application and what each demands, by path and method."""
    return sorted(_entries(app, ""))


def applications(app: web.Application) -> Iterator[web.Application]:
    """The application and all that are mounted in it."""
    yield app
    for resource in app.router.resources():
        if isinstance(resource, _BRANCHES):
            yield from applications(resource._app)  # noqa: SLF001 - aiohttp offers no other way


def _entries(app: web.Application, domain: str) -> Iterator[RouteEntry]:
    for resource in app.router.resources():
        if isinstance(resource, _BRANCHES):
            inner = domain
            if isinstance(resource, MatchedSubAppResource):
                inner = f"//{resource.canonical}"
            yield from _entries(resource._app, inner)  # noqa: SLF001 - as above
        elif type(resource) in _LEAVES:
            for route in resource:
                yield from _of_route(route, domain + resource.canonical)
        else:
            fault = (
                f"its resource is a {type(resource).__name__}, whose routes can't be listed: use add_route"
            )
            yield RouteEntry(domain + resource.canonical, hdrs.METH_ANY, None, fault)


def _of_route(route: web.AbstractRoute, path: str) -> Iterator[RouteEntry]:
    handler = route.handler
    if isinstance(handler, type):
        yield from _of_view(handler, route, path)
    else:
        yield _entry(route, path, route.method, policy_of(handler))


def _of_view(view: type, route: web.AbstractRoute, path: str) -> Iterator[RouteEntry]:
    if not issubclass(view, web.View) or any(
        getattr(view, name, None) is not getattr(web.View, name, None) for name in _DISPATCH
    ):
        fault = f"{view.__name__} dispatches methods in a way of its own: use functions, or a plain web.View"
        yield RouteEntry(path, route.method, None, fault)
        return
    methods = hdrs.METH_ALL if route.method == hdrs.METH_ANY else {route.method}
    for method in methods:
        function = getattr(view, method.lower(), None)
        if function is not None:
            yield _entry(route, path, method, policy_of(function))


def _entry(route: web.AbstractRoute, path: str, method: str, policy: RoutePolicy | None) -> RouteEntry:
    if policy is None:
        return RouteEntry(
            path, method, None, "no policy: put @requires(...) on its handler, or declare(...) one"
        )
    fault = None
    if route._expect_handler not in _EXPECT_HANDLERS:  # noqa: SLF001 - as below
        fault = "its expect_handler runs before the guard: leave it out, or use reductauth.web.expect_later"
    elif isinstance(policy, (PathBucketAccess, AnyBucketAccess)) and policy.parameter not in _parameters(
        route
    ):
        fault = f"its policy is about the path parameter '{policy.parameter}', which the path does not have"
    return RouteEntry(path, method, str(policy), fault, isinstance(policy, SignedLink))


def _parameters(route: web.AbstractRoute) -> frozenset[str]:
    pattern = route.get_info().get("pattern")
    return frozenset() if pattern is None else frozenset(pattern.groupindex)
