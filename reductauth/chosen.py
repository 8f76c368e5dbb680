"""Values that people chose, and other secrets of a configuration: found, read from their files, checked.

Rule of this file: no fault shows what was found.
"""

from __future__ import annotations

import errno
from pathlib import Path

from reductauth.configuration import TWIN, Configuration, Given
from reductauth.errors import ConfigurationError
from reductauth.key import RegistryKey
from reductauth.value import MAX_VALUE_LENGTH, Shape, shape_of

__all__ = [
    "ADVISED_LENGTH",
    "KEY",
    "check_value",
    "find_secret",
    "read_key",
    "read_secret_file",
    "trim_newline",
]

KEY = "RS_AUTH_KEY"

ADVISED_LENGTH = 32
"""Characters; a shorter value is accepted, with a warning."""


def find_secret(configuration: Configuration, variable: str) -> Given | None:
    """Find a secret under its variable, or in the file that the variable's twin names; None if neither is set.

    Raises `ConfigurationError` if both are.
    """
    plain, twin = configuration.get(variable), configuration.get(variable + TWIN)
    if plain is not None and twin is not None:
        raise ConfigurationError([f"{plain.where} and {twin.where} are both set: keep the one that is meant"])
    return plain if twin is None else read_secret_file(twin)


def read_secret_file(twin: Given) -> Given:
    """Read the file that a `_FILE` twin names. Raises `ConfigurationError`."""
    path = Path(twin.text())
    try:
        # What can be read only once, a pipe, would be empty when it is read again at the start, or block.
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "no such file")
        with path.open("rb") as file:
            text = file.read(MAX_VALUE_LENGTH + 3).decode("latin-1")
    except (OSError, ValueError) as error:
        # Without the path: what stands there by mistake may be the value itself.
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigurationError(
            [f"{twin.where}: can't be read ({reason}); it must name a file that holds the value"]
        ) from None
    return Given(twin.where, trim_newline(text))


def trim_newline(text: str) -> str:
    """Take one newline off the end, which editors and `echo` put there."""
    return text.removesuffix("\r\n" if text.endswith("\r\n") else "\n")


def check_value(given: Given) -> str:
    """Return a token's value if it may be one. Raises `ConfigurationError`."""
    value, where = given.text(), given.where
    if not value.strip():
        raise ConfigurationError([f"{where}: is empty; give it a value, or remove the variable"])
    if not all("!" <= character <= "~" for character in value):
        raise ConfigurationError([f"{where}: may hold visible ASCII characters only, without spaces"])
    if len(value) > MAX_VALUE_LENGTH:
        raise ConfigurationError([f"{where}: is longer than {MAX_VALUE_LENGTH} characters"])
    if shape_of(value) is Shape.MISTYPED:
        raise ConfigurationError(
            [f"{where}: looks like a token of this server, but its checksum is wrong: mistyped?"]
        )
    return value


def read_key(configuration: Configuration) -> RegistryKey | None:
    """Read the registry's key, if the configuration gives it. Raises `ConfigurationError`."""
    given = find_secret(configuration, KEY)
    return None if given is None else RegistryKey.from_hex(given.text(), given.where)
