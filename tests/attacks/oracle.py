"""What is wrong with an answer, by the contract; nothing, for an answer as it should be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from tests.attacks.wire import Ending, Outcome, Reply

__all__ = ["faults_of"]

_A_FAULT_OF_THE_SERVER = re.compile(rb"^HTTP/[0-9]\.[0-9] (5[0-9]{2}) ", re.MULTILINE)
ALWAYS = ("server", "x-reduct-api", "vary", "date")
WITHOUT_DETAIL = {405}


def faults_of(outcome: Outcome, *, is_complete: bool, is_head: bool, secrets: Iterable[bytes]) -> list[str]:
    """Say what is wrong with what came back, one line each. `secrets` are the values that were sent."""
    faults = [f"answered {found.decode()}" for found in _A_FAULT_OF_THE_SERVER.findall(outcome.received)]
    faults += [
        f"a value is in the answer at {outcome.received.index(value)}"
        for value in secrets
        if value in outcome.received
    ]
    if outcome.ending is Ending.DROPPED:
        faults.append("dropped without an answer")
    if outcome.ending is Ending.IGNORED:
        faults.append("a whole request was not answered")
    if outcome.reply is not None:
        if is_complete and not outcome.reply.is_whole:
            faults.append("the answer is shorter than it says")
        faults += _of_reply(outcome.reply, is_head=is_head)
    return faults


def _of_reply(reply: Reply, *, is_head: bool) -> list[str]:
    faults = [f"{name} is missing" for name in ALWAYS if reply.header(name) is None]
    if reply.status == 401 and not (reply.header("www-authenticate") or "").startswith("Bearer"):
        faults.append("401 without a challenge")
    if reply.status < 400 or reply.status in WITHOUT_DETAIL:
        return faults
    if not reply.header("x-reduct-error"):
        faults.append(f"{reply.status} without x-reduct-error")
    if reply.header("content-type") != "application/json":
        faults.append(f"{reply.status} is not JSON")
    if reply.is_whole and not is_head:
        try:
            content = json.loads(reply.body)
        except ValueError:
            content = None
        if (
            not isinstance(content, dict)
            or content.keys() != {"detail"}
            or not isinstance(content["detail"], str)
        ):
            faults.append(f"{reply.status} without a detail")
    return faults
