"""Mechanisms of the audit, each switched off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reductauth import audit, buckets, changes, housekeeping
from reductauth.errors import StoreUnavailableError
from reductauth.refusals import RefusalMeter
from reductauth.sqlite import transaction, verification
from reductauth.sqlite.books import AuditSelection
from reductauth.sqlite.seal import Sealer
from reductauth.sqlite.trail import Trail, TrailKey, trail_faults
from reductauth.sqlite.transaction import SqliteTransaction
from tests.sabotage.table import noticed_by, put

TRAIL = "tests/reductauth/sqlite/test_trail.py::"
AUDIT = "tests/reductauth/web/test_audit_route.py::"
COMMANDS = "tests/reductauth/cli/test_integrity.py::"


@noticed_by(f"{TRAIL}test_tampering")
def entries_are_not_chained() -> None:
    """Each stands for itself."""
    mac = TrailKey.mac
    put(TrailKey, "mac", lambda self, _, entry: mac(self, b"", entry))


@noticed_by(f"{TRAIL}test_tampering", f"{COMMANDS}test_entries_of_others")
def entries_are_chained_by_number() -> None:
    """What they say is nobody's business."""
    mac = TrailKey.mac
    put(TrailKey, "mac", lambda self, previous, entry: mac(self, previous, entry[:1]))


@noticed_by(f"{TRAIL}test_tampering")
def checkpoints_are_not_signed() -> None:
    """Whoever removes the oldest entries says that they were too old."""
    put(TrailKey, "checkpoint", lambda *_: bytes(32))


def _not_told(words: str) -> None:
    """Leave a kind of fault of the audit out."""
    faults = trail_faults

    def silent(*arguments: Any) -> Any:
        return (fault for fault in faults(*arguments) if words not in fault)

    put(verification, "trail_faults", silent)


@noticed_by(f"{TRAIL}test_tampering")
def nobody_misses_the_tail() -> None:
    """The last entries can be cut off."""
    _not_told("ends with entry")


@noticed_by(f"{TRAIL}test_tampering")
def nobody_misses_the_middle() -> None:
    """Entries can be taken out."""
    _not_told("are missing")


@noticed_by(f"{TRAIL}test_no_audit_no_change")
def changes_go_on_without_an_entry() -> None:
    """An entry that can't be written is left out."""
    write = Trail.write

    def careless(self: Trail, *entry: Any) -> int:
        try:
            return write(self, *entry)
        except StoreUnavailableError:
            return 0

    put(Trail, "write", careless)


@noticed_by(f"{AUDIT}test_a_change", f"{AUDIT}test_buckets")
def entries_do_not_say_what_changed() -> None:
    """Neither what was before nor what after."""
    nothing: Callable[..., audit.Detail] = lambda *_: {"after": {}}  # noqa: E731 - the same for each module
    for module in (changes, buckets, housekeeping, transaction):
        put(module, "change_of", nothing)


def _write(change: Callable[[list[Any]], None]) -> None:
    """Change what an entry says: at_us, actor, action, token's id and name, detail."""
    write = Trail.write

    def writing(self: Trail, *entry: Any) -> int:
        changed = list(entry)
        change(changed)
        return write(self, *changed)

    put(Trail, "write", writing)


@noticed_by(f"{AUDIT}test_a_change", f"{AUDIT}test_buckets")
def entries_do_not_say_who() -> None:
    """Everything was done by the environment."""

    def forget(entry: list[Any]) -> None:
        entry[1] = type(entry[1]).environment()

    _write(forget)


@noticed_by(f"{AUDIT}test_no_value_and_no_digest")
def entries_hold_digests() -> None:
    """A digest stands beside what changed."""
    add = SqliteTransaction.add
    last: list[str] = []

    def remember(self: SqliteTransaction, *arguments: Any) -> None:
        last.extend(digest.hex() for digest in arguments[-1])
        add(self, *arguments)

    def tell(entry: list[Any]) -> None:
        entry[-1] = {**(entry[-1] or {}), "digests": list(last)}

    put(SqliteTransaction, "add", remember)
    _write(tell)


@noticed_by(f"{AUDIT}test_refusals_are_counted", f"{AUDIT}test_refusals_take_little_memory")
def refusals_are_written_down_one_by_one() -> None:
    """A flood fills the disk."""
    count = RefusalMeter._count

    def each(self: RefusalMeter, key: tuple[Any, ...], *arguments: Any) -> None:
        count(self, (*key, object()), *arguments)

    put(RefusalMeter, "_count", each)


@noticed_by(f"{AUDIT}test_refusals_are_counted")
def failures_are_not_counted() -> None:
    """Guessing leaves no trace."""
    put(RefusalMeter, "fail", lambda *_: None)


@noticed_by(f"{AUDIT}test_queries")
def queries_find_everything() -> None:
    """No condition is looked at."""
    put(AuditSelection, "_conditions", lambda *_: [])


@noticed_by(f"{TRAIL}test_old_entries_are_removed")
def retention_carries_nothing_over() -> None:
    """A token whose last entry was removed looks like a copy."""
    forget = SqliteTransaction.forget_audit
    put(SqliteTransaction, "forget_audit", lambda *arguments: (forget(*arguments)[0], []))


@noticed_by(f"{TRAIL}test_retention_leaves_a_fault")
def retention_seals_what_it_finds() -> None:
    """A record that somebody has altered is carried over, and becomes genuine."""
    fault = Sealer.fault

    def forget(self: SqliteTransaction, *arguments: Any) -> Any:
        Sealer.fault = lambda *_: None  # type: ignore[method-assign]
        try:
            return inner(self, *arguments)
        finally:
            Sealer.fault = fault  # type: ignore[method-assign]

    inner = SqliteTransaction.forget_audit
    put(SqliteTransaction, "forget_audit", forget)
