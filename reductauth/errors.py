"""Everything that this package refuses, as one tree.

AuthError
├── ConfigurationError          the deployment is wrong: the application does not start
├── AuthenticationOffError      the call needs a registry, and authentication is off
├── AuthenticationError         nobody that we know: each case has a class of its own
│   ├── MissingCredentialError
│   ├── SeveralCredentialsError
│   ├── InvalidTokenError
│   ├── ExpiredTokenError
│   ├── AddressError
│   ├── LinkError               what came in place of a link opens nothing
│   │   ├── MissingLinkError
│   │   ├── InvalidLinkError
│   │   └── ExpiredLinkError
│   └── TooManyFailuresError
├── PermissionDeniedError       known, but may not
├── TokenNotFoundError
├── ConflictError               the registry's state forbids it
│   ├── TokenExistsError
│   ├── TokensTakenError
│   ├── ProvisionedTokenError
│   ├── RevokedTokenError
│   ├── FaultyTokenError
│   ├── BucketBusyError
│   ├── StaleValueError
│   └── LastAdministratorError
├── InvalidInputError           the request cannot be understood
│   └── BodyTooLargeError
└── StoreUnavailableError       the registry cannot keep a change just now

`str(error)` is one line for the person who asked. It never holds a token's value.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "AddressError",
    "AuthError",
    "AuthenticationError",
    "AuthenticationOffError",
    "BodyTooLargeError",
    "BucketBusyError",
    "ConfigurationError",
    "ConflictError",
    "ExpiredLinkError",
    "ExpiredTokenError",
    "FaultyTokenError",
    "InvalidInputError",
    "InvalidLinkError",
    "InvalidTokenError",
    "LastAdministratorError",
    "LinkError",
    "MissingCredentialError",
    "MissingLinkError",
    "PermissionDeniedError",
    "ProvisionedTokenError",
    "RevokedTokenError",
    "SeveralCredentialsError",
    "StaleValueError",
    "StoreUnavailableError",
    "TokenExistsError",
    "TokenNotFoundError",
    "TokensTakenError",
    "TooManyFailuresError",
]


class AuthError(Exception):
    """Root of the tree; never raised itself.

    `retry_after_seconds` is a fair pause where the same request may succeed later.
    """

    retry_after_seconds: int | None = None


class ConfigurationError(AuthError):
    """The deployment cannot be started as it is configured.

    `faults` holds one line for each thing that is wrong: which setting, with which value, and what would
    be right.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults))


class AuthenticationOffError(AuthError):
    """A call that needs the registry while authentication is switched off."""

    def __init__(self) -> None:
        super().__init__("Authentication is disabled")


class AuthenticationError(AuthError):
    """The caller is nobody that the registry knows, or may not come in now.

    `presented` says whether a credential was sent at all (RFC 6750 §3: only then does the challenge
    carry an error code). `message` stands in the class: a refusal is made for every request of a flood.
    """

    presented = True
    message = "Invalid token"

    def __str__(self) -> str:
        """Give the message."""
        return self.message


class MissingCredentialError(AuthenticationError):
    """No bearer token in the request."""

    presented = False
    message = "No bearer token in request header"


class SeveralCredentialsError(AuthenticationError):
    """Two credentials in one request: which one is meant cannot be known."""

    message = "More than one credential in request"


class InvalidTokenError(AuthenticationError):
    """No such value; also an inactive, scheduled or revoked token, which a stranger cannot tell apart."""


class ExpiredTokenError(AuthenticationError):
    """Past its expiry, or idle for longer than its ttl."""

    message = "Token has expired"


class AddressError(AuthenticationError):
    """The client's address is not on the token's allowlist, or cannot be known."""

    def __init__(self, address: str | None) -> None:
        super().__init__(address)
        self.address = address
        self.message = (
            "Client IP is required for this token"
            if address is None
            else f"Token is not allowed for client IP {address}"
        )


class LinkError(AuthenticationError):
    """A link is a credential too, and this one opens nothing. Never raised itself.

    The messages are ReductStore's, which existing clients know.
    """


class MissingLinkError(LinkError):
    """No link in the query, in the parameter where one belongs."""

    presented = False

    def __init__(self, parameter: str) -> None:
        super().__init__(parameter)
        self.message = f"Missing '{parameter}' parameter"


class InvalidLinkError(LinkError):
    """Not what this registry's key has signed; `reason` says no more about how near it came."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.message = f"Failed to decrypt query: {reason}"


class ExpiredLinkError(LinkError):
    """A link of ours whose time is over, whatever became of its token."""

    message = "Query link has expired"


class TooManyFailuresError(AuthenticationError):
    """The client's network has failed to authenticate too often of late. A valid value is never refused with it."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds
        unit = "second" if retry_after_seconds == 1 else "seconds"
        self.message = f"Too many failed authentications, try again in {retry_after_seconds} {unit}"


class PermissionDeniedError(AuthError):
    """The token is good, and may not do this."""


class TokenNotFoundError(AuthError):
    """No token has this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Token '{name}' doesn't exist")


class ConflictError(AuthError):
    """The registry's present state forbids the change."""


class TokenExistsError(ConflictError):
    """The name is taken. A revoked or expired token keeps its name until it is deleted."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Token '{name}' already exists")


class TokensTakenError(ConflictError):
    """Of many tokens that were to be added one has a name, an id or a value that is taken; it is not said which."""

    def __init__(self) -> None:
        super().__init__("A name, an id or a value of these tokens is taken")


class ProvisionedTokenError(ConflictError):
    """A provisioned token is changed where it is provisioned."""

    def __init__(self, verb: str, name: str) -> None:
        self.name = name
        super().__init__(f"Can't {verb} provisioned token '{name}'")


class RevokedTokenError(ConflictError):
    """Revocation is final."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Token '{name}' is revoked")


class FaultyTokenError(ConflictError):
    """Something else than this module has changed the token: what it says now must not become the truth."""

    def __init__(self, verb: str, name: str, fault: str) -> None:
        self.name = name
        super().__init__(
            f"Can't {verb} token '{name}': {fault}; revoke or delete it, or restore it from a backup"
        )


class BucketBusyError(ConflictError):
    """A renaming or removal of the bucket is under way, or was cut short and is not settled yet."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        super().__init__(f"Bucket '{bucket}' is being renamed or removed")


class StaleValueError(ConflictError):
    """A link is bound to the newest value of its token; the caller presented one that works on in its grace."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"Token '{name}' was rotated: use its new value to make links")


class LastAdministratorError(ConflictError):
    """The change would leave nobody who can administer the registry."""

    def __init__(self, verb: str, name: str) -> None:
        self.name = name
        super().__init__(f"Can't {verb} token '{name}': at least one full-access token must remain")


class InvalidInputError(AuthError):
    """What was asked for cannot be understood or is out of bounds; nothing was changed."""


class BodyTooLargeError(InvalidInputError):
    """The request's body is longer than any legitimate one."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(f"Body is larger than {limit_bytes} bytes")


class StoreUnavailableError(AuthError):
    """The change was not kept, and nothing of it remains."""

    retry_after_seconds = 1

    def __init__(
        self, reason: str = "The token registry can't keep changes right now, try again later"
    ) -> None:
        super().__init__(reason)
