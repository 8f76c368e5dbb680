"""What texts and JSON values are, how they compare, and what counts as true."""

from __future__ import annotations

import pytest

from storage_demo.engine.conditions.numbers import to_duration_us, to_float, to_integer
from tests.storage_demo.engine.conditions.judging import is_match

BIG = 2**63 - 1


@pytest.mark.parametrize(
    ("text", "json"),
    [
        ("true", True),
        ("false", False),
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("007", 7),
        ("-0", 0),
        ("0" * 5_000 + "7", 7),
        ("9223372036854775807", BIG),
        ("-9223372036854775808", -BIG - 1),
        ("9223372036854775808", 2.0**63),
        ("1.5", 1.5),
        ("1.", 1),
        (".5", 0.5),
        ("-.5e1", -5),
        ("1e3", 1000),
        ("1E+3", 1000),
        ("1e-3", 0.001),
        ("abc", "abc"),
        ("$x", "$$x"),
        ("True", "True"),
        ("TRUE", "TRUE"),
        ("1_000", "1_000"),
        (" 1", " 1"),
        ("1 ", "1 "),
        ("1\n", "1\n"),
        ("1.5 ", "1.5 "),
        ("1.5\n", "1.5\n"),
        ("0x10", "0x10"),
        ("1,5", "1,5"),
        ("--1", "--1"),
        ("+-1", "+-1"),
        ("1e", "1e"),
        ("1e1.5", "1e1.5"),
        (".", "."),
        ("e5", "e5"),
        ("-", "-"),
        ("+", "+"),
        ("", ""),
        ("\u0663", "\u0663"),
        ("1\u0663", "1\u0663"),
        ("\uff11", "\uff11"),
        ("\u0131nf", "\u0131nf"),
        ("infinite", "infinite"),
        ("nano", "nano"),
        ("\ud800", "\ud800"),
    ],
)
def test_a_label_is_typed_from_its_text(text: str, json: object) -> None:
    """`true` and `false`, then integer, then float, else string: ASCII digits, no spaces, no underscores."""
    assert is_match({"&x": {"$eq": json}}, {"x": text})
    assert not is_match({"&x": {"$ne": json}}, {"x": text})


@pytest.mark.parametrize("text", ["5", "1.5", "true", "false", "1e3", "inf", "nan", "+5"])
def test_json_strings_are_not_numerically_parsed(text: str) -> None:
    """A label that is a number is no string that looks like it."""
    assert not is_match({"&x": {"$eq": text}}, {"x": text})
    assert is_match({"&x": {"$ne": text}}, {"x": text})
    assert is_match({"$eq": [text, text]})


@pytest.mark.parametrize("text", ["5s", "1h 30m"])
def test_labels_are_never_durations(text: str) -> None:
    """Only a JSON string can be a duration, so a label that looks like one is another thing."""
    assert not is_match({"&x": {"$eq": text}}, {"x": text})


@pytest.mark.parametrize("text", ["inf", "Inf", "+INF", "infinity", "Infinity", "1e999", "1" * 400])
def test_infinite_labels_are_above_every_number(text: str) -> None:
    """Words for infinity are floats, and so is what is too large for one."""
    assert is_match({"&x": {"$gt": BIG}}, {"x": text})
    assert is_match({"&x": {"$gt": 1e308}}, {"x": text})


def test_minus_infinity_is_below_every_number() -> None:
    """The sign counts."""
    assert is_match({"&x": {"$lt": -1e308}}, {"x": "-inf"})


@pytest.mark.parametrize("text", ["nan", "NaN", "-nan"])
@pytest.mark.parametrize(
    ("operator", "expected"),
    [("$eq", False), ("$ne", True), ("$gt", False), ("$gte", False), ("$lt", False), ("$lte", False)],
)
def test_comparisons_with_nan(text: str, operator: str, expected: bool) -> None:
    """NaN is neither equal to anything, itself included, nor less or greater."""
    for other in (0, 1.5, "nan", "&x", True):
        assert is_match({"&x": {operator: other}}, {"x": text}) is expected
    assert is_match({"$nin": ["&x", 0, "&x"]}, {"x": text})


@pytest.mark.parametrize(
    ("text", "duration_us"),
    [
        ("7us", 7),
        ("7ms", 7_000),
        ("7s", 7_000_000),
        ("7m", 420_000_000),
        ("7h", 25_200_000_000),
        ("7d", 604_800_000_000),
        ("1h 30m", 5_400_000_000),
        ("30m 1h", 5_400_000_000),
        ("1h   30m", 5_400_000_000),
        ("-5s", -5_000_000),
        ("-1h 30m", -1_800_000_000),
        ("1s 1s", 2_000_000),
        ("0s", 0),
        ("9223372036854775807us", BIG),
        ("-9223372036854775808us", -BIG - 1),
        ("0" * 5_000 + "5s", 5_000_000),
        # not durations
        ("9223372036854775808us", None),
        ("9223372036854775807us 1us", None),
        ("106751992d", None),
        ("1" * 5_000 + "d", None),
        ("", None),
        ("5", None),
        ("s", None),
        ("5 s", None),
        ("+5s", None),
        ("5.5s", None),
        ("5S", None),
        ("5sec", None),
        ("5ns", None),
        ("1h30m", None),
        ("1h\t30m", None),
        (" 5s", None),
        ("5s ", None),
        ("5s\n", None),
        ("\u0665s", None),
    ],
)
def test_durations(text: str, duration_us: int | None) -> None:
    """Space-separated integers with a unit, summed; anything else is a string."""
    assert to_duration_us(text) == duration_us
    assert is_match({"$eq": [text, text if duration_us is None else duration_us]})


@pytest.mark.parametrize("text", ["1" * 100_000, "0" * 100_000, "-" * 100_000, "1." * 50_000])
def test_long_texts_are_read_at_once(text: str) -> None:
    """No text is too long to be looked at, or raises."""
    assert to_integer(text) in {None, 0}
    assert to_float(text) in {None, 0.0, float("inf")}
    assert to_duration_us(text) is None


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (True, 1),
        (False, 0),
        (True, 1.0),
        (1, 1.0),
        (True, "1us"),
        ("1s", 1_000_000),
        ("1ms", 1000.0),
        ("60s", "1m"),
        (-0.0, 0),
    ],
)
def test_numbers_of_every_kind_are_equal(left: object, right: object) -> None:
    """Booleans, integers, floats and durations compare numerically; true is 1."""
    assert is_match({"$eq": [left, right]})
    assert is_match({"$lte": [left, right]})
    assert is_match({"$gte": [right, left]})
    assert not is_match({"$ne": [left, right]})
    assert not is_match({"$lt": [left, right]})
    assert not is_match({"$gt": [left, right]})


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (False, True),
        (0.5, True),
        (True, 2),
        (1, 1.5),
        (-1, 0),
        ("-5s", 0),
        ("1s", "1001ms"),
        # beyond what floats hold exactly
        (2.0**53, 2**53 + 1),
        (2**53 + 1, 2.0**53 + 2),
        (BIG - 1, BIG),
        (BIG, 2.0**63),
        # strings
        ("a", "b"),
        ("A", "a"),
        ("a", "aa"),
        ("", "a"),
        ("10", "9"),
        ("Z", "\u00e9"),
        ("\uffff", "\U0001f600"),
    ],
)
def test_order(less: object, more: object) -> None:
    """Numbers are ordered exactly, strings lexically by code point."""
    assert is_match({"$lt": [less, more]})
    assert is_match({"$lte": [less, more]})
    assert is_match({"$gt": [more, less]})
    assert is_match({"$gte": [more, less]})
    assert is_match({"$ne": [less, more]})
    assert not is_match({"$lt": [more, less]})
    assert not is_match({"$lte": [more, less]})
    assert not is_match({"$gt": [less, more]})
    assert not is_match({"$gte": [less, more]})
    assert not is_match({"$eq": [less, more]})


@pytest.mark.parametrize("number", [0, 5, 1.5, True, False, "5s"])
@pytest.mark.parametrize("string", ["", "5", "zz", "true"])
def test_a_string_against_a_non_string(number: object, string: str) -> None:
    """Equality and every order are false, `$ne` is true, whichever is first."""
    for operands in ([number, string], [string, number]):
        for operator in ("$eq", "$lt", "$lte", "$gt", "$gte"):
            assert not is_match({operator: operands})
        assert is_match({"$ne": operands})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (False, False),
        (1, True),
        (0, False),
        (-1, True),
        (0.1, True),
        (0.0, False),
        (-0.0, False),
        ("a", True),
        ("0", True),
        ("false", True),
        ("", False),
        ("1s", True),
        ("0s", False),
        ("1s -1s", False),
    ],
)
def test_what_counts_as_true(value: object, expected: bool) -> None:
    """Non-zero and non-empty is true."""
    assert is_match({"$and": [value]}) is expected
    assert is_match({"$and": value}) is expected
    assert is_match({"$not": [value]}) is not expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("false", False), ("1", True), ("0", False), ("0.0", False), ("no", True), ("", False)],
)
def test_what_labels_count_as_true(text: str, expected: bool) -> None:
    """A label is typed first, so `false` and `0` are not true."""
    assert is_match({"$and": ["&x"]}, {"x": text}) is expected


@pytest.mark.parametrize("name", ["$timestamp", "$id"])
def test_the_time_of_the_record(name: str) -> None:
    """`$timestamp` and `$id` are microseconds, as an operand and on the left side."""
    assert is_match({name: {"$eq": BIG}}, timestamp_us=BIG)
    assert is_match({"$lt": [name, "5s"]}, timestamp_us=4_999_999)
    assert not is_match({"$lt": [name, "5s"]}, timestamp_us=5_000_000)


@pytest.mark.parametrize(
    ("literal", "text"), [("$$x", "$x"), ("$$", "$"), ("$$$x", "$$x"), ("$$5s", "$5s"), ("$$id", "$id")]
)
def test_a_doubled_dollar_is_one(literal: str, text: str) -> None:
    """`$$x` is the text `$x`."""
    assert is_match({"&x": {"$eq": literal}}, {"x": text})
    assert is_match({literal: {"$eq": "&x"}}, {"x": text})
