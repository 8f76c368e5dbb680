"""What commands print.

Rule of this file: what others wrote, a description for instance, is shown, and does not steer the terminal.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click
import orjson
from tabulate import tabulate

__all__ = ["print_json", "print_line", "print_pairs", "print_table", "printable", "progress", "say"]

_MAX_WIDTH = 60


def printable(text: str) -> str:
    """Show characters that are none, line ends among them, by their codes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def print_json(answer: Any) -> None:
    """Print what a route answered, as it does."""
    click.echo(orjson.dumps(answer))


def print_line(text: str) -> None:
    """Print one line on standard output."""
    _print(printable(text))


def say(text: str) -> None:
    """Tell a person something that is no result: on standard error."""
    click.echo(printable(text), err=True)


@contextlib.contextmanager
def progress(label: str, length: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error, if that is a terminal and the whole length is known; give what moves it on."""
    if length is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below each other; what is too long for a column is cut."""
    cells = [[_shortened(printable(cell)) for cell in row] for row in rows]
    # Or tabulate would take a name such as 1e5 for a number, and write it as one.
    _print(tabulate(cells, headers, tablefmt="simple", disable_numparse=True))


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print one thing, a line for each of its properties, whole."""
    _print(
        tabulate([(name, printable(text)) for name, text in pairs], tablefmt="plain", disable_numparse=True)
    )


def _print(text: str) -> None:
    # A terminal that can't show a letter is shown its code.
    click.echo(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))


def _shortened(cell: str) -> str:
    return cell if len(cell) <= _MAX_WIDTH else f"{cell[: _MAX_WIDTH - 3]}..."
