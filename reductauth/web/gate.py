"""Who is asking: request -> caller, by the registry or by the decision that there is none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Coroutine, Sequence
from typing import Any

from aiohttp import web

from reductauth.actor import Identity
from reductauth.authenticator import Authenticator
from reductauth.disabled import EVERYBODY
from reductauth.errors import AuthenticationError, TooManyFailuresError
from reductauth.refusals import RefusalMeter
from reductauth.settings import Settings
from reductauth.throttle import Throttle
from reductauth.usage import UsageKind, UsageMeter
from reductauth.web.credentials import ClientAddress, Credentials
from reductauth.web.keys import Finding, Recall, RefuseMistyped

__all__ = ["OpenGate", "StoreGate"]


async def _known(refusal: AuthenticationError) -> AuthenticationError:
    return refusal


def _nobody(*_: object) -> None:
    """Leave it to `identify`."""


class StoreGate:
    """Asks the registry who a caller is. See `reductauth.web.keys.Gate`."""

    def __init__(
        self, authenticator: Authenticator, usage: UsageMeter, refusals: RefusalMeter, settings: Settings
    ) -> None:
        # Where more than the one header and the socket's peer count, every request is looked at as a whole.
        is_plain = not settings.trusted_proxies and not settings.allow_x_auth_token
        self.recall: Recall = authenticator.recall if is_plain else _nobody
        self.refuse_mistyped: RefuseMistyped = authenticator.refuse_mistyped if is_plain else _nobody
        self._authenticate = authenticator.authenticate
        self._client_address = ClientAddress(settings.trusted_proxies, settings.proxy_header)
        self.address_of = self._client_address.of
        self._credentials = Credentials(
            basic=settings.allow_basic_auth, x_auth_token=settings.allow_x_auth_token
        )
        self.further_challenges = self._credentials.further_challenges
        self.count = usage.count
        self.count_by_link = usage.count_by_link
        per_minute = settings.auth_failures_per_minute
        self._throttle = Throttle(per_minute) if per_minute else None
        self.refused: defaultdict[type[AuthenticationError], int] = defaultdict(int)
        """Refusals so far, by their reason."""
        self.throttled: defaultdict[type[AuthenticationError], int] = defaultdict(int)
        """Refusals so far that were one too many, by the reason that they would have had."""
        self.deny = refusals.deny
        self._fail = refusals.fail

    def identify(self, request: web.BaseRequest, now_us: int) -> Coroutine[Any, Any, Finding]:
        """Find the value and the address, and ask memory and store."""
        value = self._credentials.presented(request)
        if isinstance(value, AuthenticationError):
            return _known(value)
        return self._authenticate(value, self._client_address.of(request), now_us)

    def refuse(
        self, request: web.BaseRequest, refusal: AuthenticationError, now_us: int
    ) -> AuthenticationError:
        """Count a refusal, once for each request. Who presents nothing guesses nothing, and is not held up."""
        if refusal.presented:
            self._fail(now_us)
            if self._throttle is not None:
                seconds = self._throttle.seconds_to_wait(self._client_address.of(request), now_us)
                if seconds:
                    self.throttled[type(refusal)] += 1
                    return TooManyFailuresError(seconds)
        self.refused[type(refusal)] += 1
        return refusal


class OpenGate:
    """Lets everybody in: authentication is switched off. See `reductauth.web.keys.Gate`."""

    further_challenges: tuple[str, ...] = ()

    def recall(self, lines: Sequence[str], peer: str | None, now_us: int) -> Identity | None:  # noqa: ARG002
        """Everybody."""
        return EVERYBODY

    def refuse_mistyped(self, lines: Sequence[str]) -> None:
        """Refuse nobody."""

    async def identify(self, request: web.BaseRequest, now_us: int) -> Finding:  # noqa: ARG002
        """Everybody."""
        return EVERYBODY

    def refuse(
        self,
        request: web.BaseRequest,  # noqa: ARG002
        refusal: AuthenticationError,
        now_us: int,  # noqa: ARG002
    ) -> AuthenticationError:
        """Do nothing: nobody is refused."""
        return refusal

    def count(self, identity: Identity, kind: UsageKind, now_us: int) -> None:
        """Do nothing: there is no token to count for."""

    def count_by_link(self, identity: Identity, kind: UsageKind, now_us: int) -> None:
        """Do nothing, as above."""

    def address_of(self, request: web.BaseRequest) -> str | None:  # noqa: ARG002
        """Nobody's address matters."""
        return None

    def deny(self, identity: Identity, now_us: int) -> None:
        """Do nothing: everybody may do everything."""
