"""Patterns of entries, as a table; and hostile ones."""

from __future__ import annotations

import time

import pytest

from storage_demo.engine import EntryPatterns, InvalidError


def select(patterns: list[str], entry: str) -> bool:
    return EntryPatterns.parse(patterns).select(entry)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("a", ["a"], ["ab", "a/b", "b/a", "A"]),
        ("a/b", ["a/b"], ["a", "a/b/c", "x/a/b"]),
        ("/a/b", ["a/b"], ["a", "a/b/c"]),
        ("a*", ["a", "ab", "a/b", "ab/c/d"], ["b", "b/a", "A"]),
        ("*", ["a", "a/b"], []),
        ("a/*", ["a/b", "a/bc"], ["a", "a/b/c", "ab"]),
        ("/a*", ["a", "ab"], ["a/b", "b"]),
        ("/*", ["a", "ab"], ["a/b"]),
        ("*a", ["a", "ba"], ["ab", "b/a"]),
        ("a*c", ["ac", "abc", "abcc"], ["a/c", "acb"]),
        ("a*b*c", ["abc", "aXbXc", "abbcc", "abcbc"], ["acb", "ab/c"]),
        ("*/b", ["a/b"], ["b", "a/a/b", "a/bb"]),
        ("a*/b*", ["a/b", "ax/by"], ["a/b/c", "ax"]),
        ("**", ["a", "a/b/c"], []),
        ("a/**", ["a/b", "a/b/c"], ["ab", "b/a"]),
        ("**/b", ["b", "a/b", "a/a/b"], ["a/bb", "b/a"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/b/x", "xa/b"]),
        ("**/a/**/b/**", ["a/b", "x/a/y/b/z"], ["b/a", "a", "ab"]),
        # one star alone stands for one segment, two or more stars in a longer one for any text within it
        ("*/*", ["a/b"], ["a", "a/b/c"]),
        ("a**b/c", ["ab/c", "axb/c"], ["a/b/c"]),
        # what has a meaning elsewhere has none here
        ("a.c", [], ["abc"]),
        ("[ab]", [], ["a", "b"]),
        ("a?", [], ["ab"]),
        ("", [], ["a"]),
        ("a/", [], ["a", "a/b"]),
    ],
)
def test_table(pattern: str, matching: list[str], others: list[str]) -> None:
    """What a pattern chooses, the same one with an exclamation mark leaves out."""
    for entry in matching:
        assert select([pattern], entry), entry
        assert not select([f"!{pattern}"], entry), entry
        assert not select(["**", f"!{pattern}"], entry), entry
    for entry in others:
        assert not select([pattern], entry), entry
        assert select([f"!{pattern}"], entry), entry
        assert select(["**", f"!{pattern}"], entry), entry


@pytest.mark.parametrize("entry", ["$meta", "a/$meta", "a/b/$meta"])
@pytest.mark.parametrize("pattern", ["*", "**", "a*", "a/*", "a/**", "**/$meta", "$*", "$m*", "a/$*", "!x"])
def test_system_entries(entry: str, pattern: str) -> None:
    """No wildcard chooses one, and no exclusion of others; its name does, unless it is excluded."""
    assert not select([pattern], entry)
    assert select([pattern, entry], entry)
    assert not select([entry, f"!{entry}"], entry)


def test_nothing_is_everything() -> None:
    """No patterns, and the star, say nothing about entries; everything else does."""
    assert EntryPatterns.parse([]).is_all
    assert EntryPatterns.parse(["*"]).is_all
    assert EntryPatterns().is_all
    for patterns in (["a"], ["!a"], ["*", "!a"], ["*", "a"], ["a*"]):
        assert not EntryPatterns.parse(patterns).is_all


def test_how_many() -> None:
    """A thousand can be named, one more is refused."""
    patterns = [f"e{number}" for number in range(1_000)]
    assert EntryPatterns.parse(patterns).select("e999")
    with pytest.raises(InvalidError, match=r"^At most 1000 entries can be named in a query, got 1001$"):
        EntryPatterns.parse([*patterns, "one-more"])


@pytest.mark.parametrize(
    ("pattern", "entry"),
    [
        ("*a" * 200 + "b", "a" * 2_000),
        ("**/" * 200 + "b", "a/" * 1_000 + "a"),
        ("**/*a/" * 100 + "b", "a/" * 1_000 + "a"),
        ("/".join(["*a*a*b"] * 100), "/".join(["a" * 20] * 100)),
        ("**/" + "a/" * 500 + "b", "a/" * 1_000 + "a"),
        ("*" * 3_000 + "b", "a" * 4_000),
        ("*" + "a" * 2_000 + "b", "a" * 4_000),
    ],
)
def test_hostile_patterns(pattern: str, entry: str) -> None:
    """Nearly matching, many stars: it takes no time that anybody would notice."""
    started = time.process_time()
    assert not select([pattern], entry)
    assert time.process_time() - started < 1.0


def test_how_long() -> None:
    """Those with wildcards, exclusions too, have 4,000 characters together; names and prefixes do not count."""
    names = [f"{'long' * 10}{number}" for number in range(500)]
    wildcards = ["a" * 1_998 + "/*", "!" + "*" + "a" * 1_998]
    others = [*names, *[f"!{name}" for name in names[:400]], "!prefix*", "*"]
    assert EntryPatterns.parse([*others, *wildcards]).select(names[-1])
    with pytest.raises(
        InvalidError,
        match=r"^Entries with wildcards can have at most 4000 characters in a query, got 4002$",
    ):
        EntryPatterns.parse([*others, *wildcards, "**"])


@pytest.mark.parametrize(
    ("pattern", "entry"),
    [
        (f"*{'a' * 90}b", "a" * 8_000),
        (f"**/{'*/' * 46}b", "a/" * 2_000 + "a"),
    ],
)
def test_a_selection_of_hostile_patterns(pattern: str, entry: str) -> None:
    """As many characters as one may have: to compare an entry with all of them takes a few seconds at most."""
    patterns = EntryPatterns.parse([pattern] * (4_000 // len(pattern)))
    started = time.process_time()
    assert not patterns.select(entry)
    assert time.process_time() - started < 8.0
