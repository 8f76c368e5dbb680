"""A token's value: its shape, its checksum, and which names a token may have."""

from __future__ import annotations

import re
import string
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reductauth.errors import InvalidInputError
from reductauth.value import Shape, check_name, mint, shape_of

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase

# Made outside this project, from the contract.
KNOWN = "robot-rsat10123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg1JWoZ9"
MARK = range(5, 11)  # of KNOWN: "-rsat1"
TAIL = range(11, 60)  # of KNOWN: what is random and what is checksum


def number_of(digits: str) -> int:
    """Read base 62, the most significant digit first."""
    number = 0
    for digit in digits:
        number = number * 62 + DIGITS.index(digit)
    return number


@pytest.mark.parametrize("name", ["a", "robot", "init-token", "A.b_c-9", "-rsat1", "x" * 128])
def test_a_minted_value_has_the_shape_that_scanners_know(name: str) -> None:
    """The name, `-`, `rsat1`, 43 random and 6 checksum characters, and nothing else."""
    value = mint(name)
    assert re.fullmatch(re.escape(name) + r"-rsat1[0-9A-Za-z]{49}", value)
    assert shape_of(value) is Shape.MINTED


@pytest.mark.parametrize("name", ["a", "robot", "A.b_c-9", "x" * 128])
def test_the_last_six_characters_are_the_crc_of_all_before_them(name: str) -> None:
    """CRC-32 of name, mark and random part, in base 62."""
    value = mint(name)
    assert number_of(value[-6:]) == zlib.crc32(value[:-6].encode("ascii"))


def test_a_value_from_elsewhere_that_keeps_the_contract_is_ours() -> None:
    """The format is fixed: what another implementation minted is told from a mistyped value."""
    assert number_of(KNOWN[-6:]) == zlib.crc32(KNOWN[:-6].encode("ascii"))
    assert shape_of(KNOWN) is Shape.MINTED


def test_no_two_values_are_alike() -> None:
    """A thousand values of one token differ, and in all of their random part."""
    values = [mint("robot") for _ in range(1000)]
    assert len(set(values)) == 1000
    for position in range(1, 43):
        # 62 characters drawn 1,000 times: fewer than 30 different ones never happens by chance.
        assert len({value[11 + position] for value in values}) > 30


@pytest.mark.parametrize(
    ("random_bytes", "characters"),
    [
        (b"\x00" * 32, "0" * 43),
        (b"\x00" * 31 + b"\x01", "0" * 42 + "1"),
        (b"\x00" * 31 + b"\x3d", "0" * 42 + "z"),
        (b"\x00" * 31 + b"\x3e", "0" * 41 + "10"),
        (b"\xff" * 32, "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1"),
    ],
)
def test_all_256_bits_of_the_random_source_are_in_the_value(
    monkeypatch: pytest.MonkeyPatch, random_bytes: bytes, characters: str
) -> None:
    """The 43 characters are 32 bytes of `secrets`, in base 62, with zeros in front."""
    asked: list[int | None] = []

    def token_bytes(count: int | None = None) -> bytes:
        asked.append(count)
        return random_bytes

    monkeypatch.setattr("secrets.token_bytes", token_bytes)
    assert mint("robot")[:-6] == "robot-rsat1" + characters
    assert asked == [32]


@given(position=st.integers(0, len(KNOWN) - 1), character=st.sampled_from(string.printable))
def test_one_wrong_character_is_noticed(position: int, character: str) -> None:
    """With any one character replaced, a value is no longer taken for one that was minted."""
    typo = KNOWN[:position] + character + KNOWN[position + 1 :]
    if typo == KNOWN:
        assert shape_of(typo) is Shape.MINTED
    else:
        assert shape_of(typo) is not Shape.MINTED


@given(
    position=st.sampled_from([place for place in range(len(KNOWN)) if place not in MARK]),
    character=st.sampled_from(DIGITS),
)
def test_a_wrong_letter_or_digit_is_refused_without_a_lookup(position: int, character: str) -> None:
    """A typo in the name, the random part or the checksum leaves the shape, so it is known to be a typo."""
    typo = KNOWN[:position] + character + KNOWN[position + 1 :]
    assert shape_of(typo) is (Shape.MINTED if typo == KNOWN else Shape.MISTYPED)


@given(st.sampled_from(list(TAIL)[:-1]))
def test_two_swapped_characters_are_noticed(position: int) -> None:
    """Neighbours that changed places are the other common typo."""
    typo = KNOWN[:position] + KNOWN[position + 1] + KNOWN[position] + KNOWN[position + 2 :]
    assert shape_of(typo) is Shape.MISTYPED


@pytest.mark.parametrize(
    "typo",
    [KNOWN[:-1], KNOWN + "0", KNOWN[1:], "x" + KNOWN, KNOWN[:-1] + KNOWN[-1].swapcase() + "x", KNOWN + "\n"],
)
def test_a_character_too_few_or_too_many_is_noticed(typo: str) -> None:
    """A value that lost or gained a character was never minted."""
    assert shape_of(typo) is not Shape.MINTED


@pytest.mark.parametrize(
    "value",
    [
        "",
        "secret",
        "a" * 32,
        "x" * 5000,
        "robot-rsat1",
        "robot-rsat1" + "0" * 48,
        "robot-rsat1" + "0" * 50,
        "robot-rsat2" + KNOWN[11:],
        "robot-RSAT1" + KNOWN[11:],
        "robot_rsat1" + KNOWN[11:],
        "robotrsat1" + KNOWN[11:],
        "rsat1" + KNOWN[11:],
        KNOWN[:-1] + "-",
        KNOWN[:-1] + "_",
        KNOWN[:-1] + " ",
        KNOWN[:-1] + "\n",
        KNOWN[:-1] + "\u0669",
        KNOWN[:-1] + "\u00e9",
        KNOWN[:-1] + "\udcff",
        "my-token-9f8e7d6c5b4a39281706f5e4d3c2b1a0",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    ],
)
def test_values_chosen_by_people_are_foreign(value: str) -> None:
    """Whatever does not have our shape carries no checksum, and is looked up like any other."""
    assert shape_of(value) is Shape.FOREIGN


@pytest.mark.parametrize("prefix", ["\u00e9", "\udcff", "", "a b", "x" * 5000])
def test_our_shape_with_any_text_in_front_is_checked_and_never_raises(prefix: str) -> None:
    """What a client sends in front of the mark is part of what the checksum is about."""
    assert shape_of(f"{prefix}-rsat1" + "0" * 49) is Shape.MISTYPED


@pytest.mark.parametrize(
    "name",
    ["a", "Z", "0", "_", ".", "-", "..", "init-token", "me", "A.b_c-9", "x" * 128],
)
def test_names_a_token_may_have(name: str) -> None:
    """1 to 128 letters, digits, `_`, `.` and `-`; a good name is handed back."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "x" * 129,
        " ",
        "a b",
        " a",
        "a ",
        "a/b",
        "a\\b",
        'a"b',
        "a'b",
        "a*",
        "$a",
        "a:b",
        "a@b",
        "a+b",
        "a%2Fb",
        "a\n",
        "\na",
        "a\0",
        "a\t",
        "\u00e9",
        "e\u0301",
        "\u212a",
        "\uff41",
        "\u0663",
        "\u202ea",
        "a\udcff",
        "<img onerror=x>",
    ],
)
def test_names_a_token_may_not_have(name: str) -> None:
    """Anything else is refused, also at the very end and in other scripts."""
    with pytest.raises(InvalidInputError) as refusal:
        check_name(name)
    assert str(refusal.value) == "Token name can contain only letters, digits and [-,_,.] symbols"


def test_an_empty_name_has_a_message_of_its_own() -> None:
    """Nothing is not a name."""
    with pytest.raises(InvalidInputError) as refusal:
        check_name("")
    assert str(refusal.value) == "Token name can't be empty"
