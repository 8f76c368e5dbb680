"""Cross-origin requests: which pages of other servers may read the answers of this one.

No credentials are allowed along: a page has to be given a token of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from aiohttp import hdrs, web

__all__ = ["ANY_ORIGIN", "cross_origin"]

ANY_ORIGIN = "*"


def cross_origin(origins: Collection[str]) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Make the hook that puts the headers of the Fetch standard on every answer.

    An origin that is not listed is served all the same; its browser just does not show the page the answer.
    """

    async def put(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        if request.method == hdrs.METH_OPTIONS:
            headers["access-control-allow-methods"] = "*"
            headers["access-control-allow-headers"] = "*"
        else:
            headers["access-control-expose-headers"] = "*"
        if ANY_ORIGIN in origins:
            headers["access-control-allow-origin"] = ANY_ORIGIN
        elif (origin := request.headers.get(hdrs.ORIGIN)) in origins:
            headers["access-control-allow-origin"] = str(origin)

    return put
