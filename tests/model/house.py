"""Two server processes on one data folder, and an administrator to begin with."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path

from tests.model.clocked import Clock
from tests.model.doors import Door, opened
from tests.model.model import Model, Token
from tests.servers import ROOT_VALUE, serving

__all__ = ["FIXED_VALUE", "House", "administrator_of"]

FIXED_VALUE = "value-of-a-provisioned-token-0123456789"

_FIXED = Token(read=frozenset({"a*"}), is_provisioned=True, values=((FIXED_VALUE, None),))
_ENVIRONMENT = {
    "RS_INIT_API_TOKEN": ROOT_VALUE,  # an administrator like any other: it can be revoked and deleted
    "RS_TOKEN_F_NAME": "fixed",
    "RS_TOKEN_F_VALUE": FIXED_VALUE,
    "RS_TOKEN_F_READ": "a*",
    "RS_AUTH_FAILURES_PER_MINUTE": "0",  # refusals are what is asked for here
}
_START_SECONDS = 1_900_000_000


class House:
    """Started when it is first asked for a model, and again, on an empty folder, when it was left in disorder."""

    def __init__(self, *sabotages: str, is_clocked: bool = False) -> None:
        self._sabotages = sabotages
        self._is_clocked = is_clocked or bool(sabotages)
        self._life = ExitStack()
        self._keepers = itertools.count()
        self._keeper = ("", "")
        self.clock: Clock | None = None
        self.urls: list[str] = []

    @contextmanager
    def opened(self) -> Iterator[tuple[Model, list[Door]]]:
        """Begin with one administrator, the provisioned token and no bucket; tidy up afterwards."""
        if not self.urls:
            self._start()
        name, value = self._keeper
        now = int(time.time()) if self.clock is None else self.clock.seconds
        model = Model(now, {"fixed": _FIXED, name: Token(full_access=True, values=((value, None),))})
        with ExitStack() as doors:
            both = [doors.enter_context(opened(url)) for url in self.urls]
            try:
                yield model, both
            except BaseException:
                self.close()
                raise
            try:
                self._tidy_up(model, both[0])
            except (AssertionError, OSError, HTTPException):
                self.close()

    def close(self) -> None:
        """Stop the servers, and forget their folder."""
        self._life.close()
        self.urls = []
        self.clock = None

    def _start(self) -> None:
        folder = Path(self._life.enter_context(tempfile.TemporaryDirectory()))
        command: tuple[str, ...] = ("-m", "storage_demo")
        if self._is_clocked:
            self.clock = Clock.at(folder / "clock", _START_SECONDS)
            command = ("-m", "tests.model.clocked", str(folder / "clock"), *self._sabotages)
        for _ in range(2):
            self.urls.append(self._life.enter_context(serving(folder, _ENVIRONMENT, command)).url)
        self._keeper = ("init-token", ROOT_VALUE)

    def _tidy_up(self, model: Model, door: Door) -> None:
        """Leave one new administrator alone: the model knows the value of one who can see to it."""
        value = administrator_of(model)
        name = f"keeper{next(self._keepers)}"
        made = door.ask("POST", f"/tokens/{name}", value, {"full_access": True})
        assert made.status == 200, made
        self._keeper = (name, str(made.told))
        tokens = door.ask("GET", "/tokens", made.told).content["tokens"]
        rest = [one["name"] for one in tokens if one["name"] not in {"fixed", name}]
        ends = {"items": [{"op": "delete", "name": known} for known in rest]}
        ended = door.ask("POST", "/tokens/$batch", made.told, ends)
        assert ended.status == 200, ended
        assert [one["status"] for one in ended.content["results"]] == [200] * len(rest), ended
        for bucket in door.ask("GET", "/list", made.told).content["buckets"]:
            assert door.ask("DELETE", f"/b/{bucket['name']}", made.told).status == 200


def administrator_of(model: Model) -> str:
    """The present value of an administrator who is not about to end: the contract leaves one at any time."""
    usable = (token for token in model.tokens.values() if token.is_usable_administrator(model.now))
    return str(next(usable).values[-1][0])
