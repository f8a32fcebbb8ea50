"""The page's plots, and the colours that they have in light and in dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from harness.common.text import printable
from harness.errors import ResultError
from harness.report.format import whose_units
from harness.report.plots import plot_kinds
from harness.report.plots.kind import MOST_RUNS, Source
from harness.report.plots.style import DARK, LIGHT
from harness.report.plots.vector import svg as svg_element

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from harness.recording.table import Recording
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
    dark = f"@media (prefers-color-scheme: dark) {{ {_rule(DARK)} }}\n"
    return f"{_rule(LIGHT)}\n{dark}@media print {{ {_rule(LIGHT)} }}\n"


def _rule(colours: Mapping[str, str]) -> str:
    return ":root { " + " ".join(f"--plot-{name}: {colour};" for name, colour in colours.items()) + " }"


def of_one(key: str, one: Stored) -> list[Picture]:
    """Draw one result: the plots that show one result alone, such as its distribution."""
    recording = one.recording()
    source = _source(one, recording)
    return [
        _picture(
            kind.draw([source]),
            f"{key}-{kind.name}",
            f"{kind.of_one.title} of {one.name}",
            kind.of_one.text.replace("{units}", whose_units(one.summary)),
        )
        for kind in plot_kinds()
        if kind.of_one and (recording is not None or not kind.requests)
    ]


def of_all(results: Sequence[Stored]) -> list[Picture]:
    """Draw what several results have in common, such as cost against evenness, and of few their latencies."""
    few = len(results) <= min(DRAWN_UP_TO, MOST_RUNS)
    recordings = [one.recording() if few else None for one in results]
    every = [_source(one, recording) for one, recording in zip(results, recordings, strict=True)]
    recorded = [source for source, recording in zip(every, recordings, strict=True) if recording is not None]
    pictures = []
    for kind in plot_kinds():
        sources = recorded if kind.requests else every
        if kind.of_all and sources and (few or kind.draws == "all") and kind.fits(sources):
            pictures.append(_picture(kind.draw(sources), kind.name, kind.of_all.title, kind.of_all.text))
    return pictures


def _source(one: Stored, recording: Recording | None) -> Source:
    def read() -> Recording:
        if recording is None:
            raise ResultError(f"{printable(one.name)}: its requests were not kept")
        return recording

    return Source(one.name, lambda: one.summary, read)


def _picture(figure: Figure, prefix: str, title: str, caption: str) -> Picture:
    # The XML library that wrote it has escaped it; what could turn text around is still in it.
    lines = svg_element(figure, prefix, title).split("\n")
    svg = Markup("\n".join(map(printable, lines)))  # noqa: S704  see above
    return Picture(svg, title, caption, wide=figure.get_figwidth() > _COLUMN)
