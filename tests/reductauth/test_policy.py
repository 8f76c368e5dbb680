"""What a route demands: every policy against every class of token, and what is said to those it turns away."""

from __future__ import annotations

import pytest

from reductauth.permissions import Action, Permissions, Role
from reductauth.policy import (
    Allowed,
    Anonymous,
    Authenticated,
    BucketAccess,
    Denied,
    FullAccess,
    Policy,
)
from reductauth.token import Token

FULL = Permissions(full_access=True)
READER = Permissions.of(read=["data"])
WRITER = Permissions.of(write=["data"])
BOTH = Permissions.of(read=["data"], write=["data"])
READ_ALL = Permissions.of(read=["*"])
WRITE_ALL = Permissions.of(write=["*"])
READ_PREFIX = Permissions.of(read=["data*"])
READ_SYSTEM = Permissions.of(read=["$system"])
NOTHING = Permissions()

READ_DATA = BucketAccess(Action.READ, "data")
WRITE_DATA = BucketAccess(Action.WRITE, "data")
READ_DATABASE = BucketAccess(Action.READ, "database")
READ_UPPER = BucketAccess(Action.READ, "Data")
READ_DOLLAR = BucketAccess(Action.READ, "$system")
WRITE_DOLLAR = BucketAccess(Action.WRITE, "$system")

NO_FULL = "Token 'robot' doesn't have full access"
NO_READ = "Token 'robot' doesn't have read access to bucket 'data'"
NO_WRITE = "Token 'robot' doesn't have write access to bucket 'data'"
NO_DATABASE = "Token 'robot' doesn't have read access to bucket 'database'"
NO_UPPER = "Token 'robot' doesn't have read access to bucket 'Data'"
NO_DOLLAR = "Token 'robot' doesn't have read access to bucket '$system'"
NO_DOLLAR_WRITE = "Token 'robot' doesn't have write access to bucket '$system'"


def robot(permissions: Permissions, name: str = "robot") -> Token:
    """Make a token of these permissions."""
    return Token(
        token_id="11111111-1111-1111-1111-111111111111",
        name=name,
        permissions=permissions,
        created_at_us=1,
        updated_at_us=1,
    )


@pytest.mark.parametrize(
    ("policy", "permissions"),
    [
        (Anonymous(), NOTHING),
        (Anonymous(), READER),
        (Anonymous(), FULL),
        (Authenticated(), NOTHING),
        (Authenticated(), READER),
        (Authenticated(), FULL),
        (FullAccess(), FULL),
        (READ_DATA, FULL),
        (READ_DATA, READER),
        (READ_DATA, BOTH),
        (READ_DATA, READ_ALL),
        (READ_DATA, READ_PREFIX),
        (WRITE_DATA, FULL),
        (WRITE_DATA, WRITER),
        (WRITE_DATA, BOTH),
        (WRITE_DATA, WRITE_ALL),
        (READ_DATABASE, READ_PREFIX),
        (READ_DATABASE, READ_ALL),
        (READ_UPPER, READ_ALL),
        (READ_DOLLAR, READ_SYSTEM),
        (READ_DOLLAR, FULL),
        (WRITE_DOLLAR, FULL),
    ],
)
def test_allowed(policy: Policy, permissions: Permissions) -> None:
    """These tokens meet these demands."""
    decision = policy.decide(robot(permissions))
    assert isinstance(decision, Allowed)
    assert bool(decision) is True


@pytest.mark.parametrize(
    ("policy", "permissions", "reason"),
    [
        (FullAccess(), NOTHING, NO_FULL),
        (FullAccess(), BOTH, NO_FULL),
        (FullAccess(), READ_ALL, NO_FULL),
        (FullAccess(), WRITE_ALL, NO_FULL),
        (FullAccess(), Permissions.of(read=["*"], write=["*"]), NO_FULL),
        (READ_DATA, NOTHING, NO_READ),
        (READ_DATA, WRITER, NO_READ),
        (READ_DATA, WRITE_ALL, NO_READ),
        (READ_DATA, READ_SYSTEM, NO_READ),
        (WRITE_DATA, NOTHING, NO_WRITE),
        (WRITE_DATA, READER, NO_WRITE),
        (WRITE_DATA, READ_ALL, NO_WRITE),
        (WRITE_DATA, READ_PREFIX, NO_WRITE),
        (READ_DATABASE, READER, NO_DATABASE),
        (READ_UPPER, READER, NO_UPPER),
        (READ_UPPER, READ_PREFIX, NO_UPPER),
        (READ_DOLLAR, READ_ALL, NO_DOLLAR),
        (READ_DOLLAR, WRITE_ALL, NO_DOLLAR),
        (READ_DOLLAR, NOTHING, NO_DOLLAR),
        (WRITE_DOLLAR, WRITE_ALL, NO_DOLLAR_WRITE),
        (WRITE_DOLLAR, READ_SYSTEM, NO_DOLLAR_WRITE),
    ],
)
def test_denied(policy: Policy, permissions: Permissions, reason: str) -> None:
    """These do not, and the reason says what is missing, to the letter."""
    decision = policy.decide(robot(permissions))
    assert isinstance(decision, Denied)
    assert decision.reason == reason
    assert bool(decision) is False


def test_a_reason_names_the_token_that_was_refused() -> None:
    """The name in the reason is the caller's own."""
    token = robot(NOTHING, name="arm.7_left-hand")
    full, write = FullAccess().decide(token), BucketAccess(Action.WRITE, "b-1").decide(token)
    assert isinstance(full, Denied)
    assert full.reason == "Token 'arm.7_left-hand' doesn't have full access"
    assert isinstance(write, Denied)
    assert write.reason == "Token 'arm.7_left-hand' doesn't have write access to bucket 'b-1'"


@pytest.mark.parametrize("name", ["data", "init-token", "me", "unauthorized", "admin", "environment"])
def test_a_name_gives_no_right(name: str) -> None:
    """A token that is called like a bucket, or like something special, may do what it was granted: nothing."""
    token = robot(NOTHING, name=name)
    assert not FullAccess().decide(token)
    assert not READ_DATA.decide(token)
    assert not WRITE_DATA.decide(token)


def test_only_permissions_decide() -> None:
    """What a token is said to be, in its role, its description or its origin, opens nothing."""
    token = Token(
        "id", "robot", NOTHING, 1, 1, created_by="environment", description="full access", role=Role.ADMIN
    )
    assert not FullAccess().decide(token)
    assert not READ_DATA.decide(token)


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Anonymous(), "anonymous"),
        (Authenticated(), "authenticated"),
        (FullAccess(), "full access"),
        (READ_DATA, "read data"),
        (WRITE_DOLLAR, "write $system"),
    ],
)
def test_policies_read_as_what_they_demand(policy: Policy, text: str) -> None:
    """A policy in a table of routes is a word or two."""
    assert str(policy) == text
