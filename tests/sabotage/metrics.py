"""Mechanisms of counting, each switched off."""

from __future__ import annotations

from collections import Counter
from typing import Any

from reductauth.authenticator import Authenticator
from reductauth.errors import (
    AuthenticationError,
    InvalidTokenError,
)
from reductauth.sqlite.writer import Writer
from reductauth.usage import UsageMeter
from reductauth.web import metrics
from reductauth.web.gate import StoreGate
from tests.sabotage.table import noticed_by, put

METRICS = "tests/reductauth/web/test_metrics.py::"
USAGE = "tests/reductauth/test_usage.py::"


@noticed_by(f"{METRICS}test_decisions", f"{METRICS}test_what_is_too_much_is_told_apart")
def reasons_are_all_one() -> None:
    """Whatever a refusal was for is counted as an invalid token."""
    refuse = StoreGate.refuse

    def plain(self: StoreGate, request: Any, _: Any, now_us: int) -> AuthenticationError:
        return refuse(self, request, InvalidTokenError(), now_us)

    put(StoreGate, "refuse", plain)


@noticed_by(f"{METRICS}test_no_label_holds_what_it_must_not", f"{METRICS}test_the_page")
def labels_hold_addresses() -> None:
    """Each client makes a new time series."""
    families = metrics._families

    def telling(*arguments: Any, **named: Any) -> Any:
        for family in families(*arguments, **named):
            if family.name == "reductauth_decisions":
                family.add_metric(("allowed", "127.0.0.1"), 1)  # type: ignore[attr-defined]
            yield family

    put(metrics, "_families", telling)


class _Unmoved(Counter[str]):
    """Counts nothing."""

    def __setitem__(self, key: str, value: int) -> None:
        pass


@noticed_by(f"{METRICS}test_changes")
def changes_are_not_counted() -> None:
    """Nobody sees that tokens are made."""
    start = Writer.__init__

    def forgetful(self: Writer, *arguments: Any) -> None:
        start(self, *arguments)
        self.kept = _Unmoved()

    put(Writer, "__init__", forgetful)


@noticed_by(f"{METRICS}test_the_cache")
def hits_are_not_counted() -> None:
    """The cache seems to be of no use."""
    Authenticator.hits = property(lambda _: 0, lambda *_: None)  # type: ignore[assignment]


@noticed_by(f"{METRICS}test_a_registry_that_cannot_keep_changes")
def errors_of_the_store_are_not_counted() -> None:
    """A disk that fails is nobody's alarm."""
    Writer.failures = property(lambda _: 0, lambda *_: None)  # type: ignore[assignment]


@noticed_by(f"{USAGE}test_a_store_that_is_out_of_order", f"{USAGE}test_a_request_during_a_flush")
def usage_is_lost() -> None:
    """What could not be flushed is forgotten, and so is what came meanwhile."""
    flush = UsageMeter.flush

    async def careless(self: UsageMeter) -> None:
        await flush(self)
        self._closed, self._tallies = [], {}

    put(UsageMeter, "flush", careless)
