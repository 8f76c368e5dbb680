"""Each operator by a table, taken from the description of the HTTP API."""

from __future__ import annotations

import pytest

from storage_demo.engine.errors import ConditionError, ReferenceNotFoundError
from tests.storage_demo.engine.conditions.judging import is_match, judge


@pytest.mark.parametrize("names", ["$and", "$all_of"])
@pytest.mark.parametrize(
    ("operands", "expected"),
    [
        ([], True),
        ([True], True),
        ([False], False),
        ([True, 1, "a", "1s"], True),
        ([True, True, False], False),
        ([False, "&missing"], False),
    ],
)
def test_and(names: str, operands: list[object], expected: bool) -> None:
    """All are true, none at all included; the first that is not decides."""
    assert is_match({names: operands}) is expected


@pytest.mark.parametrize("name", ["$or", "$any_of"])
@pytest.mark.parametrize(
    ("operands", "expected"),
    [
        ([], False),
        ([True], True),
        ([False], False),
        ([0, "", "0s", False], False),
        ([False, False, True], True),
        ([True, "&missing"], True),
    ],
)
def test_or(name: str, operands: list[object], expected: bool) -> None:
    """Any is true; the first that is decides."""
    assert is_match({name: operands}) is expected


@pytest.mark.parametrize("name", ["$not", "$none_of"])
@pytest.mark.parametrize(
    ("operands", "expected"),
    [
        ([], True),
        ([True], False),
        ([False], True),
        ([0, "", "0s", False], True),
        ([False, False, True], False),
        ([True, "&missing"], False),
    ],
)
def test_not(name: str, operands: list[object], expected: bool) -> None:
    """None is true; the first that is decides."""
    assert is_match({name: operands}) is expected


@pytest.mark.parametrize("name", ["$xor", "$one_of"])
@pytest.mark.parametrize(
    ("operands", "expected"),
    [
        ([], False),
        ([True], True),
        ([False], False),
        ([False, "a", 0], True),
        ([True, True], False),
        ([True, True, True], False),
        ([1, 2], False),
    ],
)
def test_xor(name: str, operands: list[object], expected: bool) -> None:
    """Exactly one is true."""
    assert is_match({name: operands}) is expected


@pytest.mark.parametrize(
    ("when", "labels"),
    [
        ({"$and": [True, "&missing"]}, {}),
        ({"$or": [False, "&missing"]}, {}),
        ({"$not": [False, "&missing"]}, {}),
        ({"$xor": [True, True, "&missing"]}, {}),
        ({"$eq": ["&missing", "a"]}, {}),
        ({"$eq": ["a", "&missing"]}, {}),
        ({"$in": ["a", "a", "&missing"]}, {}),
        ({"$nin": ["a", "a", "&missing"]}, {}),
        ({"$exists": ["x", "&missing"]}, {}),
        ({"$limit": "&missing"}, {}),
        ({"$each_n": "&missing"}, {}),
        ({"$each_t": "&missing"}, {}),
        ({"&missing": {"$cast": "string"}}, {}),
        ({"&x": {"$cast": "&missing"}}, {"x": "1"}),
        ({"$or": [{"&missing": {"$eq": 1}}, True]}, {}),
        ({"&x": {"$eq": 1}, "&missing": {"$eq": 1}}, {"x": "1"}),
        ({"@missing": {"$eq": 1}}, {"missing": "1", "@missing": "1"}),
        ({"$and": ["@missing"]}, {"missing": "1", "@missing": "1"}),
    ],
)
def test_a_missing_label_voids_the_whole(when: object, labels: dict[str, str]) -> None:
    """An error anywhere is one of the whole condition unless short-circuited; computed labels never exist."""
    with pytest.raises(ReferenceNotFoundError) as refusal:
        judge(when, labels)
    assert str(refusal.value) == "Reference 'missing' not found"
    assert refusal.value.name == "missing"


@pytest.mark.parametrize(
    ("operator", "less", "equal", "greater"),
    [
        ("$eq", False, True, False),
        ("$ne", True, False, True),
        ("$gt", False, False, True),
        ("$gte", False, True, True),
        ("$lt", True, False, False),
        ("$lte", True, True, False),
    ],
)
def test_comparisons(operator: str, less: bool, equal: bool, greater: bool) -> None:
    """Two operands, in either notation; the first is the left side."""
    for text, expected in (("9", less), ("10", equal), ("11", greater)):
        assert is_match({operator: ["&x", 10]}, {"x": text}) is expected
        assert is_match({"&x": {operator: 10}}, {"x": text}) is expected


@pytest.mark.parametrize(
    ("operands", "expected"),
    [
        (["a", "a"], True),
        (["a", "b"], False),
        (["a", "b", "a"], True),
        ([1, "1", True], True),
        ([1, "1", "one"], False),
        (["&x", 1, 2, 3.0], True),
        (["&x", 1, 2], False),
        ([1_000_000, "1s"], True),
        (["a", {"$cast": ["a", "string"]}], True),
    ],
)
def test_in_and_nin(operands: list[object], expected: bool) -> None:
    """The first operand is equal to one of the rest, or to none."""
    assert is_match({"$in": operands}, {"x": "3"}) is expected
    assert is_match({"$nin": operands}, {"x": "3"}) is not expected


def test_in_with_one_candidate_as_an_object() -> None:
    """The two-sided notation gives two operands."""
    assert is_match({"&x": {"$in": "a"}}, {"x": "a"})
    assert is_match({"&x": {"$nin": "b"}}, {"x": "a"})


@pytest.mark.parametrize("name", ["$exists", "$has"])
@pytest.mark.parametrize(
    ("operands", "expected"),
    [
        (["x"], True),
        (["y"], False),
        (["x", "1.50"], True),
        (["x", "y"], False),
        ([], True),
        ("x", True),
        ("y", False),
        # the text of any operand is a name: that of a label its value, that of a duration what was written
        (["&x"], True),
        (["1.5"], False),
        (["$$d"], True),
        (["5s"], True),
        (["5000ms"], False),
        ([True], True),
        ([7], True),
        (["$id"], True),
    ],
)
def test_exists(name: str, operands: object, expected: bool) -> None:
    """The texts of the operands are names of labels, and all are there."""
    labels = {"x": "1.50", "1.50": "", "$d": "", "5s": "", "true": "", "7": "", "42": ""}
    assert is_match({name: operands}, labels, timestamp_us=42) is expected


@pytest.mark.parametrize(
    ("value", "type_name", "expected"),
    [
        (True, "bool", True),
        (2, "bool", True),
        (0, "bool", False),
        ("", "bool", False),
        ("false", "bool", True),
        ("5s", "bool", True),
        (True, "int", 1),
        (7, "int", 7),
        (1.9, "int", 1),
        (-1.9, "int", -1),
        ("7", "int", 7),
        ("-007", "int", -7),
        ("5s", "int", 5_000_000),
        ("9223372036854775807", "int", 2**63 - 1),
        (True, "float", 1.0),
        (7, "float", 7.0),
        ("7", "float", 7.0),
        ("1e3", "float", 1000.0),
        ("1ms", "float", 1000.0),
        ("abc", "string", "abc"),
        ("$$x", "string", "$$x"),
        (5_000_000, "duration", "5s"),
        (1.9, "duration", "1us"),
        ("5s", "duration", "5s"),
    ],
)
def test_cast(value: object, type_name: str, expected: object) -> None:
    """The value as one of another type, in both notations."""
    cast = {"$cast": [value, type_name]}
    assert is_match({"$eq": [cast, expected]})
    if isinstance(value, str):
        assert is_match({"$eq": [{value: {"$cast": type_name}}, expected]})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (1.5, "1.5"),
        (1.0, "1.0"),
        (1e300, "1e+300"),
        ("$id", "42"),
        ({"$eq": [1, 1]}, "true"),
        ({"$cast": ["7.9", "float"]}, "7.9"),
        ({"$cast": [{"$cast": ["&x", "int"]}, "string"]}, "7"),
        ({"$cast": [5, "duration"]}, "5us"),
        ("1h 30m", "1h 30m"),
    ],
)
def test_cast_to_string(value: object, text: str) -> None:
    """What is written becomes the text; here compared as the name of a label, which no typing disturbs."""
    assert is_match({"$exists": [{"$cast": [value, "string"]}]}, {"x": "007", text: ""}, timestamp_us=42)


@pytest.mark.parametrize(
    "text", ["007", "1.0", "1e3", "+5", "true", "nan", "-0", "9223372036854775808", " 5"]
)
def test_a_label_cast_to_string_is_what_is_stored(text: str) -> None:
    """Nothing of the text is lost by having been read as a number."""
    assert is_match({"$eq": [{"&x": {"$cast": "string"}}, text]}, {"x": text})


@pytest.mark.parametrize(
    ("key", "names", "expected"),
    [
        ("name1", ["name1", "$$name2"], True),
        ("$name2", ["name1", "$$name2"], True),
        ("$$name2", ["name1", "$$name2"], False),
        ("007", ["007"], True),
        ("7", ["007"], False),
        ("true", ["true"], True),
        ("other", ["name1", "$$name2"], False),
    ],
)
def test_what_sdks_send_to_remove_attachments(key: str, names: list[str], expected: bool) -> None:
    """The key is compared as text, names that start with a dollar are doubled."""
    assert is_match({"$in": [{"&key": {"$cast": "string"}}, *names]}, {"key": key}) is expected


@pytest.mark.parametrize(
    ("value", "type_name", "message"),
    [
        ("abc", "int", "Value 'abc' cannot be cast to int"),
        ("1.5", "int", "Value '1.5' cannot be cast to int"),
        ("", "int", "Value '' cannot be cast to int"),
        ("9223372036854775808", "int", "Value '9223372036854775808' cannot be cast to int"),
        (1e300, "int", "Value '1e+300' cannot be cast to int"),
        ("&nan", "int", "Value 'NaN' cannot be cast to int"),
        ("&inf", "int", "Value 'inf' cannot be cast to int"),
        ("abc", "float", "Value 'abc' cannot be cast to float"),
        (" 1", "float", "Value ' 1' cannot be cast to float"),
        ("5", "duration", "Value '5' cannot be cast to duration"),
        ("&inf", "duration", "Value 'inf' cannot be cast to int"),
        (1, "integer", "Unknown type 'integer': use bool, int, float, string, duration"),
        (1, "", "Unknown type '': use bool, int, float, string, duration"),
        (1, 1, "Unknown type '1': use bool, int, float, string, duration"),
    ],
)
def test_bad_casts(value: object, type_name: object, message: str) -> None:
    """What cannot be cast is an error of the evaluation, and the condition itself is fine."""
    with pytest.raises(ConditionError) as refusal:
        judge({"$cast": [value, type_name]}, {"nan": "NaN", "inf": "inf"})
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"$each_n": 0}, "$each_n must be at least 1, not '0'"),
        ({"$each_n": 0.9}, "$each_n must be at least 1, not '0.9'"),
        ({"$each_n": -1}, "$each_n must be at least 1, not '-1'"),
        ({"$each_n": "x"}, "Value 'x' cannot be cast to int"),
        ({"$limit": -1}, "$limit must be at least 0, not '-1'"),
        ({"$limit": "x"}, "Value 'x' cannot be cast to int"),
        ({"$limit": 1e300}, "Value '1e+300' cannot be cast to int"),
        ({"$each_t": -1}, "$each_t must be at least 0 and finite, not '-1'"),
        ({"$each_t": "-1s"}, "$each_t must be at least 0 and finite, not '-1s'"),
        ({"$each_t": "&inf"}, "$each_t must be at least 0 and finite, not 'inf'"),
        ({"$each_t": "&nan"}, "$each_t must be at least 0 and finite, not 'nan'"),
        ({"$each_t": 1e308}, "$each_t must be at least 0 and finite, not '1e+308'"),
        ({"$each_t": "1h30m"}, "Value '1h30m' cannot be cast to float"),
        ({"$each_t": "&duration"}, "Value '5s' cannot be cast to float"),
    ],
)
def test_bad_numbers_of_operators_that_count(when: object, message: str) -> None:
    """They are errors of the evaluation."""
    with pytest.raises(ConditionError) as refusal:
        judge(when, {"inf": "inf", "nan": "nan", "duration": "5s"})
    assert str(refusal.value) == message
