"""The options of a token's fields, and the bodies that they make. What is wrong with a value, the registry says."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click

from reductauth.cli.door import Door
from reductauth.cli.failures import MisuseError
from reductauth.permissions import Role

__all__ = ["CLEARABLE", "creation_body", "edit_patch", "with_fields"]

_OPTIONS = (
    click.option("--full-access/--no-full-access", default=None, help="May do everything."),
    click.option(
        "--read",
        multiple=True,
        metavar="BUCKET",
        help="Bucket that it may read: a name, a prefix with *, or *. Repeatable.",
    ),
    click.option("--write", multiple=True, metavar="BUCKET", help="Bucket that it may write. Repeatable."),
    click.option(
        "--role",
        type=click.Choice([str(role) for role in Role]),
        help="In place of the three before: full access, writes everywhere, reads everywhere.",
    ),
    click.option("--description", metavar="TEXT", help="Free text, up to 1,000 characters."),
    click.option(
        "--valid-from", metavar="TIME", help="Until when it is refused, such as 2030-01-31T12:00:00Z."
    ),
    click.option("--expires-at", metavar="TIME", help="From when on it is refused, RFC 3339 with an offset."),
    click.option("--ttl", type=int, metavar="SECONDS", help="Refused after so many seconds without use."),
    click.option(
        "--ip-allow",
        multiple=True,
        metavar="ADDRESS",
        help="Address or network that it may be used from. Repeatable.",
    ),
    click.option("--active/--inactive", default=None, help="Refused as long as it is inactive."),
)

_PERMISSIONS = ("full_access", "read", "write")
_NAMES = (*_PERMISSIONS, "role", "description", "valid_from", "expires_at", "ttl", "ip_allow", "active")
_RENAMED = {"ip_allow": "ip_allowlist"}

CLEARABLE = ("read", "write", "description", "valid-from", "expires-at", "ttl", "ip-allow")
"""The options of what can be emptied."""


def with_fields(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options; those that were given come to it as its second argument, by name."""

    @functools.wraps(command)
    def run(door: Door, **others: Any) -> None:
        fields = {name: others.pop(name) for name in _NAMES}
        given = {name: value for name, value in fields.items() if value is not None and value != ()}
        command(door, given, **others)

    options: Callable[..., None] = run
    for option in reversed(_OPTIONS):
        options = option(options)
    return options


def creation_body(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Make the body of a creation. A token without any permission is one that can see itself."""
    body = _body(fields)
    if "role" not in body:
        body.setdefault("permissions", {})
    return body


def edit_patch(fields: Mapping[str, Any], cleared: Iterable[str]) -> dict[str, Any]:
    """Make a merge patch; null empties. Raises `CommandError` for nothing, and for one field in both ways."""
    emptied = {option.replace("-", "_"): None for option in cleared}
    for name in emptied:
        if name in fields:
            option = name.replace("_", "-")
            raise MisuseError(f"--{option} and --clear {option}: give one of them")
    patch = _body({**fields, **emptied})
    if not patch:
        raise MisuseError("nothing to change: give at least one field")
    return patch


def _body(fields: Mapping[str, Any]) -> dict[str, Any]:
    body = {_RENAMED.get(name, name): value for name, value in fields.items() if name not in _PERMISSIONS}
    permissions = {name: fields[name] for name in _PERMISSIONS if name in fields}
    if permissions:
        body["permissions"] = permissions
    return body
