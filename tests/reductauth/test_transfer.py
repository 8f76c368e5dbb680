"""Tokens on their way from one process to another."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace

import pytest

from reductauth.audit import addition_of, detail_text
from reductauth.cli.line_process import Batch
from reductauth.networks import NetworkList
from reductauth.permissions import Permissions, Role
from reductauth.plain import PlainToken
from reductauth.record import PlainRecord, SecretDigest, TokenRecord
from reductauth.token import Token
from reductauth.transfer import Arrival, Refusal

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
    """Whatever there is to say of a token, and of its values, comes through a pipe."""
    arrival = Arrival(7, PlainRecord.of(TokenRecord(token, digests)), has_id=True, has_creation=False)
    batch = Batch(8, [arrival], [Refusal(9, "name", "why")], 10)
    assert pickle.loads(pickle.dumps(batch)) == batch  # noqa: S301 - our own


def test_every_field_is_in_the_plain_form() -> None:
    """A field that is added to tokens is not left behind; what only use and faults set is not a change's to write."""
    plain = PlainRecord.of(TokenRecord(PLAIN, ()))
    left_behind = {
        field.name
        for field in fields(Token)
        if PlainRecord.of(TokenRecord(replace(PLAIN, **{field.name: getattr(FULL, field.name)}), ())) == plain
    }
    assert left_behind - {"created_at_us"} == {"last_access_ip", "fault"}


def test_the_plain_form() -> None:
    """Truths are numbers, lists are JSON, and a search finds words in any case."""
    token, last_access_us, digests = PlainRecord.of(TokenRecord(FULL, DIGESTS))
    assert token._asdict() == {
        "id": "01900000-0000-7000-8000-000000000001",
        "name": "full",
        "description": "hall \U0001f512",
        "search_text": "full hall \U0001f512",
        "role": "viewer",
        "full_access": 1,
        "read_patterns": '["a","b*"]',
        "write_patterns": '["$c","*"]',
        "is_provisioned": 1,
        "active": 0,
        "created_at_us": 1,
        "updated_at_us": 2,
        "created_by": "somebody",
        "valid_from_us": 3,
        "expires_at_us": 4,
        "revoked_at_us": 5,
        "ttl_seconds": 6,
        "ip_allowlist": '["10.0.0.0/8","2001:db8::1"]',
    }
    assert last_access_us == 7
    assert digests == ((b"\0" * 32, "key", 1, None), (b"\xff" * 32, "key", 2, 3))


def test_what_the_audit_says_of_an_addition() -> None:
    """The names and forms of the API, in ASCII."""
    assert detail_text(addition_of(PlainToken.of(FULL))) == (
        '{"after":{"description":"hall \\ud83d\\udd12","role":"viewer","permissions":{"full_access":true,'
        '"read":["a","b*"],"write":["$c","*"]},"is_provisioned":true,"active":false,'
        '"created_at":"1970-01-01T00:00:00.000001Z","valid_from":"1970-01-01T00:00:00.000003Z",'
        '"expires_at":"1970-01-01T00:00:00.000004Z","revoked_at":"1970-01-01T00:00:00.000005Z","ttl":6,'
        '"ip_allowlist":["10.0.0.0/8","2001:db8::1"]}}'
    )
