"""The metrics page and the collector: what is counted as what, and that no label holds what it must not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

import reductauth.web.metrics
from reductauth import Action, BucketAccess
from reductauth.errors import AuthenticationError, LinkError, TooManyFailuresError
from reductauth.testing import ADMINISTRATOR_VALUE
from reductauth.web.metrics import metrics_route, reductauth_collector
from tests.reductauth.web.conftest import Caller, Now, Serve
from tests.reductauth.web.test_guard import routes

CANARY = "canary-of-a-guess-0123456789abcdef"
ROOT = Path(__file__).parents[3]

Samples = dict[str, float]

# All that may ever stand in a label, by hand.
LABELS = ("result", "reason", "action")
REASONS = {
    "allowed": {"read", "write", "admin"},
    "forbidden": {"permission"},
    "unauthenticated": {
        *("missing", "several", "invalid", "expired", "address"),
        *("link_missing", "link_invalid", "link_expired"),
    },
    "throttled": {"several", "invalid", "expired", "address", "link_invalid", "link_expired"},
}
ACTIONS = {
    *("create", "edit", "activate", "deactivate", "rotate", "revoke", "delete"),
    *("bootstrap", "provision", "restore", "clean_up", "carry_over", "import"),
    *("bucket_renaming", "bucket_removing", "bucket_settled", "bucket_renamed", "bucket_removed"),
}
NAMES = {
    *(f"reductauth_decisions_total/{result}/{reason}" for result, of in REASONS.items() for reason in of),
    *(f"reductauth_changes_total/{action}" for action in ACTIONS),
    "reductauth_store_errors_total",
    "reductauth_cache_lookups_total/hit",
    "reductauth_cache_lookups_total/miss",
    "reductauth_cached_values",
    "reductauth_registry_writable",
}


def application() -> web.Application:
    app = web.Application()
    app.add_routes([*routes, metrics_route("/metrics")])
    return app


@pytest.fixture
async def root(serve: Serve) -> AsyncIterator[Caller]:
    async with serve(application(), RS_AUTH_FAILURES_PER_MINUTE="3") as caller:
        yield caller


def samples(page: str) -> Samples:
    """Each number of a page, by its name and the values of its labels, of which there are no others."""
    return {
        "/".join([sample.name, *(sample.labels[key] for key in LABELS if key in sample.labels)]): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.labels.keys() <= set(LABELS)
    }


async def scrape(caller: Caller) -> Samples:
    response = await caller("GET", "/metrics")
    assert response.status == 200
    return samples(await response.text())


def moved(before: Samples, after: Samples) -> Samples:
    """What changed, but for the scrape in between: one request of an administrator."""
    expected = {**before}
    expected["reductauth_decisions_total/allowed/admin"] += 1
    expected["reductauth_cache_lookups_total/hit"] += 1
    return {name: after[name] - expected[name] for name in after if after[name] != expected[name]}


async def test_the_page(root: Caller) -> None:
    """Everything that there is, and nothing else, is there from the first scrape on; the parser understands it."""
    response = await root("GET", "/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert response.headers["cache-control"] == "no-store"
    assert samples(await response.text()).keys() == NAMES
    asked = await root("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert asked.headers["content-type"].startswith("application/openmetrics-text")
    families = openmetrics.text_string_to_metric_families(await asked.text())  # type: ignore[no-untyped-call] # it has no annotations
    assert len(list(families)) == 6
    assert (await root("HEAD", "/metrics")).status == 200


async def test_the_page_is_guarded(root: Caller) -> None:
    """By default it demands full access, like every route that demands it."""
    reader = await root.make("reader", '{"read": ["*"]}')
    assert (await root.using(None)("GET", "/metrics")).status == 401
    assert (await reader("GET", "/metrics")).status == 403


async def test_a_policy_of_its_own(serve: Serve) -> None:
    """A token for nothing but the page."""
    app = web.Application()
    app.add_routes([metrics_route("/metrics", BucketAccess(Action.READ, "$metrics"))])
    async with serve(app) as root:
        scraper = await root.make("scraper", '{"read": ["$metrics"]}')
        everything = await root.make("everything", '{"read": ["*"]}')
        statuses = [(await caller("GET", "/metrics")).status for caller in (scraper, everything, root)]
        assert statuses == [200, 403, 200]


# Requests -> the decision that each of them is, by hand; `good` may read `a`. Each is sent twice.
DECISIONS = [
    ("good", "GET", "/b/a", "allowed/read", 200),
    ("writer", "POST", "/b/a", "allowed/write", 200),
    ("root", "GET", "/full", "allowed/admin", 200),
    ("good", "GET", "/authenticated", "allowed/read", 200),
    ("good", "GET", "/b/b", "forbidden/permission", 403),
    ("good", "GET", "/full", "forbidden/permission", 403),
    (None, "GET", "/b/a", "unauthenticated/missing", 401),
    (CANARY, "GET", "/b/a", "unauthenticated/invalid", 401),
    ("x-rsat1" + "0" * 49, "GET", "/b/a", "unauthenticated/invalid", 401),
    ("expired", "GET", "/b/a", "unauthenticated/expired", 401),
    ("elsewhere", "GET", "/b/a", "unauthenticated/address", 401),
    (None, "POST", "/anonymous-then-authorized", "unauthenticated/missing", 401),
    (None, "GET", "/anonymous", "unauthenticated/missing", 200),
    ("good", "GET", "/anonymous", None, 200),
    (CANARY, "GET", "/no-such-route", None, 404),
]


@pytest.mark.parametrize(("who", "method", "path", "decision", "status"), DECISIONS)
async def test_decisions(
    root: Caller, now: Now, who: str | None, method: str, path: str, decision: str | None, status: int
) -> None:
    """Every request that a token is needed for is one decision, with one reason."""
    callers = {
        "root": root,
        "good": await root.make("good", '{"read": ["a"]}'),
        "writer": await root.make("writer", '{"write": ["a"]}'),
        "elsewhere": await root.make("elsewhere", '{"ip_allowlist": ["192.0.2.1"]}'),
        "expired": await root.make("expired", '{"permissions": {}, "expires_at": "2030-03-17T17:46:41Z"}'),
    }
    now.pass_seconds(1)
    caller = callers.get(who or "", root.using(who))
    before = await scrape(root)
    for _ in range(2):
        assert (await caller(method, path)).status == status
    found = {
        name.removeprefix("reductauth_decisions_total/"): number
        for name, number in moved(before, await scrape(root)).items()
        if name.startswith("reductauth_decisions_total")
    }
    assert found == ({} if decision is None else {decision: 2})


async def test_what_is_too_much_is_told_apart(root: Caller) -> None:
    """A refusal is counted as throttled, with its own reason, and not as another one."""
    before = await scrape(root)
    for _ in range(5):
        await root.using(CANARY)("GET", "/authenticated")
    headers = {"Authorization": "Bearer a"}
    for _ in range(2):
        async with root.client.get("/authenticated", headers=[*headers.items()] * 2) as response:
            assert response.status == 429
    found = moved(before, await scrape(root))
    assert found == {
        "reductauth_decisions_total/unauthenticated/invalid": 3,
        "reductauth_decisions_total/throttled/invalid": 2,
        "reductauth_decisions_total/throttled/several": 2,
        "reductauth_cache_lookups_total/miss": 5,
    }


async def test_counters_never_fall(root: Caller, now: Now) -> None:
    """Neither a new day nor a flush of what tokens were used for takes anything away, or counts it twice."""
    reader = await root.make("reader", '{"read": ["a"]}')
    name = "reductauth_decisions_total/allowed/read"
    told = []
    for _ in range(3):
        for _ in range(2):
            assert (await reader("GET", "/b/a")).status == 200
        told.append((await scrape(root))[name])
        now.pass_seconds(86_400)
    assert told == [2, 4, 6]


async def test_changes(root: Caller) -> None:
    """Each change of a token that was kept, by what was done; one that was refused, or changed nothing, is none."""
    before = await scrape(root)
    assert before["reductauth_changes_total/bootstrap"] == 1
    body = '{"permissions": {}}'
    calls = [
        ("POST", "t", body, 200),
        ("POST", "t", body, 409),
        ("POST", "u", body, 200),
        ("PATCH", "t", '{"description": "x"}', 200),
        ("PATCH", "t", '{"description": "x"}', 200),
        ("PATCH", "t", '{"active": false}', 200),
        ("PATCH", "t", '{"active": true}', 200),
        ("POST", "t/rotate", None, 200),
        ("POST", "t/revoke", None, 200),
        ("POST", "t/revoke", None, 200),
        ("DELETE", "t", None, 200),
        ("DELETE", "t", None, 404),
        ("DELETE", "init-token", None, 409),
    ]
    for method, path, content, status in calls:
        assert (await root(method, f"/api/v1/tokens/{path}", content)).status == status
    found = {
        name.removeprefix("reductauth_changes_total/"): number
        for name, number in moved(before, await scrape(root)).items()
        if name.startswith("reductauth_changes_total")
    }
    once = dict.fromkeys(("edit", "deactivate", "activate", "rotate", "revoke", "delete"), 1)
    assert found == {"create": 2, **once}


async def test_the_cache(root: Caller) -> None:
    """A value is a miss the first time, a hit from then on, and a miss again after its token changed."""
    readers = [await root.make(name) for name in "ab"]
    before = await scrape(root)
    for _ in range(3):
        for reader in readers:
            await reader("GET", "/authenticated")
    await root.using("x-rsat1" + "0" * 49)("GET", "/authenticated")  # mistyped: nobody is asked
    after = await scrape(root)
    found = {name: number for name, number in moved(before, after).items() if "decisions" not in name}
    assert found == {
        "reductauth_cache_lookups_total/hit": 4,
        "reductauth_cache_lookups_total/miss": 2,
        "reductauth_cached_values": 2,
    }
    assert after["reductauth_cached_values"] == 3
    assert (await root("PATCH", "/api/v1/tokens/a", '{"description": "x"}')).status == 200
    for reader, kind in zip(readers, ("miss", "hit"), strict=True):
        before = await scrape(root)
        await reader("GET", "/authenticated")
        assert moved(before, await scrape(root))[f"reductauth_cache_lookups_total/{kind}"] == 1


async def test_a_small_cache(serve: Serve) -> None:
    """No more values are remembered than the deployment says; the others are asked for, and let in, each time."""
    async with serve(application(), RS_AUTH_CACHE_SIZE="2") as root:
        readers = [await root.make(name) for name in "abc"]
        before = await scrape(root)
        for reader in readers * 2:
            assert (await reader("GET", "/authenticated")).status == 200
        after = await scrape(root)
        assert moved(before, after)["reductauth_cache_lookups_total/miss"] >= 6
        assert after["reductauth_cached_values"] == 2


async def test_a_registry_that_cannot_keep_changes(root: Caller, tmp_path: Path) -> None:
    """It is said, and counted; what was remembered still passes."""
    before = await scrape(root)
    assert before["reductauth_registry_writable"] == 1
    (tmp_path / "auth" / "auth.db").rename(tmp_path / "auth" / "away.db")
    for _ in range(2):
        assert (await root("POST", "/api/v1/tokens/t", "{}")).status == 503
    after = await scrape(root)
    assert after["reductauth_registry_writable"] == 0
    # The module's own changes fail too: usage that is written every five seconds.
    assert after["reductauth_store_errors_total"] >= before["reductauth_store_errors_total"] + 2
    assert after["reductauth_changes_total/create"] == 0


async def test_no_label_holds_what_it_must_not(root: Caller) -> None:
    """Values, names, buckets and addresses are sent on every way; none comes back on the page, and no label is new."""
    made = await root.make("canary-token", '{"read": ["canary-bucket"]}')
    strangers = [root.using(CANARY), made, root.using(None), root.using(f"{made.value}x")]
    for caller in strangers:
        for path in ("/b/canary-bucket", "/b/canary-other", "/full", "/api/v1/tokens/canary-token"):
            await caller("GET", path)
    page = await (await root("GET", "/metrics")).text()
    assert samples(page).keys() == NAMES
    for canary in ("canary", "127.0.0.1", "init-token", str(made.value), ADMINISTRATOR_VALUE):
        assert canary not in page


def test_every_refusal_has_a_reason() -> None:
    """A new way to be refused needs a word of its own in the table."""
    told = {*AuthenticationError.__subclasses__(), *LinkError.__subclasses__()}
    told -= {TooManyFailuresError, LinkError}
    assert told == set(reductauth.web.metrics._REFUSED)


async def test_an_engines_own_registry(serve: Serve) -> None:
    """The module's numbers stand beside the engine's, and only while the application runs."""
    app, registry = application(), CollectorRegistry()
    Counter("engine_records", "Records of the engine", registry=registry).inc(7)
    registry.register(reductauth_collector(app))
    assert samples(generate_latest(registry).decode())["engine_records_total"] == 7
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(reductauth_collector(app))
    async with serve(app) as root:
        assert (await root("GET", "/full")).status == 200
        found = samples(generate_latest(registry).decode())
        assert found["engine_records_total"] == 7
        assert found["reductauth_decisions_total/allowed/admin"] == 1
        assert found.keys() >= NAMES


async def test_sub_applications_have_the_same_numbers(serve: Serve) -> None:
    """A page in an application inside another one shows what all of it does."""
    outer, inner = web.Application(), application()
    outer.add_subapp("/inner", inner)
    async with serve(outer) as root:
        assert (await root("GET", "/api/v1/me")).status == 200
        found = samples(await (await root("GET", "/inner/metrics")).text())
        assert found["reductauth_decisions_total/allowed/read"] == 1


async def test_authentication_switched_off(serve: Serve) -> None:
    """Nothing is decided, so nothing is counted; the page is there."""
    async with serve(application(), bootstrap={"RS_DISABLE_AUTH": "true"}) as root:
        found = await scrape(root)
        assert found.keys() == NAMES
        assert {name for name, number in found.items() if number} == {"reductauth_registry_writable"}


@pytest.mark.parametrize("module", ["reductauth.web", "storage_demo.app", "reductauth.cli"])
def test_nothing_of_it_is_loaded_without_the_extra(module: str) -> None:
    """prometheus-client is needed by those who ask for metrics alone."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.split()
    assert module in loaded
    assert [name for name in loaded if name.startswith("prometheus_client")] == []
