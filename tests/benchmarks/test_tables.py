"""The tables of documents come from the figures."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from benchmarks.report import Report, Row
from benchmarks.tables import DOCUMENT, FIGURES, updated
from tests.benchmarks.conftest import run_module

EMPTY = "# Figures\n\n<!-- benchmarks: decision -->\nold\n<!-- end -->\n\nThe end.\n"


def test_a_marked_table_is_brought_up_to_the_figures(figures: Path, tmp_path: Path) -> None:
    """Sizes become columns, smallest first; what is missed says so; the text around stays; twice is as once."""
    document = tmp_path / "document.md"
    document.write_text(EMPTY)
    done = run_module("-m", "benchmarks.tables", "--json", figures, document)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    text = document.read_text()
    assert text.startswith("# Figures\n\n<!-- benchmarks: decision -->\n\nRatios to the floor.\n")
    assert text.endswith("\n\n<!-- end -->\n\nThe end.\n")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    assert [line for line in lines if not line[0].startswith(":-")] == [
        ["", "10", "100,000", "goal"],
        ["good value", "1.31 (1.75 us)", "1.44 (2.25 us)", "<= 1.6"],
        ["a scan over everything", "2.50 (3.00 us)", "12,346 (15,000.00 us)", ""],
        ["", "ratio", "measured", "goal", ""],
        ["good value", "1.92", "2.25 us", "<= 1.8", "MISSED"],
        ["memory", "", "84.00 MB", "<= 100 MB", "reached"],
    ]
    assert updated(text, figures) == text


def test_a_size_that_misses_its_goal_is_told(tmp_path: Path) -> None:
    """In its own cell."""
    rows = [Row("good value", 1.5, 2.0, goal=1.6, size=10), Row("good value", 1.7, 2.0, goal=1.6, size=20)]
    Report("decision", "the floor", rows=rows).show(tmp_path)
    assert "| 1.50 (2.00 us) | 1.70 (2.00 us) MISSED |" in " ".join(updated(EMPTY, tmp_path).split())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "<!-- benchmarks: nowhere -->\n<!-- end -->\n",
            r"nowhere\.json is not there; measure with: python -m benchmarks\.nowhere --json",
        ),
        ("<!-- benchmarks: decision -->\n", "1 lines <!-- benchmarks: NAME --> and 0 lines <!-- end -->"),
        ("<!-- end -->\n<!-- benchmarks: decision -->\n", "do not make pairs"),
        ("text <!-- benchmarks: decision -->\n<!-- end -->\n", "do not make pairs"),
    ],
)
def test_marks_that_cannot_be_followed(figures: Path, text: str, told: str) -> None:
    """It is said what is wrong."""
    with pytest.raises(click.ClickException, match=told):
        updated(text, figures)


def test_the_committed_tables_are_those_of_the_committed_figures() -> None:
    """Nobody wrote into a table by hand, or committed figures and left the table."""
    text = DOCUMENT.read_text("utf-8")
    assert updated(text, FIGURES) == text
