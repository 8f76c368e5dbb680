"""Mechanisms of what is remembered of values, each switched off."""

from __future__ import annotations

from typing import Any

from reductauth.authenticator import Authenticator
from reductauth.memory import Memory, Remembered
from reductauth.sqlite import generation_log, writer
from reductauth.sqlite.generation_log import advance
from reductauth.sqlite.store import SqliteStore
from reductauth.sqlite.transaction import SqliteTransaction
from tests.sabotage.table import noticed_by, put

AUTHENTICATOR = "tests/reductauth/test_authenticator.py::"


@noticed_by(
    f"{AUTHENTICATOR}test_what_is_taken_away_ends_at_once",
    f"{AUTHENTICATOR}test_a_thousand_ends",
)
def generations_name_nobody() -> None:
    """A generation says that no token changed."""
    put(writer, "advance", lambda connection, at_least, _: advance(connection, at_least, ()))


@noticed_by(f"{AUTHENTICATOR}test_permissions_are_the_latest")
def any_token_is_none() -> None:
    """What may have been about any token is taken for what was about none."""
    put(
        writer,
        "advance",
        lambda connection, at_least, changed: advance(connection, at_least, changed or ()),
    )


@noticed_by(
    f"{AUTHENTICATOR}test_a_bucket_that_is_renamed_concerns_everybody",
    f"{AUTHENTICATOR}test_permissions_are_the_latest",
)
def gaps_are_nothing() -> None:
    """What is not written down has not happened."""
    ask = generation_log.changed_between

    def generous(connection: Any, earlier: int, later: int) -> frozenset[str]:
        return ask(connection, earlier, later) or frozenset()

    put(generation_log, "changed_between", generous)


@noticed_by(
    f"{AUTHENTICATOR}test_a_change_costs_nobody_else_a_lookup",
    f"{AUTHENTICATOR}test_all_values_of_a_token_are_looked_up_again",
)
def every_change_is_about_all() -> None:
    """A change of one token has all be looked up again."""

    async def all_of_them(*_: Any) -> None:
        return None

    put(SqliteStore, "changed_between", all_of_them)


@noticed_by(
    f"{AUTHENTICATOR}test_all_values_of_a_token_are_looked_up_again",
    f"{AUTHENTICATOR}test_values_that_share_the_last_places",
)
def only_the_last_value_is_distrusted() -> None:
    """Of a token with several values, those that were remembered before the last one go on."""
    keep = Memory.keep

    def keep_alone(self: Memory, place: int, remembered: Remembered) -> None:
        keep(self, place, remembered)
        self._of_token[remembered.found.token.token_id] = (remembered,)

    put(Memory, "keep", keep_alone)


@noticed_by(f"{AUTHENTICATOR}test_a_token_that_was_moved_and_then_ends")
def altered_records_are_known_by_their_ids() -> None:
    """What something else made of a token's id is taken for the id that it is remembered under."""

    def note(self: SqliteTransaction, token_id: str) -> None:
        if self.changed is not None:
            self.changed.add(token_id)

    put(SqliteTransaction, "_note", note)


@noticed_by(f"{AUTHENTICATOR}test_a_lookup_that_a_change_overtakes")
def late_lookups_are_kept() -> None:
    """What was found before a change is true after it."""
    look_up = Authenticator._look_up

    async def look_up_and_keep(
        self: Authenticator, value: str, header: str, address: str | None, now_us: int, generation: int
    ) -> Remembered | None:
        remembered = await look_up(self, value, header, address, now_us, generation)
        if remembered is not None:
            remembered.generation = self._memory.as_of
            self._memory.keep(hash(header), remembered)
        return remembered

    put(Authenticator, "_look_up", look_up_and_keep)
