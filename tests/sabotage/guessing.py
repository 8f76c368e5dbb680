"""Mechanisms against guessing, each switched off."""

from __future__ import annotations

from typing import Any

from reductauth import throttle
from reductauth.errors import (
    AuthenticationError,
    MissingCredentialError,
    TooManyFailuresError,
)
from reductauth.throttle import Throttle
from reductauth.web.gate import StoreGate
from tests.sabotage.table import noticed_by, put

AUDIT = "tests/reductauth/web/test_audit_route.py::"
THROTTLE = "tests/reductauth/test_throttle.py::"
THROTTLING = "tests/reductauth/web/test_throttling.py::"


@noticed_by(f"{THROTTLE}test_the_refill_to_the_second", f"{THROTTLING}test_what_counts")
def throttles_never_refuse() -> None:
    """Everybody guesses as often as they like."""
    put(Throttle, "seconds_to_wait", lambda *_: 0)


@noticed_by(f"{THROTTLING}test_a_valid_value_passes_from_a_flooded_network")
def throttles_refuse_valid_values() -> None:
    """Whoever fails often enough locks an owner out."""
    refuse, start = StoreGate.refuse, StoreGate.__init__
    out: list[AuthenticationError] = []

    def remember(self: StoreGate, *arguments: Any) -> AuthenticationError:
        refusal = refuse(self, *arguments)
        if isinstance(refusal, TooManyFailuresError):
            out.append(refusal)
        return refusal

    async def refused() -> AuthenticationError:
        return out[-1]

    def lock_out(self: StoreGate, *arguments: Any) -> None:
        start(self, *arguments)
        recall, identify = self.recall, self.identify
        self.recall = lambda *request: None if out else recall(*request)
        self.identify = lambda *request: refused() if out else identify(*request)  # type: ignore[method-assign]

    put(StoreGate, "refuse", remember)
    put(StoreGate, "__init__", lock_out)


@noticed_by(f"{THROTTLE}test_networks", f"{THROTTLING}test_behind_a_proxy")
def each_address_is_a_network() -> None:
    """Who has an IPv6 network has as many failures as addresses."""
    put(throttle, "_network", lambda address: address or "")


@noticed_by(f"{THROTTLE}test_a_flood_frees_nobody_and_takes_no_memory")
def throttles_remember_each_network() -> None:
    """A flood from many networks fills the memory."""
    wait = Throttle.seconds_to_wait
    each: dict[str | None, int] = {}

    def remember(self: Throttle, address: str | None, now_us: int) -> int:
        each[address] = now_us
        return wait(self, address, now_us)

    put(Throttle, "seconds_to_wait", remember)


@noticed_by(f"{THROTTLE}test_a_clock_that_is_set_back")
def throttles_trust_the_clock() -> None:
    """Time that is taken back is waited for."""
    wait, latest = Throttle.seconds_to_wait, [0]

    def waiting(self: Throttle, address: str | None, now_us: int) -> int:
        behind_us = latest[0] - now_us
        latest[0] = max(latest[0], now_us)
        return wait(self, address, latest[0]) + max(0, behind_us) // 1_000_000

    put(Throttle, "seconds_to_wait", waiting)


@noticed_by(f"{THROTTLING}test_what_does_not_count", f"{AUDIT}test_refusals_are_counted")
def nothing_is_a_guess() -> None:
    """Who presents no credential uses up the failures of a network."""
    put(MissingCredentialError, "presented", True)


@noticed_by(f"{THROTTLING}test_the_answer", f"{THROTTLING}test_waiting_as_long_as_is_said_is_enough")
def nobody_is_told_how_long() -> None:
    """429 says to try again at once."""
    make = TooManyFailuresError.__init__
    put(TooManyFailuresError, "__init__", lambda self, _: make(self, 1))
