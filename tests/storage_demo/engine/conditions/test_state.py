"""What operators remember from record to record, and when they are not asked."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from storage_demo.engine.conditions import Verdict, parse_condition
from storage_demo.engine.errors import ReferenceNotFoundError
from tests.storage_demo.engine.conditions.judging import SECOND_US, run

NO_LABELS: list[Mapping[str, str]] = [{}] * 6


def xs(*texts: str | None) -> list[Mapping[str, str]]:
    """Records with a label x each, None for one without."""
    return [{} if text is None else {"x": text} for text in texts]


@pytest.mark.parametrize(
    ("limit", "story"),
    [
        (0, "EEEEEE"),
        (1, "MEEEEE"),
        (3, "MMMEEE"),
        (6, "MMMMMM"),
        (2.9, "MMEEEE"),
        (True, "MEEEEE"),
        ("2", "MMEEEE"),
        (2**63 - 1, "MMMMMM"),
    ],
)
def test_limit(limit: object, story: str) -> None:
    """True for the first n evaluations, then the query ends."""
    assert run({"$limit": limit}, NO_LABELS) == story
    assert run({"$limit": [limit]}, NO_LABELS) == story


@pytest.mark.parametrize(
    ("n", "story"),
    [(1, "MMMMMM"), (2, "sMsMsM"), (3, "ssMssM"), (6, "sssssM"), (7, "ssssss"), (2.9, "sMsMsM")],
)
def test_each_n(n: object, story: str) -> None:
    """True on every n-th evaluation."""
    assert run({"$each_n": n}, NO_LABELS) == story


@pytest.mark.parametrize(
    ("period", "story"),
    [
        # a record each second
        (0, "MMMMMM"),
        ("0s", "MMMMMM"),
        (1, "sMMMMM"),
        ("1s", "sMMMMM"),
        (2, "ssMsMs"),
        ("2000ms", "ssMsMs"),
        (1.5, "ssMsMs"),
        (2.000001, "sssMss"),
        ("2s 1us", "sssMss"),
        (5, "sssssM"),
        (6, "ssssss"),
        ({"$cast": [2_000_000, "duration"]}, "ssMsMs"),
        ("2", "ssMsMs"),
        (True, "sMMMMM"),
    ],
)
def test_each_t(period: object, story: str) -> None:
    """The first evaluation sets the base, then true when so much time passed since it was true last."""
    assert run({"$each_t": [period]}, NO_LABELS) == story


@pytest.mark.parametrize(("seconds", "period_us"), [(4.35, 4_350_000), (0.000_249, 249), (0.000_123, 123)])
def test_each_t_of_a_fraction_that_floats_cannot_hold(seconds: float, period_us: int) -> None:
    """Seconds are whole microseconds, not one more or less, also where floats multiply to a bit beside."""
    assert run({"$each_t": seconds}, NO_LABELS[:2], step_us=period_us) == "sM"
    assert run({"$each_t": seconds}, NO_LABELS[:2], step_us=period_us - 1) == "ss"


def test_each_t_measures_from_the_record_that_was_true() -> None:
    """Not on a grid: after a gap the next period starts at the record that ended it."""
    evaluation = parse_condition({"$each_t": "2s"}).begin()
    story = [evaluation.judge({}, second * SECOND_US) is Verdict.MATCH for second in (0, 3, 4, 5, 6, 10, 11)]
    assert story == [False, True, False, True, False, True, False]


@pytest.mark.parametrize(
    ("when", "texts", "story"),
    [
        # top-level keys in the order of the document
        ({"$limit": 2, "&x": {"$gt": 5}}, ("1", "9", "9"), "sME"),
        ({"&x": {"$gt": 5}, "$limit": 2}, ("1", "9", "9", "1", "9"), "sMMsE"),
        ({"&x": {"$gt": 5}, "$each_n": 2}, ("9", "1", "9", "9", "9"), "ssMsM"),
        ({"$each_n": 2, "&x": {"$gt": 5}}, ("9", "1", "9", "9", "9"), "sssMs"),
        ({"&x": {"$gt": 5}, "$each_t": "2s"}, ("1", "9", "9", "9", "9"), "sssMs"),
        # operands
        ({"$and": [{"$each_n": 2}, {"$limit": 1}]}, ("", "", "", ""), "sMsE"),
        ({"$or": [{"$each_n": 2}, {"$limit": 1}]}, ("", "", "", ""), "MMEE"),
        ({"$or": ["&x", {"$limit": 1}]}, ("true", "false", "true", "false", "true"), "MMMEE"),
        ({"$not": ["&x", {"$limit": 1}]}, ("true", "false", "true", "false"), "sssE"),
        ({"$not": [{"$limit": 1}]}, ("", "", ""), "sEE"),
        # all operands of the others are asked
        ({"$xor": ["&x", True, {"$limit": 3}]}, ("true", "true", "true", "true"), "sssE"),
        ({"$in": ["a", "a", {"$limit": 2}]}, ("", "", ""), "MME"),
        ({"$nin": ["a", "a", {"$limit": 2}]}, ("", "", ""), "ssE"),
        ({"$exists": ["y", {"$limit": 2}]}, ("", "", ""), "ssE"),
        ({"$eq": [{"$each_n": 2}, {"$each_n": 3}]}, ("", "", "", "", "", ""), "MsssMM"),
        # operators that count may be counted
        ({"$limit": [{"$each_n": 2}]}, ("", "", ""), "EEE"),
        ({"$each_n": [{"$limit": 2}]}, ("", "", ""), "MME"),
        # two alike are two
        ({"$and": [{"$each_n": 2}, {"$each_n": 2}]}, ("", "", "", ""), "sssM"),
    ],
)
def test_short_circuit_decides_what_is_counted(when: object, texts: tuple[str, ...], story: str) -> None:
    """An operator counts the evaluations of its own, and those that are not reached do not count."""
    assert run(when, xs(*texts)) == story


@pytest.mark.parametrize(
    ("when", "texts", "story"),
    [
        # the error comes first: nothing was counted
        ({"&x": {"$gt": 5}, "$limit": 2}, (None, "9", None, "9", "9"), "?M?ME"),
        # the count comes first: it stays
        ({"$limit": 2, "&x": {"$gt": 5}}, (None, "9", "9"), "?ME"),
        ({"$each_n": 2, "&x": {"$gt": 5}}, (None, None, "9", "9"), "s?sM"),
        # an operator without its number does not count
        ({"$limit": "&x"}, ("1", None, "2", "2"), "M?ME"),
        ({"$limit": "&x"}, ("word", "1", "1"), "?ME"),
        ({"$each_n": "&x"}, ("2", "0", "2", None, "2"), "s?M?s"),
        ({"$each_t": "&x"}, ("word", "1", "1", "-1", "1"), "?sM?M"),
        # an error that is not reached is none
        ({"$or": [{"$each_n": 2}, {"&x": {"$gt": 5}}]}, (None, None, None, "1"), "?M?M"),
        ({"$and": [{"$each_n": 2}, {"&x": {"$gt": 5}}]}, (None, None, None, "9"), "s?sM"),
    ],
)
def test_an_error_leaves_the_evaluation_usable(
    when: object, texts: tuple[str | None, ...], story: str
) -> None:
    """The next record is judged as if nothing happened, and what was counted before the error stays counted."""
    assert run(when, xs(*texts)) == story


def test_a_number_of_evaluations_may_change_from_record_to_record() -> None:
    """It is an operand like any other."""
    assert run({"$limit": "&x"}, xs("1", "2", "3", "3", "9")) == "MMMEE"
    assert run({"$each_n": "&x"}, xs("1", "2", "2", "2", "5", "4")) == "MMsMMs"


def test_the_end_is_final() -> None:
    """After the end nothing is judged any more, not even what would be an error or would not ask the limit."""
    assert run({"$or": ["&x", {"$limit": 0}]}, xs("true", "false", "true", None)) == "MEEE"


def test_evaluations_share_nothing() -> None:
    """Each query and each entry counts for itself, and the condition stays as it was parsed."""
    condition = parse_condition({"$limit": 1, "$each_n": 1, "$each_t": 0})
    one, other = condition.begin(), condition.begin()
    assert one.judge({}, 0) is Verdict.MATCH
    assert one.judge({}, 1) is Verdict.END
    assert other.judge({}, 0) is Verdict.MATCH
    assert condition.begin().judge({}, 0) is Verdict.MATCH


def test_a_change_of_the_json_does_not_change_the_condition() -> None:
    """The caller may do with its document what it wants."""
    operands: list[object] = ["&x", 1]
    condition = parse_condition({"$eq": operands})
    operands[1] = 2
    assert condition.begin().judge({"x": "1"}, 0) is Verdict.MATCH


def test_the_same_error_again() -> None:
    """An error is raised for each record that has it."""
    evaluation = parse_condition({"&x": {"$eq": 1}}).begin()
    for _ in range(2):
        with pytest.raises(ReferenceNotFoundError):
            evaluation.judge({}, 0)
