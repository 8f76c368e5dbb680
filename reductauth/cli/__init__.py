"""The command `reductauth`."""

from __future__ import annotations

import click

from reductauth.cli.books import audit
from reductauth.cli.changing import create_token, delete_token, edit_token, revoke_token, rotate_token
from reductauth.cli.copies import backup_registry, restore_registry, verify
from reductauth.cli.digest import digest
from reductauth.cli.exports import export_tokens
from reductauth.cli.imports import import_tokens
from reductauth.cli.looking import check_token, list_tokens, show_token, show_usage
from reductauth.cli.routes import routes

__all__ = ["main"]


@click.group()
def main() -> None:
    """Token authentication and authorization that a storage engine embeds.

    The commands about tokens ask a server (--url, or RS_URL) with the value of a token that has full access
    (RS_API_TOKEN, or a file: a value is never an argument), or else change the server's data folder itself. That is
    safe while servers run on it, and needs no token: whoever may write the folder is its administrator. It makes no
    registry where there is none.

    \b
    Exit status:
      0    done; check: allowed; verify: whole
      1    refused, such as a token that does not exist; check: denied;
           verify: a fault was found; import: a line was not taken
      2    the command line or the environment is wrong
      3    not allowed (401, 403, 429)
      4    the server or the registry can't be reached, or can't keep the change
      130  interrupted
    """  # noqa: D301 - click looks for the character


for _command in (
    list_tokens,
    show_token,
    check_token,
    show_usage,
    create_token,
    edit_token,
    rotate_token,
    revoke_token,
    delete_token,
    audit,
    verify,
    backup_registry,
    restore_registry,
    export_tokens,
    import_tokens,
    routes,
    digest,
):
    main.add_command(_command)
