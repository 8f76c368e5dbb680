"""`python -m storage_demo`, `storage-demo`."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import click

import reductauth.web
from reductauth import ConfigurationError
from reductauth.configuration import Configuration
from storage_demo import logs
from storage_demo.app import build_app
from storage_demo.limits import allow_open_files
from storage_demo.settings import LogLevel, ServerSettings
from storage_demo.tls import tls_context

__all__ = ["main"]


@click.command()
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="YAML file with what the environment does not say.",
)
def main(config_file: Path | None) -> None:
    """Start the storage server that RS_* variables and a file describe, and serve until SIGTERM or SIGINT."""
    logs.configure(LogLevel.INFO)
    try:
        configuration = Configuration.read(os.environ, config_file)
        settings = ServerSettings.of(configuration)
        ssl_context = tls_context(settings)
    except ConfigurationError as error:
        for fault in error.faults:
            logging.getLogger("storage_demo").critical("can't start: %s", fault)
        sys.exit(1)
    logs.configure(settings.log_level)
    allow_open_files()
    app = build_app(settings, configuration)
    reductauth.web.run(app, host=settings.host, port=settings.port, ssl_context=ssl_context)


if __name__ == "__main__":
    main(prog_name="storage-demo")
