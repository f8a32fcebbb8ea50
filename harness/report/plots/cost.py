"""What evenness costs: processor time per request against the worst deviation, a mark for each strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import textalloc
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from harness.errors import ResultError
from harness.report.plots.groups import (
    Condition,
    Spread,
    condition,
    cpu_in_all,
    labels,
    strategies,
    verdict_of,
    worst_deviation,
)
from harness.report.plots.kind import Caption, PlotKind, Source
from harness.report.plots.style import (
    BAND,
    INK,
    LIGHT,
    MUTED,
    PAPER,
    SMALL,
    TITLE,
    Picture,
    legend_below,
    new_figure,
    plain,
    plain_numbers,
    styled,
    tip,
    whole_grid,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from harness.summary.run import Summary

_LOOKS: Final = {
    "even": ("o", LIGHT["blue"]),
    "uneven": ("X", LIGHT["vermilion"]),
    "inconclusive": ("D", LIGHT["orange"]),
    "mixed": ("s", LIGHT["purple"]),
}
_PARTS: Final = ("proxy", "engine", "instances", "generator", "kernel")
_PANEL = (5.6, 3.9)
_ALONE = (8.4, 5.4)
"""The size of a panel among several, and of the only one, in inches."""
_EXACT = 0.05
"""A deviation below so many percent is drawn at zero, where strategies that take turns stand in a row."""
_GAP = 9
"""Pixels between a mark and its name, and between names."""
_LINEAR_TO = 1.0
"""Up to so many percent of deviation, the axis is linear, so that zero has a place."""


class _Mark(NamedTuple):
    strategy: str
    verdict: str
    cpu_us: Spread
    deviation: Spread
    text: str


@styled
def cost_figure(summaries: Sequence[Summary]) -> Picture:
    """Draw each strategy by what a request costs and by how evenly it spreads: the lower left is best.

    Across is the processor time of all processes for each request
    (`harness.report.plots.groups.cpu_in_all`); upwards the deviation of the instance that deviates most
    from its expected share. Runs under different conditions (replicas, connections, …) have a panel each,
    since they can't be compared. Of repeats, the mark
    is at the medians and the lines are the ranges.

    Raises
    ------
    ResultError
        No run has both.
    """
    panels = _marks(summaries)
    if not panels:
        raise ResultError("no result has processor times and a distribution: a plot of cost needs both")
    across = min(len(panels), 2)
    down = -(-len(panels) // across)
    panel = _PANEL if len(panels) > 1 else _ALONE
    width, height = panel[0] * across + 0.4, panel[1] * down + 0.75
    figure = new_figure(width, height)
    figure.suptitle("cost and evenness: the lower left is best", fontsize=TITLE, y=1 - 0.08 / height)
    names = labels(panels)
    tolerances = _tolerances(summaries)
    for number, (where, name) in enumerate(names.items()):
        column, row = number % across, number // across
        box = (
            (column + (0.8 if across > 1 else 0.85) / panel[0]) / across * (1 if across == 1 else 0.985),
            1 - (0.38 + panel[1] * (row + 1) - 0.62) / height,
            (1 - 1.0 / panel[0]) / across,
            (panel[1] - 0.98) / height,
        )
        axes = figure.add_axes(box)
        several = any(mark.cpu_us.low != mark.cpu_us.high for mark in panels[where])
        title = f"{name}; medians and ranges of runs" if several else name
        axes.set_title(title, fontsize=10, loc="left", parse_math=False)
        _draw(axes, panels[where], tolerances[where])
    handles: dict[str, object] = {}
    for axes in figure.axes:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    legend_below(figure, 6, handles=list(handles.values()), labels=list(handles))
    return figure


def _marks(summaries: Sequence[Summary]) -> dict[Condition, list[_Mark]]:
    """Put repeats together; runs without a figure on either axis have no mark."""
    runs: dict[tuple[Condition, str], list[Summary]] = {}
    for strategy, summary in zip(strategies(summaries), summaries, strict=True):
        runs.setdefault((condition(summary), strategy), []).append(summary)
    panels: dict[Condition, list[_Mark]] = {}
    for (where, strategy), own in sorted(runs.items()):
        both = [run for run in own if _has_both(run)]
        cpu = Spread.of(cpu_in_all(run.cpu_us_per_request) for run in both)
        deviation = Spread.of(_percent(worst_deviation(run)) for run in both)
        if cpu is not None and deviation is not None:
            verdict = verdict_of(run.verdict for run in both)
            text = _told(strategy, verdict, cpu, deviation, both)
            panels.setdefault(where, []).append(_Mark(strategy, verdict, cpu, deviation, text))
    return panels


def _has_both(run: Summary) -> bool:
    return cpu_in_all(run.cpu_us_per_request) is not None and worst_deviation(run) is not None


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else fraction * 100


def _told(strategy: str, verdict: str, cpu: Spread, deviation: Spread, runs: Sequence[Summary]) -> str:
    parts = []
    for name in _PARTS:
        if spread := Spread.of(getattr(run.cpu_us_per_request, name) for run in runs):
            apart = " (within the others)" if name == "kernel" else ""
            parts.append(f"{name} {spread.middle:.1f}{apart}")
    several = f", {len(runs)} runs" if len(runs) > 1 else ""
    return (
        f"{strategy}: {verdict}{several}; {cpu.told(',.1f')} µs a request ({', '.join(parts)}); "
        f"worst deviation {deviation.told(',.1f')} %"
    )


def _tolerances(summaries: Sequence[Summary]) -> dict[Condition, list[float]]:
    found: dict[Condition, set[float]] = {}
    for summary in summaries:
        found.setdefault(condition(summary), set()).add(summary.tolerance * 100)
    return {where: sorted(values) for where, values in found.items()}


def _draw(axes: Axes, marks: Sequence[_Mark], tolerances: Sequence[float]) -> None:
    """Draw one panel."""
    # Where scenarios have several tolerances, the strictest is what all of them keep to.
    axes.axhspan(-1, tolerances[0], color=BAND, label="within the tolerance", linewidth=0, zorder=0)
    for mark in marks:
        shape, color = _LOOKS[mark.verdict]
        x, y = mark.cpu_us, mark.deviation
        axes.plot([x.low, x.high], [y.middle, y.middle], color=color, linewidth=1.2)
        axes.plot([x.middle, x.middle], [y.low, y.high], color=color, linewidth=1.2)
        (dot,) = axes.plot(
            [x.middle],
            [y.middle],
            shape,
            color=color,
            markersize=7,
            markeredgecolor=PAPER,
            label=mark.verdict,
            zorder=3,
        )
        tip(dot, mark.text)
    _scale(axes, marks, tolerances[-1])
    axes.set_xlabel("mean processor time of all processes (µs a request)", fontsize=SMALL)
    axes.set_ylabel("worst deviation from the expected share (%)", fontsize=SMALL)
    whole_grid(axes)
    _label(axes, marks)


def _scale(axes: Axes, marks: Sequence[_Mark], tolerance: float) -> None:
    low, high = min(mark.cpu_us.low for mark in marks), max(mark.cpu_us.high for mark in marks)
    plain_numbers(axes, "x", low, high)
    room = max((high / low) ** 0.25, 1.15) if low > 0 else 1.5
    axes.set_xlim(max(low, 1e-3) / room, max(high, 1e-3) * room)
    axes.set_yscale("symlog", linthresh=_LINEAR_TO, linscale=1.2)
    most = max(*(mark.deviation.high for mark in marks), tolerance, _LINEAR_TO)
    axes.set_ylim(-0.3, most * 2)
    steps = [0.0, 0.5, *(step * power for power in (1.0, 10.0, 100.0, 1000.0, 10000.0) for step in (1, 2, 5))]
    axes.yaxis.set_major_locator(FixedLocator([step for step in steps if step <= most * 2]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _label(axes: Axes, marks: Sequence[_Mark]) -> None:
    """Name each mark: those at zero by a staircase above them, the others where there is room."""
    exact = [mark for mark in marks if mark.deviation.middle < _EXACT]
    stairs = _staircase(axes, exact) if len(exact) > 1 else []
    others = [mark for mark in marks if not stairs or mark not in exact]
    if not others:
        return
    x = np.array([mark.cpu_us.middle for mark in others])
    y = np.array([mark.deviation.middle for mark in others])
    # What labels keep clear of: the ranges of all marks, and the stairs.
    across = [([mark.cpu_us.low, mark.cpu_us.high], [mark.deviation.middle] * 2) for mark in marks]
    upwards = [([mark.cpu_us.middle] * 2, [mark.deviation.low, mark.deviation.high]) for mark in marks]
    lines = [*across, *upwards, *stairs]
    textalloc.allocate(
        axes,
        x,
        y,
        [plain(mark.strategy, 30) for mark in others],
        x_scatter=x,
        y_scatter=y,
        x_lines=[line[0] for line in lines],
        y_lines=[line[1] for line in lines],
        textsize=SMALL,
        textcolor=INK,
        linecolor=MUTED,
        linewidth=0.7,
        min_distance=0.015,
        max_distance=0.4,
        margin=0.008,
        nbr_candidates=1_000,
        avoid_label_lines_overlap=True,
        avoid_crossing_label_lines=True,
        parse_math=False,
    )


def _staircase(axes: Axes, marks: Sequence[_Mark]) -> list[tuple[list[float], list[float]]]:
    """Name marks of one height above them, each higher than those to its right that it would cover.

    A name begins above its mark, and a vertical line leads to it, so that no line crosses a name. Gives the
    lines and the names' middles as lines to keep clear of. Where the panel has too little room, nothing is
    drawn and nothing given.
    """
    points = sorted(marks, key=lambda mark: -mark.cpu_us.middle)
    texts = [
        axes.annotate(
            plain(mark.strategy, 30),
            (mark.cpu_us.middle, mark.deviation.middle),
            xytext=(0, _GAP),
            textcoords="offset pixels",
            va="bottom",
            fontsize=SMALL,
            color=INK,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.7, "relpos": (0, 0), "shrinkA": 0},
            parse_math=False,
        )
        for mark in points
    ]
    left = [float(axes.transData.transform(text.xy)[0]) for text in texts]
    boxes = [Text.get_window_extent(text) for text in texts]  # an annotation's own has its line, too
    levels: list[int] = []
    for number, box in enumerate(boxes):
        covered = [levels[i] for i in range(number) if left[i] < left[number] + box.width + _GAP]
        levels.append(1 + max(covered, default=0))
    step = max(box.height for box in boxes) + 2
    room = axes.get_window_extent()
    fits = all(x + box.width < room.x1 for x, box in zip(left, boxes, strict=True))
    if not fits or max(levels) * step > room.height / 2:
        for text in texts:
            text.remove()
        return []
    lines = []
    back = axes.transData.inverted()
    for text, level, box, x in zip(texts, levels, boxes, left, strict=True):
        text.set_position((0, _GAP + (level - 1) * step))
        bottom = float(axes.transData.transform(text.xy)[1])
        top = bottom + _GAP + (level - 0.5) * step
        for ends in (((x, bottom), (x, top)), ((x, top), (x + box.width, top))):
            (x0, y0), (x1, y1) = back.transform(ends)
            lines.append(([float(x0), float(x1)], [float(y0), float(y1)]))
    return lines


def _has_cost(sources: Sequence[Source]) -> bool:
    return len(sources) > 1 and any(_has_both(source.summary) for source in sources)


COST: Final = PlotKind(
    name="cost",
    shows="processor time per request against evenness: the picture that picks a strategy",
    draws="all",
    draw=lambda sources: cost_figure([source.summary for source in sources]),
    fits=_has_cost,
    of_all=Caption(
        "Cost and evenness",
        "To the right is what a request costs, in processor time of proxy, engine, instances and generator; "
        "upwards is how far the worst instance is off its share. The lower left is best.",
    ),
)
