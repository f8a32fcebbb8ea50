"""Results that a command names: those named, and those in folders that hold many."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.common.text import printable
from harness.errors import ResultError
from harness.gate.baseline import read_results
from harness.results.archive import RUNS, condensed_below, name_of, read_runs
from harness.results.journal import read_applied

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from harness.recording.table import Recording
    from harness.results.journal import Applied
    from harness.summary.run import Summary

_FILES = ("summary.json", "requests.parquet")
"""What makes a folder that of a result, whole or incomplete."""


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

        return Recording.from_parquet(self.folder / "requests.parquet")

    def applied(self) -> Applied | None:
        """Read what the strategy asked of its host; None where the result is older than that."""
        return None if self.folder is None else read_applied(self.folder)

    def scenario_text(self) -> str:
        """Read the scenario as it was run; empty where the file is missing. Condensed, it is JSON."""
        if self.folder is None:
            return json.dumps(self.summary.scenario, indent=2, ensure_ascii=False)
        try:
            return (self.folder / "scenario.yaml").read_text(encoding="utf-8", errors="replace")
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
    """Results in the order in which they are to be shown, and the names of those without a summary."""

    results: tuple[Stored, ...]
    incomplete: tuple[str, ...]


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
    incomplete: list[str] = []
    for path in paths:
        own = [one for folder in condensed_below(path) for one in read_runs(folder)]
        condensed += [Stored(name_of(summary), None, summary) for summary in own]
        before = len(results), len(incomplete)
        for folder in _folders(path):
            if folder.resolve() in results:
                continue
            if folder != path and not (folder / "summary.json").exists():
                incomplete.append(folder.name)
                continue
            ((name, summary),) = [one for own in read_results([folder]).values() for one in own]
            results[folder.resolve()] = Stored(name, folder, summary)
        if before == (len(results), len(incomplete)) and not results and not condensed:
            raise ResultError(
                f"{printable(str(path))}: holds no result; name what `harness run` left, or a folder of such"
            )
    known = {_begun(one) for one in results.values()}
    all_of_them = [*results.values(), *(one for one in condensed if _begun(one) not in known)]
    if not all_of_them:
        raise ResultError(
            f"{printable(str(paths[0]))}: holds no whole result, only {printable(incomplete[0])}, which has "
            f"no summary; run the scenario again"
        )
    return Found(tuple(all_of_them), tuple(dict.fromkeys(incomplete)))


def _begun(one: Stored) -> tuple[str, str]:
    return one.summary.name, one.summary.started_at


def _folders(path: Path) -> Iterator[Path]:
    """Give a result's own folder, or those of all results in a folder."""
    folder = path.parent if path.name == "summary.json" else path
    if any((folder / file).exists() for file in _FILES) or not folder.is_dir():
        yield folder
        return
    try:
        below = [path for depth in ("*", "*/*") for path in folder.glob(depth) if path.is_dir()]
    except OSError as error:
        raise ResultError(f"{printable(str(folder))}: can't be read: {error.strerror}") from error
    for child in sorted(below):
        hidden = any(part.startswith(".") for part in child.relative_to(folder).parts)
        if not hidden and any((child / file).exists() for file in _FILES):
            yield child
