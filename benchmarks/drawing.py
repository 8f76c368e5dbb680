"""The two kinds of plot: lines over the sizes of a registry, and bars.

Drawn again from the same figures, a file is the same byte for byte. The ground is white, so that it can be read on a
dark page too; lines are named at their ends, in place of a legend.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.extras import from_extra
from benchmarks.report import MISSED, Row
from benchmarks.results import Result

with from_extra("plots"):
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

__all__ = ["draw", "spread"]

ThingT = TypeVar("ThingT")

_INK, _GREY, _BAR, _MISSED = "#1f2328", "#59636e", "#4c8fca", "#d98c5f"
_STYLE: Any = {
    "svg.hashsalt": "benchmarks",
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8c959f",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d8dee4",
    "grid.linewidth": 0.6,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_COLOURS = (
    *("#0072b2", "#c44e00", "#00805f", "#b05086", "#7a6100", "#2d8fc4"),
    *("#7f3fbf", "#b22222", "#008b8b", "#8b5a2b", "#5a7d00", "#444c56"),
)
"""After Okabe and Ito, darker: eyes that see fewer colours tell neighbours apart, and names in them can be read."""
_LOOKS = list(itertools.product("osD^", _COLOURS))
_GOAL: dict[str, Any] = {"linestyle": "none", "marker": "_", "markersize": 14, "markeredgewidth": 1.8}
_LINES_WIDTH, _BARS_WIDTH = 6.0, 8.0
"""Inches, as all lengths here."""
_TEXT_HEIGHT = 0.19
_FOOT_HEIGHT = 0.6
"""Of the numbers and the name below a panel."""
_NAME_CHARACTERS, _TITLE_CHARACTERS, _SOURCE_CHARACTERS = 44, 90, 130
_WIDE = 30
"""The longest bar over the shortest from which on they are drawn on a logarithmic axis."""


def draw(result: Result, folder: Path) -> list[Path]:
    """Draw what a report holds into `folder`; return the files."""
    drawn = []
    with mpl.rc_context(_STYLE):
        if result.sized:
            name = f"{result.title}-by-{result.size_name}.svg".replace(" ", "-")
            drawn.append(_save(_lines(result), folder / name))
        if result.single:
            drawn.append(_save(_bars(result), folder / f"{result.title}.svg"))
    return drawn


def _save(figure: Figure, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, bbox_inches="tight", pad_inches=0.15, metadata={"Date": None, "Creator": None})
    return file


def _lines(result: Result) -> Figure:
    """Lines over the sizes, a panel for each unit; both axes are logarithmic."""
    panels = _by_scale(result.sized.values(), lambda rows: rows[0])
    figure, columns = _panels(
        [max(1.8, 1.3 * _TEXT_HEIGHT * len(lines)) for lines in panels.values()], _LINES_WIDTH
    )
    for (scale, lines), axes in zip(panels.items(), columns, strict=True):
        for rows, (marker, colour) in zip(lines, _LOOKS, strict=False):
            sizes, values = [_size(row) for row in rows], [_value(row) for row in rows]
            style = "--" if all(row.ratio == 1 for row in rows) else "-"
            axes.plot(sizes, values, style, color=colour, marker=marker, markersize=4, linewidth=1.3)
            for row in rows:
                if row.goal is not None:
                    axes.plot(_size(row), row.goal, color=colour, **_GOAL)
        sizes = sorted({_size(row) for rows in lines for row in rows})
        axes.set(xscale="log", yscale="log", xlabel=result.size_name, ylabel=scale)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
        _number(axes.yaxis, [_value(row) for rows in lines for row in rows])
    figure.draw_without_rendering()  # so that the heights are known
    figure.set_layout_engine("none")
    for lines, axes in zip(panels.values(), columns, strict=True):
        _name_ends(axes, lines)
    _describe(figure, result, itertools.chain.from_iterable(result.sized.values()))
    return figure


def _name_ends(axes: Axes, lines: Sequence[Sequence[Row]]) -> None:
    """Write each line's name beside its end, none over another."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise AssertionError("axes without a figure")
    height = axes.get_position().height * figure.get_size_inches()[1]
    place = axes.transScale + axes.transLimits
    ends = [place.transform((_size(rows[-1]), _value(rows[-1]))) for rows in lines]
    wanted = [float(y) for _, y in ends]
    for rows, end, y, (_, colour) in zip(
        lines, ends, spread(wanted, _TEXT_HEIGHT / height), _LOOKS, strict=False
    ):
        axes.annotate(
            f"{rows[0].name}  {_shown(_value(rows[-1]))}",
            xy=tuple(end),
            xytext=(1.05, y),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=colour,
            verticalalignment="center",
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.5,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 3,
            },
            annotation_clip=False,
        )


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places between 0 and 1 that are `gap` apart and as near to those wanted as that allows."""
    groups: list[list[int]] = []
    order = sorted(range(len(wanted)), key=wanted.__getitem__)

    def start(group: Sequence[int]) -> float:
        middle = sum(wanted[index] - place * gap for place, index in enumerate(group)) / len(group)
        return max(0.0, min(middle, 1.0 - (len(group) - 1) * gap))

    for index in order:
        groups.append([index])
        while len(groups) > 1 and start(groups[-2]) + len(groups[-2]) * gap > start(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    found = dict.fromkeys(order, 0.0)
    for group in groups:
        first = start(group)
        found.update((index, first + place * gap) for place, index in enumerate(group))
    return [found[index] for index in range(len(wanted))]


def _bars(result: Result) -> Figure:
    """A bar for each row, a panel for each unit, and a mark where a goal is."""
    panels = _by_scale(result.single, lambda row: row)
    names = {row.name: textwrap.wrap(row.name, _NAME_CHARACTERS) for row in result.single}
    pitch = _TEXT_HEIGHT * max(2.0, 0.8 + max(map(len, names.values())))
    figure, columns = _panels([pitch * len(rows) for rows in panels.values()], _BARS_WIDTH)
    for (scale, rows), axes in zip(panels.items(), columns, strict=True):
        for place, row in enumerate(rows):
            axes.barh(place, _value(row), height=0.6, color=_MISSED if row.verdict == MISSED else _BAR)
            if row.goal is not None:
                axes.plot([row.goal] * 2, [place - 0.42, place + 0.42], color=_INK, linewidth=2)
            axes.annotate(
                _shown(_value(row)) + _goal(row),
                xy=(max(_value(row), row.goal or 0.0), place),
                xytext=(5, 0),
                textcoords="offset points",
                verticalalignment="center",
            )
        positive = [length for row in rows for length in (_value(row), row.goal or 0.0) if length > 0]
        if positive and max(positive) > _WIDE * min(positive):
            axes.set_xscale("log")
            axes.set_xlim(left=min(positive) / 2)
            _number(axes.xaxis, positive)
        axes.set_yticks(range(len(rows)), ["\n".join(names[row.name]) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(scale)
    _describe(figure, result, result.single)
    return figure


def _by_scale(things: Iterable[ThingT], row_of: Callable[[ThingT], Row]) -> dict[str, list[ThingT]]:
    panels: dict[str, list[ThingT]] = {}
    for thing in things:
        row = row_of(thing)
        panels.setdefault(f"measured, {row.unit}" if row.ratio is None else "ratio", []).append(thing)
    return panels


def _panels(heights: Sequence[float], width: float) -> tuple[Figure, list[Axes]]:
    height = sum(heights) + _FOOT_HEIGHT * len(heights)
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])


def _describe(figure: Figure, result: Result, rows: Iterable[Row]) -> None:
    """Write above what it is, and below where it comes from."""
    title = textwrap.fill(f"{result.title}: ratios to {result.baseline}", _TITLE_CHARACTERS)
    figure.text(0, 1.01, title, fontsize=10.5, fontweight="bold", verticalalignment="bottom")
    source = (
        f"{result.command}; {result.measured_at[:10]}, Python {result.versions['Python']}, "
        f"{result.machine['processors']} processors, {result.machine['CPU']}"
    )
    if any(row.goal is not None for row in rows):
        source += "; short strokes are goals"
    figure.text(
        0,
        -0.01,
        textwrap.fill(source, _SOURCE_CHARACTERS),
        fontsize=7.5,
        color=_GREY,
        verticalalignment="top",
    )


def _value(row: Row) -> float:
    return row.measured if row.ratio is None else row.ratio


def _size(row: Row) -> int:
    if row.size is None:
        raise AssertionError(f"{row.name} is no part of a line")
    return row.size


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _goal(row: Row) -> str:
    if row.goal is None:
        return ""
    missed = ": missed" if row.verdict == MISSED else ""
    return f"  (goal {'≥' if row.at_least else '≤'} {row.goal:g}{missed})"


def _number(axis: Axis, values: Sequence[float]) -> None:
    """Write numbers at a logarithmic axis, closer together where it is short."""
    positive = [value for value in values if value > 0]
    span = max(positive, default=1.0) / min(positive, default=1.0)
    subs = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 7.0) if span < 10 else (1.0, 2.0, 5.0) if span < 100 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,g}" if value < 1_000 else f"{value:,.0f}")
    )
    axis.set_minor_formatter(NullFormatter())
