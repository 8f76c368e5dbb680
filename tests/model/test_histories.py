"""Changes of tokens by many clients through two processes have a single order that explains every answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest

from tests.model.histories import Client, History, recorded
from tests.model.house import House
from tests.model.model import Model, Token
from tests.model.orders import has_single_order

NAMES = ("x", "y")
ADMINISTRATORS = ("p", "q", "r")


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with closing(House()) as house:
        yield house


def check_names(house: House, seed: int, steps: int = 25) -> int:
    """One administrator who stays, and a few names: each name has an order of its own. Return the requests made."""
    history = History()
    with house.opened() as (model, _):
        administrator = usable_value(model)

        def work(client: Client) -> None:
            for number in range(steps):
                name = client.chance.choice(NAMES)
                known = [value for owner, value in list(history.values) if owner == name][-4:]
                _change(client, name, administrator, f"{client.number}: {number}")
                if known:
                    client.enter(name, client.chance.choice(known))

        recorded(house.urls, seed, history, work)
        for name in NAMES:
            about = [request for owner, request in history.requests if owner == name]
            told = "\n".join(map(str, sorted(about, key=lambda one: one.sent_ns)))
            assert has_single_order(model.tokens, about, model.now), f"seed {seed}, token {name}:\n{told}"
    return len(history.requests)


def check_administrators(house: House, seed: int, steps: int = 8) -> int:
    """Administrators who end each other: one order for all, with the last one left. Return the requests made."""
    history = History()
    with house.opened() as (model, (door, _)):
        keeper = next(name for name, token in model.tokens.items() if token.full_access)
        history.values.append((keeper, usable_value(model)))
        for name in ADMINISTRATORS:
            made = door.ask("POST", f"/tokens/{name}", usable_value(model), {"full_access": True})
            model.tokens[name] = Token(full_access=True, values=((made.told, None),))
            history.values.append((name, str(made.told)))
        before = dict(model.tokens)

        def work(client: Client) -> None:
            for _ in range(steps):
                name = client.chance.choice((keeper, *ADMINISTRATORS))
                myself, caller = client.chance.choice(list(history.values)[-8:])
                _end(client, name, myself, caller)

        recorded(house.urls, seed, history, work)
        requests = sorted((request for _, request in history.requests), key=lambda one: one.sent_ns)
        told = "\n".join(map(str, requests))
        left = {
            name: Token(full_access=True, values=((value, None),))
            for name, value in history.values
            if door.ask("GET", "/tokens", value).status == 200
        }
        assert left, f"seed {seed}, no administrator is left:\n{told}"
        model.tokens = left
        assert has_single_order(before, requests, model.now), f"seed {seed}:\n{told}"
    return len(requests)


def _change(client: Client, name: str, administrator: str, mark: str) -> None:
    """Do something to a token; edits and creations leave a mark that no other one leaves."""
    ways: list[tuple[int, Callable[[], None]]] = [
        (3, partial(client.create, name, administrator, {"description": f"new {mark}"})),
        (2, partial(client.edit, name, administrator, {"description": mark})),
        (1, partial(client.edit, name, administrator, {"active": False})),
        (1, partial(client.edit, name, administrator, {"active": True})),
        (1, partial(client.rotate, name, administrator, 0)),
        (1, partial(client.rotate, name, administrator, 1_000_000)),
        (1, partial(client.revoke, name, administrator)),
        (1, partial(client.delete, name, administrator)),
        (2, partial(client.show, name, administrator)),
    ]
    _one_of(client, ways)


def _end(client: Client, name: str, myself: str, caller: str) -> None:
    """Take something from an administrator, or make one."""
    ways: list[tuple[int, Callable[[], None]]] = [
        (1, partial(client.create, name, caller, {"full_access": True})),
        (1, partial(client.rotate, name, caller, 0)),
        (1, partial(client.rotate_me, myself, caller)),
        (1, partial(client.revoke, name, caller)),
        (1, partial(client.revoke_me, myself, caller)),
        (1, partial(client.delete, name, caller)),
        (1, partial(client.edit, name, caller, {"active": False})),
        (1, partial(client.edit, name, caller, {"full_access": False})),
    ]
    _one_of(client, ways)


def _one_of(client: Client, ways: list[tuple[int, Callable[[], None]]]) -> None:
    weights, calls = zip(*ways, strict=True)
    client.chance.choices(calls, weights)[0]()


def usable_value(model: Model) -> str:
    """The value of the administrator that a history begins with."""
    return next(str(token.values[-1][0]) for token in model.tokens.values() if token.full_access)


def test_each_token_has_one_order(house: House, rounds: int | None) -> None:
    """Created, edited, rotated, revoked, deleted, shown and used at once, by name."""
    requests = sum(check_names(house, seed) for seed in range(rounds or 2))
    print(f"{requests} requests")  # noqa: T201 - what a long run reports


def test_administrators_have_one_order(house: House, rounds: int | None) -> None:
    """Whoever was ended first changes nothing any more, and the last one cannot be ended."""
    requests = sum(check_administrators(house, seed) for seed in range(rounds or 8))
    print(f"{requests} requests")  # noqa: T201 - what a long run reports
