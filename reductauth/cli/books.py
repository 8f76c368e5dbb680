"""`reductauth audit`: what was done to the registry, and whether the books are whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from reductauth.audit import AuditAction
from reductauth.cli.door import Door, with_door
from reductauth.cli.failures import UnreachableError
from reductauth.cli.folder import config_option, data_option, registry_and_key
from reductauth.cli.looking import json_option
from reductauth.cli.terminal import print_json, print_line, print_table, say
from reductauth.cli.views import AuditView, read_answer
from reductauth.errors import ConfigurationError
from reductauth.query import MAX_LIMIT
from reductauth.sqlite.verification import audit_faults

__all__ = ["audit", "report"]


@click.group(invoke_without_command=True)
@click.option("--token", metavar="NAME", help="Changes of this token, by its name or id.")
@click.option("--actor", metavar="NAME", help="What this token did, by its name or id; or environment.")
@click.option(
    "--action",
    type=click.Choice([str(action) for action in AuditAction]),
    multiple=True,
    help="Entries of this kind. Repeatable.",
)
@click.option("--from", metavar="TIME", help="From this time on, such as 2030-01-31T12:00:00Z.")
@click.option("--to", metavar="TIME", help="Until this time.")
@click.option("--sort", type=click.Choice(["-sequence", "sequence"]), help="Newest first without it.")
@click.option("--limit", type=int, help=f"Print at most so many, up to {MAX_LIMIT}; 100 without it.")
@click.option("--offset", type=int, help="Pass over so many.")
@json_option
@with_door
def audit(door: Door, *, as_json: bool, action: tuple[str, ...], **conditions: Any) -> None:
    """Show what was done to the registry, by whom and from where."""
    if click.get_current_context().invoked_subcommand is not None:
        return
    query = {name: str(value) for name, value in conditions.items() if value is not None}
    if action:
        query["action"] = ",".join(action)
    answer = door.run(lambda admin: admin.audit(query))
    if as_json:
        print_json(answer)
        return
    page = read_answer(AuditView, answer)
    headers = ("ENTRY", "TIME", "ACTOR", "ACTION", "TOKEN", "DETAIL")
    print_table(headers, [entry.row() for entry in page.entries])
    if page.query.found > page.query.length:
        say(f"{page.query.length} of {page.query.found} found")


@audit.command("verify")
@data_option
@config_option
def verify_audit(data_path: Path | None, config_file: Path | None) -> None:
    """Check that no entry of the audit was changed, removed or put in; the exit status is 1 if one was.

    Reads the server's data folder, which servers may use meanwhile.
    """
    try:
        folder, key = registry_and_key(config_file, data_path)
    except ConfigurationError as error:
        raise UnreachableError(str(error)) from None
    try:
        faults = audit_faults(folder, key)
    except ConfigurationError as error:
        faults = list(error.faults)
    report(faults, "the audit is whole")


def report(faults: list[str], praise: str) -> None:
    """Print each fault, and end with 1; or say that there is none."""
    for fault in faults:
        print_line(fault)
    if faults:
        sys.exit(1)
    print_line(praise)
