"""The environment -> the registry's first token.

`RS_API_TOKEN` pins `init-token` at every start; `RS_INIT_API_TOKEN` seeds it once. Each variable has a
`_FILE` twin that names a file holding the value. Values go from here into a digest: they are not kept in
settings, not logged, not shown in an error.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from reductauth.actor import Actor
from reductauth.clock import Clock
from reductauth.draft import TokenDraft
from reductauth.errors import ConfigurationError
from reductauth.key import RegistryKey
from reductauth.permissions import Permissions, Role
from reductauth.registry import new_token
from reductauth.store import TokenStore, Transaction
from reductauth.token import BOOTSTRAP_NAME, Token
from reductauth.value import MAX_VALUE_LENGTH, Shape, shape_of

__all__ = ["NO_ADMINISTRATOR", "SECRET_VARIABLES", "Bootstrap", "apply"]

PINNED = "RS_API_TOKEN"
SEED = "RS_INIT_API_TOKEN"
KEY = "RS_AUTH_KEY"
DISABLE = "RS_DISABLE_AUTH"

SECRET_VARIABLES = tuple(name + twin for name in (PINNED, SEED, KEY) for twin in ("", "_FILE"))
"""The variables that hold, or name a file that holds, something that must not be shown."""

NO_ADMINISTRATOR = (
    f"no usable full-access token: set {PINNED} (or {SEED} for a new registry) to a value of your choice, "
    f"or {DISABLE}=true to let everybody in without a token"
)

_ADVISED_LENGTH = 32
_logger = logging.getLogger("reductauth.bootstrap")


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The secrets that the environment gives. `repr` shows none of them."""

    pinned: str | None = field(default=None, repr=False)
    seed: str | None = field(default=None, repr=False)
    key: RegistryKey | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str], *, disable_auth: bool) -> Bootstrap:
        """Read and check the variables. Raises `ConfigurationError` with every fault."""
        faults: list[str] = []
        pinned, seed = (_token_value(environ, name, faults) for name in (PINNED, SEED))
        key = _key(environ, faults)
        given = [
            name for name in (PINNED, SEED) if any(variable in environ for variable in (name, f"{name}_FILE"))
        ]
        if len(given) > 1:
            faults.append(f"{PINNED} and {SEED} are both set: keep the one that is meant")
        if given and disable_auth:
            faults.append(f"{given[0]} and {DISABLE}=true are both set: remove one of them")
        if faults:
            raise ConfigurationError(faults)
        return cls(pinned, seed, key)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the copy would hold the values."""
        raise TypeError("secrets are not pickled")

    @property
    def names_administrator(self) -> bool:
        """Whether a new registry would get its first token."""
        return self.pinned is not None or self.seed is not None


async def apply(bootstrap: Bootstrap, store: TokenStore, key: RegistryKey, clock: Clock) -> None:
    """Bring the registry in line with the environment, in one change.

    Raises `ConfigurationError` if no usable full-access token would be left; then nothing was changed.
    """
    for name, value in ((PINNED, bootstrap.pinned), (SEED, bootstrap.seed)):
        if value is not None and len(value) < _ADVISED_LENGTH:
            advice = "%s is shorter than %d characters: a longer, random value is harder to guess"
            _logger.warning(advice, name, _ADVISED_LENGTH)
    if bootstrap.seed is not None and await store.change(lambda transaction: transaction.is_seeded()):
        _logger.info("%s ignored: the registry was seeded before", SEED)

    def work(transaction: Transaction) -> None:
        now_us = clock()
        for token in transaction.provisioned_tokens():
            if bootstrap.pinned is None or token.name != BOOTSTRAP_NAME:
                transaction.remove(token.token_id)
                transaction.audit(now_us, Actor.environment(), "delete", token)
        if bootstrap.pinned is not None:
            _pin(transaction, key.digest(bootstrap.pinned), now_us)
        elif bootstrap.seed is not None and not transaction.is_seeded():
            _put(transaction, None, key.digest(bootstrap.seed), now_us, is_provisioned=False)
        if not transaction.has_usable_administrator(now_us):
            raise ConfigurationError([NO_ADMINISTRATOR])
        transaction.mark_seeded()

    await store.change(work)


def _pin(transaction: Transaction, digest: bytes, now_us: int) -> None:
    present = transaction.token_named(BOOTSTRAP_NAME)
    holder = transaction.token_by_digest(digest)
    if holder is not None and holder.name != BOOTSTRAP_NAME:
        raise ConfigurationError(
            [
                f"{PINNED} holds the value of token '{holder.name}': choose another value, or delete that token first"
            ]
        )
    if present is None or holder is None or not _is_pinned(present, now_us):
        _put(transaction, present, digest, now_us, is_provisioned=True)


def _is_pinned(token: Token, now_us: int) -> bool:
    return token.is_provisioned and token.is_usable_administrator(now_us)


def _put(
    transaction: Transaction, present: Token | None, digest: bytes, now_us: int, *, is_provisioned: bool
) -> None:
    """Make `init-token` what the environment says; one that is there keeps its id and loses its old values."""
    actor = Actor.environment()
    draft = TokenDraft(permissions=Permissions(full_access=True), role=Role.ADMIN)
    token = new_token(BOOTSTRAP_NAME, draft, now_us, actor.name, is_provisioned=is_provisioned)
    if present is None:
        transaction.add(token)
    else:
        token = replace(token, token_id=present.token_id)
        transaction.replace(token)
        transaction.remove_secrets(token.token_id)
    transaction.add_secret(token.token_id, digest, now_us)
    transaction.audit(now_us, actor, "bootstrap", token)


def _token_value(environ: Mapping[str, str], name: str, faults: list[str]) -> str | None:
    given = _text(environ, name, faults)
    if given is None:
        return None
    variable, value = given
    if not value.strip():
        faults.append(f"{variable}: is empty; give it a value, or remove the variable")
    elif not all("!" <= character <= "~" for character in value):
        faults.append(f"{variable}: may hold visible ASCII characters only, without spaces")
    elif len(value) > MAX_VALUE_LENGTH:
        faults.append(f"{variable}: is longer than {MAX_VALUE_LENGTH} characters")
    elif shape_of(value) is Shape.MISTYPED:
        faults.append(f"{variable}: looks like a token of this server, but its checksum is wrong: mistyped?")
    else:
        return value
    return None


def _key(environ: Mapping[str, str], faults: list[str]) -> RegistryKey | None:
    given = _text(environ, KEY, faults)
    if given is None:
        return None
    variable, text = given
    try:
        return RegistryKey.from_hex(text, variable)
    except ConfigurationError as error:
        faults.extend(error.faults)
        return None


def _text(environ: Mapping[str, str], name: str, faults: list[str]) -> tuple[str, str] | None:
    """Find the variable that is set, the plain one or its twin, and its text."""
    twin = f"{name}_FILE"
    if name in environ and twin in environ:
        faults.append(f"{name} and {twin} are both set: keep the one that is meant")
        return None
    if name in environ:
        return name, environ[name]
    if twin not in environ:
        return None
    path = Path(environ[twin])
    try:
        # What can be read only once, a pipe, would be empty when it is read again at the start, or block.
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "no such file")
        with path.open("rb") as file:
            text = file.read(MAX_VALUE_LENGTH + 3).decode("latin-1")
    except (OSError, ValueError) as error:
        # Without the path: what stands there by mistake may be the value itself.
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        faults.append(f"{twin}: can't be read ({reason}); it must name a file that holds the value")
        return None
    return twin, text.removesuffix("\r\n" if text.endswith("\r\n") else "\n")
