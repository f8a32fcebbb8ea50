"""Plots of results, shown by a notebook as soon as a cell ends with one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.common.text import printable
from harness.errors import ResultError
from harness.report.plots import PLOTS, plot_kinds
from harness.report.plots.kind import MOST_RUNS
from harness.report.plots.save import save
from harness.report.plots.slope import slope_figure

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from matplotlib.figure import Figure

    from harness.report.plots.kind import PlotKind, Source
    from harness.summary.run import Summary


class Plot:
    """A plot; a notebook shows it.

    Attributes
    ----------
    figure
        The matplotlib figure, to change what one likes.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as PNG, or as SVG if the path ends with ``.svg``.

        Raises
        ------
        ResultError
            The file can't be written.
        """
        try:
            save(self.figure, Path(path))
        except OSError as error:
            raise ResultError(
                f"{printable(str(path))}: the plot can't be written: {error.strerror}"
            ) from error

    def __repr__(self) -> str:
        width, height = self.figure.get_size_inches()
        return f"<Plot: {width:g} by {height:g} inches>"

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.figure.savefig(picture, format="png", dpi=110)
        return picture.getvalue()


class ResultPlots:
    """Plots of one result, a method for each kind that draws one result.

    Each needs the parts of the result that it shows, and says so where they are missing.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Callable[[], Plot]:
        return _method(_kind(name, ("one", "few")), lambda _: [self._source])

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *_kinds(("one", "few"))]


class ResultsPlots:
    """Plots of many results together, a method for each kind that draws several.

    Kinds that need summaries alone leave incomplete results out; the others need all parts of all results.

    Parameters
    ----------
    sources
        All results.
    finished
        Those that have a summary.
    """

    def __init__(self, sources: Sequence[Source], finished: Sequence[Source]) -> None:
        self._sources = sources
        self._finished = finished

    def __getattr__(self, name: str) -> Callable[[], Plot]:
        return _method(_kind(name, ("few", "all")), self._chosen)

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *_kinds(("few", "all"))]

    def slope(self, others: _Plotted, labels: tuple[str, str] = ("before", "after")) -> Plot:
        """Show what changed from these results to others.

        Parameters
        ----------
        others
            Results of runs that came later, or were made in another way.
        labels
            What these results and the others are called in it.

        Raises
        ------
        ResultError
            On one side, nothing is left after incomplete results were left out.
        """
        before, after = labels
        return Plot(slope_figure(before, self.summaries(), after, others.plot.summaries()))

    def summaries(self) -> list[Summary]:
        """Give the summaries of the results that have one; at least one has."""
        return [source.summary for source in self._complete()]

    def _chosen(self, kind: PlotKind) -> Sequence[Source]:
        """Give the results that a kind draws.

        Raises
        ------
        ResultError
            There are none, or more than can be distinguished.
        """
        if kind.draws == "all":
            return self._complete()
        if not 0 < len(self._sources) <= MOST_RUNS:
            raise ResultError(
                f"{len(self._sources)} results: a plot has 1 to {MOST_RUNS} curves; filter the results first"
            )
        return self._sources

    def _complete(self) -> Sequence[Source]:
        if not self._finished:
            raise ResultError(
                f"{len(self._sources)} results: none has a summary, so there is nothing to draw"
            )
        return self._finished


class _Plotted(Protocol):
    """What has plots of many results."""

    @property
    def plot(self) -> ResultsPlots: ...


def _kinds(draws: Sequence[str]) -> list[str]:
    return [kind.name for kind in plot_kinds() if kind.draws in draws]


def _kind(name: str, draws: Sequence[str]) -> PlotKind:
    if name not in PLOTS.names() or PLOTS.find(name).draws not in draws:
        raise AttributeError(f"there is no plot {name!r} of this; there are {', '.join(_kinds(draws))}")
    return PLOTS.find(name)


def _method(kind: PlotKind, choose: Callable[[PlotKind], Sequence[Source]]) -> Callable[[], Plot]:
    def draw() -> Plot:
        return Plot(kind.draw(choose(kind)))

    draw.__name__ = kind.name
    draw.__doc__ = f"Show {kind.shows}."
    return draw
