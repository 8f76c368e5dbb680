"""Request -> presented value; request -> client address. Headers only: never a query, a cookie or a body."""

from __future__ import annotations

from aiohttp import hdrs, web

from reductauth.errors import AuthenticationError, MissingCredentialError, SeveralCredentialsError
from reductauth.networks import NetworkList, parse_address

__all__ = ["client_address", "presented_value"]

_SCHEME = "bearer"
_MAPPED = "::ffff:"  # what a dual-stack socket says of an IPv4 client (RFC 4291 §2.5.5.2)
_FORWARDED_FOR = "X-Forwarded-For"


def presented_value(request: web.BaseRequest) -> str | AuthenticationError:
    """The one bearer value of a request, or why there is none.

    RFC 6750 §2.1, with the scheme in any case (RFC 9110 §11.1). aiohttp does not treat `Authorization` as a
    singleton: a second line is refused here, whatever it holds.
    """
    lines = request.headers.getall(hdrs.AUTHORIZATION, ())
    if len(lines) != 1:
        return SeveralCredentialsError() if lines else MissingCredentialError()
    scheme, _, value = lines[0].partition(" ")
    value = value.lstrip(" ")
    if scheme.lower() != _SCHEME or not value:
        return MissingCredentialError()
    return value


def client_address(request: web.BaseRequest, trusted_proxies: NetworkList) -> str | None:
    """The address of the client, None if it cannot be known.

    The socket's peer, unless it is a trusted proxy; then `X-Forwarded-For` is read from the right, and the first
    address that is not a trusted proxy is the client. An element that is no address ends the walk: unknown.
    """
    peer = request.remote
    if not peer:
        return None
    if not trusted_proxies:
        return peer.removeprefix(_MAPPED) if peer.startswith(_MAPPED) else peer
    client = parse_address(peer)
    for hop in reversed(_hops(request)):
        if client is None or not trusted_proxies.contains(client):
            break
        client = parse_address(hop)
    return None if client is None else str(client)


def _hops(request: web.BaseRequest) -> list[str]:
    lines = request.headers.getall(_FORWARDED_FOR, ())
    return [hop.strip(" \t") for line in lines for hop in line.split(",")]
