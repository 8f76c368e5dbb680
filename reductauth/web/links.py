"""Links in requests: what a route demands of one, who comes with it, and how a handler makes one.

    @routes.get("/shared")
    @requires(read_link("link"))                        # ...?link=rsl1.
    async def get_shared(request: web.Request) -> web.Response:
        record = request[LINK].payload

A link stands in the query, where browsers and caches find it; nothing else of the request is asked who is calling.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from reductauth.errors import (
    AuthenticationError,
    AuthError,
    InvalidLinkError,
    InvalidTokenError,
    MissingLinkError,
    PermissionDeniedError,
    TokenNotFoundError,
    TooManyFailuresError,
)
from reductauth.links import LinkBearer
from reductauth.permissions import Action
from reductauth.policy import BucketAccess
from reductauth.usage import UsageKind
from reductauth.web.body import drain
from reductauth.web.errors import auth_error_response
from reductauth.web.keys import AUTH, IDENTITY, LINK, Auth

__all__ = [
    "SignedLink",
    "follow_link",
    "link_refused",
    "link_usage_kind",
    "make_link",
    "read_link",
    "write_link",
]


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A link for this action, in a parameter of the query. An `Authorization` is not looked at."""

    action: Action
    parameter: str

    def __str__(self) -> str:
        return f"{self.action} by link in {self.parameter}"


def read_link(parameter: str) -> SignedLink:
    """A link that lets read its bucket, in the parameter `parameter` of the query."""
    return SignedLink(Action.READ, parameter)


def write_link(parameter: str) -> SignedLink:
    """A link that lets write its bucket, in the parameter `parameter` of the query."""
    return SignedLink(Action.WRITE, parameter)


async def make_link(
    request: web.Request, access: BucketAccess, expires_at_us: int, payload: bytes = b""
) -> str:
    """Make a link in the caller's name: whoever has it may do what `access` says, as long as the caller may.

    It opens nothing from `expires_at_us` on (microseconds since the epoch), which may be past. `payload` is signed and
    comes back in `request[LINK]`, but whoever has the link can read it. The text needs no quoting in a URL.

    Only on a route that demands a token. Raises `PermissionDeniedError` if the caller may not do that itself, or came
    by a link; `StaleValueError` if its token was rotated and it presented the older value; `InvalidInputError` if
    the link would be too long. Each may be left to the guard, which answers with it.
    """
    identity = request.get(IDENTITY)
    if identity is None:
        raise RuntimeError("a link is made in a caller's name: the route must demand a token")
    if LINK in request:
        raise PermissionDeniedError("A link can't make links")
    return await request.app[AUTH].links.make(identity, access, expires_at_us, payload)


async def follow_link(request: web.Request, policy: SignedLink, auth: Auth, now_us: int) -> LinkBearer:
    """Find out who comes with a link and may do what the route is for. Not counted as a use yet.

    Raises what refuses them, of which note was taken like of any failed authentication: whatever was presented in the
    place of a link counts, the expired too, as expired values do.
    """
    gate = auth.gate
    try:
        bearer = await auth.links.follow(_presented(request, policy), gate.address_of(request), now_us)
    except AuthenticationError as error:
        raise gate.refuse(request, error, now_us) from None
    except TokenNotFoundError:
        noted = gate.refuse(request, InvalidTokenError(), now_us)  # as a value of a token that is gone
        if isinstance(noted, TooManyFailuresError):
            raise noted from None
        raise
    decision = bearer.decide(policy.action)
    if not decision:
        gate.count_by_link(bearer.identity, UsageKind.DENIED, now_us)
        raise PermissionDeniedError(decision.reason)
    return bearer


def link_usage_kind(policy: SignedLink) -> UsageKind:
    """What the use of a link counts as."""
    return UsageKind.WRITE if policy.action is Action.WRITE else UsageKind.READ


async def link_refused(request: web.Request, error: AuthError) -> web.Response:
    """Answer a refusal. Where a link was asked for, no challenge makes a browser ask for a password."""
    response = auth_error_response(error)
    if request.body_exists:
        await drain(request, response)
    return response


def _presented(request: web.Request, policy: SignedLink) -> str:
    texts = request.query.getall(policy.parameter, [])
    if not any(texts):
        raise MissingLinkError(policy.parameter)
    if len(texts) > 1:
        raise InvalidLinkError("there is more than one")
    return texts[0]
