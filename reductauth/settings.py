"""Settings of the module: one schema, by which environment and file are read and every fault told at once.

A server derives its own settings from `Settings` and reads both with one call. Secrets are no settings: see
`reductauth.bootstrap`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from reductauth.authenticator import DEFAULT_CACHE_SIZE
from reductauth.bootstrap import SECRET_VARIABLES, Bootstrap
from reductauth.clock import system_clock
from reductauth.configuration import PREFIX, Configuration, Given, Group
from reductauth.draft import MAX_LIFETIME_SECONDS
from reductauth.errors import ConfigurationError, InvalidInputError
from reductauth.networks import ANYWHERE, NetworkList
from reductauth.provisioning import TOKENS

__all__ = ["PREFIX", "Flag", "ProxyHeader", "Settings", "check_path", "setting"]


class ProxyHeader(StrEnum):
    """Where a trusted proxy says for whom it speaks."""

    X_FORWARDED_FOR = "x-forwarded-for"
    FORWARDED = "forwarded"
    """RFC 7239."""


_MAX_DAYS = 36_500
_MAX_FAILURES_PER_MINUTE = 1_000_000
_MAX_CACHE_SIZE = 100_000_000
_DAYS_RIGHT = f"a whole number from 1 to {_MAX_DAYS}"
_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)
_BASE_PATH = re.compile(r"/|(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._~-]+)+/?", re.ASCII)


def setting(default: Any, meaning: str, right: str) -> Any:
    """Declare a setting: its default, what it means (for the documentation), what would be right (for faults)."""
    return Field(default, description=meaning, json_schema_extra={"right": right}, validate_default=True)


def _base_path(text: Any) -> Any:
    if isinstance(text, str) and _BASE_PATH.fullmatch(text) is None:
        raise ValueError
    return text.rstrip("/") if isinstance(text, str) else text


def _networks(given: Any) -> Any:
    parts = given.split(",") if isinstance(given, str) else given
    if isinstance(parts, (list, tuple)):
        try:
            return NetworkList.of(part.strip() for part in parts if part.strip())
        except InvalidInputError as error:
            raise ValueError from error
    return given


def _lower(given: Any) -> Any:
    return given.lower() if isinstance(given, str) else given


def _flag(given: Any) -> Any:
    if isinstance(given, str):
        return {"true": True, "false": False}[given.lower()] if given.lower() in {"true", "false"} else None
    return given


def check_path(given: Any) -> Any:
    """Refuse what is no path: nothing, or text with a NUL in it."""
    if given == "" or "\0" in str(given):
        raise ValueError
    return given


def _is_true(given: Given | None) -> bool:
    return given is not None and isinstance(given.node, str) and given.node.lower() == "true"


def _whole(given: Any) -> Any:
    if isinstance(given, str) and _DIGITS.fullmatch(given) is None:
        raise ValueError
    return given


Flag = Annotated[bool, BeforeValidator(_flag)]
"""`true` or `false`, in any case."""

_Days = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=_MAX_DAYS)]


class Settings(BaseModel):
    """What the module needs to know. Frozen."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, extra="forbid")

    groups: ClassVar[tuple[Group, ...]] = (TOKENS,)
    """What a deployment may declare by name beside the settings."""

    data_path: Annotated[Path, BeforeValidator(check_path)] = setting(
        "./data", "folder of all that is kept; the token registry is in its folder `auth`", "a folder's path"
    )
    api_base_path: Annotated[str, BeforeValidator(_base_path)] = setting(
        "/", "prefix of every route", "a path such as / or /storage"
    )
    trusted_proxies: Annotated[NetworkList, BeforeValidator(_networks)] = setting(
        ANYWHERE,
        "proxies whose word about the client's address is believed, comma separated",
        "IP addresses or networks in CIDR form, comma separated",
    )
    proxy_header: Annotated[ProxyHeader, BeforeValidator(_lower)] = setting(
        ProxyHeader.X_FORWARDED_FOR,
        "header in which trusted proxies name the client",
        "x-forwarded-for or forwarded",
    )
    allow_basic_auth: Flag = setting(
        False, "take a token as the password of `Authorization: Basic` too", "true or false"
    )
    allow_x_auth_token: Flag = setting(
        False, "take a token from the header `X-Auth-Token` too", "true or false"
    )
    auth_failures_per_minute: Annotated[
        int, BeforeValidator(_whole), Field(ge=0, le=_MAX_FAILURES_PER_MINUTE)
    ] = setting(
        60,
        "failed authentications of one client in a minute, beyond which they are answered 429; 0 for no limit",
        f"a whole number from 0 to {_MAX_FAILURES_PER_MINUTE}",
    )
    auth_cache_size: Annotated[int, BeforeValidator(_whole), Field(ge=1, le=_MAX_CACHE_SIZE)] = setting(
        DEFAULT_CACHE_SIZE,
        "values that are remembered at most, about 1 KB each; the registry is asked for others at each use",
        f"a whole number from 1 to {_MAX_CACHE_SIZE}",
    )
    token_max_lifetime_seconds: Annotated[int, Field(ge=1, le=MAX_LIFETIME_SECONDS)] | None = setting(
        None,
        "tokens that are created or edited must expire within so many seconds; without it, they need not expire",
        f"a number of seconds from 1 to {MAX_LIFETIME_SECONDS}",
    )
    usage_days: _Days = setting(
        400, "days for which usage is kept by day; older days are summed up by month", _DAYS_RIGHT
    )
    ended_token_days: _Days | None = setting(
        None,
        "days after which tokens that were revoked or have expired are deleted; without it they are kept",
        _DAYS_RIGHT,
    )
    audit_days: _Days | None = setting(
        None, "days after which entries of the audit are removed; without it they are kept", _DAYS_RIGHT
    )
    disable_auth: Flag = setting(
        False, "no authentication at all: everybody may do everything", "true or false"
    )

    @property
    def auth_folder(self) -> Path:
        """Folder of the token registry."""
        return self.data_path / "auth"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings from `RS_*` variables alone. See `load`."""
        return cls.load(environ)

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, config_file: Path | None = None) -> Self:
        """Read the settings from `RS_*` variables and, where these say nothing, from a YAML file. See `of`."""
        return cls.of(Configuration.read(environ, config_file))

    @classmethod
    def of(cls, configuration: Configuration) -> Self:
        """Read the settings from a configuration, which `reductauth.web.setup` then takes the secrets from.

        Raises `ConfigurationError` with every fault, those of secrets and declarations included.
        """
        faults = list(configuration.faults)
        faults += configuration.unknown_keys(cls.known_keys())
        given = {
            name: found
            for name in cls.model_fields
            if (found := configuration.get(cls.variable(name))) is not None
        }
        settings = None
        try:
            settings = cls.model_validate({name: found.node for name, found in given.items()})
        except ValidationError as error:
            faults += cls._faults(error, given)
        try:
            disabled = settings.disable_auth if settings else _is_true(given.get("disable_auth"))
            Bootstrap.of(configuration, disable_auth=disabled, now_us=system_clock()())
        except ConfigurationError as error:
            faults += error.faults
        faults += cls.further_faults(configuration)
        if settings is None or faults:
            raise ConfigurationError(dict.fromkeys(faults))
        return settings

    @classmethod
    def further_faults(cls, configuration: Configuration) -> list[str]:  # noqa: ARG003 - for those who derive
        """Say what is wrong with what a server reads of the configuration beside its settings."""
        return []

    @classmethod
    def known_keys(cls) -> list[str]:
        """The keys that a configuration file may have."""
        secrets = [name.removeprefix(PREFIX).lower() for name in SECRET_VARIABLES]
        return [*cls.model_fields, *secrets, *(group.key for group in cls.groups)]

    @classmethod
    def variable(cls, name: str) -> str:
        """The environment variable of a setting."""
        return PREFIX + name.upper()

    @classmethod
    def unknown_variables(cls, environ: Iterable[str]) -> list[str]:
        """The `RS_*` variables that mean nothing: misspelled ones, most likely."""
        known = {cls.variable(name) for name in cls.model_fields} | set(SECRET_VARIABLES)
        return sorted(
            name
            for name in environ
            if name.startswith(PREFIX)
            and name not in known
            and not any(group.split(name) for group in cls.groups)
        )

    @classmethod
    def _faults(cls, error: ValidationError, given: Mapping[str, Given]) -> list[str]:
        names = dict.fromkeys(str(fault["loc"][0]) for fault in error.errors())
        return [fault for name in names for fault in given[name].refusal(cls._right(name)).faults]

    @classmethod
    def _right(cls, name: str) -> str:
        extra = cls.model_fields[name].json_schema_extra
        return str(extra["right"]) if isinstance(extra, dict) else ""
