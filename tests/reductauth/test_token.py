"""A token over time: its status, who counts as an administrator, and what a new token may ask for."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reductauth.draft import TokenDraft
from reductauth.errors import InvalidInputError
from reductauth.networks import NetworkList
from reductauth.permissions import Permissions
from reductauth.token import Secret, Token

SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND
PAST, FUTURE = NOW - 1, NOW + 1
LONG_AGO = NOW - 3600 * SECOND

FULL = Permissions(full_access=True)


def robot(**fields: Any) -> Token:
    """Make a token with full access that was created an hour ago, except for these fields."""
    settled: dict[str, Any] = {
        "token_id": "11111111-1111-1111-1111-111111111111",
        "name": "robot",
        "permissions": FULL,
        "created_at_us": LONG_AGO,
        "updated_at_us": LONG_AGO,
    }
    return Token(**{**settled, **fields})


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "active"),
        # Each condition alone.
        ({"revoked_at_us": PAST}, "revoked"),
        ({"expires_at_us": PAST}, "expired"),
        ({"ttl_seconds": 60}, "expired"),
        ({"active": False}, "inactive"),
        ({"valid_from_us": FUTURE}, "scheduled"),
        # The first that fits: revoked, expired, inactive, scheduled.
        ({"revoked_at_us": PAST, "expires_at_us": PAST, "active": False, "valid_from_us": FUTURE}, "revoked"),
        ({"revoked_at_us": PAST, "ttl_seconds": 60}, "revoked"),
        ({"revoked_at_us": PAST, "active": False}, "revoked"),
        ({"revoked_at_us": PAST, "valid_from_us": FUTURE}, "revoked"),
        ({"expires_at_us": PAST, "active": False, "valid_from_us": FUTURE}, "expired"),
        ({"expires_at_us": PAST, "active": False}, "expired"),
        ({"ttl_seconds": 60, "active": False}, "expired"),
        ({"ttl_seconds": 60, "valid_from_us": FUTURE}, "expired"),
        ({"active": False, "valid_from_us": FUTURE}, "inactive"),
        # What does not end anything.
        ({"expires_at_us": FUTURE, "valid_from_us": PAST, "ttl_seconds": 7200, "active": True}, "active"),
        ({"allowlist": NetworkList.of(["10.0.0.1"])}, "active"),
        ({"permissions": Permissions()}, "active"),
        # Boundaries.
        ({"expires_at_us": NOW + 1}, "active"),
        ({"expires_at_us": NOW}, "expired"),
        ({"expires_at_us": NOW - 1}, "expired"),
        ({"expires_at_us": 0}, "expired"),
        ({"valid_from_us": NOW + 1}, "scheduled"),
        ({"valid_from_us": NOW}, "active"),
        ({"valid_from_us": NOW - 1}, "active"),
        ({"valid_from_us": 0}, "active"),
    ],
)
def test_status(fields: dict[str, Any], status: str) -> None:
    """The first that fits, in the order revoked, expired (idle too), inactive, scheduled, active."""
    assert str(robot(**fields).status_at(NOW)) == status


@pytest.mark.parametrize(
    ("idle_us", "ttl_seconds", "is_idle"),
    [
        (0, 60, False),
        (60 * SECOND - 1, 60, False),
        (60 * SECOND, 60, False),
        (60 * SECOND + 1, 60, False),
        (61 * SECOND - 1, 60, False),
        (61 * SECOND, 60, True),
        (61 * SECOND + 1, 60, True),
        (SECOND, 1, False),
        (2 * SECOND - 1, 1, False),
        (2 * SECOND, 1, True),
        (3600 * SECOND, None, False),
        (3600 * SECOND, 2**63 - 1, False),
        (-5 * SECOND, 1, False),
    ],
)
@pytest.mark.parametrize("since", ["creation", "access"])
def test_idle_times(idle_us: int, ttl_seconds: int | None, is_idle: bool, since: str) -> None:
    """A token expires when the whole seconds since its last access, or its creation, are more than its ttl."""
    last_us = NOW - idle_us
    if since == "creation":
        token = robot(created_at_us=last_us, ttl_seconds=ttl_seconds)
    else:
        token = robot(created_at_us=last_us - 90 * SECOND, last_access_us=last_us, ttl_seconds=ttl_seconds)
    assert token.is_idle(NOW) is is_idle
    assert token.is_expired(NOW) is is_idle
    assert str(token.status_at(NOW)) == ("expired" if is_idle else "active")


def test_a_rotation_restarts_the_idle_time() -> None:
    """The later of creation and last access counts: a rotation moves the creation past an old access."""
    assert robot(created_at_us=NOW, last_access_us=LONG_AGO, ttl_seconds=1).is_idle(NOW) is False


def test_past_its_expiry_and_idle_are_told_apart() -> None:
    """A rotation may rescue an idle token, but not one that is past its expiry."""
    idle, over = robot(ttl_seconds=1), robot(expires_at_us=NOW)
    assert (idle.is_past_expiry(NOW), idle.is_idle(NOW)) == (False, True)
    assert (over.is_past_expiry(NOW), over.is_idle(NOW)) == (True, False)


@given(
    expires_at_us=st.none() | st.integers(NOW - 3, NOW + 3),
    valid_from_us=st.none() | st.integers(NOW - 3, NOW + 3),
    revoked=st.booleans(),
    active=st.booleans(),
)
def test_a_token_is_active_only_if_nothing_speaks_against_it(
    expires_at_us: int | None, valid_from_us: int | None, revoked: bool, active: bool
) -> None:
    """For any combination, active means: not revoked, switched on, begun and not over."""
    token = robot(
        expires_at_us=expires_at_us,
        valid_from_us=valid_from_us,
        revoked_at_us=LONG_AGO if revoked else None,
        active=active,
    )
    expected = (
        not revoked
        and active
        and (expires_at_us is None or expires_at_us > NOW)
        and (valid_from_us is None or valid_from_us <= NOW)
    )
    assert (token.status_at(NOW) == "active") is expected


@pytest.mark.parametrize(
    ("fields", "usable"),
    [
        ({}, True),
        ({"valid_from_us": NOW}, True),
        ({"valid_from_us": PAST}, True),
        ({"is_provisioned": True}, True),
        ({"last_access_us": PAST, "last_access_ip": "10.0.0.1"}, True),
        ({"permissions": Permissions.of(full_access=True, read=["a"])}, True),
        ({"permissions": Permissions()}, False),
        ({"permissions": Permissions.of(read=["*"], write=["*"])}, False),
        ({"active": False}, False),
        ({"revoked_at_us": PAST}, False),
        ({"valid_from_us": FUTURE}, False),
        ({"expires_at_us": PAST}, False),
        ({"expires_at_us": FUTURE}, False),
        ({"expires_at_us": NOW + 10**15}, False),
        ({"ttl_seconds": 60}, False),
        ({"ttl_seconds": 10**9}, False),
        ({"allowlist": NetworkList.of(["10.0.0.1"])}, False),
        ({"allowlist": NetworkList.of(["0.0.0.0/0", "::/0"])}, False),
    ],
)
def test_usable_administrators(fields: dict[str, Any], usable: bool) -> None:
    """Full access, active, not scheduled, no expiry, no ttl, no allowlist: it works from anywhere and for good."""
    assert robot(**fields).is_usable_administrator(NOW) is usable


@pytest.mark.parametrize(
    ("expires_at_us", "is_live"),
    [(None, True), (NOW + 1, True), (NOW, False), (NOW - 1, False)],
)
def test_a_value_in_its_grace_period(expires_at_us: int | None, is_live: bool) -> None:
    """A value without an end lives as long as its token; one with an end lives until just before it."""
    assert Secret(1, LONG_AGO, expires_at_us=expires_at_us).is_live(NOW) is is_live


@pytest.mark.parametrize(
    ("last_us", "at_us", "result_us", "result_ip"),
    [
        (None, NOW, NOW, "10.0.0.2"),
        (PAST, NOW, NOW, "10.0.0.2"),
        (NOW, NOW, NOW, "10.0.0.1"),
        (NOW, PAST, NOW, "10.0.0.1"),
    ],
)
def test_the_last_access_moves_forward_only(
    last_us: int | None, at_us: int, result_us: int, result_ip: str
) -> None:
    """An access that is told late changes nothing, and the token itself is never changed."""
    token = robot(last_access_us=last_us, last_access_ip=None if last_us is None else "10.0.0.1")
    later = token.accessed(at_us, "10.0.0.2")
    assert (later.last_access_us, later.last_access_ip) == (result_us, result_ip)
    assert token.last_access_us == last_us
    assert dataclasses.replace(later, last_access_us=None, last_access_ip=None) == robot()


@pytest.mark.parametrize(
    ("expires_at_us", "ended_at_us"), [(None, NOW), (FUTURE, NOW), (NOW, NOW), (PAST, PAST)]
)
def test_a_revocation_shows_in_every_field_that_clients_read(
    expires_at_us: int | None, ended_at_us: int
) -> None:
    """Older clients see a token that is off and past its expiry; all else stays for the books."""
    token = robot(expires_at_us=expires_at_us)
    revoked = token.revoked(NOW)
    assert str(revoked.status_at(NOW)) == "revoked"
    assert revoked == dataclasses.replace(
        token, active=False, expires_at_us=ended_at_us, revoked_at_us=NOW, updated_at_us=NOW
    )


def test_buckets_leave_a_token_by_their_exact_names() -> None:
    """Each of the buckets is taken out of both lists; wildcards, other buckets and other fields stay."""
    token = robot(permissions=Permissions.of(read=["a", "b", "c", "a*"], write=["b", "*"]))
    assert token.without_buckets(["a", "b"]) == robot(
        permissions=Permissions.of(read=["c", "a*"], write=["*"])
    )
    assert token.without_buckets([]) == token


def test_tokens_are_frozen_and_hold_no_value() -> None:
    """Nothing can be assigned, and no field is made for a value or a digest."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        robot().active = False  # type: ignore[misc] # the point of the test
    names = {field.name for kind in (Token, Secret) for field in dataclasses.fields(kind)}
    assert names.isdisjoint({"value", "secret", "digest", "hash", "password"})


PAST_EXPIRY = "Token expiration date must not be in the past"
WRONG_ORDER = "Token must become valid before it expires"


@pytest.mark.parametrize(
    "draft",
    [
        TokenDraft(),
        TokenDraft(description="x" * 1000),
        TokenDraft(ttl_seconds=1),
        TokenDraft(ttl_seconds=9_223_372_036_854_775_807),
        TokenDraft(expires_at_us=NOW + 1),
        TokenDraft(valid_from_us=PAST),
        TokenDraft(valid_from_us=FUTURE),
        TokenDraft(valid_from_us=NOW, expires_at_us=NOW + 1),
        TokenDraft(valid_from_us=LONG_AGO, expires_at_us=FUTURE),
        TokenDraft(active=False),
        TokenDraft(allowlist=NetworkList.of(["10.0.0.1"])),
    ],
)
def test_drafts_that_can_be_granted(draft: TokenDraft) -> None:
    """Every wish at its limit is granted."""
    draft.check(NOW)


@pytest.mark.parametrize(
    ("draft", "message"),
    [
        (TokenDraft(ttl_seconds=0), "Token TTL must be greater than zero"),
        (TokenDraft(ttl_seconds=-1), "Token TTL must be greater than zero"),
        (
            TokenDraft(ttl_seconds=9_223_372_036_854_775_808),
            "Token TTL must be at most 9223372036854775807 seconds",
        ),
        (TokenDraft(expires_at_us=NOW), PAST_EXPIRY),
        (TokenDraft(expires_at_us=PAST), PAST_EXPIRY),
        (TokenDraft(expires_at_us=0), PAST_EXPIRY),
        (TokenDraft(valid_from_us=FUTURE + 1, expires_at_us=FUTURE + 1), WRONG_ORDER),
        (TokenDraft(valid_from_us=FUTURE + 1, expires_at_us=FUTURE), WRONG_ORDER),
        (
            TokenDraft(description="x" * 1001),
            "Token description can have at most 1000 characters, got 1001",
        ),
    ],
)
def test_drafts_that_cannot_be_granted(draft: TokenDraft, message: str) -> None:
    """A token that could never work, or could not be kept, is refused with what is wrong."""
    with pytest.raises(InvalidInputError) as refusal:
        draft.check(NOW)
    assert str(refusal.value) == message


def test_a_draft_without_wishes_may_do_nothing() -> None:
    """What is not asked for is not granted."""
    draft = TokenDraft()
    assert (draft.permissions.full_access, draft.permissions.read, draft.permissions.write) == (False, (), ())
    assert draft.role is None
