"""Each test fails when the mechanism that it guards is switched off: run with `--sabotage`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sabotage.mechanisms import SABOTAGES
from tests.sabotage.verdicts import WRONG_ANSWER

ROOT = Path(__file__).parents[2]


def verdicts(folder: Path, name: str, tests: tuple[str, ...]) -> list[tuple[str, str]]:
    """Run the tests without the mechanism (with all of them, for no name); return each function with a verdict."""
    found = folder / "verdicts"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "tests.sabotage.verdicts", "-p", "no:cacheprovider"),
            *("--basetemp", str(folder / "tests"), *tests),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).with_name("site")), str(ROOT)]),
            "SABOTAGE": name,
            "VERDICTS": str(found),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stdout  # else the tests did not run
    assert "mechanisms.py" not in done.stdout, done.stdout  # the sabotage itself fell over
    print(done.stdout[-20_000:])  # noqa: T201 - shown when a mechanism is not missed
    lines = [line.partition("\t") for line in found.read_text("utf-8").splitlines()]
    return [(function, verdict.strip("'\"")) for function, _, verdict in lines]


def test_each_test_is_there() -> None:
    """A test that was renamed is not forgotten."""
    for name, sabotage in SABOTAGES.items():
        assert sabotage.tests, name
        for test in sabotage.tests:
            path, _, function = test.partition("::")
            assert f"def {function.partition('[')[0]}(" in (ROOT / path).read_text("utf-8"), test


@pytest.mark.parametrize("name", SABOTAGES)
def test_noticed(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    """Every test that is named fails in at least one of its cases, because an answer is wrong."""
    if not request.config.getoption("sabotage"):
        pytest.skip("runs with --sabotage")
    tests = SABOTAGES[name].tests
    found = verdicts(tmp_path, name, tests)
    noticed = {function for function, verdict in found if verdict == WRONG_ANSWER}
    assert noticed == {test.partition("[")[0] for test in tests}


def test_nothing_is_noticed_without_sabotage(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The tests pass in the same surroundings when nothing is switched off."""
    if not request.config.getoption("sabotage"):
        pytest.skip("runs with --sabotage")
    tests = sorted({test for sabotage in SABOTAGES.values() for test in sabotage.tests})
    assert {verdict for _, verdict in verdicts(tmp_path, "", tuple(tests))} == {"as expected"}
