"""The protocol version that is announced, and the headers that every answer carries.

Clients choose what they send by the minor number: from 1.18 on they use multi-entry queries only, from 1.19 on
they send a token's expiry, ttl and allowlist. It grows with what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["EMPTY", "RESPONSE_HEADERS", "VERSION"]

VERSION = "1.21.0"

RESPONSE_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "server": f"ReductStore {VERSION}",
        "x-reduct-api": VERSION.rpartition(".")[0],
        "vary": "origin, access-control-request-method, access-control-request-headers",
    }
)

EMPTY: Mapping[str, str] = MappingProxyType({"content-length": "0"})
"""For answers without a body to HEAD, to which aiohttp gives no length by itself."""
