"""Token authentication and authorization that a storage engine embeds.

This package's top level is the domain core alone: no I/O, no clock, no aiohttp. Around it are

- `reductauth.registry`, `reductauth.sqlite`: all the tokens and every change to them, kept;
- `reductauth.authenticator`: a presented value -> a token, or a refusal;
- `reductauth.web`: the aiohttp layer; `reductauth.web.setup(app, settings)` is the one call an engine makes.
"""

from reductauth.errors import AuthError as AuthError
from reductauth.errors import ConfigurationError as ConfigurationError
from reductauth.errors import InvalidInputError as InvalidInputError
from reductauth.key import RegistryKey as RegistryKey
from reductauth.link import Link as Link
from reductauth.networks import NetworkList as NetworkList
from reductauth.permissions import Action as Action
from reductauth.permissions import BucketPattern as BucketPattern
from reductauth.permissions import Permissions as Permissions
from reductauth.permissions import Role as Role
from reductauth.policy import Allowed as Allowed
from reductauth.policy import Anonymous as Anonymous
from reductauth.policy import Authenticated as Authenticated
from reductauth.policy import BucketAccess as BucketAccess
from reductauth.policy import Decision as Decision
from reductauth.policy import Denied as Denied
from reductauth.policy import FullAccess as FullAccess
from reductauth.policy import Policy as Policy
from reductauth.token import Secret as Secret
from reductauth.token import Token as Token
from reductauth.token import TokenStatus as TokenStatus

__all__ = [
    "Action",
    "Allowed",
    "Anonymous",
    "AuthError",
    "Authenticated",
    "BucketAccess",
    "BucketPattern",
    "ConfigurationError",
    "Decision",
    "Denied",
    "FullAccess",
    "InvalidInputError",
    "Link",
    "NetworkList",
    "Permissions",
    "Policy",
    "RegistryKey",
    "Role",
    "Secret",
    "Token",
    "TokenStatus",
]
