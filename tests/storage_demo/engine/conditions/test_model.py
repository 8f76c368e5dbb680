"""Random conditions and records, judged by the code and by a second, naive reading of the contract."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.storage_demo.engine.conditions.judging import run
from tests.storage_demo.engine.conditions.model import Model, Worth

# Few values, close to each other, so that they meet.
LABELS: dict[str, Worth] = {
    "true": Fraction(1),
    "false": Fraction(0),
    "0": Fraction(0),
    "1": Fraction(1),
    "1.0": Fraction(1),
    "1.5": Fraction(3, 2),
    "-1": Fraction(-1),
    "1000": Fraction(1000),
    "9007199254740993": Fraction(9007199254740993),
    "9007199254740992.0": Fraction(9007199254740992),
    "9223372036854775807": Fraction(2**63 - 1),
    "9223372036854775808": Fraction(2**63),
    "a": "a",
    "b": "b",
    "1ms": "1ms",
    "$a": "$a",
    "1_000": "1_000",
    "": "",
}
DURATIONS = {"1ms": 1000, "-1us": -1, "0s": 0, "1us": 1}
NAMES = ["x", "y"]

LITERALS = st.one_of(
    st.sampled_from(["&x", "&y", "&missing", "a", "b", "", "1", "true", "$$a", *DURATIONS]),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 1000, 2**53, 2**53 + 1, 2**63 - 1]),
    st.sampled_from([-1.0, 0.0, 1.0, 1.5, 1e-9, 2.0**53, 2.0**63]),
)
BOOLEAN = st.sampled_from(["$and", "$all_of", "$or", "$any_of", "$not", "$none_of", "$xor", "$one_of"])
COMPARISON = st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"])
MEMBERSHIP = st.sampled_from(["$in", "$nin"])
SIDES = st.sampled_from(["&x", "&y", "&missing", "a", "1ms", "$$a", ""])
SHAPES = st.sampled_from(["boolean", "comparison", "sides", "membership", "literal", "$limit", "$each_n"])
RECORDS = st.lists(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(list(LABELS))), max_size=6)


@st.composite
def members(draw: st.DrawFn, depth: int) -> dict[str, Any]:
    """Objects with one operator."""
    one = operands(depth, most_keys=1)
    match draw(SHAPES):
        case "boolean":
            return {draw(BOOLEAN): draw(st.lists(operands(depth), max_size=4))}
        case "comparison":
            return {draw(COMPARISON): [draw(one), draw(one)]}
        case "sides":
            return {draw(SIDES): {draw(COMPARISON): draw(one)}}
        case "membership":
            return {draw(MEMBERSHIP): draw(st.lists(one, min_size=2, max_size=4))}
        case "literal":
            return {draw(BOOLEAN): draw(LITERALS)}
        case counter:
            return {counter: draw(st.integers(1, 3))}


@st.composite
def conditions(draw: st.DrawFn, depth: int, least_keys: int = 0, most_keys: int = 3) -> dict[str, Any]:
    """Objects with different keys."""
    keys = draw(st.integers(least_keys, most_keys))
    return {key: value for _ in range(keys) for key, value in draw(members(depth)).items()}


@st.composite
def operands(draw: st.DrawFn, depth: int, most_keys: int = 3) -> Any:
    """Literals, and objects of at most *depth* operators in each other."""
    if depth and draw(st.booleans()):
        return draw(conditions(depth - 1, least_keys=1 if most_keys == 1 else 0, most_keys=most_keys))
    return draw(LITERALS)


def model_run(when: dict[str, Any], records: list[dict[str, str]]) -> str:
    """The story of the records as the model tells it."""
    model = Model(when, DURATIONS)
    return "".join(model.judge({name: LABELS[text] for name, text in record.items()}) for record in records)


@settings(max_examples=300, deadline=None)
@given(conditions(3), RECORDS)
def test_the_code_agrees_with_the_model(when: dict[str, Any], records: list[dict[str, str]]) -> None:
    """Every verdict, error and end is the same, record by record."""
    assert run(when, list(records)) == model_run(when, records)


@pytest.mark.parametrize(
    ("when", "story"),
    [
        ({"&x": {"$eq": 1}}, "Ms?"),
        ({"$limit": 1}, "MEE"),
        ({"$or": [True, "&missing"]}, "MMM"),
        ({"$xor": [True, "&missing"]}, "???"),
        ({"$each_n": 2, "&x": {"$ne": "a"}}, "sss"),
        ({"$eq": [{"$and": [], "$not": []}]}, "MMM"),
    ],
)
def test_the_model_itself(when: dict[str, Any], story: str) -> None:
    """The model has been told apart from the code by hand, too."""
    assert model_run(when, [{"x": "1"}, {"x": "a"}, {}]) == story
