"""Every rule of the registry, on a real store, with a clock that the tests set."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import RFC_4122, UUID

import pytest
import pytest_asyncio

import reductauth.sqlite.files
from reductauth.actor import Actor, Identity
from reductauth.authenticator import Authenticator
from reductauth.details import TokenDetails
from reductauth.draft import TokenDraft
from reductauth.edit import PermissionsEdit, TokenEdit
from reductauth.errors import (
    AuthError,
    BucketBusyError,
    InvalidInputError,
    InvalidTokenError,
    LastAdministratorError,
    PermissionDeniedError,
    ProvisionedTokenError,
    RevokedTokenError,
    StoreUnavailableError,
    TokenExistsError,
    TokenNotFoundError,
)
from reductauth.networks import NetworkList
from reductauth.permissions import NO_PERMISSIONS, Action, BucketPattern, Permissions, Role
from reductauth.registry import TokenRegistry
from reductauth.sqlite import SqliteStore
from reductauth.sqlite.files import FolderLock
from reductauth.store import BucketIntent, IntentKind, UsageDelta
from reductauth.token import Token, TokenStatus
from tests.reductauth.store_contract import ADMINISTRATOR, DAY_US, NOW_US, SECOND_US, Gate

ENVIRONMENT = Actor.environment()
FULL = TokenDraft(ADMINISTRATOR)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_us = NOW_US

    def __call__(self) -> int:
        return self.now_us


class EngineError(Exception):
    """The engine could not do it."""


@dataclass
class World:
    """A registry, and an engine of which only the buckets' names are told."""

    store: SqliteStore
    clock: Clock = field(default_factory=Clock)
    buckets: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    """The latest value of each token."""

    def __post_init__(self) -> None:
        self.registry = TokenRegistry(self.store, self.store.key, self.clock, self.bucket_names)
        self.authenticator = Authenticator(self.store, self.store.key)

    async def bucket_names(self) -> set[str]:
        """Which buckets the engine has."""
        return self.buckets

    async def create(self, name: str, draft: TokenDraft = FULL) -> Actor:
        """Create a token and return it as an actor."""
        self.values[name] = (await self.registry.create(ENVIRONMENT, name, draft)).value
        return await self.actor(name)

    async def actor(self, name: str) -> Actor:
        """A token as it would act with its latest value."""
        found = await self.store.find(self.store.key.digest(self.values[name]))
        assert found is not None
        return Actor.of(Identity(found.token, found.secret.secret_id))

    async def edit(self, name: str, **fields: Any) -> None:
        """Change a token behind the registry's back."""
        token = await self.registry.token(name)
        await self.store.change(lambda t: t.replace(replace(token, **fields)))

    async def works(self, value: str) -> bool:
        """Whether a value is let in."""
        answer = await self.authenticator.authenticate(value, None, self.clock.now_us)
        return isinstance(answer, Identity)

    async def opens(self, name: str, action: Action = Action.READ) -> set[str]:
        """Which of the buckets `a` `b` `ab` a token may reach, asked anew."""
        found = await self.store.find(self.store.key.digest(self.values[name]))
        assert found is not None
        return {bucket for bucket in ("a", "b", "ab") if found.token.permissions.allows(action, bucket)}

    async def state(self) -> tuple[list[Token], dict[str, bool], list[BucketIntent]]:
        """All that a change could change: the tokens, which values work, the intents."""
        works = {name: await self.works(value) for name, value in self.values.items()}
        intents = await self.store.change(lambda t: t.bucket_intents())
        return await self.registry.tokens(), works, intents


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give an empty registry."""
    store = SqliteStore.open(tmp_path / "auth")
    yield World(store)
    await store.close()


@pytest_asyncio.fixture
async def beside(world: World, tmp_path: Path) -> AsyncIterator[World]:
    """Give the same registry as another process has it."""
    store = SqliteStore.open(tmp_path / "auth")
    yield World(store, world.clock, world.buckets, world.values)
    await store.close()


async def refused(world: World, kind: type[AuthError], message: str, change: Awaitable[object]) -> None:
    """Check that a change is refused with exactly this message, and changes nothing."""
    before = await world.state()
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        await change
    assert await world.state() == before


# -- create, list, show -------------------------------------------------------------------------------------


async def test_ids_are_in_the_order_of_time(world: World) -> None:
    """Ids are UUIDs of version 7, none the same as another; what was created a millisecond later comes after."""
    ids = []
    for number in range(10):
        await world.create(f"t{number}")
        ids.append((await world.registry.token(f"t{number}")).token_id)
        world.clock.now_us += 1_000
    twins = [(await world.registry.token_by_id((await world.create(name)).token_id or "")) for name in "ab"]
    assert ids == sorted(set(ids))
    assert twins[0].token_id != twins[1].token_id
    assert {(UUID(one).version, UUID(one).variant) for one in ids} == {(7, RFC_4122)}


async def test_create(world: World) -> None:
    """A new token is what its draft says; its value works, is shown once, and is told by no other call."""
    admin = await world.create("admin")
    world.clock.now_us += 7
    draft = TokenDraft(
        Permissions.of(read=["a"], write=["b*"]),
        description="what for",
        valid_from_us=NOW_US - 5,
        expires_at_us=NOW_US + DAY_US,
        ttl_seconds=60,
        allowlist=NetworkList.of(["10.1.2.3/8"]),
    )
    minted = await world.registry.create(admin, "robot", draft)
    token = await world.registry.token("robot")
    assert token == Token(
        token.token_id,
        "robot",
        Permissions.of(read=["a"], write=["b*"]),
        created_at_us=NOW_US + 7,
        updated_at_us=NOW_US + 7,
        created_by="admin",
        description="what for",
        valid_from_us=NOW_US - 5,
        expires_at_us=NOW_US + DAY_US,
        ttl_seconds=60,
        allowlist=NetworkList.of(["10.0.0.0/8"]),
    )
    assert re.fullmatch(r"robot-rsat1[0-9A-Za-z]{49}", minted.value)
    assert minted.created_at_us == NOW_US + 7
    answer = await world.authenticator.authenticate(minted.value, "10.9.9.9", NOW_US + 8)
    assert isinstance(answer, Identity)
    assert answer.token.name == "robot"
    shown = repr([await world.registry.tokens(), token, minted, answer])
    assert minted.value not in shown
    assert minted.value[-49:] not in shown


async def test_a_token_of_the_environment(world: World) -> None:
    """Who created a token is written down: `environment` where no token did."""
    await world.create("a")
    assert (await world.registry.token("a")).created_by == "environment"


async def test_list_and_show(world: World) -> None:
    """The list is by name; what is not there is not found."""
    for name in ("b", "a", "C"):
        await world.create(name)
    assert [token.name for token in await world.registry.tokens()] == ["C", "a", "b"]
    assert (await world.registry.token("b")).name == "b"
    for name in ("c", "B", "ab"):
        with pytest.raises(TokenNotFoundError, match=f"^Token '{name}' doesn't exist$"):
            await world.registry.token(name)


EMPTY_NAME = "Token name can't be empty"
BAD_NAME = "Token name can contain only letters, digits and [-,_,.] symbols"
BAD_NAMES = ["a b", "a/b", "a\n", "\n", "é", "a\0", "a'b", "*", "$a", "x" * 129, "\N{KELVIN SIGN}", "\udc80"]


@pytest.mark.parametrize(("name", "message"), [("", EMPTY_NAME), *((name, BAD_NAME) for name in BAD_NAMES)])
async def test_names_that_no_token_has(world: World, name: str, message: str) -> None:
    """An ill-formed name is refused by every call, before anything else."""
    await world.create("admin")
    registry = world.registry
    for change in (
        registry.create(ENVIRONMENT, name, FULL),
        registry.edit(ENVIRONMENT, name, TokenEdit()),
        registry.rotate(ENVIRONMENT, name),
        registry.revoke(ENVIRONMENT, name),
        registry.delete(ENVIRONMENT, name),
        registry.token(name),
    ):
        await refused(world, InvalidInputError, message, change)


@pytest.mark.parametrize("name", ["a", ".", "..", "-", "x" * 128, "init-token", "me", "0", "A.b_c-d"])
async def test_names_that_a_token_may_have(world: World, name: str) -> None:
    """A good name can be created, shown, rotated and deleted, and its value works."""
    await world.create("admin")
    minted = await world.registry.create(ENVIRONMENT, name, TokenDraft())
    assert await world.works(minted.value)
    assert (await world.registry.token(name)).permissions == NO_PERMISSIONS
    assert await world.works((await world.registry.rotate(ENVIRONMENT, name)).value)
    await world.registry.delete(ENVIRONMENT, name)


BAD_DRAFTS: list[tuple[str, TokenDraft, str]] = [
    ("ttl of nothing", TokenDraft(ttl_seconds=0), "Token TTL must be greater than zero"),
    ("negative ttl", TokenDraft(ttl_seconds=-1), "Token TTL must be greater than zero"),
    (
        "ttl that can't be kept",
        TokenDraft(ttl_seconds=2**63),
        "Token TTL must be at most 9223372036854775807 seconds",
    ),
    ("expired", TokenDraft(expires_at_us=NOW_US - 1), "Token expiration date must not be in the past"),
    ("expires now", TokenDraft(expires_at_us=NOW_US), "Token expiration date must not be in the past"),
    (
        "never valid",
        TokenDraft(valid_from_us=NOW_US + 9, expires_at_us=NOW_US + 9),
        "Token must become valid before it expires",
    ),
    (
        "description",
        TokenDraft(description="x" * 1_001),
        "Token description can have at most 1000 characters, got 1001",
    ),
]


@pytest.mark.parametrize(("draft", "message"), [pytest.param(d, m, id=name) for name, d, m in BAD_DRAFTS])
async def test_drafts_that_are_refused(world: World, draft: TokenDraft, message: str) -> None:
    """A wish that cannot be granted at the moment of the change creates nothing."""
    await refused(world, InvalidInputError, message, world.registry.create(ENVIRONMENT, "a", draft))


async def test_the_longest_of_everything(world: World) -> None:
    """What is just within the bounds is kept as it is."""
    draft = TokenDraft(
        Permissions.of(read=[f"b{number}" for number in range(1_000)]),
        description="x" * 1_000,
        ttl_seconds=2**63 - 1,
        expires_at_us=NOW_US + 1,
    )
    await world.create("x" * 128, draft)
    token = await world.registry.token("x" * 128)
    assert (token.permissions, token.description) == (draft.permissions, draft.description)
    assert (token.ttl_seconds, token.expires_at_us) == (2**63 - 1, NOW_US + 1)


@pytest.mark.parametrize(
    "fields", [{}, {"revoked_at_us": NOW_US}, {"expires_at_us": NOW_US}, {"active": False}]
)
async def test_a_name_is_taken_until_its_token_is_deleted(world: World, fields: dict[str, Any]) -> None:
    """Also the name of a token that works no more."""
    await world.create("a")
    await world.edit("a", **fields)
    message = "Token 'a' already exists"
    await refused(world, TokenExistsError, message, world.registry.create(ENVIRONMENT, "a", TokenDraft()))


async def test_parallel_creations_of_one_name(world: World, beside: World) -> None:
    """Of 50 at once, in two processes, one succeeds, and only the value that was returned works."""
    creations = [one.registry.create(ENVIRONMENT, "a", FULL) for one in [world, beside] * 25]
    answers = await asyncio.gather(*creations, return_exceptions=True)
    minted = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert [type(answer) for answer in answers].count(TokenExistsError) == 49
    assert len(minted) == 1
    assert await world.works(minted[0].value)
    assert await world.store.change(lambda t: len(t.secrets(t.tokens()[0].token_id))) == 1


# -- rotate -------------------------------------------------------------------------------------------------


async def test_rotate(world: World) -> None:
    """The old value dies at once, the new one works, and the token is the same but for its age."""
    await world.create("admin")
    await world.create("a", TokenDraft(Permissions.of(read=["a"]), description="kept"))
    before, old = await world.registry.token("a"), world.values["a"]
    assert await world.works(old)
    world.clock.now_us += 5
    minted = await world.registry.rotate(await world.actor("admin"), "a")
    assert await world.works(minted.value)
    assert not await world.works(old)
    assert minted.value != old
    assert minted.created_at_us == NOW_US + 5
    assert await world.registry.token("a") == replace(
        before, created_at_us=NOW_US + 5, updated_at_us=NOW_US + 5
    )


async def test_rotation_begins_the_idle_time_anew(world: World) -> None:
    """A token that was idle too long works again once it is rotated: only its value was forgotten."""
    await world.create("a", TokenDraft(ttl_seconds=10))
    world.clock.now_us += 11 * SECOND_US
    assert not await world.works(world.values["a"])
    value = (await world.registry.rotate(ENVIRONMENT, "a")).value
    assert await world.works(value)
    assert (await world.registry.token("a")).status_at(world.clock.now_us) is TokenStatus.ACTIVE


async def test_rotating_the_only_administrator(world: World) -> None:
    """It stays one, and may rotate itself; its old value can do nothing more."""
    admin = await world.create("admin")
    world.values["admin"] = (await world.registry.rotate(admin, "admin")).value
    await refused(world, InvalidTokenError, "Invalid token", world.registry.rotate(admin, "admin"))
    await world.registry.rotate(await world.actor("admin"), "admin")


async def test_an_inactive_token_can_be_rotated(world: World) -> None:
    """Rotation does not switch a token on."""
    await world.create("a", TokenDraft(active=False))
    assert not await world.works((await world.registry.rotate(ENVIRONMENT, "a")).value)


@pytest.mark.parametrize("after_us", [0, 1, DAY_US])
async def test_an_expired_token_is_not_rotated(world: World, after_us: int) -> None:
    """From the very moment of its expiry on."""
    await world.create("a", TokenDraft(expires_at_us=NOW_US + DAY_US))
    world.clock.now_us = NOW_US + DAY_US - 1
    await world.registry.rotate(ENVIRONMENT, "a")
    world.clock.now_us = NOW_US + DAY_US + after_us
    message = "Can't rotate expired token 'a'"
    await refused(world, InvalidInputError, message, world.registry.rotate(ENVIRONMENT, "a"))


async def test_a_revoked_token_is_not_rotated(world: World) -> None:
    """Revocation is final, and said before expiry."""
    await world.create("a")
    await world.edit("a", revoked_at_us=NOW_US, expires_at_us=NOW_US)
    message = "Token 'a' is revoked"
    await refused(world, RevokedTokenError, message, world.registry.rotate(ENVIRONMENT, "a"))


async def test_unknown_tokens(world: World) -> None:
    """What is not there can't be changed."""
    await world.create("admin")
    for change in (
        world.registry.edit(ENVIRONMENT, "a", TokenEdit()),
        world.registry.rotate(ENVIRONMENT, "a"),
        world.registry.revoke(ENVIRONMENT, "a"),
        world.registry.delete(ENVIRONMENT, "a"),
    ):
        await refused(world, TokenNotFoundError, "Token 'a' doesn't exist", change)


async def test_provisioned_tokens(world: World) -> None:
    """They are changed where they are provisioned, by nobody else."""
    admin = await world.create("admin")
    await world.create("a")
    await world.edit("a", is_provisioned=True)
    for actor in (admin, ENVIRONMENT):
        rotation, deletion = world.registry.rotate(actor, "a"), world.registry.delete(actor, "a")
        await refused(world, ProvisionedTokenError, "Can't rotate provisioned token 'a'", rotation)
        await refused(world, ProvisionedTokenError, "Can't remove provisioned token 'a'", deletion)
        for change in (
            world.registry.edit(actor, "a", TokenEdit(description="x")),
            world.registry.revoke(actor, "a"),
        ):
            await refused(world, ProvisionedTokenError, "Can't change provisioned token 'a'", change)
    holder = await world.actor("a")
    rotation, revocation = world.registry.rotate_own(holder), world.registry.revoke_own(holder)
    await refused(world, ProvisionedTokenError, "Can't rotate provisioned token 'a'", rotation)
    await refused(world, ProvisionedTokenError, "Can't change provisioned token 'a'", revocation)


@pytest.mark.parametrize("is_own", [False, True])
async def test_rotation_with_grace(world: World, is_own: bool) -> None:
    """The old value works beside the new one until the second it was told, and not from then on."""
    await world.create("admin")
    actor = await world.create("a")
    old = world.values["a"]
    rotation = world.registry.rotate_own(actor, 60) if is_own else world.registry.rotate(ENVIRONMENT, "a", 60)
    minted = await rotation
    assert minted.previous_expires_at_us == NOW_US + 60 * SECOND_US
    world.clock.now_us = NOW_US + 60 * SECOND_US - 1
    assert [await world.works(value) for value in (old, minted.value)] == [True, True]
    world.clock.now_us += 1
    assert [await world.works(value) for value in (old, minted.value)] == [False, True]


async def test_a_second_rotation_during_grace(world: World) -> None:
    """It ends the oldest value at once; without grace it ends both."""
    await world.create("a")
    values = [world.values["a"]]
    for _ in range(3):
        world.clock.now_us += SECOND_US
        values.append((await world.registry.rotate(ENVIRONMENT, "a", 60)).value)
    assert [await world.works(value) for value in values] == [False, False, True, True]
    values.append((await world.registry.rotate(ENVIRONMENT, "a")).value)
    assert [await world.works(value) for value in values] == [False, False, False, False, True]


async def test_two_rotations_at_once(world: World, beside: World) -> None:
    """In two processes: both values are told, the later one has no end, the earlier one is in its grace."""
    await world.create("a")
    for _ in range(10):
        minted = await asyncio.gather(*(one.registry.rotate(ENVIRONMENT, "a", 60) for one in (world, beside)))
        (details,) = [await world.registry.details("a")]
        assert [secret.expires_at_us for secret in details.secrets] == [NOW_US + 60 * SECOND_US, None]
        assert [await world.works(one.value) for one in minted] == [True, True]


# -- edit, revoke -------------------------------------------------------------------------------------------

LAST_CHANGE = "Can't change token 'admin': at least one full-access token must remain"
LAST_DEACTIVATION = "Can't deactivate token 'admin': at least one full-access token must remain"
LAST_REVOCATION = "Can't revoke token 'admin': at least one full-access token must remain"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (TokenEdit(active=False), LAST_DEACTIVATION),
        (TokenEdit(active=False, description="x"), LAST_DEACTIVATION),
        (TokenEdit(permissions=PermissionsEdit(full_access=False)), LAST_CHANGE),
        (TokenEdit(role=Role.VIEWER), LAST_CHANGE),
        (TokenEdit(expires_at_us=NOW_US + DAY_US), LAST_CHANGE),
        (TokenEdit(ttl_seconds=10**9), LAST_CHANGE),
        (TokenEdit(valid_from_us=NOW_US + 1), LAST_CHANGE),
        (TokenEdit(allowlist=NetworkList.of(["0.0.0.0/0", "::/0"])), LAST_CHANGE),
    ],
)
async def test_the_last_usable_administrator_stays_usable(
    world: World, edit: TokenEdit, message: str
) -> None:
    """Whoever asks, it is not edited out of its use; with another one beside it, it may be."""
    admin = await world.create("admin")
    for actor in (admin, ENVIRONMENT):
        await refused(world, LastAdministratorError, message, world.registry.edit(actor, "admin", edit))
    await world.registry.edit(admin, "admin", TokenEdit(description="x", valid_from_us=NOW_US))
    await world.create("other")
    await world.registry.edit(ENVIRONMENT, "admin", edit)


async def test_the_last_usable_administrator_is_not_revoked(world: World) -> None:
    """By nobody, itself included."""
    admin = await world.create("admin")
    for revocation in (
        world.registry.revoke(ENVIRONMENT, "admin"),
        world.registry.revoke(admin, "admin"),
        world.registry.revoke_own(admin),
    ):
        await refused(world, LastAdministratorError, LAST_REVOCATION, revocation)


@pytest.mark.parametrize("expires_at_us", [None, NOW_US + DAY_US, NOW_US + 3])
async def test_revoke(world: World, expires_at_us: int | None) -> None:
    """Every value ends, the record stays, an earlier expiry too; the second time nothing changes."""
    admin = await world.create("admin")
    await world.create("a", TokenDraft(expires_at_us=expires_at_us))
    values = [world.values["a"], (await world.registry.rotate(admin, "a", 60)).value]
    before = await world.registry.token("a")
    world.clock.now_us += 5
    details = await world.registry.revoke(admin, "a")
    assert details.token == replace(
        before,
        active=False,
        expires_at_us=NOW_US + 3 if expires_at_us == NOW_US + 3 else NOW_US + 5,
        revoked_at_us=NOW_US + 5,
        updated_at_us=NOW_US + 5,
    )
    assert details.secrets == ()
    assert [await world.works(value) for value in values] == [False, False]
    world.clock.now_us += 5
    assert await world.registry.revoke(admin, "a") == details
    for change in (
        world.registry.edit(admin, "a", TokenEdit(active=True)),
        world.registry.rotate(admin, "a"),
    ):
        await refused(world, RevokedTokenError, "Token 'a' is revoked", change)


async def test_what_is_written_down(world: World) -> None:
    """One row for each change that changed something, with its actor; none for what did not."""
    admin = await world.create("admin")
    await world.create("a")
    for change in (
        world.registry.edit(admin, "a", TokenEdit(description="x")),
        world.registry.edit(admin, "a", TokenEdit(description="x")),
        world.registry.edit(admin, "a", TokenEdit(active=False)),
        world.registry.edit(admin, "a", TokenEdit(active=True, ttl_seconds=9)),
        world.registry.rotate(admin, "a", 5),
        world.registry.revoke(admin, "a"),
        world.registry.revoke(admin, "a"),
        world.registry.delete(admin, "a"),
    ):
        await change
    rows = world.store._lookups.execute("SELECT actor, action, token_name FROM audit ORDER BY sequence")
    assert rows.fetchall() == [
        ("environment", "create", "admin"),
        ("environment", "create", "a"),
        *(
            ("admin", action, "a")
            for action in ("edit", "deactivate", "activate", "rotate", "revoke", "delete")
        ),
    ]


async def test_an_edit_that_changes_nothing_wakes_nobody(world: World) -> None:
    """Neither the time of the last change nor what caches go by moves."""
    await world.create("a", TokenDraft(ADMINISTRATOR, description="x"))
    before, generation = await world.registry.token("a"), world.store.generation()
    world.clock.now_us += 5
    details = await world.registry.edit(ENVIRONMENT, "a", TokenEdit(description="x"))
    assert details.token == before
    assert world.store.generation() == generation


async def test_what_changes_nothing_is_not_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells of each change once, and of nothing that was none."""
    await world.create("a")
    await world.create("b", TokenDraft())
    caplog.set_level(logging.INFO, "reductauth")
    for _ in range(2):
        await world.registry.edit(ENVIRONMENT, "b", TokenEdit(description="x"))
    for _ in range(2):
        await world.registry.revoke(ENVIRONMENT, "b")
    assert [record.getMessage() for record in caplog.records] == [
        "token edited name=b by=environment",
        "token revoked name=b by=environment",
    ]


async def test_racing_edits_lose_nothing(world: World, beside: World) -> None:
    """Edits of different fields of one token, at once and in two processes: all of them are in it."""
    await world.create("admin")
    edits = [
        TokenEdit(description="new"),
        TokenEdit(ttl_seconds=7),
        TokenEdit(valid_from_us=NOW_US - 7),
        TokenEdit(expires_at_us=NOW_US + DAY_US),
        TokenEdit(allowlist=NetworkList.of(["10.0.0.1"])),
        TokenEdit(permissions=PermissionsEdit(full_access=True)),
        TokenEdit(permissions=PermissionsEdit(read=(BucketPattern("r"),))),
        TokenEdit(permissions=PermissionsEdit(write=(BucketPattern("w"),))),
        TokenEdit(active=False),
    ]
    for number in range(10):
        name = f"t{number}"
        await world.create(name, TokenDraft())
        await asyncio.gather(
            *(
                (world, beside)[place % 2].registry.edit(ENVIRONMENT, name, edit)
                for place, edit in enumerate(edits)
            )
        )
        token = await world.registry.token(name)
        assert token == Token(
            token.token_id,
            name,
            Permissions.of(full_access=True, read=["r"], write=["w"]),
            NOW_US,
            NOW_US,
            description="new",
            active=False,
            valid_from_us=NOW_US - 7,
            expires_at_us=NOW_US + DAY_US,
            ttl_seconds=7,
            allowlist=NetworkList.of(["10.0.0.1"]),
        )


async def test_edits_against_a_revocation(world: World, beside: World) -> None:
    """Whichever comes first, a revoked token is never active again."""
    await world.create("admin")
    for number in range(10):
        name = f"t{number}"
        await world.create(name)
        edit = TokenEdit(active=True, expires_at_us=None, description="x")
        edits = (one.registry.edit(ENVIRONMENT, name, edit) for one in [beside, world] * 5)
        revocation = world.registry.revoke(ENVIRONMENT, name)
        *answers, _ = await asyncio.gather(*edits, revocation, return_exceptions=True)
        assert {type(answer) for answer in answers} <= {TokenDetails, RevokedTokenError}
        token = await beside.registry.token(name)
        assert (token.active, token.revoked_at_us, token.expires_at_us) == (False, NOW_US, NOW_US)
        assert not await beside.works(world.values[name])


# -- what a holder may do with its own token ----------------------------------------------------------------


HOLDER_ENDS: dict[str, Callable[[World], Awaitable[Any]]] = {
    "deleted": lambda world: world.registry.delete(ENVIRONMENT, "admin"),
    "rotated": lambda world: world.registry.rotate(ENVIRONMENT, "admin"),
    "revoked": lambda world: world.registry.revoke(ENVIRONMENT, "admin"),
    "expired": lambda world: world.edit("admin", expires_at_us=NOW_US),
    "inactive": lambda world: world.edit("admin", active=False),
    "scheduled": lambda world: world.edit("admin", valid_from_us=NOW_US + 1),
}


@pytest.mark.parametrize("change", ["rotate_own", "revoke_own"])
@pytest.mark.parametrize("end", HOLDER_ENDS.values(), ids=HOLDER_ENDS)
async def test_a_holder_that_ended_after_it_was_authorized(
    world: World, change: str, end: Callable[[World], Awaitable[Any]]
) -> None:
    """Between the authorization of a request and its commit the holder ends: refused, and nothing changed."""
    await world.create("other")
    holder = await world.create("admin")
    await end(world)
    await refused(world, InvalidTokenError, "Invalid token", getattr(world.registry, change)(holder))


async def test_the_environment_holds_no_token(world: World) -> None:
    """What only a holder can do, the deployment cannot."""
    await world.create("admin")
    for change in (world.registry.rotate_own(ENVIRONMENT), world.registry.revoke_own(ENVIRONMENT)):
        await refused(world, InvalidTokenError, "Invalid token", change)


# -- delete -------------------------------------------------------------------------------------------------


async def test_delete(world: World) -> None:
    """The value dies at once, and a second deletion finds nothing."""
    admin = await world.create("admin")
    await world.create("a", TokenDraft())
    assert await world.works(world.values["a"])
    await world.registry.delete(admin, "a")
    assert not await world.works(world.values["a"])
    assert [token.name for token in await world.registry.tokens()] == ["admin"]
    deletion = world.registry.delete(admin, "a")
    await refused(world, TokenNotFoundError, "Token 'a' doesn't exist", deletion)


async def test_a_name_that_is_taken_again(world: World) -> None:
    """The new token is another one: nothing of the old, neither value nor grants nor history."""
    admin = await world.create("admin")
    first = await world.create("a", TokenDraft(Permissions.of(read=["a"]), description="x", ttl_seconds=5))
    old_value, old = world.values["a"], await world.registry.token("a")
    assert await world.works(old_value)
    assert first.secret_id is not None
    used = UsageDelta(old.token_id, first.secret_id, "2027-01-15", 1, 0, 0, 0, NOW_US, "10.0.0.1")
    await world.store.change(lambda t: t.add_usage([used]))
    await world.registry.delete(admin, "a")
    await world.create("a", TokenDraft())
    new = await world.registry.token("a")
    assert not await world.works(old_value)
    assert await world.works(world.values["a"])
    assert new == Token(new.token_id, "a", NO_PERMISSIONS, NOW_US, NOW_US)
    assert new.token_id != old.token_id


async def test_an_administrator_may_delete_itself(world: World) -> None:
    """If another one remains; then it can do nothing more."""
    await world.create("admin")
    leaving = await world.create("leaving")
    await world.registry.delete(leaving, "leaving")
    await refused(world, InvalidTokenError, "Invalid token", world.registry.delete(leaving, "admin"))


LAST = "Can't remove token 'admin': at least one full-access token must remain"
NO_SUBSTITUTES: list[tuple[str, dict[str, Any]]] = [
    ("no full access", {"permissions": Permissions.of(read=["*"], write=["*"])}),
    ("expired", {"expires_at_us": NOW_US}),
    ("will expire", {"expires_at_us": NOW_US + DAY_US}),
    ("may be idle", {"ttl_seconds": 10**9}),
    ("inactive", {"active": False}),
    ("scheduled", {"valid_from_us": NOW_US + 1}),
    ("revoked", {"revoked_at_us": NOW_US}),
    ("tied to addresses", {"allowlist": NetworkList.of(["0.0.0.0/0", "::/0"])}),
]


@pytest.mark.parametrize("fields", [pytest.param(fields, id=name) for name, fields in NO_SUBSTITUTES])
async def test_the_last_usable_administrator_stays(world: World, fields: dict[str, Any]) -> None:
    """Another full-access token counts only if it is usable now, for good and from anywhere."""
    admin = await world.create("admin")
    await world.create("other")
    await world.edit("other", **fields)
    for actor in (admin, ENVIRONMENT):
        deletion = world.registry.delete(actor, "admin")
        await refused(world, LastAdministratorError, LAST, deletion)
    await world.registry.delete(admin, "other")


async def test_an_administrator_without_a_value_is_no_substitute(world: World) -> None:
    """Nobody can present it."""
    await world.create("admin")
    await world.create("other")
    other = await world.registry.token("other")
    await world.store.change(lambda t: t.remove_secrets(other.token_id))
    await refused(world, LastAdministratorError, LAST, world.registry.delete(ENVIRONMENT, "admin"))


async def test_two_administrators_delete_each_other(world: World, beside: World) -> None:
    """At once, in one process or in two: one goes, the other stays, and never do both go."""
    first, second = await world.create("first"), await world.create("second")
    for other in [world, beside] * 10:
        deletions = (world.registry.delete(first, "second"), other.registry.delete(second, "first"))
        answers = await asyncio.gather(*deletions, return_exceptions=True)
        # Whoever comes second is gone by then.
        assert [type(answer) for answer in answers if answer is not None] == [InvalidTokenError]
        (left,) = await world.registry.tokens()
        if left.name == "first":
            second = await world.create("second")
        else:
            first = await world.create("first")


# -- the actor, looked up again -----------------------------------------------------------------------------


async def take_name(world: World) -> None:
    """Delete the actor and give its name, with full access, to another token."""
    await world.registry.delete(ENVIRONMENT, "admin")
    await world.registry.create(ENVIRONMENT, "admin", FULL)


ENDS: list[tuple[str, Callable[[World], Awaitable[Any]], type[AuthError], str]] = [
    ("deleted", lambda w: w.registry.delete(ENVIRONMENT, "admin"), InvalidTokenError, "Invalid token"),
    ("rotated", lambda w: w.registry.rotate(ENVIRONMENT, "admin"), InvalidTokenError, "Invalid token"),
    ("expired", lambda w: w.edit("admin", expires_at_us=NOW_US), InvalidTokenError, "Invalid token"),
    ("revoked", lambda w: w.edit("admin", revoked_at_us=NOW_US), InvalidTokenError, "Invalid token"),
    ("inactive", lambda w: w.edit("admin", active=False), InvalidTokenError, "Invalid token"),
    ("scheduled", lambda w: w.edit("admin", valid_from_us=NOW_US + 1), InvalidTokenError, "Invalid token"),
    (
        "idle",
        lambda w: w.edit("admin", ttl_seconds=5, created_at_us=NOW_US - 6 * SECOND_US),
        InvalidTokenError,
        "Invalid token",
    ),
    (
        "demoted",
        lambda w: w.edit("admin", permissions=Permissions.of(read=["*"], write=["*"])),
        PermissionDeniedError,
        "Token 'admin' doesn't have full access",
    ),
    ("name taken by a new token", take_name, InvalidTokenError, "Invalid token"),
]


async def rename(world: World, actor: Actor) -> None:
    """Rename a bucket."""
    async with world.registry.renaming_bucket(actor, "a", "b"):
        pytest.fail("the engine was told to rename")


async def remove(world: World, actor: Actor) -> None:
    """Remove a bucket."""
    async with world.registry.removing_bucket(actor, "a"):
        pytest.fail("the engine was told to remove")


CHANGES: dict[str, Callable[[World, Actor], Awaitable[Any]]] = {
    "create": lambda world, actor: world.registry.create(actor, "new", FULL),
    "edit": lambda world, actor: world.registry.edit(actor, "victim", TokenEdit(description="x")),
    "rotate": lambda world, actor: world.registry.rotate(actor, "victim"),
    "revoke": lambda world, actor: world.registry.revoke(actor, "victim"),
    "delete": lambda world, actor: world.registry.delete(actor, "victim"),
    "rename bucket": rename,
    "remove bucket": remove,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(("end", "kind", "message"), [pytest.param(*rest, id=name) for name, *rest in ENDS])
async def test_an_actor_that_ended_after_it_was_authorized(
    world: World,
    change: Callable[[World, Actor], Awaitable[Any]],
    end: Callable[[World], Awaitable[Any]],
    kind: type[AuthError],
    message: str,
) -> None:
    """Between the authorization of a request and its commit the actor ends: refused, and nothing changed."""
    await world.create("other")
    await world.create("victim", TokenDraft(Permissions.of(read=["a"])))
    admin = await world.create("admin")
    world.buckets.add("a")
    assert await world.works(world.values["admin"])
    await end(world)
    await refused(world, kind, message, change(world, admin))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_an_actor_without_full_access(
    world: World, change: Callable[[World, Actor], Awaitable[Any]]
) -> None:
    """A token that never had full access changes nothing here, whatever it may do to buckets."""
    await world.create("other")
    await world.create("victim", TokenDraft(Permissions.of(read=["a"])))
    writer = await world.create("writer", TokenDraft(Permissions.of(read=["*"], write=["*"])))
    world.buckets.add("a")
    message = "Token 'writer' doesn't have full access"
    await refused(world, PermissionDeniedError, message, change(world, writer))


async def test_an_actor_that_ends_in_the_same_commit(world: World) -> None:
    """The end of an actor counts for the changes behind it, also when they share its commit."""
    await world.create("other")
    admin = await world.create("admin")
    gate = Gate(world.store)
    await gate.reached()
    deletion = asyncio.ensure_future(world.registry.delete(ENVIRONMENT, "admin"))
    await asyncio.sleep(0)
    creation = asyncio.ensure_future(world.registry.create(admin, "new", FULL))
    await asyncio.sleep(0)
    await gate.open()
    await deletion
    with pytest.raises(InvalidTokenError):
        await creation
    assert [token.name for token in await world.registry.tokens()] == ["other"]


async def test_an_actor_in_its_grace_period(world: World) -> None:
    """An old value acts until its grace period is over, not after."""
    admin = await world.create("admin")
    await world.store.change(lambda t: t.retire_secrets(str(admin.token_id), NOW_US + 10))
    world.clock.now_us = NOW_US + 9
    await world.create("other")
    await world.registry.create(admin, "a", TokenDraft())
    world.clock.now_us = NOW_US + 10
    creation = world.registry.create(admin, "b", TokenDraft())
    await refused(world, InvalidTokenError, "Invalid token", creation)


# -- buckets renamed and removed ----------------------------------------------------------------------------

GRANTS = {
    "exact": TokenDraft(Permissions.of(read=["a", "ab"], write=["a"])),
    "target": TokenDraft(Permissions.of(read=["b"])),
    "both": TokenDraft(Permissions.of(read=["b", "a"], write=["a", "a*"])),
    "wildcard": TokenDraft(Permissions.of(read=["*"], write=["a*"])),
    "full": FULL,
}


@pytest_asyncio.fixture
async def granted(world: World) -> World:
    """Give a registry with grants on the buckets of an engine."""
    for name, draft in GRANTS.items():
        await world.create(name, draft)
    world.buckets.update({"a", "ab"})
    return world


async def permissions_of(world: World) -> dict[str, Permissions]:
    """What each token may do, as it is written."""
    return {token.name: token.permissions for token in await world.registry.tokens()}


UNCHANGED = {name: draft.permissions for name, draft in GRANTS.items()}
RENAMED = {
    **UNCHANGED,
    "exact": Permissions.of(read=["b", "ab"], write=["b"]),
    "both": Permissions.of(read=["b"], write=["b", "a*"]),
}
REMOVED = {
    **UNCHANGED,
    "exact": Permissions.of(read=["ab"]),
    "both": Permissions.of(read=["b"], write=["a*"]),
}


async def test_grants_follow_a_renamed_bucket(granted: World) -> None:
    """Exact grants name the new bucket; a new bucket of the old name is closed; wildcards are as they were."""
    actor = await granted.actor("full")
    async with granted.registry.renaming_bucket(actor, "a", "b"):
        granted.buckets.remove("a")
        granted.buckets.add("b")
    assert await permissions_of(granted) == RENAMED
    assert await granted.opens("exact") == {"b", "ab"}
    assert await granted.opens("exact", Action.WRITE) == {"b"}
    assert await granted.opens("wildcard") == {"a", "b", "ab"}
    assert await granted.store.change(lambda t: t.bucket_intents()) == []


async def test_grants_end_with_a_removed_bucket(granted: World) -> None:
    """A bucket that is made anew under the name opens to nobody but wildcards and full access."""
    async with granted.registry.removing_bucket(ENVIRONMENT, "a"):
        granted.buckets.remove("a")
    assert await permissions_of(granted) == REMOVED
    assert await granted.opens("exact") == {"ab"}
    assert await granted.opens("wildcard") == {"a", "b", "ab"}


async def test_a_bucket_that_goes_round(granted: World) -> None:
    """There and back again: grants are where they were, and nowhere else."""
    for old, new in (("a", "c"), ("c", "d"), ("d", "a")):
        async with granted.registry.renaming_bucket(ENVIRONMENT, old, new):
            granted.buckets.remove(old)
            granted.buckets.add(new)
    assert await permissions_of(granted) == UNCHANGED


async def test_exact_grants_are_suspended_meanwhile(granted: World, beside: World) -> None:
    """While the engine works neither name opens to an exact grant, in any process; other grants do."""
    for one in (granted, beside):
        assert await one.opens("exact") == {"a", "ab"}
    async with granted.registry.renaming_bucket(ENVIRONMENT, "a", "b"):
        for one in (granted, beside):
            assert await one.opens("exact") == {"ab"}
            assert await one.opens("target") == set()
            assert await one.opens("wildcard") == {"a", "b", "ab"}
            assert await one.opens("full") == {"a", "b", "ab"}
    for one in (granted, beside):
        assert await one.opens("exact") == {"b", "ab"}


@pytest.mark.parametrize("has_names", [True, False])
async def test_an_engine_that_fails(granted: World, has_names: bool) -> None:
    """What it raises reaches the caller, and the grants are as they were."""
    names = granted.bucket_names if has_names else None
    registry = TokenRegistry(granted.store, granted.store.key, granted.clock, names)
    with pytest.raises(EngineError):
        async with registry.renaming_bucket(ENVIRONMENT, "a", "b"):
            raise EngineError
    with pytest.raises(EngineError):
        async with registry.removing_bucket(ENVIRONMENT, "a"):
            raise EngineError
    assert await permissions_of(granted) == UNCHANGED
    assert await granted.opens("exact") == {"a", "ab"}
    assert await granted.store.change(lambda t: t.bucket_intents()) == []


async def test_an_engine_that_fails_after_it_has_done_it(granted: World) -> None:
    """It is asked which buckets there are, so the grants follow what happened, not what was said."""

    async def rename_and_fail() -> None:
        async with granted.registry.renaming_bucket(ENVIRONMENT, "a", "b"):
            granted.buckets.remove("a")
            granted.buckets.add("b")
            raise EngineError

    with pytest.raises(EngineError):
        await rename_and_fail()
    assert await permissions_of(granted) == RENAMED


@pytest.mark.parametrize("target", ["b*", "*", "", "a b", "a/b", "b\n", "é", "$", "$*", "$a*"])
async def test_names_that_no_bucket_has(granted: World, target: str) -> None:
    """What is not the name of one bucket is refused before the engine hears of it: no wildcard is ever moved."""
    before = await granted.state()
    with pytest.raises(InvalidInputError):
        async with granted.registry.renaming_bucket(ENVIRONMENT, "a", target):
            pytest.fail("the engine was told to rename")
    for new in ("c", None):
        with pytest.raises(InvalidInputError):
            async with changing(granted, target, new):
                pytest.fail("the engine was told")
    assert await granted.state() == before


# What a crash leaves: the intent, the buckets that the engine has then, and what the grants must become.
CRASHES: list[tuple[str, str | None, set[str], dict[str, Permissions]]] = [
    ("rename not begun", "b", {"a", "ab"}, UNCHANGED),
    ("rename done", "b", {"b", "ab"}, RENAMED),
    ("rename refused, the target exists", "b", {"a", "b", "ab"}, UNCHANGED),
    ("rename, and both are gone", "b", {"ab"}, REMOVED),
    ("removal not begun", None, {"a", "ab"}, UNCHANGED),
    ("removal done", None, {"ab"}, REMOVED),
]


@pytest.mark.parametrize(
    ("new", "left", "expected"), [pytest.param(*rest, id=name) for name, *rest in CRASHES]
)
@pytest.mark.parametrize("way", ["cancelled", "killed"])
async def test_an_intent_that_a_crash_left(
    granted: World,
    tmp_path: Path,
    way: str,
    new: str | None,
    left: set[str],
    expected: dict[str, Permissions],
) -> None:
    """It suspends the grants until the next start, which asks the engine and settles it."""
    if way == "killed":
        kind = IntentKind.REMOVE if new is None else IntentKind.RENAME
        dying = SqliteStore.open(tmp_path / "auth")
        await dying.change(lambda t: t.add_bucket_intent(kind, "a", new, NOW_US))
        await granted.registry.settle_bucket_intents()
        assert await permissions_of(granted) == UNCHANGED
        await dying.close()
    else:
        await cancel_inside(granted, new)
    granted.buckets.clear()
    granted.buckets.update(left)
    assert len(await granted.store.change(lambda t: t.bucket_intents())) == 1
    assert await granted.opens("exact") == {"ab"}
    assert await granted.opens("wildcard") == {"a", "b", "ab"}

    for _ in range(2):
        await granted.registry.settle_bucket_intents()
        assert await permissions_of(granted) == expected
        assert await granted.store.change(lambda t: t.bucket_intents()) == []
    assert await granted.opens("exact") == {
        name for name in ("a", "b", "ab") if expected["exact"].allows(Action.READ, name)
    }


async def cancel_inside(world: World, new: str | None) -> None:
    """Have a caller go away while the engine works."""
    inside = asyncio.Event()

    async def change() -> None:
        async with changing(world, "a", new):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(change())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_intent_of_which_nothing_can_be_learned(granted: World) -> None:
    """Without an engine to ask, grants end: an administrator can give them again."""
    await granted.store.change(lambda t: t.add_bucket_intent(IntentKind.RENAME, "a", "b", NOW_US))
    registry = TokenRegistry(granted.store, granted.store.key, granted.clock)
    await registry.settle_bucket_intents()
    assert await permissions_of(granted) == REMOVED


IMPOSSIBLE: list[tuple[str, str, str | None]] = [
    ("rename what is not there", "ab", "b"),
    ("rename onto what is there", "a", "x"),
    ("rename what is not there onto what is", "ab", "x"),
    ("rename to itself", "a", "a"),
    ("remove what is not there", "ab", None),
]


@pytest.mark.parametrize(
    ("bucket", "new"), [pytest.param(bucket, new, id=name) for name, bucket, new in IMPOSSIBLE]
)
async def test_a_step_that_the_engine_must_refuse(granted: World, bucket: str, new: str | None) -> None:
    """A wrong name changes nothing: grants made in advance stay, and open nothing else."""
    granted.buckets.clear()
    granted.buckets.update({"a", "x"})
    before = await granted.state()
    with pytest.raises(EngineError):
        async with changing(granted, bucket, new):
            raise EngineError
    assert await granted.state() == before


@pytest.mark.parametrize(
    ("bucket", "new"), [pytest.param(bucket, new, id=name) for name, bucket, new in IMPOSSIBLE]
)
@pytest.mark.parametrize(
    ("end", "kind", "message"),
    [pytest.param(*rest, id=name) for name, *rest in ENDS if name in {"deleted", "demoted"}],
)
async def test_an_actor_that_ended_before_a_step_that_the_engine_must_refuse(
    granted: World,
    bucket: str,
    new: str | None,
    end: Callable[[World], Awaitable[Any]],
    kind: type[AuthError],
    message: str,
) -> None:
    """It is refused before the engine is told: whether a bucket is there is not for it to learn."""
    admin = await granted.create("admin")
    granted.buckets.clear()
    granted.buckets.update({"a", "x"})
    await end(granted)

    async def change() -> None:
        async with changing(granted, bucket, new, admin):
            pytest.fail("the engine was told")

    await refused(granted, kind, message, change())


async def test_a_step_that_became_possible(granted: World) -> None:
    """A bucket that appeared just before the engine renamed it: the grants follow all the same."""
    granted.buckets.remove("a")
    async with granted.registry.renaming_bucket(ENVIRONMENT, "a", "b"):
        granted.buckets.add("b")
    assert await permissions_of(granted) == RENAMED


def changing(
    world: World, bucket: str, new: str | None, actor: Actor = ENVIRONMENT
) -> AbstractAsyncContextManager[None]:
    """Rename a bucket, or remove it if there is no new name."""
    if new is None:
        return world.registry.removing_bucket(actor, bucket)
    return world.registry.renaming_bucket(actor, bucket, new)


BUSY: list[tuple[str, str | None, str]] = [
    ("a", "c", "a"),
    ("a", None, "a"),
    ("ab", "b", "b"),
    ("ab", "a", "a"),
    ("b", None, "b"),
]


@pytest.mark.parametrize(("bucket", "new", "busy"), BUSY)
async def test_a_bucket_is_changed_by_one_at_a_time(
    granted: World, beside: World, bucket: str, new: str | None, busy: str
) -> None:
    """While `a` is renamed to `b`, neither name can be renamed, taken or removed, in any process."""
    message = f"^Bucket '{busy}' is being renamed or removed$"
    async with granted.registry.renaming_bucket(ENVIRONMENT, "a", "b"):
        granted.buckets.clear()
        granted.buckets.update({"a", "ab", "b"} - {new})
        with pytest.raises(BucketBusyError, match=message):
            async with changing(beside, bucket, new):
                pytest.fail("the engine was told")
        with pytest.raises(BucketBusyError, match=message):
            await beside.registry.check_bucket_settled(busy)
        await beside.registry.check_bucket_settled("c")
        granted.buckets.clear()
        granted.buckets.update({"b", "ab"})
    await beside.registry.check_bucket_settled(busy)
    assert await permissions_of(granted) == RENAMED


async def test_another_process_starts_meanwhile(granted: World, beside: World) -> None:
    """A start does not settle what another process is at work on: grants stay suspended until that is done."""
    async with granted.registry.renaming_bucket(ENVIRONMENT, "a", "b"):
        await beside.registry.settle_bucket_intents()
        assert await beside.opens("exact") == {"ab"}
        granted.buckets.remove("a")
        granted.buckets.add("b")
    assert await permissions_of(granted) == RENAMED


async def test_a_change_that_cannot_be_settled(
    granted: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine has renamed and the registry can't be written: grants stay suspended until it can."""
    monkeypatch.setattr(reductauth.sqlite.files, "_LOCK_TIMEOUT_SECONDS", 0.1)
    lock = FolderLock(tmp_path / "auth" / "auth.lock")
    others = contextlib.ExitStack()

    async def rename_and_be_locked_out() -> None:
        async with granted.registry.renaming_bucket(ENVIRONMENT, "a", "b"):
            granted.buckets.remove("a")
            granted.buckets.add("b")
            others.enter_context(lock.held())

    with others, pytest.raises(StoreUnavailableError):
        await rename_and_be_locked_out()
    lock.close()
    assert await permissions_of(granted) == UNCHANGED
    assert await granted.opens("exact") == {"ab"}
    await granted.registry.settle_bucket_intents()
    assert await permissions_of(granted) == RENAMED
    assert await granted.opens("exact") == {"b", "ab"}


async def test_permissions_of_who_comes_after(granted: World) -> None:
    """Grants that are given after a rename are left alone by it."""
    async with granted.registry.renaming_bucket(ENVIRONMENT, "a", "b"):
        granted.buckets.remove("a")
        granted.buckets.add("b")
    await granted.create("later", TokenDraft(Permissions.of(read=["a"])))
    await granted.registry.settle_bucket_intents()
    assert await granted.opens("later") == {"a"}


async def test_a_token_is_found_by_its_id(world: World) -> None:
    """A name may be taken again by another token; an id never is."""
    await world.create("t", TokenDraft())
    old = await world.registry.token("t")
    await world.create("admin")
    await world.registry.delete(ENVIRONMENT, "t")
    await world.create("t")
    assert (await world.registry.token("t")).token_id != old.token_id
    with pytest.raises(InvalidTokenError):
        await world.registry.token_by_id(old.token_id)
