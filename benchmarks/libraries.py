"""The peers: libraries of the field, and two ways that engines go without one.

Each is in the plainest form that its documentation shows, with nothing around it that would slow it down, and answers
the same question: may whoever sent this header read this bucket? None of them counts usage, notices another
process's change, throttles guesses or says why it refuses; what else one does not do stands at its class.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from benchmarks.extras import from_extra
from benchmarks.floor import Floor
from benchmarks.population import Grants

with from_extra("peers"):
    import aiohttp_security
    import casbin
    import jwt
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from itsdangerous import BadData, URLSafeTimedSerializer

__all__ = [
    "Casbin",
    "FastCasbin",
    "Itsdangerous",
    "JwtEdDsa",
    "JwtHs256",
    "Peer",
    "SaltedScan",
    "SqliteRead",
    "check_permission",
    "secure",
]

check_permission = aiohttp_security.check_permission

_DAY_SECONDS = 86_400


class Peer(ABC):
    """Decides about the tokens of `grants`."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants

    def header(self, number: int) -> str:
        """The header that the holder of a token sends."""
        return f"Bearer {self._grants[number][0]}"

    @abstractmethod
    def allows(self, header: str, bucket: str) -> bool:
        """Whether the header's token may read the bucket."""


class _Jwt(Peer):
    """PyJWT. A token cannot be revoked or changed before it expires, and its holder can read what it may do."""

    def __init__(self, grants: Grants, algorithm: str, signing_key: Any, verifying_key: Any) -> None:
        super().__init__(grants)
        self._algorithm = algorithm
        self._signing_key = signing_key
        self._verifying_key = verifying_key

    def header(self, number: int) -> str:
        claims = {
            "sub": f"token-{number}",
            "exp": int(time.time()) + _DAY_SECONDS,
            "read": [self._grants[number][1]],
            "write": [],
        }
        return f"Bearer {jwt.encode(claims, self._signing_key, algorithm=self._algorithm)}"

    def allows(self, header: str, bucket: str) -> bool:
        try:
            claims = jwt.decode(header[7:], self._verifying_key, algorithms=[self._algorithm])
        except jwt.InvalidTokenError:
            return False
        return bucket in claims["read"]


class JwtHs256(_Jwt):
    """HMAC: whoever can verify can also sign."""

    def __init__(self, grants: Grants) -> None:
        key = secrets.token_bytes(32)
        super().__init__(grants, "HS256", key, key)


class JwtEdDsa(_Jwt):
    """Ed25519."""

    def __init__(self, grants: Grants) -> None:
        key = Ed25519PrivateKey.generate()
        super().__init__(grants, "EdDSA", key, key.public_key())


class Itsdangerous(Peer):
    """itsdangerous, with the permissions in the payload. As with a JWT, nothing is revoked before it expires."""

    def __init__(self, grants: Grants) -> None:
        super().__init__(grants)
        self._serializer = URLSafeTimedSerializer(secrets.token_bytes(32))

    def header(self, number: int) -> str:
        claims = {"name": f"token-{number}", "read": [self._grants[number][1]], "write": []}
        return f"Bearer {self._serializer.dumps(claims)}"

    def allows(self, header: str, bucket: str) -> bool:
        try:
            claims = self._serializer.loads(header[7:], max_age=_DAY_SECONDS)
        except BadData:
            return False
        return bucket in claims["read"]


_CASBIN_MODEL = """
[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
"""


class Casbin(Peer):
    """pycasbin, the model and the policy in files. It authenticates nobody: that is done here as the floor does it.

    Nothing expires.
    """

    def __init__(self, grants: Grants, folder: Path) -> None:
        super().__init__(grants)
        self._key = secrets.token_bytes(32)
        self._names = {self._digest(value): f"token-{number}" for number, (value, _) in enumerate(grants)}
        model, policy = folder / "model.conf", folder / "policy.csv"
        model.write_text(_CASBIN_MODEL)
        policy.write_text(
            "".join(f"p, token-{number}, {bucket}, read\n" for number, (_, bucket) in enumerate(grants))
        )
        self._enforcer = self.enforcer(str(model), str(policy))

    def enforcer(self, model: str, policy: str) -> casbin.Enforcer:
        """The enforcer that looks at every line of the policy."""
        return casbin.Enforcer(model, policy)

    def _digest(self, value: str) -> bytes:
        return hashlib.blake2b(value.encode(), key=self._key, digest_size=32).digest()

    def allows(self, header: str, bucket: str) -> bool:
        name = self._names.get(self._digest(header[7:]))
        return name is not None and bool(self._enforcer.enforce(name, bucket, "read"))


class FastCasbin(Casbin):
    """The same with the enforcer that finds the lines of a subject and an object in a dict."""

    def enforcer(self, model: str, policy: str) -> casbin.Enforcer:
        return casbin.FastEnforcer(model, policy, cache_key_order=[0, 1])


class SqliteRead(Peer):
    """One read by primary key for each request, in place; the permissions are JSON."""

    def __init__(self, grants: Grants, folder: Path) -> None:
        super().__init__(grants)
        self._connection = sqlite3.connect(folder / "tokens.db", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(
            "CREATE TABLE tokens (digest BLOB PRIMARY KEY, name TEXT, expires_at REAL, permissions TEXT)"
        )
        expires_at = time.time() + _DAY_SECONDS
        rows = [
            (
                hashlib.sha256(value.encode()).digest(),
                f"token-{number}",
                expires_at,
                orjson.dumps({"read": [bucket], "write": []}).decode(),
            )
            for number, (value, bucket) in enumerate(grants)
        ]
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?)", rows)

    def allows(self, header: str, bucket: str) -> bool:
        found = self._connection.execute(
            "SELECT expires_at, permissions FROM tokens WHERE digest = ?",
            (hashlib.sha256(header[7:].encode()).digest(),),
        ).fetchone()
        return found is not None and found[0] > time.time() and bucket in orjson.loads(found[1])["read"]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class SaltedScan(Peer):
    """A salt for each token, so that no index finds it: each token's digest is made until one is right."""

    def __init__(self, grants: Grants) -> None:
        super().__init__(grants)
        expires_at = time.time() + _DAY_SECONDS
        self._tokens = []
        for value, bucket in grants:
            salt = secrets.token_bytes(16)
            digest = hashlib.sha256(salt + value.encode()).digest()
            self._tokens.append((salt, digest, expires_at, frozenset([bucket])))

    def allows(self, header: str, bucket: str) -> bool:
        value, sha256 = header[7:].encode(), hashlib.sha256
        for salt, digest, expires_at, read in self._tokens:
            if sha256(salt + value).digest() == digest:
                return expires_at > time.time() and bucket in read
        return False


class _Identity(aiohttp_security.AbstractIdentityPolicy):
    async def identify(self, request: web.Request) -> str | None:
        return request.headers.get("Authorization", "")[7:]

    async def remember(self, request: Any, response: Any, identity: Any, **kwargs: Any) -> None: ...

    async def forget(self, request: Any, response: Any) -> None: ...


class _Authorization(aiohttp_security.AbstractAuthorizationPolicy):
    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    async def permits(self, identity: str | None, permission: Any, context: Any = None) -> bool:  # noqa: ARG002
        token = self._floor.tokens.get(self._floor.digest(identity or ""))
        return token is not None and permission in token.read

    async def authorized_userid(self, identity: str) -> str | None:
        return identity


def secure(app: web.Application, floor: Floor) -> None:
    """Set aiohttp-security up, whose policies are the application's own: here they do what the floor does."""
    aiohttp_security.setup(app, _Identity(), _Authorization(floor))
