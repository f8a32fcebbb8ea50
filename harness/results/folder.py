"""The results folder: one folder a run, written whole or not at all.

A run writes into a hidden folder beside its destination and renames it when all is there. The hidden
folder's lock tells a run that is still going from one that was killed. Of a run that was killed, or
failed, after instances had answered, what was recorded is kept, and visibly no whole result.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from harness.common.files import explained
from harness.errors import HarnessError, ResultError
from harness.results.journal import APPLIED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from harness.recording.spool import Spool
    from harness.recording.table import Recording
    from harness.results.journal import Notes
    from harness.scenario import Scenario
    from harness.summary.run import Summary

PARTIAL = ".partial"
INCOMPLETE = "-incomplete"
"""What the folder's name ends with that has a recording, but no summary."""

_BLOCKS = "blocks"
_RECORDED = ("requests.parquet", "scenario.yaml")


class PendingResult:
    """A result that is being written.

    Leaving the context without `commit` removes it; but where instances had answered, what was recorded
    is kept as an incomplete result, of which a note of the error tells.

    Parameters
    ----------
    root
        The folder of all results, made if it is missing. What killed runs left in it is removed, or
        kept as incomplete results.
    name
        The scenario's name.

    Attributes
    ----------
    path
        The folder to write into; after `commit`, the result.
    incomplete
        The results of killed runs that were found and kept.

    Raises
    ------
    ResultError
        The folder can't be written to. So do all methods.
    """

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._name = name
        self._blocks: Spool | None = None
        with explained(root):
            root.mkdir(parents=True, exist_ok=True)
            self.incomplete = _sweep(root)
            self.path, self._lock = _locked_folder(root, name)
        self._committed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._committed:
            # What can't be written now, a full disk as a rule, is lost; the error that led here matters more.
            with contextlib.suppress(ResultError):
                if self._blocks is not None:
                    self._blocks.flush()
            kept = _dissolve(self.path)
            if kept and error is not None:
                error.add_note(f"what was recorded until then: {kept}")
        os.close(self._lock)

    def begin(self, scenario: Scenario) -> Spool:
        """Give what takes the records of this scenario's load; the scenario is written down first."""
        from harness.recording.spool import Spool  # noqa: PLC0415  numpy takes a while, and is imported by now

        self._write_scenario(scenario.as_written())
        self._blocks = Spool(self.path / _BLOCKS, tuple(scenario.routes))
        return self._blocks

    def write_recording(self, recording: Recording) -> None:
        """Write requests.parquet."""
        with explained(self.path):
            recording.to_parquet(self.path / "requests.parquet")

    def write_applied(self, notes: Notes) -> None:
        """Write applied.json: the strategy's actions on its host."""
        with explained(self.path):
            (self.path / APPLIED).write_text(notes.to_json(), encoding="utf-8")

    def write_plots(self, pictures: Mapping[str, bytes]) -> None:
        """Write pictures, given as PNG files' names and what they hold."""
        with explained(self.path):
            for name, picture in pictures.items():
                (self.path / name).write_bytes(picture)

    def write_summary(self, summary: Summary) -> None:
        """Write summary.json, and scenario.yaml with the scenario as it was run."""
        with explained(self.path):
            (self.path / "summary.json").write_text(summary.to_json(), encoding="utf-8")
        self._write_scenario(summary.scenario)

    def _write_scenario(self, scenario: dict[str, Any]) -> None:
        from ruamel.yaml import YAML  # noqa: PLC0415  only a run needs it, and not at its beginning

        yaml = YAML()
        yaml.default_flow_style = False
        yaml.allow_unicode = False  # written as itself, U+0085 and its like would be read as a line's end
        with explained(self.path), (self.path / "scenario.yaml").open("w", encoding="utf-8") as file:
            yaml.dump(scenario, file)

    def commit(self) -> Path:
        """Make the result visible under its name and the time, which is in UTC.

        Returns
        -------
        Path
            The result's folder.
        """
        with explained(self._root):
            for file in self.path.iterdir():
                _sync(file)
            _sync(self.path)
            self.path = _rename(self.path, self._root / f"{self._name}-{_stamp(datetime.now(tz=UTC))}")
            self._committed = True
            _sync(self._root)
            shutil.rmtree(self.path / _BLOCKS, ignore_errors=True)
        return self.path


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


def _sweep(root: Path) -> list[Path]:
    """Dissolve hidden folders whose run is gone: no process holds their lock."""
    kept = []
    for path in root.glob(f".*{PARTIAL}"):
        # Another run may sweep the same folder, or it may be another user's: neither is this run's trouble.
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if found := _dissolve(path):
                    kept.append(found)
            finally:
                os.close(descriptor)
    return kept


def _dissolve(path: Path) -> Path | None:
    """Remove a hidden folder, unless it has a recording: then make that visible, and give its folder."""
    blocks = path / _BLOCKS
    if not blocks.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return None
    from harness.recording.spool import recovered  # noqa: PLC0415  as in PendingResult.begin
    from harness.scenario import load_scenario  # noqa: PLC0415  as in PendingResult.begin

    try:
        recording = recovered(blocks, load_scenario(path / "scenario.yaml").all_instances())
        if recording is not None:
            recording.to_parquet(path / "requests.parquet")
            for file in path.iterdir():  # plots and a summary would look like those of a whole run
                if file.is_file() and file.name not in _RECORDED:
                    file.unlink()
            name = path.name.removeprefix(".").removesuffix(PARTIAL).rpartition("-")[0]
            kept = _rename(path, path.with_name(f"{name}-{_stamp(recording.started_at)}{INCOMPLETE}"))
            shutil.rmtree(kept / _BLOCKS)  # not before: killed just now, it would have lost everything
            return kept
    except (OSError, HarnessError):
        return None  # it may be of use as it is; no run depends on it
    shutil.rmtree(path, ignore_errors=True)
    return None


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%d-%H%M%S")


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
