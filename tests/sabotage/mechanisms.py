"""Mechanisms of the server, each switched off, with the tests that must notice."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import hdrs, web

from reductauth import audit, buckets, changes, housekeeping, throttle
from reductauth.authenticator import Authenticator
from reductauth.errors import (
    AuthenticationError,
    InvalidTokenError,
    MissingCredentialError,
    StoreUnavailableError,
    TooManyFailuresError,
)
from reductauth.key import RegistryKey
from reductauth.refusals import RefusalMeter
from reductauth.sqlite import schema, transaction, verification
from reductauth.sqlite.books import AuditSelection
from reductauth.sqlite.seal import Sealer
from reductauth.sqlite.trail import Trail, TrailKey, trail_faults
from reductauth.sqlite.transaction import SqliteTransaction
from reductauth.sqlite.writer import Writer
from reductauth.throttle import Throttle
from reductauth.usage import UsageMeter
from reductauth.value import shape_of
from reductauth.web import batch, listing, metrics, routes, server
from reductauth.web import schema as bodies
from reductauth.web.gate import StoreGate

__all__ = ["SABOTAGES", "Sabotage"]

TAMPERING = "tests/reductauth/web/test_tampering.py::"
TRAIL = "tests/reductauth/sqlite/test_trail.py::"
AUDIT = "tests/reductauth/web/test_audit_route.py::"
COMMANDS = "tests/reductauth/cli/test_integrity.py::"
THROTTLE = "tests/reductauth/test_throttle.py::"
THROTTLING = "tests/reductauth/web/test_throttling.py::"
METRICS = "tests/reductauth/web/test_metrics.py::"
SERVER = "tests/reductauth/web/test_server.py::"
USAGE = "tests/reductauth/test_usage.py::"
FUZZ = "tests/attacks/test_fuzz.py::"
CANARY = "tests/attacks/test_canary.py::"


@dataclass(frozen=True)
class Sabotage:
    """`switch_off` takes hold in the process that calls it, before a server is built."""

    switch_off: Callable[[], None]
    tests: tuple[str, ...]


SABOTAGES: dict[str, Sabotage] = {}


def noticed_by(*tests: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Put a sabotage into the table."""

    def put(switch_off: Callable[[], None]) -> Callable[[], None]:
        SABOTAGES[switch_off.__name__] = Sabotage(switch_off, tests)
        return switch_off

    return put


def _put(owner: object, name: str, replacement: object) -> None:
    """Replace what is there."""
    getattr(owner, name)  # it was renamed, if this raises
    setattr(owner, name, replacement)


# -- integrity ----------------------------------------------------------------------------------------------------

_SEALED, _AUDIT_SEQUENCE = 15, 13


def _seal_without(places: slice) -> None:
    """Leave some of a token's columns out of its seal."""
    make = Sealer.seal

    def careless(self: Sealer, sealed: tuple[Any, ...]) -> bytes:
        if len(sealed) == _SEALED:
            sealed = (*sealed[: places.start], *sealed[places.stop :])
        return make(self, sealed)

    _put(Sealer, "seal", careless)


@noticed_by(
    f"{TAMPERING}test_a_changed_column",
    f"{TAMPERING}test_a_stopped_token_does_not_rise",
    f"{TAMPERING}test_it_is_logged_once",
    f"{COMMANDS}test_beside_a_server",
)
def seals_are_not_checked() -> None:
    """Whatever the record says goes."""
    _put(Sealer, "fault", lambda *_: None)


@noticed_by(f"{TAMPERING}test_an_old_row_put_back", f"{TAMPERING}test_a_deleted_token_put_back")
def seals_are_as_old_as_they_like() -> None:
    """The number of the last audit entry is not compared."""
    fault = Sealer.fault
    _put(Sealer, "fault", lambda self, row: fault(self, (*row[:-1], row[_AUDIT_SEQUENCE])))


@noticed_by(f"{TAMPERING}test_values_in_other_hands")
def seals_are_not_over_digests() -> None:
    """A value can be given to another token."""
    _seal_without(slice(14, 15))


@noticed_by(f"{TAMPERING}test_a_changed_column", f"{TAMPERING}test_it_is_no_administrator")
def seals_are_not_over_permissions() -> None:
    """A token can be given rights."""
    _seal_without(slice(2, 5))


@noticed_by(f"{TAMPERING}test_a_seal_of_another_key")
def seals_need_no_key() -> None:
    """Whoever knows how it is done makes a seal."""
    derive = RegistryKey.derive

    def known(self: RegistryKey, purpose: bytes) -> bytes:
        return bytes(32) if purpose == b"seal" else derive(self, purpose)

    _put(RegistryKey, "derive", known)


@noticed_by(f"{TAMPERING}test_no_change_makes_it_good")
def changes_seal_what_they_find() -> None:
    """A record that somebody has altered becomes genuine with its next change."""

    def touch(self: SqliteTransaction, token_id: str) -> None:
        self._genuine.add(token_id)
        self._unsealed.add(token_id)

    _put(SqliteTransaction, "_touch", touch)
    _put(changes, "_check_genuine", lambda *_: None)


@noticed_by(f"{TAMPERING}test_a_value_that_waits_for_the_next_token")
def values_wait_for_a_token() -> None:
    """A value that was laid where the next token comes is sealed with it."""
    fresh = SqliteTransaction.add

    def add(self: SqliteTransaction, token: Any) -> None:
        waiting = self._connection.execute("SELECT * FROM secrets").fetchall()
        fresh(self, token)
        for row in waiting:
            marks = ", ".join("?" * len(row))
            self._connection.execute(f"INSERT OR IGNORE INTO secrets VALUES ({marks})", row)

    _put(SqliteTransaction, "add", add)


@noticed_by(f"{TAMPERING}test_a_forged_intent_moves_no_grant")
def intents_are_anybodys() -> None:
    """Whoever can write the file has grants moved."""
    _put(Sealer, "fits", lambda *_: True)


@noticed_by(f"{TAMPERING}test_it_is_no_administrator")
def altered_tokens_administer() -> None:
    """A token that was given full access by hand counts as the one that must remain."""

    def has(self: SqliteTransaction, now_us: int) -> bool:
        return self._execute(transaction._ADMINISTRATORS, (now_us,)).fetchone() is not None

    _put(SqliteTransaction, "has_usable_administrator", has)


@noticed_by(f"{TAMPERING}test_a_changed_column", f"{TAMPERING}test_a_row_that_can_not_be_read")
def faults_are_not_listed() -> None:
    """A token is refused, and nobody learns why."""

    def quiet(details: Any, now_us: int) -> dict[str, Any]:
        return {name: value for name, value in bodies.full_view(details, now_us).items() if name != "fault"}

    for module in (batch, listing, routes):
        _put(module, "full_view", quiet)


@noticed_by(f"{TAMPERING}test_it_is_logged_once")
def faults_are_not_logged() -> None:
    """A token is refused in silence."""
    logging.getLogger("reductauth.store").addFilter(lambda _: False)


@noticed_by(f"{TAMPERING}test_a_trigger")
def triggers_write_along() -> None:
    """Nobody looks for what is no part of a registry."""
    _put(schema, "foreign_parts", lambda _: [])


@noticed_by(f"{TAMPERING}test_a_changed_column", f"{COMMANDS}test_beside_a_server")
def verify_looks_at_no_seal() -> None:
    """What is refused is not found."""
    _put(verification, "_seal_faults", lambda *_: iter(()))


@noticed_by(f"{COMMANDS}test_faults")
def verify_takes_any_key() -> None:
    """A registry of another key is whole."""
    _put(verification, "_key_faults", lambda *_: iter(()))


@noticed_by(f"{COMMANDS}test_faults", f"{COMMANDS}test_an_old_copy_put_back_by_hand_is_refused")
def verify_takes_an_old_copy() -> None:
    """A registry that was set back is whole."""
    _put(verification, "_generation_faults", lambda *_: iter(()))


# -- audit --------------------------------------------------------------------------------------------------------


@noticed_by(f"{TRAIL}test_tampering")
def entries_are_not_chained() -> None:
    """Each stands for itself."""
    mac = TrailKey.mac
    _put(TrailKey, "mac", lambda self, _, entry: mac(self, b"", entry))


@noticed_by(f"{TRAIL}test_tampering", f"{COMMANDS}test_entries_of_others")
def entries_are_chained_by_number() -> None:
    """What they say is nobody's business."""
    mac = TrailKey.mac
    _put(TrailKey, "mac", lambda self, previous, entry: mac(self, previous, entry[:1]))


@noticed_by(f"{TRAIL}test_tampering")
def checkpoints_are_not_signed() -> None:
    """Whoever removes the oldest entries says that they were too old."""
    _put(TrailKey, "checkpoint", lambda *_: bytes(32))


def _not_told(words: str) -> None:
    """Leave a kind of fault of the audit out."""
    faults = trail_faults

    def silent(*arguments: Any) -> Any:
        return (fault for fault in faults(*arguments) if words not in fault)

    _put(verification, "trail_faults", silent)


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

    _put(Trail, "write", careless)


@noticed_by(f"{AUDIT}test_a_change", f"{AUDIT}test_buckets")
def entries_do_not_say_what_changed() -> None:
    """Neither what was before nor what after."""
    nothing: Callable[..., audit.Detail] = lambda *_: {"after": {}}  # noqa: E731 - the same for three modules
    for module in (changes, buckets, housekeeping):
        _put(module, "change_of", nothing)


def _write(change: Callable[[list[Any]], None]) -> None:
    """Change what an entry says: at_us, actor, action, token's id and name, detail."""
    write = Trail.write

    def writing(self: Trail, *entry: Any) -> int:
        changed = list(entry)
        change(changed)
        return write(self, *changed)

    _put(Trail, "write", writing)


@noticed_by(f"{AUDIT}test_a_change", f"{AUDIT}test_buckets")
def entries_do_not_say_who() -> None:
    """Everything was done by the environment."""

    def forget(entry: list[Any]) -> None:
        entry[1] = type(entry[1]).environment()

    _write(forget)


@noticed_by(f"{AUDIT}test_no_value_and_no_digest")
def entries_hold_digests() -> None:
    """A digest stands beside what changed."""
    add = SqliteTransaction.add_secret
    last: list[str] = []

    def remember(self: SqliteTransaction, token_id: str, digest: bytes, created_at_us: int) -> None:
        last.append(digest.hex())
        add(self, token_id, digest, created_at_us)

    def tell(entry: list[Any]) -> None:
        entry[-1] = {**(entry[-1] or {}), "digests": list(last)}

    _put(SqliteTransaction, "add_secret", remember)
    _write(tell)


@noticed_by(f"{AUDIT}test_refusals_are_counted", f"{AUDIT}test_refusals_take_little_memory")
def refusals_are_written_down_one_by_one() -> None:
    """A flood fills the disk."""
    count = RefusalMeter._count

    def each(self: RefusalMeter, key: tuple[Any, ...], *arguments: Any) -> None:
        count(self, (*key, object()), *arguments)

    _put(RefusalMeter, "_count", each)


@noticed_by(f"{AUDIT}test_refusals_are_counted")
def failures_are_not_counted() -> None:
    """Guessing leaves no trace."""
    _put(RefusalMeter, "fail", lambda *_: None)


@noticed_by(f"{AUDIT}test_queries")
def queries_find_everything() -> None:
    """No condition is looked at."""
    _put(AuditSelection, "_conditions", lambda *_: [])


@noticed_by(f"{TRAIL}test_old_entries_are_removed")
def retention_carries_nothing_over() -> None:
    """A token whose last entry was removed looks like a copy."""
    forget = SqliteTransaction.forget_audit
    _put(SqliteTransaction, "forget_audit", lambda *arguments: (forget(*arguments)[0], []))


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
    _put(SqliteTransaction, "forget_audit", forget)


# -- guessing -----------------------------------------------------------------------------------------------------


@noticed_by(f"{THROTTLE}test_the_refill_to_the_second", f"{THROTTLING}test_what_counts")
def throttles_never_refuse() -> None:
    """Everybody guesses as often as they like."""
    _put(Throttle, "seconds_to_wait", lambda *_: 0)


@noticed_by(f"{THROTTLING}test_a_valid_value_passes_from_a_flooded_network")
def throttles_refuse_valid_values() -> None:
    """Whoever fails often enough locks an owner out."""
    refuse, recall = StoreGate.refuse, StoreGate.recall
    out: list[AuthenticationError] = []

    def remember(self: StoreGate, *arguments: Any) -> AuthenticationError:
        refusal = refuse(self, *arguments)
        if isinstance(refusal, TooManyFailuresError):
            out.append(refusal)
        return refusal

    def lock_out(self: StoreGate, *arguments: Any) -> Any:
        return out[-1] if out else recall(self, *arguments)

    _put(StoreGate, "refuse", remember)
    _put(StoreGate, "recall", lock_out)


@noticed_by(f"{THROTTLE}test_networks", f"{THROTTLING}test_behind_a_proxy")
def each_address_is_a_network() -> None:
    """Who has an IPv6 network has as many failures as addresses."""
    _put(throttle, "_network", lambda address: address or "")


@noticed_by(f"{THROTTLE}test_a_flood_frees_nobody_and_takes_no_memory")
def throttles_remember_each_network() -> None:
    """A flood from many networks fills the memory."""
    wait = Throttle.seconds_to_wait
    each: dict[str | None, int] = {}

    def remember(self: Throttle, address: str | None, now_us: int) -> int:
        each[address] = now_us
        return wait(self, address, now_us)

    _put(Throttle, "seconds_to_wait", remember)


@noticed_by(f"{THROTTLE}test_a_clock_that_is_set_back")
def throttles_trust_the_clock() -> None:
    """Time that is taken back is waited for."""
    wait, latest = Throttle.seconds_to_wait, [0]

    def waiting(self: Throttle, address: str | None, now_us: int) -> int:
        behind_us = latest[0] - now_us
        latest[0] = max(latest[0], now_us)
        return wait(self, address, latest[0]) + max(0, behind_us) // 1_000_000

    _put(Throttle, "seconds_to_wait", waiting)


@noticed_by(f"{THROTTLING}test_what_does_not_count", f"{AUDIT}test_refusals_are_counted")
def nothing_is_a_guess() -> None:
    """Who presents no credential uses up the failures of a network."""
    _put(MissingCredentialError, "presented", True)


@noticed_by(f"{THROTTLING}test_the_answer", f"{THROTTLING}test_waiting_as_long_as_is_said_is_enough")
def nobody_is_told_how_long() -> None:
    """429 says to try again at once."""
    make = TooManyFailuresError.__init__
    _put(TooManyFailuresError, "__init__", lambda self, _: make(self, 1))


# -- metrics ------------------------------------------------------------------------------------------------------


@noticed_by(f"{METRICS}test_decisions", f"{METRICS}test_what_is_too_much_is_told_apart")
def reasons_are_all_one() -> None:
    """Whatever a refusal was for is counted as an invalid token."""
    refuse = StoreGate.refuse

    def plain(self: StoreGate, request: Any, _: Any, now_us: int) -> AuthenticationError:
        return refuse(self, request, InvalidTokenError(), now_us)

    _put(StoreGate, "refuse", plain)


@noticed_by(f"{METRICS}test_no_label_holds_what_it_must_not", f"{METRICS}test_the_page")
def labels_hold_addresses() -> None:
    """Each client makes a new time series."""
    families = metrics._families

    def telling(*arguments: Any, **named: Any) -> Any:
        for family in families(*arguments, **named):
            if family.name == "reductauth_decisions":
                family.add_metric(("allowed", "127.0.0.1"), 1)  # type: ignore[attr-defined]
            yield family

    _put(metrics, "_families", telling)


@noticed_by(f"{METRICS}test_changes")
def changes_are_not_counted() -> None:
    """Nobody sees that tokens are made."""
    start = Writer.__init__

    def forgetful(self: Writer, *arguments: Any) -> None:
        start(self, *arguments)
        self.kept.update = lambda *_: None  # type: ignore[method-assign, assignment]

    _put(Writer, "__init__", forgetful)


@noticed_by(f"{METRICS}test_the_cache")
def hits_are_not_counted() -> None:
    """The cache seems to be of no use."""
    Authenticator.hits = property(lambda _: 0, lambda *_: None)  # type: ignore[assignment]


@noticed_by(f"{METRICS}test_a_registry_that_cannot_keep_changes")
def errors_of_the_store_are_not_counted() -> None:
    """A disk that fails is nobody's alarm."""
    Writer.failures = property(lambda _: 0, lambda *_: None)  # type: ignore[assignment]


@noticed_by(f"{USAGE}test_a_store_that_is_out_of_order", f"{USAGE}test_a_request_during_a_flush")
def usage_is_lost() -> None:
    """What could not be flushed is forgotten, and so is what came meanwhile."""
    flush = UsageMeter.flush

    async def careless(self: UsageMeter) -> None:
        await flush(self)
        self._waiting, self._tallies = [], {}

    _put(UsageMeter, "flush", careless)


# -- attackers ----------------------------------------------------------------------------------------------------


@noticed_by(
    f"{SERVER}test_malformed_requests", f"{FUZZ}test_every_request_gets_an_answer", f"{CANARY}test_requests"
)
def the_parser_is_quoted() -> None:
    """What can't be parsed is answered by aiohttp itself, with what was sent."""
    _put(server._RequestHandler, "handle_error", web.RequestHandler.handle_error)


@noticed_by(f"{CANARY}test_requests", f"{FUZZ}test_every_request_gets_an_answer")
def values_are_logged() -> None:
    """Who is refused stands in the log, with what was presented."""
    refuse = StoreGate.refuse

    def telling(self: StoreGate, request: web.BaseRequest, *arguments: Any) -> AuthenticationError:
        logging.getLogger("reductauth").debug("refused %s", request.headers.get(hdrs.AUTHORIZATION))
        return refuse(self, request, *arguments)

    _put(StoreGate, "refuse", telling)


@noticed_by(f"{CANARY}test_requests", f"{FUZZ}test_every_request_gets_an_answer")
def values_are_quoted() -> None:
    """A refusal says which value it refuses."""

    async def quoting(self: Authenticator, value: str, *arguments: Any) -> Any:
        found = await ask(self, value, *arguments)
        if type(found) is InvalidTokenError:
            found.message = f"Invalid token {value.encode('ascii', 'replace').decode()}"
        return found

    ask = Authenticator.authenticate
    _put(Authenticator, "authenticate", quoting)
    recall = Authenticator.recall

    def slow(self: Authenticator, value: str, *arguments: Any) -> Any:
        found = recall(self, value, *arguments)
        return None if isinstance(found, InvalidTokenError) or shape_of(value) is None else found

    _put(Authenticator, "recall", slow)


@noticed_by(f"{CANARY}test_requests")
def values_are_kept() -> None:
    """The registry finds tokens by their values."""
    _put(RegistryKey, "digest", lambda _, value: value.encode("utf-8", "surrogatepass"))


@noticed_by(f"{FUZZ}test_what_was_found")
def odd_targets_get_no_answer() -> None:
    """A request that aiohttp can't make is dropped."""
    del server._RequestHandler.start


@noticed_by(f"{FUZZ}test_every_request_gets_an_answer")
def bad_bodies_are_a_fault_of_the_server() -> None:
    """What is no JSON is answered 500."""

    def careless(body: bytes) -> Any:
        return json.loads(body)

    _put(bodies, "_parse_object", careless)


@noticed_by(f"{FUZZ}test_every_request_gets_an_answer")
def each_request_takes_memory() -> None:
    """64 KiB are kept of each refusal."""
    refuse = StoreGate.refuse
    kept: list[bytearray] = []

    def keeping(self: StoreGate, *arguments: Any) -> AuthenticationError:
        kept.append(bytearray(b"x" * 65_536))
        return refuse(self, *arguments)

    _put(StoreGate, "refuse", keeping)
