"""The decorator that runs authenticator and policy before a handler.

    @routes.get("/api/v1/b/{bucket_name}")
    @requires(read_bucket("bucket_name"))
    async def get_bucket(request: web.Request) -> web.Response: ...

A handler that learns of another bucket from a body or a query asks again, through the same door:
`await authorize(request, BucketAccess(Action.WRITE, name))`.

Rules of this file: refusals of the decorator are returned, not raised, because raising costs more than the
decision; the decorator binds to no application, so tables of routes can be shared.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from aiohttp import hdrs, web
from aiohttp.abc import AbstractView
from aiohttp.hdrs import AUTHORIZATION

from reductauth.actor import Identity
from reductauth.errors import AuthenticationError, AuthError, PermissionDeniedError
from reductauth.permissions import NAMES, Action
from reductauth.policy import (
    ALLOWED,
    Anonymous,
    Authenticated,
    BucketAccess,
    Decision,
    FullAccess,
    Policy,
    bucket_denied,
)
from reductauth.usage import UsageKind
from reductauth.web.body import drain, expect_later, let_client_send
from reductauth.web.errors import auth_error_response
from reductauth.web.keys import AUTH, IDENTITY, LINK, TOKEN, Auth, Gate
from reductauth.web.links import SignedLink, follow_link, link_refused, link_usage_kind

__all__ = [
    "PathBucketAccess",
    "RoutePolicy",
    "allowed",
    "authorize",
    "expect_after_guard",
    "policy_of",
    "read_bucket",
    "requires",
    "write_bucket",
]

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
_Handler = Callable[..., Awaitable[web.StreamResponse]]
_Decide = Callable[[Identity, Mapping[str, str]], Decision]

_ATTRIBUTE: Final = "__reductauth_policy__"
_REFUSAL: web.RequestKey[AuthenticationError] = web.RequestKey("reductauth refusal", AuthenticationError)


@dataclass(frozen=True, slots=True)
class PathBucketAccess:
    """Access to the bucket that a parameter of the route's path names."""

    action: Action
    parameter: str

    def decider(self) -> _Decide:
        """How it is decided whether a caller has the access to the bucket of a request."""
        parameter, action, names = self.parameter, self.action, NAMES[self.action]

        def decide(identity: Identity, match_info: Mapping[str, str]) -> Decision:
            bucket = match_info[parameter]
            permissions = identity.permissions
            if bucket in names(permissions) or permissions.allows(action, bucket):
                return ALLOWED
            return bucket_denied(identity.token, action, bucket)

        return decide

    def __str__(self) -> str:
        return f"{self.action} {{{self.parameter}}}"


_TokenPolicy = Authenticated | BucketAccess | PathBucketAccess | FullAccess
RoutePolicy = Anonymous | _TokenPolicy | SignedLink


def read_bucket(parameter: str) -> PathBucketAccess:
    """Read access to the bucket that the path parameter `parameter` names."""
    return PathBucketAccess(Action.READ, parameter)


def write_bucket(parameter: str) -> PathBucketAccess:
    """Write access to the bucket that the path parameter `parameter` names."""
    return PathBucketAccess(Action.WRITE, parameter)


def requires(policy: RoutePolicy) -> Callable[[HandlerT], HandlerT]:
    """Demand `policy` before a handler, a method of a `web.View`, or every method of one runs."""

    def decorate(handler: HandlerT) -> HandlerT:
        if isinstance(handler, type):
            return cast("HandlerT", _guard_view(handler, policy))
        return cast("HandlerT", _guard_function(handler, policy))

    return decorate


def policy_of(handler: object) -> RoutePolicy | None:
    """The policy that `requires` put on a handler, or None."""
    return getattr(handler, _ATTRIBUTE, None)


async def authorize(request: web.Request, policy: Policy) -> None:
    """Demand one more policy inside a handler.

    Raises `PermissionDeniedError`, and `AuthenticationError` where the route itself let strangers in. Either
    may be left to the guard, which answers with it.
    """
    decision = await _decide(request, policy)
    if not decision:
        raise PermissionDeniedError(decision.reason)


async def allowed(request: web.Request, policy: Policy) -> bool:
    """Whether the caller meets one more policy: to leave out of an answer what it may not see.

    Strangers meet none but `Anonymous`.
    """
    try:
        return bool(await _decide(request, policy))
    except AuthenticationError:
        return False


async def _decide(request: web.Request, policy: Policy) -> Decision:
    if isinstance(policy, Anonymous):
        return ALLOWED
    identity = request.get(IDENTITY)
    if identity is None:
        identity = await _identify(request)
    return policy.decide(identity.token)


async def _identify(request: web.Request) -> Identity:
    """Find out who asks, on a route that let everybody in. Raises `AuthenticationError`.

    A handler may ask about many buckets; a request fails once.
    """
    refusal = request.get(_REFUSAL)
    if refusal is None:
        auth = _auth(request)
        now_us = auth.clock()
        found = await auth.gate.identify(request, now_us)
        if not isinstance(found, AuthenticationError):
            return found
        refusal = request[_REFUSAL] = auth.gate.refuse(request, found, now_us)
    raise refusal.with_traceback(None)  # or it would grow with each time that it is raised


def _guard_function(
    handler: Callable[..., Awaitable[web.StreamResponse]], policy: RoutePolicy
) -> Callable[..., Any]:
    if not inspect.iscoroutinefunction(handler):
        raise TypeError(f"{handler!r} is not a coroutine function: only those can be guarded")
    if isinstance(policy, Anonymous):
        guarded = _let_in(handler)
    elif isinstance(policy, SignedLink):
        guarded = _demand_link(handler, policy)
    else:
        guarded = _demand(handler, policy)
    setattr(guarded, _ATTRIBUTE, policy)
    return guarded


def _let_in(handler: _Handler) -> _Handler:
    """Guard a route that is open to everybody: nobody is asked who they are."""

    @functools.wraps(handler)
    async def guarded(target: web.Request | web.View) -> web.StreamResponse:
        try:
            return await handler(target)
        except AuthError as error:
            request = _request_of(target)
            return await _answer(request, _refusal(_auth(request).gate, error))

    return guarded


def _demand(handler: _Handler, policy: _TokenPolicy) -> _Handler:
    """Guard a route that a token is needed for."""
    kind = _usage_kind(policy)
    decide = _decider(policy)

    @functools.wraps(handler)
    async def guarded(target: web.Request | web.View) -> web.StreamResponse:
        request = target if type(target) is web.Request else _request_of(target)
        try:
            match_info = request.match_info
            auth = match_info.current_app.get(AUTH) or _auth(request)
            gate, now_us = auth.gate, auth.clock()
            lines = request.headers.getall(AUTHORIZATION, ())
            identity = gate.recall(lines, request.remote or None, now_us)
            if identity is None:
                found = gate.refuse_mistyped(lines) or await gate.identify(request, now_us)
                if isinstance(found, AuthenticationError):
                    refusal = _refusal(gate, gate.refuse(request, found, now_us))
                    return await _answer(request, refusal) if request.body_exists else refusal
                identity = found
            decision = decide(identity, match_info)
            if decision is not ALLOWED and not decision:
                refusal = _denial(gate, identity, kind, decision.reason, now_us)
                return await _answer(request, refusal) if request.body_exists else refusal
            gate.count(identity, kind, now_us)
            request[TOKEN] = identity.token
            request[IDENTITY] = identity
            return await handler(target)
        except AuthError as error:
            return await _answer(request, _refusal(_auth(request).gate, error))

    return guarded


def _demand_link(handler: _Handler, policy: SignedLink) -> _Handler:
    """Guard a route that a link is needed for."""
    kind = link_usage_kind(policy)

    @functools.wraps(handler)
    async def guarded(target: web.Request | web.View) -> web.StreamResponse:
        request = _request_of(target)
        auth = _auth(request)
        now_us = auth.clock()
        try:
            bearer = await follow_link(request, policy, auth, now_us)
            auth.gate.count_by_link(bearer.identity, kind, now_us)
            identity = bearer.narrowed()
            request[LINK] = bearer.link
            request[TOKEN] = identity.token
            request[IDENTITY] = identity
            return await handler(target)
        except AuthError as error:
            return await link_refused(request, error)

    return guarded


def _guard_view(view: type, policy: RoutePolicy) -> type:
    """Guard every method of a `web.View`, in a subclass, so that the class itself stays as it is."""
    if not issubclass(view, web.View):
        raise TypeError(f"{view!r} is not a web.View: guard its handlers one by one")
    guarded = {
        name: _guard_function(getattr(view, name), policy)
        for name in (method.lower() for method in hdrs.METH_ALL)
        if hasattr(view, name)
    }
    return type(view.__name__, (view,), {**guarded, "__module__": view.__module__, "__doc__": view.__doc__})


async def expect_after_guard(request: web.Request) -> web.Response | None:
    """An `expect_handler` for every other route: nobody sends a body that the guard would refuse."""
    refusal = await expect_later(request)
    policy = _policy_of_request(request)
    if refusal is None and policy is not None and not isinstance(policy, Anonymous):
        refusal = await _foreseen(request, policy)
    if refusal is None:
        await let_client_send(request)
    return refusal


async def _foreseen(request: web.Request, policy: _TokenPolicy | SignedLink) -> web.Response | None:
    """Decide as the guard will, which counts what it lets in: the answer if it refuses, or None."""
    auth = _auth(request)
    gate, now_us = auth.gate, auth.clock()
    if isinstance(policy, SignedLink):
        try:
            await follow_link(request, policy, auth, now_us)
        except AuthError as error:
            return await link_refused(request, error)
        return None
    try:
        found = await gate.identify(request, now_us)
    except AuthError as error:
        return await _answer(request, _refusal(gate, error))
    if isinstance(found, AuthenticationError):
        return await _answer(request, _refusal(gate, gate.refuse(request, found, now_us)))
    decision = _decider(policy)(found, request.match_info)
    if decision:
        return None
    return await _answer(request, _denial(gate, found, _usage_kind(policy), decision.reason, now_us))


def _policy_of_request(request: web.Request) -> RoutePolicy | None:
    handler: object = request.match_info.handler
    if isinstance(handler, type):
        handler = getattr(handler, request.method.lower(), None)
    return policy_of(handler)


def _request_of(target: web.Request | web.View) -> web.Request:
    return target.request if isinstance(target, AbstractView) else target


def _denial(gate: Gate, identity: Identity, kind: UsageKind, reason: str, now_us: int) -> web.Response:
    gate.count(identity, UsageKind.DENIED, now_us)
    if kind is UsageKind.ADMIN:
        gate.deny(identity, now_us)
    return _refusal(gate, PermissionDeniedError(reason))


def _refusal(gate: Gate, error: AuthError) -> web.Response:
    return auth_error_response(error, gate.further_challenges)


async def _answer(request: web.Request, refusal: web.Response) -> web.Response:
    if request.body_exists:
        await drain(request, refusal)
    return refusal


def _decider(policy: _TokenPolicy) -> _Decide:
    """How a route's policy decides about a caller, for what the path of a request names."""
    if isinstance(policy, PathBucketAccess):
        return policy.decider()

    def decide(identity: Identity, match_info: Mapping[str, str]) -> Decision:  # noqa: ARG001 - the policy names all it is about
        return policy.decide(identity.token)

    return decide


def _usage_kind(policy: _TokenPolicy) -> UsageKind:
    """What a request counts as."""
    match policy:
        case FullAccess():
            return UsageKind.ADMIN
        case BucketAccess(action=Action.WRITE) | PathBucketAccess(action=Action.WRITE):
            return UsageKind.WRITE
        case _:
            return UsageKind.READ


def _auth(request: web.Request) -> Auth:
    auth = request.app.get(AUTH)
    if auth is None:
        raise RuntimeError("reductauth.web.setup(app, settings) was not called for this application")
    return auth
