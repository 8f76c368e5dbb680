"""`python -m storage_demo`, `storage-demo`."""

from __future__ import annotations

import logging
import os
import sys

import reductauth.web
from reductauth import ConfigurationError
from storage_demo import logs
from storage_demo.app import build_app
from storage_demo.settings import LogLevel, ServerSettings
from storage_demo.tls import tls_context

__all__ = ["main"]


def main() -> None:
    """Start the server that the environment describes, and serve until SIGTERM or SIGINT."""
    logs.configure(LogLevel.INFO)
    try:
        settings = ServerSettings.from_environment(os.environ)
        ssl_context = tls_context(settings)
    except ConfigurationError as error:
        for fault in error.faults:
            logging.getLogger("storage_demo").critical("can't start: %s", fault)
        sys.exit(1)
    logs.configure(settings.log_level)
    reductauth.web.run(build_app(settings), host=settings.host, port=settings.port, ssl_context=ssl_context)


if __name__ == "__main__":
    main()
