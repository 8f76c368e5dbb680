"""What the clients were told, kept outside of the server, and what the registry may hold after a crash.

Each token is changed by one client, one change at a time. So at a crash all its changes that were acknowledged by then
have happened, the one that was under way has happened or not, and none after it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["ABSENT", "CHANGES", "Change", "Life", "TokenHistory"]

MAX_DEAD_VALUES = 5


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of one token. `values` are live, oldest first; None: made, and its answer never came."""

    exists: bool = False
    number: int = 0
    active: bool = True
    is_revoked: bool = False
    values: tuple[str | None, ...] = ()
    actions: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        """Whether its values pass."""
        return self.exists and self.active and not self.is_revoked


ABSENT = Life()


@dataclass(frozen=True, slots=True)
class Change:
    """One route: what it asks for (given a number of the client's), and what it makes of a token."""

    method: str
    path: str
    body: Callable[[int], dict[str, Any] | None]
    after: Callable[[Life, int, str | None], Life]
    is_possible: Callable[[Life], bool]
    ends_values: bool = False


def _did(life: Life, action: str, **changed: Any) -> Life:
    return replace(life, actions=(*life.actions, action), **changed)


def _filled(number: int) -> dict[str, Any]:
    return {"description": f"number {number}", "permissions": {"write": [f"bucket-{number}"]}}


CHANGES = {
    "create": Change(
        "POST",
        "",
        _filled,
        lambda life, number, value: _did(life, "create", exists=True, number=number, values=(value,)),
        lambda life: not life.exists,
    ),
    "edit": Change(
        "PATCH",
        "",
        _filled,
        lambda life, number, value: _did(life, "edit", number=number),
        lambda life: life.exists and not life.is_revoked,
    ),
    "deactivate": Change(
        "PATCH",
        "",
        lambda number: {"active": False},
        lambda life, number, value: _did(life, "deactivate", active=False),
        lambda life: life.works,
        ends_values=True,
    ),
    "activate": Change(
        "PATCH",
        "",
        lambda number: {"active": True},
        lambda life, number, value: _did(life, "activate", active=True),
        lambda life: life.exists and not life.active and not life.is_revoked,
    ),
    "rotate": Change(
        "POST",
        "/rotate",
        lambda number: None,
        lambda life, number, value: _did(life, "rotate", values=(value,)),
        lambda life: life.exists and not life.is_revoked,
        ends_values=True,
    ),
    "rotate with grace": Change(
        "POST",
        "/rotate",
        lambda number: {"grace_seconds": 3_600},
        lambda life, number, value: _did(life, "rotate", values=(life.values[-1], value)),
        lambda life: life.exists and not life.is_revoked,
    ),
    "revoke": Change(
        "POST",
        "/revoke",
        lambda number: None,
        lambda life, number, value: _did(life, "revoke", active=False, is_revoked=True, values=()),
        lambda life: life.exists and not life.is_revoked,
        ends_values=True,
    ),
    "delete": Change(
        "DELETE",
        "",
        lambda number: None,
        lambda life, number, value: Life(actions=(*life.actions, "delete")),
        lambda life: life.exists,
        ends_values=True,
    ),
}


@dataclass(slots=True)
class _Step:
    change: Change
    number: int
    life: Life
    sent_at: int
    told_at: int | None = None


@dataclass(slots=True)
class TokenHistory:
    """One token's changes since the registry was last looked at. Moments are whatever the caller counts in."""

    name: str
    known: Life = ABSENT
    steps: list[_Step] = field(default_factory=list)
    dead_values: list[str] = field(default_factory=list)

    @property
    def now(self) -> Life:
        """The token after everything that was asked for."""
        return self.steps[-1].life if self.steps else self.known

    def send(self, change: Change, number: int, at: int) -> None:
        """A change is asked for."""
        self.steps.append(_Step(change, number, change.after(self.now, number, None), at))

    def hear(self, value: str | None, at: int) -> None:
        """It was acknowledged."""
        step = self.steps[-1]
        before = self.steps[-2].life if len(self.steps) > 1 else self.known
        step.life = step.change.after(before, step.number, value)
        step.told_at = at

    def is_open(self, at: float) -> bool:
        """Whether a change is under way at a moment."""
        return any(step.sent_at <= at and (step.told_at is None or at < step.told_at) for step in self.steps)

    def possible(self, crashed_at: float) -> list[Life]:
        """What the token may be after a crash."""
        life = self.known
        for step in self.steps:
            if step.told_at is not None and step.told_at <= crashed_at:
                life = step.life
            elif step.sent_at <= crashed_at:
                return [life, step.life]
            else:
                break
        return [life]

    def settle(self, view: dict[str, Any] | None, actions: list[str], crashed_at: float) -> Life:
        """Find which of them it is, and go on from there. Raises `AssertionError` if it is none."""
        possible = self.possible(crashed_at)
        for life in possible:
            if tuple(actions) == life.actions and _is(view, life):
                given = [self.known, *(step.life for step in self.steps)]
                dead = {value for one in given for value in one.values if value is not None}
                self.dead_values += sorted(dead - set(life.values))
                del self.dead_values[:-MAX_DEAD_VALUES]
                self.known = replace(life, actions=())
                self.steps.clear()
                return self.known
        raise AssertionError(f"{self.name} is {view}, its books say {actions}; possible were {possible}")


def _is(view: dict[str, Any] | None, life: Life) -> bool:
    """Whether the full view shows this life, and all of it."""
    if view is None:
        return not life.exists
    live = view["secrets"]
    return (
        life.exists
        and view["description"] == f"number {life.number}"
        and view["permissions"]["write"] == [f"bucket-{life.number}"]
        and view["active"] is life.active
        and view["status"] == ("revoked" if life.is_revoked else "active" if life.active else "inactive")
        and (view["revoked_at"] is not None) is life.is_revoked
        and len(live) == len(life.values)
        and (not live or live[-1]["created_at"] == view["created_at"])
        and [secret["expires_at"] is None for secret in live]
        == [number == len(live) - 1 for number in range(len(live))]
    )
