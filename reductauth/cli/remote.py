"""The tokens of a server, over HTTP."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from yarl import URL

from reductauth.cli.admin import TokenAdmin
from reductauth.cli.failures import CommandError, MisuseError, UnreachableError, refusal
from reductauth.errors import InvalidInputError
from reductauth.value import check_name

__all__ = ["remote_admin", "server_url"]

_CONNECT_SECONDS = 10
_SILENCE_SECONDS = 60
_FULL_VIEW = {"view": "full"}


def server_url(text: str) -> URL:
    """Read the address of a server. Raises `CommandError`, which does not show it: it may hold a password."""
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise _refused_url("is not a URL") from None
    if url.user is not None or url.password is not None:
        raise _refused_url("must not hold credentials; the token comes from RS_API_TOKEN or a file")
    if url.scheme not in {"http", "https"} or not url.host or not port:
        raise _refused_url("must begin with http:// or https:// and name a server")
    if url.raw_query_string or url.raw_fragment:
        raise _refused_url("must end with the path that the server's routes begin with, without ? and #")
    return url


@contextlib.asynccontextmanager
async def remote_admin(url: URL, value: str, ca_file: Path | None) -> AsyncIterator[TokenAdmin]:
    """Ask the server at `url`, with a token's value. Certificates are verified, against those in `ca_file` if given."""
    try:
        trust = True if ca_file is None else ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "no certificates in it"
        raise MisuseError(f"--ca {ca_file}: can't be read ({reason})") from None
    async with aiohttp.ClientSession(
        headers={"authorization": f"Bearer {value}"},
        connector=aiohttp.TCPConnector(ssl=trust),
        # Not the whole: a list of all tokens may be long.
        timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS, total=None),
    ) as session:
        yield _RemoteAdmin(session, url)


class _RemoteAdmin:
    """See `TokenAdmin`."""

    def __init__(self, session: aiohttp.ClientSession, url: URL) -> None:
        self._session = session
        self._url = url
        self._tokens = url / "api/v1/tokens"
        self._audit = url / "api/v1/audit"

    async def tokens(self, query: Mapping[str, str]) -> Any:
        return await self._ask("GET", self._tokens, query={**query, **_FULL_VIEW})

    async def token(self, name: str) -> Any:
        return await self._ask("GET", self._token(name), query=_FULL_VIEW)

    async def usage(self, name: str, query: Mapping[str, str]) -> Any:
        return await self._ask("GET", self._token(name) / "usage", query=query)

    async def check(self, name: str, query: Mapping[str, str]) -> Any:
        return await self._ask("GET", self._token(name) / "check", query=query)

    async def audit(self, query: Mapping[str, str]) -> Any:
        return await self._ask("GET", self._audit, query=query)

    async def create(self, name: str, body: Mapping[str, Any]) -> Any:
        return await self._ask("POST", self._token(name), body=body)

    async def edit(self, name: str, patch: Mapping[str, Any]) -> Any:
        return await self._ask("PATCH", self._token(name), body=patch)

    async def rotate(self, name: str, body: Mapping[str, Any]) -> Any:
        return await self._ask("POST", self._token(name) / "rotate", body=body)

    async def revoke(self, name: str) -> Any:
        return await self._ask("POST", self._token(name) / "revoke", body={})

    async def delete(self, name: str) -> None:
        await self._ask("DELETE", self._token(name))

    def _token(self, name: str) -> URL:
        try:
            # Dots are written by their code, or the name `..` would be a step upwards.
            return self._tokens.joinpath(check_name(name).replace(".", "%2E"), encoded=True)
        except InvalidInputError as error:  # what is no name would lead to another route
            raise refusal(422, str(error)) from None

    async def _ask(
        self,
        method: str,
        url: URL,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        # The json of the standard library writes any number; the server says which ones it takes.
        data = None if body is None else json.dumps(body).encode()
        try:
            async with self._session.request(
                method, url, params=query, data=data, allow_redirects=False
            ) as response:
                content = await response.read()
        except TimeoutError:
            raise self._unreachable("it does not answer") from None
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            raise self._unreachable(_reason(error)) from None
        return self._answer(response, content)

    def _answer(self, response: aiohttp.ClientResponse, content: bytes) -> Any:
        try:
            answer = orjson.loads(content) if content else None
        except orjson.JSONDecodeError:
            answer = None
        detail = answer.get("detail") if isinstance(answer, dict) else None
        if response.status == 200 and (answer is not None or not content):
            return answer
        if response.status != 200 and isinstance(detail, str):
            raise refusal(response.status, detail)
        if response.status in {401, 403, 429}:
            raise refusal(response.status, f"{self._url}: {response.status} {response.reason}")
        raise self._unreachable(
            f"it answers {response.status} {response.reason}, and not as a server with tokens does"
        )

    def _unreachable(self, reason: str) -> CommandError:
        return UnreachableError(f"{self._url}: can't be administered: {reason}")


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({error.certificate_error}); see --ca"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"can't connect ({error.os_error.strerror or error.os_error})"
    return str(error) or type(error).__name__


def _refused_url(right: str) -> CommandError:
    return MisuseError(f"the server's URL {right}")
