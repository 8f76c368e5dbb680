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


def verdicts(folder: Path, name: str, tests: tuple[str, ...]) -> tuple[list[tuple[str, str]], str]:
    """Run the tests without the mechanism (with all of them, for no name): a verdict on each, and what was printed."""
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
    lines = [line.partition("\t") for line in found.read_text("utf-8").splitlines()]
    return [(function, verdict.strip("'\"")) for function, _, verdict in lines], done.stdout


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
    found, printed = verdicts(tmp_path, name, tests)
    own = Path(SABOTAGES[name].switch_off.__code__.co_filename).relative_to(ROOT)
    assert f"{own}:" not in printed, printed  # a traceback: the sabotage itself fell over
    noticed = {function for function, verdict in found if verdict == WRONG_ANSWER}
    assert noticed == {test.partition("[")[0] for test in tests}, printed


def test_nothing_is_noticed_without_sabotage(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The tests pass in the same surroundings when nothing is switched off."""
    if not request.config.getoption("sabotage"):
        pytest.skip("runs with --sabotage")
    tests = sorted({test for sabotage in SABOTAGES.values() for test in sabotage.tests})
    found, printed = verdicts(tmp_path, "", tuple(tests))
    assert {verdict for _, verdict in found} == {"as expected"}, printed
