"""Results for a report: those named, and those in folders that hold many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.applied import read_applied
from harness.errors import ResultError
from harness.gate.stored import read_results
from harness.words import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from harness.applied import Applied
    from harness.recording import Recording
    from harness.summary import Summary

_FILES = ("summary.json", "requests.parquet")
"""What makes a folder that of a result, whole or incomplete."""


@dataclass(frozen=True)
class Stored:
    """A result as it lies on the disk.

    Attributes
    ----------
    name
        That of its folder.
    folder, summary
        The folder, and what its summary.json says.
    """

    name: str
    folder: Path
    summary: Summary

    def recording(self) -> Recording:
        """Read every request; it is not kept."""
        from harness.recording import Recording  # noqa: PLC0415  only plots of few results need it

        return Recording.from_parquet(self.folder / "requests.parquet")

    def applied(self) -> Applied | None:
        """Read what the strategy asked of its host; None where the result is older than that."""
        return read_applied(self.folder)

    def scenario_text(self) -> str:
        """Read the scenario as it was run; empty where the file is missing."""
        try:
            return (self.folder / "scenario.yaml").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            path = printable(str(self.folder / "scenario.yaml"))
            raise ResultError(f"{path}: can't be read: {error.strerror}") from error


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
        scenario and time. A result is taken once, however often it is named.

    Raises
    ------
    ResultError
        There is no result, or one is damaged.
    """
    results: dict[Path, Stored] = {}
    incomplete: list[str] = []
    for path in paths:
        before = len(results), len(incomplete)
        for folder in _folders(path):
            if folder.resolve() in results:
                continue
            if folder != path and not (folder / "summary.json").exists():
                incomplete.append(folder.name)
                continue
            ((name, summary),) = [one for own in read_results([folder]).values() for one in own]
            results[folder.resolve()] = Stored(name, folder, summary)
        if before == (len(results), len(incomplete)) and not results:
            raise ResultError(
                f"{printable(str(path))}: holds no result; name what `harness run` left, or a folder of such"
            )
    if not results:
        raise ResultError(
            f"{printable(str(paths[0]))}: holds no whole result, only {printable(incomplete[0])}, which has "
            f"no summary; run the scenario again"
        )
    return Found(tuple(results.values()), tuple(dict.fromkeys(incomplete)))


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
