"""The aiohttp layer.

`setup(app, settings)` puts the module into an application, `run(app)` serves it, `requires(policy)` guards a
handler. An engine that wants the pieces finds them in the modules of this package.
"""

from reductauth.web.body import drain as drain
from reductauth.web.body import expect_later as expect_later
from reductauth.web.body import let_client_send as let_client_send
from reductauth.web.body import read_body as read_body
from reductauth.web.census import RouteEntry as RouteEntry
from reductauth.web.census import declare as declare
from reductauth.web.census import route_table as route_table
from reductauth.web.errors import auth_error_response as auth_error_response
from reductauth.web.errors import error_response as error_response
from reductauth.web.guard import allowed as allowed
from reductauth.web.guard import any_bucket_access as any_bucket_access
from reductauth.web.guard import authorize as authorize
from reductauth.web.guard import read_bucket as read_bucket
from reductauth.web.guard import requires as requires
from reductauth.web.guard import write_bucket as write_bucket
from reductauth.web.keys import AUTH as AUTH
from reductauth.web.keys import IDENTITY as IDENTITY
from reductauth.web.keys import LINK as LINK
from reductauth.web.keys import RESPONSE_HEADERS as RESPONSE_HEADERS
from reductauth.web.keys import TOKEN as TOKEN
from reductauth.web.keys import actor_of as actor_of
from reductauth.web.links import make_link as make_link
from reductauth.web.links import read_link as read_link
from reductauth.web.links import write_link as write_link
from reductauth.web.server import GuardedRunner as GuardedRunner
from reductauth.web.server import run as run
from reductauth.web.setup import setup as setup

__all__ = [
    "AUTH",
    "IDENTITY",
    "LINK",
    "RESPONSE_HEADERS",
    "TOKEN",
    "GuardedRunner",
    "RouteEntry",
    "actor_of",
    "allowed",
    "any_bucket_access",
    "auth_error_response",
    "authorize",
    "declare",
    "drain",
    "error_response",
    "expect_later",
    "let_client_send",
    "make_link",
    "read_body",
    "read_bucket",
    "read_link",
    "requires",
    "route_table",
    "run",
    "setup",
    "write_bucket",
    "write_link",
]
