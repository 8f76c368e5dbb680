"""A link: signed text that lets whoever has it do one thing to one bucket, in the name of a token.

    rsl1.{base64url of: code, length of the facts, facts, payload}

The code is keyed BLAKE2b-256 over all that follows it. The key is derived from the registry's for this purpose and
this format, so nothing else that the registry signs is a link. The facts are JSON, the payload is the engine's; both
are signed and not encrypted: whoever has a link can read them. No value is in it, and no digest of one.

Rule of this file: what a link says is believed only after `LinkSigner.open`; what it may do is decided by the token
as it is when the link is used (see `reductauth.links`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from dataclasses import dataclass

from reductauth.errors import InvalidInputError, InvalidLinkError
from reductauth.key import RegistryKey
from reductauth.permissions import Action

__all__ = ["MAX_LINK_LENGTH", "Link", "LinkSigner"]

MAX_LINK_LENGTH = 6_000
"""Characters. The line of a request with a link in it stays below the 8,190 bytes that aiohttp and others take."""

_PURPOSE = b"link rsl1"
_TEXT = re.compile(r"rsl1\.([A-Za-z0-9_-]+)", re.ASCII)
_CODE_BYTES = 32
_LENGTH_BYTES = 4
_END_OF_TIME_US = 2**63


@dataclass(frozen=True, slots=True)
class Link:
    """What a link says."""

    token_id: str
    """Of the token that made it."""
    token_name: str
    secret_id: int
    """The one of the token's values that it was made with."""
    token_created_at_us: int
    """When the token got that value: a rotation begins it anew. An id can be written over by whoever can write the
    registry's file, or come again in one that was restored from a copy; this is under the token's seal."""
    action: Action
    bucket: str
    expires_at_us: int
    """From when on it opens nothing: microseconds since the epoch, UTC."""
    payload: bytes = b""
    """What the engine put in: which record, for instance."""


class LinkSigner:
    """Link <-> text, with a registry's key."""

    def __init__(self, key: RegistryKey) -> None:
        self._hasher = hashlib.blake2b(key=key.derive(_PURPOSE), digest_size=_CODE_BYTES)

    def sign(self, link: Link) -> str:
        """Make the text of a link: letters, digits and `-_.`, at most `MAX_LINK_LENGTH` characters.

        Raises `InvalidInputError` for a link that can't be one.
        """
        if link.bucket.endswith("*"):  # as a grant, it would open more than the one bucket
            raise InvalidInputError(f"A link is for one bucket, got '{link.bucket}'")
        if abs(link.expires_at_us) >= _END_OF_TIME_US:
            raise InvalidInputError("A link can't expire later than 2^63-1 microseconds after 1970")
        facts = json.dumps(
            [
                *(link.token_id, link.token_name, link.secret_id, link.token_created_at_us),
                *(link.action, link.bucket, link.expires_at_us),
            ]
        ).encode()
        body = len(facts).to_bytes(_LENGTH_BYTES) + facts + link.payload
        text = f"rsl1.{_encoded(self._code(body) + body)}"
        if len(text) > MAX_LINK_LENGTH:
            raise InvalidInputError(
                f"A link can have at most {MAX_LINK_LENGTH} characters, this one would have {len(text)}"
            )
        return text

    def open(self, text: str) -> Link:
        """Read a link that `sign` made with this key. Raises `InvalidLinkError` for any other text."""
        if len(text) > MAX_LINK_LENGTH:
            raise InvalidLinkError("it is too long to be a link of this server")
        signed = _decoded(text)
        body = signed[_CODE_BYTES:]
        if not hmac.compare_digest(self._code(body), signed[:_CODE_BYTES]):
            raise InvalidLinkError("it is no link of this server, or was changed")
        start = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES])
        token_id, token_name, secret_id, token_created_at_us, action, bucket, expires_at_us = json.loads(
            body[_LENGTH_BYTES:start]
        )
        return Link(
            *(token_id, token_name, secret_id, token_created_at_us),
            *(Action(action), bucket, expires_at_us, body[start:]),
        )

    def _code(self, body: bytes) -> bytes:
        hasher = self._hasher.copy()
        hasher.update(body)
        return hasher.digest()


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    """What stands behind the mark; nothing where it is not the one way to write it, so that each link has one text."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return b""
    try:
        content = base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4))
    except binascii.Error:
        return b""
    return content if _encoded(content) == match[1] else b""
