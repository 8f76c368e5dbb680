"""Every check that an attempt has to pass: the decision, and its words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reductauth.admission import CHECKS, Attempt, failed_check
from reductauth.networks import NetworkList
from reductauth.permissions import Permissions
from reductauth.token import Secret, Token, TokenStatus

NOW_US = 1_800_000_000_000_000  # 2027-01-15T08:00:00Z
SECOND_US = 1_000_000
TOKEN = Token("id", "a", Permissions(), NOW_US - 100 * SECOND_US, NOW_US - 100 * SECOND_US)
SECRET = Secret(1, NOW_US - 100 * SECOND_US)
OFFICE = NetworkList.of(["10.0.0.0/8", "::1"])

NAMES = [
    *("record genuine", "not revoked", "not expired", "not idle"),
    *("active", "begun", "live value", "client address"),
]


def attempt(
    fields: dict[str, Any], secret: Secret | None = SECRET, address: str | None = "10.1.2.3"
) -> Attempt:
    """Make an attempt on a token with these fields."""
    return Attempt(replace(TOKEN, **fields), secret, address, NOW_US)


def test_the_order() -> None:
    """Whether the record can be trusted; the status, in the order of the contract; the value; the address."""
    assert [check.name for check in CHECKS] == NAMES


FAULTS: list[tuple[str, dict[str, Any], str, str, str]] = [
    (
        "record genuine",
        {"fault": "its record is a copy"},
        "Invalid token",
        "its record is a copy",
        "delete it, create another, and find out who can write the registry's files",
    ),
    (
        "not revoked",
        {"revoked_at_us": NOW_US},
        "Invalid token",
        "it was revoked at 2027-01-15T08:00:00.000000Z",
        "create another token: a revoked one never works again",
    ),
    (
        "not expired",
        {"expires_at_us": NOW_US},
        "Token has expired",
        "it expired at 2027-01-15T08:00:00.000000Z",
        "set a later expires_at",
    ),
    (
        "not idle",
        {"ttl_seconds": 99},
        "Token has expired",
        "it may be unused for 99 seconds, and was last used at 2027-01-15T07:58:20.000000Z",
        "set a longer ttl",
    ),
    ("active", {"active": False}, "Invalid token", "it is switched off", "set active to true"),
    (
        "begun",
        {"valid_from_us": NOW_US + SECOND_US},
        "Invalid token",
        "it is valid from 2027-01-15T08:00:01.000000Z",
        "set an earlier valid_from",
    ),
    (
        "client address",
        {"allowlist": NetworkList.of(["192.168.0.0/16", "::1"])},
        "Token is not allowed for client IP 10.1.2.3",
        "it may be used from 192.168.0.0/16, ::1; the client's address is 10.1.2.3",
        "add 10.1.2.3 to its ip_allowlist",
    ),
]


@pytest.mark.parametrize(("name", "fields", "told", "detail", "remedy"), FAULTS, ids=[f[0] for f in FAULTS])
def test_one_fault(name: str, fields: dict[str, Any], told: str, detail: str, remedy: str) -> None:
    """It is found, named, explained, and can be mended; a stranger is told less."""
    given_attempt = attempt(fields)
    failed = failed_check(given_attempt)
    assert failed is not None
    assert failed.name == name
    assert str(failed.refusal(given_attempt)) == told
    assert (failed.detail(given_attempt), failed.remedy(given_attempt)) == (detail, remedy)
    assert [check.name for check in CHECKS if not check.passes(given_attempt)] == [name]


@pytest.mark.parametrize(
    ("secret", "detail"),
    [
        (None, "it has no value that works"),
        (replace(SECRET, expires_at_us=NOW_US), "its value worked until 2027-01-15T08:00:00.000000Z"),
    ],
)
def test_no_live_value(secret: Secret | None, detail: str) -> None:
    """All values ended: with the token's revocation, or each with its period of grace."""
    given_attempt = attempt({}, secret)
    failed = failed_check(given_attempt)
    assert failed is not None
    assert failed.name == "live value"
    assert str(failed.refusal(given_attempt)) == "Invalid token"
    assert failed.detail(given_attempt) == detail
    assert failed.remedy(given_attempt) == "rotate it and use the new value"


def test_a_value_in_its_period_of_grace() -> None:
    """It works, and an administrator is told until when."""
    given_attempt = attempt({}, replace(SECRET, expires_at_us=NOW_US + SECOND_US))
    assert failed_check(given_attempt) is None
    details = {check.name: check.detail(given_attempt) for check in CHECKS}
    assert details["live value"] == "its value works until 2027-01-15T08:00:01.000000Z"


def test_an_unknown_address() -> None:
    """Where an address matters it has to be known."""
    given_attempt = attempt({"allowlist": OFFICE}, address=None)
    failed = failed_check(given_attempt)
    assert failed is not None
    assert str(failed.refusal(given_attempt)) == "Client IP is required for this token"
    assert failed.detail(given_attempt).endswith("; the client's address is unknown")
    assert failed.remedy(given_attempt) == "say which address the client has, or empty its ip_allowlist"


GOOD: list[tuple[dict[str, Any], list[str]]] = [
    (
        {},
        [
            "its record is as it was written",
            "it is not revoked",
            "it never expires",
            "it may be unused for any time",
            "it is active",
            "it has no beginning",
            "its value works until it is rotated",
            "it may be used from anywhere",
        ],
    ),
    (
        {
            "expires_at_us": NOW_US + SECOND_US,
            "ttl_seconds": 100,
            "valid_from_us": NOW_US,
            "allowlist": OFFICE,
        },
        [
            "its record is as it was written",
            "it is not revoked",
            "it expires at 2027-01-15T08:00:01.000000Z",
            "it may be unused for 100 seconds, and was last used at 2027-01-15T07:58:20.000000Z",
            "it is active",
            "it is valid from 2027-01-15T08:00:00.000000Z",
            "its value works until it is rotated",
            "it may be used from 10.0.0.0/8, ::1; the client's address is 10.1.2.3",
        ],
    ),
]


@pytest.mark.parametrize(("fields", "details"), GOOD, ids=["unlimited", "within its limits"])
def test_what_is_found_where_nothing_is_wrong(fields: dict[str, Any], details: list[str]) -> None:
    """Every check passes, and says what it saw."""
    given_attempt = attempt(fields)
    assert failed_check(given_attempt) is None
    assert [check.detail(given_attempt) for check in CHECKS] == details


TIMES = st.none() | st.integers(-3, 3).map(lambda seconds: NOW_US + seconds * SECOND_US)


@given(
    revoked_at_us=TIMES,
    expires_at_us=TIMES,
    valid_from_us=TIMES,
    active=st.booleans(),
    ttl_seconds=st.none() | st.integers(98, 102),
    last_access_us=TIMES,
)
def test_a_token_passes_if_and_only_if_its_status_is_active(**fields: Any) -> None:
    """What the list of tokens shows as active works, and nothing else does."""
    given_attempt = attempt(fields)
    passes = failed_check(given_attempt) is None
    assert passes == (given_attempt.token.status_at(NOW_US) is TokenStatus.ACTIVE)
