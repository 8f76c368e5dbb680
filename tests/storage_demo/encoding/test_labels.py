"""Which labels there may be, and how a batch writes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from storage_demo.encoding.labels import (
    check_change_count,
    check_label_name,
    check_label_value,
    format_label,
    read_labels,
    split_labels,
    written_labels,
)
from storage_demo.engine import InvalidError, check_label_count


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(InvalidError) as caught:
        act()
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", []),
        ("  ", []),
        ("k=v", [("k", "v")]),
        ("k=v,k2=w", [("k", "v"), ("k2", "w")]),
        ('k="a,b"', [("k", "a,b")]),
        ('k="a,b",k2=c', [("k", "a,b"), ("k2", "c")]),
        ('k="a"', [("k", "a")]),
        ('k=""', [("k", "")]),
        ("k=", [("k", "")]),
        ("k=,k2=", [("k", ""), ("k2", "")]),
        (" k = v , k2 = w ", [("k", "v"), ("k2", "w")]),
        ('\tk = "a,b" ,k2=w', [("k", "a,b"), ("k2", "w")]),
        ('k=" a,b "', [("k", "a,b")]),
        ("k=a b", [("k", "a b")]),
        ("k=a=b", [("k", "a=b")]),
        ('k=a"b', [("k", 'a"b')]),
        ('k=a"', [("k", 'a"')]),
        ("k=a\\,k2=b", [("k", "a\\"), ("k2", "b")]),
        ('k="a=b,c=d"', [("k", "a=b,c=d")]),
        ("k=v,", [("k", "v")]),
        ('k="v", ', [("k", "v")]),
        ("k=1,k=2", [("k", "1"), ("k", "2")]),
        ("0=a,12=b", [("0", "a"), ("12", "b")]),
    ],
)
def test_label_parts_that_are_read(text: str, labels: list[tuple[str, str]]) -> None:
    """Pairs in their order; spaces around the parts do not count, a value in quotes may hold commas."""
    assert list(split_labels(text)) == labels


@pytest.mark.parametrize(
    "text",
    [
        *("k", "k,", ",", ",k=v", "k=v,,k2=w", "k=v,k2", "k=v,k2,k3=w", "=v", " =v"),
        *('k="a', 'k="a,b', 'k="', 'k="a"b', 'k="a"b,k2=c', 'k="a""b"'),
    ],
)
def test_label_parts_that_are_refused(text: str) -> None:
    """A part without a name or an equals sign, a quote that is not closed, anything behind a closed one."""
    assert refusal(lambda: list(split_labels(text))) == "Invalid batched header"


def test_labels_are_checked_as_they_are_read() -> None:
    """Names and values follow the rules below, also where the grammar is kept."""
    assert list(read_labels("k=v,l=")) == [("k", "v"), ("l", "")]
    assert refusal(lambda: list(read_labels('"k=a"'))).startswith("Label names can contain only")
    message = "Label values for k must be valid UTF-8 strings"
    assert refusal(lambda: list(read_labels("k=\xe9"))) == message


@pytest.mark.parametrize("name", ["a", "A", "0", "camera-1", "a.b_c", "!#$%&'*+-.^_`|~", "$x"])
def test_names_that_are_accepted(name: str) -> None:
    """RFC 9110 token characters, for a name becomes part of a header's name."""
    check_label_name(name)


@pytest.mark.parametrize("name", ["@", "@x", "@é"])
def test_names_of_computed_labels(name: str) -> None:
    """The at sign in front is reserved, and says so."""
    message = "Label names must not start with '@': reserved for computed labels"
    assert refusal(lambda: check_label_name(name)) == message


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", ""),
        ("a b", "a b"),
        ("a@b", "a@b"),
        ("a/b", "a/b"),
        ("a:b", "a:b"),
        ('a"', 'a"'),
        ("é", "?"),
        ("\udcff", "?"),
        ("a\r\nb", "a??b"),
        ("a\n", "a?"),
        ("\uff41", "?"),
        ("/" * 101, "/" * 100 + "..."),
    ],
)
def test_names_that_are_refused(name: str, shown: str) -> None:
    """The refusal quotes what can be shown of the name."""
    message = f"Label names can contain only letters, digits and !#$%&'*+-.^_`|~, got '{shown}'"
    assert refusal(lambda: check_label_name(name)) == message


@pytest.mark.parametrize("value", ["", "a", "a b", '"', "a,b", "~", "{}", "\\"])
def test_values_that_are_accepted(value: str) -> None:
    """Printable ASCII."""
    check_label_value(value, "k")


@pytest.mark.parametrize("value", ["é", "a\udcc3", "\ud800", "a\nb", "a\r", "\0", "\t", "\x7f", "\x80"])
@pytest.mark.parametrize("source", ["k", "x-reduct-label-k"])
def test_values_that_are_refused(value: str, source: str) -> None:
    """Anything else could not be put back into a header; the header or the label is named."""
    message = f"Label values for {source} must be valid UTF-8 strings"
    assert refusal(lambda: check_label_value(value, source)) == message


def test_how_many_labels_there_may_be() -> None:
    """80 per record, for a client reads 100 header lines; twice as many changes: all out, as many in."""
    check_label_count(80)
    assert refusal(lambda: check_label_count(81)) == "A record can have at most 80 labels, got 81"
    check_change_count(160)
    message = "At most 160 labels of a record can be changed, got 161"
    assert refusal(lambda: check_change_count(161)) == message


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("k", "v", "k=v"),
        ("k", "", "k="),
        ("k", "a,b", 'k="a,b"'),
        ("k", ",", 'k=","'),
        ("k", "a b", "k=a b"),
        ("k", "a=b", "k=a=b"),
        ("k", 'a"b', 'k=a"b'),
        (3, "v", "3=v"),
    ],
)
def test_a_value_is_quoted_exactly_if_it_holds_a_comma(key: str | int, value: str, text: str) -> None:
    """There are no escapes, and no quotes that are not needed."""
    assert format_label(key, value) == text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("v", "v"),
        ("a,b", "a,b"),
        ('a"b', 'a"b'),
        ('"a', "'a"),
        ('"a"', "'a'"),
        ('["a","b"]', "['a','b']"),
        ('x",admin="1', "x',admin='1"),
        (' "a', "'a"),
        (" a ", "a"),
        ("é\r\n", "???"),
    ],
)
def test_values_that_a_batch_cannot_hold_are_changed(value: str, written: str) -> None:
    """Nobody smuggles a label into an answer by the quotes of another."""
    assert list(written_labels([("k", value)])) == [("k", written)]
    assert list(read_labels(format_label("k", written))) == [("k", written)]


@pytest.mark.parametrize("name", ["", "a b", "a=1,b", "é", "a\r\nb"])
def test_names_that_a_batch_cannot_hold_are_left_out(name: str) -> None:
    """They can only come from a program that used the engine without the server."""
    assert list(written_labels([(name, "v"), ("k", "w")])) == [("k", "w")]
