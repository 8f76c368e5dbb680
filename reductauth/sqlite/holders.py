"""The tokens that ask for changes, as the writer read them last: an administrator seldom asks only once.

Rule of this file: what was read is forgotten as soon as anything might have changed it: another connection's commit,
or a change of this one that did anything but create. A change that has written reads for itself: what it sees may be
taken back.
"""

from __future__ import annotations

from collections.abc import Callable

from reductauth.token import Secret, Token

__all__ = ["Holders"]

_MOST = 64


class Holders:
    """Tokens and their values, by the token's id, as they are now in the writer's transaction."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}
        self._secrets: dict[str, list[Secret]] = {}

    def forget(self) -> None:
        """Read everything anew from now on."""
        self._tokens.clear()
        self._secrets.clear()

    def token(self, token_id: str, read: Callable[[str], Token | None]) -> Token | None:
        """The token with this id, which `read` gives where it is not known."""
        token = self._tokens.get(token_id)
        if token is None:
            token = read(token_id)
            if token is not None and len(self._tokens) < _MOST:
                self._tokens[token_id] = token
        return token

    def secrets(self, token_id: str, read: Callable[[str], list[Secret]]) -> list[Secret]:
        """The values of a token, in the same way."""
        secrets = self._secrets.get(token_id)
        if secrets is None:
            secrets = read(token_id)
            if len(self._secrets) < _MOST:
                self._secrets[token_id] = secrets
        return secrets
