"""Whatever matches no route: OPTIONS, a wrong method, an unknown path. Registered last."""

from __future__ import annotations

from aiohttp import hdrs, web

from reductauth import Anonymous
from reductauth.web import drain, error_response, expect_later, requires

__all__ = ["fallback_route"]

_PATH = r"/{path:[\s\S]*}"  # line breaks too, which a dot does not match


def fallback_route() -> web.RouteDef:
    """The route that answers when no other does."""
    return web.route(hdrs.METH_ANY, _PATH, answer_unmatched, expect_handler=expect_later)


@requires(Anonymous())
async def answer_unmatched(request: web.Request) -> web.Response:
    """Answer alike for strangers and for everybody: nothing here says what exists."""
    if request.method == hdrs.METH_OPTIONS:
        return web.Response()
    methods = await _methods(request)
    if methods:
        response = web.Response(status=405, headers={"allow": ", ".join(sorted(methods))})
    else:
        response = error_response(404, "Not found")
    await drain(request, response)
    return response


async def _methods(request: web.Request) -> set[str]:
    """The methods that other routes have for this path."""
    methods: set[str] = set()
    for resource in request.app.router.resources():
        if resource is not request.match_info.route.resource:
            _, found = await resource.resolve(request)
            methods |= found
    return methods
