"""Which names are accepted, and what is said of the others."""

from __future__ import annotations

import pytest

from storage_demo.engine import InvalidError, check_bucket_name, check_entry_name
from storage_demo.engine.names import entry_parents, is_meta_entry

BUCKET_MESSAGE = "Bucket or entry name can contain only letters, digests and [-,_] symbols"
SEGMENT_MESSAGE = "Entry name must be non-empty and must not contain empty path segments"
ENTRY_MESSAGE = "Entry name can contain only letters, digits and [-,_,/] symbols or end with '/$meta'"


@pytest.mark.parametrize("name", ["a", "B", "0", "-", "_", "bucket-1_X", "x" * 1000])
def test_good_bucket_names(name: str) -> None:
    """ASCII letters, digits, hyphen and underscore make a bucket name."""
    check_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a/b",
        "$system",
        "$meta",
        "a.b",
        "ä",
        "\uff41",
        "\u0661",
        "a\n",
        "\na",
        "a\0",
        "\udcff",
        "*",
    ],
)
def test_bad_bucket_names(name: str) -> None:
    """Anything else is refused, also at the very end and in other scripts."""
    with pytest.raises(InvalidError) as refusal:
        check_bucket_name(name)
    assert str(refusal.value) == BUCKET_MESSAGE


@pytest.mark.parametrize(
    "name", ["a", "a/b", "a/b/c", "A-1/_", "$meta", "a/$meta", "a/b/$meta", "q", "a/batch"]
)
def test_good_entry_names(name: str) -> None:
    """Segments follow the bucket rule, and the last may be the one of a system entry."""
    check_entry_name(name)


@pytest.mark.parametrize("name", ["", "/", "/a", "a/", "a//b", "a//$meta", "/$meta", "a/$meta/"])
def test_entry_names_with_empty_segments(name: str) -> None:
    """An empty name or segment has a message of its own."""
    with pytest.raises(InvalidError) as refusal:
        check_entry_name(name)
    assert str(refusal.value) == SEGMENT_MESSAGE


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "a.b",
        "$",
        "$met",
        "$metaa",
        "$meta/a",
        "a/$meta/b",
        "a$meta",
        "ä/b",
        "a\n",
        "a/$meta\n",
        "\udcff",
        ".",
    ],
)
def test_entry_names_with_bad_symbols(name: str) -> None:
    """Other symbols, and the system segment anywhere but at the end, are refused."""
    with pytest.raises(InvalidError) as refusal:
        check_entry_name(name)
    assert str(refusal.value) == ENTRY_MESSAGE


@pytest.mark.parametrize(
    ("name", "parents"),
    [("a", ()), ("a/b", ("a",)), ("a/b/c", ("a", "a/b")), ("$meta", ()), ("a/$meta", ("a",))],
)
def test_parents(name: str, parents: tuple[str, ...]) -> None:
    """The parents of an entry are its proper prefixes, outermost first."""
    assert entry_parents(name) == parents


@pytest.mark.parametrize(
    ("name", "is_meta"),
    [("$meta", True), ("a/$meta", True), ("a", False), ("meta", False), ("a/meta", False)],
)
def test_system_entries(name: str, is_meta: bool) -> None:
    """Only the last segment makes a system entry."""
    assert is_meta_entry(name) is is_meta
