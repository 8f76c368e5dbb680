"""The least that authenticating and authorizing one request can cost in Python.

Slice the header, one digest, one dict lookup, one comparison of times, one set membership. No checksum, no
other process, no usage, no ttl, no allowlist, no reason for a refusal. Every benchmark prints this code.
"""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Iterable

__all__ = ["Floor", "floor_code"]


class _FloorToken:
    __slots__ = ("expires_at", "read")

    def __init__(self, read: frozenset[str]) -> None:
        self.expires_at = 4e9
        self.read = read


class Floor:
    """The floor's registry: a dict."""

    def __init__(self, grants: Iterable[tuple[str, str]]) -> None:
        """Take pairs of value and bucket."""
        self.key = b"k" * 32
        self.tokens = {self.digest(value): _FloorToken(frozenset([bucket])) for value, bucket in grants}

    def digest(self, value: str) -> bytes:
        """Digest a value."""
        return hashlib.blake2b(value.encode(), key=self.key, digest_size=32).digest()

    async def decide(self, requests: Iterable[tuple[str, str]]) -> None:
        """Authorize pairs of header and bucket; fail if one is refused."""
        tokens, key, blake2b, now = self.tokens, self.key, hashlib.blake2b, time.time
        for header, bucket in requests:
            digest = blake2b(header[7:].encode(), key=key, digest_size=32).digest()
            token = tokens.get(digest)
            if token is None or token.expires_at < now() or bucket not in token.read:
                raise AssertionError("refused")


def floor_code() -> str:
    """The code of the floor."""
    return inspect.getsource(Floor.decide)
