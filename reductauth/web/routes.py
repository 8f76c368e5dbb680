"""`/api/v1/tokens` and `/api/v1/me`. Handlers of a few lines: what is refused is decided further in."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from reductauth.policy import Authenticated, FullAccess
from reductauth.web.batch import batch_results
from reductauth.web.body import expect_later, read_body
from reductauth.web.guard import requires
from reductauth.web.keys import AUTH, TOKEN, actor_of
from reductauth.web.listing import bare_end, counted_end, full_rows, page_body, protocol_rows, stream_body
from reductauth.web.query import (
    AUDIT_PARAMETERS,
    LIST_PARAMETERS,
    QUESTION_PARAMETERS,
    SPAN_PARAMETERS,
    is_full_view,
    parse_audit_query,
    parse_question,
    parse_span,
    parse_token_query,
)
from reductauth.web.schema import (
    parse_batch,
    parse_draft,
    parse_edit,
    parse_nothing,
    parse_rotation,
    refuse_query,
)
from reductauth.web.views import audit_view, explanation_view, full_view, minted_view, token_view, usage_view
from reductauth.web.wire import to_json

__all__ = ["token_routes"]

# RFC 9111 §5.2.2.5: neither values nor what tokens may do belongs into a cache.
_NO_STORE = {"cache-control": "no-store"}


def token_routes(base_path: str) -> list[web.RouteDef]:
    """The routes of the token API below `base_path` (without a slash at its end)."""
    api = f"{base_path}/api/v1"
    token = f"{api}/tokens/{{token_name:[^/]+}}"
    return [
        web.get(f"{api}/me", show_me),
        web.delete(f"{api}/me", revoke_me),
        web.post(f"{api}/me/rotate", rotate_me, expect_handler=expect_later),
        web.get(f"{api}/audit", show_audit),
        web.get(f"{api}/tokens", list_tokens),
        web.post(f"{api}/tokens/$batch", change_tokens, expect_handler=expect_later),
        web.get(token, show_token),
        web.post(token, create_token, expect_handler=expect_later),
        web.patch(token, edit_token, expect_handler=expect_later),
        web.delete(token, delete_token),
        web.get(f"{token}/usage", show_usage),
        web.get(f"{token}/check", check_token),
        web.post(f"{token}/rotate", rotate_token, expect_handler=expect_later),
        web.post(f"{token}/revoke", revoke_token, expect_handler=expect_later),
    ]


@requires(Authenticated())
async def show_me(request: web.Request) -> web.Response:
    """Show the caller's own token."""
    auth = request.app[AUTH]
    token_id = request[TOKEN].token_id
    if is_full_view(request.query):
        return _json(full_view(await auth.registry.details_by_id(token_id), auth.clock()))
    return _json(token_view(await auth.registry.token_by_id(token_id), auth.clock()))


@requires(Authenticated())
async def revoke_me(request: web.Request) -> web.Response:
    """End the caller's own token for good."""
    registry = request.app[AUTH].registry
    registry.check_enabled()
    await registry.revoke_own(actor_of(request))
    return web.Response(headers=_NO_STORE)


@requires(Authenticated())
async def rotate_me(request: web.Request) -> web.Response:
    """Give the caller's own token a new value."""
    registry = request.app[AUTH].registry
    registry.check_enabled()
    grace_seconds = parse_rotation(await read_body(request))
    return _json(minted_view(await registry.rotate_own(actor_of(request), grace_seconds)))


@requires(FullAccess())
async def list_tokens(request: web.Request) -> web.StreamResponse:
    """List the tokens that are asked for, a page at a time, or stream all of them."""
    listing = request.app[AUTH].registry.listing
    refuse_query(request.query, LIST_PARAMETERS)
    rows, end = (full_rows, counted_end) if is_full_view(request.query) else (protocol_rows, bare_end)
    query = parse_token_query(request.query)
    if query is not None:
        return _json_bytes(page_body(await listing.page(query, rows), query))
    response = web.StreamResponse(headers={"content-type": "application/json", **_NO_STORE})
    await stream_body(request, response, listing.batches(rows), end)
    return response


@requires(FullAccess())
async def show_token(request: web.Request) -> web.Response:
    """Show one token."""
    auth = request.app[AUTH]
    refuse_query(request.query, ("view",))
    if is_full_view(request.query):
        return _json(full_view(await auth.registry.details(_name(request)), auth.clock()))
    return _json(token_view(await auth.registry.token(_name(request)), auth.clock()))


@requires(FullAccess())
async def check_token(request: web.Request) -> web.Response:
    """Tell what a request with a token would get, and why."""
    refuse_query(request.query, known=QUESTION_PARAMETERS)
    question = parse_question(request.query)
    registry = request.app[AUTH].registry
    explanation = await registry.explain(_name(request), question.demand, question.client_ip, question.at_us)
    return _json(explanation_view(explanation))


@requires(FullAccess())
async def show_usage(request: web.Request) -> web.Response:
    """Show what a token was used for, by day or month."""
    refuse_query(request.query, SPAN_PARAMETERS)
    span = parse_span(request.query)
    return _json(usage_view(*await request.app[AUTH].registry.usage(_name(request), span)))


@requires(FullAccess())
async def show_audit(request: web.Request) -> web.Response:
    """Show what was done to the registry, a page at a time."""
    refuse_query(request.query, AUDIT_PARAMETERS)
    query = parse_audit_query(request.query)
    return _json(audit_view(await request.app[AUTH].registry.audited(query), query))


@requires(FullAccess())
async def create_token(request: web.Request) -> web.Response:
    """Create a token; the answer is the only place where its value is ever seen."""
    registry = request.app[AUTH].registry
    registry.check_enabled()
    refuse_query(request.query)
    draft = parse_draft(await read_body(request))
    return _json(minted_view(await registry.create(actor_of(request), _name(request), draft)))


@requires(FullAccess())
async def edit_token(request: web.Request) -> web.Response:
    """Change some of a token's fields."""
    auth = request.app[AUTH]
    auth.registry.check_enabled()
    refuse_query(request.query)
    edit = parse_edit(await read_body(request))
    return _json(full_view(await auth.registry.edit(actor_of(request), _name(request), edit), auth.clock()))


@requires(FullAccess())
async def change_tokens(request: web.Request) -> web.Response:
    """Make many changes, each of its own."""
    auth = request.app[AUTH]
    auth.registry.check_enabled()
    refuse_query(request.query)
    items = parse_batch(await read_body(request))
    return _json({"results": await batch_results(auth, actor_of(request), items)})


@requires(FullAccess())
async def rotate_token(request: web.Request) -> web.Response:
    """Give a token a new value."""
    registry = request.app[AUTH].registry
    registry.check_enabled()
    refuse_query(request.query)
    grace_seconds = parse_rotation(await read_body(request))
    return _json(minted_view(await registry.rotate(actor_of(request), _name(request), grace_seconds)))


@requires(FullAccess())
async def revoke_token(request: web.Request) -> web.Response:
    """End a token for good, and keep its record."""
    auth = request.app[AUTH]
    auth.registry.check_enabled()
    refuse_query(request.query)
    parse_nothing(await read_body(request))
    return _json(full_view(await auth.registry.revoke(actor_of(request), _name(request)), auth.clock()))


@requires(FullAccess())
async def delete_token(request: web.Request) -> web.Response:
    """Forget a token."""
    refuse_query(request.query)
    await request.app[AUTH].registry.delete(actor_of(request), _name(request))
    return web.Response(headers=_NO_STORE)


def _name(request: web.Request) -> str:
    return request.match_info["token_name"]


def _json(content: dict[str, Any]) -> web.Response:
    return _json_bytes(to_json(content))


def _json_bytes(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", headers=_NO_STORE)
