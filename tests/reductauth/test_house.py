"""The house: which file may import which, what the core stays clear of, and which names are public."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A file imports only from files above it.
REDUCTAUTH = [
    "reductauth.errors",
    "reductauth.permissions",
    "reductauth.value",
    "reductauth.key",
    "reductauth.networks",
    "reductauth.token",
    "reductauth.policy",
    "reductauth.link",
    # --- the registry
    "reductauth.actor",
    "reductauth.clock",
    "reductauth.times",
    "reductauth.admission",
    "reductauth.explanation",
    "reductauth.details",
    "reductauth.periods",
    "reductauth.draft",
    "reductauth.edit",
    "reductauth.query",
    "reductauth.plain",
    "reductauth.audit",
    "reductauth.record",
    "reductauth.store",
    "reductauth.frozen",
    "reductauth.sqlite.facts",
    "reductauth.sqlite.seal",
    "reductauth.sqlite.trail",
    "reductauth.sqlite.schema",
    "reductauth.sqlite.files",
    "reductauth.sqlite.generation",
    "reductauth.sqlite.generation_log",
    "reductauth.sqlite.rows",
    "reductauth.sqlite.details",
    "reductauth.sqlite.selection",
    "reductauth.sqlite.books",
    "reductauth.sqlite.verification",
    "reductauth.sqlite.backup",
    "reductauth.sqlite.reader",
    "reductauth.sqlite.holders",
    "reductauth.sqlite.live_files",
    "reductauth.sqlite.known",
    "reductauth.sqlite.keys",
    "reductauth.sqlite.token_seals",
    "reductauth.sqlite.change_reads",
    "reductauth.sqlite.counters",
    "reductauth.sqlite.intents",
    "reductauth.sqlite.transaction",
    "reductauth.sqlite.writer",
    "reductauth.sqlite.store",
    "reductauth.sqlite",
    "reductauth.listing",
    "reductauth.authority",
    "reductauth.buckets",
    "reductauth.changes",
    "reductauth.registry",
    "reductauth.transfer",
    "reductauth.disabled",
    "reductauth.document",
    "reductauth.configuration",
    "reductauth.chosen",
    "reductauth.provisioning",
    "reductauth.bootstrap",
    "reductauth.memory",
    "reductauth.authenticator",
    "reductauth.links",
    "reductauth.throttle",
    "reductauth.usage",
    "reductauth.refusals",
    "reductauth.housekeeping",
    "reductauth.counts",
    "reductauth.settings",
    # --- the aiohttp layer
    "reductauth.web.keys",
    "reductauth.web.errors",
    "reductauth.web.body",
    "reductauth.web.credentials",
    "reductauth.web.gate",
    "reductauth.web.links",
    "reductauth.web.guard",
    "reductauth.web.metrics",
    "reductauth.web.census",
    "reductauth.web.wire",
    "reductauth.web.schema",
    "reductauth.web.views",
    "reductauth.web.batch",
    "reductauth.web.query",
    "reductauth.web.listing",
    "reductauth.web.routes",
    "reductauth.web.openapi",
    "reductauth.web.server",
    "reductauth.web.setup",
    "reductauth.web",
    # --- top
    "reductauth.cli.terminal",
    "reductauth.cli.failures",
    "reductauth.cli.folder",
    "reductauth.cli.admin",
    "reductauth.cli.remote",
    "reductauth.cli.local",
    "reductauth.cli.door",
    "reductauth.cli.views",
    "reductauth.cli.fields",
    "reductauth.cli.looking",
    "reductauth.cli.changing",
    "reductauth.cli.books",
    "reductauth.cli.copies",
    "reductauth.cli.lines",
    "reductauth.cli.line_process",
    "reductauth.cli.imports",
    "reductauth.cli.exports",
    "reductauth.cli.digest",
    "reductauth.cli.routes",
    "reductauth.cli",
    "reductauth.__main__",
    "reductauth.testing",
    "reductauth",
]
CORE = REDUCTAUTH[:8]
BELOW_AIOHTTP = REDUCTAUTH[: REDUCTAUTH.index("reductauth.web.keys")]

ENGINE = [
    f"storage_demo.engine.{name}"
    for name in (
        *("errors", "faults", "integers", "names", "settings", "records", "info"),
        *(f"conditions.{name}" for name in ("excerpt", "numbers", "values", "casts", "expressions")),
        *("conditions.operators", "conditions.evaluation", "conditions.parser", "conditions"),
        *("patterns", "attachments", "selection"),
        *("folders", "lock", "schema", "database", "contents", "workers"),
        *("queries", "blocks", "erasure", "quota", "bucket_changes", "entry_changes"),
        # What is found is removed by its key, so keys are known to the changes of records.
        *("scan", "record_changes", "writer", "uploads", "reader", "opening"),
        *("batch", "query", "running", "removal", "engine"),
    )
]
ENGINE.append("storage_demo.engine")
CONDITIONS = [name for name in ENGINE if name.startswith("storage_demo.engine.conditions")]

# The server's files stand on floors: imports go to the same floor or a lower one.
FLOORS = [
    {"storage_demo"},
    set(ENGINE),
    {"storage_demo.encoding"},
    {"storage_demo.base_url", "storage_demo.provisioning"},
    {"storage_demo.settings"},
    {"storage_demo.limits", "storage_demo.logs", "storage_demo.tls"},
    {"storage_demo.api"},
    {"storage_demo.app"},
    {"storage_demo.__main__"},
]


def files_of(package: str) -> dict[str, Path]:
    """Every file of a package, by its module name."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


OURS = {**files_of("reductauth"), **files_of("storage_demo"), **files_of("examples")}


def imports_of(source: str, module: str = "", *, is_package: bool = False) -> Iterator[str]:
    """What a source imports, wherever the statement stands; a name that is one of our files as that file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parents = module.split(".")[
                    : None if is_package and node.level == 1 else -node.level + is_package
                ]
                origin = ".".join([*parents, *([origin] if origin else [])])
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield inner if inner in OURS else origin


def imports_of_file(module: str) -> set[str]:
    """What one of our files imports."""
    path = OURS[module]
    return set(imports_of(path.read_text("utf-8"), module, is_package=path.name == "__init__.py"))


def is_of(module: str, package: str) -> bool:
    """Whether a module is a package or something in it."""
    return module == package or module.startswith(f"{package}.")


def own_imports(module: str) -> set[str]:
    """Which of our packages' files a file imports."""
    return {
        name for name in imports_of_file(module) if is_of(name, "reductauth") or is_of(name, "storage_demo")
    }


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("import aiohttp", "aiohttp"),
        ("import aiohttp.web as web", "aiohttp.web"),
        ("from reductauth import bootstrap", "reductauth.bootstrap"),
        ("from reductauth import Token", "reductauth"),
        ("from reductauth.token import Token", "reductauth.token"),
        ("def late():\n    import reductauth.cli", "reductauth.cli"),
        ("if TYPE_CHECKING:\n    from reductauth.web.keys import AUTH", "reductauth.web.keys"),
        ("from . import key", "reductauth.key"),
        ("from .token import Token", "reductauth.token"),
    ],
)
def test_the_walk_finds_every_kind_of_import(statement: str, found: str) -> None:
    """The tests below can fail: no way to write an import escapes them."""
    assert list(imports_of(statement, "reductauth.value")) == [found]


def test_relative_imports_of_packages_and_parents_are_resolved() -> None:
    """A dot in `__init__.py` is the package itself, two dots in a file are its parent's parent."""
    assert list(imports_of("from .store import X", "reductauth.sqlite", is_package=True)) == [
        "reductauth.sqlite.store"
    ]
    assert list(imports_of("from ..token import X", "reductauth.sqlite.rows")) == ["reductauth.token"]


@pytest.mark.parametrize("module", files_of("reductauth"))
def test_imports_of_the_module_go_upwards_in_the_list(module: str) -> None:
    """Every file has its place in the list, and imports only from the places before its own."""
    assert module in REDUCTAUTH, "a new file needs a place in the list"
    above = REDUCTAUTH[: REDUCTAUTH.index(module)]
    assert sorted(own_imports(module) - set(above)) == []


@pytest.mark.parametrize(
    "module", [name for name in files_of("storage_demo") if is_of(name, "storage_demo.engine")]
)
def test_imports_of_the_engine_go_upwards_in_the_list(module: str) -> None:
    """The engine's files have an order of their own, and import from nowhere else."""
    assert module in ENGINE, "a new file needs a place in the list"
    above = ENGINE[: ENGINE.index(module)]
    assert sorted(own_imports(module) - set(above)) == []


def floor_of(module: str) -> int | None:
    """The floor that a file of the server stands on."""
    for number, floor in enumerate(FLOORS):
        if module in floor or any(is_of(module, place) for place in floor - {"storage_demo"}):
            return number
    return None


@pytest.mark.parametrize("module", files_of("storage_demo"))
def test_imports_of_the_server_go_down_or_stay(module: str) -> None:
    """Every file of the server stands on a floor, and imports nothing from a higher one."""
    floor = floor_of(module)
    assert floor is not None, "a new file needs a floor"
    higher = [
        name
        for name in own_imports(module)
        if is_of(name, "storage_demo") and (floor_of(name) is None or (floor_of(name) or 0) > floor)
    ]
    assert sorted(higher) == []


def test_no_imports_go_in_circles() -> None:
    """All files of both packages can be put in one order."""
    graph = {module: own_imports(module) for module in OURS}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(OURS)


@pytest.mark.parametrize("module", files_of("reductauth"))
def test_the_module_knows_nothing_of_the_demo(module: str) -> None:
    """Whoever embeds the module does not get the demo with it."""
    assert [name for name in imports_of_file(module) if is_of(name, "storage_demo")] == []


@pytest.mark.parametrize("module", files_of("examples"))
def test_examples_show_what_the_readme_promises(module: str) -> None:
    """What people copy uses the module's public names alone, and nothing of the demo."""
    foreign = ("reductauth", "storage_demo", "tests", "benchmarks")
    used = {name for name in imports_of_file(module) if any(is_of(name, other) for other in foreign)}
    assert sorted(used - {"reductauth", "reductauth.web", "reductauth.settings"}) == []


@pytest.mark.parametrize("module", ENGINE)
def test_the_engine_knows_nothing_of_http_or_tokens(module: str) -> None:
    """The storage engine can be used without a server and without authentication."""
    foreign = ("aiohttp", "reductauth", "pydantic", "http", "urllib")
    assert [name for name in imports_of_file(module) if any(is_of(name, other) for other in foreign)] == []


@pytest.mark.parametrize(
    "module", [name for name in files_of("storage_demo") if is_of(name, "storage_demo.encoding")]
)
def test_the_encodings_know_only_names_of_the_engine(module: str) -> None:
    """Batches are read and written by pure functions: no server, no disk, no clock, no inside of the engine."""
    foreign = (
        *("asyncio", "datetime", "io", "logging", "os", "pathlib", "socket", "sqlite3", "subprocess"),
        *("tempfile", "threading", "time", "aiohttp", "http", "orjson", "pydantic", "reductauth"),
    )
    imported = imports_of_file(module)
    assert [name for name in imported if any(is_of(name, other) for other in foreign)] == []
    assert [name for name in imported if name.startswith("storage_demo.engine.")] == []


@pytest.mark.parametrize("module", [*CORE, *CONDITIONS])
def test_the_core_does_no_io_and_reads_no_clock(module: str) -> None:
    """Nothing that opens, connects, waits or tells the time is imported there: `now` is an argument."""
    kept_out = (
        *("asyncio", "datetime", "io", "logging", "os", "pathlib", "select", "shutil", "socket", "sqlite3"),
        *("subprocess", "tempfile", "threading", "time", "aiohttp", "click", "orjson", "pydantic", "yaml"),
    )
    assert [name for name in imports_of_file(module) if any(is_of(name, other) for other in kept_out)] == []


@pytest.mark.parametrize("module", [name for name in BELOW_AIOHTTP if name in OURS])
def test_only_the_web_layer_imports_aiohttp(module: str) -> None:
    """The registry can be used by a server of another kind."""
    assert [name for name in imports_of_file(module) if is_of(name, "aiohttp")] == []


@pytest.mark.parametrize("module", files_of("reductauth"))
def test_the_time_is_read_in_one_place(module: str) -> None:
    """Only clock.py asks the system for the wall clock's time, so that a test can always say what time it is."""
    readings = [
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(OURS[module].read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and f"{node.value.id}.{node.attr}"
        in {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
    ]
    assert readings == (["time.time_ns"] if module == "reductauth.clock" else [])


def run(code: str) -> str:
    """Run code in an interpreter of its own, and return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["reductauth.permissions", "reductauth"])
def test_the_core_pulls_in_no_framework(module: str) -> None:
    """Importing the core, or the package, loads neither aiohttp nor pydantic nor anything of the web layer."""
    heavy = {"aiohttp", "pydantic", "orjson", "yaml", "click", "sqlite3", "asyncio", "reductauth.web"}
    loaded = run(f"import sys, {module}; print(*sorted(sys.modules))").split()
    assert module in loaded
    assert sorted(heavy.intersection(loaded)) == []


def test_the_engine_pulls_in_no_framework() -> None:
    """Importing the storage engine loads neither aiohttp nor the module."""
    loaded = run("import sys, storage_demo.engine; print(*sorted(sys.modules))").split()
    assert "storage_demo.engine.engine" in loaded
    assert sorted({"aiohttp", "reductauth", "pydantic"}.intersection(loaded)) == []


CORE_NAMES = {
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
}
WEB_NAMES = {
    "AUTH",
    "GuardedRunner",
    "IDENTITY",
    "LINK",
    "RESPONSE_HEADERS",
    "RouteEntry",
    "TOKEN",
    "actor_of",
    "allowed",
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
}


@pytest.mark.parametrize(("package", "names"), [("reductauth", CORE_NAMES), ("reductauth.web", WEB_NAMES)])
def test_public_names(package: str, names: set[str]) -> None:
    """What a package promises is this list: a name more or less is a decision, and every name is there."""
    module = importlib.import_module(package)
    assert set(module.__all__) == names
    assert len(module.__all__) == len(names)
    assert [name for name in sorted(names) if not hasattr(module, name)] == []


@pytest.mark.parametrize("module", [name for name in OURS if not name.endswith("__main__")])
def test_every_public_name_of_a_file_exists(module: str) -> None:
    """`__all__` names nothing that is not there."""
    loaded = importlib.import_module(module)
    assert [name for name in getattr(loaded, "__all__", ()) if not hasattr(loaded, name)] == []


def test_the_package_says_that_it_is_typed() -> None:
    """Type checkers of those who embed the module read its annotations."""
    assert (ROOT / "reductauth" / "py.typed").is_file()
