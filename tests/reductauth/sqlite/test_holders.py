"""Who asked for a change before is not read again; whatever ends what it may do is noticed all the same."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from reductauth.actor import Actor, Identity
from reductauth.draft import TokenDraft
from reductauth.edit import PermissionsEdit, TokenEdit
from reductauth.errors import InvalidTokenError, PermissionDeniedError
from reductauth.registry import TokenRegistry
from reductauth.sqlite import SqliteStore
from reductauth.store import Transaction
from tests.reductauth.store_contract import ADMINISTRATOR, NOW_US, Gate, used

ENVIRONMENT = Actor.environment()
FULL = TokenDraft(ADMINISTRATOR)
IDLE_SECONDS = 60


class Registry:
    """A registry whose clock the test sets, on a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.now_us = NOW_US
        self.store = SqliteStore.open(folder)
        self.registry = TokenRegistry(self.store, self.store.key, lambda: self.now_us)

    async def actor(self, name: str, draft: TokenDraft = FULL) -> Actor:
        """Create a token and return it as an actor."""
        minted = await self.registry.create(ENVIRONMENT, name, draft)
        found = await self.store.find(self.store.key.digest(minted.value))
        assert found is not None
        return Actor.of(Identity(found.token, found.secret.secret_id))

    async def create(self, actor: Actor, name: str) -> None:
        """Create a token that may do nothing."""
        await self.registry.create(actor, name, TokenDraft())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a path where no registry has been yet."""
    return tmp_path / "auth"


@pytest_asyncio.fixture
async def one(folder: Path) -> AsyncIterator[Registry]:
    """Give a registry with a token that is not asked about, so that nobody is the last administrator."""
    opened = Registry(folder)
    await opened.actor("another")
    yield opened
    await opened.store.close()


@pytest_asyncio.fixture
async def other(one: Registry, folder: Path) -> AsyncIterator[Registry]:
    """Give the same registry as another process has it."""
    opened = Registry(folder)
    yield opened
    await opened.store.close()
    assert opened.now_us == one.now_us


def statements_of(registry: Registry) -> list[str]:
    """Collect the statements that the writer executes from now on."""
    statements: list[str] = []
    registry.store._writer._connection.set_trace_callback(statements.append)
    return statements


async def test_who_asked_before_is_not_read_again(one: Registry) -> None:
    """The second creation in a row reads neither the actor's token nor its values."""
    actor = await one.actor("administrator")
    statements = statements_of(one)
    await one.create(actor, "first")
    first = len([text for text in statements if text.startswith("SELECT")])
    statements.clear()
    await one.create(actor, "second")
    assert len([text for text in statements if text.startswith("SELECT")]) == first - 2


Ending = Callable[[TokenRegistry], Awaitable[Any]]
ENDINGS: dict[str, tuple[Ending, type[Exception]]] = {
    "revoked": (lambda r: r.revoke(ENVIRONMENT, "administrator"), InvalidTokenError),
    "deleted": (lambda r: r.delete(ENVIRONMENT, "administrator"), InvalidTokenError),
    "rotated": (lambda r: r.rotate(ENVIRONMENT, "administrator"), InvalidTokenError),
    "inactive": (lambda r: r.edit(ENVIRONMENT, "administrator", TokenEdit(active=False)), InvalidTokenError),
    "no longer full access": (
        lambda r: r.edit(
            ENVIRONMENT, "administrator", TokenEdit(permissions=PermissionsEdit(full_access=False))
        ),
        PermissionDeniedError,
    ),
}


@pytest.mark.parametrize("where", ["this process", "another process"])
@pytest.mark.parametrize(("end", "kind"), ENDINGS.values(), ids=ENDINGS)
async def test_what_ends_is_noticed(
    one: Registry, other: Registry, end: Ending, kind: type[Exception], where: str
) -> None:
    """A token that has just made changes makes none after it was ended, wherever that was done."""
    actor = await one.actor("administrator")
    await one.create(actor, "before")
    await end((one if where == "this process" else other).registry)
    with pytest.raises(kind):
        await one.create(actor, "after")


async def test_an_end_among_changes_that_share_a_commit(one: Registry) -> None:
    """Of changes in one commit, those after the end are refused, and those before it are kept."""
    actor = await one.actor("administrator")
    await one.create(actor, "earlier")
    gate = Gate(one.store)
    await gate.reached()
    changes = [
        asyncio.ensure_future(change)
        for change in (
            one.create(actor, "before"),
            one.registry.revoke(ENVIRONMENT, "administrator"),
            one.create(actor, "after"),
        )
    ]
    await asyncio.sleep(0)
    await gate.open()
    before, _, after = await asyncio.gather(*changes, return_exceptions=True)
    assert (before, type(after)) == (None, InvalidTokenError)


async def test_an_end_that_is_taken_back(one: Registry) -> None:
    """What a change saw of its own writes is forgotten with them when it is refused."""
    actor = await one.actor("administrator")
    await one.create(actor, "before")

    def refused(transaction: Transaction) -> None:
        assert actor.token_id is not None
        assert transaction.token_by_id(actor.token_id) is not None
        assert transaction.secrets(actor.token_id) != []
        transaction.remove_secrets(actor.token_id)
        assert transaction.secrets(actor.token_id) == []
        transaction.remove(actor.token_id)
        assert transaction.token_by_id(actor.token_id) is None
        raise ValueError

    gate = Gate(one.store)
    await gate.reached()
    changes = [
        asyncio.ensure_future(change)
        for change in (one.store.change(refused), one.create(actor, "in-the-same-commit"))
    ]
    await asyncio.sleep(0)
    await gate.open()
    assert [type(end) for end in await asyncio.gather(*changes, return_exceptions=True)] == [
        ValueError,
        type(None),
    ]
    await one.create(actor, "after")


@pytest.mark.parametrize("where", ["this process", "another process"])
async def test_a_use_that_keeps_a_token_from_being_idle(one: Registry, other: Registry, where: str) -> None:
    """A later access counts for who has just made changes, wherever it was flushed."""
    actor = await one.actor("administrator", TokenDraft(ADMINISTRATOR, ttl_seconds=IDLE_SECONDS))
    await one.create(actor, "before")
    assert actor.token_id is not None
    assert actor.secret_id is not None
    one.now_us = other.now_us = NOW_US + (IDLE_SECONDS + 2) * 1_000_000
    use = used(actor.token_id, actor.secret_id, read=1, last_access_us=one.now_us)
    store = (one if where == "this process" else other).store
    await store.change(lambda transaction: transaction.add_usage([use]))
    await one.create(actor, "after")


async def test_a_record_that_somebody_else_changed(one: Registry, folder: Path) -> None:
    """What another program writes into the file is noticed, and refused."""
    actor = await one.actor("administrator")
    await one.create(actor, "before")
    connection = sqlite3.connect(folder / "auth.db")
    connection.execute("UPDATE tokens SET expires_at_us = 1 WHERE name = 'administrator'")
    connection.commit()
    connection.close()
    with pytest.raises(InvalidTokenError):
        await one.create(actor, "after")
