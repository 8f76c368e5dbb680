"""What handlers find on the application."""

from __future__ import annotations

from aiohttp import web

from storage_demo.engine import Engine
from storage_demo.settings import ServerSettings

__all__ = ["ENGINE", "SETTINGS", "STARTED_AT_SECONDS"]

ENGINE: web.AppKey[Engine] = web.AppKey("engine", Engine)
SETTINGS: web.AppKey[ServerSettings] = web.AppKey("settings", ServerSettings)
STARTED_AT_SECONDS: web.AppKey[float] = web.AppKey("started at (monotonic seconds)", float)
