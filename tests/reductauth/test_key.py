"""The registry's key: how a value is digested, and that nothing shows the key itself."""

from __future__ import annotations

import hashlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reductauth.errors import ConfigurationError
from reductauth.key import RegistryKey

MASTER = bytes(range(32))
MASTER_HEX = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
KEY = RegistryKey(MASTER)
OTHER_KEY = RegistryKey(bytes(31) + b"\x01")


def test_a_digest_is_keyed_blake2b_256() -> None:
    """32 bytes, as computed outside this project: what is kept on disk must be found by every later release."""
    expected = "7513684ff788aa2ff6f802f611e896f7a494691fac6c1a9a2efdc97d1ad450b6"
    assert KEY.digest("secret") == bytes.fromhex(expected)
    assert len(KEY.digest("")) == 32


def test_a_digest_is_not_a_plain_hash() -> None:
    """Without the key nobody can check a guess against a stolen registry."""
    plain = (
        hashlib.blake2b(b"secret", digest_size=32),
        hashlib.sha256(b"secret"),
        hashlib.blake2s(b"secret"),
    )
    assert KEY.digest("secret") not in [hash_.digest() for hash_ in plain]
    assert KEY.digest("secret") != hashlib.blake2b(b"secret", key=MASTER, digest_size=32).digest()


def test_the_same_key_digests_alike_and_another_key_does_not() -> None:
    """Digests belong to a key: two registries have no digest in common."""
    assert KEY.digest("secret") == RegistryKey(MASTER).digest("secret")
    assert KEY.digest("secret") == KEY.digest("secret")
    assert KEY.digest("secret") != OTHER_KEY.digest("secret")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a" * 72 + "x", "a" * 72 + "y"),
        ("a" * 128 + "x", "a" * 128 + "y"),
        ("a" * 4095 + "x", "a" * 4095 + "y"),
        ("a" * 72, "a" * 73),
        ("secret", "Secret"),
        ("secret", "secret "),
        ("secret", " secret"),
        ("secret", "secret\n"),
        ("secret", "secret\0"),
        ("", "\0"),
        ("\u00e9", "e\u0301"),
        ("\u212a", "K"),
        ("\udcff", "\udcfe"),
    ],
)
def test_the_whole_value_matters(one: str, other: str) -> None:
    """Nothing is cut off at 72 bytes or elsewhere, trimmed, folded or normalized."""
    assert KEY.digest(one) != KEY.digest(other)


@given(st.text(alphabet="ab\u00e9\udcff", max_size=100), st.text(alphabet="ab\u00e9\udcff", max_size=100))
def test_different_values_have_different_digests(one: str, other: str) -> None:
    """For any two values, equal digests mean equal values."""
    assert (KEY.digest(one) == KEY.digest(other)) is (one == other)


@pytest.mark.parametrize("value", ["\u00e9", "\udcff", "\udc80abc", "\U0001f600", "a\0b", "x" * 100_000])
def test_no_header_can_make_it_raise(value: str) -> None:
    """Undecodable bytes arrive as lone surrogates, U+DC80 to U+DCFF, and are digested like anything else."""
    assert len(KEY.digest(value)) == 32


def test_the_digest_of_one_value_does_not_depend_on_those_before() -> None:
    """A key digests any number of values."""
    first = KEY.digest("first")
    KEY.digest("second")
    assert KEY.digest("first") == first


@pytest.mark.parametrize("text", [repr(KEY), str(KEY), f"{KEY}", f"{KEY!r}", repr([KEY]), repr({"key": KEY})])
def test_what_is_printed_is_the_id_of_the_key(text: str) -> None:
    """A key in a log or a traceback shows 16 digits that name it, and no part of itself."""
    assert "66603a6da43d3e33" in text
    assert MASTER_HEX not in text.lower()
    assert MASTER_HEX[:8] not in text.lower()
    assert repr(MASTER)[2:10] not in text


def test_a_key_is_not_pickled() -> None:
    """What pickles objects into a crash report or a cache does not get the key."""
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


def test_id_and_check_value() -> None:
    """Both name the key without giving it away; as computed outside this project, because they are kept on disk."""
    assert KEY.key_id == "66603a6da43d3e33"
    assert KEY.check_value == bytes.fromhex(
        "2cf38ceb04668fc204803b6cf29581784316a58ed79f03051e5aa7df972693b2"
    )
    assert OTHER_KEY.key_id != KEY.key_id
    assert OTHER_KEY.check_value != KEY.check_value


@pytest.mark.parametrize(
    ("check_value", "matches"),
    [
        (RegistryKey(MASTER).check_value, True),
        (OTHER_KEY.check_value, False),
        (b"", False),
        (KEY.check_value[:-1], False),
        (KEY.check_value + b"\0", False),
        (MASTER, False),
    ],
)
def test_a_registry_of_another_key_is_noticed(check_value: bytes, matches: bool) -> None:
    """Only the check value that was made with this key matches."""
    assert KEY.matches(check_value) is matches


def test_what_is_derived_for_one_purpose_serves_no_other() -> None:
    """Keys for different purposes, and the master key, all differ; each is 32 bytes, always the same."""
    derived = [KEY.derive(purpose) for purpose in (b"digest", b"seal", b"check value", b"key id", b"x" * 64)]
    assert len({*derived, MASTER}) == 6
    assert {len(one) for one in derived} == {32}
    assert KEY.derive(b"seal") == RegistryKey(MASTER).derive(b"seal")
    assert KEY.derive(b"seal") != OTHER_KEY.derive(b"seal")


def test_generated_keys_are_random() -> None:
    """Each key is new, and 32 bytes long."""
    keys = [RegistryKey.generate() for _ in range(50)]
    assert len({key.to_hex() for key in keys}) == 50
    assert {len(key.to_hex()) for key in keys} == {64}


@pytest.mark.parametrize("text", [MASTER_HEX, MASTER_HEX.upper()])
def test_a_key_is_64_hexadecimal_digits(text: str) -> None:
    """In upper or lower case, and nothing else; whoever reads a file takes its last newline off."""
    assert RegistryKey.from_hex(text, "auth.key").to_hex() == MASTER_HEX


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        MASTER_HEX[:-1],
        MASTER_HEX[:-2],
        MASTER_HEX + "0",
        MASTER_HEX + "00",
        "0x" + MASTER_HEX[2:],
        " " + MASTER_HEX,
        MASTER_HEX + " ",
        MASTER_HEX + "\n",
        MASTER_HEX + "\n\n",
        "\n" + MASTER_HEX,
        MASTER_HEX[:32] + "\n" + MASTER_HEX[32:],
        MASTER_HEX[:32] + " " + MASTER_HEX[33:],
        MASTER_HEX[:-1] + "g",
        MASTER_HEX[:-1] + "\uff11",
        MASTER_HEX[:-1] + "\u0661",
        MASTER_HEX[:-1] + "\0",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    ],
)
def test_anything_else_is_refused_without_being_shown(text: str) -> None:
    """The message names where the key came from and what would be right, not what was there."""
    with pytest.raises(ConfigurationError) as refusal:
        RegistryKey.from_hex(text, "RS_AUTH_KEY")
    expected = "RS_AUTH_KEY: not a registry key; it must be exactly 64 hexadecimal digits (32 bytes)"
    assert str(refusal.value) == expected


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_master_key_of_another_length_is_refused(length: int) -> None:
    """32 bytes, no more and no less."""
    with pytest.raises(ValueError, match="32 bytes"):
        RegistryKey(bytes(length))
