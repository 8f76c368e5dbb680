"""Mechanisms of seals and of `verify`, each switched off."""

from __future__ import annotations

import logging
from typing import Any

from reductauth import changes
from reductauth.key import RegistryKey
from reductauth.provisioning import KeyedDigest
from reductauth.sqlite import change_reads, schema, verification, writer
from reductauth.sqlite.seal import Sealer
from reductauth.sqlite.token_seals import TokenSeals
from reductauth.sqlite.transaction import SqliteTransaction
from reductauth.web import batch, listing, routes, views
from tests.sabotage.table import noticed_by, put

TAMPERING = "tests/reductauth/web/test_tampering.py::"
COMMANDS = "tests/reductauth/cli/test_integrity.py::"
TRANSFER = "tests/reductauth/cli/test_transfer.py::"

_SEALED, _AUDIT_SEQUENCE = 15, 13


def _seal_without(places: slice) -> None:
    """Leave some of a token's columns out of its seal."""
    make = Sealer.seal

    def careless(self: Sealer, sealed: tuple[Any, ...]) -> bytes:
        if len(sealed) == _SEALED:
            sealed = (*sealed[: places.start], *sealed[places.stop :])
        return make(self, sealed)

    put(Sealer, "seal", careless)


@noticed_by(
    f"{TAMPERING}test_a_changed_column",
    f"{TAMPERING}test_a_stopped_token_does_not_rise",
    f"{TAMPERING}test_it_is_logged_once",
    f"{COMMANDS}test_beside_a_server",
)
def seals_are_not_checked() -> None:
    """Whatever the record says goes."""
    put(Sealer, "fault", lambda *_: None)


@noticed_by(f"{TAMPERING}test_an_old_row_put_back", f"{TAMPERING}test_a_deleted_token_put_back")
def seals_are_as_old_as_they_like() -> None:
    """The number of the last audit entry is not compared."""
    fault = Sealer.fault
    put(Sealer, "fault", lambda self, row: fault(self, (*row[:-1], row[_AUDIT_SEQUENCE])))


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

    put(RegistryKey, "derive", known)


@noticed_by(f"{TAMPERING}test_no_change_makes_it_good")
def changes_seal_what_they_find() -> None:
    """A record that somebody has altered becomes genuine with its next change."""

    def touch(self: TokenSeals, token_id: str) -> None:
        self._genuine.add(token_id)
        self._unsealed.add(token_id)

    put(TokenSeals, "touch", touch)
    put(changes, "_check_genuine", lambda *_: None)


@noticed_by(f"{TAMPERING}test_a_value_that_waits_for_the_next_token")
def values_wait_for_a_token() -> None:
    """A value that was laid where the next token comes is found with it."""
    put(writer, "forget_waiting", lambda _: None)


@noticed_by(f"{TRANSFER}test_a_value_that_waits_for_the_next_token")
def values_wait_for_an_import() -> None:
    """The same, for tokens that come from a file."""
    put(writer, "forget_waiting", lambda _: None)


@noticed_by(f"{TRANSFER}test_lines_that_are_wrong")
def imports_take_any_digest() -> None:
    """A digest of another key is kept as one of this registry's."""
    put(KeyedDigest, "under", lambda self, *_: self.digest)


@noticed_by(f"{TAMPERING}test_a_forged_intent_moves_no_grant")
def intents_are_anybodys() -> None:
    """Whoever can write the file has grants moved."""
    put(Sealer, "fits", lambda *_: True)


@noticed_by(f"{TAMPERING}test_it_is_no_administrator")
def altered_tokens_administer() -> None:
    """A token that was given full access by hand counts as the one that must remain."""

    def has(self: SqliteTransaction, now_us: int) -> bool:
        return self._execute(change_reads._ADMINISTRATORS, (now_us,)).fetchone() is not None

    put(SqliteTransaction, "has_usable_administrator", has)


@noticed_by(f"{TAMPERING}test_a_changed_column", f"{TAMPERING}test_a_row_that_can_not_be_read")
def faults_are_not_listed() -> None:
    """A token is refused, and nobody learns why."""

    def quiet(details: Any, now_us: int) -> dict[str, Any]:
        return {name: value for name, value in views.full_view(details, now_us).items() if name != "fault"}

    for module in (batch, listing, routes):
        put(module, "full_view", quiet)


@noticed_by(f"{TAMPERING}test_it_is_logged_once")
def faults_are_not_logged() -> None:
    """A token is refused in silence."""
    logging.getLogger("reductauth.store").addFilter(lambda _: False)


@noticed_by(f"{TAMPERING}test_a_trigger")
def triggers_write_along() -> None:
    """Nobody looks for what is no part of a registry."""
    put(schema, "foreign_parts", lambda _: [])


@noticed_by(f"{TAMPERING}test_a_changed_column", f"{COMMANDS}test_beside_a_server")
def verify_looks_at_no_seal() -> None:
    """What is refused is not found."""
    put(verification, "_seal_faults", lambda *_: iter(()))


@noticed_by(f"{COMMANDS}test_faults")
def verify_takes_any_key() -> None:
    """A registry of another key is whole."""
    put(verification, "_key_faults", lambda *_: iter(()))


@noticed_by(f"{COMMANDS}test_faults", f"{COMMANDS}test_an_old_copy_put_back_by_hand_is_refused")
def verify_takes_an_old_copy() -> None:
    """A registry that was set back is whole."""
    put(verification, "_generation_faults", lambda *_: iter(()))
