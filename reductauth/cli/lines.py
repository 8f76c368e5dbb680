"""A token as a line of a file: the fields of the full view in JSON, and digests of its values.

Rule of this file: no refusal shows a value, nor what may be one.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import orjson
from pydantic import Field

from reductauth.chosen import ADVISED_LENGTH, check_value
from reductauth.clock import Clock
from reductauth.configuration import Given
from reductauth.errors import ConfigurationError, InvalidInputError
from reductauth.frozen import maker_of
from reductauth.key import RegistryKey
from reductauth.networks import ANYWHERE, NetworkList
from reductauth.permissions import Permissions
from reductauth.provisioning import KeyedDigest
from reductauth.record import PlainRecord, SecretDigest, TokenRecord
from reductauth.times import rfc3339, rfc3339_or_none
from reductauth.token import ENVIRONMENT, Token
from reductauth.transfer import Arrival, Refusal, check_arrival
from reductauth.value import check_name
from reductauth.web.body import MAX_BODY_BYTES
from reductauth.web.schema import Body, NestedBody, Time, parse_object, validated

__all__ = ["MAX_LINE_BYTES", "LineReader", "line_of"]

MAX_LINE_BYTES = MAX_BODY_BYTES
"""Of one line, without its end."""

_MAX_SECRETS = 10
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


_token = maker_of(Token)
_secret_digest = maker_of(SecretDigest)


class _SecretBody(Body):
    digest: str
    created_at: Time = None
    expires_at: Time = None


class _LineBody(NestedBody):
    name: str
    id: str | None = None
    created_at: Time = None
    revoked_at: Time = None
    last_access: Time = None
    value: str | None = None
    secrets: list[_SecretBody] = Field(default_factory=list, max_length=_MAX_SECRETS)

    def granted(self) -> Permissions:
        """As in a body; but both may be given, if they say the same."""
        if self.permissions is None:
            return super().granted()
        body = self.permissions
        permissions = _permissions(
            full_access=body.full_access, read=tuple(body.read), write=tuple(body.write)
        )
        if self.role is not None and permissions != Permissions.preset(self.role):
            raise InvalidInputError("role: stands for other permissions than those that are given")
        return permissions


@dataclass
class LineReader:
    """Reads lines for the registry with this key. Counts the values that are shorter than is advised."""

    key: RegistryKey
    clock: Clock
    max_lifetime_seconds: int | None
    short_values: int = 0

    def read(self, number: int, line: bytes) -> Arrival | Refusal:
        """Read one line, without its end."""
        name: str | None = None
        try:
            fields = _parsed(line)
            body = validated(_LineBody, fields)
            name = check_name(body.name)
            return self._arrival(number, line, fields, body)
        except (InvalidInputError, ConfigurationError) as error:
            return Refusal(number, name, str(error).removeprefix("Invalid body: "))

    def _arrival(self, number: int, line: bytes, fields: dict[str, Any], body: _LineBody) -> Arrival:
        if orjson.dumps(fields) != line:  # else no key can be there twice
            parse_object(line)
        now_us = self.clock()
        if body.id is not None and _UUID.fullmatch(body.id) is None:
            raise InvalidInputError("id: must be a UUID in lower case")
        if body.revoked_at is not None and fields.get("active"):
            raise InvalidInputError("active: must be false for a revoked token")
        created_at_us = now_us if body.created_at is None else body.created_at
        token = _token(
            token_id=str(uuid.uuid4()) if body.id is None else body.id,
            name=body.name,
            permissions=body.granted(),
            created_at_us=created_at_us,
            updated_at_us=now_us,
            created_by=ENVIRONMENT,
            description=body.description,
            role=body.role,
            is_provisioned=False,
            active=body.active,
            valid_from_us=body.valid_from,
            expires_at_us=body.expires_at,
            revoked_at_us=None,
            ttl_seconds=body.ttl,
            allowlist=NetworkList.of(body.ip_allowlist) if body.ip_allowlist else ANYWHERE,
            last_access_us=body.last_access,
            last_access_ip=None,
            fault=None,
        )
        if body.revoked_at is not None:
            token = replace(token.revoked(body.revoked_at), updated_at_us=now_us)
        record = TokenRecord(token, self._digests(body, created_at_us))
        check_arrival(record, self.max_lifetime_seconds, now_us)
        live = [digest for digest in record.digests if digest.is_live(now_us)]
        if len(live) < len(record.digests):  # a period of grace that is over
            record = TokenRecord(token, tuple(live))
        return Arrival(number, PlainRecord.of(record), body.id is not None, body.created_at is not None)

    def _digests(self, body: _LineBody, created_at_us: int) -> tuple[SecretDigest, ...]:
        if body.value is not None:
            if body.secrets:
                raise InvalidInputError("value: give either it or secrets")
            if not body.value.strip():
                raise InvalidInputError("value: is empty")
            value = check_value(Given("value", body.value))
            self.short_values += len(value) < ADVISED_LENGTH
            return (SecretDigest(self.key.key_id, self.key.digest(value), created_at_us),)
        digests = [
            self._digest(f"secrets.{number}.digest", secret, created_at_us)
            for number, secret in enumerate(body.secrets)
        ]
        if len(digests) > 1 and len({digest.digest for digest in digests}) < len(digests):
            raise InvalidInputError("secrets: the same digest is there twice")
        return tuple(digests)

    def _digest(self, where: str, secret: _SecretBody, created_at_us: int) -> SecretDigest:
        digest = KeyedDigest.parse(Given(where, secret.digest)).under(self.key, where)
        made_at_us = created_at_us if secret.created_at is None else secret.created_at
        return _secret_digest(self.key.key_id, digest, made_at_us, secret.expires_at)


def line_of(record: TokenRecord, now_us: int) -> bytes:
    """Write a token, with the digests of the values that are live, as a line with its end."""
    token = record.token
    return orjson.dumps(
        {
            "name": token.name,
            "id": token.token_id,
            "description": token.description,
            "role": token.role,
            "permissions": {
                "full_access": token.permissions.full_access,
                "read": token.permissions.read,
                "write": token.permissions.write,
            },
            "active": token.active,
            "created_at": rfc3339(token.created_at_us),
            "valid_from": rfc3339_or_none(token.valid_from_us),
            "expires_at": rfc3339_or_none(token.expires_at_us),
            "revoked_at": rfc3339_or_none(token.revoked_at_us),
            "ttl": token.ttl_seconds,
            "ip_allowlist": token.allowlist.entries,
            "last_access": rfc3339_or_none(token.last_access_us),
            "secrets": [
                {
                    "digest": str(KeyedDigest(digest.key_id, digest.digest)),
                    "created_at": rfc3339(digest.created_at_us),
                    "expires_at": rfc3339_or_none(digest.expires_at_us),
                }
                for digest in record.digests
                if digest.is_live(now_us)
            ],
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(f"is not JSON: {error.msg}, at column {error.colno}") from None
    if not isinstance(parsed, dict):
        raise InvalidInputError("must be a JSON object")
    return parsed


@lru_cache(maxsize=4096)
def _permissions(*, full_access: bool, read: tuple[str, ...], write: tuple[str, ...]) -> Permissions:
    """Check permissions, once for many tokens that may do the same."""
    return Permissions.of(full_access=full_access, read=read, write=write)
