"""Many results: found below a folder, filtered, and side by side in one table."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from harness.common.text import printable
from harness.errors import HarnessError, ResultError
from harness.notebook.columns import TABLE
from harness.notebook.result import Result
from harness.results.archive import RUNS, name_of, read_runs
from harness.results.reading import is_result, subfolders

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from harness.notebook.plotting import ResultsPlots
    from harness.summary.run import Summary


class Results(Sequence[Result]):
    """Results, in the order of their names; those of an archived suite in the suite's order.

    At first only names are read; of archived results, their lines.

    Parameters
    ----------
    results
        What it holds.
    """

    def __init__(self, results: Iterable[Result]) -> None:
        self._results = tuple(results)

    @overload
    def __getitem__(self, index: int) -> Result: ...

    @overload
    def __getitem__(self, index: slice) -> Results: ...

    def __getitem__(self, index: int | slice) -> Result | Results:
        chosen = self._results[index]
        return chosen if isinstance(chosen, Result) else Results(chosen)

    def __len__(self) -> int:
        return len(self._results)

    def filter(self, **conditions: Any) -> Results:
        """Give those alone that fit all conditions.

        Parameters
        ----------
        conditions
            Columns of `table`, each with a value; or with a list, tuple or set of values, one of which must
            hold; or with a function that gets the value and says whether it fits.

        Raises
        ------
        HarnessError
            The table has no such column; and errors as for `table`.
        """
        for column in conditions:
            if column not in TABLE:
                near = get_close_matches(column, TABLE, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise HarnessError(
                    f"filter: results have no column {printable(column)!r}{hint} (docs/python.md lists them)"
                )
        return Results(result for result in self if _fits(result.row(), conditions))

    def table(self) -> pd.DataFrame:
        """Give one row a result, to compare them; columns as in docs/python.md.

        Raises
        ------
        ResultError
            A result's summary is damaged.
        """
        from harness.notebook.frames import table_frame  # noqa: PLC0415  pandas takes a while

        return table_frame(result.row() for result in self)

    def events(self) -> pd.DataFrame:
        """Give one row an event, of all results that came to their end; columns as in docs/python.md.

        Raises
        ------
        ResultError
            A result's summary is damaged.
        """
        from harness.notebook.frames import events_frame  # noqa: PLC0415  pandas takes a while

        return events_frame(row for result in self if result.has_summary for row in result.event_rows())

    @property
    def plot(self) -> ResultsPlots:
        """Plots of all of them: `results.plot.matrix()` and others."""
        from harness.notebook.plotting import ResultsPlots  # noqa: PLC0415  matplotlib takes a while

        return ResultsPlots(
            [result.source() for result in self],
            [result.source() for result in self if result.has_summary],
        )

    def __repr__(self) -> str:
        return f"<Results: {len(self)}>"

    def _repr_html_(self) -> str:
        from harness.notebook.pages import MOST_RESULTS, results_html  # noqa: PLC0415  only for notebooks

        return results_html(len(self), [result.row() for result in self[:MOST_RESULTS]])


def find_results(*paths: str | os.PathLike[str]) -> Results:
    """Do what `harness.load_results` says.

    If a run is both archived and whole, only the whole result counts.
    """
    found: dict[object, Result] = {}
    for path in map(Path, paths or ("results",)):
        if not path.is_dir():
            what = "is no folder" if path.exists() else "does not exist"
            raise ResultError(f"{printable(str(path))}: {what}; name a folder of results, or a result's own")
        try:
            here = [*_below(path)]
        except OSError as error:
            raise ResultError(f"{printable(str(path))}: can't be read: {error.strerror}") from error
        if not here:
            raise ResultError(
                f"{printable(str(path))}: there is no result in this folder; `harness run` leaves one"
            )
        for result in here:
            found.setdefault(_identity(result), result)
    return Results(found.values())


def _below(path: Path) -> Iterator[Result]:
    """Give the results of a folder: itself, or what it holds, or what folders in it hold."""
    if is_result(path):
        yield Result(path.resolve().name, path)
        return
    for folder in (path, *subfolders(path)):
        if not is_result(folder):
            yield from _collected(folder)


def _collected(folder: Path) -> Iterator[Result]:
    """Give the results directly in a folder, archived ones among them."""
    whole = [Result(path.name, path) for path in subfolders(folder) if is_result(path)]
    if not (folder / RUNS).is_file():
        yield from whole
        return
    suite = folder.resolve().name
    places = {_moment(result.document): result.folder for result in whole if result.has_summary}
    listed: set[Path | None] = set()
    for summary in read_runs(folder):
        place = places.get(_moment(summary))
        listed.add(place)
        yield Result(place.name if place else name_of(summary), place, summary, suite)
    yield from (result for result in whole if result.folder not in listed)


def _identity(result: Result) -> object:
    return result.folder.resolve() if result.folder else (result.suite, result.name)


def _moment(summary: Summary) -> tuple[str, str]:
    return summary.name, summary.started_at


def _fits(row: dict[str, Any], conditions: dict[str, Any]) -> bool:
    for column, wanted in conditions.items():
        value = row.get(column)
        if callable(wanted):
            fits = value is not None and bool(wanted(value))
        elif isinstance(wanted, (list, tuple, set, frozenset)):
            fits = value in wanted
        else:
            fits = value == wanted
        if not fits:
            return False
    return True
