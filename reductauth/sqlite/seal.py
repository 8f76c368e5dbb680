"""The seal of a token: a keyed code over what it may do, its values, and the number of its last audit entry.

Whoever can write the file but has not the key can change a record; nobody can make it fit again. A record that
was copied from an older registry fits by itself, so it also has to be as new as the audit says.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import orjson

from reductauth.key import RegistryKey
from reductauth.record import PlainDigest

__all__ = [
    "ALTERED",
    "FREE_COLUMNS",
    "OWN_COLUMNS",
    "SEALED_COLUMNS",
    "SEAL_COLUMNS",
    "UNREADABLE",
    "Sealer",
    "values_text",
]

# Text that can be taken for no other: hexadecimal digits, the spaces and commas between them, and a number. Index and
# table both give the rows by their ids; to sort them here would cost each lookup a quarter of its time.
_VALUES = """(
    SELECT group_concat(hex(digest) || ' ' || hex(key_id) || ' ' || coalesce(own.expires_at_us, ''))
    FROM secrets AS own WHERE own.token_key = tokens.key
)"""
# By the row's number, which new tokens have in order: an index by id would take a page of its own for each. After a
# restore the same number may have been another token's.
_LAST_SEQUENCE = """(
    SELECT CASE token_id WHEN tokens.id THEN sequence END
    FROM audit WHERE audit.token_key = tokens.key ORDER BY sequence DESC LIMIT 1
)"""

OWN_COLUMNS = (
    *("id", "name", "full_access", "read_patterns", "write_patterns", "is_provisioned", "active"),
    *("created_at_us", "valid_from_us", "expires_at_us", "revoked_at_us", "ttl_seconds", "ip_allowlist"),
)
"""What a seal is over first; then come the number of the last entry, and the token's values (`values_text`)."""
SEALED_COLUMNS = f"{', '.join(f'tokens.{name}' for name in OWN_COLUMNS)}, audit_sequence, {_VALUES}"
FREE_COLUMNS = "updated_at_us, created_by, description, role, tokens.last_access_us, tokens.last_access_ip"
"""What no seal is over: words for people, and usage."""
SEAL_COLUMNS = f"seal, {_LAST_SEQUENCE}"

ALTERED = "its record was changed by something else than this software"
UNREADABLE = "its record can't be read"
_SEALED = 15
_AUDIT_SEQUENCE = 13
_MAX_TOLD = 1_024
_logger = logging.getLogger("reductauth.store")


def values_text(digests: Iterable[PlainDigest]) -> str | None:
    """Give the last of `SEALED_COLUMNS` for a token with these values, oldest first."""
    texts = [
        f"{digest.hex().upper()} {_hex(key_id)} {'' if end_us is None else end_us}"
        for digest, key_id, _, end_us in digests
    ]
    return ",".join(texts) or None


@lru_cache(maxsize=16)
def _hex(key_id: str) -> str:
    return key_id.encode().hex().upper()


class Sealer:
    """Makes and checks seals with a registry's key. Rows have `SEALED_COLUMNS`, any others, `SEAL_COLUMNS`."""

    def __init__(self, key: RegistryKey) -> None:
        self._hasher = hashlib.blake2b(key=key.derive(b"seal"), digest_size=32)
        self._told: set[tuple[object, str]] = set()

    def seal(self, sealed: tuple[Any, ...]) -> bytes:
        """Make the seal over these values."""
        hasher = self._hasher.copy()
        hasher.update(orjson.dumps(sealed))
        return hasher.digest()

    def fits(self, row: tuple[Any, ...]) -> bool:
        """Whether the seal at the end of a row is over all before it."""
        return hmac.compare_digest(self.seal(row[:-1]), row[-1] or b"")

    def fault(self, row: tuple[Any, ...]) -> str | None:
        """Say what is wrong with a token's record, or None. Each is logged once."""
        if not hmac.compare_digest(self.seal(row[:_SEALED]), row[-2] or b""):
            fault = ALTERED
        elif row[-1] != row[_AUDIT_SEQUENCE]:
            fault = (
                f"its record is a copy: it belongs to audit entry {_number(row[_AUDIT_SEQUENCE])}, "
                f"the token's last one is {_number(row[-1])}"
            )
        else:
            return None
        return self.told(row, fault)

    def told(self, row: tuple[Any, ...], fault: str) -> str:
        """Log what is wrong with a token's record, unless it was; return it."""
        if (row[0], fault) not in self._told and len(self._told) < _MAX_TOLD:
            self._told.add((row[0], fault))
            _logger.error("token refused name=%r reason=%s; run reductauth verify", row[1], fault)
        return fault


def _number(sequence: int | None) -> str:
    return "none" if sequence is None else str(sequence)
