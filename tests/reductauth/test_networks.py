"""Allowlists and trusted proxies: what is an address or a network, and which addresses are inside."""

from __future__ import annotations

import pytest

from reductauth.errors import InvalidInputError
from reductauth.networks import ANYWHERE, NetworkList, parse_address


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("0.0.0.1", "0.0.0.1"),
        ("255.255.255.255", "255.255.255.255"),
        ("10.0.0.1/32", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.1/8", "10.0.0.0/8"),
        ("10.255.255.255/8", "10.0.0.0/8"),
        ("192.168.1.77/24", "192.168.1.0/24"),
        ("192.168.1.77/31", "192.168.1.76/31"),
        ("1.2.3.4/0", "0.0.0.0/0"),
        ("::1", "::1"),
        ("::", "::"),
        ("::1/128", "::1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("2001:db8::ffff/127", "2001:db8::fffe/127"),
        ("fe80::1/10", "fe80::/10"),
        ("::/0", "::/0"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::ffff:a00:1", "10.0.0.1"),
        ("::FFFF:10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1/128", "10.0.0.1"),
        ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
        ("::ffff:10.1.2.3/96", "0.0.0.0/0"),
    ],
)
def test_accepted_entries(text: str, canonical: str) -> None:
    """Addresses and CIDR networks are accepted; host bits are masked and the text becomes canonical."""
    assert NetworkList.of([text]).entries == (canonical,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "localhost",
        "*",
        "10.0.0",
        "10.0.0.1.2",
        "10",
        "167772161",
        "0x0a000001",
        "256.0.0.1",
        "-1.0.0.1",
        "010.0.0.1",
        "10.0.0.01",
        "10.00.0.1",
        "10.0.0.010/8",
        "::ffff:010.0.0.1",
        " 10.0.0.1",
        "10.0.0.1 ",
        "10.0.0.1\n",
        "\uff11\uff10.0.0.1",
        "10.0.0.1/",
        "10.0.0.1/33",
        "10.0.0.1/-1",
        "10.0.0.1/+8",
        "10.0.0.1/08",
        "10.0.0.1/00",
        "10.0.0.1/8.0",
        "10.0.0.1/ 8",
        "10.0.0.1/8 ",
        "10.0.0.1/8\n",
        "10.0.0.1/\u0668",
        "10.0.0.1/x",
        "10.0.0.1/8/8",
        "10.0.0.1/1000",
        pytest.param("10.0.0.1/" + "1" * 5_000, id="more digits than an integer may have"),
        "10.0.0.1//8",
        "/8",
        "/",
        "1.2.3.4/255.0.0.0",
        "1.2.3.4/0.0.0.255",
        "10.0.0.1-10.0.0.9",
        "10.0.0.1,10.0.0.2",
        "10.0.0.1:80",
        "[::1]",
        "::1/129",
        "::1/064",
        "2001:db8::/ffff::",
        "::ffff:10.0.0.1/95",
        ":::1",
        "1::2::3",
        "12345::",
        "::g",
        "fe80::1%eth0",
        "fe80::1%eth0/64",
        "fe80::1/64%eth0",
        "::ffff:10.0.0.1%1",
        "::1%",
        "10.0.0.1%eth0",
    ],
)
def test_refused_entries(text: str) -> None:
    """Leading zeros, netmasks, zones, ranges, ports and white space are no addresses or networks."""
    with pytest.raises(InvalidInputError) as refusal:
        NetworkList.of(["10.0.0.1", text])
    assert str(refusal.value).startswith(f"'{text}' is not an IP address or a network in CIDR form")


@pytest.mark.parametrize(
    ("entry", "address", "inside"),
    [
        ("10.0.0.7", "10.0.0.7", True),
        ("10.0.0.7", "10.0.0.8", False),
        ("10.0.0.0/8", "10.0.0.1", True),
        ("10.0.0.0/8", "10.255.255.255", True),
        ("10.0.0.0/8", "9.255.255.255", False),
        ("10.0.0.0/8", "11.0.0.0", False),
        ("10.0.0.1/8", "10.9.9.9", True),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("10.0.0.0/8", "::ffff:a00:1", True),
        ("10.0.0.0/8", "::ffff:11.0.0.1", False),
        ("10.0.0.0/8", "::10.0.0.1", False),
        ("10.0.0.0/8", "a00:1::", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.0/104", "10.200.0.1", True),
        ("::ffff:10.0.0.0/104", "11.0.0.1", False),
        ("0.0.0.0/0", "203.0.113.9", True),
        ("0.0.0.0/0", "::ffff:203.0.113.9", True),
        ("0.0.0.0/0", "::1", False),
        ("::/0", "2001:db8::1", True),
        ("::/0", "10.0.0.1", False),
        ("::/0", "::ffff:10.0.0.1", False),
        ("2001:db8::/32", "2001:db8:ffff::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("::1", "127.0.0.1", False),
    ],
)
def test_who_is_inside(entry: str, address: str, inside: bool) -> None:
    """An address is inside its network and no other; mapped addresses count as IPv4 on both sides."""
    parsed = parse_address(address)
    assert parsed is not None
    assert NetworkList.of([entry]).contains(parsed) is inside


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("010.0.0.1", None),
        ("10.0.0.1/32", None),
        ("fe80::1%eth0", None),
        ("10.0.0.1:80", None),
        ("[::1]", None),
        ("unknown", None),
        ("_hidden", None),
        (" 10.0.0.1", None),
        ("10.0.0.1\n", None),
        ("1", None),
        ("", None),
    ],
)
def test_addresses(text: str, canonical: str | None) -> None:
    """An address is read without zone, port, prefix or white space; anything else is no address."""
    parsed = parse_address(text)
    assert (None if parsed is None else str(parsed)) == canonical


def test_order_is_kept_and_a_repeated_network_counts_once() -> None:
    """Two spellings of one network are one entry, where the first stood."""
    given = ["192.168.1.1", "10.0.0.1/8", "::1", "10.0.0.0/8", "192.168.1.1/32", "::ffff:192.168.1.1"]
    assert NetworkList.of(given).entries == ("192.168.1.1", "10.0.0.0/8", "::1")


@pytest.mark.parametrize(("count", "accepted"), [(1000, True), (1001, False)])
def test_a_thousand_networks_at_most(count: int, accepted: bool) -> None:
    """A list holds up to 1,000 entries; whoever gave more is told how many."""
    given = [f"10.0.{number // 256}.{number % 256}" for number in range(count)]
    if accepted:
        assert NetworkList.of(given).entries == tuple(given)
    else:
        with pytest.raises(InvalidInputError, match=r"At most 1000 addresses and networks .* got 1001"):
            NetworkList.of(given)


def test_any_of_several_networks_will_do() -> None:
    """A list holds what any of its networks holds, IPv4 and IPv6 side by side."""
    allowlist = NetworkList.of(["10.0.0.0/8", "2001:db8::/32"])
    verdicts = {}
    for text in ("10.1.1.1", "2001:db8::9", "192.168.0.1", "2001:db9::9"):
        address = parse_address(text)
        assert address is not None
        verdicts[text] = allowlist.contains(address)
    assert verdicts == {"10.1.1.1": True, "2001:db8::9": True, "192.168.0.1": False, "2001:db9::9": False}


def test_an_empty_list_is_falsy_and_holds_nobody() -> None:
    """No entries means no restriction to those who ask for truth first, and never a match."""
    address = parse_address("10.0.0.1")
    assert address is not None
    for empty in (ANYWHERE, NetworkList.of([])):
        assert bool(empty) is False
        assert empty.entries == ()
        assert empty.contains(address) is False
    assert bool(NetworkList.of(["0.0.0.0/0"])) is True
