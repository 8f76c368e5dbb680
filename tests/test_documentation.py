"""The README and the configuration examples are true: their commands and snippets are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import generate_latest
from yarl import URL

from examples.workers.__main__ import main as workers
from reductauth.bootstrap import SECRET_VARIABLES, Bootstrap
from reductauth.configuration import Configuration, Group
from reductauth.testing import ServeGuarded
from reductauth.web.schema import parse_draft
from storage_demo.provisioning import declared_buckets
from storage_demo.settings import ServerSettings
from tests.servers import ServerProcess, clean_environment, serving

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
VALUE = "change-me-to-a-long-random-value"

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(README) if found == language]


def steady(text: str) -> str:
    """What differs from run to run: the random part of values, and times."""
    text = re.sub(r"rsat1[0-9A-Za-z]{49}", "rsat1<random>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "<time>", text)
    return text.replace('"last_access":null', '"last_access":"<time>"')  # it may lag by seconds


def run_console(
    session: str, server: ServerProcess, folder: Path | None = None
) -> tuple[list[str], list[str]]:
    """Run the `$` lines of a session in one shell against a server; return expected and real output, line by line.

    Both outputs of a command, as at a terminal.
    """
    commands = [line[2:] for line in session.splitlines() if line.startswith("$ ")]
    expected = [line for line in session.splitlines() if not line.startswith("$ ")]
    script = "\n".join(f"{command}\necho" for command in commands).replace(
        "127.0.0.1:8383", str(URL(server.url).authority)
    )
    quiet = script.replace("curl ", "curl --silent --show-error ")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", quiet],
        cwd=folder,
        env=clean_environment(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=True,
    )
    return expected, [line.rstrip() for line in done.stdout.splitlines() if line]


@contextmanager
def copied_project(folder: Path) -> Iterator[Path]:
    """A copy of what git tracks, as a clone would have it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    yield folder


@pytest.mark.long
def test_the_run_command_and_its_session(tmp_path: Path) -> None:
    """Word for word in a fresh clone: it installs, it starts, and curl prints what the README shows."""
    (command,) = [text.strip() for text in blocks("sh") if "scripts/serve" in text]
    first, second, *_ = blocks("console")
    with copied_project(tmp_path) as project:
        script = project / "command.sh"
        script.write_text(f"exec env {command}\n")
        with serving(project, {}, (str(script),), interpreter="sh", patience_seconds=300) as server:
            expected, real = run_console(first + second, server)
            assert [steady(line) for line in real] == [steady(line) for line in expected]
            assert server.stop() == 0
        assert (project / "data" / "auth" / "auth.db").exists()


def test_the_engine_of_your_own(tmp_path: Path) -> None:
    """The snippet runs as it stands, in fifteen lines, and guards its bucket."""
    (snippet,) = blocks("python")
    lines = [line for line in snippet.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 15
    (tmp_path / "engine.py").write_text(snippet.replace("run(app)", "run(app, port=0)") + "\n")
    (tmp_path / "logged.py").write_text(
        "import logging, runpy\nlogging.basicConfig(level='INFO')\nrunpy.run_path('engine.py')\n"
    )
    with serving(tmp_path, {"RS_API_TOKEN": VALUE}, ("logged.py",)) as server:
        expected, real = run_console(blocks("console")[2], server)
        assert real == expected


async def test_the_links_of_your_own(serve_guarded: ServeGuarded) -> None:
    """The two handlers of the snippet give a link to a reader, and take it from whoever has it, until it ends."""
    (snippet,) = [text for text in blocks("py") if "make_link" in text]
    (engine,) = blocks("python")
    names: dict[str, Any] = {"routes": web.RouteTableDef()}
    exec(engine.partition("\n\n\n")[0] + "\n" + snippet, names)  # noqa: S102 - it is our own
    app = web.Application()
    app.add_routes(names["routes"])
    async with serve_guarded(app) as root:
        reader = await root.make("reader", read=["weather"])
        made = await reader("POST", "/api/v1/b/weather/link")
        link = URL((await made.json())["link"]).relative()
        opened = await root.using(None)("GET", link)
        assert (opened.status, await opened.text()) == (200, "oslo in weather\n")
        assert (await reader("POST", "/api/v1/b/lab/link")).status == 403
        assert (await root("POST", "/api/v1/tokens/reader/revoke")).status == 200
        assert (await root.using(None)("GET", link)).status == 401


async def test_the_metrics_of_your_own(serve_guarded: ServeGuarded) -> None:
    """The snippet makes the page and the engine's own registry, and both have every metric of the table."""
    (snippet,) = [text for text in blocks("py") if "metrics_route" in text]
    app = web.Application()
    names: dict[str, Any] = {"app": app}
    exec(snippet, names)  # noqa: S102 - it is our own
    documented = set(re.findall(r"^\| `(reductauth_\w+)", README, re.MULTILINE))
    async with serve_guarded(app) as root:
        page = await (await root("GET", "/metrics")).text()
        for text in (page, generate_latest(names["registry"]).decode()):
            assert {
                line.split("{")[0].split(" ")[0] for line in text.splitlines() if line[0] != "#"
            } == documented
        for found in (r'reason="(\w+)"', r'action="(\w+)"'):
            for label in set(re.findall(found, page)) - {"other"}:
                assert f"`{label}`" in README


def test_the_command_line(tmp_path: Path) -> None:
    """The session with a server and those on its folder print what the README shows."""
    session = "".join(text for text in blocks("console") if "reductauth " in text)
    with serving(tmp_path, {"RS_API_TOKEN": VALUE}) as server:
        expected, real = run_console(session, server, tmp_path)
        assert [steady(line) for line in real] == [steady(line) for line in expected]


def test_the_command_of_several_processes() -> None:
    """It is one that the example takes, and starts as many as it says; `tests/examples` runs it."""
    (command,) = [text.split() for text in blocks("sh") if "examples.workers" in text]
    assert command[:4] == [f"RS_API_TOKEN={VALUE}", "python", "-m", "examples.workers"]
    assert workers.make_context("workers", command[4:]).params == {
        "workers": 4,
        "host": "127.0.0.1",
        "port": 8383,
    }


def test_the_test_command() -> None:
    """The README's test command is the one that CI calls."""
    (command,) = [text.strip() for text in blocks("sh") if "scripts/test" in text]
    assert command == "scripts/test"
    assert re.search(r"^scripts/test\b", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    assert "-m pytest" in (ROOT / "scripts" / "test").read_text("utf-8")


def test_the_body_in_the_readme_is_accepted() -> None:
    """The nested body is one that the server takes."""
    (body,) = blocks("json")
    draft = parse_draft(body.encode())
    assert (draft.ttl_seconds, draft.allowlist.entries) == (86_400, ("192.168.1.0/24", "2001:db8::7"))


def test_the_table_of_variables() -> None:
    """Every variable that is read is documented, with its default and meaning, and no other is."""
    rows = re.findall(r"^\| `(RS_\w+)` \|(.*?)\|(.*?)\|$", README, re.MULTILINE)
    documented = {name: (default.strip(), meaning.strip()) for name, default, meaning in rows}
    secret = {name for name in SECRET_VARIABLES if not name.endswith("_FILE")}
    fields = ServerSettings.model_fields
    assert documented.keys() == secret | {ServerSettings.variable(name) for name in fields}
    for name, field in fields.items():
        default, meaning = documented[ServerSettings.variable(name)]
        assert meaning == field.description
        if field.default is None or name in {"trusted_proxies", "cors_allow_origin"}:
            assert default == ""
        elif name == "instance_name":
            assert default == "the machine's name"
        else:
            assert (
                default
                == f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
            )


@pytest.mark.parametrize("example", sorted((ROOT / "config").glob("*.env")), ids=lambda path: path.name)
@pytest.mark.parametrize("with_optional_lines", [False, True])
def test_configuration_examples_load(tmp_path: Path, example: Path, with_optional_lines: bool) -> None:
    """As they are, and with each line that is commented out: what they show is right."""
    text = example.read_text("utf-8").replace("/run/secrets", str(tmp_path))
    (tmp_path / "reductauth_token").write_text("a-value-of-at-least-thirty-two-characters\n")
    (tmp_path / "reductauth_first_token").write_text("a-value-of-at-least-thirty-two-characters\n")
    (tmp_path / "reductauth_key").write_text("00" * 32 + "\n")
    assignments = re.findall(rf"^{'#?' if with_optional_lines else ''}(RS_\w+)=(.*)$", text, re.MULTILINE)
    environ = dict(assignments)
    if with_optional_lines:
        environ.pop("RS_INIT_API_TOKEN_FILE", None)  # shown as an alternative
    assert environ
    assert ServerSettings.unknown_variables(environ) == []
    ServerSettings.from_environment(environ)


def test_the_production_example_names_every_variable() -> None:
    """Nothing that can be set is missing from it, by itself or by its twin that names a file."""
    text = (ROOT / "config" / "production.env").read_text("utf-8")
    named = {name.removesuffix("_FILE") for name in re.findall(r"^#?(RS_\w+)=", text, re.MULTILINE)}
    known = {ServerSettings.variable(name) for name in ServerSettings.model_fields}
    assert named == known | {name.removesuffix("_FILE") for name in SECRET_VARIABLES}


def files_for(text: str, folder: Path) -> str:
    """Make the files of values that an example names, and name them where they are."""
    for number, name in enumerate(sorted(set(re.findall(r"/run/secrets/(\w+)", text)))):
        content = (
            "00" * 32 if name == "reductauth_key" else f"a-value-of-at-least-thirty-two-characters-{number}"
        )
        (folder / name).write_text(content + "\n")
    return text.replace("/run/secrets", str(folder))


def test_the_configuration_file_in_the_readme(tmp_path: Path) -> None:
    """It loads, and declares what it shows."""
    (example,) = blocks("yaml")
    file = tmp_path / "storage.yaml"
    file.write_text(files_for(example, tmp_path))
    configuration = Configuration.read({}, file)
    settings = ServerSettings.of(configuration)
    assert (settings.port, settings.trusted_proxies.entries) == (8383, ("10.0.0.0/8", "fd00::/8"))
    pinned, dashboard = Bootstrap.of(configuration, disable_auth=False, now_us=0).tokens
    assert (pinned.name, dashboard.name, dashboard.draft.permissions.read) == (
        "init-token",
        "dashboard",
        ("weather", "lab-*"),
    )
    assert list(declared_buckets(configuration, [])) == ["weather"]


@pytest.mark.parametrize("with_optional_lines", [False, True])
def test_the_commented_configuration_file_loads(tmp_path: Path, with_optional_lines: bool) -> None:
    """As it is, and with each line that is commented out."""
    text = files_for((ROOT / "config" / "storage-demo.yaml").read_text("utf-8"), tmp_path)
    if with_optional_lines:
        text = re.sub(r"^( *)#(?! )(?!init_api_token)", r"\1", text, flags=re.MULTILINE)
    file = tmp_path / "storage.yaml"
    file.write_text(text)
    configuration = Configuration.read({}, file)
    ServerSettings.of(configuration)
    tokens = Bootstrap.of(configuration, disable_auth=False, now_us=0).tokens
    assert [token.name for token in tokens] == ["init-token", "recorder", "dashboard"]
    assert list(declared_buckets(configuration, [])) == ["weather", "lab-1"]


def test_the_commented_configuration_file_names_every_key() -> None:
    """Nothing that can be set is missing from it, by itself or by its twin that names a file."""
    text = (ROOT / "config" / "storage-demo.yaml").read_text("utf-8")
    top = {name.removesuffix("_file") for name in re.findall(r"^#?([a-z_]+):", text, re.MULTILINE)}
    assert top == {name.removesuffix("_file") for name in ServerSettings.known_keys()}
    inner = set(re.findall(r"^ +#?([a-z_]+):", text, re.MULTILINE))
    declared = {name for group in ServerSettings.groups for name in (*group.fields, group.parent) if name}
    assert declared - {"value", "digest"} <= inner


@pytest.mark.parametrize("group", ServerSettings.groups, ids=lambda group: group.key)
def test_the_table_of_declarations(group: Group) -> None:
    """Every field of a declared token or bucket is documented for both places, and no other is."""
    rows = re.findall(rf"^\| `{group.prefix}<ID>_(\w+)` \| (.*?) \| (.*?) \|$", README, re.MULTILINE)
    documented = {name.lower(): (place, meaning) for name, place, meaning in rows}
    assert len(rows) == len(documented)
    assert documented.pop("name") == (f"the key below `{group.key}`", f"the {group.word}'s name")
    assert documented == {
        name: (f"`{group.path_of(name)}`", meaning) for name, meaning in group.fields.items()
    }


def test_the_project_stands_alone() -> None:
    """Nothing in it mentions what lies beside it."""
    listed = subprocess.run(
        ["git", "grep", "-l", "-e", r"\.\./shared", "-e", "design\\.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [
        name for name in listed.stdout.splitlines() if not name.startswith("tests/test_documentation")
    ] == []
