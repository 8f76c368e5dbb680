"""Mechanisms switched off, by name: the test of each promise must fail with its mechanism gone.

They take hold in the process that calls them, before the server is built.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import reductauth.sqlite.files
import reductauth.sqlite.store
import reductauth.usage
from reductauth.errors import StoreUnavailableError
from reductauth.sqlite.generation import Generation
from reductauth.sqlite.generation_log import advance
from reductauth.sqlite.trail import Trail
from reductauth.sqlite.transaction import SqliteTransaction
from reductauth.sqlite.writer import Writer, _Change, _tell
from reductauth.store import UsageDelta

__all__ = ["SABOTAGES"]

_WIDENED_SECONDS = 0.01
"""For how long a moment that is wrong is held, so that a few rounds hit it."""


def _synchronous(level: str) -> Callable[[], None]:
    """Let SQLite sync less."""

    def sabotage() -> None:
        connect = reductauth.sqlite.store._connect

        def connect_carelessly(path: Path) -> sqlite3.Connection:
            connection = connect(path)
            connection.execute(f"PRAGMA synchronous = {level}")
            return connection

        reductauth.sqlite.store._connect = connect_carelessly

    return sabotage


def _answer_before_the_commit() -> None:
    """Tell callers of their changes as soon as they ran."""

    def commit(self: Writer, changed: set[str] | None) -> None:
        time.sleep(_WIDENED_SECONDS)
        publish(self, changed)

    def attempt(self: Writer, change: _Change) -> None:
        attempt_inner(self, change)
        _tell([change])

    publish, attempt_inner = Writer._commit_and_publish, Writer._attempt
    Writer._commit_and_publish = commit  # type: ignore[method-assign]
    Writer._attempt = attempt  # type: ignore[method-assign]


def _commit_then_publish() -> None:
    """Move the generation after the commit, instead of around it."""

    def commit(self: Writer, changed: set[str] | None) -> None:
        with self._lock.held():
            even = advance(self._connection, self._generation.read() + 1, changed)
            self._connection.execute("COMMIT")
            time.sleep(_WIDENED_SECONDS)
            self._generation.publish(even)

    Writer._commit_and_publish = commit  # type: ignore[method-assign]


def _two_commits_for_a_change() -> None:
    """End the transaction between what a change does to the token and what it writes down."""

    def write(self: Any, *arguments: Any) -> int:
        self._connection.execute("COMMIT")
        time.sleep(_WIDENED_SECONDS)
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("SAVEPOINT change")
        return write_inner(self, *arguments)

    write_inner = Trail.write
    Trail.write = write  # type: ignore[assignment, method-assign]


def _no_sync_of_folders() -> None:
    """Leave names that were made to whatever the disk does of itself."""
    sync = reductauth.sqlite.files.sync

    def sync_files(path: Path) -> None:
        if not path.is_dir():
            sync(path)

    reductauth.sqlite.files.sync = sync_files


def _no_sync_of_files() -> None:
    """Move a file in place before its content is on the disk."""
    without = SimpleNamespace(**{**vars(os), "fsync": lambda descriptor: None})
    reductauth.sqlite.files.os = without  # type: ignore[assignment, attr-defined]


def _go_on_after_a_failed_commit() -> None:
    """Take every failed commit for one that left nothing behind."""
    reductauth.sqlite.writer._is_harmless = lambda error: True


def _keep_changes_that_failed() -> None:
    """Leave in the log what a commit wrote that failed."""
    Writer._stop = lambda self, error: self._fail(str(error))  # type: ignore[method-assign]


def _answer_500() -> None:
    """Let SQLite's errors through as they are."""

    def make(self: Writer, batch: list[_Change]) -> None:
        try:
            self._commit(batch)
        except (sqlite3.Error, StoreUnavailableError) as error:
            for change in batch:
                change.refusal = RuntimeError(str(error))
        _tell(batch)

    Writer._make = make  # type: ignore[method-assign]


def _build_over_what_was_lost() -> None:
    """Take a folder without its database for one in which there never was any."""
    folder = reductauth.sqlite.files.RegistryFolder

    def first_start(self: reductauth.sqlite.files.RegistryFolder, given_key: Any) -> Any:
        if not self.database.exists():
            for path in self.path.glob("auth.[kg]*"):
                path.unlink()
        return first_start_inner(self, given_key)

    first_start_inner = folder.first_start
    folder.first_start = first_start  # type: ignore[method-assign]


def _trust_any_generation() -> None:
    """Open an older copy of the database like any other."""
    Generation._check_not_ahead = lambda self, path, kept: None  # type: ignore[method-assign]


def _ignore_files_that_went_away() -> None:
    """Acknowledge changes in files that nobody finds again."""
    Writer._check_in_place = lambda self: None  # type: ignore[method-assign]


def _open_files_of_others() -> None:
    """Open the folder whoever may read it, and wherever it is linked to."""
    reductauth.sqlite.files._ownership_faults = lambda path, is_kind, kind: []


def _flush_at_the_end() -> None:
    """Keep what tokens were used for until the server stops."""
    reductauth.usage.FLUSH_INTERVAL_SECONDS = 3_600.0


def _flush_twice() -> None:
    """Write down again what was written down."""
    add = SqliteTransaction.add_usage

    def twice(self: SqliteTransaction, deltas: Iterable[UsageDelta]) -> None:
        kept = list(deltas)
        add(self, kept)
        add(self, kept)

    SqliteTransaction.add_usage = twice  # type: ignore[method-assign]


SABOTAGES: dict[str, Callable[[], None]] = {
    "synchronous off": _synchronous("OFF"),
    "synchronous normal": _synchronous("NORMAL"),
    "answer before the commit": _answer_before_the_commit,
    "commit, then publish": _commit_then_publish,
    "two commits for a change": _two_commits_for_a_change,
    "no sync of folders": _no_sync_of_folders,
    "no sync of files": _no_sync_of_files,
    "go on after a failed commit": _go_on_after_a_failed_commit,
    "keep changes that failed": _keep_changes_that_failed,
    "answer 500": _answer_500,
    "build over what was lost": _build_over_what_was_lost,
    "trust any generation": _trust_any_generation,
    "ignore files that went away": _ignore_files_that_went_away,
    "open files of others": _open_files_of_others,
    "flush at the end": _flush_at_the_end,
    "flush twice": _flush_twice,
}
