"""Conditions that are meant to hurt cost neither a crash nor much time."""

from __future__ import annotations

import json
import math
import time

import orjson
import pytest

from storage_demo.engine.conditions import MAX_DEPTH, MAX_VALUES, parse_condition
from storage_demo.engine.errors import EngineError, InvalidError, ReferenceNotFoundError
from tests.storage_demo.engine.conditions.judging import is_match, judge

DEPTH_MESSAGE = "Condition must not have more than 128 levels of objects and arrays"
SIZE_MESSAGE = "Condition must not have more than 10000 values"
MIB = 1 << 20


def nested(operator: str, levels: int) -> object:
    """Operators in each other: two levels, an object and an array, for each."""
    inner: object = True
    for _ in range(levels // 2):
        inner = {operator: [inner]}
    return inner


@pytest.mark.parametrize("operator", ["$and", "$or", "$xor"])
def test_the_deepest_condition_works(operator: str) -> None:
    """The limit is a promise: what is just within it is parsed and evaluated, from deep down the stack too."""

    def deep(frames: int) -> bool:
        return deep(frames - 1) if frames else is_match(nested(operator, MAX_DEPTH))

    assert deep(400)


def test_the_deepest_condition_of_two_sides_works() -> None:
    """The other notation nests as well."""
    inner: object = "a"
    for _ in range(MAX_DEPTH // 2):
        inner = {"a": {"$eq": inner}}
    assert not is_match(inner)


@pytest.mark.parametrize("levels", [MAX_DEPTH + 2, 1_000, 100_000])
def test_deeper_conditions_are_refused(levels: int) -> None:
    """The message says the limit."""
    with pytest.raises(InvalidError) as refusal:
        parse_condition(nested("$and", levels))
    assert str(refusal.value) == DEPTH_MESSAGE


def test_deep_arrays_and_objects_are_refused_before_they_are_shown() -> None:
    """An array is quoted in the message, unless it is too deep to be."""
    arrays: object = []
    objects: object = {}
    for _ in range(100_000):
        arrays = [arrays]
        objects = {"&a": objects}
    for when in ({"$and": arrays}, objects):
        with pytest.raises(InvalidError) as refusal:
            parse_condition(when)
        assert str(refusal.value) == DEPTH_MESSAGE


def test_the_largest_condition_works() -> None:
    """The whole object, the array and its operands are the values that count."""
    assert is_match({"$and": [True] * (MAX_VALUES - 2)})
    with pytest.raises(InvalidError) as refusal:
        parse_condition({"$and": [True] * (MAX_VALUES - 1)})
    assert str(refusal.value) == SIZE_MESSAGE


@pytest.mark.parametrize(
    "body",
    [
        b'{"$and":[' + b"1," * (MIB // 2) + b"1]}",
        b'{"$and":[' + b"{}," * (MIB // 3) + b"1]}",
        b'{"$and":[[' + b"[]," * (MIB // 3) + b"1]]}",
        b'{"$and":[' + b'{"$and":[' * 400 + b"]}" * 400 + b"]}",
        b'{"$and":["' + b"1m " * (MIB // 3) + b'1m"]}',
        b'{"$and":[' + b",".join([b'"' + b"1d " * 33 + b'1d"'] * 9_990) + b"]}",
        b'{"$eq":[1,"' + b"1 " * (MIB // 2) + b'"]}',
        b'{"$eq":[1,"' + b"1" * MIB + b'"]}',
        b'{"$eq":[1,"$' + b"x" * MIB + b'"]}',
        b'{"$' + b"x" * MIB + b'":1}',
        b'{"&' + b"x" * MIB + b'":{"$eq":1}}',
        b'{"&a":{"$eq":["' + b"\\u0001" * (MIB // 6) + b'"]}}',
        b"{" + b",".join(b'"&a%d":{"$eq":1}' % number for number in range(50_000)) + b"}",
    ],
    ids=lambda body: body[:12].decode(),
)
def test_a_body_of_one_mib(body: bytes) -> None:
    """Whatever it is, it is judged or refused in well under two seconds of work, in a message of a few lines."""
    when = orjson.loads(body)
    started = time.process_time()
    try:
        judge(when)
    except EngineError as error:
        assert len(str(error)) < 300  # noqa: PT017 - some of the bodies are conditions
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("number", "equal"),
    [
        (2**63, 2.0**63),
        (-(2**63) - 1, -(2.0**63)),
        (2**64 - 1, 2.0**64),
        (10**400, math.inf),
        (-(10**400), -math.inf),
    ],
    ids=["2^63", "-2^63-1", "2^64-1", "10^400", "-10^400"],
)
def test_integers_beyond_64_bits_are_floats(number: int, equal: float) -> None:
    """As the decoder has it from 2^64 on, and as labels of the same text are."""
    assert is_match({"$eq": [number, equal]})
    assert is_match({"&x": {"$eq": number}}, {"x": str(number)})


def test_integers_of_more_digits_than_python_prints() -> None:
    """No ValueError from converting between text and number."""
    huge = 10**5_000
    assert is_match({"$gt": [huge, 1]})
    assert is_match({"$exists": [huge]}, {"inf": ""})
    assert is_match({"&x": {"$eq": huge}}, {"x": "1" + "0" * 5_000})


def test_nan_and_infinity_from_a_lenient_decoder() -> None:
    """Other decoders than ours take them; they are floats like those of labels."""
    when = json.loads('{"$or": [{"$eq": [NaN, NaN]}, {"$lt": [Infinity, 1]}]}')
    assert not is_match(when)


@pytest.mark.parametrize(
    "when",
    [
        {"\ud800": []},
        {"$\ud800": []},
        {"#\ud800": []},
        {"$and": ["$\ud800"]},
        {"$and": [["\ud800"]]},
        {"&a": {"$eq": "\ud800"}, "&\ud800": {"$eq": 1}},
        {"$cast": [1, "\ud800"]},
        {"$cast": ["\ud800", "int"]},
        {"$each_t": "\ud800"},
    ],
)
def test_lone_surrogates_are_refused_in_messages_that_can_be_sent(when: object) -> None:
    """No decoder of ours lets them in; if another does, the message is UTF-8 nevertheless."""
    with pytest.raises(EngineError) as refusal:
        judge(when, {"a": "\ud800"})
    assert str(refusal.value).encode()


def test_messages_show_the_start_of_what_is_long() -> None:
    """200 characters and an ellipsis."""
    with pytest.raises(ReferenceNotFoundError) as refusal:
        judge({"$and": ["&" + "x" * 201]})
    assert str(refusal.value) == f"Reference '{'x' * 200}…' not found"
    with pytest.raises(InvalidError) as invalid:
        judge({"x" * 200: 1})
    assert str(invalid.value) == f"Operator '{'x' * 200}' must start with '$'"


@pytest.mark.parametrize("operator", ["$limit", "$each_n", "$each_t"])
def test_operators_that_count_are_few(operator: str) -> None:
    """Each of them remembers something for every entry of a bucket, so 16 are enough."""
    parse_condition({"$xor": [{operator: 1}] * 16})
    message = "^Condition must not have more than 16 operators that count"
    with pytest.raises(InvalidError, match=message):
        parse_condition({"$xor": [{operator: 1}] * 17})
    with pytest.raises(InvalidError, match=message):
        parse_condition({"$and": [{"$or": [{operator: 1}] * 9}, {"$not": [{operator: 1}] * 8}]})
