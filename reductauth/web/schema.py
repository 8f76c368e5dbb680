"""JSON -> domain, strict: nothing is coerced, nothing is passed over. Times are RFC 3339, with any offset."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from reductauth.draft import MAX_INTEGER, TokenDraft
from reductauth.edit import NOT_GIVEN, PermissionsEdit, TokenEdit
from reductauth.errors import InvalidInputError
from reductauth.networks import MAX_NETWORKS, NetworkList
from reductauth.permissions import MAX_PATTERNS, Permissions, Role
from reductauth.registry import MAX_GRACE_SECONDS
from reductauth.times import parse_time

__all__ = [
    "MAX_BATCH_ITEMS",
    "BatchItem",
    "Body",
    "NestedBody",
    "Operation",
    "Time",
    "edit_of",
    "parse_batch",
    "parse_draft",
    "parse_edit",
    "parse_nothing",
    "parse_object",
    "parse_rotation",
    "refuse_query",
    "validated",
]

MAX_BATCH_ITEMS = 1_000

_MAX_KEYS = 100
"""Of one object: far more than any has, and few enough that looking at each of them holds nobody up."""

_WORDS = {
    "bool_type": "must be true or false",
    "enum": "must be {expected}",
    "extra_forbidden": "is not a known field",
    "greater_than_equal": "must be at least {ge}",
    "int_type": "must be an integer",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "missing": "is missing",
    "model_type": "must be an object",
    "string_type": "must be a string",
    "too_long": "can have at most {max_length} entries",
    "too_short": "must have at least {min_length} entry",
}
"""What pydantic finds, in words for those who know JSON but no classes of ours."""

ModelT = TypeVar("ModelT", bound=BaseModel)


def _microseconds(given: Any) -> int:
    return parse_time(given if isinstance(given, str) else "")


Time = Annotated[int, BeforeValidator(_microseconds)] | None
"""RFC 3339 text, or null: microseconds since the epoch."""
_Patterns = Annotated[list[str], Field(max_length=MAX_PATTERNS)]
_Networks = Annotated[list[str], Field(max_length=MAX_NETWORKS)]


class Body(BaseModel):
    """An object in which nothing is coerced, and no key unknown."""

    model_config = ConfigDict(strict=True, extra="forbid")


class _PermissionsBody(Body):
    full_access: bool = False
    read: _Patterns = []
    write: _Patterns = []

    def permissions_of(self) -> Permissions:
        return Permissions.of(full_access=self.full_access, read=self.read, write=self.write)


class _FlatBody(_PermissionsBody):
    """`{full_access?, read?, write?, ip_allowlist?}`: what clients up to API 1.18 send."""

    ip_allowlist: _Networks = []

    def draft(self) -> TokenDraft:
        return TokenDraft(permissions=self.permissions_of(), allowlist=NetworkList.of(self.ip_allowlist))


class NestedBody(Body):
    """Permissions in an object of their own, or a role in their place."""

    permissions: _PermissionsBody | None = None
    role: Annotated[Role, Field(strict=False)] | None = None
    description: str = ""
    active: bool = True
    valid_from: Time = None
    expires_at: Time = None
    ttl: Annotated[int, Field(ge=0, le=MAX_INTEGER)] | None = None
    ip_allowlist: _Networks = []

    def granted(self) -> Permissions:
        """The permissions that are given, or that the role stands for. Raises `InvalidInputError`."""
        if self.permissions is not None and self.role is None:
            return self.permissions.permissions_of()
        if self.role is not None and self.permissions is None:
            return Permissions.preset(self.role)
        raise InvalidInputError("Invalid body: give exactly one of permissions and role")

    def draft(self) -> TokenDraft:
        """What is asked for. Raises `InvalidInputError`."""
        return TokenDraft(
            permissions=self.granted(),
            role=self.role,
            description=self.description,
            active=self.active,
            valid_from_us=self.valid_from,
            expires_at_us=self.expires_at,
            ttl_seconds=self.ttl,
            allowlist=NetworkList.of(self.ip_allowlist),
        )


_LEFT_OUT: Any = NOT_GIVEN
"""The default of a key that an edit may leave out: pydantic does not check defaults."""


class _PermissionsPatch(Body):
    full_access: bool | None = _LEFT_OUT
    read: _Patterns | None = _LEFT_OUT
    write: _Patterns | None = _LEFT_OUT

    def edit(self) -> PermissionsEdit:
        given = self.model_fields_set
        return PermissionsEdit(
            full_access=False if self.full_access is None else self.full_access,
            read=Permissions.of(read=self.read or ()).read if "read" in given else NOT_GIVEN,
            write=Permissions.of(write=self.write or ()).write if "write" in given else NOT_GIVEN,
        )


class _EditBody(Body):
    """A JSON merge patch (RFC 7396): null takes a key back to what it is by default."""

    permissions: _PermissionsPatch = _PermissionsPatch()
    role: Annotated[Role, Field(strict=False)] = _LEFT_OUT
    description: str | None = _LEFT_OUT
    active: bool = _LEFT_OUT
    valid_from: Time = _LEFT_OUT
    expires_at: Time = _LEFT_OUT
    ttl: Annotated[int, Field(ge=0, le=MAX_INTEGER)] | None = _LEFT_OUT
    ip_allowlist: _Networks | None = _LEFT_OUT

    def edit(self) -> TokenEdit:
        given = self.model_fields_set
        if given >= {"permissions", "role"}:
            raise InvalidInputError("Invalid body: give only one of permissions and role")
        return TokenEdit(
            permissions=self.permissions.edit(),
            role=self.role,
            description="" if self.description is None else self.description,
            active=self.active,
            valid_from_us=self.valid_from,
            expires_at_us=self.expires_at,
            ttl_seconds=self.ttl,
            allowlist=NetworkList.of(self.ip_allowlist or ()) if "ip_allowlist" in given else NOT_GIVEN,
        )


class _RotationBody(Body):
    grace_seconds: Annotated[int, Field(ge=0, le=MAX_GRACE_SECONDS)] = 0


class Operation(StrEnum):
    """What one item of a batch does."""

    REVOKE = "revoke"
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    DELETE = "delete"
    EDIT = "edit"


class BatchItem(Body):
    """One change of many. Whether its name and its patch are well-formed is its own matter."""

    op: Annotated[Operation, Field(strict=False)]
    name: str
    patch: Any = None


class _BatchBody(Body):
    items: Annotated[list[BatchItem], Field(min_length=1, max_length=MAX_BATCH_ITEMS)]


def parse_draft(body: bytes) -> TokenDraft:
    """Read the body of a creation, flat or nested. Raises `InvalidInputError`."""
    fields = parse_object(body)
    if fields.keys() & {"permissions", "role"}:
        return validated(NestedBody, fields).draft()
    for name in fields:
        if name in NestedBody.model_fields and name not in _FlatBody.model_fields:
            raise InvalidInputError(f"Invalid body: {name}: needs permissions or role beside it")
    return validated(_FlatBody, fields).draft()


def parse_edit(body: bytes) -> TokenEdit:
    """Read the body of an edit. Raises `InvalidInputError`."""
    return edit_of(parse_object(body))


def edit_of(patch: Any) -> TokenEdit:
    """Read a patch that was parsed already, and may be anything. Raises `InvalidInputError`."""
    return validated(_EditBody, _object(patch)).edit()


def parse_rotation(body: bytes) -> int:
    """Read the body of a rotation, which may be empty: for how many seconds the old value works on.

    Raises `InvalidInputError`.
    """
    return validated(_RotationBody, parse_object(body)).grace_seconds if body else 0


def parse_nothing(body: bytes) -> None:
    """Check the body of a route that needs none: nothing, or an object without keys. Raises `InvalidInputError`."""
    if body:
        validated(Body, parse_object(body))


def parse_batch(body: bytes) -> list[BatchItem]:
    """Read the body of a batch. Raises `InvalidInputError` for what is wrong with it as a whole."""
    items = validated(_BatchBody, parse_object(body)).items
    for number, item in enumerate(items):
        if ("patch" in item.model_fields_set) != (item.op is Operation.EDIT):
            raise InvalidInputError(
                f"Invalid body: items.{number}.patch: must be given with edit, and with nothing else"
            )
    return items


def refuse_query(parameters: Iterable[str], known: Collection[str] = ()) -> None:
    """Raise `InvalidInputError` for an unknown parameter: on these routes a misspelled one must not pass unnoticed."""
    for name in parameters:
        if name not in known:
            hint = f"; known are {', '.join(known)}" if known else ""
            raise InvalidInputError(f"Invalid query: unknown parameter '{name}'{hint}")


def parse_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object without a key that is there twice. Raises `InvalidInputError`."""
    try:
        # orjson knows JSON to the letter but takes the last of duplicate keys; json takes more, but tells.
        parsed = orjson.loads(body)
        json.loads(body, object_pairs_hook=_unique)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(f"Invalid body: {error}") from None
    except RecursionError:
        raise InvalidInputError("Invalid body: is nested too deeply") from None
    return _object(parsed)


def _object(parsed: Any) -> dict[str, Any]:
    if not isinstance(parsed, dict):
        raise InvalidInputError("Invalid body: must be a JSON object")
    return parsed


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > _MAX_KEYS:
        raise InvalidInputError(
            f"Invalid body: an object can have at most {_MAX_KEYS} keys, got {len(pairs)}"
        )
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError(f"Invalid body: {twice}: is there twice")
    return fields


def validated(model: type[ModelT], fields: dict[str, Any]) -> ModelT:
    """Check an object that was parsed. Raises `InvalidInputError` for the first fault."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        if fault["type"] in _WORDS:
            message = _WORDS[fault["type"]].format_map(fault.get("ctx", {}))
        else:
            message = str(fault["msg"]).removeprefix("Value error, ")
        raise InvalidInputError(f"Invalid body: {where}: {message}") from None
