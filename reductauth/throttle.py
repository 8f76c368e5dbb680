"""How often a client may fail to authenticate: a token bucket for each network, in memory of a fixed size.

Rules of this file: it is asked about failures alone, after the decision, so a valid value passes from wherever
others guess, and nobody can lock its owner out; nothing is ever added or pushed out, so a flood from many
networks frees none of them. Networks that share a bucket cost each other nothing but the reason for a refusal.
"""

from __future__ import annotations

import secrets
from array import array
from ipaddress import IPv6Address

from reductauth.networks import parse_address

__all__ = ["SLOTS", "Throttle"]

SLOTS = 4_096
"""Buckets; eight bytes each."""

_MINUTE_US = 60_000_000
_SECOND_US = 1_000_000
_INTERFACE_BITS = 64  # RFC 4291 §2.5.1: the part of an IPv6 address that its owner chooses


class Throttle:
    """Lets each network fail `failures_per_minute` times at once, and as many times in every minute after that.

    A network is one IPv4 address, because its neighbours may be anybody; or an IPv6 /64, because a single
    customer has all of that. Addresses that are not known are one network.
    """

    def __init__(self, failures_per_minute: int, slots: int = SLOTS) -> None:
        self._interval_us = _MINUTE_US // failures_per_minute
        self._full_us = self._interval_us * failures_per_minute
        # What a bucket holds is said by one number: the time at which it will be full (the generic cell rate
        # algorithm). A bucket that was never used was full at the beginning of time.
        self._full_at_us = array("q", bytes(8 * slots))
        # Whoever could tell which networks share a bucket could choose one that shares a victim's.
        self._key = secrets.token_hex(8)

    def seconds_to_wait(self, address: str | None, now_us: int) -> int:
        """Take note of a failure; return 0, or in how many seconds the next one is let through if that is too many."""
        full_at_us = self._full_at_us
        slot = hash(self._key + _network(address)) % len(full_at_us)
        missing_us = full_at_us[slot] - now_us
        if missing_us < 0:
            missing_us = 0
        elif (
            missing_us > self._full_us
        ):  # the clock was set back: what is empty stays so, and is no more than that
            missing_us = self._full_us
        too_much_us = missing_us + self._interval_us - self._full_us
        if too_much_us > 0:
            full_at_us[slot] = now_us + missing_us
            return -(-too_much_us // _SECOND_US)
        full_at_us[slot] = now_us + missing_us + self._interval_us
        return 0


def _network(address: str | None) -> str:
    if address is None:
        return ""
    if ":" not in address:
        return address
    parsed = parse_address(
        address.partition("%")[0]
    )  # a zone says where the server's end is, not the client's
    if isinstance(parsed, IPv6Address):
        return str(int(parsed) >> _INTERFACE_BITS)
    return "" if parsed is None else str(parsed)
