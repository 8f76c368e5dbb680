"""Many changes of tokens in one request."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import Any

import pytest

from reductauth.sqlite.writer import Writer
from reductauth.testing import ADMINISTRATOR_VALUE
from tests.reductauth.web.conftest import Caller, Serve

BATCH = "/api/v1/tokens/$batch"
NO_SUCH = "Token '{}' doesn't exist"
BAD_NAME = "Token name can contain only letters, digits and [-,_,.] symbols"
LAST = "Can't {} token 'init-token': at least one full-access token must remain"


def item(op: str, name: str, **patch: Any) -> dict[str, Any]:
    """One change; an edit with its patch."""
    return {"op": op, "name": name, "patch": patch} if op == "edit" else {"op": op, "name": name}


async def batch(caller: Caller, *items: dict[str, Any]) -> list[dict[str, Any]]:
    """Send a batch that is well-formed as a whole; return its results."""
    response = await caller("POST", BATCH, json.dumps({"items": items}))
    assert (response.status, response.headers["cache-control"]) == (200, "no-store")
    answer = await response.json()
    assert answer.keys() == {"results"}
    assert [result["name"] for result in answer["results"]] == [one["name"] for one in items]
    results: list[dict[str, Any]] = answer["results"]
    return results


async def show(caller: Caller, name: str) -> Any:
    """The full view of a token."""
    return await (await caller("GET", f"/api/v1/tokens/{name}?view=full")).json()


async def test_every_operation(root: Caller) -> None:
    """Each does what the route for it alone does, and answers with the full view, or with nothing after a deletion."""
    for name in "abcde":
        await root.make(name, json.dumps({"permissions": {}, "active": name != "b"}))
    results = await batch(
        root,
        item("revoke", "a"),
        item("activate", "b"),
        item("deactivate", "c"),
        item("delete", "d"),
        item("edit", "e", description="new", ttl=7),
    )
    assert [result["status"] for result in results] == [200] * 5
    assert [list(result) for result in results] == [
        *[["name", "status", "token"]] * 3,
        ["name", "status"],
        ["name", "status", "token"],
    ]
    for result in results:
        if result["name"] != "d":
            assert result["token"] == await show(root, result["name"])
    statuses = [result["token"]["status"] for result in results if "token" in result]
    assert statuses == ["revoked", "active", "inactive", "active"]
    assert (results[4]["token"]["description"], results[4]["token"]["ttl"]) == ("new", 7)
    assert (await root("GET", "/api/v1/tokens/d")).status == 404


async def test_refusals_are_those_of_the_single_routes(serve: Serve) -> None:
    """Status and detail of each item are what its own route answers; the others are made."""
    async with serve(bootstrap={"RS_INIT_API_TOKEN": ADMINISTRATOR_VALUE}) as root:
        await root.make("gone")
        await root.make("kept")
        await root("POST", "/api/v1/tokens/gone/revoke")
        refused: list[tuple[dict[str, Any], str, str]] = [
            (item("revoke", "nope"), "POST", "nope/revoke"),
            (item("activate", "gone"), "PATCH", "gone"),
            (item("deactivate", "init-token"), "PATCH", "init-token"),
            (item("delete", "init-token"), "DELETE", "init-token"),
            (item("delete", "a b"), "DELETE", "a%20b"),
            (item("edit", "kept", ttl=0), "PATCH", "kept"),
            (item("edit", "kept", permissions={"read": ['"']}), "PATCH", "kept"),
            (item("edit", "kept", unknown=1), "PATCH", "kept"),
            (item("edit", "kept", description="x" * 1_001), "PATCH", "kept"),
            ({"op": "edit", "name": "kept", "patch": ["no object"]}, "PATCH", "kept"),
            ({"op": "edit", "name": "kept", "patch": None}, "PATCH", "kept"),
            (item("edit", "x" * 1_000), "PATCH", "x" * 1_000),
        ]
        items = [one for one, _, _ in refused]
        results = await batch(root, *items, item("edit", "kept", description="made"))
        assert results[-1]["token"]["description"] == "made"
        switches: dict[str, Any] = {"activate": {"active": True}, "deactivate": {"active": False}}
        for result, (one, method, path) in zip(results, refused, strict=False):
            body = None
            if method == "PATCH":
                body = json.dumps(switches.get(one["op"], one.get("patch")))
            alone = await root(method, f"/api/v1/tokens/{path}", body)
            assert alone.status >= 400
            assert result == {"name": one["name"], "status": alone.status, **await alone.json()}
        assert [result["status"] for result in results[:5]] == [404, 409, 409, 409, 422]
        assert results[0]["detail"] == NO_SUCH.format("nope")
        assert results[2]["detail"] == LAST.format("deactivate")
        assert results[3]["detail"] == LAST.format("remove")
        assert results[4]["detail"] == BAD_NAME


async def test_an_empty_name(root: Caller) -> None:
    """It is ill-formed, and its item's own fault."""
    (result,) = await batch(root, item("delete", ""))
    assert result == {"name": "", "status": 422, "detail": "Token name can't be empty"}


async def test_items_are_made_in_their_order(root: Caller) -> None:
    """Each sees what those before it did, also to the same token."""
    await root.make("t", '{"permissions": {}}')
    edits = [item("edit", "t", description=str(number)) for number in range(300)]
    results = await batch(root, *edits, item("revoke", "t"), item("activate", "t"), item("delete", "t"))
    assert [result["token"]["description"] for result in results[:300]] == [str(n) for n in range(300)]
    assert [result["status"] for result in results[300:]] == [200, 409, 200]


@pytest.mark.parametrize(
    ("first", "status", "detail"),
    [
        (item("delete", "leaving"), 401, "Invalid token"),
        (item("revoke", "leaving"), 401, "Invalid token"),
        (item("deactivate", "leaving"), 401, "Invalid token"),
        (item("edit", "leaving", role="viewer"), 403, "Token 'leaving' doesn't have full access"),
    ],
)
async def test_an_actor_that_ends_itself(
    root: Caller, first: dict[str, Any], status: int, detail: str
) -> None:
    """What follows in the same batch is refused, and changes nothing."""
    leaving = await root.make("leaving", '{"full_access": true}')
    await root.make("t")
    results = await batch(leaving, first, item("delete", "t"), item("edit", "t", description="x"))
    assert results[0]["status"] == 200
    for result in results[1:]:
        assert (result["status"], result["detail"]) == (status, detail)
    assert (await show(root, "t"))["description"] == ""


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("", ""),
        ("[]", "object"),
        ("{}", "items"),
        ('{"items": []}', "items"),
        ('{"items": null}', "items"),
        ('{"items": {}}', "items"),
        ('{"items": ["t"]}', "items.0"),
        ('{"items": [{"op": "delete", "name": "t"}], "dry_run": true}', "dry_run"),
        ('{"items": [{"op": "delete", "name": "t"}], "items": []}', "items"),
        ('{"items": [{"op": "delete", "name": "t"}, {"op": "drop", "name": "t"}]}', "items.1.op"),
        ('{"items": [{"op": "delete", "name": "t"}, {"name": "t"}]}', "items.1.op"),
        ('{"items": [{"op": "delete", "name": "t"}, {"op": "delete"}]}', "items.1.name"),
        ('{"items": [{"op": "delete", "name": "t"}, {"op": "delete", "name": 1}]}', "items.1.name"),
        ('{"items": [{"op": "delete", "name": "t"}, {"op": "revoke", "name": "t", "x": 1}]}', "items.1.x"),
        ('{"items": [{"op": "delete", "name": "t"}, {"op": "edit", "name": "t"}]}', "items.1.patch"),
        (
            '{"items": [{"op": "delete", "name": "t"}, {"op": "revoke", "name": "t", "patch": {}}]}',
            "items.1.patch",
        ),
        (
            '{"items": [{"op": "delete", "name": "t"}, {"op": "edit", "name": "t", "patch": {"ttl": 1, "ttl": 2}}]}',
            "ttl",
        ),
        (json.dumps({"items": [{"op": "delete", "name": "t"}] * 1_001}), "items"),
    ],
)
async def test_bodies_that_are_refused(root: Caller, body: str, names: str) -> None:
    """What is wrong with the body as a whole is 422, and no item of it is made."""
    await root.make("t")
    response = await root("POST", BATCH, body)
    message = (await response.json())["detail"]
    assert response.status == 422
    assert message.startswith("Invalid body: ")
    assert names in message
    assert (await root("GET", "/api/v1/tokens/t")).status == 200


async def test_the_route(root: Caller) -> None:
    """It is no token's name; a misspelled parameter does not pass; only full access may."""
    assert (await root("POST", f"{BATCH}?dry_run=1", '{"items": []}')).status == 422
    for method in ("GET", "DELETE", "PATCH"):
        response = await root(method, BATCH, "{}" if method == "PATCH" else None)
        assert (response.status, response.headers["x-reduct-error"]) == (422, BAD_NAME)
    narrow = await root.make("narrow", '{"read": ["*"], "write": ["*"]}')
    response = await narrow("POST", BATCH, json.dumps({"items": [item("delete", "narrow")]}))
    assert response.status == 403


async def test_a_thousand_items_share_a_few_commits(root: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are handed to the writer together, so that a thousand changes are not a thousand waits for the disk."""
    names = [f"t{number:03}" for number in range(1_000)]
    for start in range(0, 1_000, 100):
        await asyncio.gather(*(root.make(name) for name in names[start : start + 100]))
    sizes: list[int] = []
    commit = Writer._commit

    def counted(writer: Writer, changes: list[Any]) -> None:
        sizes.append(len(changes))
        commit(writer, changes)

    monkeypatch.setattr(Writer, "_commit", counted)
    results = await batch(root, *(item("revoke", name) for name in names))
    assert {result["token"]["status"] for result in results} == {"revoked"}
    assert [result["name"] for result in results] == names
    assert len(sizes) < 50


async def test_a_commit_that_fails(root: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Items that could not be kept say so, each for itself, and nothing of them remains."""
    await root.make("t")

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk full")

    monkeypatch.setattr(Writer, "_commit", fail)
    message = "The token registry can't keep changes right now, try again later"
    for result in await batch(root, item("deactivate", "t"), item("delete", "t")):
        assert result == {"name": "t", "status": 503, "detail": message}
    monkeypatch.undo()
    assert (await show(root, "t"))["status"] == "active"
