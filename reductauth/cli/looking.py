"""The commands that change nothing."""

from __future__ import annotations

import sys
from typing import Any

import click

from reductauth.cli.admin import TokenAdmin
from reductauth.cli.door import Door, with_door
from reductauth.cli.failures import MisuseError
from reductauth.cli.terminal import print_json, print_line, print_pairs, print_table, say
from reductauth.cli.views import DecisionView, PageView, TokenView, UsageView, read_answer
from reductauth.periods import PeriodKind
from reductauth.permissions import Action
from reductauth.query import MAX_LIMIT, SortKey
from reductauth.token import TokenStatus

__all__ = ["check_token", "json_option", "list_tokens", "print_token", "show_token", "show_usage"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print the JSON of the HTTP route.")


@click.command("list")
@click.option("--search", metavar="WORDS", help="Each of the words is in the name or the description.")
@click.option("--id", metavar="UUID", help="The token with this id.")
@click.option("--bucket", metavar="BUCKET", help="Tokens that can reach this bucket.")
@click.option(
    "--access", type=click.Choice([str(action) for action in Action]), help="How they reach the bucket."
)
@click.option(
    "--status",
    type=click.Choice([str(status) for status in TokenStatus]),
    multiple=True,
    help="Tokens in this state. Repeatable.",
)
@click.option(
    "--sort",
    type=click.Choice([sign + key for key in SortKey for sign in ("", "-")]),
    help="By name without it; - before it for the other way round.",
)
@click.option("--limit", type=int, help=f"Print at most so many, up to {MAX_LIMIT}; without it, all.")
@click.option("--offset", type=int, help="Pass over so many.")
@json_option
@with_door
def list_tokens(door: Door, *, as_json: bool, status: tuple[str, ...], **conditions: Any) -> None:
    """List tokens: all, or those that meet every condition.

    They are read a page at a time: what changes meanwhile may be missed.
    """
    query = {name: str(value) for name, value in conditions.items() if value is not None}
    if status:
        query["status"] = ",".join(status)
    answer = door.run(lambda admin: _list(admin, query))
    if as_json:
        print_json(answer)
        return
    page = read_answer(PageView, answer)
    rows = [read_answer(TokenView, token).row() for token in page.tokens]
    print_table(("NAME", "STATUS", "MAY", "EXPIRES", "LAST ACCESS", "DESCRIPTION"), rows)
    if page.query is not None and page.query.found > page.query.length:
        say(f"{page.query.length} of {page.query.found} found")


async def _list(admin: TokenAdmin, query: dict[str, str]) -> Any:
    """Give what the query asks for; without a limit all of it, as one answer."""
    if "limit" in query or not query:
        return await admin.tokens(query)
    query = {**query, "limit": str(MAX_LIMIT)}
    answer = await admin.tokens(query)
    page = read_answer(PageView, answer)
    if page.query is None:
        return answer
    start, found, tokens = page.query.offset, page.query.found, page.tokens
    while page.tokens and start + len(tokens) < found:
        page = read_answer(PageView, await admin.tokens({**query, "offset": str(start + len(tokens))}))
        tokens += page.tokens
    return {"tokens": tokens, "query": {**answer["query"], "length": len(tokens)}}


@click.command("show")
@click.argument("name")
@json_option
@with_door
def show_token(door: Door, *, name: str, as_json: bool) -> None:
    """Show all that is known of a token."""
    print_token(door.run(lambda admin: admin.token(name)), as_json=as_json)


@click.command("usage")
@click.argument("name")
@click.option("--by", type=click.Choice([str(kind) for kind in PeriodKind]), help="By day without it.")
@click.option("--from", metavar="DATE", help="First day, such as 2030-01-31, or month, such as 2030-01.")
@click.option("--to", metavar="DATE", help="Last day or month.")
@json_option
@with_door
def show_usage(door: Door, *, name: str, as_json: bool, **span: str | None) -> None:
    """Show what a token was used for, by day or month (UTC)."""
    query = {parameter: text for parameter, text in span.items() if text is not None}
    answer = door.run(lambda admin: admin.usage(name, query))
    if as_json:
        print_json(answer)
        return
    rows = [period.row() for period in read_answer(UsageView, answer).usage]
    print_table(("PERIOD", "READ", "WRITE", "ADMIN", "DENIED"), rows)


@click.command("check")
@click.argument("name")
@click.option("--read", metavar="BUCKET", help="Would it be let read this bucket?")
@click.option("--write", metavar="BUCKET", help="Would it be let write this bucket?")
@click.option("--full-access", is_flag=True, help="Would it be let do what needs full access?")
@click.option("--client-ip", metavar="ADDRESS", help="From this address; unknown without it.")
@click.option("--at", metavar="TIME", help="Then; now without it.")
@json_option
@with_door
def check_token(
    door: Door,
    *,
    name: str,
    read: str | None,
    write: str | None,
    full_access: bool,
    as_json: bool,
    **circumstances: str | None,
) -> None:
    """Tell whether a request with a token would be allowed, and why; the exit status is 1 if not."""
    demands = [("read", read), ("write", write), ("full_access", full_access or None)]
    asked = [(action, bucket) for action, bucket in demands if bucket is not None]
    if len(asked) != 1:
        raise MisuseError("give exactly one of --read, --write and --full-access")
    ((action, bucket),) = asked
    query = {parameter: text for parameter, text in circumstances.items() if text is not None}
    query["action"] = action
    if isinstance(bucket, str):
        query["bucket"] = bucket
    answer = door.run(lambda admin: admin.check(name, query))
    decision = read_answer(DecisionView, answer)
    if as_json:
        print_json(answer)
    else:
        print_table(("CHECK", "PASSED", "DETAIL"), [check.row() for check in decision.checks])
        print_line(f"{'allowed' if decision.allowed else 'denied'}: {decision.reason}")
    if not decision.allowed:
        sys.exit(1)


def print_token(answer: Any, *, as_json: bool) -> None:
    """Print one token."""
    if as_json:
        print_json(answer)
    else:
        print_pairs(read_answer(TokenView, answer).pairs())
