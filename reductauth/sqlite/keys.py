"""What is made of a registry's key for changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from reductauth.key import RegistryKey
from reductauth.sqlite.seal import Sealer
from reductauth.sqlite.trail import TrailKey

__all__ = ["RegistryKeys"]


@dataclass(frozen=True, slots=True)
class RegistryKeys:
    """The id that digests are kept under, and the keys of seals and of the audit."""

    key_id: str
    sealer: Sealer
    trail: TrailKey

    @classmethod
    def of(cls, key: RegistryKey) -> Self:
        """Derive them."""
        return cls(key.key_id, Sealer(key), TrailKey(key))
