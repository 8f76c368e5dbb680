"""What a token may do: which patterns are accepted, which buckets they open, and what a rename does to them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reductauth.errors import InvalidInputError
from reductauth.permissions import Action, BucketPattern, Permissions, Role


@pytest.mark.parametrize(
    "text",
    [
        "data",
        "Data",
        "0",
        "-",
        "_",
        "my-bucket_2",
        "x" * 1000,
        "data*",
        "-*",
        "*",
        "$system",
        "$audit",
        "$a-b_C9",
    ],
)
def test_accepted_patterns(text: str) -> None:
    """A name, a name followed by one `*`, `*` alone, and `$` and a name are patterns, kept as they are."""
    assert str(BucketPattern(text)) == text
    assert Permissions.of(read=[text]).read == (text,)
    assert Permissions.of(write=[text]).write == (text,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        " a",
        "a ",
        "a.b",
        "a/b",
        "a\\b",
        "a,b",
        "a?",
        "[a]",
        "**",
        "a**",
        "*a",
        "a*b",
        "a*b*",
        "*data*",
        "$",
        "$*",
        "$a*",
        "$$a",
        "a$",
        "a$b",
        "$a b",
        "data\n",
        "data*\n",
        "*\n",
        "\n",
        "\ndata",
        "da\nta",
        "$system\n",
        "data\r",
        "data\0",
        "\u00e4",
        "stra\u00dfe",
        "e\u0301",
        "\uff41",
        "\u0663",
        "\u212a",
        "data\u2028",
        "data\udcff",
        "\U0001f600",
    ],
)
def test_refused_patterns(text: str) -> None:
    """Everything else is refused, quoted back, wherever in the lists it stands."""
    message = f"Permission can contain only bucket names or wildcard '*', got '{text}'"
    for build in (
        lambda: BucketPattern(text),
        lambda: Permissions.of(read=["good", text]),
        lambda: Permissions.of(write=[text, "good"]),
    ):
        with pytest.raises(InvalidInputError) as refusal:
            build()
        assert str(refusal.value) == message


@given(st.text(alphabet="aZ0_-*$ .\n\u00e9", max_size=6))
def test_patterns_follow_the_sentence(text: str) -> None:
    """For any short text, acceptance is what the sentence of the contract says, read letter by letter."""

    def is_name(part: str) -> bool:
        return part != "" and all(letter in "aZ0_-" for letter in part)

    expected = (
        is_name(text)
        or text == "*"
        or (text.endswith("*") and is_name(text[:-1]))
        or (text.startswith("$") and is_name(text[1:]))
    )
    try:
        BucketPattern(text)
    except InvalidInputError:
        assert not expected
    else:
        assert expected


@pytest.mark.parametrize(
    ("pattern", "bucket", "opens"),
    [
        ("data", "data", True),
        ("data", "database", False),
        ("data", "dat", False),
        ("data", "Data", False),
        ("Data", "data", False),
        ("data", "data/", False),
        ("data", "data ", False),
        ("data", "data\n", False),
        ("data", "$data", False),
        ("data", "", False),
        ("data*", "data", True),
        ("data*", "data2", True),
        ("data*", "database", True),
        ("data*", "dat", False),
        ("data*", "Data", False),
        ("data*", "mydata", False),
        ("data*", "$data", False),
        ("data*", "$system", False),
        ("d*", "data", True),
        ("-*", "-x", True),
        ("-*", "x-", False),
        ("*", "data", True),
        ("*", "Data", True),
        ("*", "0", True),
        ("*", "$system", False),
        ("*", "$audit", False),
        ("*", "$", False),
        ("$system", "$system", True),
        ("$system", "system", False),
        ("$system", "$System", False),
        ("$system", "$systems", False),
        ("$system", "$syste", False),
        ("$system", "$audit", False),
    ],
)
def test_what_a_pattern_opens(pattern: str, bucket: str, opens: bool) -> None:
    """Equal names match, a `*` at the end extends a name, and nothing but its own name opens a `$` bucket."""
    assert BucketPattern(pattern).matches(bucket) is opens
    assert Permissions.of(read=[pattern]).allows(Action.READ, bucket) is opens
    assert Permissions.of(write=[pattern]).allows(Action.WRITE, bucket) is opens


@pytest.mark.parametrize("bucket", ["data", "database", "$system"])
@pytest.mark.parametrize("pattern", ["data", "data*", "*", "$system"])
def test_neither_action_implies_the_other(pattern: str, bucket: str) -> None:
    """A reader may not write and a writer may not read, whatever the pattern."""
    assert Permissions.of(read=[pattern]).allows(Action.WRITE, bucket) is False
    assert Permissions.of(write=[pattern]).allows(Action.READ, bucket) is False


@pytest.mark.parametrize(
    ("action", "reads", "writes"),
    [
        ("read", True, False),
        ("write", False, True),
        ("READ", False, False),
        ("admin", False, False),
        ("", False, False),
        (None, False, False),
        (True, False, False),
    ],
)
def test_actions_by_their_words(action: Any, reads: bool, writes: bool) -> None:
    """The words of the wire format are the actions; what is neither of them is denied to every pattern."""
    for pattern in ("b", "b*", "*"):
        assert Permissions.of(read=[pattern]).allows(action, "b") is reads
        assert Permissions.of(write=[pattern]).allows(action, "b") is writes
        assert Permissions.of(read=[pattern], write=[pattern]).allows(action, "b") is (reads or writes)


@pytest.mark.parametrize("bucket", ["data", "Data", "$system", "$audit"])
@pytest.mark.parametrize("action", [Action.READ, Action.WRITE])
def test_full_access_opens_everything(action: Action, bucket: str) -> None:
    """Full access needs no pattern, also for buckets whose name begins with `$`."""
    assert Permissions(full_access=True).allows(action, bucket) is True
    assert Permissions.of(full_access=True).allows(action, bucket) is True


@pytest.mark.parametrize("bucket", ["data", "", "*", "$system"])
@pytest.mark.parametrize("action", [Action.READ, Action.WRITE])
def test_no_grant_opens_nothing(action: Action, bucket: str) -> None:
    """Without a pattern every bucket is shut: this is what no argument, and empty lists, mean."""
    assert Permissions().allows(action, bucket) is False
    assert Permissions.of(read=[], write=[]).allows(action, bucket) is False


@pytest.mark.parametrize(
    ("patterns", "opened", "shut"),
    [
        (["a", "b"], ["a", "b"], ["c", "ab"]),
        (["a", "b*"], ["a", "b", "bc"], ["ab", "c"]),
        (["*", "$system"], ["a", "$system"], ["$audit"]),
        (["x*", "y*", "$s"], ["x", "x1", "y2", "$s"], ["$x", "$y2", "z"]),
    ],
)
def test_several_patterns_add_up(patterns: list[str], opened: list[str], shut: list[str]) -> None:
    """A list opens what any of its patterns opens, and no more."""
    permissions = Permissions.of(read=patterns)
    assert [bucket for bucket in opened if not permissions.allows(Action.READ, bucket)] == []
    assert [bucket for bucket in shut if permissions.allows(Action.READ, bucket)] == []


NAMES = st.text(alphabet="ab-", min_size=1, max_size=3)
PATTERNS = st.lists(
    st.one_of(NAMES, NAMES.map(lambda name: name + "*"), st.just("*"), NAMES.map(lambda name: "$" + name)),
    max_size=4,
)
BUCKETS = st.one_of(NAMES, NAMES.map(lambda name: "$" + name))


def opened_by_contract(entries: list[str], bucket: str) -> bool:
    """Entry equal to the name, or a prefix before `*` that starts it; `$` names by an exact entry only."""
    for entry in entries:
        if entry == bucket:
            return True
        if entry[-1] == "*" and bucket[0] != "$" and bucket[: len(entry) - 1] == entry[:-1]:
            return True
    return False


@given(full_access=st.booleans(), read=PATTERNS, write=PATTERNS, bucket=BUCKETS)
def test_matching_follows_the_sentence(
    full_access: bool, read: list[str], write: list[str], bucket: str
) -> None:
    """For any lists and bucket, each action is allowed exactly when the contract's sentence says so."""
    permissions = Permissions.of(full_access=full_access, read=read, write=write)
    assert permissions.allows(Action.READ, bucket) is (full_access or opened_by_contract(read, bucket))
    assert permissions.allows(Action.WRITE, bucket) is (full_access or opened_by_contract(write, bucket))


@given(full_access=st.booleans(), read=PATTERNS, write=PATTERNS, bucket=NAMES)
def test_what_is_read_back_is_what_was_granted(
    full_access: bool, read: list[str], write: list[str], bucket: str
) -> None:
    """Permissions made of what was stored are those that were granted, and follow a bucket as those do."""
    granted = Permissions.of(full_access=full_access, read=read, write=write)
    kept = Permissions.kept(
        full_access=full_access, read=map(str, granted.read), write=map(str, granted.write)
    )
    assert kept == granted
    assert kept.with_bucket_renamed(bucket, "moved") == granted.with_bucket_renamed(bucket, "moved")


def test_order_is_kept_and_a_repeated_pattern_counts_once() -> None:
    """Lists read back as they were given, less the repetitions; the two lists do not mix."""
    permissions = Permissions.of(read=["c", "a", "c", "b*", "a", "*"], write=["b", "a", "b"])
    assert permissions.read == ("c", "a", "b*", "*")
    assert permissions.write == ("b", "a")
    assert permissions.full_access is False


@pytest.mark.parametrize(
    ("read_count", "write_count", "accepted"),
    [
        (1000, 0, True),
        (0, 1000, True),
        (500, 500, True),
        (1001, 0, False),
        (0, 1001, False),
        (1000, 1, False),
        (501, 500, False),
    ],
)
def test_a_thousand_patterns_at_most(read_count: int, write_count: int, accepted: bool) -> None:
    """Both lists together hold up to 1,000 patterns."""
    read = [f"r{number}" for number in range(read_count)]
    write = [f"w{number}" for number in range(write_count)]
    if accepted:
        permissions = Permissions.of(read=read, write=write)
        assert (len(permissions.read), len(permissions.write)) == (read_count, write_count)
    else:
        with pytest.raises(InvalidInputError, match="at most 1000 bucket names, got 1001"):
            Permissions.of(read=read, write=write)


def test_repetitions_do_not_count_towards_the_limit() -> None:
    """What is limited is what is kept."""
    assert Permissions.of(read=["same"] * 5000).read == ("same",)


@pytest.mark.parametrize(
    ("role", "full_access", "read", "write"),
    [
        ("admin", True, (), ()),
        ("recorder", False, (), ("*",)),
        ("viewer", False, ("*",), ()),
    ],
)
def test_roles(role: str, full_access: bool, read: tuple[str, ...], write: tuple[str, ...]) -> None:
    """A role is full access, write `*`, or read `*`, and nothing besides."""
    permissions = Permissions.preset(Role(role))
    assert (permissions.full_access, permissions.read, permissions.write) == (full_access, read, write)


def test_there_are_three_roles_and_two_actions() -> None:
    """The words of the wire format."""
    assert {str(role) for role in Role} == {"admin", "recorder", "viewer"}
    assert {str(action) for action in Action} == {"read", "write"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["data"], ["moved"]),
        (["a", "data", "b"], ["a", "moved", "b"]),
        (["data", "moved"], ["moved"]),
        (["moved", "x", "data"], ["moved", "x"]),
        (["data*", "*", "database", "Data", "$data"], ["data*", "*", "database", "Data", "$data"]),
        ([], []),
    ],
)
def test_rename_moves_exact_entries_only(before: list[str], after: list[str]) -> None:
    """After `data` became `moved`, exact entries name `moved`, in their place and once; the rest is untouched."""
    renamed = Permissions.of(read=before, write=before).with_bucket_renamed("data", "moved")
    assert (renamed.read, renamed.write) == (tuple(after), tuple(after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["data"], []),
        (["a", "data", "b"], ["a", "b"]),
        (["data*", "*", "database", "Data", "$data"], ["data*", "*", "database", "Data", "$data"]),
        ([], []),
    ],
)
def test_remove_ends_exact_entries_only(before: list[str], after: list[str]) -> None:
    """After `data` was removed no exact entry names it; wildcards and other names are untouched."""
    removed = Permissions.of(read=before, write=before).without_bucket("data")
    assert (removed.read, removed.write) == (tuple(after), tuple(after))


@pytest.mark.parametrize("full_access", [True, False])
def test_rename_and_remove_keep_what_they_are_not_about(full_access: bool) -> None:
    """Full access stays as it was, and the original is not changed."""
    before = Permissions.of(full_access=full_access, read=["data", "x"], write=["data"])
    assert before.with_bucket_renamed("data", "moved").full_access is full_access
    assert before.without_bucket("data").full_access is full_access
    assert (before.read, before.write) == (("data", "x"), ("data",))


def test_rights_follow_a_rename() -> None:
    """The renamed bucket opens, a new one under the old name does not; after a removal neither name opens."""
    before = Permissions.of(read=["data"])
    renamed = before.with_bucket_renamed("data", "moved")
    assert renamed.allows(Action.READ, "moved") is True
    assert renamed.allows(Action.READ, "data") is False
    assert before.without_bucket("data").allows(Action.READ, "data") is False


@pytest.mark.parametrize(
    ("read", "write", "named"),
    [
        (["data"], [], True),
        ([], ["data"], True),
        (["data*"], ["*"], False),
        (["database"], ["Data"], False),
        ([], [], False),
    ],
)
def test_exact_entries_are_found(read: list[str], write: list[str], named: bool) -> None:
    """Only an exact entry, of either list, names a bucket."""
    assert Permissions.of(read=read, write=write).names_bucket("data") is named


@pytest.mark.parametrize("pattern", ["*", "data*"])
def test_a_wildcard_is_no_bucket(pattern: str) -> None:
    """What is said of a bucket named like a wildcard leaves that wildcard alone: no bucket has such a name."""
    before = Permissions.of(read=[pattern, "data"], write=["data", pattern])
    assert before.without_bucket(pattern) == before
    assert before.with_bucket_renamed(pattern, "x") == before
    assert before.names_bucket(pattern) is False


@pytest.mark.parametrize("new", ["a b", "", "*", "x*", "data*", "$*", "x\n"])
@pytest.mark.parametrize("old", ["data", "absent"])
def test_a_bad_new_name_is_refused(old: str, new: str) -> None:
    """A rename puts nothing into a grant that is not one bucket's name: no exact entry becomes a wildcard."""
    with pytest.raises(InvalidInputError) as refusal:
        Permissions.of(read=["data"]).with_bucket_renamed(old, new)
    assert f"'{new}'" in str(refusal.value)


def test_permissions_are_frozen_and_compared_by_what_was_granted() -> None:
    """Equal grants are equal, a different order or action is not, and nothing can be assigned."""
    permissions = Permissions.of(read=["a", "b"])
    assert permissions == Permissions.of(read=["a", "b", "a"])
    assert permissions != Permissions.of(read=["b", "a"])
    assert permissions != Permissions.of(write=["a", "b"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        permissions.full_access = True  # type: ignore[misc] # the point of the test
