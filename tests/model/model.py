"""What the contract promises, as plainly as it can be said: dictionaries, and a method for each thing that is done.

Rules of this file: it is written from the documents, and imports nothing of what it judges; the order of every
method is that of the contract's checks: 401, 403, then what is wrong with the request, then what is in its way.
Times are whole seconds since the epoch. What a method returns must be in the answer (see `tests.model.agreement`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

CLIENT = "127.0.0.1"

_PATTERN = re.compile(r"[A-Za-z0-9_-]+|[A-Za-z0-9_-]+\*|\*|\$[A-Za-z0-9_-]+")

Wish = dict[str, Any]
"""Fields of a token, and what they shall be."""


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """Status and message; None where the contract leaves the words open."""

    def __init__(self, status: int, message: str | None = None) -> None:
        super().__init__(status, message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Token:
    """A token, and its values from the oldest to the present one, each with its end."""

    full_access: bool = False
    read: frozenset[str] = frozenset()
    write: frozenset[str] = frozenset()
    description: str = ""
    active: bool = True
    valid_from: int | None = None
    expires_at: int | None = None
    ttl: int | None = None
    ip_allowlist: frozenset[str] = frozenset()
    is_revoked: bool = False
    is_provisioned: bool = False
    values: tuple[tuple[str | None, int | None], ...] = ()
    id: object = field(default_factory=object, compare=False)

    def status(self, now: int) -> str:
        if self.is_revoked:
            return "revoked"
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"
        if not self.active:
            return "inactive"
        return "scheduled" if self.valid_from is not None and now < self.valid_from else "active"

    def is_usable_administrator(self, now: int) -> bool:
        lasts = self.expires_at is None and self.ttl is None and not self.ip_allowlist
        return self.full_access and self.status(now) == "active" and lasts

    def live(self, now: int) -> list[str | None]:
        return [value for value, end in self.values if end is None or now < end]

    def may(self, action: str, bucket: str) -> bool:
        patterns: frozenset[str] = self.write if action == "write" else self.read
        prefixes = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
        by_prefix = not bucket.startswith("$") and bucket.startswith(prefixes)
        return self.full_access or bucket in patterns or by_prefix


@dataclass(frozen=True)
class Link:
    """A record, and in whose name it may be read: a token by its id, and the value that made the link."""

    token_id: object
    token_name: str
    value: str | None
    bucket: str
    entry: str
    ts: int


@dataclass
class Model:
    """Tokens by name; buckets by name, each with its records by entry and time, time 0 for the entry itself."""

    now: int
    tokens: dict[str, Token]
    buckets: dict[str, dict[tuple[str, int], bytes]] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)

    # -- who it is, and whether it may ----------------------------------------------------------------------

    def identify(self, caller: str | None) -> tuple[str, Token]:
        if caller is None:
            raise Refused(401, "No bearer token in request header")
        for name, token in self.tokens.items():
            if caller in token.live(self.now):
                if token.status(self.now) != "active":
                    expired = token.status(self.now) == "expired"
                    raise Refused(401, "Token has expired" if expired else "Invalid token")
                if token.ip_allowlist and CLIENT not in token.ip_allowlist:
                    raise Refused(401, f"Token is not allowed for client IP {CLIENT}")
                return name, token
        raise Refused(401, "Invalid token")

    def administrate(self, caller: str | None) -> None:
        name, token = self.identify(caller)
        if not token.full_access:
            raise Refused(403, f"Token '{name}' doesn't have full access")

    def access(self, caller: str | None, action: str, bucket: str) -> None:
        name, token = self.identify(caller)
        if not token.may(action, bucket):
            raise Refused(403, f"Token '{name}' doesn't have {action} access to bucket '{bucket}'")

    # -- tokens ---------------------------------------------------------------------------------------------

    def create(self, caller: str | None, name: str, wish: Wish, told: str | None) -> None:
        self.administrate(caller)
        token = self._wished(Token(values=((told, None),)), wish)
        _check_period(token)
        if name in self.tokens:
            raise Refused(409, f"Token '{name}' already exists")
        self.tokens[name] = token

    def edit(self, caller: str | None, name: str, patch: Wish) -> Any:
        self.administrate(caller)
        self._wished(Token(), patch)
        edited = self._wished(self._changeable(name, "change"), patch)
        _check_period(edited)
        return self._keep(name, edited, "deactivate" if patch.get("active") is False else "change")

    def rotate(self, caller: str | None, name: str, grace_seconds: int, told: str | None) -> None:
        self.administrate(caller)
        self._rotate(name, grace_seconds, told)

    def rotate_me(self, caller: str | None, grace_seconds: int, told: str | None) -> None:
        self._rotate(self.identify(caller)[0], grace_seconds, told)

    def revoke(self, caller: str | None, name: str) -> Any:
        self.administrate(caller)
        return self._revoke(name)

    def revoke_me(self, caller: str | None) -> None:
        self._revoke(self.identify(caller)[0])

    def delete(self, caller: str | None, name: str) -> None:
        self.administrate(caller)
        self._changeable(name, "remove", even_revoked=True)
        self._keep(name, None, "remove")

    def batch(self, caller: str | None, items: Iterable[tuple[str, str, Wish]]) -> Any:
        self.administrate(caller)
        changes: dict[str, Callable[[str, Wish], Any]] = {
            "revoke": lambda name, _: self.revoke(caller, name),
            "delete": lambda name, _: self.delete(caller, name),
            "activate": lambda name, _: self.edit(caller, name, {"active": True}),
            "deactivate": lambda name, _: self.edit(caller, name, {"active": False}),
            "edit": lambda name, patch: self.edit(caller, name, patch),
        }
        results = []
        for operation, name, patch in items:
            try:
                token = changes[operation](name, patch)
                results.append({"name": name, "status": 200} | ({"token": token} if token else {}))
            except Refused as refused:
                words = {"detail": refused.message} if refused.message else {}
                results.append({"name": name, "status": refused.status, **words})
        return {"results": results}

    def show(self, caller: str | None, name: str) -> Any:
        self.administrate(caller)
        self._token(name)
        return self._view(name)

    def list_tokens(self, caller: str | None) -> Any:
        self.administrate(caller)
        return {"tokens": [self._view(name) for name in sorted(self.tokens)]}

    def check(self, caller: str | None, name: str, action: str, bucket: str) -> Any:
        self.administrate(caller)
        token = self._token(name)
        blocked = token.ip_allowlist and CLIENT not in token.ip_allowlist
        good = token.status(self.now) == "active" and not blocked
        granted = token.full_access if action == "full_access" else token.may(action, bucket)
        return {"allowed": good and granted}

    def me(self, caller: str | None) -> Any:
        return self._view(self.identify(caller)[0])

    def enter(self, caller: str | None) -> None:
        self.identify(caller)

    # -- buckets and records --------------------------------------------------------------------------------

    def create_bucket(self, caller: str | None, bucket: str) -> None:
        self.administrate(caller)
        self._free(bucket)
        self.buckets[bucket] = {}

    def rename_bucket(self, caller: str | None, bucket: str, new: str) -> None:
        self.administrate(caller)
        _check_bucket_name(new)
        self._bucket(bucket)
        self._free(new)
        self.buckets[new] = self.buckets.pop(bucket)
        self._regrant(bucket, {new})

    def remove_bucket(self, caller: str | None, bucket: str) -> None:
        self.administrate(caller)
        self._bucket(bucket)
        del self.buckets[bucket]
        self._regrant(bucket, set())

    def change_bucket(self, caller: str | None, bucket: str) -> None:
        self.administrate(caller)
        self._bucket(bucket)

    def show_bucket(self, caller: str | None, bucket: str) -> Any:
        self.access(caller, "read", bucket)
        entries = sorted({entry for entry, _ in self._bucket(bucket)})
        return {"info": {"name": bucket}, "entries": [{"name": entry} for entry in entries]}

    def probe_bucket(self, caller: str | None, bucket: str) -> None:
        self.identify(caller)
        self._bucket(bucket)

    def list_buckets(self, caller: str | None) -> Any:
        _, token = self.identify(caller)
        return {"buckets": [{"name": name} for name in sorted(self.buckets) if token.may("read", name)]}

    def write(self, caller: str | None, bucket: str, entry: str, ts: int, content: bytes) -> None:
        self.access(caller, "write", bucket)
        if (entry, ts) in self._bucket(bucket):
            raise Refused(409, f"A record with timestamp {ts} already exists")
        self.buckets[bucket][entry, ts] = content
        self.buckets[bucket][entry, 0] = b""

    def read(self, caller: str | None, bucket: str, entry: str, ts: int | None) -> bytes:
        self.access(caller, "read", bucket)
        records = self._entry(bucket, entry)
        if ts is None and not records:
            raise Refused(404)
        ts = max(records) if ts is None else ts
        if ts not in records:
            raise Refused(404, f"Record {ts} not found in entry {bucket}/{entry}")
        return records[ts]

    def remove_record(self, caller: str | None, bucket: str, entry: str, ts: int) -> None:
        self.access(caller, "write", bucket)
        if ts not in self._entry(bucket, entry):
            raise Refused(404, f"Record {ts} not found in entry {bucket}/{entry}")
        del self.buckets[bucket][entry, ts]

    def remove_found(self, caller: str | None, bucket: str, entry: str, start: int) -> Any:
        self.access(caller, "write", bucket)
        found = [key for key in self._bucket(bucket) if key[0] == entry and key[1] >= start]
        for key in found:
            del self.buckets[bucket][key]
        return {"removed_records": len(found)}

    def remove_entry(self, caller: str | None, bucket: str, entry: str) -> None:
        self.access(caller, "write", bucket)
        for ts in (0, *self._entry(bucket, entry)):
            del self.buckets[bucket][entry, ts]

    def rename_entry(self, caller: str | None, bucket: str, entry: str, new: str) -> None:
        self.access(caller, "write", bucket)
        moved = {0: b"", **self._entry(bucket, entry)}
        if (new, 0) in self.buckets[bucket]:
            raise Refused(409, f"Entry '{new}' already exists in bucket '{bucket}'")
        for ts, content in moved.items():
            del self.buckets[bucket][entry, ts]
            self.buckets[bucket][new, ts] = content

    # -- queries and links ----------------------------------------------------------------------------------

    def query(self, caller: str | None, bucket: str, entry: str) -> None:
        self.access(caller, "read", bucket)
        self._entry(bucket, entry)

    def read_query(
        self, caller: str | None, owner: str | None, bucket: str, entry: str, query_id: int
    ) -> bytes | None:
        self.access(caller, "read", bucket)
        records = self._entry(bucket, entry)
        if self.identify(caller)[1].id is not self.identify(owner)[1].id:
            words = "not found and it might have expired. Check TTL in your query request."
            raise Refused(404, f"Query {query_id} {words}")
        if not records:
            raise Refused(204, "No content")
        return b"".join(content for _, content in sorted(records.items()))

    def make_link(self, caller: str | None, bucket: str, entry: str, ts: int) -> None:
        self.access(caller, "read", bucket)
        name, token = self.identify(caller)
        if token.values[-1][0] != caller:
            raise Refused(409, f"Token '{name}' was rotated: use its new value to make links")
        self.links.append(Link(token.id, name, caller, bucket, entry, ts))

    def follow_link(self, link: Link) -> bytes:
        made_by = [token for token in self.tokens.values() if token.id is link.token_id]
        if not made_by:
            raise Refused(404, f"Token '{link.token_name}' doesn't exist")
        token = made_by[0]
        if not token.values or token.values[-1][0] != link.value:
            is_expired = token.status(self.now) == "expired"
            raise Refused(401, "Token has expired" if is_expired else "Invalid token")
        self.access(link.value, "read", link.bucket)
        records = self._bucket(link.bucket)
        if (link.entry, link.ts) not in records:
            raise Refused(404, f"Record {link.entry}/{link.ts} not found in query result")
        return records[link.entry, link.ts]

    # -- in common ------------------------------------------------------------------------------------------

    def _token(self, name: str) -> Token:
        if name not in self.tokens:
            raise Refused(404, f"Token '{name}' doesn't exist")
        return self.tokens[name]

    def _changeable(self, name: str, verb: str, *, even_revoked: bool = False) -> Token:
        if self._token(name).is_provisioned:
            raise Refused(409, f"Can't {verb} provisioned token '{name}'")
        if self.tokens[name].is_revoked and not even_revoked:
            raise Refused(409, f"Token '{name}' is revoked")
        return self.tokens[name]

    def _keep(self, name: str, token: Token | None, verb: str) -> Any:
        others = [other for known, other in self.tokens.items() if known != name]
        after = others if token is None else [*others, token]
        if not any(one.is_usable_administrator(self.now) for one in after):
            raise Refused(409, f"Can't {verb} token '{name}': at least one full-access token must remain")
        if token is None:
            del self.tokens[name]
            return None
        self.tokens[name] = token
        return self._view(name)

    def _rotate(self, name: str, grace_seconds: int, told: str | None) -> None:
        token = self._changeable(name, "rotate")
        if token.status(self.now) == "expired":
            raise Refused(422, f"Can't rotate expired token '{name}'")
        kept = ((token.values[-1][0], self.now + grace_seconds),) if grace_seconds else ()
        self.tokens[name] = replace(token, values=(*kept, (told, None)))

    def _revoke(self, name: str) -> Any:
        token = self._changeable(name, "change", even_revoked=True)
        return self._keep(name, replace(token, is_revoked=True, active=False, values=()), "revoke")

    def _wished(self, token: Token, wish: Wish) -> Token:
        for pattern in (*(wish.get("read") or ()), *(wish.get("write") or ())):
            if not _PATTERN.fullmatch(pattern):
                words = "Permission can contain only bucket names or wildcard '*', got"
                raise Refused(422, f"{words} '{pattern}'")
        return replace(
            token, **{key: getattr(Token(), key) if to is None else to for key, to in wish.items()}
        )

    def _view(self, name: str) -> Any:
        token = self.tokens[name]
        permissions = {"full_access": token.full_access, "read": token.read, "write": token.write}
        ends = {} if token.is_revoked else {"expires_at": rfc3339(token.expires_at)}
        return ends | {
            "name": name,
            "permissions": permissions,
            "description": token.description,
            "status": token.status(self.now),
            "active": token.active,
            "valid_from": rfc3339(token.valid_from),
            "ttl": token.ttl,
            "ip_allowlist": token.ip_allowlist,
            "is_provisioned": token.is_provisioned,
            "secrets": [{}] * len(token.live(self.now)),
        }

    def _bucket(self, bucket: str) -> dict[tuple[str, int], bytes]:
        if bucket not in self.buckets:
            raise Refused(404, f"Bucket '{bucket}' is not found")
        return self.buckets[bucket]

    def _entry(self, bucket: str, entry: str) -> dict[int, bytes]:
        """The records of an entry, by time."""
        if (entry, 0) not in self._bucket(bucket):
            raise Refused(404, f"Entry '{entry}' not found in bucket '{bucket}'")
        return {ts: content for (name, ts), content in self.buckets[bucket].items() if name == entry and ts}

    def _free(self, bucket: str) -> None:
        _check_bucket_name(bucket)
        if bucket in self.buckets:
            raise Refused(409, f"Bucket '{bucket}' already exists")

    def _regrant(self, bucket: str, now_named: set[str]) -> None:
        for name, token in self.tokens.items():
            read, write = (
                frozenset(grants - {bucket} | now_named if bucket in grants else grants)
                for grants in (token.read, token.write)
            )
            self.tokens[name] = replace(token, read=read, write=write)


def _check_period(token: Token) -> None:
    begin, end = token.valid_from, token.expires_at
    if begin is not None and end is not None and begin >= end:
        raise Refused(422)


def _check_bucket_name(bucket: str) -> None:
    if bucket.startswith("$"):
        raise Refused(422, "Bucket or entry name can contain only letters, digests and [-,_] symbols")


def rfc3339(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
