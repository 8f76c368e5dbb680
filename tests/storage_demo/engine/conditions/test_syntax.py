"""The notations of a condition, and what is said of what is not one."""

from __future__ import annotations

import math

import pytest

from storage_demo.engine.conditions import parse_condition
from storage_demo.engine.errors import InvalidError
from tests.storage_demo.engine.conditions.judging import is_match

OPTIONAL_OPERATORS = [
    *("$contains", "$starts_with", "$ends_with"),
    *("$add", "$mult", "$sub", "$div", "$div_num", "$rem", "$abs", "$ref", "$gate"),
    *("$second", "$minute", "$hour", "$day", "$month", "$year", "$weekday"),
]
DIRECTIVES = [
    *("#ctx_before", "#ctx_after", "#select_labels"),
    *("#batch_size", "#batch_records", "#batch_metadata_size", "#batch_timeout", "#record_timeout"),
]


def refusal_of(when: object) -> str:
    """What is said of a condition that cannot be one."""
    with pytest.raises(InvalidError) as refusal:
        parse_condition(when)
    assert type(refusal.value) is InvalidError
    return str(refusal.value)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, True),
        ({"$and": [{}]}, True),
        ({"$or": [{}]}, False),
        ({"&a": {"$eq": 1}, "&b": {"$eq": 2}}, True),
        ({"&a": {"$eq": 1}, "&b": {"$eq": 3}}, False),
        ({"$and": True, "$not": False}, True),
        ({"$and": [True], "&a": {"$gt": 0}}, True),
        # an object with k keys contributes k operands
        ({"$eq": [{"$and": [], "$not": []}]}, True),
        ({"$eq": [{"$and": [], "$or": []}]}, False),
        ({"$eq": [{}, 1, {}, "&a"]}, True),
        ({"$xor": [{"$and": [], "$not": []}]}, False),
        ({"&a": {"$eq": {"$cast": ["1", "int"]}}}, True),
        ({"&a": {"$in": {"&b": {"$cast": "int"}, "$and": []}}}, True),
        ({"$or": [{"&a": {"$eq": 2}}, {"&b": {"$eq": 2}}]}, True),
        # the left side is any literal
        ({"text": {"$eq": "text"}}, True),
        ({"1": {"$eq": "&a"}}, False),
        ({"1us": {"$eq": "&a"}}, True),
        ({"$$x": {"$eq": "$$x"}}, True),
        ({"": {"$eq": ""}}, True),
        ({"&": {"$eq": "empty"}}, True),
        ({"&A": {"$exists": "A"}}, False),
    ],
)
def test_notations(when: object, expected: bool) -> None:
    """Operators with an array or a literal, or between a left side and an operand; keys are all of them."""
    assert is_match(when, {"a": "1", "b": "2", "": "empty", "A": "upper"}) is expected


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"and": []}, "Operator 'and' must start with '$'"),
        ({"": []}, "Operator '' must start with '$'"),
        ({"&a": 1}, "Operator '&a' must start with '$'"),
        ({"&a": [1]}, "Operator '&a' must start with '$'"),
        ({"&a": {"eq": 1}}, "Operator 'eq' must start with '$'"),
        ({"$and": [{"&a": {"&b": 1}}]}, "Operator '&b' must start with '$'"),
        ({"$foo": []}, "Operator '$foo' not supported"),
        ({"$": 1}, "Operator '$' not supported"),
        ({"$AND": []}, "Operator '$AND' not supported"),
        ({"&a": {"$foo": 1}}, "Operator '$foo' not supported"),
        ({"$id": 5}, "Operator '$id' not supported"),
        ({"&a": {}}, "Object notation must have exactly one operator"),
        ({"&a": {"$gt": 1, "$lt": 5}}, "Object notation must have exactly one operator"),
        ({"$and": {}}, "Object notation must have exactly one operator"),
        ({"&a": {"$eq": [1]}}, "Array type is not supported: [1]"),
        ({"$eq": [[], 1]}, "Array type is not supported: []"),
        (
            {"$and": [[1, "\u00e9", None, {"a": [True, 1.5]}]]},
            'Array type is not supported: [1,"\u00e9",null,{"a":[true,1.5]}]',
        ),
        ({"$and": None}, "Null type is not supported: null"),
        ({"$and": [None]}, "Null type is not supported: null"),
        ({"&a": {"$eq": None}}, "Null type is not supported: null"),
        ({"$eq": [1]}, "$eq requires exactly two operands"),
        ({"$eq": 1}, "$eq requires exactly two operands"),
        ({"$eq": [{}, 1]}, "$eq requires exactly two operands"),
        ({"&a": {"$eq": {}}}, "$eq requires exactly two operands"),
        ({"&a": {"$eq": {"$and": [], "$or": []}}}, "$eq requires exactly two operands"),
        ({"$ne": [1, 2, 3]}, "$ne requires exactly two operands"),
        ({"$gt": []}, "$gt requires exactly two operands"),
        ({"$gte": [1]}, "$gte requires exactly two operands"),
        ({"$lt": [1]}, "$lt requires exactly two operands"),
        ({"$lte": [1]}, "$lte requires exactly two operands"),
        ({"$cast": ["int"]}, "$cast requires exactly two operands"),
        ({"$cast": [1, "int", "int"]}, "$cast requires exactly two operands"),
        ({"$limit": []}, "$limit requires exactly one operand"),
        ({"$limit": [1, 2]}, "$limit requires exactly one operand"),
        ({"&a": {"$limit": 5}}, "$limit requires exactly one operand"),
        ({"$each_n": [1, 2]}, "$each_n requires exactly one operand"),
        ({"$each_t": []}, "$each_t requires exactly one operand"),
        ({"$in": ["a"]}, "$in operator requires at least two operands"),
        ({"$in": []}, "$in operator requires at least two operands"),
        ({"$nin": "a"}, "$nin operator requires at least two operands"),
        ({"$x": {"$eq": 1}}, "Unknown '$' literal '$x'; use '$$' to escape a string value"),
        ({"&a": {"$eq": "$x"}}, "Unknown '$' literal '$x'; use '$$' to escape a string value"),
        ({"$and": ["$"]}, "Unknown '$' literal '$'; use '$$' to escape a string value"),
        ({"$and": "$Timestamp"}, "Unknown '$' literal '$Timestamp'; use '$$' to escape a string value"),
        ({"$not": {"$eq": 1}}, "Unknown '$' literal '$not'; use '$$' to escape a string value"),
        # the first mistake in the order of the document, the number of operands last
        ({"$eq": [1], "$foo": []}, "$eq requires exactly two operands"),
        ({"$foo": [None]}, "Operator '$foo' not supported"),
        ({"$eq": [None]}, "Null type is not supported: null"),
        ({"$x": {"$foo": 1}}, "Unknown '$' literal '$x'; use '$$' to escape a string value"),
        ({"$x": {}}, "Object notation must have exactly one operator"),
    ],
)
def test_refusals(when: object, message: str) -> None:
    """What is not a condition is refused when the query is created."""
    assert refusal_of(when) == message


@pytest.mark.parametrize("name", OPTIONAL_OPERATORS)
def test_optional_operators_are_refused(name: str) -> None:
    """They are named, not ignored, in either notation."""
    assert refusal_of({name: ["&a", 1]}) == f"Operator '{name}' not supported"
    assert refusal_of({"&a": {name: 1}}) == f"Operator '{name}' not supported"


@pytest.mark.parametrize("name", [*DIRECTIVES, "#", "#unknown"])
@pytest.mark.parametrize("value", [10, "5s", ["a", "b"], {"$eq": 1}, None])
def test_directives_are_refused(name: str, value: object) -> None:
    """Wherever a key may stand, one that starts with # is a directive, and there are none."""
    message = f"Directive '{name}' is not supported"
    assert refusal_of({name: value}) == message
    assert refusal_of({"&a": {"$eq": 1}, name: value}) == message
    assert refusal_of({"$and": [{name: value}]}) == message
    assert refusal_of({"&a": {name: value}}) == message


def test_a_text_may_start_like_a_directive() -> None:
    """Only keys are directives."""
    assert is_match({"&x": {"$eq": "#ctx_before"}}, {"x": "#ctx_before"})


@pytest.mark.parametrize("when", [None, True, 0, 1.5, "", "$and", [], [{}], [{"$and": []}], math.nan])
def test_only_an_object_is_a_condition(when: object) -> None:
    """Anything else has a message of its own."""
    assert refusal_of(when) == "Condition must be a JSON object"


def test_what_is_no_json_is_a_mistake_of_the_caller() -> None:
    """Not one of the client."""
    with pytest.raises(TypeError):
        parse_condition({"$and": [b"bytes"]})
