"""JSON bodies, right ones and wrong ones."""

from __future__ import annotations

import copy
import gzip
import json
import zlib
from random import Random
from typing import Any

__all__ = ["RIGHT", "body", "encoded"]

# For each kind of body: some that are right, from which the wrong ones are made.
RIGHT: dict[str, list[Any]] = {
    "token": [
        {},
        {"full_access": True},
        {"read": ["home", "lab-*", "$system"], "write": ["*"], "ip_allowlist": ["10.0.0.0/8", "::1"]},
        {
            "permissions": {"full_access": False, "read": ["home"]},
            "expires_at": "2090-01-01T00:00:00Z",
            "ttl": 9,
        },
        {"role": "viewer", "description": "x", "active": False, "valid_from": "2030-01-01T00:00:00+05:30"},
    ],
    "edit": [
        {"description": None, "ttl": None},
        {"permissions": {"read": ["home"], "write": None}},
        {"role": "recorder", "active": True},
        {"expires_at": "2090-01-01T00:00:00Z", "ip_allowlist": ["127.0.0.1"]},
    ],
    "rotation": [{}, {"grace_seconds": 0}, {"grace_seconds": 2_592_000}],
    "nothing": [{}],
    "batch": [
        {"items": [{"op": "revoke", "name": "worker"}, {"op": "delete", "name": "fresh"}]},
        {
            "items": [
                {"op": "edit", "name": "worker", "patch": {"ttl": 5}},
                {"op": "activate", "name": "none"},
            ]
        },
    ],
    "settings": [
        {},
        {"quota_type": "FIFO", "quota_size": 100_000},
        {"quota_type": "HARD", "max_block_size": 1, "max_block_records": 1},
    ],
    "name": [{"new_name": "moved"}, {"new_name": "home"}],
    "content": ["x"],
    "query": [
        {"query_type": "QUERY"},
        {"query_type": "QUERY", "start": 1, "stop": 5, "ttl": 1, "entries": ["log", "a*", "**/b", "!x"]},
        {"query_type": "QUERY", "when": {"&a": {"$gt": 1}, "$limit": 3}, "strict": True},
        {
            "query_type": "QUERY",
            "when": {"$in": [{"&key": {"$cast": "string"}}, "a", "$$b"]},
            "continuous": True,
        },
        {"query_type": "REMOVE", "when": {"$or": [{"$each_n": 2}, {"$each_t": "1s"}, {"$not": ["&x"]}]}},
        {"query_type": "QUERY", "ext": {"x": {}}},
    ],
    "link": [
        {
            "bucket": "home",
            "entry": "log",
            "record_entry": "log",
            "record_timestamp": 1,
            "query": {"query_type": "QUERY", "when": {"$limit": 1}},
            "expire_at": 4_102_444_800,
            "base_url": "https://storage.example.com",
        },
    ],
}

_ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.5, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 1e308),
    *(
        "",
        " ",
        "true",
        "null",
        "*",
        "**",
        "$",
        "$a*",
        "a*b",
        "a/b",
        "../x",
        "\0",
        "\r\nx: y",
        "\x7f",
        "é",
        "\u212a",
    ),
    *("0", "1e400", "NaN", "2030-13-01T00:00:00Z", "2030-01-01", "9999-12-31T23:59:59-14:00", "2026-W01-1"),
    *(
        "010.0.0.1",
        "10.0.0.0/33",
        "::/129",
        "x" * 1_001,
        "a" * 100_000,
        "${HOME}",
        "' OR 1=1 --",
        "\U0001f512",
    ),
    *([], {}, [[]], [None], [1], ["a", "a"], {"": ""}, {"a": {"b": {"c": []}}}, ["x"] * 1_001),
]
_KEYS = (
    "is_provisioned",
    "value",
    "name",
    "created_at",
    "permissions",
    "role",
    "ttl",
    "op",
    "patch",
    "__class__",
    "",
)

# What is no JSON, or not what most readers of JSON think.
_TEXTS: list[bytes] = [
    *(
        b"",
        b" ",
        b"null",
        b"[]",
        b'""',
        b"1",
        b"{",
        b"}",
        b"{}{}",
        b"{},",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
    ),
    *(
        b'{"read": ["\xff"]}',
        b'{"a": "\\ud800"}',
        b'{"description": "\\ud800", "role": "viewer"}',
        b"{'a': 1}",
    ),
    *(
        b'{"ttl": NaN}',
        b'{"ttl": Infinity}',
        b'{"ttl": 1e400}',
        b'{"ttl": 01}',
        b'{"ttl": 0x1}',
        b'{"ttl": 1.0}',
    ),
    *(b'{"full_access": false, "full_access": true}', b'{"permissions": {"read": [], "read": ["*"]}}'),
    *(
        b'{"a\\u0000": 1}',
        b"// c\n{}",
        b"{/**/}",
        b"[" * 20_000,
        b'{"a":' * 20_000,
        b'{"items": ' + b"[" * 3_000,
    ),
    *(b'{"items": [' + b",".join([b"{}"] * 1_001) + b"]}", b"9" * 5_000, b'{"ttl": ' + b"9" * 5_000 + b"}"),
    *(b"{" + b",".join(b'"%d": 0' % number for number in range(5_000)) + b"}", b"\0" * 100, b"a=b&c=d"),
]


def body(random: Random, kind: str) -> bytes:
    """Make a body of a kind: right, wrong in one or more places, or nothing of the sort."""
    choice = random.random()
    if choice < 0.15:
        return random.choice(_TEXTS)
    content = json.loads(
        json.dumps(random.choice(RIGHT[kind if choice < 0.95 else random.choice(list(RIGHT))]))
    )
    for _ in range(random.choice((0, 0, 1, 1, 2, 4))):
        content = _changed(random, content)
    text = json.dumps(content, ensure_ascii=random.random() < 0.9).encode("utf-8", "surrogatepass")
    if random.random() < 0.05:
        return text[: random.randrange(len(text) + 1)]
    if random.random() < 0.001:
        return text + b" " * (1024 * 1024)
    return text


def _changed(random: Random, content: Any) -> Any:
    """The same, with something odd at one place at some depth."""
    if isinstance(content, dict) and content and random.random() < 0.8:
        key = random.choice(list(content))
        match random.randrange(6):
            case 0:
                del content[key]
            case 1:
                content[random.choice(_KEYS)] = copy.deepcopy(random.choice(_ODD))
            case 2:
                content[key + random.choice((" ", "\0", "s"))] = copy.deepcopy(content[key])
            case _:
                content[key] = _changed(random, content[key])
        return content
    if isinstance(content, list) and content and random.random() < 0.6:
        place = random.randrange(len(content))
        content[place] = _changed(random, content[place])
        return content
    return copy.deepcopy(random.choice(_ODD))


def encoded(random: Random, content: bytes) -> tuple[bytes, bytes]:
    """A content coding, and a body that has it, or only says so."""
    coding = random.choice((b"gzip", b"deflate", b"br", b"zstd", b"identity", b"gzip, gzip", b"x", b""))
    match random.randrange(4):
        case 0:
            return coding, content
        case 1:
            return coding, gzip.compress(content, 1)
        case 2:
            return coding, zlib.compress(content, 1)
        case _:
            return coding, gzip.compress(content, 1)[: random.randrange(20)]
