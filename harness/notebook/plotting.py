"""Plots of results, shown by a notebook as soon as a cell ends with one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.text import printable
from harness.errors import ResultError
from harness.report.plots import (
    MOST_RUNS,
    Run,
    cdf_figure,
    cost_figure,
    distribution_figure,
    latencies_figure,
    latency_figure,
    matrix_figure,
    save,
    slope_figure,
    timeline_figure,
)

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure

    from harness.notebook.library import Results
    from harness.notebook.result import Result
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
    """Plots of one result; each needs the parts of it that it shows, and says so where they are missing."""

    def __init__(self, result: Result) -> None:
        self._result = result

    def distribution(self) -> Plot:
        """Show each instance's share with its interval, and what the tolerance allows."""
        return Plot(distribution_figure(self._result.document))

    def latency(self) -> Plot:
        """Show the latency that each share of the requests stayed within, on an axis of nines."""
        summary = self._result.document
        return Plot(latency_figure(self._result.recording, summary))

    def cdf(self) -> Plot:
        """Show the share of the requests that took at most a given time."""
        return Plot(cdf_figure([_run(self._result)]))

    def timeline(self) -> Plot:
        """Show throughput, errors, shares and latency over time, with the events."""
        summary = self._result.document
        return Plot(timeline_figure(self._result.recording, summary))


class ResultsPlots:
    """Plots of many results, side by side; each needs those parts of all of them that it shows."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def matrix(self) -> Plot:
        """Show the verdicts: strategies by numbers of instances and kinds of connection.

        Incomplete results, which have no verdict, are left out.

        Raises
        ------
        ResultError
            Nothing is left.
        """
        return Plot(matrix_figure(self._summaries()))

    def cost(self) -> Plot:
        """Show processor time for each request against evenness; repeats of a strategy are one mark.

        Incomplete results are left out; errors as for `matrix`.
        """
        return Plot(cost_figure(self._summaries()))

    def slope(self, others: Results, labels: tuple[str, str] = ("before", "after")) -> Plot:
        """Show what changed from these results to others.

        Parameters
        ----------
        others
            Of runs that came later, or were made in another way.
        labels
            What these results and the others are called in it.

        Raises
        ------
        ResultError
            On one side, nothing is left after incomplete results were left out.
        """
        before, after = labels
        return Plot(slope_figure(before, self._summaries(), after, others.plot._summaries()))  # noqa: SLF001  its like

    def latency(self) -> Plot:
        """Show what `ResultPlots.latency` does, of up to eight results."""
        return Plot(latencies_figure(self._runs()))

    def cdf(self) -> Plot:
        """Show what `ResultPlots.cdf` does, of up to eight results."""
        return Plot(cdf_figure(self._runs()))

    def _summaries(self) -> list[Summary]:
        summaries = [result.document for result in self._results if result.has_summary]
        if not summaries:
            raise ResultError(
                f"{len(self._results)} results: none has a summary, so there is nothing to draw"
            )
        return summaries

    def _runs(self) -> list[Run]:
        """Give the results with their requests.

        Raises
        ------
        ResultError
            There are none, or more than can be told apart.
        """
        if not 0 < len(self._results) <= MOST_RUNS:
            raise ResultError(
                f"{len(self._results)} results: a plot has 1 to {MOST_RUNS} curves; filter the results first"
            )
        return [_run(result) for result in self._results]


def _run(result: Result) -> Run:
    return Run(result.name, result.recording, result.document)
