"""An edit, applied to a token: what it names changes, everything else stays."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from reductauth.edit import PermissionsEdit, TokenEdit
from reductauth.errors import InvalidInputError
from reductauth.networks import ANYWHERE, NetworkList
from reductauth.permissions import BucketPattern, Permissions, Role
from reductauth.token import Token

NOW = 1_800_000_000_000_000
LATER = NOW + 1_000_000
HOME = NetworkList.of(["10.0.0.0/8"])


def robot(**fields: Any) -> Token:
    """A token with something in each field that an edit can name."""
    token = Token(
        token_id="id",
        name="robot",
        permissions=Permissions.of(read=["a"], write=["b"]),
        created_at_us=NOW - 9,
        updated_at_us=NOW - 8,
        description="old",
        valid_from_us=NOW - 7,
        expires_at_us=LATER,
        ttl_seconds=60,
        allowlist=HOME,
        last_access_us=NOW - 1,
    )
    return dataclasses.replace(token, **fields)


def patterns(*texts: str) -> tuple[BucketPattern, ...]:
    return tuple(map(BucketPattern, texts))


EDITS: list[tuple[str, TokenEdit, dict[str, Any]]] = [
    ("description", TokenEdit(description="new"), {"description": "new"}),
    ("no description", TokenEdit(description=""), {"description": ""}),
    ("switched off", TokenEdit(active=False), {"active": False}),
    ("start", TokenEdit(valid_from_us=NOW + 5), {"valid_from_us": NOW + 5}),
    ("no start", TokenEdit(valid_from_us=None), {"valid_from_us": None}),
    ("expiry", TokenEdit(expires_at_us=NOW + 1), {"expires_at_us": NOW + 1}),
    ("no expiry", TokenEdit(expires_at_us=None), {"expires_at_us": None}),
    ("ttl", TokenEdit(ttl_seconds=1), {"ttl_seconds": 1}),
    ("no ttl", TokenEdit(ttl_seconds=None), {"ttl_seconds": None}),
    ("anywhere", TokenEdit(allowlist=ANYWHERE), {"allowlist": ANYWHERE}),
    ("role", TokenEdit(role=Role.VIEWER), {"role": Role.VIEWER, "permissions": Permissions.of(read=["*"])}),
    (
        "one list",
        TokenEdit(permissions=PermissionsEdit(read=patterns("c", "d*"))),
        {"permissions": Permissions.of(read=["c", "d*"], write=["b"])},
    ),
    (
        "an empty list",
        TokenEdit(permissions=PermissionsEdit(write=())),
        {"permissions": Permissions.of(read=["a"])},
    ),
    (
        "full access",
        TokenEdit(permissions=PermissionsEdit(full_access=True)),
        {"permissions": Permissions.of(full_access=True, read=["a"], write=["b"])},
    ),
    (
        "several",
        TokenEdit(description="x", active=False, ttl_seconds=None),
        {"description": "x", "active": False, "ttl_seconds": None},
    ),
]


@pytest.mark.parametrize(("edit", "fields"), [pytest.param(e, f, id=name) for name, e, f in EDITS])
def test_what_an_edit_names_changes(edit: TokenEdit, fields: dict[str, Any]) -> None:
    """And nothing else but the time of the last change."""
    assert edit.applied_to(robot(), NOW) == robot(**fields, updated_at_us=NOW)


@pytest.mark.parametrize(
    "edit",
    [
        TokenEdit(),
        TokenEdit(description="old", active=True, ttl_seconds=60, expires_at_us=LATER, allowlist=HOME),
        TokenEdit(permissions=PermissionsEdit(full_access=False, read=patterns("a", "a"))),
    ],
)
def test_an_edit_that_changes_nothing(edit: TokenEdit) -> None:
    """It returns the very token: the time of its last change stays too."""
    token = robot()
    assert edit.applied_to(token, NOW) is token


@pytest.mark.parametrize(
    ("role", "edit", "expected"),
    [
        (Role.VIEWER, TokenEdit(description="x"), Role.VIEWER),
        (Role.VIEWER, TokenEdit(permissions=PermissionsEdit(read=patterns("*"))), Role.VIEWER),
        (Role.VIEWER, TokenEdit(permissions=PermissionsEdit(read=patterns("a"))), None),
        (Role.VIEWER, TokenEdit(permissions=PermissionsEdit(write=patterns("*"))), None),
        (Role.VIEWER, TokenEdit(permissions=PermissionsEdit(full_access=True)), None),
        (Role.VIEWER, TokenEdit(role=Role.ADMIN), Role.ADMIN),
        (Role.ADMIN, TokenEdit(permissions=PermissionsEdit(full_access=False)), None),
        (None, TokenEdit(permissions=PermissionsEdit(read=patterns("*"), write=())), None),
        (None, TokenEdit(role=Role.RECORDER), Role.RECORDER),
    ],
)
def test_a_role_stays_as_long_as_it_says_what_the_permissions_are(
    role: Role | None, edit: TokenEdit, expected: Role | None
) -> None:
    """It is null once they differ from its preset, and is never guessed from them."""
    permissions = robot().permissions if role is None else Permissions.preset(role)
    assert edit.applied_to(robot(role=role, permissions=permissions), NOW).role is expected


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (TokenEdit(expires_at_us=NOW), "Token expiration date must not be in the past"),
        (TokenEdit(expires_at_us=NOW - 1), "Token expiration date must not be in the past"),
        (TokenEdit(valid_from_us=LATER), "Token must become valid before it expires"),
        (TokenEdit(valid_from_us=LATER + 1), "Token must become valid before it expires"),
        (TokenEdit(ttl_seconds=0), "Token TTL must be greater than zero"),
        (TokenEdit(ttl_seconds=2**63), "Token TTL must be at most 9223372036854775807 seconds"),
        (TokenEdit(description="x" * 1_001), "Token description can have at most 1000 characters, got 1001"),
        (
            TokenEdit(permissions=PermissionsEdit(read=patterns(*(f"r{n}" for n in range(1_000))))),
            "Permissions can contain at most 1000 bucket names, got 1001",
        ),
    ],
)
def test_edits_that_cannot_be_granted(edit: TokenEdit, message: str) -> None:
    """The checks are those of a creation, on the token as it would be."""
    with pytest.raises(InvalidInputError) as refusal:
        edit.applied_to(robot(), NOW)
    assert str(refusal.value) == message


def test_an_expired_token_is_edited() -> None:
    """Its expiry is prolonged, and what has nothing to do with it is changed as ever."""
    expired = robot(expires_at_us=NOW - 1)
    assert TokenEdit(description="x").applied_to(expired, NOW).expires_at_us == NOW - 1
    assert TokenEdit(expires_at_us=LATER).applied_to(expired, NOW).expires_at_us == LATER
