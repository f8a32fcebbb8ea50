"""The page's plots, and the colours that they have in light and in dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from harness.common.text import printable
from harness.report import plots
from harness.report.format import whose_units
from harness.report.plots.groups import cpu_in_all, worst_deviation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from harness.results.stored import Stored

DRAWN_UP_TO = 8
"""With more results than this, only plots of all of them are drawn: each takes its time and its room."""

_COLUMN = 9.0
"""Inches: what is wider gets the whole width of the page."""


@dataclass(frozen=True)
class Picture:
    """A plot: an ``<svg>`` element, what it is called, what is written below it, and its width."""

    svg: Markup
    title: str
    caption: str
    wide: bool = False


def variables() -> str:
    """Give the rules of the style sheet that set the plots' colours."""
    dark = f"@media (prefers-color-scheme: dark) {{ {_rule(plots.DARK)} }}\n"
    return f"{_rule(plots.LIGHT)}\n{dark}@media print {{ {_rule(plots.LIGHT)} }}\n"


def _rule(colours: Mapping[str, str]) -> str:
    return ":root { " + " ".join(f"--plot-{name}: {colour};" for name, colour in colours.items()) + " }"


def of_one(key: str, one: Stored) -> list[Picture]:
    """Draw one result: its distribution, its latency, and how both went over time."""
    summary, recording = one.summary, one.recording()
    distribution = _picture(
        plots.distribution_figure(summary),
        f"{key}-distribution",
        f"Distribution of {one.name}",
        f"Each instance's share of {whose_units(summary)}. The band is what the tolerance allows; a line "
        "through a dot is the interval that the true share lies in.",
    )
    if recording is None:
        return [distribution]
    return [
        distribution,
        _picture(
            plots.latency_figure(recording, summary),
            f"{key}-latency",
            f"Latency of {one.name}",
            "How long successful requests took, from the fastest to the slowest: each step to the right is a "
            "tenth of the requests before.",
        ),
        _picture(
            plots.timeline_figure(recording, summary),
            f"{key}-timeline",
            f"Course of {one.name}",
            "The same run over time. What happened to instances stands as a line through all of it.",
        ),
    ]


def of_all(results: Sequence[Stored]) -> list[Picture]:
    """Draw what several results have in common: cost against evenness, and of few their latencies."""
    pictures = []
    summaries = [one.summary for one in results]
    if any(
        cpu_in_all(summary.cpu_us_per_request) is not None and worst_deviation(summary) is not None
        for summary in summaries
    ):
        pictures.append(
            _picture(
                plots.cost_figure(summaries),
                "cost",
                "Cost and evenness",
                "To the right is what a request costs, in processor time of proxy, engine, instances and "
                "generator; upwards is how far the worst instance is off its share. The lower left is best.",
            )
        )
    if len(results) <= min(DRAWN_UP_TO, plots.MOST_RUNS):
        read = [(one, one.recording()) for one in results]
        runs = [
            plots.Run(one.name, recording, one.summary) for one, recording in read if recording is not None
        ]
    else:
        runs = []
    if runs:
        pictures.append(
            _picture(
                plots.latencies_figure(runs),
                "latencies",
                "Latencies",
                "How long successful requests took in each result. Curves compare only where the load was "
                "the same.",
            )
        )
    return pictures


def _picture(figure: Figure, prefix: str, title: str, caption: str) -> Picture:
    # The XML library that wrote it has escaped it; what could turn text around is still in it.
    lines = plots.svg(figure, prefix, title).split("\n")
    svg = Markup("\n".join(map(printable, lines)))  # noqa: S704  see above
    return Picture(svg, title, caption, wide=figure.get_figwidth() > _COLUMN)
