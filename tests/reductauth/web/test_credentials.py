"""Which credential a request presents, and from which address, through the HTTP door."""

from __future__ import annotations

import base64
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import ClientResponse
from multidict import CIMultiDict

from tests.reductauth.web.conftest import Caller, Serve

NONE, INVALID, SEVERAL = (
    "No bearer token in request header",
    "Invalid token",
    "More than one credential in request",
)


async def get_me(caller: Caller, lines: list[tuple[str, str]], path: str = "/api/v1/me") -> ClientResponse:
    async with caller.client.get(path, headers=CIMultiDict(lines)) as response:
        await response.read()
        return response


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  "])
async def test_the_scheme_in_any_case(root: Caller, scheme: str) -> None:
    """RFC 9110 §11.1, and §11.4: one space or more."""
    minted = await root.make("minted")
    for value in (root.value, minted.value):
        for _ in range(2):
            assert (await get_me(root, [("Authorization", f"{scheme} {value}")])).status == 200


def basic(text: str | bytes) -> str:
    """Encode a user and a password, RFC 7617 §2."""
    return "Basic " + base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


BEARER = ("Authorization", "Bearer {value}")
OK = "init-token"

# What is allowed -> the lines of a request -> the caller's name, or why there is none.
PLACES: list[tuple[str, list[tuple[str, str]], str]] = [
    ("basic", [("Authorization", basic("anybody:{value}"))], OK),
    ("basic", [("Authorization", basic(":{value}"))], OK),
    ("basic", [("Authorization", basic("{value}:{value}"))], OK),
    ("basic", [("Authorization", basic("anybody:{value}").replace("Basic", "bAsIc"))], OK),
    ("basic", [BEARER], OK),
    ("basic", [("Authorization", basic("{value}:"))], NONE),
    ("basic", [("Authorization", basic("{value}"))], INVALID),
    ("basic", [("Authorization", basic("anybody:x{value}"))], INVALID),
    ("basic", [("Authorization", basic("anybody:{value}:"))], INVALID),
    ("basic", [("Authorization", basic(b"anybody:\xff\xfe"))], INVALID),
    ("basic", [("Authorization", "Basic")], INVALID),
    ("basic", [("Authorization", "Basic {value}")], INVALID),
    ("basic", [("Authorization", "Basic ====")], INVALID),
    ("basic", [("Authorization", "Basic \u00e9")], INVALID),
    ("basic", [("Authorization", "Digest {value}")], NONE),
    ("basic", [BEARER, ("Authorization", basic("anybody:{value}"))], SEVERAL),
    ("basic", [("Authorization", basic("a:{value}")), ("Authorization", basic("a:{value}"))], SEVERAL),
    ("basic", [BEARER, ("X-Auth-Token", "{value}")], OK),
    ("basic", [("X-Auth-Token", "{value}")], NONE),
    ("x-auth-token", [("X-Auth-Token", "{value}")], OK),
    ("x-auth-token", [("x-auth-token", "{value}")], OK),
    ("x-auth-token", [("X-Auth-Token", "{value}x")], INVALID),
    ("x-auth-token", [("X-Auth-Token", "Bearer {value}")], INVALID),
    ("x-auth-token", [("X-Auth-Token", "")], NONE),
    ("x-auth-token", [BEARER], OK),
    ("x-auth-token", [BEARER, ("X-Auth-Token", "{value}")], SEVERAL),
    ("x-auth-token", [("X-Auth-Token", "{value}"), ("Authorization", "bearer {value}")], SEVERAL),
    ("x-auth-token", [BEARER, ("X-Auth-Token", "")], SEVERAL),
    ("x-auth-token", [("X-Auth-Token", "{value}"), ("X-Auth-Token", "{value}")], SEVERAL),
    ("x-auth-token", [("X-Auth-Token", "{value}"), ("Authorization", basic("a:{value}"))], OK),
    ("x-auth-token", [("Authorization", basic("a:{value}"))], NONE),
    ("both", [("X-Auth-Token", "{value}"), ("Authorization", basic("a:{value}"))], SEVERAL),
    ("both", [("X-Auth-Token", "{value}")], OK),
    ("both", [("Authorization", basic("a:{value}"))], OK),
    ("both", [BEARER], OK),
]
SETTINGS = {
    "basic": {"RS_ALLOW_BASIC_AUTH": "true"},
    "x-auth-token": {"RS_ALLOW_X_AUTH_TOKEN": "true"},
    "both": {"RS_ALLOW_BASIC_AUTH": "true", "RS_ALLOW_X_AUTH_TOKEN": "true"},
}


def filled_in(lines: list[tuple[str, str]], value: str) -> list[tuple[str, str]]:
    """Put a value into lines, inside the encoding of Basic too."""

    def fill(text: str) -> str:
        scheme, _, rest = text.partition(" ")
        try:
            decoded = base64.b64decode(rest, validate=True) if scheme.lower() == "basic" else b""
        except ValueError:
            decoded = b""
        if b"{value}" in decoded:
            return f"{scheme} {base64.b64encode(decoded.replace(b'{value}', value.encode())).decode()}"
        return text.replace("{value}", value)

    return [(name, fill(text)) for name, text in lines]


@pytest.mark.parametrize(("allowed", "lines", "answer"), PLACES)
async def test_places_that_are_allowed(
    serve: Serve, allowed: str, lines: list[tuple[str, str]], answer: str
) -> None:
    """One credential in one place that is allowed; the short way of a warm value says the same."""
    async with serve(**SETTINGS[allowed]) as root:
        assert (await get_me(root, [("Authorization", f"Bearer {root.value}")])).status == 200
        response = await get_me(root, filled_in(lines, str(root.value)))
        if answer == OK:
            assert response.status == 200
            return
        assert (response.status, response.headers["x-reduct-error"]) == (401, answer)
        first, *further = response.headers.getall("www-authenticate")
        described = f'Bearer error="invalid_token", error_description="{answer}"'
        assert first == ("Bearer" if answer == NONE else described)
        is_basic_allowed = allowed != "x-auth-token"
        assert further == (['Basic realm="tokens", charset="UTF-8"'] if is_basic_allowed else [])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], NONE),
        ([("Authorization", "")], NONE),
        ([("Authorization", "Bearer")], NONE),
        ([("Authorization", "Bearer ")], NONE),
        ([("Authorization", "Basic {value}")], NONE),
        ([("Authorization", "Basic dXNlcjp7dmFsdWV9")], NONE),
        ([("Authorization", "BearerX {value}")], NONE),
        ([("Authorization", "{value}")], NONE),
        ([("Authorization", "Bearer\t{value}")], NONE),
        ([("Proxy-Authorization", "Bearer {value}")], NONE),
        ([("X-Auth-Token", "{value}")], NONE),
        ([("Cookie", "token={value}; Authorization=Bearer {value}")], NONE),
        ([("Authorization", "Bearer {value}, Bearer {value}")], INVALID),
        ([("Authorization", 'Bearer "{value}"')], INVALID),
        ([("Authorization", "Bearer {value} {value}")], INVALID),
        ([("Authorization", "Bearer {value}x")], INVALID),
        ([("Authorization", "Bearer é")], INVALID),
        ([("Authorization", "Bearer {value}"), ("Authorization", "Bearer {value}")], SEVERAL),
        ([("Authorization", "Bearer {value}"), ("Authorization", "Basic eDp5")], SEVERAL),
        ([("Authorization", "Basic eDp5"), ("Authorization", "Bearer {value}")], SEVERAL),
    ],
)
async def test_credentials_that_are_refused(root: Caller, lines: list[tuple[str, str]], message: str) -> None:
    """One bearer value in one `Authorization` line, whole; a challenge names an error only if something was sent."""
    given = [(name, text.replace("{value}", str(root.value))) for name, text in lines]
    response = await get_me(root, given)
    assert (response.status, response.headers["x-reduct-error"]) == (401, message)
    code = f'error="invalid_token", error_description="{message}"'
    challenge = "Bearer" if message == NONE else f"Bearer {code}"
    assert response.headers.getall("www-authenticate") == [challenge]


@pytest.mark.parametrize("query", ["access_token", "token", "Authorization", "api_key"])
async def test_a_value_in_the_query_is_not_looked_at(root: Caller, query: str) -> None:
    """URLs end up in logs: no value is taken from one."""
    response = await get_me(root, [], f"/api/v1/me?{query}={root.value}")
    assert (response.status, response.headers["x-reduct-error"]) == (401, NONE)


async def test_a_value_must_be_whole(root: Caller) -> None:
    """One character less, one more, or one in another case, is another value."""
    value = str((await root.make("whole")).value)
    for wrong in (value[:-1], value + "0", value.swapcase(), value[1:], value.replace("rsat1", "rsat2")):
        response = await root.using(wrong)("GET", "/api/v1/me")
        assert (response.status, response.headers["x-reduct-error"]) == (401, INVALID)


async def test_what_is_kept_of_a_value_is_not_a_value(root: Caller, tmp_path: Path) -> None:
    """A digest that was stolen from the registry opens nothing."""
    await root.make("t", '{"full_access": true}')
    with closing(sqlite3.connect(f"file:{tmp_path}/auth/auth.db?mode=ro", uri=True)) as registry:
        digests = [digest for (digest,) in registry.execute("SELECT digest FROM secrets")]
    assert len(digests) == 2
    for digest in digests:
        assert (await root.using(digest.hex())("GET", "/api/v1/me")).status == 401


def refusal_for(address: str | None) -> str:
    """What a client outside the allowlist reads; None: an address that cannot be known."""
    if address is None:
        return "Client IP is required for this token"
    return f"Token is not allowed for client IP {address}"


ALLOWED = {"permissions": {}, "ip_allowlist": ["203.0.113.7", "2001:db8::/32"]}


@pytest.mark.parametrize(
    ("proxies", "lines", "status", "address"),
    [
        # Nobody is believed who is not named.
        ("", ["203.0.113.7"], 401, "127.0.0.1"),
        ("10.0.0.0/8", ["203.0.113.7"], 401, "127.0.0.1"),
        # From the right, past the trusted ones.
        ("127.0.0.1", ["203.0.113.7"], 200, ""),
        ("127.0.0.1", ["198.51.100.1, 203.0.113.7"], 200, ""),
        ("127.0.0.1", ["203.0.113.7, 198.51.100.1"], 401, "198.51.100.1"),
        ("127.0.0.0/8,10.0.0.0/8", ["203.0.113.7, 10.1.1.1, 10.2.2.2"], 200, ""),
        ("127.0.0.0/8,10.0.0.0/8", ["203.0.113.7, 198.51.100.1, 10.2.2.2"], 401, "198.51.100.1"),
        # Several lines are one list.
        ("127.0.0.1", ["198.51.100.1", "203.0.113.7"], 200, ""),
        ("127.0.0.1", ["203.0.113.7", "198.51.100.1"], 401, "198.51.100.1"),
        # Mapped addresses count as IPv4, and IPv6 ones as what they are.
        ("127.0.0.1", ["::ffff:203.0.113.7"], 200, ""),
        ("::ffff:127.0.0.1", ["203.0.113.7"], 200, ""),
        ("127.0.0.1", ["2001:db8::5"], 200, ""),
        ("127.0.0.1", ["2001:db9::5"], 401, "2001:db9::5"),
        # What is no address makes the client unknown.
        ("127.0.0.1", ["unknown"], 401, None),
        ("127.0.0.1", ["203.0.113.7, _hidden"], 401, None),
        ("127.0.0.1", ["203.0.113.7,"], 401, None),
        ("127.0.0.1", ["203.0.113.007"], 401, None),
        # All are proxies, or there is no list: the last one that is known.
        ("127.0.0.0/8", ["127.0.0.9"], 401, "127.0.0.9"),
        ("127.0.0.1", [], 401, "127.0.0.1"),
    ],
)
async def test_the_clients_address(
    serve: Serve, proxies: str, lines: list[str], status: int, address: str | None
) -> None:
    """An allowlist is about the client, found from the socket's peer and the proxies that are trusted."""
    async with serve(RS_TRUSTED_PROXIES=proxies) as root:
        value = str((await root.make("t", json.dumps(ALLOWED))).value)
        headers = [("Authorization", f"Bearer {value}"), ("x-reduct-client-ip", "203.0.113.7")]
        response = await get_me(root, headers + [("X-Forwarded-For", line) for line in lines])
        assert response.status == status
        if status == 401:
            assert response.headers["x-reduct-error"] == refusal_for(address)


@pytest.mark.parametrize(
    ("lines", "status", "address"),
    [
        (["for=203.0.113.7"], 200, ""),
        (["For=203.0.113.7;proto=https;by=10.0.0.1"], 200, ""),
        (['proto=https; for="203.0.113.7:4711"'], 200, ""),
        (['for="[2001:db8::5]"'], 200, ""),
        (['for="[2001:db8::5]:4711"'], 200, ""),
        (['for="[::ffff:203.0.113.7]"'], 200, ""),
        (["for=198.51.100.1, for=203.0.113.7"], 200, ""),
        (["for=203.0.113.7, for=198.51.100.1"], 401, "198.51.100.1"),
        (["for=203.0.113.7", "for=198.51.100.1"], 401, "198.51.100.1"),
        (["for=203.0.113.7,for=127.0.0.9"], 200, ""),
        # A client that sends half an element cannot swallow what the proxy adds to it.
        (['for="198.51.100.1, for=203.0.113.7'], 200, ""),
        (['for="198.51.100.1, for="[2001:db8::5]"'], 200, ""),
        (['for="203.0.113.7, for=198.51.100.1'], 401, "198.51.100.1"),
        (["for=unknown"], 401, None),
        (["for=_hidden"], 401, None),
        (["for=2001:db8::5"], 401, None),
        (["by=203.0.113.7"], 401, None),
        (["203.0.113.7"], 401, None),
        (["for=203.0.113.7;for=203.0.113.7"], 401, None),
        (["for=203.0.113.7,"], 401, None),
        ([], 401, "127.0.0.1"),
    ],
)
async def test_the_clients_address_by_rfc_7239(
    serve: Serve, lines: list[str], status: int, address: str | None
) -> None:
    """With `RS_PROXY_HEADER=forwarded` the same walk is made over `Forwarded`, and `X-Forwarded-For` says nothing."""
    async with serve(RS_TRUSTED_PROXIES="127.0.0.0/8", RS_PROXY_HEADER="forwarded") as root:
        value = str((await root.make("t", json.dumps(ALLOWED))).value)
        headers = [("Authorization", f"Bearer {value}"), ("X-Forwarded-For", "203.0.113.7")]
        response = await get_me(root, headers + [("Forwarded", line) for line in lines])
        assert response.status == status
        if status == 401:
            assert response.headers["x-reduct-error"] == refusal_for(address)


async def test_forwarded_says_nothing_unless_it_is_chosen(serve: Serve) -> None:
    """Only one of the two headers is ever believed."""
    async with serve(RS_TRUSTED_PROXIES="127.0.0.0/8") as root:
        value = str((await root.make("t", json.dumps(ALLOWED))).value)
        headers = [("Authorization", f"Bearer {value}"), ("Forwarded", "for=203.0.113.7")]
        assert (await get_me(root, headers)).status == 401


async def test_a_warm_value_behind_a_proxy(serve: Serve) -> None:
    """Each use is written down under the address of its own client, also after one by the proxy itself."""
    async with serve(RS_TRUSTED_PROXIES="127.0.0.1") as root:
        header = ("Authorization", f"Bearer {root.value}")
        clients = (None, None, "203.0.113.7", "203.0.113.7", "198.51.100.1", None)
        for number, client in enumerate(clients):
            lines = [header] if client is None else [header, ("X-Forwarded-For", client)]
            made = await root.client.post(f"/api/v1/tokens/t{number}", headers=CIMultiDict(lines), data=b"{}")
            assert made.status == 200
        books = await (await root("GET", "/api/v1/audit?action=create&sort=sequence")).json()
        assert [entry["address"] for entry in books["entries"]] == [c or "127.0.0.1" for c in clients]
