"""Tokens on their way from one process to another."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace

import pytest

from reductauth.networks import NetworkList
from reductauth.permissions import Permissions, Role
from reductauth.store import SecretDigest, TokenRecord
from reductauth.token import Token
from reductauth.transfer import Arrival

FULL = Token(
    token_id="01900000-0000-7000-8000-000000000001",
    name="full",
    permissions=Permissions.of(full_access=True, read=["a", "b*"], write=["$c", "*"]),
    created_at_us=1,
    updated_at_us=2,
    created_by="somebody",
    description="hall \U0001f512",
    role=Role.VIEWER,
    is_provisioned=True,
    active=False,
    valid_from_us=3,
    expires_at_us=4,
    revoked_at_us=5,
    ttl_seconds=6,
    allowlist=NetworkList.of(["10.0.0.0/8", "2001:db8::1"]),
    last_access_us=7,
)
PLAIN = Token("id", "plain", Permissions.of(), 1, 1)
DIGESTS = (SecretDigest("key", b"\0" * 32, 1), SecretDigest("key", b"\xff" * 32, 2, 3))


@pytest.mark.parametrize("token", [FULL, PLAIN], ids=lambda token: token.name)
@pytest.mark.parametrize("digests", [(), DIGESTS], ids=len)
def test_a_token_arrives_as_it_left(token: Token, digests: tuple[SecretDigest, ...]) -> None:
    """Every field that a line can set, and the digests, are what they were."""
    arrival = Arrival(7, TokenRecord(token, digests), has_id=True, has_creation=False)
    assert pickle.loads(pickle.dumps(arrival)) == arrival  # noqa: S301 - our own


def test_every_field_is_tried() -> None:
    """A field that is added to tokens is not left behind; what only use and faults set never comes from a line."""
    same = {field.name for field in fields(Token) if getattr(FULL, field.name) == getattr(PLAIN, field.name)}
    assert same - {"created_at_us"} == {"last_access_ip", "fault"}
    assert replace(FULL, created_at_us=9) != FULL
