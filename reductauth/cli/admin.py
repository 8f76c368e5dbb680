"""What the commands ask for. Each method is a route of the token API, and returns its answer as parsed JSON.

Two things offer it: a server (`reductauth.cli.remote`) and the folder itself (`reductauth.cli.local`). Methods
raise `CommandError`, with the same words in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["TokenAdmin"]


class TokenAdmin(Protocol):
    """Administers the tokens of one registry. Bodies and queries are those of the routes."""

    async def tokens(self, query: Mapping[str, str]) -> Any:
        """Tokens in full view: all, or what the query asks for."""
        ...

    async def token(self, name: str) -> Any:
        """One token in full view."""
        ...

    async def usage(self, name: str, query: Mapping[str, str]) -> Any:
        """What a token was used for, by day or month."""
        ...

    async def check(self, name: str, query: Mapping[str, str]) -> Any:
        """What a request with a token would get, and why."""
        ...

    async def audit(self, query: Mapping[str, str]) -> Any:
        """Entries of the audit."""
        ...

    async def create(self, name: str, body: Mapping[str, Any]) -> Any:
        """Make a token; the answer holds its value."""
        ...

    async def edit(self, name: str, patch: Mapping[str, Any]) -> Any:
        """Change a token; the answer is its full view."""
        ...

    async def rotate(self, name: str, body: Mapping[str, Any]) -> Any:
        """Give a token a new value, which the answer holds."""
        ...

    async def revoke(self, name: str) -> Any:
        """End a token for good; the answer is its full view."""
        ...

    async def delete(self, name: str) -> None:
        """Forget a token."""
        ...
