"""Mechanisms that attackers would like to be without, each switched off."""

from __future__ import annotations

import json
import logging
from typing import Any

from aiohttp import hdrs, web

from reductauth.authenticator import Authenticator
from reductauth.errors import (
    AuthenticationError,
    InvalidTokenError,
)
from reductauth.key import RegistryKey
from reductauth.web import schema as bodies
from reductauth.web import server
from reductauth.web.gate import StoreGate
from tests.sabotage.table import noticed_by, put

SERVER = "tests/reductauth/web/test_server.py::"
FUZZ = "tests/attacks/test_fuzz.py::"
CANARY = "tests/attacks/test_canary.py::"


@noticed_by(
    f"{SERVER}test_malformed_requests", f"{FUZZ}test_every_request_gets_an_answer", f"{CANARY}test_requests"
)
def the_parser_is_quoted() -> None:
    """What can't be parsed is answered by aiohttp itself, with what was sent."""
    put(server._RequestHandler, "handle_error", web.RequestHandler.handle_error)


@noticed_by(f"{CANARY}test_requests", f"{FUZZ}test_every_request_gets_an_answer")
def values_are_logged() -> None:
    """Who is refused stands in the log, with what was presented."""
    refuse = StoreGate.refuse

    def telling(self: StoreGate, request: web.BaseRequest, *arguments: Any) -> AuthenticationError:
        logging.getLogger("reductauth").debug("refused %s", request.headers.get(hdrs.AUTHORIZATION))
        return refuse(self, request, *arguments)

    put(StoreGate, "refuse", telling)


@noticed_by(f"{CANARY}test_requests", f"{FUZZ}test_every_request_gets_an_answer")
def values_are_quoted() -> None:
    """A refusal says which value it refuses."""

    async def quoting(self: Authenticator, value: str, *arguments: Any) -> Any:
        found = await ask(self, value, *arguments)
        if type(found) is InvalidTokenError:
            found.message = f"Invalid token {value.encode('ascii', 'replace').decode()}"
        return found

    ask = Authenticator.authenticate
    put(Authenticator, "authenticate", quoting)
    put(Authenticator, "refuse_mistyped", lambda *_: None)


@noticed_by(f"{CANARY}test_requests")
def values_are_kept() -> None:
    """The registry finds tokens by their values."""
    put(RegistryKey, "digest", lambda _, value: value.encode("utf-8", "surrogatepass"))


@noticed_by(f"{FUZZ}test_what_was_found")
def odd_targets_get_no_answer() -> None:
    """A request that aiohttp can't make is dropped."""
    del server._RequestHandler.start


@noticed_by(f"{FUZZ}test_every_request_gets_an_answer")
def bad_bodies_are_a_fault_of_the_server() -> None:
    """What is no JSON is answered 500."""

    def careless(body: bytes) -> Any:
        return json.loads(body)

    put(bodies, "parse_object", careless)


@noticed_by(f"{FUZZ}test_every_request_gets_an_answer")
def each_request_takes_memory() -> None:
    """64 KiB are kept of each refusal."""
    refuse = StoreGate.refuse
    kept: list[bytearray] = []

    def keeping(self: StoreGate, *arguments: Any) -> AuthenticationError:
        kept.append(bytearray(b"x" * 65_536))
        return refuse(self, *arguments)

    put(StoreGate, "refuse", keeping)
