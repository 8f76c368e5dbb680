"""Requests, right and wrong: of every route, by every kind of caller; and with bytes changed at random.

A case is made from a seed alone, so that it can be made again.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from random import Random

from tests.attacks.bodies import body, encoded
from tests.storage_demo.test_routes import CALLS, golden_routes

__all__ = ["DRIFTER", "Callers", "Case", "make_case"]

DRIFTER = b"<value of the drifter>"
"""Stands in a case for the value of the token `drifter`, which changes whenever a case makes it rotate itself."""


@dataclass(frozen=True)
class Callers:
    """Who asks: values of tokens. The value of a stranger is new in every case."""

    administrator: str
    narrow: str


@dataclass(frozen=True)
class Case:
    """Bytes to send. `is_complete`: whether they are one whole request, so that an answer must come."""

    data: bytes
    is_complete: bool
    secrets: tuple[bytes, ...]

    @property
    def is_head(self) -> bool:
        return self.data.lstrip(b"\r\n")[:5].upper() == b"HEAD "


_ROUTES = [route for route in golden_routes() if route.method != "*"]
_METHODS = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "FOO",
    "PROPFIND",
    "M-SEARCH",
    "A" * 99,
)
_NO_METHODS = ("get", "", " GET", "GE T", "G\0T", "GET\t", "\u00c9", "(GET)", "CONNECT", "PRI")
_VERSIONS = (
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/2.0",
    "HTTP/0.9",
    "HTTP/11",
    "http/1.1",
    "HTTP/1.1 ",
    "HTTP/1.",
    "ICY",
    "",
)

_TOKENS = (
    "worker",
    "worker",
    "fresh",
    "fresh",
    "init-token",
    "narrow",
    "drifter",
    "missing",
    "me",
    "Worker",
    "$batch",
)
_BUCKETS = (
    "home",
    "home",
    "spare",
    "fresh",
    "missing",
    "$system",
    "ho%6de",
    "HOME",
    "moved",
    "homes",
    "$audit",
)
_ENTRIES = (
    "log",
    "log",
    "a/b/c",
    "a//b",
    "$meta",
    "log/$meta",
    "q",
    "log/q",
    "batch",
    "rename",
    "a%2Fb",
    "$meta/x",
)
_ODD_NAMES = (
    *(
        "%0d%0ax-y:%20z",
        "%00",
        "%7f",
        "%2F",
        "a%2fb",
        "..",
        "%2e%2e",
        "%252e",
        "a%20b",
        "%c3%a9",
        "%e2%84%aa",
        "%ff",
    ),
    *(
        "%ED%A0%80",
        "%",
        "%zz",
        "%u0041",
        'a"b\\c',
        "<img onerror=x>",
        "{}",
        "{0}",
        "%s",
        "*",
        "~",
        "'",
        ";x=1",
        "a:b",
    ),
    *(
        "a" * 128,
        "a" * 129,
        "a" * 4_000,
        "%C3%A9" * 100,
        "$",
        "@",
        "[",
        "|",
        "^",
        "`",
        ".",
        "-",
        "_",
        "%09",
        "%E2%80%A8",
    ),
)
_QUERIES = (
    *(
        "ts=1",
        "ts=2",
        "ts=",
        "ts",
        "ts=-1",
        "ts=1.5",
        "ts=9223372036854775807",
        "ts=9223372036854775808",
        "ts=%00",
    ),
    *(
        "ts=" + "9" * 5_000,
        "ts=1&ts=2",
        "ts=%D9%A1",
        "view=full",
        "view=",
        "view=brief",
        "VIEW=full",
        "limit=1",
    ),
    *(
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=99999999999999999999",
        "offset=9223372036854775808",
        "sort=-name",
    ),
    *(
        "offset=9223372036854775807",
        "sort=status",
        "sort=x",
        "status=active,revoked",
        "status=",
        "search=a%20b",
    ),
    *(
        "search=%25_",
        "search=" + "a%20" * 200,
        "search=%00",
        "search=%ff",
        "id=x",
        "access=read",
        "bucket=home",
    ),
    *(
        "bucket=%24x&access=write",
        "id=00000000-0000-0000-0000-000000000000",
        "by=month",
        "by=year",
        "from=2030-01-01",
    ),
    *("from=2030-13-01", "to=0000-00-00", "from=9999-12-31&to=0001-01-01", "action=read&bucket=home"),
    *(
        "action=full_access",
        "action=write",
        "action=x",
        "action=read&bucket=a&client_ip=::ffff:10.0.0.1",
        "at=x",
    ),
    *(
        "action=full_access&at=9999-12-31T23:59:59-14:00",
        "action=full_access&client_ip=010.0.0.1",
        "a=b;c=d",
        "&&&",
    ),
    *("%", "%zz=%zz", "=", "?", "a" * 5_000, "&".join(["a=1"] * 500), "query=" + "%F0%9F%94%92"),
)
_FILES = ("log.bin", "a/b", "x")
_RECORD_QUERIES = (
    *(
        "q=1",
        "q=2",
        "q=x",
        "q=",
        "q=9223372036854775808",
        "q=1&ts=1",
        "start=1&stop=3",
        "start=3&stop=1",
        "start=x",
    ),
    *(
        "stop=9223372036854775807",
        "ttl=0",
        "ttl=x",
        "continuous=true",
        "continuous=1",
        "ts=1&x=1",
        "start=0&ttl=1",
    ),
)
_LINK_QUERIES = (
    "ct=x",
    "ct=",
    "ct=rsl1.",
    "ct=rsl1." + "A" * 500,
    "ct=rsl1.%ff",
    "ct=rsl1.AAAA&ts=x",
    "ts=1",
    "",
)
# What batches say in their headers, by the last part of their path.
_BATCH_HEADERS: dict[str, tuple[tuple[tuple[str, str], ...], ...]] = {
    "batch": (
        (("x-reduct-time-1", "1,"), ("x-reduct-time-2", "0,text/plain,a=b")),
        (("x-reduct-time-7", '1,a/b,k="x,y",l='),),
        (("x-reduct-time-x", "1,"),),
        (("x-reduct-time-1", "x"), ("x-reduct-time-2", ",,")),
        (("x-reduct-time-9223372036854775807", "0,,a"), ("x-reduct-time-9223372036854775808", "0,")),
        (("x-reduct-time-3", '0,,k="'), ("X-Reduct-Time-3", "0,")),
        tuple((f"x-reduct-time-{at}", "0,") for at in range(100)),
        (),
    ),
    "several": (
        (("x-reduct-entries", "log,a%2Fb"), ("x-reduct-start-ts", "1"), ("x-reduct-0-0", "1,")),
        (
            *(("x-reduct-entries", "log"), ("x-reduct-start-ts", "5"), ("x-reduct-labels", "a,b")),
            *(("x-reduct-0-0", "0,text/plain,0=x,1=y"), ("x-reduct-0-3", "1"), ("x-reduct-0-4", "0,,0=")),
        ),
        (("x-reduct-entries", ""), ("x-reduct-start-ts", "0")),
        (
            ("x-reduct-entries", "%zz,,$meta"),
            ("x-reduct-start-ts", "9223372036854775807"),
            ("x-reduct-0-1", "0,"),
        ),
        (("x-reduct-entries", "log"), ("x-reduct-start-ts", "x")),
        (
            ("x-reduct-entries", "log/$meta"),
            ("x-reduct-start-ts", "1"),
            ("x-reduct-0-0", "1,,key=k,remove=true"),
        ),
        (
            ("x-reduct-entries", "log"),
            ("x-reduct-start-ts", "1"),
            ("x-reduct-7-0", "1,"),
            ("x-reduct-x-0", ""),
        ),
        (("x-reduct-entries", "../spare/log,log"), ("x-reduct-start-ts", "1"), ("x-reduct-0-0", "1,,@a=1")),
        (("x-reduct-entries", "log"), ("x-reduct-start-ts", "1"), ("x-reduct-0-0", "1,,9=x,-1=y,a=\xe9")),
        (),
    ),
    "read": ((("x-reduct-query-id", "1"),), (("x-reduct-query-id", "2"),), (("x-reduct-query-id", "x"),), ()),
}
_HOSTS = (
    "localhost",
    "localhost",
    "localhost",
    "127.0.0.1:8383",
    "",
    "a b",
    "\xe9",
    "[::1]",
    "[",
    "a,b",
    "x" * 300,
)
_EXTRA: tuple[tuple[str, str], ...] = (
    ("Expect", "100-continue"),
    ("Expect", "100-Continue"),
    ("Expect", "200-ok"),
    ("Expect", ""),
    ("Connection", "close"),
    ("Connection", "keep-alive"),
    ("Connection", "upgrade"),
    ("Connection", "Authorization, close"),
    ("Upgrade", "websocket"),
    ("Upgrade", "h2c"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
    ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-For", "10.0.0.1, x, ::1%eth0"),
    ("X-Forwarded-For", "," * 1_000),
    ("Forwarded", 'for="[::1]:x";by=_y, for=1'),
    ("X-Reduct-Client-Ip", "127.0.0.1"),
    ("Origin", "https://evil.example.com"),
    ("Origin", "null"),
    ("Origin", "https://console.example.com"),
    ("Range", "bytes=0-0,-1"),
    ("If-None-Match", "*"),
    ("If-Modified-Since", "x"),
    ("Accept-Encoding", "gzip, br;q=x"),
    ("Accept", "text/html"),
    ("Content-Type", "application/json; charset=x"),
    ("Content-Type", "text/plain\x0b"),
    ("Content-Type", "multipart/form-data; boundary="),
    ("Content-Type", "a" * 2_000),
    ("Content-Type", ""),
    ("Content-Type", "\xe9"),
    ("Trailer", "Authorization"),
    ("TE", "trailers"),
    ("Max-Forwards", "0"),
    ("x-reduct-content-length", "3"),
    ("x-reduct-content-length", "x"),
    ("x-reduct-label-a", "1"),
    ("x-reduct-label-", ""),
    ("x-reduct-label-\xe9", "1"),
    ("x-reduct-label-a", "\xe9"),
    ("x-reduct-label-b", "\x0b"),
    ("x-reduct-label-c", "y" * 3_000),
    ("User-Agent", "\x1b[31m${jndi:ldap://x}"),
    ("A" * 3_000, "1"),
    ("Large", "z" * 9_000),
    ("Nul", "a\0b"),
    ("Bare", "a\rb"),
    ("Line", "a\nb"),
    ("Fold", "a\r\n b"),
    ("Space ", "1"),
    (" Lead", "1"),
    ("No(token)", "1"),
    ("", "1"),
    ("Date", "x"),
    ("Host", "second"),
    ("Via", "1.1 x"),
    ("Cookie", "a=b; " * 100),
)


def make_case(random: Random, callers: Callers) -> Case:
    """Make a request by the grammar; three in ten have bytes of it changed."""
    data, is_complete, secrets = _request(random, callers)
    if random.random() < 0.3:
        return Case(_mutated(random, data), is_complete=False, secrets=secrets)
    return Case(data, is_complete=is_complete, secrets=secrets)


def _request(random: Random, callers: Callers) -> tuple[bytes, bool, tuple[bytes, ...]]:
    route = random.choice(_ROUTES)
    is_right = random.random() < 0.7  # but for its body
    method = route.method if is_right or random.random() < 0.8 else random.choice(_METHODS + _NO_METHODS)
    is_read = method in {"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"}
    lines, secrets = _credential(random, callers)
    content = b"" if is_read and random.random() < 0.9 else body(random, _kind(route.method, route.path))
    version = "HTTP/1.1" if is_right or random.random() < 0.9 else random.choice(_VERSIONS)
    head = [f"{method} {_target(random, route.path, str(route), is_right=is_right)} {version}"]
    # Before all others: should a line break be lost, a value must not slip into what is stored and shown.
    head += (
        [f"Host: {'localhost' if is_right else random.choice(_HOSTS)}"]
        if is_right or random.random() < 0.97
        else []
    )
    head += lines
    further = [] if is_right else [random.choice(_EXTRA) for _ in range(random.choice((0, 1, 1, 2, 4)))]
    if random.random() < 0.001:
        further += [("Many", "x")] * random.choice((90, 130, 5_000))
    further += random.choice(_BATCH_HEADERS.get(_batch_kind(route.path), ((),)))
    head += [f"{name}: {value}" for name, value in further]
    sent_head = [line.encode("latin-1", "replace") for line in head]
    if not is_right and random.random() < 0.1:
        coding, content = encoded(random, content)
        sent_head.append(b"Content-Encoding: " + coding)
    framing, payload, is_framed = _framed(random, content, is_right=is_right)
    line_break = b"\r\n" if is_right or random.random() < 0.98 else b"\n"
    data = line_break.join([*sent_head, *framing, b"", b""]) + payload
    # Whether a request with a fault in its head is whole is for the server to say: it may wait, or refuse.
    return data, is_right and is_framed, secrets


def _kind(method: str, path: str) -> str:
    last = path.rpartition("/")[2]
    kinds = {
        "rotate": "rotation",
        "revoke": "nothing",
        "$batch": "batch",
        "rename": "name",
        "{entry_name}": "content",
        "batch": "content",
        "write": "content",
        "q": "query",
        "{file_name}": "link",
    }
    if "{bucket_name}" in path:
        return kinds.get(last, "settings")
    return kinds.get(last, "edit" if method == "PATCH" else "token")


def _batch_kind(path: str) -> str:
    """Which of the headers of batches a route looks at."""
    last = path.rpartition("/")[2]
    return "several" if last in {"write", "update", "remove"} else last


def _target(random: Random, path: str, route: str, *, is_right: bool) -> str:
    if random.random() < 0.1:
        return str(CALLS[route][1])
    parameters = (
        *(("token_name", _TOKENS), ("bucket_name", _BUCKETS), ("entry_name", _ENTRIES)),
        ("file_name", _FILES),
    )
    for parameter, names in parameters:
        name = random.choice(names) if random.random() < 0.85 else random.choice(_ODD_NAMES)
        path = path.replace(f"{{{parameter}}}", name.replace("\0", ""))
    if random.random() < (0.9 if "entry_name" in route else 0.3):
        path += "?" + random.choice(_RECORD_QUERIES if random.random() < 0.3 else _QUERIES)
    elif "file_name" in route:
        path += "?" + random.choice(_LINK_QUERIES)
    elif "entry_name" in route:
        path += "?ts=1"
    if is_right:
        return path.replace(" ", "%20")
    if random.random() < 0.5:
        return path
    whole = ("*", "", "localhost:1", "//", "/", "?", "/%", "http://", f"/api/v1/{'a/' * 3_000}")
    return random.choice(
        (
            f"{path}/",
            f"/{path}",
            path.replace("/api", "/./api"),
            path.replace("/v1", "/x/../v1"),
            path.replace("/", "\\"),
            f"{path}#fragment",
            f"http://other.example.com{path}",
            f"http://[{path}",
            random.choice(whole),
            path + random.choice(_ODD_NAMES),
            f"{path};x=1",
            f"{path}\xe9\x80",
        )
    )


def _credential(random: Random, callers: Callers) -> tuple[list[str], tuple[bytes, ...]]:
    """Lines that present a value, and the value, as it must not be shown."""
    stranger = f"stranger-{random.getrandbits(160):040x}"
    value = random.choices(
        ("", stranger, callers.narrow, callers.administrator, DRIFTER.decode()), (2, 2, 2, 5, 1)
    )[0]
    if not value:
        return random.choice(
            ([], [], ["Authorization:"], ["Authorization: Bearer"], ["Authorization: Bearer "])
        ), ()
    basic = base64.b64encode(f"user:{value}".encode()).decode()
    secrets = (value.encode(), basic.encode())
    if random.random() < 0.8:
        return [f"Authorization: Bearer {value}"], secrets
    lines = random.choice(
        (
            [f"authorization: bEARER {value}"],
            [f"Authorization: Basic {basic}"],
            [f"Authorization: Basic {value}"],
            [f"X-Auth-Token: {value}"],
            [f"Authorization: Bearer {value}", f"Authorization: Bearer {value}"],
            [f"Authorization: Bearer {value}", f"X-Auth-Token: {value}"],
            [f"Authorization: Bearer {value}, Bearer x"],
            [f"Authorization: Bearer\t{value}"],
            [f"Authorization:Bearer {value} "],
            [f"Authorization : Bearer {value}"],
            [f"Authorization:\r\n Bearer {value}"],
            [f"Authorization: Bearer \x01{value}"],
            [f"Authorization: Bearer \0{value}"],
            [f"Authorization: Bearer \xe9{value}"],
            [f"Authorization: Bearer {value * 200}"],
            [f"Authorization: Bearer {value[:-1]}"],
            [f'Authorization: Bearer "{value}"'],
            [f"Authorization: {value}"],
            [f"Cookie: token={value}"],
            [f"Proxy-Authorization: Bearer {value}"],
            [f"Content-Length: {value}"],
            [f"Transfer-Encoding: {value}"],
            [f"Expect: {value}"],
            [f"Host: {value}"],
            [f"Authorization: Digest username=x, response={value}"],
        )
    )
    return lines, secrets


def _framed(random: Random, content: bytes, *, is_right: bool) -> tuple[list[bytes], bytes, bool]:
    """Lines of the head that say how long the body is, the body, and whether that is the truth."""
    length = b"Content-Length: %d" % len(content)
    chunked = b"Transfer-Encoding: chunked"
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content) if content else b"0\r\n\r\n"
    if is_right or random.random() < 0.6:
        if random.random() < 0.15:
            return [chunked], chunks, True
        return ([length] if content or random.random() < 0.5 else []), content, True
    lines, payload = random.choice(
        (
            ([length, length], content),
            ([length, b"Content-Length: 0"], content),
            ([length, chunked], content),
            ([chunked, length], chunks),
            ([chunked, chunked], chunks),
            ([b"Content-Length: %d" % (len(content) + 1)], content),
            ([b"Content-Length: %d" % max(0, len(content) - 1)], content),
            ([b"Content-Length: -1"], content),
            ([b"Content-Length: +%d" % len(content)], content),
            ([b"Content-Length: 0x10"], content),
            ([b"Content-Length: 1_0"], content),
            ([b"Content-Length: \xd9\xa1"], content),
            ([b"Content-Length:"], content),
            ([b"Content-Length: %d, %d" % (len(content), len(content))], content),
            ([b"Content-Length: 99999999999999999999999"], content),
            ([b"Content-Length: 9223372036854775807"], content),
            ([b"Transfer-Encoding: gzip, chunked"], chunks),
            ([b"Transfer-Encoding: chunked, gzip"], chunks),
            ([b"Transfer-Encoding: xchunked"], chunks),
            ([b"Transfer-Encoding:\x0bchunked"], chunks),
            ([b"Transfer-Encoding: identity"], content),
            ([b"Transfer-Encoding: CHUNKED"], chunks),
            ([chunked], b"%x;a=b\r\n%b\r\n0\r\nX-Trailer: 1\r\n\r\n" % (len(content), content)),
            ([chunked], b"+" + chunks),
            ([chunked], b"-" + chunks),
            ([chunked], b"0x" + chunks),
            ([chunked], chunks.replace(b"\r\n", b"\n")),
            ([chunked], chunks.replace(b"\r\n\r\n", b"\r\n")),
            ([chunked], b"fffffffffffffffff\r\n" + content),
            ([chunked], b"2\r\nxyz\r\n0\r\n\r\n"),
            ([chunked], b"5" + b";" * 20_000 + b"\r\n"),
            ([chunked], chunks + b"GET /api/v1/tokens HTTP/1.1\r\nHost: x\r\n\r\n"),
            ([], content),
        )
    )
    return lines, payload, False


_BYTES = (
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"%",
    b"/",
    b";",
    b",",
    b'"',
    b"\\",
)


def _mutated(random: Random, data: bytes) -> bytes:
    """The same with some bytes changed, lost, doubled or put in."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        place = random.randrange(len(changed) + 1)
        match random.randrange(6):
            case 0:
                changed[place:place] = random.choice(_BYTES)
            case 1:
                changed[place : place + 1] = random.choice(_BYTES)
            case 2:
                changed[place : place + 1] = random.randbytes(1)
            case 3:
                del changed[place : place + random.choice((1, 1, 2, 8))]
            case 4:
                changed[place:place] = changed[place : place + 4]
            case _:
                del changed[place:]
    return bytes(changed)
