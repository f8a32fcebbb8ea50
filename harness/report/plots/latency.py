"""How long it took: latencies by rank on an axis of nines, and as a distribution function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from harness.errors import ResultError
from harness.report.plots.kind import MOST_RUNS, Caption, PlotKind
from harness.report.plots.style import (
    DASHES,
    INSIDE,
    LIGHT,
    OUTSIDE,
    PAPER,
    SERIES,
    WIDTH,
    Picture,
    add_axes,
    legend_below,
    milliseconds,
    new_figure,
    nothing,
    plain,
    plain_numbers,
    styled,
    tip,
    title,
    whole_grid,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from harness.recording.table import Recording
    from harness.report.plots.kind import Source
    from harness.summary.run import Summary

_MARKS: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9}
_TICKS: Final = (0, 50, 90, 99, 99.9, 99.99, 99.999, 99.9999)
_POINTS: Final = 2000
"""Many neighbours fall on one pixel: so many points draw the same curve."""


class Run(NamedTuple):
    """A run to be drawn beside others, under a label of its own."""

    label: str
    recording: Recording
    summary: Summary


@styled
def latency_figure(recording: Recording, summary: Summary) -> Picture:
    """Draw the latency that each share of the successful requests stayed within.

    The horizontal axis counts nines: each step to the right is a tenth of the requests before.
    """
    figure = new_figure(WIDTH, 4)
    axes = add_axes(figure, 0.8, 0.1, 0.55)
    title(axes, summary.name, f"latency{_limited(summary)}")
    latencies_ms = np.sort(recording.latencies_ns()) / 1e6
    _name_axes(axes)
    if latencies_ms.size:
        x, y = _steps(latencies_ms)
        axes.plot(x, y, color=INSIDE, linewidth=2, drawstyle="steps-post")
        _draw_marks(axes, float(x[-1]), summary)
        _draw_end(axes, float(x[-1]), float(latencies_ms[-1]))
        _scale(axes, float(x[-1]), float(latencies_ms[0]), float(latencies_ms[-1]))
    else:
        nothing(axes, "no request succeeded")
    return figure


@styled
def latencies_figure(runs: Sequence[Run]) -> Picture:
    """Draw the latencies of several runs, at most `MOST_RUNS`, as `latency_figure` does those of one.

    Raises
    ------
    ResultError
        There are more.
    """
    figure, axes, sorted_ms = _compared(runs, "latency")
    _name_axes(axes)
    drawn = [(index, values) for index, values in enumerate(sorted_ms) if values.size]
    for index, values in drawn:
        x, y = _steps(values)
        axes.plot(x, y, drawstyle="steps-post", **_series(index, runs[index]))
        summary = runs[index].summary
        for name, percent in _MARKS.items():
            if _nines(percent) <= x[-1] and (value := getattr(summary.latency_ns, name)) is not None:
                text = f"{runs[index].label}: {_told(summary, name)}"
                _dot(axes, _nines(percent), value / 1e6, index, text)
        end = f"{runs[index].label}: slowest {milliseconds(float(values[-1]))}"
        _dot(axes, float(x[-1]), float(values[-1]), index, end)
    if drawn:
        least, most = (float(pick(values[end] for _, values in drawn)) for pick, end in ((min, 0), (max, -1)))
        _scale(axes, max(np.log10(2 * values.size) for _, values in drawn), least, most)
    return _named(figure, axes, runs, bool(drawn))


@styled
def cdf_figure(runs: Sequence[Run]) -> Picture:
    """Draw the share of the successful requests that took at most a given time, for up to `MOST_RUNS` runs.

    Raises
    ------
    ResultError
        There are more.
    """
    figure, axes, sorted_ms = _compared(runs, "latency, as distribution function")
    axes.set_xlabel("latency (ms)")
    axes.set_ylabel("requests that took at most this long (%)")
    drawn = [(index, values) for index, values in enumerate(sorted_ms) if values.size]
    for index, values in drawn:
        ranks = np.unique(np.linspace(0, values.size - 1, _POINTS).astype(np.int64))
        # From the first latency on, one of n requests is done: the function jumps there.
        x = np.append(values[ranks[:1]], values[ranks])
        y = np.append(0.0, (ranks + 1) / values.size * 100)
        axes.plot(x, y, drawstyle="steps-post", **_series(index, runs[index]))
        summary = runs[index].summary
        for name in ("p50", "p90", "p99"):
            if (value := getattr(summary.latency_ns, name)) is not None:
                text = f"{runs[index].label}: {_told(summary, name)}"
                _dot(axes, value / 1e6, _MARKS[name], index, text)
    if drawn:
        least, most = (float(pick(values[end] for _, values in drawn)) for pick, end in ((min, 0), (max, -1)))
        plain_numbers(axes, "x", least, most)
        axes.set_xlim(max(least, 1e-6) / 1.2, max(most, 1e-6) * 1.2)
        axes.set_ylim(0, 102)
        whole_grid(axes)
    return _named(figure, axes, runs, bool(drawn))


def _compared(runs: Sequence[Run], what: str) -> tuple[Picture, Axes, list[NDArray[np.float64]]]:
    """Make a figure for several runs, and sort their latencies."""
    if not 1 <= len(runs) <= MOST_RUNS:
        raise ResultError(f"{len(runs)} results in one picture of latency: name 1 to {MOST_RUNS}")
    rows = -(-len(runs) // 2) if len(runs) > 1 else 0
    figure = new_figure(WIDTH, 4 + 0.2 * rows)
    axes = add_axes(figure, 0.8, 0.2, 0.6 + 0.2 * rows)
    if len(runs) == 1:
        title(axes, runs[0].summary.name, f"{what}{_limited(runs[0].summary)}")
    else:
        axes.set_title(what, fontsize=12, y=1)
    return figure, axes, [np.sort(run.recording.latencies_ns()) / 1e6 for run in runs]


def _named(figure: Picture, axes: Axes, runs: Sequence[Run], any_drawn: bool) -> Picture:
    """Add the legend, which names those runs, too, that have no curve."""
    for index, run in enumerate(runs):
        if run.summary.latency_ns.max is None:
            axes.plot([], [], **_series(index, run) | {"label": f"{plain(run.label, 24)}: nothing succeeded"})
    if not any_drawn:
        nothing(axes, "no request succeeded")
    elif len(runs) > 1:
        legend_below(figure, 2)
    return figure


def _limited(summary: Summary) -> str:
    return " (limited by the generator)" if summary.generator.limited else ""


def _series(index: int, run: Run) -> dict[str, Any]:
    """Give the look of one run's curve: dashes tell apart what colours may not."""
    label = plain(run.label, 36) + ("*" if run.summary.generator.limited else "")
    return {
        "color": SERIES[index],
        "linestyle": DASHES[index % len(DASHES)],
        "linewidth": 2,
        "label": label,
    }


def _dot(axes: Axes, x: float, y: float, index: int, text: str) -> None:
    (dot,) = axes.plot([x], [y], "o", color=SERIES[index], markersize=6, markeredgecolor=PAPER)
    tip(dot, text)


def _steps(latencies_ms: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the curve of sorted latencies over the axis of nines."""
    count = latencies_ms.size
    nines = np.linspace(0, np.log10(count), _POINTS)
    ranks = np.unique(np.minimum((count * (1 - 10.0**-nines)).astype(np.int64), count - 1))
    # The i-th fastest of n is the latency of all shares above (i - 1)/n up to i/n: a step. The last would
    # have no end on this axis; it is drawn half as far as it goes.
    x = np.append(-np.log10(1 - ranks / count), np.log10(2 * count))
    return x, latencies_ms[np.append(ranks, count - 1)]


def _draw_marks(axes: Axes, end: float, summary: Summary) -> None:
    """Mark and label the quantiles of the summary, with their intervals."""
    for name, percent in _MARKS.items():
        value = getattr(summary.latency_ns, name)
        if _nines(percent) > end or value is None:
            continue
        place, value_ms = _nines(percent), value / 1e6
        if interval := getattr(summary.latency_intervals_ns, name):
            axes.vlines([place], interval[0] / 1e6, interval[1] / 1e6, color=OUTSIDE, linewidth=1.5)
        (dot,) = axes.plot([place], [value_ms], "o", color=OUTSIDE, markersize=7)
        tip(dot, _told(summary, name))
        label = f"{name.replace('_', '.')} {milliseconds(value_ms)}"
        axes.annotate(label, (place, value_ms), (5, -12), textcoords="offset points")


def _draw_end(axes: Axes, x: float, most: float) -> None:
    label = f"max {milliseconds(most)}"
    (dot,) = axes.plot([x], [most], "o", color=LIGHT["muted"], markersize=4)
    tip(dot, f"slowest request: {milliseconds(most)}")
    axes.annotate(label, (x, most), (-4, 9), textcoords="offset points", ha="right")


def _told(summary: Summary, name: str) -> str:
    """Write a quantile with its interval."""
    value, interval = getattr(summary.latency_ns, name), getattr(summary.latency_intervals_ns, name)
    text = f"{name.replace('_', '.')} {milliseconds(value / 1e6)}"
    return (
        text if interval is None else f"{text} ({interval[0] / 1e6:.3g} to {milliseconds(interval[1] / 1e6)})"
    )


def _name_axes(axes: Axes) -> None:
    axes.set_xlabel("successful requests that took at most this long (%)")
    axes.set_ylabel("latency (ms)")


def _scale(axes: Axes, end: float, least: float, most: float) -> None:
    """Lay out the axis of nines, and latencies from the least to the most in milliseconds."""
    right = max(end, 1.0) * 1.12
    ticks = [percent for percent in _TICKS if _nines(percent) <= right]
    axes.set_xticks([_nines(percent) for percent in ticks], [f"{percent:g}" for percent in ticks])
    axes.set_xlim(0, right)
    plain_numbers(axes, "y", least, most)
    axes.set_ylim(max(least, 1e-6) / 1.5, max(most, 1e-6) * 2)
    whole_grid(axes)


def _nines(percent: float) -> float:
    """Give a percentile's place on the axis of nines: 0 for 0 %, 1 for 90 %, 2 for 99 %."""
    return float(-np.log10(1 - percent / 100))


def _draw_latency(sources: Sequence[Source]) -> Picture:
    if len(sources) == 1:
        return latency_figure(sources[0].recording, sources[0].summary)
    return latencies_figure(_runs(sources))


def _runs(sources: Sequence[Source]) -> list[Run]:
    return [Run(source.label, source.recording, source.summary) for source in sources]


LATENCY: Final = PlotKind(
    name="latency",
    shows="latency by percentile; up to 8 results in one picture",
    draws="few",
    draw=_draw_latency,
    requests=True,
    of_one=Caption(
        "Latency",
        "How long successful requests took, from the fastest to the slowest: each step to the right is a "
        "tenth of the requests before.",
    ),
    of_all=Caption(
        "Latencies",
        "How long successful requests took in each result. Curves compare only where the load was the same.",
    ),
)

CDF: Final = PlotKind(
    name="cdf",
    shows="latency as distribution function; up to 8 results in one picture",
    draws="few",
    draw=lambda sources: cdf_figure(_runs(sources)),
    requests=True,
)
