"""Where the module keeps its things on applications and requests."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from reductauth.actor import Actor, Identity
from reductauth.clock import Clock
from reductauth.counts import Counts
from reductauth.disabled import DisabledRegistry
from reductauth.errors import AuthenticationError, PermissionDeniedError
from reductauth.link import Link
from reductauth.links import Links
from reductauth.registry import TokenRegistry
from reductauth.token import Token
from reductauth.usage import UsageKind

__all__ = [
    "AUTH",
    "IDENTITY",
    "LINK",
    "RESPONSE_HEADERS",
    "TOKEN",
    "Auth",
    "Finding",
    "Gate",
    "Recall",
    "actor_of",
]


Finding = Identity | AuthenticationError
"""The caller of a request, or the reason why it is nobody."""

Recall = Callable[[Sequence[str], str | None, int], Identity | None]
"""Finds a caller by the `Authorization` lines, the socket's peer and the time; None where `Gate.identify` has to."""

RefuseMistyped = Callable[[Sequence[str]], AuthenticationError | None]
"""Refuses by the `Authorization` lines alone what cannot be a value; None where `Gate.identify` has to decide."""


class Gate(Protocol):
    """Who is asking, and a count of what they asked for."""

    further_challenges: tuple[str, ...]
    """For `WWW-Authenticate` (RFC 9110 §11.6.1), where bearers are not the only ones who are let in."""

    @property
    def recall(self) -> Recall:
        """Find the caller of a request the short way."""
        ...

    @property
    def refuse_mistyped(self) -> RefuseMistyped:
        """Refuse a request the short way."""
        ...

    def identify(self, request: web.BaseRequest, now_us: int) -> Coroutine[Any, Any, Finding]:
        """Find the caller of a request, or the reason why it is nobody. Raises `StoreUnavailableError`."""
        ...

    def refuse(
        self, request: web.BaseRequest, refusal: AuthenticationError, now_us: int
    ) -> AuthenticationError:
        """Take note that a request is refused; return what to refuse it with."""
        ...

    def count(self, identity: Identity, kind: UsageKind, now_us: int) -> None:
        """Count one request."""
        ...

    def count_by_link(self, identity: Identity, kind: UsageKind, now_us: int) -> None:
        """Count one request that a link let in."""
        ...

    def address_of(self, request: web.BaseRequest) -> str | None:
        """The address of the client, None if it cannot be known or does not matter."""
        ...

    def deny(self, identity: Identity, now_us: int) -> None:
        """Count one request for what needs full access, by a caller that has it not."""
        ...


@dataclass(slots=True)
class Auth:
    """The module at work in one application."""

    gate: Gate
    registry: TokenRegistry | DisabledRegistry
    links: Links
    clock: Clock
    is_writable: Callable[[], bool] = lambda: True
    """Whether changes of the registry can be kept just now."""
    counts: Callable[[], Counts] = Counts
    """What was decided and done so far."""


AUTH: web.AppKey[Auth] = web.AppKey("reductauth", Auth)
"""The module; there from start-up on."""

TOKEN: web.RequestKey[Token] = web.RequestKey("reductauth token", Token)
"""The caller's token, in a handler that demands one."""

IDENTITY: web.RequestKey[Identity] = web.RequestKey("reductauth identity", Identity)
"""The caller: its token, which of its values, from which address."""

LINK: web.RequestKey[Link] = web.RequestKey("reductauth link", Link)
"""What the caller's link says, in a handler that demands one. Caller and token are then those that made the link,
with what the link is for as the only permission."""

RESPONSE_HEADERS: web.AppKey[Mapping[str, str]] = web.AppKey("reductauth response headers", Mapping)
"""Headers for every answer, the ones to requests that never reach a handler included. Set before the start."""


def actor_of(request: web.Request) -> Actor:
    """The caller, as the actor of a change. Raises `PermissionDeniedError` for one who came by a link."""
    if LINK in request:
        raise PermissionDeniedError("A link can't change tokens or buckets")
    return Actor.of(request[IDENTITY])
