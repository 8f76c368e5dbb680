"""Five ways of working with tokens that people bring along, each told from beginning to end against a real server."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aiohttp import ClientSession

from tests.forked import forked
from tests.servers import ROOT_VALUE

Headers = Mapping[str, str]
NOBODY: Headers = MappingProxyType({})
NO_CREDENTIAL = {"detail": "No bearer token in request header"}
INVALID = {"detail": "Invalid token"}
SOON_SECONDS = 10
"""Within so many seconds what was counted can be seen."""


class Storage:
    """A server, and what it says."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def __call__(
        self, method: str, path: str, credential: Headers, body: Any = None
    ) -> tuple[int, Any]:
        """Send a request; return the status, and the body as JSON or as text."""
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        async with self._session.request(method, f"/api/v1{path}", headers=credential, data=data) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(text) if is_json else text

    async def make(self, name: str, credential: Headers, body: Any) -> str:
        """Create a token; return its value."""
        status, made = await self("POST", f"/tokens/{name}", credential, body)
        assert status == 200, made
        assert made.keys() == {"value", "created_at"}
        return str(made["value"])

    async def names(self, query: str, credential: Headers) -> str:
        """The names that a list of tokens holds, in its order."""
        status, found = await self("GET", f"/tokens?{query}", credential)
        assert status == 200, found
        return " ".join(token["name"] for token in found["tokens"])


@asynccontextmanager
async def storage(folder: Path, **settings: str) -> AsyncIterator[Storage]:
    with forked(folder, {"RS_API_TOKEN": ROOT_VALUE, **settings}) as server:
        async with ClientSession(server.url) as session:
            yield Storage(session)


async def soon(ask: Callable[[], Awaitable[Any]], expected: Any) -> None:
    """Ask until the answer is the expected one."""
    answer = None
    for _ in range(SOON_SECONDS * 10):
        answer = await ask()
        if answer == expected:
            return
        await asyncio.sleep(0.1)
    assert answer == expected


def bearer(value: str) -> Headers:
    return {"Authorization": f"Bearer {value}"}


def own_header(value: str) -> Headers:
    return {"X-Auth-Token": value}


def basic(value: str) -> Headers:
    return {"Authorization": "Basic " + base64.b64encode(f"me@example.com:{value}".encode()).decode()}


def time_of(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_a_token_in_a_header_of_its_own(tmp_path: Path) -> None:
    """An access token in a header of its own, as source-code search hosts have it, that its holder revokes."""
    began = datetime.now(UTC)
    async with storage(tmp_path, RS_ALLOW_X_AUTH_TOKEN="true") as call:
        root = own_header(ROOT_VALUE)
        # As many tokens as one wants.
        laptop = own_header(await call.make("laptop", root, {"full_access": True}))
        script = own_header(await call.make("script", laptop, {"read": ["code"]}))
        assert await call("POST", "/b/code", laptop) == (200, "")
        assert await call("POST", "/b/code/files?ts=1", laptop, "print()") == (200, "")
        # The header is all that a request needs; without it, or with a wrong value, nothing is told.
        assert await call("GET", "/b/code/files", script) == (200, "print()")
        assert await call("GET", "/b/code/files", NOBODY) == (401, NO_CREDENTIAL)
        assert await call("GET", "/b/code/files", own_header("made-up")) == (401, INVALID)
        assert await call("GET", "/b/code/files", {**script, **bearer(ROOT_VALUE)}) == (
            401,
            {"detail": "More than one credential in request"},
        )

        # The list says when each was made and last used, and no value.
        async def used() -> list[str]:
            _, listed = await call("GET", "/tokens", laptop)
            return [token["name"] for token in listed["tokens"] if token["last_access"] is not None]

        await call.make("spare", laptop, {})
        await soon(used, ["init-token", "laptop", "script"])
        _, listed = await call("GET", "/tokens", laptop)
        for token in listed["tokens"]:
            assert began < time_of(token["created_at"]) < datetime.now(UTC)
            assert token["value"] == ""
            if token["name"] != "spare":
                assert time_of(token["created_at"]) <= time_of(token["last_access"]) < datetime.now(UTC)
        # It works for ever, until its holder revokes it; then it is dead, also for revoking it again.
        assert await call("DELETE", "/me", script) == (200, "")
        assert await call("GET", "/b/code/files", script) == (401, INVALID)
        assert await call("DELETE", "/me", script) == (401, INVALID)
        assert (await call("GET", "/b/code/files", laptop))[0] == 200


async def test_roles_a_switch_and_basic_passwords(tmp_path: Path) -> None:
    """A name, a role and a switch, and the value as the password of HTTP Basic, as services for metrics have it."""
    async with storage(tmp_path, RS_ALLOW_BASIC_AUTH="true") as call:
        admin = basic(ROOT_VALUE)
        collector = basic(await call.make("collector", admin, {"role": "recorder"}))
        viewer = basic(await call.make("charts", admin, {"role": "viewer"}))
        disabled = basic(await call.make("disabled", admin, {"role": "viewer", "active": False}))
        assert (await call("POST", "/tokens/owner", admin, {"role": "owner"}))[0] == 422
        # What a role may do, and that an inactive token may do nothing.
        await call("POST", "/b/load", admin)
        await call("POST", "/b/load/cpu?ts=1", admin, "0")
        for ts, (credential, statuses) in enumerate(
            (
                (admin, (200, 200, 200)),
                (collector, (200, 403, 403)),
                (viewer, (403, 200, 403)),
                (disabled, (401, 401, 401)),
            ),
            2,
        ):
            wrote, _ = await call("POST", f"/b/load/cpu?ts={ts}", credential, "1")
            read, _ = await call("GET", "/b/load/cpu?ts=1", credential)
            listed_them, _ = await call("GET", "/tokens", credential)
            assert (wrote, read, listed_them) == statuses
        # The list says how much there is.
        status, listed = await call("GET", "/tokens?view=full&limit=100", admin)
        assert (status, listed["query"]) == (200, {"found": 4, "length": 4, "offset": 0, "total": 4})
        assert [(token["name"], token["role"], token["active"]) for token in listed["tokens"]] == [
            ("charts", "viewer", True),
            ("collector", "recorder", True),
            ("disabled", "viewer", False),
            ("init-token", "admin", True),
        ]
        _, page = await call("GET", "/tokens?view=full&limit=2&offset=3", admin)
        assert page["query"] == {"found": 4, "length": 1, "offset": 3, "total": 4}
        # One alone, before and after it is modified.
        _, before = await call("GET", "/tokens/collector?view=full", admin)
        assert (before["name"], before["id"]) == ("collector", listed["tokens"][1]["id"])
        assert before["created_at"] == before["updated_at"]
        modified = await call("PATCH", "/tokens/collector", admin, {"active": False, "role": "admin"})
        assert modified == await call("GET", "/tokens/collector?view=full", admin)
        after = modified[1]
        assert (after["active"], after["role"], after["created_at"]) == (False, "admin", before["created_at"])
        assert time_of(after["updated_at"]) > time_of(before["updated_at"])
        assert await call("GET", "/me", collector) == (401, INVALID)
        assert (await call("PATCH", "/tokens/collector", admin, {"active": True}))[0] == 200
        assert (await call("GET", "/tokens", collector))[0] == 200
        # Deleted, it is gone.
        assert await call("DELETE", "/tokens/collector", admin) == (200, "")
        assert await call("GET", "/me", collector) == (401, INVALID)
        assert await call("GET", "/tokens/collector", admin) == (
            404,
            {"detail": "Token 'collector' doesn't exist"},
        )


async def test_a_table_with_filters(tmp_path: Path) -> None:
    """A table of tokens with filters and dates, where revoking ends a token now, as monitoring platforms have it."""
    async with storage(tmp_path) as call:
        root = bearer(ROOT_VALUE)
        # Without dates a token is active from its creation, for ever; with dates, from and until then.
        dates = {"valid_from": in_days(1), "expires_at": in_days(30)}
        await call.make(
            "roof-camera", root, {"permissions": {"read": ["video"]}, "description": "North side"}
        )
        await call.make("roof-sensor", root, {"permissions": {"write": ["climate"]}, **dates})
        await call.make("hall-camera", root, {"permissions": {"read": ["vid*"]}, "active": False})
        for faulty, detail in (
            ({"expires_at": in_days(-1)}, "Token expiration date must not be in the past"),
            ({"valid_from": in_days(3), "expires_at": in_days(2)}, None),
            ({"valid_from": "tomorrow"}, None),
        ):
            status, refused = await call("POST", "/tokens/late", root, {"permissions": {}, **faulty})
            assert status == 422
            assert refused["detail"] == (detail or refused["detail"])
        _, ever = await call("GET", "/tokens/roof-camera?view=full", root)
        assert (ever["status"], ever["valid_from"], ever["expires_at"]) == ("active", None, None)
        _, later = await call("GET", "/tokens/roof-sensor?view=full", root)
        assert (later["status"], later["is_expired"]) == ("scheduled", False)
        # The filters, one by one and together, and the columns to sort by.
        for query, names in (
            ("search=camera", "hall-camera roof-camera"),
            ("search=ROOF+cam", "roof-camera"),
            ("search=north", "roof-camera"),
            (f"id={later['id']}", "roof-sensor"),
            ("bucket=video", "hall-camera init-token roof-camera"),
            ("bucket=climate&access=write", "init-token roof-sensor"),
            ("status=active", "init-token roof-camera"),
            ("status=inactive,scheduled", "hall-camera roof-sensor"),
            ("search=roof&bucket=video&status=active", "roof-camera"),
            ("sort=name", "hall-camera init-token roof-camera roof-sensor"),
            ("sort=-name", "roof-sensor roof-camera init-token hall-camera"),
            ("sort=status", "init-token roof-camera hall-camera roof-sensor"),
        ):
            assert await call.names(query, root) == names, query
        # Edited: what the form names, and nothing else.
        edit = {"description": "South side", "valid_from": None, "permissions": {"read": ["climate"]}}
        _, edited = await call("PATCH", "/tokens/roof-sensor", root, edit)
        assert (edited["description"], edited["status"], edited["valid_from"]) == (
            "South side",
            "active",
            None,
        )
        assert edited["permissions"] == {"full_access": False, "read": ["climate"], "write": ["climate"]}
        assert edited["expires_at"] == later["expires_at"]
        assert edited["id"] == later["id"]
        # Revoked: inactive, and valid to this moment. Once is enough.
        began = datetime.now(UTC)
        status, revoked = await call("POST", "/tokens/roof-sensor/revoke", root)
        assert (status, revoked["status"], revoked["active"]) == (200, "revoked", False)
        assert began <= time_of(revoked["expires_at"]) <= datetime.now(UTC)
        assert await call("POST", "/tokens/roof-sensor/revoke", root) == (200, revoked)
        assert await call("PATCH", "/tokens/roof-sensor", root, {"active": True}) == (
            409,
            {"detail": "Token 'roof-sensor' is revoked"},
        )
        assert await call.names("status=revoked", root) == "roof-sensor"
        # Deleted: no longer in the table.
        assert await call("DELETE", "/tokens/roof-sensor", root) == (200, "")
        assert await call.names("search=roof", root) == "roof-camera"


async def test_the_storage_engines_own_token_api(tmp_path: Path) -> None:
    """A full-access token from the environment makes the others, as users of the storage engine know it."""
    async with storage(tmp_path) as call:
        root = bearer(ROOT_VALUE)
        assert (await call("GET", "/info", root))[0] == 200
        assert await call("GET", "/info", NOBODY) == (401, NO_CREDENTIAL)
        # Create: full access is false, and both lists are empty, where nothing else is said.
        status, made = await call(
            "POST", "/tokens/app", root, {"full_access": False, "read": ["bucket-1"], "write": ["bucket-2"]}
        )
        assert status == 200
        assert made.keys() == {"value", "created_at"}
        app = bearer(made["value"])
        nothing = bearer(await call.make("nothing", root, {}))
        taken = {"detail": "Token 'app' already exists"}
        assert await call("POST", "/tokens/app", root, {}) == (409, taken)
        # List: name and creation date of each.
        status, listed = await call("GET", "/tokens", root)
        assert (status, [token["name"] for token in listed["tokens"]]) == (
            200,
            ["app", "init-token", "nothing"],
        )
        assert listed["tokens"][0]["created_at"] == made["created_at"]
        # Show: all but the value.
        for name, permissions in (
            ("app", {"full_access": False, "read": ["bucket-1"], "write": ["bucket-2"]}),
            ("nothing", {"full_access": False, "read": [], "write": []}),
            ("init-token", {"full_access": True, "read": [], "write": []}),
        ):
            status, shown = await call("GET", f"/tokens/{name}", root)
            assert (status, shown["name"], shown["value"]) == (200, name, "")
            assert shown["permissions"] == permissions
        missing = {"detail": "Token 'missing' doesn't exist"}
        assert await call("GET", "/tokens/missing", root) == (404, missing)
        assert await call("DELETE", "/tokens/missing", root) == (404, missing)
        # Each of them needs full access.
        for method, path in (
            ("GET", "/tokens"),
            ("GET", "/tokens/app"),
            ("GET", "/tokens/missing"),
            ("POST", "/tokens/another"),
            ("POST", "/tokens/app"),
            ("DELETE", "/tokens/nothing"),
            ("DELETE", "/tokens/missing"),
        ):
            forbidden = {"detail": "Token 'app' doesn't have full access"}
            assert await call(method, path, NOBODY) == (401, NO_CREDENTIAL)
            assert await call(method, path, bearer("made-up")) == (401, INVALID)
            assert await call(method, path, app) == (403, forbidden)
        # A token opens the buckets that it names, each way for itself.
        for bucket in ("bucket-1", "bucket-2"):
            assert await call("POST", f"/b/{bucket}", root) == (200, "")
            assert await call("POST", f"/b/{bucket}/entry?ts=1", root, "x") == (200, "")
        assert (await call("GET", "/b/bucket-1/entry", app)) == (200, "x")
        assert (await call("POST", "/b/bucket-1/entry?ts=2", app, "y"))[0] == 403
        assert (await call("GET", "/b/bucket-2/entry", app))[0] == 403
        assert (await call("POST", "/b/bucket-2/entry?ts=2", app, "y")) == (200, "")
        # Remove.
        assert (await call("GET", "/me", nothing))[0] == 200
        assert await call("DELETE", "/tokens/nothing", root) == (200, "")
        assert await call("GET", "/me", nothing) == (401, INVALID)
        assert await call("GET", "/tokens/nothing", root) == (
            404,
            {"detail": "Token 'nothing' doesn't exist"},
        )


async def test_what_tokens_are_used_for(tmp_path: Path) -> None:
    """A description, usage by day and month, and a switch, as clouds for buildings have it."""
    async with storage(tmp_path) as call:
        root = bearer(ROOT_VALUE)
        # There is one token before anybody makes one.
        assert await call.names("limit=10", root) == "init-token"
        await call("POST", "/b/lights", root)
        body = {"permissions": {"read": ["lights"], "write": ["lights"]}, "description": "testing api token"}
        first_day = datetime.now(UTC).date().isoformat()
        token = bearer(await call.make("building-7", root, body))
        _, shown = await call("GET", "/tokens/building-7?view=full", root)
        assert (shown["description"], shown["status"]) == ("testing api token", "active")
        # What is counted, and where it can be read.
        for number in range(3):
            assert (await call("POST", f"/b/lights/hall?ts={number}", token, "on"))[0] == 200
        for _ in range(2):
            assert (await call("GET", "/b/lights/hall", token))[0] == 200
        assert (await call("GET", "/tokens", token))[0] == 403
        counts = {"read": 2, "write": 3, "admin": 0, "denied": 1}

        async def total() -> Any:
            return (await call("GET", "/tokens/building-7?view=full", root))[1]["usage"]["total"]

        await soon(total, counts)
        last_day = datetime.now(UTC).date().isoformat()
        for query, length in (
            ("", 10),
            ("?by=day", 10),
            ("?by=month", 7),
            (f"?from={first_day}&to={last_day}", 10),
        ):
            status, used = await call("GET", f"/tokens/building-7/usage{query}", root)
            assert (status, used["name"], used["id"]) == (200, "building-7", shown["id"])
            periods = [row["period"] for row in used["usage"]]
            assert set(periods) <= {first_day[:length], last_day[:length]}
            assert periods == sorted(periods)
            assert {kind: sum(row[kind] for row in used["usage"]) for kind in counts} == counts
        _, before = await call("GET", "/tokens/building-7/usage?to=2020-12-31", root)
        assert before["usage"] == []
        # Off and on again, one by one and together with others.
        _, off = await call("PATCH", "/tokens/building-7", root, {"active": False})
        assert (off["active"], off["status"]) == (False, "inactive")
        assert await call("GET", "/me", token) == (401, INVALID)
        switch = {"items": [{"op": "activate", "name": "building-7"}]}
        _, on = await call("POST", "/tokens/$batch", root, switch)
        assert [(result["status"], result["token"]["status"]) for result in on["results"]] == [
            (200, "active")
        ]
        assert (await call("GET", "/me", token))[0] == 200
        # Deleted, with all that was counted.
        assert await call("DELETE", "/tokens/building-7", root) == (200, "")
        assert await call("GET", "/me", token) == (401, INVALID)
        assert (await call("GET", "/tokens/building-7/usage", root))[0] == 404
