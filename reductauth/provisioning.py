"""The tokens that a deployment declares: read, checked, and turned into what the registry keeps.

A token's value is given by itself, in a file, or as a keyed digest (`reductauth digest` makes one), which keeps
the value out of the configuration altogether.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self, TypeVar

from reductauth.chosen import ADVISED_LENGTH, check_value, read_secret_file
from reductauth.configuration import Declaration, Given, Group, collect
from reductauth.draft import MAX_INTEGER, TokenDraft
from reductauth.errors import ConfigurationError, InvalidInputError
from reductauth.key import RegistryKey
from reductauth.networks import ANYWHERE, NetworkList
from reductauth.permissions import NO_PERMISSIONS, Permissions, Role
from reductauth.times import parse_time
from reductauth.token import BOOTSTRAP_NAME
from reductauth.value import check_name

__all__ = ["TOKENS", "DeclaredToken", "KeyedDigest", "declared_tokens", "repeated_values"]

T = TypeVar("T")

TOKENS = Group(
    "token",
    {
        "value": "the token's value",
        "value_file": "a file that holds the value",
        "digest": "the value's digest, from `reductauth digest`",
        "full_access": "`true`: may do everything",
        "read": "buckets that it may read: names, prefixes with `*`, or `*`",
        "write": "buckets that it may write",
        "role": "`admin`, `recorder` or `viewer`, in place of the three before",
        "expires_at": "from when on it is refused, RFC 3339 with an offset",
        "valid_from": "until when it is refused",
        "ttl": "seconds without use after which it is refused",
        "ip_allowlist": "addresses and networks that it may be used from",
        "description": "free text, up to 1,000 characters",
        "active": "`false`: refused until it is `true` again",
    },
    parent="permissions",
    nested=("full_access", "read", "write"),
    settings=("RS_TOKEN_MAX_LIFETIME_SECONDS",),
)
"""The fields of a declared token."""

_SECRETS = ("value", "value_file", "digest")
_DIGEST = re.compile(r"([0-9a-f]{16}):([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class KeyedDigest:
    """A value's digest, and the id of the key it was made with. As text: `{key id}:{digest}`, hexadecimal."""

    key_id: str
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, value: str, key: RegistryKey) -> Self:
        """Digest a value as the registry with this key would."""
        return cls(key.key_id, key.digest(value))

    @classmethod
    def parse(cls, given: Given) -> Self:
        """Read the text. Raises `ConfigurationError`, without showing it: it may be a value."""
        match = _DIGEST.fullmatch(given.text().lower())
        if match is None:
            right = "16 hexadecimal digits, a colon, 64 hexadecimal digits, as `reductauth digest` prints it"
            raise ConfigurationError([f"{given.where}: is not a digest; it must be {right}"])
        return cls(match[1], bytes.fromhex(match[2]))

    def under(self, key: RegistryKey, where: str) -> bytes:
        """Give what the registry with this key keeps. Raises `ConfigurationError` for another key's digest."""
        if self.key_id != key.key_id:
            raise ConfigurationError(
                [
                    f"{where}: was made with key {self.key_id}, the registry's key is {key.key_id}; "
                    "make it again with `reductauth digest` and this registry's key"
                ]
            )
        return self.digest

    def __str__(self) -> str:
        return f"{self.key_id}:{self.digest.hex()}"


@dataclass(frozen=True, slots=True)
class DeclaredToken:
    """A token as the configuration wants it. `repr` shows neither value nor digest.

    `where` names the place that gives the value or the digest.
    """

    name: str
    draft: TokenDraft
    where: str
    secret: str | KeyedDigest = field(repr=False)

    @property
    def is_short(self) -> bool:
        """Whether its value is known, and short enough to be warned about."""
        return isinstance(self.secret, str) and len(self.secret) < ADVISED_LENGTH

    @property
    def needs_known_key(self) -> bool:
        """Whether it was declared by a digest, which only the registry's own key can have made."""
        return isinstance(self.secret, KeyedDigest)

    def is_usable_administrator(self, now_us: int) -> bool:
        """See `Token.is_usable_administrator`."""
        draft = self.draft
        return (
            draft.permissions.full_access
            and draft.active
            and (draft.valid_from_us is None or draft.valid_from_us <= now_us)
            and draft.expires_at_us is None
            and draft.ttl_seconds is None
            and not draft.allowlist
        )

    def digest(self, key: RegistryKey) -> bytes:
        """Give what the registry with this key keeps. Raises `ConfigurationError` for another key's digest."""
        if isinstance(self.secret, str):
            return key.digest(self.secret)
        return self.secret.under(key, self.where)


def declared_tokens(
    declarations: Iterable[Declaration], now_us: int, faults: list[str]
) -> list[DeclaredToken]:
    """Read declarations of `TOKENS`; every fault is told in `faults`, and a token with a fault is left out."""
    return [
        token for declaration in declarations if (token := _token(declaration, now_us, faults)) is not None
    ]


def repeated_values(secrets: Iterable[tuple[str, object]]) -> list[str]:
    """Name the places that give what an earlier one gave, as faults; `secrets` pairs each with what it gives."""
    places: dict[object, str] = {}
    faults = []
    for where, secret in secrets:
        if secret in places:
            faults.append(f"{places[secret]} and {where} give the same value: every token needs its own")
        else:
            places[secret] = where
    return faults


def _token(declaration: Declaration, now_us: int, faults: list[str]) -> DeclaredToken | None:
    told = len(faults)
    if declaration.name:
        _checked(declaration.where, lambda: check_name(declaration.name), faults)
    if declaration.name == BOOTSTRAP_NAME:
        faults.append(
            f"{declaration.where}: the name '{BOOTSTRAP_NAME}' is that of RS_API_TOKEN and RS_INIT_API_TOKEN; "
            "choose another"
        )
    secret = _secret(declaration, faults)
    draft = _draft(declaration, now_us, faults)
    if secret is None or draft is None or not declaration.name or len(faults) > told:
        return None
    return DeclaredToken(declaration.name, draft, *secret)


def _secret(declaration: Declaration, faults: list[str]) -> tuple[str, str | KeyedDigest] | None:
    given = [name for name in _SECRETS if name in declaration.fields]
    if len(given) != 1:
        names = ", ".join(declaration.called(name) for name in _SECRETS)
        found = "none" if not given else " and ".join(declaration.called(name) for name in given)
        faults.append(f"{declaration.where}: needs exactly one of {names}; has {found}")
        return None
    source = declaration.fields[given[0]]

    def read() -> tuple[str, str | KeyedDigest]:
        if given[0] == "digest":
            return source.where, KeyedDigest.parse(source)
        return source.where, check_value(read_secret_file(source) if given[0] == "value_file" else source)

    return collect(faults, read)


def _draft(declaration: Declaration, now_us: int, faults: list[str]) -> TokenDraft | None:
    told = len(faults)

    def read(name: str, reader: Callable[[Given], T], default: T) -> T:
        return declaration.read(name, reader, default, faults)

    role = read("role", _role, None)
    full_access = read("full_access", Given.flag, False)
    nothing: tuple[str, ...] = ()
    read_buckets, write_buckets = (read(name, Given.items, nothing) for name in ("read", "write"))
    permissions = NO_PERMISSIONS
    of_permissions = [name for name in TOKENS.nested if name in declaration.fields]
    if bool(of_permissions) == ("role" in declaration.fields):
        names = ", ".join(declaration.called(name) for name in TOKENS.nested)
        faults.append(f"{declaration.where}: needs either {declaration.called('role')}, or some of {names}")
    elif role is not None:
        permissions = Permissions.preset(role)
    else:
        permissions = (
            _checked(
                declaration.where,
                lambda: Permissions.of(full_access=full_access, read=read_buckets, write=write_buckets),
                faults,
            )
            or NO_PERMISSIONS
        )
    draft = TokenDraft(
        permissions=permissions,
        role=role,
        description=read("description", Given.text, ""),
        active=read("active", Given.flag, True),
        valid_from_us=read("valid_from", _time, None),
        expires_at_us=read("expires_at", _time, None),
        ttl_seconds=read("ttl", _seconds, None),
        allowlist=read("ip_allowlist", _networks, ANYWHERE),
    )
    _checked(declaration.where, lambda: draft.check(now_us), faults)
    return draft if len(faults) == told else None


def _checked(where: str, check: Callable[[], T], faults: list[str]) -> T | None:
    """Tell what the domain refuses as a fault of the configuration."""
    try:
        return check()
    except InvalidInputError as error:
        faults.append(f"{where}: {error}")
        return None


def _role(given: Given) -> Role | None:
    return given.choice(Role)


def _time(given: Given) -> int | None:
    try:
        return parse_time(given.text())
    except ValueError as error:
        raise given.refusal(str(error).removeprefix("must be ")) from None


def _seconds(given: Given) -> int | None:
    return given.number(1, MAX_INTEGER)


def _networks(given: Given) -> NetworkList:
    try:
        return NetworkList.of(given.items())
    except InvalidInputError:
        raise given.refusal("IP addresses or networks in CIDR form, comma separated") from None
