"""The results folder: one folder a run, written whole or not at all.

A run writes into a hidden folder beside its destination and renames it when all is there. The hidden
folder's lock tells a run that is still going from one that was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Self

from harness.errors import ResultError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from harness.recording import Recording
    from harness.summary import Summary

PARTIAL = ".partial"


class PendingResult:
    """A result that is being written; leaving the context without `commit` removes it.

    Parameters
    ----------
    root
        The folder of all results, made if it is missing. What killed runs left in it is removed.
    name
        The scenario's name.

    Attributes
    ----------
    path
        The folder to write into; after `commit`, the result.

    Raises
    ------
    ResultError
        The folder can't be written to. So do all methods.
    """

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._name = name
        with _explained(root):
            root.mkdir(parents=True, exist_ok=True)
            _sweep(root)
            self.path, self._lock = _locked_folder(root, name)
        self._committed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._committed:
            # What can't be removed now, the next run sweeps; the error that led here matters more.
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    def write_recording(self, recording: Recording) -> None:
        """Write requests.parquet."""
        with _explained(self.path):
            recording.to_parquet(self.path / "requests.parquet")

    def write_plots(self, recording: Recording, summary: Summary) -> None:
        """Write distribution.png and latency.png."""
        # Imported here: matplotlib takes most of a second, and whoever reads results needs none.
        from harness.report.plots import distribution_figure, latency_figure, save  # noqa: PLC0415  see above

        with _explained(self.path):
            save(distribution_figure(summary), self.path / "distribution.png")
            save(latency_figure(recording, summary), self.path / "latency.png")

    def write_summary(self, summary: Summary) -> None:
        """Write summary.json, and scenario.yaml with the scenario as it was run."""
        from ruamel.yaml import YAML  # noqa: PLC0415  only a run's end needs it

        yaml = YAML()
        yaml.default_flow_style = False
        yaml.allow_unicode = False  # written as itself, U+0085 and its like would be read as a line's end
        with _explained(self.path):
            (self.path / "summary.json").write_text(summary.to_json(), encoding="utf-8")
            with (self.path / "scenario.yaml").open("w", encoding="utf-8") as file:
                yaml.dump(summary.scenario, file)

    def commit(self) -> Path:
        """Make the result visible under its name and the time, which is in UTC.

        Returns
        -------
        Path
            The result's folder.
        """
        with _explained(self._root):
            for file in self.path.rglob("*"):
                _sync(file)
            _sync(self.path)
            stamp = datetime.now(tz=UTC).strftime("%Y%m%d-%H%M%S")
            self.path = _rename(self.path, self._root / f"{self._name}-{stamp}")
            self._committed = True
            _sync(self._root)
        return self.path


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the system refuses into one line that the user can act on."""
    try:
        yield
    except OSError as error:
        # pyarrow's errors have no strerror, and some of its messages have several lines.
        why = error.strerror or " ".join(str(error).split())
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            why = "a file stands where a folder is needed"
        raise ResultError(
            f"{error.filename or path}: the result can't be written: {why}; "
            f"mend that, or choose another folder with --results DIR"
        ) from error


def _locked_folder(root: Path, name: str) -> tuple[Path, int]:
    """Make a hidden folder and lock it."""
    while True:
        path = root / f".{name}-{secrets.token_hex(4)}{PARTIAL}"
        path.mkdir()
        # Another run may sweep the folder until it is locked; then there is nothing at the path.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists():
                return path, descriptor
            os.close(descriptor)


def _sweep(root: Path) -> None:
    """Remove hidden folders whose run is gone: nobody holds their lock."""
    for path in root.glob(f".*{PARTIAL}"):
        # Another run may sweep the same folder, or it may be another user's: neither is this run's trouble.
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(descriptor)


def _rename(source: Path, target: Path) -> Path:
    """Rename a folder to a name that is free; two at once get two names."""
    for number in count(1):
        free = target if number == 1 else target.with_name(f"{target.name}-{number}")
        try:
            # The kernel refuses to replace a file or a folder that has something in it, and every
            # result has: no need to look first, and no moment between looking and renaming.
            source.rename(free)
        except OSError:
            if not os.path.lexists(free):
                raise
        else:
            return free
    raise AssertionError  # pragma: no cover  count() has no end


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
