"""The registry's key: 32 bytes from which everything keyed is derived.

A value is random (256 bits), so a fast keyed digest is the right way to keep it; the key makes a stolen
registry useless for checking guesses of values that people chose.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Self

from reductauth.errors import ConfigurationError

__all__ = ["KEY_BYTES", "RegistryKey"]

KEY_BYTES = 32
_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


class RegistryKey:
    """Digests values, and proves that a registry and a key belong together. Its `repr` shows its id only."""

    __slots__ = ("_digester", "_master", "check_value", "key_id")

    def __init__(self, master: bytes) -> None:
        """Take the master key, `KEY_BYTES` bytes."""
        if len(master) != KEY_BYTES:
            raise ValueError(f"a registry key has {KEY_BYTES} bytes, not {len(master)}")
        self._master = master
        self._digester = hashlib.blake2b(key=self.derive(b"digest"), digest_size=32)
        self.key_id: str = self.derive(b"key id").hex()[:16]
        """Names the key beside each digest, so that a key can be rotated."""
        self.check_value: bytes = self.derive(b"check value")
        """Kept in the registry: a wrong key is noticed before it makes every value unknown."""

    @classmethod
    def generate(cls) -> Self:
        """Make a new key from the system's random source."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def from_hex(cls, text: str, source: str) -> Self:
        """Read a key from 64 hexadecimal digits; `source` names it in the `ConfigurationError`."""
        if _HEX.fullmatch(text) is None:
            raise ConfigurationError(
                [f"{source}: not a registry key; it must be exactly 64 hexadecimal digits (32 bytes)"]
            )
        return cls(bytes.fromhex(text))

    def to_hex(self) -> str:
        """Give the master key as 64 hexadecimal digits, for the key file and nothing else."""
        return self._master.hex()

    def derive(self, purpose: bytes) -> bytes:
        """Derive 32 bytes for one purpose (at most 64 bytes of text)."""
        return hashlib.blake2b(purpose, key=self._master, digest_size=32, person=b"reductauth.v1").digest()

    def digest(self, value: str) -> bytes:
        """Digest a presented value: keyed BLAKE2b-256 (RFC 7693) of the whole of it.

        aiohttp hands undecodable header bytes over as lone surrogates; they are digested as they came.
        """
        digester = self._digester.copy()
        try:
            digester.update(value.encode())
        except UnicodeEncodeError:
            digester.update(value.encode("utf-8", "surrogatepass"))
        return digester.digest()

    def matches(self, check_value: bytes) -> bool:
        """Whether a registry with this check value was made with this key."""
        return hmac.compare_digest(self.check_value, check_value)

    def __repr__(self) -> str:
        return f"RegistryKey({self.key_id})"
