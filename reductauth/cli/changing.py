"""The commands that change tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from reductauth.cli.door import Door, with_door
from reductauth.cli.fields import CLEARABLE, creation_body, edit_patch, with_fields
from reductauth.cli.looking import json_option, print_token
from reductauth.cli.terminal import print_json, print_line, say
from reductauth.cli.views import MintedView, read_answer

__all__ = ["create_token", "delete_token", "edit_token", "revoke_token", "rotate_token"]


@click.command("create")
@click.argument("name")
@json_option
@with_door
@with_fields
def create_token(door: Door, fields: Mapping[str, Any], *, name: str, as_json: bool) -> None:
    """Create a token, and print its value: nobody can read it again."""
    body = creation_body(fields)
    _print_value(name, door.run(lambda admin: admin.create(name, body)), as_json=as_json)


@click.command("edit")
@click.argument("name")
@click.option("--clear", multiple=True, type=click.Choice(CLEARABLE), help="Empty this field. Repeatable.")
@json_option
@with_door
@with_fields
def edit_token(
    door: Door, fields: Mapping[str, Any], *, name: str, clear: tuple[str, ...], as_json: bool
) -> None:
    """Change a token: what is given takes the place of what was there, a list as a whole."""
    patch = edit_patch(fields, clear)
    print_token(door.run(lambda admin: admin.edit(name, patch)), as_json=as_json)


@click.command("rotate")
@click.argument("name")
@click.option(
    "--grace",
    type=int,
    metavar="SECONDS",
    help="How long the present value works beside the new one, up to 30 days; without it, not at all.",
)
@json_option
@with_door
def rotate_token(door: Door, *, name: str, grace: int | None, as_json: bool) -> None:
    """Give a token a new value, and print it: nobody can read it again."""
    body = {} if grace is None else {"grace_seconds": grace}
    _print_value(name, door.run(lambda admin: admin.rotate(name, body)), as_json=as_json)


@click.command("revoke")
@click.argument("name")
@json_option
@with_door
def revoke_token(door: Door, *, name: str, as_json: bool) -> None:
    """End a token for good, and keep its record."""
    print_token(door.run(lambda admin: admin.revoke(name)), as_json=as_json)


@click.command("delete")
@click.argument("name")
@json_option
@with_door
def delete_token(door: Door, *, name: str, as_json: bool) -> None:
    """Forget a token. The route answers nothing, so --json prints nothing."""
    door.run(lambda admin: admin.delete(name))
    if not as_json:
        say(f"token '{name}' is deleted")


def _print_value(name: str, answer: Any, *, as_json: bool) -> None:
    """Print a new value alone on standard output, so that a script can take it; the words go beside."""
    if as_json:
        print_json(answer)
        return
    minted = read_answer(MintedView, answer)
    print_line(minted.value)
    say(f"token '{name}' has this value since {minted.created_at}; it is not shown again")
    if minted.previous_expires_at is not None:
        say(f"the value before it works until {minted.previous_expires_at}")
