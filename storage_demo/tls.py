"""HTTPS, from the settings."""

from __future__ import annotations

import ssl

from reductauth import ConfigurationError
from storage_demo.settings import ServerSettings

__all__ = ["tls_context"]


def tls_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """Make the context that the settings describe; None for plain HTTP. Raises `ConfigurationError`."""
    if settings.cert_path is None and settings.cert_key_path is None:
        return None
    if settings.cert_path is None or settings.cert_key_path is None:
        raise ConfigurationError(["RS_CERT_PATH and RS_CERT_KEY_PATH: set both for HTTPS, or none for HTTP"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.cert_path, settings.cert_key_path)
    except (OSError, ssl.SSLError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigurationError(
            [
                f"RS_CERT_PATH={str(settings.cert_path)!r}, RS_CERT_KEY_PATH={str(settings.cert_key_path)!r}: "
                f"can't be loaded ({reason}); they must name a certificate chain and its key, in PEM form"
            ]
        ) from None
    return context
