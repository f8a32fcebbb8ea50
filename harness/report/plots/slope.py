"""Two results, or two sets of them, side by side: what each instance got, and by how much figures changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from scipy.optimize import isotonic_regression

from harness.errors import ResultError
from harness.report.plots.groups import Spread, cpu_in_all
from harness.report.plots.kind import PlotKind
from harness.report.plots.style import (
    DASHES,
    INK,
    INSIDE,
    LIGHT,
    MUTED,
    SERIES,
    SMALL,
    TITLE,
    Picture,
    add_axes,
    new_figure,
    nothing,
    percent,
    plain,
    styled,
    tip,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from harness.report.plots.kind import Source
    from harness.summary.run import Summary

_NAMED_UP_TO: Final = 12
_FAR: Final = (0.001, 0.01, 0.1, 1, 10, 100, 1000)
_LEVELS: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
_NEAR: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2)


class _Ratio(NamedTuple):
    name: str
    ratio: float
    low: float | None
    high: float | None
    text: str


@styled
def slope_figure(
    before_label: str, before: Sequence[Summary], after_label: str, after: Sequence[Summary]
) -> Picture:
    """Draw how shares moved between two sets of runs, and the ratio of latency, cost and throughput.

    Parameters
    ----------
    before_label, after_label
        What to call the sets.
    before, after
        One run or more each. Of several, shares and figures are medians.

    Returns
    -------
    Picture
        Left: a line for each instance, from its share before to that after. Right: each figure after,
        relative to before; with an interval (`harness.stats.comparison.compare`) where both sides have
        several runs. One run a side says nothing of how much runs differ by themselves.

    Raises
    ------
    ResultError
        A set is empty.
    """
    if not before or not after:
        raise ResultError("a slope chart compares two results or two sets of them; one of these is empty")
    figure = new_figure(8.6, 4.6)
    names = (plain(before_label, 32), plain(after_label, 32))
    height = float(figure.get_size_inches()[1])
    figure.suptitle(
        " \N{RIGHTWARDS ARROW} ".join(names), fontsize=TITLE, y=1 - 0.1 / height, parse_math=False
    )
    left = add_axes(figure, 0.75, 4.9, 0.5, 0.7)
    right = add_axes(figure, 5.9, 0.25, 0.75, 0.7)
    _draw_shares(left, before, after)
    ratios = list(_ratios(before, after))
    if ratios:
        _draw_ratios(right, ratios)
    else:
        nothing(right, "no figure is known on both sides")
    right.set_title("after, relative to before", fontsize=10)
    if min(len(before), len(after)) < 2:
        figure.text(
            0.98, 0.03, "one run on a side: no interval can be given", ha="right", color=MUTED, fontsize=SMALL
        )
    return figure


def _draw_shares(axes: Axes, before: Sequence[Summary], after: Sequence[Summary]) -> None:
    names = [row.name for row in before[0].instances]
    units = " and ".join(dict.fromkeys(f"{side[0].unit}s" for side in (before, after)))
    whose = "its route's" if before[0].routes else "the"
    axes.set_title(f"share of {whose} {units} (%)", fontsize=10)
    if any([row.name for row in run.instances] != names for run in (*before, *after)):
        nothing(axes, "they have other\ninstances")
        return
    shares = [_shares(runs) for runs in (before, after)]
    if any(np.isnan(side).all() for side in shares):
        nothing(axes, f"none of the {units}\nhas an instance")
        return
    few = len(names) <= _NAMED_UP_TO
    for index, name in enumerate(names):
        ends = [float(side[index]) * 100 for side in shares]
        look = (
            {"color": SERIES[index % 8], "linestyle": DASHES[index // 8], "linewidth": 1.6, "markersize": 5}
            if few
            else {"color": INSIDE, "alpha": 0.35, "linewidth": 0.8, "markersize": 2}
        )
        (line,) = axes.plot([0, 1], ends, "o", **{"linestyle": "-"} | look)
        tip(line, f"{name}: {percent(shares[0][index])} before, {percent(shares[1][index])} after")
    axes.margins(y=0.08)
    if few:
        _name_ends(axes, names, shares[1] * 100)
    axes.set_xlim(-0.12, 1.12)
    axes.set_xticks([0, 1], ["before", "after"])
    axes.grid(axis="y", color=LIGHT["grid"], linewidth=0.6)


def _name_ends(axes: Axes, names: Sequence[str], shares: NDArray[np.float64]) -> None:
    """Name the lines at their right ends, spread out so that no name covers another."""
    known = [index for index in np.argsort(shares, kind="stable").tolist() if not np.isnan(shares[index])]
    low, high = axes.get_ylim()
    steps = (high - low) * 0.056 * np.arange(len(known))
    # The nearest places that are a step apart: without the steps, the nearest that do not fall.
    places = isotonic_regression(shares[known] - steps).x
    # None below the axes and none above them.
    places = np.clip(places, low, max(high - steps[-1], low)) + steps
    for index, place in zip(known, places, strict=True):
        axes.annotate(
            plain(names[index], 14),
            (1.0, float(shares[index])),
            (1.16, place),
            textcoords="data",
            va="center",
            fontsize=SMALL,
            annotation_clip=False,
            parse_math=False,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "relpos": (0, 0.5)},
        )


def _shares(runs: Sequence[Summary]) -> NDArray[np.float64]:
    """Give each instance's median share, NaN where it has none."""
    table = np.array(
        [[np.nan if row.share is None else row.share for row in run.instances] for run in runs], dtype=float
    )
    known = table[~np.isnan(table).all(axis=1)]
    shares: NDArray[np.float64] = np.median(known, axis=0) if len(known) else table[0]
    return shares


def _ratios(before: Sequence[Summary], after: Sequence[Summary]) -> list[_Ratio]:
    from harness.stats.comparison import compare  # noqa: PLC0415  scipy takes a while

    figures: dict[str, tuple[str, Callable[[Summary], float | None]]] = {
        "p50": ("ms", lambda run: None if run.latency_ns.p50 is None else run.latency_ns.p50 / 1e6),
        "p99": ("ms", lambda run: None if run.latency_ns.p99 is None else run.latency_ns.p99 / 1e6),
        "CPU a request": ("µs", lambda run: cpu_in_all(run.cpu_us_per_request)),
        "throughput": ("requests/s", lambda run: run.throughput_per_s),
    }
    found = []
    for name, (unit, figure) in figures.items():
        sides = [[value for run in runs if (value := figure(run)) is not None] for runs in (before, after)]
        spreads = [Spread.of(side) for side in sides]
        if spreads[0] is None or spreads[1] is None or min(spreads[0].middle, spreads[1].middle) <= 0:
            continue
        compared = compare(sides[0], sides[1], before[0].confidence)
        ratio = spreads[1].middle / spreads[0].middle
        low = high = None
        text = f"{name}: {spreads[0].told(',.4g')} {unit} before, {spreads[1].told(',.4g')} after"
        if compared is not None and compared.ratio is not None:
            ratio, low, high = compared.ratio, compared.ratio_low, compared.ratio_high
            text += f"; {ratio:.3g} times ({low:.3g} to {high:.3g})"
        else:
            text += f"; {ratio:.3g} times"
        found.append(_Ratio(name, ratio, low, high, text))
    return found


def _draw_ratios(axes: Axes, ratios: Sequence[_Ratio]) -> None:
    axes.axvline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    for place, entry in enumerate(ratios):
        if entry.low is not None and entry.high is not None:
            axes.hlines([place], entry.low, entry.high, color=LIGHT["interval"], linewidth=3)
        (dot,) = axes.plot([entry.ratio], [place], "o", color=INSIDE, markersize=8)
        tip(dot, entry.text)
        axes.annotate(
            f"\N{MULTIPLICATION SIGN}{entry.ratio:.2f}",
            (entry.ratio, place),
            (0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=SMALL,
        )
    reach = [value for entry in ratios for value in entry[1:4] if value]
    # Of two runs a side, an interval may reach from nothing to everything: it runs out of the axes.
    points = [entry.ratio for entry in ratios]
    widest = max(*points, 1 / min(points)) * 10
    most = min(max(*reach, 1 / min(reach), 1.1), widest) ** 1.25
    axes.set_xscale("log")
    axes.set_xlim(1 / most, most)
    levels = _NEAR if most < 1.7 else _LEVELS if most < 30 else _FAR
    shown = [level for level in levels if 1 / most <= level <= most]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"\N{MULTIPLICATION SIGN}{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(ratios)), [entry.name for entry in ratios])
    axes.set_ylim(len(ratios) - 0.5, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=LIGHT["grid"], linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_slope(sources: Sequence[Source]) -> Picture:
    sides = _sides(sources)
    if len(sides) != 2:
        raise ResultError(
            "a plot of kind slope compares two results, or those of two scenarios; "
            f"these are {len(sources)} of {len(sides)}"
        )
    (before, first), (after, second) = sides.items()
    return slope_figure(before, first, after, second)


def _sides(sources: Sequence[Source]) -> dict[str, list[Summary]]:
    """Put results into sets to be compared: two are a set each, more are sorted by their scenarios."""
    summaries = [source.summary for source in sources]
    names = [summary.name for summary in summaries]
    if len(sources) == 2 and names[0] == names[1]:
        first, second = (source.label for source in sources)
        names = [first, second if second != first else f"{second} (2)"]
    sides: dict[str, list[Summary]] = {}
    for name, summary in zip(names, summaries, strict=True):
        sides.setdefault(name, []).append(summary)
    return sides


SLOPE: Final = PlotKind(
    name="slope",
    shows="two results, or those of two scenarios, side by side",
    draws="all",
    draw=_draw_slope,
    fits=lambda sources: len(_sides(sources)) == 2,
)
