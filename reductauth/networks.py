"""Addresses and networks: a token's allowlist, and the proxies that are trusted.

IPv4-mapped IPv6 addresses (`::ffff:a.b.c.d`) count as IPv4 everywhere: a dual-stack socket reports every
IPv4 client that way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from reductauth.errors import InvalidInputError

__all__ = [
    "ANYWHERE",
    "MAX_NETWORKS",
    "Address",
    "Network",
    "NetworkList",
    "parse_address",
    "parse_network",
    "plain_address",
]

Address = IPv4Address | IPv6Address
MAX_NETWORKS = 1_000
"""Entries of one list: each is looked at on every request of its token."""
Network = IPv4Network | IPv6Network

_PREFIX_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_MAPPED = IPv6Network("::ffff:0:0/96")
_MAPPED_PREFIX = "::ffff:"  # as the system writes it


def parse_address(text: str) -> Address | None:
    """Read an address, without a zone; None if it is not one. Leading zeros are not an address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def plain_address(peer: str) -> str:
    """Write a socket's peer as this package does: an IPv4 client of a dual-stack socket as IPv4."""
    return peer.removeprefix(_MAPPED_PREFIX)


def parse_network(text: str) -> Network:
    """Read an address or a network in CIDR form (RFC 4632, RFC 4291 §2.3); host bits are masked.

    Raises `InvalidInputError`.
    """
    address_text, slash, length_text = text.partition("/")
    address = parse_address(address_text)
    if address is None or (slash and _PREFIX_LENGTH.fullmatch(length_text) is None):
        raise InvalidInputError(_NOT_A_NETWORK.format(text))
    length = int(length_text) if slash else address.max_prefixlen
    if ":" in address_text and isinstance(address, IPv4Address) and slash:
        length -= _MAPPED.prefixlen
    if not 0 <= length <= address.max_prefixlen:
        raise InvalidInputError(_NOT_A_NETWORK.format(text))
    return ip_network((address, length), strict=False)


_NOT_A_NETWORK = "'{}' is not an IP address or a network in CIDR form, such as 10.0.0.7 or 10.0.0.0/8"


@dataclass(frozen=True, slots=True)
class NetworkList:
    """Networks in the order they were given. `entries` is their canonical text."""

    networks: tuple[Network, ...] = ()
    entries: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", tuple(_entry(network) for network in self.networks))

    @classmethod
    def of(cls, texts: Iterable[str]) -> NetworkList:
        """Check and build; a repeated network counts once.

        Raises `InvalidInputError`, also for more than `MAX_NETWORKS`.
        """
        texts = list(texts)
        if len(texts) > MAX_NETWORKS:
            raise InvalidInputError(
                f"At most {MAX_NETWORKS} addresses and networks can be listed, got {len(texts)}"
            )
        return cls(tuple(dict.fromkeys(parse_network(text) for text in texts)))

    def contains(self, address: Address) -> bool:
        """Whether any of the networks holds `address`."""
        return any(address in network for network in self.networks)

    def __bool__(self) -> bool:
        return bool(self.networks)


ANYWHERE = NetworkList()
"""An empty allowlist: no address is kept out."""


def _entry(network: Network) -> str:
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return str(network)
