"""Logging: every line says which process speaks."""

from __future__ import annotations

import logging

__all__ = ["configure"]


def configure(process: str) -> None:
    """Log to standard error as `process`."""
    line = f"%(asctime)s {process}[%(process)d] %(levelname)s %(name)s %(message)s"
    logging.basicConfig(level=logging.INFO, format=line)
