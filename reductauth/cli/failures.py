"""How a command ends that could not do what it was asked: one line on standard error, and a status that says why."""

from __future__ import annotations

import click

from reductauth.cli.terminal import printable

__all__ = ["CommandError", "MisuseError", "NotAllowedError", "RefusedError", "UnreachableError", "refusal"]


class CommandError(click.ClickException):
    """Root of these errors; never raised itself. click prints the message."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class RefusedError(CommandError):
    """The registry refuses: there is no such token, for instance."""

    exit_code = 1


class MisuseError(CommandError):
    """The command line or the environment is wrong. Arguments that click can't read end with this status too."""

    exit_code = 2


class NotAllowedError(CommandError):
    """The token is not good, or may not do this."""

    exit_code = 3


class UnreachableError(CommandError):
    """The registry can't be reached, or can't keep the change."""

    exit_code = 4


def refusal(status: int, detail: str) -> CommandError:
    """Tell a refusal that has this HTTP status."""
    if status in {401, 403, 429}:
        return NotAllowedError(detail)
    return RefusedError(detail) if 400 <= status < 500 else UnreachableError(detail)
