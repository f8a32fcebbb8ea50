"""Results that a command names: those named, and those in folders that hold many."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from harness.common.files import read_file
from harness.common.text import printable
from harness.errors import ResultError
from harness.results.archive import RUNS, condensed_below, name_of, read_runs
from harness.results.journal import read_applied
from harness.results.reading import REQUESTS, SUMMARY, read_results, results_below

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.recording.table import Recording
    from harness.results.journal import Applied
    from harness.summary.run import Summary


@dataclass(frozen=True)
class Stored:
    """A result as it lies on the disk, or what condensed results keep of it.

    Attributes
    ----------
    name
        That of its folder.
    folder, summary
        The folder, None where there is but a line of condensed results; and what its summary says.
    """

    name: str
    folder: Path | None
    summary: Summary

    def recording(self) -> Recording | None:
        """Read every request; it is not kept. None where there are none."""
        if self.folder is None:
            return None
        from harness.recording.table import Recording  # noqa: PLC0415  only plots of few results need it

        return Recording.from_parquet(self.folder / REQUESTS)

    def applied(self) -> Applied | None:
        """Read the strategy's actions on its host; None where the result is older than that."""
        return None if self.folder is None else read_applied(self.folder)

    def scenario_text(self) -> str:
        """Read the scenario as it was run; empty where the file is missing. Condensed, it is JSON."""
        if self.folder is None:
            return json.dumps(self.summary.scenario, indent=2, ensure_ascii=False)
        try:
            return read_file(self.folder / "scenario.yaml").decode(errors="replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            path = printable(str(self.folder / "scenario.yaml"))
            raise ResultError(f"{path}: can't be read: {error.strerror}") from error

    def whole(self, file: str) -> str:
        """Name the file that has all of what is left out in the page."""
        return f"the line of {self.name} in {RUNS}" if self.folder is None else f"{file} of {self.name}"


@dataclass(frozen=True)
class Found:
    """Results in the order in which they are to be shown, and the folders of those without a summary."""

    results: tuple[Stored, ...]
    incomplete: tuple[Path, ...]


def find_results(paths: Sequence[Path]) -> Found:
    """Read results.

    Parameters
    ----------
    paths
        Folders of results, and folders that hold such folders: of these, every result is taken, ordered by
        scenario and time, and then what condensed results have besides. A result is taken once, however often
        it is named.

    Raises
    ------
    ResultError
        There is no result, or one is damaged.
    """
    results: dict[Path, Stored] = {}
    condensed: list[Stored] = []
    incomplete: dict[Path, None] = {}
    for path in paths:
        own = [one for folder in condensed_below(path) for one in read_runs(folder)]
        condensed += [Stored(name_of(summary), None, summary) for summary in own]
        folders = results_below(path)
        if not folders and not own:
            _refuse(path)
        for folder in folders:
            if folder.resolve() in results:
                continue
            if folder != path and not (folder / SUMMARY).exists():
                incomplete[folder] = None
                continue
            ((name, summary),) = [one for own in read_results([folder]).values() for one in own]
            results[folder.resolve()] = Stored(name, folder, summary)
    known = {_begun(one) for one in results.values()}
    all_of_them = [*results.values(), *(one for one in condensed if _begun(one) not in known)]
    if not all_of_them:
        first = printable(next(iter(incomplete)).name)
        raise ResultError(
            f"{printable(str(paths[0]))}: holds no whole result, only {first}, which has no summary; "
            f"run the scenario again"
        )
    return Found(tuple(all_of_them), tuple(incomplete))


def _begun(one: Stored) -> tuple[str, str]:
    return one.summary.name, one.summary.started_at


def _refuse(path: Path) -> NoReturn:
    shown = printable(str(path))
    if not path.is_dir():
        what = "is no folder" if path.exists() else "does not exist"
        raise ResultError(f"{shown}: {what}; name the folder of a result, which `harness run` left")
    raise ResultError(f"{shown}: holds no result; name what `harness run` left, or a folder of such")
