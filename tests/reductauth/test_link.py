"""A link as text: what comes back, what is refused, and what is not in it."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reductauth.errors import InvalidInputError, InvalidLinkError
from reductauth.key import RegistryKey
from reductauth.link import MAX_LINK_LENGTH, Link, LinkSigner
from reductauth.permissions import Action

KEY = RegistryKey(bytes(range(32)))
SIGNER = LinkSigner(KEY)
LINK = Link(
    token_id="9a6c9f0e-4c56-4f3a-8f1c-000000000001",
    token_name="dashboard",
    secret_id=7,
    token_created_at_us=1_900_000_000_000_000,
    action=Action.READ,
    bucket="weather",
    expires_at_us=1_900_000_060_000_000,
    payload=b'{"entry": "oslo"}',
)
TEXT = SIGNER.sign(LINK)
NOT_OURS = "Failed to decrypt query: it is no link of this server, or was changed"
TOO_LONG = "Failed to decrypt query: it is too long to be a link of this server"


def refusal_of(text: str, signer: LinkSigner = SIGNER) -> str:
    """Open what must be refused; return the words."""
    with pytest.raises(InvalidLinkError) as refused:
        signer.open(text)
    return str(refused.value)


def content_of(text: str) -> bytes:
    """Everything that is in a link, as whoever has it can read it."""
    return base64.urlsafe_b64decode(text.removeprefix("rsl1.") + "==")


def text_of(content: bytes, mark: str = "rsl1.") -> str:
    """Write a link's text by hand."""
    return mark + base64.urlsafe_b64encode(content).decode().rstrip("=")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"action": Action.WRITE},
        {"payload": b""},
        {"payload": bytes(range(256))},
        {"payload": b"x" * 4_000},
        {"bucket": "$system"},
        {"bucket": 'a","b'},
        {"bucket": "\u00e9\udcff\0"},
        {"expires_at_us": 0},
        {"expires_at_us": -1},
        {"expires_at_us": 2**63 - 1},
        {"secret_id": 2**62},
    ],
    ids=lambda fields: " ".join(fields) or "as it is",
)
def test_a_link_comes_back_as_it_was_made(fields: dict[str, Any]) -> None:
    """Every field, whatever is in it."""
    link = replace(LINK, **fields)
    assert SIGNER.open(SIGNER.sign(link)) == link


@given(st.binary(max_size=300), st.text(max_size=50).filter(lambda text: not text.endswith("*")))
def test_any_payload_and_bucket(payload: bytes, bucket: str) -> None:
    """Nothing that an engine puts in can be taken for something else."""
    link = replace(LINK, payload=payload, bucket=bucket)
    assert SIGNER.open(SIGNER.sign(link)) == link


def test_whatever_its_text_ends_in() -> None:
    """A link is read whatever its last characters are: the padding that is left off is all that is."""
    ends = set()
    for expires_at_us in range(1_000):
        link = replace(LINK, expires_at_us=expires_at_us, payload=bytes([expires_at_us % 256]))
        text = SIGNER.sign(link)
        ends.add(text[-1])
        assert SIGNER.open(text) == link
    assert len(ends) > 40


def test_the_text_needs_no_quoting_in_a_url() -> None:
    """Letters, digits and `-_.` only (RFC 3986 §2.3)."""
    texts = [SIGNER.sign(replace(LINK, payload=bytes([number]) * 9)) for number in range(256)]
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert set("".join(texts)) <= allowed
    assert all(text.startswith("rsl1.") for text in texts)


def test_the_format_is_the_documented_one() -> None:
    """Code, length, facts, payload; links that are out there must be understood by later releases."""
    facts = json.dumps(
        [
            *("9a6c9f0e-4c56-4f3a-8f1c-000000000001", "dashboard", 7, 1_900_000_000_000_000),
            *("read", "weather", 1_900_000_060_000_000),
        ]
    ).encode()
    body = len(facts).to_bytes(4, "big") + facts + b'{"entry": "oslo"}'
    master = bytes(range(32))
    key = hashlib.blake2b(b"link rsl1", key=master, digest_size=32, person=b"reductauth.v1").digest()
    code = hashlib.blake2b(body, key=key, digest_size=32).digest()
    assert text_of(code + body) == TEXT


def test_every_bit_matters() -> None:
    """Whichever bit of it is flipped: refused, in the same words."""
    content = content_of(TEXT)
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            assert refusal_of(text_of(bytes(changed))) == NOT_OURS


def test_every_character_matters() -> None:
    """Each link has one text: also the last character, which has bits that stand for nothing, is all or nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for payload in (b"", b"a", b"ab"):
        text = SIGNER.sign(replace(LINK, payload=payload))
        for place in (*range(12), len(text) - 2, len(text) - 1):
            for other in set(alphabet + ".=+/ %\n\0") - {text[place]}:
                assert refusal_of(text[:place] + other + text[place + 1 :]) == NOT_OURS


def test_every_beginning_and_every_end_is_refused() -> None:
    """Cut off anywhere, on either side."""
    for place in range(1, len(TEXT)):
        assert refusal_of(TEXT[:place]) == NOT_OURS
        assert refusal_of(TEXT[place:]) == NOT_OURS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rsl1.",
        "rsl1.A",
        "rsl1." + "A" * 200,
        text_of(b""),
        text_of(bytes(31)),
        text_of(bytes(32)),
        text_of(bytes(36)),
        TEXT + "A",
        TEXT + "=",
        TEXT + "==",
        TEXT + "\n",
        " " + TEXT,
        TEXT + " ",
        TEXT + TEXT,
        TEXT.upper(),
        TEXT.lower(),
        TEXT.removeprefix("rsl1."),
        TEXT.replace("rsl1.", "rsl0."),
        TEXT.replace("rsl1.", "rsl2."),
        TEXT.replace("rsl1.", "RSL1."),
        TEXT.replace("rsl1.", "rsl1"),
        TEXT.replace("rsl1.", "rsl1.."),
        text_of(content_of(TEXT) + b"more"),
        text_of(content_of(TEXT)[32:]),
        TEXT + "\u00e9",
        "\udcff" + TEXT[1:],
        "dashboard-rsat1" + "0" * 49,
        "\uff41" * 100,
    ],
    ids=lambda text: f"{len(text)} characters",
)
def test_what_is_no_link(text: str) -> None:
    """Whole strings only, of this format only; nothing is trimmed, folded or guessed."""
    assert refusal_of(text) == NOT_OURS


@pytest.mark.parametrize("purpose", [b"seal", b"digest", b"link", b"link rsl0", b"link rsl2", b"check value"])
def test_what_the_key_signs_for_another_purpose_is_no_link(purpose: bytes) -> None:
    """Only the key that is derived for links, of this format, makes one."""
    body = content_of(TEXT)[32:]
    code = hashlib.blake2b(body, key=KEY.derive(purpose), digest_size=32).digest()
    assert refusal_of(text_of(code + body)) == NOT_OURS


def test_a_code_without_a_key_is_no_link() -> None:
    """Nor one with the master key itself."""
    body = content_of(TEXT)[32:]
    for key in (b"", bytes(range(32))):
        code = hashlib.blake2b(body, key=key, digest_size=32).digest()
        assert refusal_of(text_of(code + body)) == NOT_OURS


def test_links_of_another_key() -> None:
    """A link belongs to one registry."""
    other = LinkSigner(RegistryKey(bytes(31) + b"\1"))
    assert refusal_of(other.sign(LINK)) == NOT_OURS
    assert refusal_of(TEXT, other) == NOT_OURS
    assert LinkSigner(RegistryKey(bytes(range(32)))).open(TEXT) == LINK


def test_the_longest_link() -> None:
    """Up to `MAX_LINK_LENGTH` characters are made and read; beyond that it is neither."""
    longest = max(
        (replace(LINK, payload=b"x" * length) for length in range(4_200, 4_400) if fits(length)),
        key=lambda link: len(link.payload),
    )
    text = SIGNER.sign(longest)
    assert MAX_LINK_LENGTH - 2 <= len(text) <= MAX_LINK_LENGTH == 6_000
    assert SIGNER.open(text) == longest
    assert refusal_of("rsl1." + "A" * 5_996) == TOO_LONG
    assert refusal_of("A" * 1_000_000) == TOO_LONG
    assert refusal_of("A" * 6_000) == NOT_OURS


def fits(length: int) -> bool:
    try:
        SIGNER.sign(replace(LINK, payload=b"x" * length))
    except InvalidInputError:
        return False
    return True


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bucket": "*"}, "A link is for one bucket, got '*'"),
        ({"bucket": "weather*"}, "A link is for one bucket, got 'weather*'"),
        ({"expires_at_us": 2**63}, "A link can't expire later than 2^63-1 microseconds after 1970"),
        ({"expires_at_us": 10**5_000}, "A link can't expire later than 2^63-1 microseconds after 1970"),
        (
            {"payload": b"x" * 100_000},
            "A link can have at most 6000 characters, this one would have 133535",
        ),
    ],
    ids=["everything", "a prefix", "too late", "too long a number", "too long"],
)
def test_what_cannot_be_a_link(fields: dict[str, Any], message: str) -> None:
    """It is refused when it is made, in words for whoever asked for it."""
    with pytest.raises(InvalidInputError) as refused:
        SIGNER.sign(replace(LINK, **fields))
    assert str(refused.value) == message


def test_no_key_is_in_a_link() -> None:
    """What is readable in it is what it says, and the engine's payload."""
    content = content_of(TEXT)
    for secret in (bytes(range(32)), KEY.derive(b"link rsl1"), KEY.digest("the value")):
        assert secret not in content
    assert b"dashboard" in content
    assert b'{"entry": "oslo"}' in content
