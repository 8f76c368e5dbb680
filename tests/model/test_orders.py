"""The checker of histories: it takes what can have happened, and rejects what cannot.

A history is a table: sent, answered, what was asked, what came back.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.model.agreement import Answer, Work
from tests.model.model import Model, Token, Wish
from tests.model.orders import Recorded, has_single_order

ROOT = "root"
TOKEN = {"t": Token(values=(("old", None),))}
ALONE = {"root": Token(full_access=True, values=((ROOT, None),))}
TWO = {name: Token(full_access=True, values=((name, None),)) for name in ("p", "q")}

GOOD, DONE = Answer(200), Answer(200)
INVALID = Answer(401, "Invalid token")
MISSING = Answer(404, "Token 't' doesn't exist")
TAKEN = Answer(409, "Token 't' already exists")
REVOKED = Answer(409, "Token 't' is revoked")

Line = tuple[int, int, Work, Answer]


def told(value: str) -> Answer:
    return Answer(200, None, {"value": value})


def shown(**fields: Any) -> Answer:
    """A full view of `t`, as it is at first but for these fields."""
    permissions = {"full_access": False, "read": [], "write": []}
    view = {"name": "t", "permissions": permissions, "description": "", "status": "active", "active": True}
    view |= {"valid_from": None, "expires_at": None, "ttl": None, "ip_allowlist": [], "is_provisioned": False}
    return Answer(200, None, view | {"secrets": [{}]} | fields)


def ended() -> Answer:
    return shown(status="revoked", active=False, secrets=[])


def last(name: str) -> Answer:
    return Answer(409, f"Can't revoke token '{name}': at least one full-access token must remain")


def create(model: Model, new: str | None) -> Any:
    return model.create(ROOT, "t", {}, new)


def rotate(model: Model, new: str | None) -> Any:
    return model.rotate(ROOT, "t", 0, new)


def graceful(model: Model, new: str | None) -> Any:
    return model.rotate(ROOT, "t", 60, new)


def revoke(model: Model, _: str | None) -> Any:
    return model.revoke(ROOT, "t")


def delete(model: Model, _: str | None) -> Any:
    return model.delete(ROOT, "t")


def show(model: Model, _: str | None) -> Any:
    return model.show(ROOT, "t")


def use(value: str) -> Work:
    return lambda model, _: model.enter(value)


def edit(**patch: Any) -> Work:
    wish: Wish = patch
    return lambda model, _: model.edit(ROOT, "t", wish)


def ends(caller: str, name: str) -> Work:
    def work(model: Model, _: str | None) -> None:
        model.revoke(caller, name)

    return work


def has_order(before: dict[str, Token], lines: list[Line]) -> bool:
    return has_single_order(before, [Recorded(sent, done, "", work, got) for sent, done, work, got in lines])


GOOD_HISTORIES: dict[str, tuple[dict[str, Token], list[Line]]] = {
    "nothing": ({}, []),
    "a life": (
        {},
        [
            (0, 1, show, MISSING),
            (2, 3, create, told("a")),
            (4, 5, use("a"), GOOD),
            (6, 7, rotate, told("b")),
            (8, 9, use("a"), INVALID),
            (10, 11, use("b"), GOOD),
            (12, 13, revoke, ended()),
            (14, 15, use("b"), INVALID),
            (16, 17, delete, DONE),
            (18, 19, create, told("c")),
        ],
    ),
    "an old value during the revocation, before it": (
        TOKEN,
        [(0, 9, revoke, ended()), (2, 3, use("old"), GOOD)],
    ),
    "an old value during the revocation, after it": (
        TOKEN,
        [(0, 9, revoke, ended()), (2, 3, use("old"), INVALID)],
    ),
    "a value that is used before its own answer": (
        {},
        [(0, 9, create, told("a")), (2, 3, use("a"), GOOD), (4, 5, show, shown())],
    ),
    "of two creations one": ({}, [(0, 5, create, told("a")), (1, 6, create, TAKEN)]),
    "two creations and a deletion between": (
        {},
        [(0, 9, create, told("a")), (0, 9, create, told("b")), (0, 9, delete, DONE)],
    ),
    "two edits at once": (
        TOKEN,
        [
            (0, 5, edit(description="x"), shown(description="x")),
            (1, 6, edit(active=False), shown(description="x", active=False, status="inactive")),
            (7, 8, show, shown(description="x", active=False, status="inactive")),
        ],
    ),
    "both values in grace": (
        TOKEN,
        [(0, 1, graceful, told("b")), (2, 3, use("old"), GOOD), (4, 5, use("b"), GOOD)],
    ),
    "of two administrators one": (TWO, [(0, 5, ends("p", "q"), DONE), (1, 6, ends("q", "p"), INVALID)]),
    "the last administrator": (TWO, [(0, 1, ends("p", "q"), DONE), (2, 3, ends("p", "p"), last("p"))]),
}

BAD_HISTORIES: dict[str, tuple[dict[str, Token], list[Line]]] = {
    "an old value after the revocation": (TOKEN, [(0, 1, revoke, ended()), (2, 3, use("old"), GOOD)]),
    "an old value after the rotation": (TOKEN, [(0, 1, rotate, told("b")), (2, 3, use("old"), GOOD)]),
    "an old value after the deletion": (TOKEN, [(0, 1, delete, DONE), (2, 3, use("old"), GOOD)]),
    "an old value after the deactivation": (
        TOKEN,
        [(0, 1, edit(active=False), shown(active=False, status="inactive")), (2, 3, use("old"), GOOD)],
    ),
    "the oldest value after a second rotation": (
        TOKEN,
        [(0, 1, graceful, told("b")), (2, 3, graceful, told("c")), (4, 5, use("old"), GOOD)],
    ),
    "an old value again, after it was refused during the revocation": (
        TOKEN,
        [(0, 9, revoke, ended()), (1, 2, use("old"), INVALID), (3, 4, use("old"), GOOD)],
    ),
    "a new value that does not work at once": (
        TOKEN,
        [(0, 1, rotate, told("b")), (2, 3, use("b"), INVALID)],
    ),
    "the value of another creation": (
        {},
        [(0, 5, create, told("a")), (0, 5, create, TAKEN), (6, 7, use("b"), GOOD)],
    ),
    "two creations of one name": ({}, [(0, 5, create, told("a")), (1, 6, create, told("b"))]),
    "two deletions of one token": (TOKEN, [(0, 5, delete, DONE), (1, 6, delete, DONE)]),
    "a stale read": (
        TOKEN,
        [(0, 1, edit(description="x"), shown(description="x")), (2, 3, show, shown())],
    ),
    "a read of what was not written yet": (
        TOKEN,
        [(0, 1, show, shown(description="x")), (2, 3, edit(description="x"), shown(description="x"))],
    ),
    "a lost update": (
        TOKEN,
        [
            (0, 5, edit(description="x"), shown(description="x")),
            (1, 6, edit(active=False), shown(active=False, status="inactive")),
        ],
    ),
    "a lost update that only a later read shows": (
        TOKEN,
        [
            (0, 5, edit(description="x"), shown(description="x")),
            (1, 6, edit(active=False), shown(description="x", active=False, status="inactive")),
            (7, 8, show, shown(active=False, status="inactive")),
        ],
    ),
    "two readers who disagree about the order": (
        TOKEN,
        [
            (0, 99, edit(description="x"), shown(description="x")),
            (0, 99, edit(description="y"), shown(description="y")),
            (1, 2, show, shown(description="x")),
            (3, 4, show, shown(description="y")),
            (5, 6, show, shown(description="x")),
        ],
    ),
    "a revoked token that is edited": (
        TOKEN,
        [(0, 1, revoke, ended()), (2, 3, edit(active=True), shown())],
    ),
    "a revocation that is forgotten": (TOKEN, [(0, 1, revoke, ended()), (2, 3, show, shown())]),
    "a token that was never made": ({}, [(0, 1, show, shown())]),
    "both administrators end each other": (TWO, [(0, 5, ends("p", "q"), DONE), (1, 6, ends("q", "p"), DONE)]),
    "the last administrator ends itself": (
        TWO,
        [(0, 1, ends("p", "q"), DONE), (2, 3, ends("p", "p"), DONE)],
    ),
    "an administrator who was ended before it asked": (
        {**TWO, **TOKEN},
        [(0, 1, ends("p", "q"), DONE), (2, 3, ends("q", "t"), DONE)],
    ),
    "a refusal that nothing explains": (TWO, [(0, 1, ends("p", "q"), last("q"))]),
}


@pytest.mark.parametrize("name", GOOD_HISTORIES)
def test_good_histories(name: str) -> None:
    before, lines = GOOD_HISTORIES[name]
    assert has_order({**before, **({} if "p" in before else ALONE)}, lines)


@pytest.mark.parametrize("name", BAD_HISTORIES)
def test_bad_histories(name: str) -> None:
    before, lines = BAD_HISTORIES[name]
    assert not has_order({**before, **({} if "p" in before else ALONE)}, lines)


@pytest.mark.parametrize("name", BAD_HISTORIES)
def test_bad_histories_among_many_good_requests(name: str) -> None:
    """Forty requests of others that overlap with everything neither hide the fault nor make the search endless."""
    before, lines = BAD_HISTORIES[name]
    others = [(number, number + 6, use("guess"), INVALID) for number in range(40)]
    assert not has_order({**before, **({} if "p" in before else ALONE)}, lines + others)
