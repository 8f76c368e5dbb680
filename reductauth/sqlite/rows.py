"""Row <-> token."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

from reductauth.errors import InvalidInputError
from reductauth.frozen import maker_of
from reductauth.networks import ANYWHERE, NetworkList
from reductauth.permissions import Permissions, Role
from reductauth.sqlite.seal import FREE_COLUMNS, SEAL_COLUMNS, SEALED_COLUMNS, UNREADABLE, Sealer
from reductauth.token import Secret, Token

__all__ = ["SECRET_COLUMNS", "TOKEN_COLUMNS", "secret_of", "token_of"]

TOKEN_COLUMNS = f"{SEALED_COLUMNS}, {FREE_COLUMNS}, {SEAL_COLUMNS}"
"""In a query on `tokens`, perhaps joined with others."""
SECRET_COLUMNS = "id, created_at_us, expires_at_us, last_access_us, last_access_ip, uses"

_NOTHING = "[]"
_token = maker_of(Token)
_secret = maker_of(Secret)


def token_of(row: tuple[Any, ...], sealer: Sealer) -> Token:
    """Make a token of a row with `TOKEN_COLUMNS`, and say what is wrong with its record.

    One whose record makes no sense has a fault and no permissions, so that it can be seen, revoked and deleted.
    """
    fault = sealer.fault(row)
    try:
        return _token_of(row, fault)
    except (ValueError, TypeError, InvalidInputError):
        fault = fault or sealer.told(row, UNREADABLE)
        return _token_of(
            (*row[:2], 0, _NOTHING, _NOTHING, *row[5:12], _NOTHING, *row[13:18], None, *row[19:]), fault
        )


def _token_of(row: tuple[Any, ...], fault: str | None) -> Token:
    (
        token_id,
        name,
        full_access,
        read,
        write,
        is_provisioned,
        active,
        created_at_us,
        valid_from_us,
        expires_at_us,
        revoked_at_us,
        ttl_seconds,
        allowlist,
        _audit_sequence,
        _values,
        updated_at_us,
        created_by,
        description,
        role,
        last_access_us,
        last_access_ip,
        _seal,
        _last_sequence,
    ) = row
    return _token(
        token_id,
        name,
        _permissions_of(full_access, read, write),
        created_at_us,
        updated_at_us,
        created_by,
        description,
        None if role is None else Role(role),
        is_provisioned == 1,
        active == 1,
        valid_from_us,
        expires_at_us,
        revoked_at_us,
        ttl_seconds,
        ANYWHERE if allowlist == _NOTHING else NetworkList.of(orjson.loads(allowlist)),
        last_access_us,
        last_access_ip,
        fault,
    )


@lru_cache(maxsize=4096)
def _permissions_of(full_access: int, read: str, write: str) -> Permissions:
    """Make the permissions of a row; kept, because many tokens may do the same."""
    return Permissions.kept(
        full_access=full_access == 1,
        read=() if read == _NOTHING else orjson.loads(read),
        write=() if write == _NOTHING else orjson.loads(write),
    )


def secret_of(row: tuple[Any, ...]) -> Secret:
    """Make a secret of a row with `SECRET_COLUMNS`."""
    return _secret(*row)
