"""A run over time: throughput, errors, each instance's share, latency, and the events among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.ticker import FuncFormatter

from harness.report.plots.kind import Caption, PlotKind
from harness.report.plots.style import (
    BAND,
    DASHES,
    INK,
    INSIDE,
    INTERVAL,
    LIGHT,
    MUTED,
    OUTSIDE,
    PAPER,
    SERIES,
    SMALL,
    TITLE,
    WIDTH,
    Picture,
    add_axes,
    legend_below,
    milliseconds,
    new_figure,
    percent,
    plain,
    plain_numbers,
    say,
    styled,
    tip,
    whole_grid,
)
from harness.report.plots.windows import in_windows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.recording.table import Recording
    from harness.report.plots.windows import Windows
    from harness.summary.events import EventRow
    from harness.summary.run import Summary

_LINES_UP_TO: Final = 12
"""So many instances have a line each; of more, the spread is drawn."""

_LEFT, _RIGHT, _GAP = 0.85, 0.75, 0.16
_HEIGHTS: Final = (1.3, 0.6, 1.7, 1.3)
_CHARACTER = 0.078
"""The width of a small character, in inches, generously."""


@styled
def timeline_figure(recording: Recording, summary: Summary) -> Picture:
    """Draw throughput, errors, each instance's share and latency over the time of the load.

    A request counts where it ended. Events stand as lines through all of it.
    """
    windows = in_windows(recording)
    times = [event.at_s for event in summary.events]
    limits = min([0.0, *times]), max([float(windows.edges_s[-1]), *times])
    rows = _label_rows(summary.events, limits)
    few = len(recording.instances) <= _LINES_UP_TO
    top = 0.4 + 0.18 * (max(rows, default=-1) + 1)
    bottom = 0.6 + 0.2 * (-(-len(recording.instances) // 5) if few else 1)
    height = top + sum(_HEIGHTS) + _GAP * (len(_HEIGHTS) - 1) + bottom
    figure = new_figure(WIDTH, height)
    panels = _panels(figure, height - top)
    figure.suptitle(
        f"{plain(summary.name, 40)}: over time", fontsize=TITLE, y=1 - 0.08 / height, parse_math=False
    )
    _draw_throughput(panels[0], panels[1], windows)
    if few:
        _draw_shares(panels[2], windows, recording.instances, summary)
        legend_below(figure, 5, handles=panels[2].lines[: len(recording.instances)])
    else:
        _draw_spread(panels[2], windows, summary)
        legend_below(figure, 4, handles=panels[2].get_legend_handles_labels()[0])
    _draw_latency(panels[3], windows)
    for panel in panels:
        panel.set_xlim(*limits)
        panel.tick_params(axis="x", labelbottom=panel is panels[-1])
        panel.yaxis.set_label_coords(-0.6 / (WIDTH - _LEFT - _RIGHT), 0.5)
        whole_grid(panel)
    panels[-1].set_xlabel("time since the first request (s)")
    cover = add_axes(figure, _LEFT, _RIGHT, bottom, top)
    _draw_cover(cover, windows, limits, recording.instances)
    _draw_events(cover, summary.events, rows, limits)
    return figure


def _panels(figure: Picture, top: float) -> list[Axes]:
    """Add axes below one another, whose heights are in inches, from this height down."""
    width, height = figure.get_size_inches()
    panels = []
    for inches in _HEIGHTS:
        box = (_LEFT / width, (top - inches) / height, 1 - (_LEFT + _RIGHT) / width, inches / height)
        panels.append(figure.add_axes(box))
        top -= inches + _GAP
    return panels


def _draw_throughput(good: Axes, bad: Axes, windows: Windows) -> None:
    good.stairs(windows.per_s, windows.edges_s, color=INSIDE, linewidth=1.8)
    good.set_ylim(0, (float(windows.per_s.max()) or 1.0) * 1.1)
    good.set_ylabel("requests/s")
    for axes in (good, bad):
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    bad.stairs(windows.errors_per_s, windows.edges_s, color=OUTSIDE, fill=True)
    bad.set_ylabel("errors/s")
    bad.set_ylim(0, (float(windows.errors_per_s.max()) or 1.0) * 1.15)
    if not windows.errors_per_s.any():
        bad.set_yticks([])
        bad.text(
            0.5, 0.5, "no request failed", ha="center", va="center", transform=bad.transAxes, color=MUTED
        )


def _draw_shares(axes: Axes, windows: Windows, names: tuple[str, ...], summary: Summary) -> None:
    """Draw a line for each instance, against what is expected."""
    middles = (windows.edges_s[1:] + windows.edges_s[:-1]) / 2
    for index, name in enumerate(names):
        look = {"color": SERIES[index % len(SERIES)], "linestyle": DASHES[index // len(SERIES)]}
        axes.plot(middles, windows.shares[:, index] * 100, linewidth=1.6, label=plain(name, 18), **look)
    for share in sorted({row.expected_share for row in summary.instances}):
        axes.axhline(share * 100, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1.5)
    _limit_shares(axes, windows, 100)
    axes.set_ylabel("share of the route (%)" if summary.routes else "share (%)")
    axes.annotate(
        "expected",
        (1, max(row.expected_share for row in summary.instances) * 100),
        (3, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontsize=SMALL,
        annotation_clip=False,
    )


def _draw_spread(axes: Axes, windows: Windows, summary: Summary) -> None:
    """Draw how far shares are from what is expected, for instances too many to have a line each."""
    middles = (windows.edges_s[1:] + windows.edges_s[:-1]) / 2
    expected = np.array([row.expected_share for row in summary.instances])
    ratios = windows.shares[:, expected > 0] / expected[expected > 0]
    known = ~np.isnan(ratios).any(axis=1) if ratios.size else np.zeros(len(ratios), bool)
    if known.any():
        low, tenth, median, ninetieth, high = np.quantile(ratios[known], (0, 0.1, 0.5, 0.9, 1), axis=1)
        axes.fill_between(middles[known], low, high, color=BAND, linewidth=0, label="all instances")
        axes.fill_between(
            middles[known], tenth, ninetieth, color=INTERVAL, linewidth=0, label="four fifths of them"
        )
        axes.plot(middles[known], median, color=INSIDE, linewidth=1.8, label="median")
        axes.set_ylim(0, float(high.max()) * 1.1)
    else:
        say(axes, "no answer names its instance")
    axes.axhline(1, color=INK, linewidth=1, linestyle=(0, (4, 3)), label="expected")
    axes.set_ylabel("share / expected")


def _limit_shares(axes: Axes, windows: Windows, factor: float) -> None:
    known = windows.shares[~np.isnan(windows.shares)]
    if known.size:
        axes.set_ylim(0, float(known.max()) * factor * 1.1)
    else:
        axes.set_ylim(0, factor)
        say(axes, "no answer names its instance")


def _draw_latency(axes: Axes, windows: Windows) -> None:
    middles = (windows.edges_s[1:] + windows.edges_s[:-1]) / 2
    known = ~np.isnan(windows.p50_ms)
    axes.set_ylabel("latency (ms)")
    if not known.any():
        say(axes, "no request succeeded")
        axes.set_yticks([])
        return
    for values, color, label in ((windows.p99_ms, OUTSIDE, "p99"), (windows.p50_ms, INSIDE, "p50")):
        axes.plot(middles, values, color=color, linewidth=1.8)
        # Where both end in one place, one stands above the other.
        end = (float(middles[known][-1]), float(values[known][-1]))
        axes.annotate(
            label,
            (1, end[1]),
            (3, 4 if label == "p99" else -4),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=color,
            annotation_clip=False,
        )
    least, most = float(windows.p50_ms[known].min()), float(windows.p99_ms[known].max())
    plain_numbers(axes, "y", least, most)
    axes.set_ylim(max(least, 1e-6) / 1.4, max(most, 1e-6) * 1.4)


def _draw_cover(cover: Axes, windows: Windows, limits: tuple[float, float], names: tuple[str, ...]) -> None:
    """Lay an invisible column over each window, which carries all of its numbers."""
    cover.set_xlim(*limits)
    cover.set_ylim(0, 1)
    cover.axis("off")
    bars = cover.bar(
        windows.edges_s[:-1], 1, np.diff(windows.edges_s), align="edge", facecolor="none", linewidth=0
    )
    for index, bar in enumerate(bars):
        tip(bar, _told(windows, index, names))


def _told(windows: Windows, index: int, names: tuple[str, ...]) -> str:
    begin, end = windows.edges_s[index : index + 2]
    text = f"{begin:.4g} to {end:.4g} s: {windows.per_s[index]:,.0f} requests/s"
    text += f", {windows.errors_per_s[index]:,.0f} errors/s"
    shares = windows.shares[index]
    if shares.size and not np.isnan(shares).any():
        low, high = int(shares.argmin()), int(shares.argmax())
        text += f"; least {names[low]} {percent(float(shares[low]))}"
        text += f", most {names[high]} {percent(float(shares[high]))}"
    if not np.isnan(windows.p50_ms[index]):
        text += f"; p50 {milliseconds(windows.p50_ms[index])}, p99 {milliseconds(windows.p99_ms[index])}"
    return text


def _draw_events(
    cover: Axes, events: tuple[EventRow, ...], rows: list[int], limits: tuple[float, float]
) -> None:
    for event, row in zip(events, rows, strict=True):
        line = cover.axvline(
            event.at_s, color=LIGHT["purple"], linewidth=1.6, linestyle=(0, (6, 2)), clip_on=False
        )
        tip(line, f"{event.at_s:.3f} s: {event.action} {', '.join(event.members)}".strip())
        left = _reads_left(event, limits)
        cover.annotate(
            _label(event),
            (event.at_s, 1),
            (-3 if left else 3, 4 + 13 * row),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=SMALL,
            annotation_clip=False,
            parse_math=False,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5},
        )


def _label(event: EventRow) -> str:
    count = len(event.members)
    who = plain(event.members[0], 18) if count == 1 else f"{count:,} instances" if count else ""
    return f"{plain(event.action, 12)} {who}".strip()


def _reads_left(event: EventRow, limits: tuple[float, float]) -> bool:
    """Tell whether a label has to stand to the left of its line, near the right end."""
    return event.at_s > limits[0] + 0.6 * (limits[1] - limits[0])


def _label_rows(events: tuple[EventRow, ...], limits: tuple[float, float]) -> list[int]:
    """Give each label a row above the panels, so that none covers another."""
    inches = (WIDTH - _LEFT - _RIGHT) / ((limits[1] - limits[0]) or 1.0)
    taken: list[list[tuple[float, float]]] = []
    rows = []
    for event in events:
        at, length = event.at_s * inches, _CHARACTER * len(_label(event)) + 0.1
        begin, end = (at - length, at) if _reads_left(event, limits) else (at, at + length)
        row = next(
            (
                number
                for number, spans in enumerate(taken)
                if all(end <= other_begin or begin >= other_end for other_begin, other_end in spans)
            ),
            len(taken),
        )
        if row == len(taken):
            taken.append([])
        taken[row].append((begin, end))
        rows.append(row)
    return rows


TIMELINE: Final = PlotKind(
    name="timeline",
    shows="throughput, errors, shares and latency over time, with the events",
    draws="one",
    draw=lambda sources: timeline_figure(sources[0].recording, sources[0].summary),
    requests=True,
    of_one=Caption(
        "Course",
        "The same run over time. What happened to instances stands as a line through all of it.",
    ),
)
