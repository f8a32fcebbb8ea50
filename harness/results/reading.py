"""Stored results, read: one by its folder, or all that a folder holds.

A result's folder holds summary.json, requests.parquet or both (`harness.results.folder`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pydantic import ValidationError

from harness.common.documents import first_problem
from harness.common.files import open_file, read_file
from harness.common.text import printable
from harness.errors import ResultError
from harness.results.folder import INCOMPLETE
from harness.summary.outcome import concluded
from harness.summary.run import Summary

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SUMMARY: Final = "summary.json"
REQUESTS: Final = "requests.parquet"

State = Literal["whole", "interrupted", "incomplete", "damaged"]


@dataclass(frozen=True)
class Listed:
    """One result's folder, and what it says of itself.

    Attributes
    ----------
    folder
        Where it lies.
    state
        `whole`; `interrupted`: ended early, with all that was measured until then; `incomplete`: its run was
        killed, there is a recording and no summary; `damaged`: its summary can't be read.
    summary
        What summary.json holds; None where `state` is `incomplete` or `damaged`.
    problem
        What is wrong with a damaged one; else empty.
    """

    folder: Path
    state: State
    summary: Summary | None = None
    problem: str = ""

    @property
    def started_at(self) -> str:
        """Give when the run began, in UTC (ISO 8601); empty where it isn't known."""
        return self.summary.started_at if self.summary else ""

    @property
    def worst_deviation(self) -> float | None:
        """Give the deviation of the instance that deviates most, relative to its expected share."""
        rows = self.summary.instances if self.summary else ()
        return max((row.deviation for row in rows if row.deviation is not None), key=abs, default=None)


def is_result(folder: Path) -> bool:
    """Tell whether a folder is a result's, be it of a run that did not come to its end."""
    return any((folder / file).is_file() for file in (SUMMARY, REQUESTS))


def subfolders(folder: Path) -> list[Path]:
    """Give the folders in a folder, by name; hidden ones are being written, and left out.

    Raises
    ------
    OSError
        It can't be read.
    """
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def results_below(path: Path) -> list[Path]:
    """Give a result's own folder, or those of all results in a folder and in the folders in it, by name.

    Parameters
    ----------
    path
        A folder, or a result's summary.json, which stands for its folder.

    Raises
    ------
    ResultError
        A folder can't be read.
    """
    folder = path.parent if path.name == SUMMARY else path
    if is_result(folder):
        return [folder]
    if not folder.is_dir():
        return []
    try:
        below = subfolders(folder)
        deeper = [inner for one in below if not is_result(one) for inner in subfolders(one)]
    except OSError as error:
        raise ResultError(f"{_shown(folder)}: can't be read: {error.strerror}") from error
    return sorted(filter(is_result, [*below, *deeper]))


def read_summary(folder: Path) -> Summary:
    """Read what a result says, whether or not its requests are there.

    Raises
    ------
    ResultError
        It has no summary, or one that can't be read.
    """
    listed = look_at(folder)
    if listed and listed.summary:
        return listed.summary
    if listed and listed.state == "incomplete":
        raise ResultError(
            f"{_shown(folder)}: is incomplete: its run was killed, so there is no summary.json; "
            "requests.parquet has what was recorded until then"
        )
    if listed:
        raise ResultError(f"{_shown(folder / 'summary.json')}: {listed.problem}; run the scenario again")
    raise ResultError(f"{_shown(folder)}: is no result: it has no summary.json, which `harness run` leaves")


def read_results(paths: Iterable[Path]) -> dict[str, list[tuple[str, Summary]]]:
    """Read stored results, each once, however often and by whatever path it is named.

    Parameters
    ----------
    paths
        The results' folders, or the summaries in them.

    Returns
    -------
    dict of str to list of tuple of str and Summary
        For each scenario's name, its results with their folders' names.

    Raises
    ------
    ResultError
        There is no result, a part of it is missing or damaged, or its parts contradict each other.
    """
    found: dict[str, list[tuple[str, Summary]]] = {}
    for path in paths:
        folder = path.parent if path.name == SUMMARY else path
        summary = _read_result(folder)
        own = found.setdefault(summary.name, [])
        if all(summary.started_at != other.started_at for _, other in own):
            own.append((folder.resolve().name, summary))
    return found


def _read_result(folder: Path) -> Summary:
    import pyarrow as pa  # noqa: PLC0415  it takes a while, and help needs none
    import pyarrow.parquet as pq  # noqa: PLC0415  as above

    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise ResultError(f"{_shown(folder)}: {what}; name the folder of a result, which `harness run` left")
    summary = read_summary(folder)
    recording = folder / REQUESTS
    try:
        with open_file(recording) as file:
            recorded = pq.read_metadata(file).num_rows
    except (OSError, pa.ArrowException) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ResultError(
            f"{_shown(recording)}: can't be read ({why}), and a result whose requests are missing proves "
            f"nothing; run the scenario again"
        ) from error
    if recorded != summary.counts.requests:
        raise ResultError(
            f"{_shown(folder)}: summary.json speaks of {summary.counts.requests:,} requests, "
            f"requests.parquet holds {recorded:,}; run the scenario again"
        )
    return summary


def look_at(folder: Path) -> Listed | None:
    """Look at a folder; None where it is no result."""
    try:
        text = read_file(folder / SUMMARY)
    except FileNotFoundError:
        if folder.name.endswith(INCOMPLETE) or (folder / REQUESTS).exists():
            return Listed(folder, "incomplete")
        return None
    except OSError as error:
        return Listed(folder, "damaged", problem=f"can't be read: {error.strerror}")
    try:
        summary = concluded(Summary.model_validate_json(text))
    except ValidationError as error:
        return Listed(folder, "damaged", problem=f"is not what it should be: {first_problem(error)}")
    return Listed(folder, "interrupted" if summary.interrupted else "whole", summary)


def _shown(path: Path) -> str:
    return printable(str(path))
