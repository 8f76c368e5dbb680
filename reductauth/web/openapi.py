"""`/api/v1/openapi.json`: the token API described for people, generators and tests (OpenAPI 3.1).

The document itself is `openapi.yaml`, beside this file.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.resources import files

import orjson
import yaml
from aiohttp import web

from reductauth.policy import Anonymous
from reductauth.web.guard import requires

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML was built without libyaml: the same, a quarter of a second later
    from yaml import SafeLoader as Loader  # type: ignore[assignment]  # the two have no class in common

__all__ = ["openapi_route"]


def openapi_route(base_path: str) -> web.RouteDef:
    """The route of the description of the token API below `base_path` (without a slash at its end)."""
    api = f"{base_path}/api/v1"
    body = _document(api)

    @requires(Anonymous())
    async def describe(request: web.Request) -> web.Response:  # noqa: ARG001 - everybody gets the same
        """Show the description of the token API."""
        return web.Response(body=body, content_type="application/json")

    return web.get(f"{api}/openapi.json", describe)


@cache  # it takes a moment to read, and never changes
def _document(api: str) -> bytes:
    document = yaml.load(files("reductauth.web").joinpath("openapi.yaml").read_bytes(), Loader)
    document["info"]["version"] = version("reductauth")
    document["servers"] = [{"url": api}]
    return orjson.dumps(document)
