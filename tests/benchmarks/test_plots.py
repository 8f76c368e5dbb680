"""Plots are drawn from the figures."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from benchmarks.drawing import draw, spread
from benchmarks.plots import main
from benchmarks.results import read_results
from tests.benchmarks.conftest import run_module


def texts(file: Path) -> set[str]:
    """What is written in a plot: matplotlib leaves each text as a comment beside its shapes."""
    return {text.strip() for text in re.findall(r"<!-- (.*?) -->", file.read_text("utf-8"), re.DOTALL)}


def test_a_report_is_drawn(figures: Path, tmp_path: Path) -> None:
    """What differs in size as lines that are named, what stands alone as bars; the same again, byte for byte."""
    done = CliRunner().invoke(main, ["--json", str(figures), "--to", str(tmp_path / "plots")])
    lines, bars = tmp_path / "plots" / "decision-by-tokens.svg", tmp_path / "plots" / "decision.svg"
    assert (done.exit_code, done.output) == (0, f"{lines}\n{bars}\n")
    assert texts(lines) >= {"good value  1.44", "a scan over everything  12,346", "10", "100,000", "tokens"}
    assert texts(bars) >= {"good value", "memory", "1.92  (goal ≤ 1.8: missed)", "84  (goal ≤ 100)"}
    assert "measured, MB" in texts(bars)
    assert "<dc:date>" not in lines.read_text("utf-8") + bars.read_text("utf-8")
    (result,) = read_results(figures)
    again = draw(result, tmp_path / "again")
    assert [file.read_bytes() for file in again] == [lines.read_bytes(), bars.read_bytes()]


def test_no_figures(tmp_path: Path) -> None:
    """One line says how to measure."""
    done = run_module("-m", "benchmarks.plots", "--json", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: {tmp_path} holds no figures; measure some with: python -m benchmarks --json {tmp_path}\n"
    )


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"rows": [{"name": "good value"}]}'])
def test_a_file_that_no_benchmark_wrote(tmp_path: Path, content: str) -> None:
    """It is named."""
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(click.ClickException, match=r"other\.json is not what a benchmark wrote"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([0.5], [0.5]),
        ([0.1, 0.9], [0.1, 0.9]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.55, 0.5, 0.1], [0.575, 0.475, 0.1]),
        ([0.0, 0.0, 0.0], [0.0, 0.1, 0.2]),
        ([1.0, 1.0, 0.99], [0.9, 1.0, 0.8]),
        ([0.3, 0.35, 0.2], [0.283333, 0.383333, 0.183333]),
    ],
)
def test_names_are_spread(wanted: list[float], found: list[float]) -> None:
    """Each stays where its line ends, unless it would be written over another."""
    assert spread(wanted, 0.1) == pytest.approx(found, abs=1e-5)
