"""Many clients at once, through both processes: what each asked, when, and what it was answered."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.model.agreement import Work
from tests.model.doors import Door, opened
from tests.model.orders import Recorded

__all__ = ["CLIENTS", "Client", "History", "recorded"]

CLIENTS = 6


@dataclass
class History:
    """What all clients did, and the values that they were told, by the token's name."""

    requests: list[tuple[str, Recorded]] = field(default_factory=list)
    values: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Client:
    """One of them: a connection to one process, and chance."""

    number: int
    door: Door
    chance: random.Random
    history: History

    def ask(self, name: str, method: str, path: str, caller: str, work: Work, body: Any = None) -> None:
        """Send a request about the token `name`, and write it down."""
        sent_ns = time.monotonic_ns()
        answer = self.door.ask(method, path, caller, body)
        answered_ns = time.monotonic_ns()
        if answer.told:
            self.history.values.append((name, answer.told))
        asked = f"{method} {path} {body or ''} by ..{caller[-6:]}"
        self.history.requests.append((name, Recorded(sent_ns, answered_ns, asked, work, answer)))

    def create(self, name: str, caller: str, wish: dict[str, Any]) -> None:
        permissions = {key: field for key, field in wish.items() if key == "full_access"}
        rest = {key: field for key, field in wish.items() if key != "full_access"}
        self.ask(
            name,
            "POST",
            f"/tokens/{name}",
            caller,
            lambda model, told: model.create(caller, name, wish, told),
            {"permissions": permissions, **rest},
        )

    def edit(self, name: str, caller: str, patch: dict[str, Any]) -> None:
        body = {"permissions": patch} if "full_access" in patch else patch
        self.ask(
            name, "PATCH", f"/tokens/{name}", caller, lambda model, _: model.edit(caller, name, patch), body
        )

    def rotate(self, name: str, caller: str, grace_seconds: int) -> None:
        self.ask(
            name,
            "POST",
            f"/tokens/{name}/rotate",
            caller,
            lambda model, told: model.rotate(caller, name, grace_seconds, told),
            {"grace_seconds": grace_seconds},
        )

    def rotate_me(self, name: str, caller: str) -> None:
        self.ask(name, "POST", "/me/rotate", caller, lambda model, told: model.rotate_me(caller, 0, told))

    def revoke(self, name: str, caller: str) -> None:
        self.ask(name, "POST", f"/tokens/{name}/revoke", caller, lambda model, _: model.revoke(caller, name))

    def revoke_me(self, name: str, caller: str) -> None:
        self.ask(name, "DELETE", "/me", caller, lambda model, _: model.revoke_me(caller))

    def delete(self, name: str, caller: str) -> None:
        self.ask(name, "DELETE", f"/tokens/{name}", caller, lambda model, _: model.delete(caller, name))

    def show(self, name: str, caller: str) -> None:
        self.ask(name, "GET", f"/tokens/{name}?view=full", caller, lambda model, _: model.show(caller, name))

    def enter(self, name: str, caller: str) -> None:
        self.ask(name, "GET", "/me", caller, lambda model, _: model.enter(caller))


def recorded(urls: Sequence[str], seed: int, history: History, work: Callable[[Client], None]) -> None:
    """Let clients work at once, each on a connection of its own, and each process with half of them."""
    together = threading.Barrier(CLIENTS)

    def run(number: int) -> None:
        with opened(urls[number % len(urls)]) as door:
            together.wait()
            chance = random.Random(seed * CLIENTS + number)  # noqa: S311 - no secret
            work(Client(number, door, chance, history))

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(run, range(CLIENTS)))
