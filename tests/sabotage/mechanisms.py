"""All sabotages: each module enters its own into the table."""

from __future__ import annotations

from tests.sabotage import attackers, audit, guessing, integrity, metrics, remembering  # noqa: F401 - they enter their own
from tests.sabotage.table import SABOTAGES

__all__ = ["SABOTAGES"]
