"""A run in two pictures: who got how much, and how long it took.

Figures are drawn with matplotlib's Agg canvas directly; pyplot would keep state and look for a screen.
"""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from harness.recording import Recording
    from harness.summary import InstanceRow, Summary, ToleranceBand

# Without a writable home, matplotlib makes a temporary folder and removes it at exit, which is right,
# and warns of it on standard error each time, which helps nobody.
_logger = logging.getLogger("matplotlib")
_level = _logger.level
_logger.setLevel(logging.ERROR)
try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
finally:
    _logger.setLevel(_level)

NAMED_UP_TO = 40
"""With more instances than this, each can't have a line and a name of its own."""

# Colours that red-green blind people tell apart (M. Okabe and K. Ito, 2008); the shapes differ too.
_INSIDE, _OUTSIDE, _BAND, _EXPECTED = "#0072B2", "#D55E00", "#CFE3F1", "#333333"
_INTERVAL = "#6F9FBF"
_DPI = 140
_MARKS = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9}


def distribution_figure(summary: Summary) -> Figure:
    """Draw each instance's share, what was expected, and the tolerance band."""
    rows, bands = summary.instances, summary.tests.tolerance.instances
    if len(rows) <= NAMED_UP_TO:
        longest = max(len(_plain(row.name)) for row in rows)
        figure = _figure(7, max(2.6, 1.3 + 0.22 * len(rows)))
        _draw_named(_axes(figure, 0.3 + 0.08 * longest, 1.0, 0.85), rows, bands, summary)
    else:
        figure = _figure(7, 4)
        _draw_sorted(_axes(figure, 0.8, 0.9, 0.85), rows, summary)
    return figure


def latency_figure(recording: Recording, summary: Summary) -> Figure:
    """Draw the latency that each share of the successful requests stayed within.

    The horizontal axis counts nines: each step to the right is a tenth of the requests before.
    """
    figure = _figure(7, 4)
    axes = _axes(figure, 0.8, 0.1, 0.55)
    _title(axes, summary, "latency" + (" (limited by the generator)" if summary.generator.limited else ""))
    axes.set_xlabel("successful requests that took at most this long (%)")
    axes.set_ylabel("latency (ms)")
    latencies_ms = np.sort(recording.latencies_ns()) / 1e6
    if latencies_ms.size:
        _draw_curve(axes, latencies_ms, summary)
    else:
        _say(axes, "no request succeeded")
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def _draw_curve(axes: Axes, latencies_ms: NDArray[np.float64], summary: Summary) -> None:
    """Draw sorted latencies over the axis of nines."""
    count = latencies_ms.size
    # Many neighbours fall on one pixel: 2,000 ranks, equally far apart on the axis, draw the same curve.
    nines = np.linspace(0, np.log10(count), 2000)
    ranks = np.unique(np.minimum((count * (1 - 10.0**-nines)).astype(np.int64), count - 1))
    # The i-th fastest of n is the latency of all shares above (i - 1)/n up to i/n: a step. The last would
    # have no end on this axis; it is drawn half as far as it goes.
    x = np.append(-np.log10(1 - ranks / count), np.log10(2 * count))
    y = latencies_ms[np.append(ranks, count - 1)]
    axes.plot(x, y, color=_INSIDE, linewidth=2, drawstyle="steps-post")
    right = max(float(x[-1]), 1.0) * 1.12
    for name, percent in _MARKS.items():
        place, value = _nines(percent), (getattr(summary.latency_ns, name) or 0) / 1e6
        if place <= x[-1]:
            if interval := getattr(summary.latency_intervals_ns, name):
                axes.vlines([place], interval[0] / 1e6, interval[1] / 1e6, color=_OUTSIDE, linewidth=1.5)
            label = f"{name.replace('_', '.')} {_milliseconds(value)}"
            axes.plot([place], [value], "o", color=_OUTSIDE, markersize=7)
            axes.annotate(label, (place, value), (5, -12), textcoords="offset points")
    least, most = float(latencies_ms[0]), float(latencies_ms[-1])
    end = (float(x[-1]), most)
    axes.annotate(f"max {_milliseconds(most)}", end, (-4, 9), textcoords="offset points", ha="right")
    ticks = [percent for percent in (0, 50, 90, 99, 99.9, 99.99, 99.999, 99.9999) if _nines(percent) <= right]
    axes.set_xticks([_nines(percent) for percent in ticks], [f"{percent:g}" for percent in ticks])
    axes.set_xlim(0, right)
    _log_axis(axes, least, most)


def warm_up() -> None:
    """Draw a picture for nobody: the first costs twice as much as the next, for fonts and formats."""
    figure = _figure(1, 1)
    figure.add_subplot().set_title("0")
    figure.savefig(io.BytesIO(), format="png", dpi=_DPI)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG with a fixed resolution.

    Raises
    ------
    OSError
        The file can't be written.
    """
    figure.savefig(path, format="png", dpi=_DPI)


def _figure(width: float, height: float) -> Figure:
    """Make a figure, in inches."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def _axes(figure: Figure, left: float, right: float, bottom: float) -> Axes:
    """Add axes with these margins in inches; matplotlib's own layout takes as long as drawing."""
    width, height = figure.get_size_inches()
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + 0.35) / height)
    return figure.add_axes(box)


def _draw_named(
    axes: Axes, rows: Sequence[InstanceRow], bands: Sequence[ToleranceBand], summary: Summary
) -> None:
    """Draw a line for each instance, the first on top."""
    places = np.arange(len(rows))
    lower = np.array([band.lower_bound for band in bands]) * 100
    upper = np.array([band.upper_bound for band in bands]) * 100
    expected = np.array([row.expected_share for row in rows]) * 100
    shares = np.array([row.expected_share if row.share is None else row.share for row in rows]) * 100
    edges = (places[:, None] + [-0.5, 0.5]).ravel()  # one shape for all: bars side by side show seams
    band = (np.repeat(lower, 2), np.repeat(upper, 2))
    axes.fill_betweenx(edges, *band, color=_BAND, linewidth=0, label=_band_label(summary))
    axes.vlines(expected, places - 0.5, places + 0.5, color=_EXPECTED, linewidth=1.5, label="expected share")
    lower_end, upper_end = float(shares.min()), float(shares.max())
    if rows[0].share is not None:
        low, high = _intervals(rows) * 100
        axes.hlines(places, low, high, color=_INTERVAL, linewidth=2, label=_interval_label(summary))
        lower_end, upper_end = float(low.min()), float(high.max())
        _dots(axes, shares, places, (shares < lower) | (shares > upper))
    axes.set_yticks(places, [_plain(row.name) for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"share of the {summary.unit}s (%)")
    least, most = min(float(lower.min()), lower_end), max(float(upper.max()), upper_end)
    axes.set_xlim(least - (most - least) * 0.06, most + (most - least) * 0.06)
    deviations = axes.secondary_yaxis("right")
    deviations.set_yticks(places, [_deviation(row) for row in rows])
    deviations.tick_params(axis="y", length=0)
    deviations.set_ylabel("deviation")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    _finish(axes, summary)


def _draw_sorted(axes: Axes, rows: Sequence[InstanceRow], summary: Summary) -> None:
    """Draw a dot for each instance, from the lowest deviation to the highest."""
    order = sorted(range(len(rows)), key=lambda i: rows[i].deviation or 0.0)
    places = np.arange(1, len(rows) + 1)
    deviations = np.array([rows[i].deviation or 0.0 for i in order]) * 100
    # Relative to the expected share, every instance has the same band.
    tolerance = summary.tolerance * 100
    axes.axhspan(max(-tolerance, -100), tolerance, color=_BAND, label=_band_label(summary))
    axes.axhline(0, color=_EXPECTED, linewidth=1.5, label="expected share")
    if rows[0].share is not None:
        in_order = [rows[i] for i in order]
        low, high = (_intervals(in_order) / [row.expected_share for row in in_order] - 1) * 100
        axes.vlines(places, low, high, color=_INTERVAL, linewidth=0.8, label=_interval_label(summary))
        _dots(axes, places, deviations, np.abs(deviations) > tolerance)
    axes.set_xlabel("instances, sorted by deviation")
    axes.set_xlim(0, len(rows) + 1)
    axes.set_ylabel("deviation from the expected share (%)")
    expected = {row.expected_share for row in rows}
    if len(expected) == 1:
        share = expected.pop() * 100

        def to_share(deviation: Any) -> Any:
            return share * (1 + deviation / 100)

        def to_deviation(of_share: Any) -> Any:
            return (of_share / share - 1) * 100

        right = axes.secondary_yaxis("right", functions=(to_share, to_deviation))
        right.set_ylabel(f"share of the {summary.unit}s (%)")
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    _finish(axes, summary)


def _dots(axes: Axes, x: NDArray[Any], y: NDArray[Any], outside: NDArray[np.bool_]) -> None:
    size = 40 if len(x) <= NAMED_UP_TO else 12
    axes.scatter(x[~outside], y[~outside], size, color=_INSIDE, zorder=3, label="in the band")
    if outside.any():
        axes.scatter(
            x[outside], y[outside], size * 1.4, color=_OUTSIDE, marker="X", zorder=3, label="outside it"
        )


def _finish(axes: Axes, summary: Summary) -> None:
    """Add title and legend; say so where nothing was counted."""
    _title(axes, summary, summary.verdict)
    axes.set_axisbelow(True)
    if summary.instances[0].share is None:
        _say(axes, f"no {summary.unit} has an instance")
    axes.figure.legend(loc="lower center", ncols=5, frameon=False, columnspacing=1.2, handlelength=1.5)


def _say(axes: Axes, what: str) -> None:
    axes.text(0.5, 0.5, what, ha="center", va="center", transform=axes.transAxes, backgroundcolor="white")


def _title(axes: Axes, summary: Summary, what: str) -> None:
    # Told where to stand, the title need not be kept clear of ticks, which takes a fifth of the drawing.
    axes.set_title(f"{_plain(summary.name, 40)}: {what}", parse_math=False, fontsize=12, y=1)


def _band_label(summary: Summary) -> str:
    return f"tolerance {summary.tolerance * 100:g} %"


def _interval_label(summary: Summary) -> str:
    return f"{summary.confidence * 100:g} % intervals"


def _intervals(rows: Sequence[InstanceRow]) -> NDArray[np.float64]:
    """Give the lower and the upper limits, shape (2, instances)."""
    return np.array([row.interval or (row.expected_share, row.expected_share) for row in rows]).T


def _deviation(row: InstanceRow) -> str:
    # Adding 0 makes the negative zero that rounding leaves a positive one.
    return "" if row.deviation is None else f"{round(row.deviation * 100, 1) + 0.0:+.1f} %"


def _plain(text: str, longest: int = 24) -> str:
    """Shorten, and write what the font may not have as escapes."""
    plain = text.encode("latin-1", "backslashreplace").decode("latin-1")
    plain = "".join(char if char.isprintable() else "?" for char in plain)
    return plain if len(plain) <= longest else f"{plain[: longest - 3]}..."


def _nines(percent: float) -> float:
    """Give a percentile's place on the axis of nines: 0 for 0 %, 1 for 90 %, 2 for 99 %."""
    return float(-np.log10(1 - percent / 100))


def _milliseconds(value: float) -> str:
    return f"{value:.3g} ms" if value < 1000 else f"{value:,.0f} ms"


def _log_axis(axes: Axes, least: float, most: float) -> None:
    """Make the y axis logarithmic, with plain numbers."""
    axes.set_yscale("log")
    low, high = max(least, 1e-6), max(most, 1e-6)
    axes.set_ylim(low / 1.5, high * 2)
    # Within two decades, powers of ten alone would leave one tick or none.
    subs = (1.0,) if high / low > 100 else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.9g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#dddddd", linewidth=0.6)
