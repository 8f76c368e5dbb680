"""The configuration -> the registry's tokens, at every start.

`RS_API_TOKEN` pins `init-token`; `RS_INIT_API_TOKEN` seeds it once; further tokens may be declared by name (see
`reductauth.provisioning`). Each secret has a `_FILE` twin that names a file holding it. Values go from here into
a digest: they are not kept in settings, not logged, not shown in an error.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NoReturn

from reductauth.actor import Actor
from reductauth.audit import AuditAction, change_of
from reductauth.changes import new_token
from reductauth.chosen import ADVISED_LENGTH, KEY, check_value, find_secret, read_key
from reductauth.clock import Clock, system_clock
from reductauth.configuration import TWIN, Configuration, collect
from reductauth.draft import TokenDraft
from reductauth.errors import ConfigurationError
from reductauth.key import RegistryKey
from reductauth.permissions import Permissions, Role
from reductauth.provisioning import TOKENS, DeclaredToken, declared_tokens, repeated_values
from reductauth.store import TokenStore, Transaction
from reductauth.token import BOOTSTRAP_NAME, Token

__all__ = ["NO_ADMINISTRATOR", "SECRET_VARIABLES", "Bootstrap", "apply"]

PINNED = "RS_API_TOKEN"
SEED = "RS_INIT_API_TOKEN"
DISABLE = "RS_DISABLE_AUTH"

SECRET_VARIABLES = tuple(name + twin for name in (PINNED, SEED, KEY) for twin in ("", TWIN))
"""The variables that hold, or name a file that holds, something that must not be shown."""

NO_ADMINISTRATOR = (
    f"no usable full-access token: set {PINNED} (or {SEED} for a new registry) to a value of your choice, "
    f"declare a token with full access, or set {DISABLE}=true to let everybody in without a token"
)

_ADMINISTRATOR = TokenDraft(permissions=Permissions(full_access=True), role=Role.ADMIN)
_logger = logging.getLogger("reductauth.bootstrap")


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The secrets that the configuration gives. `repr` shows none of them.

    `tokens` are provisioned: declared ones, and the pinned `init-token`. `seed` is the same token, not provisioned.
    """

    tokens: tuple[DeclaredToken, ...] = ()
    seed: DeclaredToken | None = None
    key: RegistryKey | None = None
    now_us: int = field(default=0, repr=False)

    @classmethod
    def read(cls, environ: Mapping[str, str], *, disable_auth: bool) -> Bootstrap:
        """Read the environment alone, now. See `of`."""
        return cls.of(Configuration.read(environ), disable_auth=disable_auth, now_us=system_clock()())

    @classmethod
    def of(cls, configuration: Configuration, *, disable_auth: bool, now_us: int) -> Bootstrap:
        """Read and check. Raises `ConfigurationError` with every fault, those of reading the file included."""
        faults = list(configuration.faults)
        pinned, seed = (_init_token(configuration, variable, faults) for variable in (PINNED, SEED))
        key = collect(faults, lambda: read_key(configuration))
        declarations = configuration.declarations(TOKENS, faults)
        declared = declared_tokens(declarations, now_us, faults)
        given = [place for name in (PINNED, SEED) if (place := _place(configuration, name)) is not None]
        if len(given) > 1:
            faults.append(f"{given[0]} and {given[1]} are both set: keep the one that is meant")
        given += [declaration.where for declaration in declarations]
        if given and disable_auth:
            disable = configuration.where(DISABLE)
            faults.append(f"{given[0]} and {disable}=true are both set: remove one of them")
        first = pinned or seed
        everyone = declared if first is None else [first, *declared]
        faults += repeated_values((token.where, token.secret) for token in everyone)
        if key is not None:
            _digests(everyone, key, faults)
        if faults:
            raise ConfigurationError(faults)
        return cls(tuple(declared if pinned is None else everyone), seed, key, now_us)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the copy would hold the values."""
        raise TypeError("secrets are not pickled")

    @property
    def everyone(self) -> tuple[DeclaredToken, ...]:
        """All tokens, the seed included."""
        return self.tokens if self.seed is None else (*self.tokens, self.seed)

    def check_first_start(self) -> None:
        """Check what only a new registry needs, before it is made. Raises `ConfigurationError`."""
        faults = []
        if self.seed is None and not any(token.is_usable_administrator(self.now_us) for token in self.tokens):
            faults.append(NO_ADMINISTRATOR)
        if self.key is None:
            faults += [
                f"{token.where}: there is no registry yet whose key could have made this digest; set {KEY}, "
                "or start once without this token"
                for token in self.tokens
                if token.needs_known_key
            ]
        if faults:
            raise ConfigurationError(faults)

    def warn_of_short_values(self) -> None:
        """Advise against values that are easy to guess."""
        advice = "%s is shorter than %d characters: a longer, random value is harder to guess"
        for token in self.everyone:
            if token.is_short:
                _logger.warning(advice, token.where, ADVISED_LENGTH)


async def apply(bootstrap: Bootstrap, store: TokenStore, key: RegistryKey, clock: Clock) -> None:
    """Bring the registry in line with the configuration, in one change; where nothing differs, nothing is written.

    Raises `ConfigurationError` if that can't be done, or no usable full-access token would be left; then
    nothing was changed.
    """
    bootstrap.warn_of_short_values()
    faults: list[str] = []
    digests = _digests(bootstrap.everyone, key, faults)
    if faults:
        raise ConfigurationError(faults)
    wanted = [(token, digest) for token, digest in digests if token is not bootstrap.seed]

    def work(transaction: Transaction) -> list[str]:
        now_us = clock()
        told = _remove_undeclared(transaction, {token.name for token, _ in wanted}, now_us)
        _end_changed_values(transaction, wanted)
        _refuse_values_of_others(transaction, wanted)
        for token, digest in wanted:
            if _bring_in_line(transaction, token, digest, now_us):
                told.append(f"token provisioned name={token.name}")
        is_seeded = transaction.is_seeded()
        if bootstrap.seed is not None and is_seeded:
            told.append(f"{bootstrap.seed.where} ignored: the registry was seeded before")
        elif bootstrap.seed is not None:
            _bring_in_line(
                transaction, bootstrap.seed, bootstrap.seed.digest(key), now_us, is_provisioned=False
            )
        if not transaction.has_usable_administrator(now_us):
            raise ConfigurationError([NO_ADMINISTRATOR])
        if not is_seeded:
            transaction.mark_seeded()
        return told

    for line in await store.change(work):
        _logger.info("%s", line)


_Wanted = list[tuple[DeclaredToken, bytes]]
"""The tokens to be provisioned, each with its value's digest."""


def _digests(tokens: Iterable[DeclaredToken], key: RegistryKey, faults: list[str]) -> _Wanted:
    """Digest all values; two that are the same, however they are given, are told in `faults` once."""
    wanted = []
    for token in tokens:
        try:
            wanted.append((token, token.digest(key)))
        except ConfigurationError as error:
            faults += error.faults
    repeated = repeated_values((token.where, digest) for token, digest in wanted)
    faults += [fault for fault in repeated if fault not in faults]
    return wanted


def _remove_undeclared(transaction: Transaction, declared: set[str], now_us: int) -> list[str]:
    removed = []
    for token in transaction.provisioned_tokens():
        if token.name not in declared:
            transaction.remove(token.token_id)
            detail = change_of(token, None)
            transaction.audit(now_us, Actor.environment(), AuditAction.DELETE, token, detail)
            removed.append(f"token removed name={token.name}: no longer declared")
    return removed


def _end_changed_values(transaction: Transaction, wanted: _Wanted) -> None:
    """End them all before any is given anew: two tokens may have exchanged their values."""
    for token, digest in wanted:
        present = transaction.token_named(token.name)
        if present is not None and (present.fault or not _has_value(transaction, present, digest)):
            transaction.remove_secrets(present.token_id)


def _refuse_values_of_others(transaction: Transaction, wanted: _Wanted) -> None:
    faults = []
    for token, digest in wanted:
        holder = transaction.token_by_digest(digest)
        if holder is not None and holder.name != token.name:
            faults.append(
                f"{token.where} holds the value of token '{holder.name}': choose another value, "
                "or delete that token first"
            )
    if faults:
        raise ConfigurationError(faults)


def _bring_in_line(
    transaction: Transaction,
    wanted: DeclaredToken,
    digest: bytes,
    now_us: int,
    *,
    is_provisioned: bool = True,
) -> bool:
    """Make a token what the configuration says; one that is there keeps its id. Return whether it differed."""
    actor = Actor.environment()
    token = new_token(wanted.name, wanted.draft, now_us, actor.name, is_provisioned=is_provisioned)
    action = AuditAction.BOOTSTRAP if wanted.name == BOOTSTRAP_NAME else AuditAction.PROVISION
    present = transaction.token_named(wanted.name)
    if present is None:
        transaction.add(now_us, actor, action, token, [digest])
        return True
    has_value = _has_value(transaction, present, digest)
    token = replace(
        token,
        token_id=present.token_id,
        # A new value begins a new idle time, as a rotation does.
        created_at_us=present.created_at_us if has_value else now_us,
        updated_at_us=present.updated_at_us if has_value else now_us,
        last_access_us=present.last_access_us,
        last_access_ip=present.last_access_ip,
    )
    if has_value and token == present:
        return False
    token = replace(token, updated_at_us=now_us)
    transaction.replace(token)
    if not has_value:
        transaction.add_secret(token.token_id, digest, now_us)
    transaction.audit(now_us, actor, action, token, change_of(present, token))
    return True


def _has_value(transaction: Transaction, token: Token, digest: bytes) -> bool:
    """Whether this is the one value of the token, and has no end."""
    holder = transaction.token_by_digest(digest)
    if holder is None or holder.token_id != token.token_id:
        return False
    return [secret.expires_at_us for secret in transaction.secrets(token.token_id)] == [None]


def _place(configuration: Configuration, variable: str) -> str | None:
    """Name the place that gives a secret, by itself or by its twin; None if nothing does."""
    for name in (variable, variable + TWIN):
        given = configuration.get(name)
        if given is not None:
            return given.where.removesuffix(TWIN).removesuffix(TWIN.lower())
    return None


def _init_token(configuration: Configuration, variable: str, faults: list[str]) -> DeclaredToken | None:
    def read() -> DeclaredToken | None:
        given = find_secret(configuration, variable)
        if given is None:
            return None
        return DeclaredToken(BOOTSTRAP_NAME, _ADMINISTRATOR, given.where, check_value(given))

    return collect(faults, read)
