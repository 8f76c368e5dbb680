"""What a report tells about how it was measured, and what is said where a library is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
import pytest

from benchmarks.report import Report
from tests.benchmarks.conftest import run_module

WITHOUT_PEERS = "import runpy, sys; sys.modules['aiohttp_security'] = None; "


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        (["-m", "benchmarks.authorize"], "python -m benchmarks.authorize"),
        (["-m", "benchmarks", "--json", "/home/me/figures"], "python -m benchmarks"),
        (
            ["-m", "benchmarks.wire", "--json=/home/me/figures", "--tokens", "10", "--rounds=5"],
            "python -m benchmarks.wire --tokens 10 --rounds=5",
        ),
    ],
)
def test_the_command_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: list[str], command: str
) -> None:
    """As others would type it: nothing in it is this machine's."""
    monkeypatch.setattr(sys, "orig_argv", ["/home/me/.venv/bin/python", *typed])
    Report("decision", "the floor").show(tmp_path)
    assert orjson.loads((tmp_path / "decision.json").read_bytes())["command"] == command


def test_a_missing_extra_is_told() -> None:
    """One line says what to install."""
    done = run_module("-c", WITHOUT_PEERS + "runpy.run_module('benchmarks.peers', run_name='__main__')")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: aiohttp_security is not installed; install it with: pip install -e '.[peers]'\n"
    )


def test_a_missing_extra_does_not_end_the_run_of_all(tmp_path: Path) -> None:
    """What needs it is left out, and says so."""
    run = f"""
import benchmarks.__main__ as all_of_them, types
all_of_them._MODULES = ("peers", "wire", "nothing")
report = all_of_them.Report("nothing", "the others, which run")
sys.modules["benchmarks.nothing"] = types.SimpleNamespace(short=lambda: report)
all_of_them.main(["--json", {str(tmp_path)!r}])
"""
    done = run_module("-c", WITHOUT_PEERS + run)
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if "left out" in line] == [
        f"{name} is left out. Error: aiohttp_security is not installed; "
        "install it with: pip install -e '.[peers]'"
        for name in ("peers", "wire")
    ]
    assert "nothing: ratios to the others, which run" in done.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["nothing.json"]
