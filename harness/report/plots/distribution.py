"""Each instance's share, the expected share, and the tolerance band."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.report.format import whose_units
from harness.report.plots.kind import Caption, PlotKind
from harness.report.plots.style import (
    BAND,
    INK,
    INSIDE,
    INTERVAL,
    NAMED_UP_TO,
    OUTSIDE,
    Picture,
    add_axes,
    legend_below,
    new_figure,
    percent,
    plain,
    say,
    signed_percent,
    styled,
    tip,
    title,
    whole_grid,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from harness.summary.run import InstanceRow, Summary
    from harness.summary.tests import ToleranceBand


@styled
def distribution_figure(summary: Summary) -> Picture:
    """Draw each instance's share, what was expected, and the tolerance band."""
    # Instances that joined later are not judged.
    rows = [row for row in summary.instances if row.expected_share]
    bands = summary.tests.tolerance.instances
    if len(rows) <= NAMED_UP_TO:
        longest = max(len(plain(row.name)) for row in rows)
        figure = new_figure(7, max(2.6, 1.3 + 0.22 * len(rows)))
        _draw_named(add_axes(figure, 0.3 + 0.08 * longest, 1.0, 0.85), rows, bands, summary)
    else:
        figure = new_figure(7, 4)
        _draw_sorted(add_axes(figure, 0.8, 0.9, 0.85), rows, summary)
    return figure


def _draw_named(
    axes: Axes, rows: Sequence[InstanceRow], bands: Sequence[ToleranceBand], summary: Summary
) -> None:
    """Draw a line for each instance, the first on top."""
    places = np.arange(len(rows))
    lower = np.array([band.lower_bound for band in bands]) * 100
    upper = np.array([band.upper_bound for band in bands]) * 100
    expected = np.array([row.expected_share for row in rows]) * 100
    shares = np.array([row.expected_share if row.share is None else row.share for row in rows]) * 100
    edges = (places[:, None] + [-0.5, 0.5]).ravel()  # one shape for all: bars side by side show gaps
    band = (np.repeat(lower, 2), np.repeat(upper, 2))
    axes.fill_betweenx(edges, *band, color=BAND, linewidth=0, label=_band_label(summary))
    axes.vlines(expected, places - 0.5, places + 0.5, color=INK, linewidth=1.5, label="expected share")
    lower_end, upper_end = float(shares.min()), float(shares.max())
    if rows[0].share is not None:
        low, high = _intervals(rows) * 100
        axes.hlines(places, low, high, color=INTERVAL, linewidth=2, label=_interval_label(summary))
        lower_end, upper_end = float(low.min()), float(high.max())
        _dots(axes, shares, places, (shares < lower) | (shares > upper), _tips(rows, summary))
    axes.set_yticks(places, [plain(row.name) for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"share of {whose_units(summary)} (%)")
    for place in _borders(rows):
        axes.axhline(place, color=INK, linewidth=0.8)
    least, most = min(float(lower.min()), lower_end), max(float(upper.max()), upper_end)
    axes.set_xlim(least - (most - least) * 0.06, most + (most - least) * 0.06)
    deviations = axes.secondary_yaxis("right")
    deviations.set_yticks(places, [_deviation(row) for row in rows])
    deviations.tick_params(axis="y", length=0)
    deviations.set_ylabel("deviation")
    whole_grid(axes, "x")
    _finish(axes, summary)


def _draw_sorted(axes: Axes, rows: Sequence[InstanceRow], summary: Summary) -> None:
    """Draw a dot for each instance, from the lowest deviation to the highest."""
    order = sorted(range(len(rows)), key=lambda i: rows[i].deviation or 0.0)
    places = np.arange(1, len(rows) + 1)
    deviations = np.array([rows[i].deviation or 0.0 for i in order]) * 100
    # Relative to the expected share, every instance has the same band.
    tolerance = summary.tolerance * 100
    axes.axhspan(max(-tolerance, -100), tolerance, color=BAND, label=_band_label(summary))
    axes.axhline(0, color=INK, linewidth=1.5, label="expected share", zorder=2.5)
    if rows[0].share is not None:
        in_order = [rows[i] for i in order]
        low, high = (_intervals(in_order) / [row.expected_share for row in in_order] - 1) * 100
        # Side by side they would hide the band.
        thin: dict[str, Any] = {"color": INTERVAL, "linewidth": 0.8, "alpha": 1 if len(rows) < 200 else 0.4}
        axes.vlines(places, low, high, label=_interval_label(summary), **thin)
        _dots(axes, places, deviations, np.abs(deviations) > tolerance, _tips(in_order, summary))
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
        right.set_ylabel(f"share of {whose_units(summary)} (%)")
    whole_grid(axes, "y")
    _finish(axes, summary)


def _dots(
    axes: Axes, x: NDArray[Any], y: NDArray[Any], outside: NDArray[np.bool_], tips: Sequence[str]
) -> None:
    size = 40 if len(x) <= NAMED_UP_TO else 12
    looks: tuple[tuple[NDArray[np.bool_], dict[str, Any]], ...] = (
        (~outside, {"s": size, "color": INSIDE, "label": "in the band"}),
        (outside, {"s": size * 1.4, "color": OUTSIDE, "marker": "X", "label": "outside it"}),
    )
    for chosen, look in looks:
        if chosen.any():
            dots = axes.scatter(x[chosen], y[chosen], zorder=3, **look)
            tip(dots, [tips[index] for index in np.flatnonzero(chosen).tolist()])


def _tips(rows: Sequence[InstanceRow], summary: Summary) -> list[str]:
    """Write what was counted for each instance."""
    totals: Counter[str | None] = Counter()
    for row in rows:
        totals[row.route] += getattr(row, f"{summary.unit}s")
    texts = []
    for row in rows:
        text = f"{row.name}: {getattr(row, f'{summary.unit}s'):,} of {totals[row.route]:,} {summary.unit}s"
        if row.share is not None:
            text += f", {percent(row.share)}"
        if row.interval is not None:
            text += f" ({row.interval[0] * 100:.2f} to {percent(row.interval[1])})"
        if row.deviation is not None:
            text += f"; {signed_percent(row.deviation)} from the expected {percent(row.expected_share)}"
        texts.append(text)
    return texts


def _borders(rows: Sequence[InstanceRow]) -> list[float]:
    """Give where instances of one route end, and those of another begin."""
    return [place + 0.5 for place, (one, other) in enumerate(pairwise(rows)) if one.route != other.route]


def _finish(axes: Axes, summary: Summary) -> None:
    """Add title and legend; say so where nothing was counted."""
    title(axes, summary.name, summary.verdict)
    if summary.instances[0].share is None:
        say(axes, f"no {summary.unit} has an instance")
    legend_below(axes.get_figure(root=True))  # type: ignore[arg-type]  # axes that were just drawn in have one


def _band_label(summary: Summary) -> str:
    return f"tolerance {summary.tolerance * 100:g} %"


def _interval_label(summary: Summary) -> str:
    return f"{summary.confidence * 100:g} % intervals"


def _intervals(rows: Sequence[InstanceRow]) -> NDArray[np.float64]:
    """Give the lower and the upper limits, shape (2, instances)."""
    return np.array([row.interval or (row.expected_share, row.expected_share) for row in rows]).T


def _deviation(row: InstanceRow) -> str:
    return "" if row.deviation is None else signed_percent(row.deviation)


DISTRIBUTION: Final = PlotKind(
    name="distribution",
    shows="each instance's share, with its interval and the tolerance",
    draws="one",
    draw=lambda sources: distribution_figure(sources[0].summary),
    of_one=Caption(
        "Distribution",
        "Each instance's share of {units}. The band is what the tolerance allows; a line through a dot is "
        "the interval that the true share lies in.",
    ),
)
