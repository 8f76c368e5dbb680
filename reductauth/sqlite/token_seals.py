"""The seals of the tokens that one change touches.

Rule of this file: a token is sealed anew only if its seal was good before the change touched it, or if the change
wrote all of it; what somebody else wrote into its record does not become genuine on the way.
"""

from __future__ import annotations

import sqlite3

from reductauth.sqlite.rows import TOKEN_COLUMNS
from reductauth.sqlite.seal import SEALED_COLUMNS, Sealer

__all__ = ["TokenSeals"]

_WHOLE = f"SELECT {TOKEN_COLUMNS} FROM tokens WHERE tokens.id = ?"
_SEALED = f"SELECT {SEALED_COLUMNS} FROM tokens WHERE tokens.id = ?"


class TokenSeals:
    """Which of them are genuine, and which have to be sealed anew."""

    def __init__(self, connection: sqlite3.Connection, sealer: Sealer) -> None:
        self._connection = connection
        self._sealer = sealer
        self._genuine: set[str] = set()
        self._unsealed: set[str] = set()

    def is_genuine(self, token_id: str) -> bool:
        """Whether a token that was touched, or of which it was said, is genuine."""
        return token_id in self._genuine

    def vouch(self, token_id: str) -> None:
        """Say that a token is genuine: the change wrote all of it, or has just looked."""
        self._genuine.add(token_id)

    def look(self, token_id: str) -> bool:
        """Ask before a token is changed whether it is genuine."""
        if token_id not in self._genuine:
            self.renew()
            row = self._connection.execute(_WHOLE, (token_id,)).fetchone()
            if row is None or self._sealer.fault(row) is not None:
                return False
            self._genuine.add(token_id)
        return True

    def touch(self, token_id: str) -> None:
        """Ask before a token is changed: it is sealed anew if it is genuine."""
        if self.look(token_id):
            self._unsealed.add(token_id)

    def forget(self, token_id: str) -> None:
        """There is no such token any more."""
        self._genuine.discard(token_id)
        self._unsealed.discard(token_id)

    def renew(self) -> None:
        """Seal the tokens that were changed so far."""
        for token_id in self._unsealed:
            row = self._connection.execute(_SEALED, (token_id,)).fetchone()
            if row is not None:
                seal = self._sealer.seal(row)
                self._connection.execute("UPDATE tokens SET seal = ? WHERE id = ?", (seal, token_id))
        self._unsealed.clear()
