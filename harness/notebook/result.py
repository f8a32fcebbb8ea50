"""One result: what was measured in one run, as tables."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from harness.common.text import printable
from harness.errors import HarnessError, ResultError
from harness.results.reading import REQUESTS, SUMMARY, read_summary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

    from harness.notebook.plotting import ResultPlots
    from harness.recording.table import Recording
    from harness.report.plots.kind import Source
    from harness.summary.run import Summary

_SCENARIO: Final = "scenario.yaml"


class Result:
    """What was measured in one run; its parts are read on first use, and kept.

    `harness.load_results` and `harness.run` make these. A run that was killed, or failed on its way, left its
    requests and no summary; an archived suite has summaries and, for most runs, no requests.
    What needs the part that is missing says so with a `ResultError`.

    Attributes
    ----------
    name
        The name of the result's folder; for an archived result, what it was.
    folder
        The result's folder; None for an archived result.
    suite
        The suite of an archived result; None for others.
    """

    def __init__(
        self,
        name: str,
        folder: Path | None = None,
        summary: Summary | None = None,
        suite: str | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.suite = suite
        self._summary = summary

    @property
    def has_summary(self) -> bool:
        """Whether the run came to its end, and so has a verdict."""
        return self._summary is not None or self._has(SUMMARY)

    @property
    def has_requests(self) -> bool:
        """Whether the single requests are there."""
        return self._has(REQUESTS)

    @cached_property
    def document(self) -> Summary:
        """All of summary.json, as an object with its keys as attributes (docs/summary.schema.json).

        Raises
        ------
        ResultError
            There is none, or it is damaged.
        """
        if self._summary is not None:
            return self._summary
        if self.folder is None or not self.has_summary:
            raise ResultError(
                f"{printable(self.name)}: there is no summary, and so no verdict: the run was killed "
                "or failed on its way; what it had recorded by then is in .requests and .timeline()"
            )
        return read_summary(self.folder)

    @cached_property
    def recording(self) -> Recording:
        """The requests as the harness itself handles them: a numpy array, and the names of its numbers.

        Raises
        ------
        ResultError
            They were not kept, or the file is damaged.
        """
        from harness.recording.table import Recording  # noqa: PLC0415  numpy takes a while; a list of names needs none

        if self.folder is None or not self.has_requests:
            why = (
                "of most archived results, the summary alone is" if self.suite else "requests.parquet is not"
            )
            raise ResultError(f"{printable(self.name)}: its requests were not kept: {why} there")
        return Recording.from_parquet(self.folder / REQUESTS)

    @property
    def verdict(self) -> str:
        """`even`, `uneven` or `inconclusive`; errors as for `document`."""
        return self.document.verdict

    @property
    def reason(self) -> str:
        """Why, in a sentence; errors as for `document`."""
        return self.document.reason

    @cached_property
    def scenario(self) -> dict[str, Any]:
        """The scenario as it was run, as scenario files have it; errors as for `document`."""
        if self.has_summary or self.folder is None:
            return self.document.scenario
        from harness.scenario import load_scenario  # noqa: PLC0415  only incomplete results need it

        return load_scenario(self.folder / _SCENARIO).as_written()

    @cached_property
    def requests(self) -> pd.DataFrame:
        """One row a request; errors as for `recording`, columns as in docs/python.md."""
        from harness.notebook.frames import requests_frame  # noqa: PLC0415  pandas takes a while

        return requests_frame(self.recording)

    @cached_property
    def connections(self) -> pd.DataFrame:
        """One row a connection; errors as for `recording`, columns as in docs/python.md."""
        from harness.notebook.frames import connections_frame  # noqa: PLC0415  as above

        return connections_frame(self.recording)

    @cached_property
    def distribution(self) -> pd.DataFrame:
        """One row an instance; errors as for `document`, columns as in docs/python.md."""
        from harness.notebook.frames import distribution_frame  # noqa: PLC0415  as above

        return distribution_frame(self.document)

    @cached_property
    def events(self) -> pd.DataFrame:
        """One row an event, none where nothing happened; errors as for `document`."""
        from harness.notebook.frames import events_frame  # noqa: PLC0415  as above

        return events_frame(self.event_rows())

    @cached_property
    def routes(self) -> pd.DataFrame:
        """One row a route, none without routes; errors as for `document`, columns as in docs/python.md."""
        from harness.notebook.frames import routes_frame  # noqa: PLC0415  as above

        return routes_frame(self.document)

    @property
    def summary(self) -> pd.DataFrame:
        """One row, with the columns of `Results.table`; errors as for `document`."""
        from harness.notebook.frames import table_frame  # noqa: PLC0415  as above
        from harness.notebook.rows import row_of  # noqa: PLC0415  as above

        return table_frame([self._about() | row_of(self.document)])

    def timeline(self, window_s: float = 1.0, *, by_instance: bool = False) -> pd.DataFrame:
        """Give what happened in each window of time; columns as in docs/python.md.

        Parameters
        ----------
        window_s
            How long a window is, in seconds.
        by_instance
            Give a row for each instance in each window, not one for all together.

        Raises
        ------
        HarnessError
            The window is no length of time, or much too short; and errors as for `recording`.
        """
        from harness.notebook.frames import timeline_by_instance_frame, timeline_frame  # noqa: PLC0415  as above

        made = timeline_by_instance_frame if by_instance else timeline_frame
        return made(self.recording, window_s)

    @property
    def plot(self) -> ResultPlots:
        """Its plots: `result.plot.distribution()` and others."""
        from harness.notebook.plotting import ResultPlots  # noqa: PLC0415  matplotlib takes a while

        return ResultPlots(self.source())

    def source(self) -> Source:
        """Give what plots draw of this result; its parts are read when a plot needs them."""
        from harness.report.plots.kind import Source  # noqa: PLC0415  on first use

        return Source(self.name, lambda: self.document, lambda: self.recording)

    def row(self) -> dict[str, Any]:
        """Give what `Results.table` has of this result, as a mapping of its columns to values."""
        from harness.notebook.rows import row_of, row_without_summary  # noqa: PLC0415  on first use

        known = row_of(self.document) if self.has_summary else row_without_summary(self.scenario)
        return self._about() | known

    def event_rows(self) -> Iterator[dict[str, Any]]:
        """Give what `Results.events` has of this result: a mapping of its columns to values for each."""
        from harness.notebook.rows import events_of  # noqa: PLC0415  on first use

        for row in events_of(self.document):
            yield {"result": self.name} | row

    def _about(self) -> dict[str, Any]:
        return {"result": self.name, "suite": self.suite, "has_requests": self.has_requests}

    def __repr__(self) -> str:
        if not self.has_summary:
            return f"<Result {printable(self.name)}: no summary>"
        return f"<Result {printable(self.name)}: {self.document.verdict}>"

    def _repr_html_(self) -> str:
        from harness.notebook.pages import no_verdict_html, result_html  # noqa: PLC0415  only for notebooks

        try:
            summary = self.document
        except HarnessError as error:
            return no_verdict_html(self.name, str(error))
        return result_html(self.name, summary, self.row())

    def _has(self, file: str) -> bool:
        return self.folder is not None and (self.folder / file).is_file()
