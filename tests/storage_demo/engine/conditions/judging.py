"""Short ways to ask a condition, for tables."""

from __future__ import annotations

from collections.abc import Mapping

from storage_demo.engine.conditions import Verdict, parse_condition
from storage_demo.engine.errors import ConditionError, ReferenceNotFoundError

SECOND_US = 1_000_000


def judge(when: object, labels: Mapping[str, str] | None = None, timestamp_us: int = 0) -> Verdict:
    """What a fresh evaluation says of one record."""
    return parse_condition(when).begin().judge(labels or {}, timestamp_us)


def is_match(when: object, labels: Mapping[str, str] | None = None, timestamp_us: int = 0) -> bool:
    """Whether a fresh evaluation takes the record."""
    verdict = judge(when, labels, timestamp_us)
    assert verdict is not Verdict.END
    return verdict is Verdict.MATCH


def run(when: object, records: list[Mapping[str, str]], *, step_us: int = SECOND_US) -> str:
    """What one evaluation says of records in a row, a letter each.

    M is a match, s a skip, E the end, ? an error. The first record is at 0, the next *step_us* later.
    """
    evaluation = parse_condition(when).begin()
    letters = {Verdict.MATCH: "M", Verdict.SKIP: "s", Verdict.END: "E"}
    story = ""
    for number, labels in enumerate(records):
        try:
            story += letters[evaluation.judge(labels, number * step_us)]
        except (ConditionError, ReferenceNotFoundError):
            story += "?"
    return story
