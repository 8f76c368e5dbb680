"""Whether requests that overlapped can have happened one after the other.

The search of Wing and Gong (1993), with Lowe's memory (2017): take any request that began before every open one
was answered, do it to a copy of the model, go on with the rest; what led nowhere once is not tried again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.model.agreement import Answer, Disagreement, Work, agree
from tests.model.model import Model, Token

__all__ = ["Recorded", "has_single_order"]

Tokens = dict[str, Token]


@dataclass(frozen=True)
class Recorded:
    """A request: when it was sent and answered (by one monotonic clock), what it asks, what came back."""

    sent_ns: int
    answered_ns: int
    asked: str
    work: Work
    answer: Answer

    def __str__(self) -> str:
        return f"{self.sent_ns}..{self.answered_ns} {self.asked} -> {self.answer.status}"


def has_single_order(tokens: Tokens, history: Iterable[Recorded], now: int = 0) -> bool:
    """Whether one order of all requests explains every answer, none before it was sent or after it was answered."""
    requests = sorted(history, key=lambda one: one.sent_ns)
    everything = (1 << len(requests)) - 1
    waiting = [(0, tokens)]
    seen = set()
    while waiting:
        done, before = waiting.pop()
        if done == everything:
            return True
        for number in _next(requests, done):
            after = _after(before, requests[number], now)
            if after is None:
                continue
            place = (done | 1 << number, frozenset(after.items()))
            if place not in seen:
                seen.add(place)
                waiting.append((place[0], after))
    return False


def _next(requests: Sequence[Recorded], done: int) -> Iterable[int]:
    """Which requests may come next: those that were sent before any other one of the rest was answered."""
    first_answer_ns: float = float("inf")
    number = (~done & (done + 1)).bit_length() - 1  # the first that is not done
    while number < len(requests) and requests[number].sent_ns <= first_answer_ns:
        if not done >> number & 1:
            yield number
            first_answer_ns = min(first_answer_ns, requests[number].answered_ns)
        number += 1


def _after(tokens: Tokens, request: Recorded, now: int) -> Tokens | None:
    model = Model(now, dict(tokens))
    try:
        agree(model, request.work, request.answer)
    except Disagreement:
        return None
    return model.tokens
