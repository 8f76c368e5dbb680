"""Request -> presented value; request -> client address. Headers only: never a query, a cookie or a body."""

from __future__ import annotations

import base64
import re

from aiohttp import hdrs, web
from multidict import istr

from reductauth.errors import (
    AuthenticationError,
    InvalidTokenError,
    MissingCredentialError,
    SeveralCredentialsError,
)
from reductauth.networks import NetworkList, parse_address, plain_address
from reductauth.settings import ProxyHeader

__all__ = ["X_AUTH_TOKEN", "ClientAddress", "Credentials"]

X_AUTH_TOKEN = istr("X-Auth-Token")

_BASIC_CHALLENGE = 'Basic realm="tokens", charset="UTF-8"'  # RFC 7617 §2
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ELEMENTS = re.compile(rf"((?:{_QUOTED}|[^\",])*),")
_PAIRS = re.compile(rf"((?:{_QUOTED}|[^\";])*);")
_PAIR = re.compile(rf"([A-Za-z]+)=({_QUOTED}|[^\" \t]*)")
_NODE = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+)(?::[0-9]{1,5})?")  # RFC 7239 §6


class Credentials:
    """Finds the one value that a request presents, in the places where it may.

    `Authorization: Bearer` always; `Authorization: Basic` with the value as the password, and `X-Auth-Token`,
    where they are allowed. A place that is not allowed does not count.
    """

    def __init__(self, *, basic: bool = False, x_auth_token: bool = False) -> None:
        self._readers = {"bearer": _bearer, "basic": _basic} if basic else {"bearer": _bearer}
        self.takes_x_auth_token = x_auth_token
        self.further_challenges: tuple[str, ...] = (_BASIC_CHALLENGE,) if basic else ()
        """For `WWW-Authenticate`, beside the one for bearers."""

    def presented(self, request: web.BaseRequest) -> str | AuthenticationError:
        """The one value of a request, or why there is none.

        aiohttp does not treat `Authorization` as a singleton: a second line is refused here, whatever it holds.
        """
        lines = request.headers.getall(hdrs.AUTHORIZATION, ())
        if len(lines) > 1:
            return SeveralCredentialsError()
        found: list[str | AuthenticationError] = []
        if self.takes_x_auth_token:
            found += request.headers.getall(X_AUTH_TOKEN, ())
        if lines:
            scheme, _, rest = lines[0].partition(" ")
            reader = self._readers.get(scheme.lower())  # in any case: RFC 9110 §11.1
            if reader is not None:
                found.append(reader(rest.lstrip(" ")))
        if len(found) > 1:
            return SeveralCredentialsError()
        return found[0] if found and found[0] else MissingCredentialError()


def _bearer(text: str) -> str:
    """RFC 6750 §2.1."""
    return text


def _basic(text: str) -> str | AuthenticationError:
    """RFC 7617 §2: the password, of any user."""
    try:
        decoded = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        return InvalidTokenError()
    _, colon, password = decoded.decode("utf-8", "surrogateescape").partition(":")
    return password if colon else InvalidTokenError()


class ClientAddress:
    """Finds the address of the client behind the proxies that are trusted."""

    def __init__(self, trusted_proxies: NetworkList, header: ProxyHeader) -> None:
        self._trusted_proxies = trusted_proxies
        self._hops = _forwarded if header is ProxyHeader.FORWARDED else _x_forwarded_for

    def of(self, request: web.BaseRequest) -> str | None:
        """The address of the client, None if it cannot be known.

        The socket's peer, unless it is a trusted proxy; then the proxies' header is read from the right, and the
        first address that is not a trusted proxy is the client. An element that is no address ends the walk: None.
        """
        peer = request.remote
        if not peer:
            return None
        if not self._trusted_proxies:
            return plain_address(peer)
        client = parse_address(peer)
        for hop in reversed(self._hops(request)):
            if client is None or not self._trusted_proxies.contains(client):
                break
            client = parse_address(hop)
        return None if client is None else str(client)


def _x_forwarded_for(request: web.BaseRequest) -> list[str]:
    lines = request.headers.getall(hdrs.X_FORWARDED_FOR, ())
    return [hop.strip(" \t") for line in lines for hop in line.split(",")]


def _forwarded(request: web.BaseRequest) -> list[str]:
    """The `for` of each element; empty where there is none, or where the element cannot be read (RFC 7239 §4)."""
    lines = request.headers.getall(hdrs.FORWARDED, ())
    return [_node(element) for line in lines for element in _ELEMENTS.findall(line + ",")]


def _node(element: str) -> str:
    pairs = [_PAIR.fullmatch(pair.strip(" \t")) for pair in _PAIRS.findall(element + ";")]
    nodes = [pair[2].strip('"') for pair in pairs if pair is not None and pair[1].lower() == "for"]
    if None in pairs or len(nodes) != 1:
        return ""
    address = _NODE.fullmatch(nodes[0])
    return "" if address is None else address[1] or address[2]
