"""The results folder: one folder a run, written whole or not at all.

A run writes into a hidden folder beside its destination and renames it when all is there. The hidden
folder's lock tells a run that is still going from one that was killed. Of a run that was killed, or
failed, after instances had answered, what was recorded is kept, and visibly no whole result.

The results folder may be one that other users write to, and the run may be root's. So a run writes by the
hidden folder's descriptor, not by its name; follows no link in it; and leaves hidden folders of others alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import secrets
import shutil
import stat
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from harness.common.files import OPEN_FOLDERS, caller, explained, hand_over, make_folder, write_whole
from harness.errors import HarnessError, ResultError
from harness.results.journal import APPLIED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
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
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


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
    left_alone
        What has the name of a hidden folder and is no other run's of this user, with what it is.

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
            make_folder(root)
            self.incomplete, self.left_alone = _sweep(root)
            self.path, self._lock = _locked_folder(root, name)
        self._inside = _inside(self._lock)
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
            kept = _dissolve(self.path, self._lock)
            if kept and error is not None:
                error.add_note(f"what was recorded until then: {kept}")
        os.close(self._lock)

    def begin(self, scenario: Scenario) -> Spool:
        """Give what takes the records of this scenario's load; the scenario is written down first."""
        from harness.recording.spool import Spool  # noqa: PLC0415  numpy takes a while, and is imported by now

        self._write_scenario(scenario.as_written())
        self._blocks = Spool(self._inside / _BLOCKS, tuple(scenario.routes))
        return self._blocks

    def write_recording(self, recording: Recording) -> None:
        """Write requests.parquet."""
        with explained(self.path / "requests.parquet"):
            _write_recording(self._inside, recording)

    def write_applied(self, notes: Notes) -> None:
        """Write applied.json: the strategy's actions on its host."""
        self._write(APPLIED, notes.to_json())

    def write_plots(self, pictures: Mapping[str, bytes]) -> None:
        """Write pictures, given as PNG files' names and what they hold."""
        for name, picture in pictures.items():
            self._write(name, picture)

    def write_summary(self, summary: Summary) -> None:
        """Write summary.json, and scenario.yaml with the scenario as it was run."""
        self._write("summary.json", summary.to_json())
        self._write_scenario(summary.scenario)

    def _write_scenario(self, scenario: dict[str, Any]) -> None:
        from ruamel.yaml import YAML  # noqa: PLC0415  only a run needs it, and not at its beginning

        yaml = YAML()
        yaml.default_flow_style = False
        yaml.allow_unicode = False  # written as itself, U+0085 and its like would be read as a line's end
        text = io.StringIO()
        yaml.dump(scenario, text)
        self._write("scenario.yaml", text.getvalue())

    def _write(self, name: str, content: str | bytes) -> None:
        with explained(self.path / name):
            write_whole(self._inside / name, content)

    def commit(self) -> Path:
        """Make the result visible under its name and the time, which is in UTC.

        Returns
        -------
        Path
            The result's folder.
        """
        with explained(self._root):
            for file in self._inside.iterdir():
                _sync(file)
            os.fsync(self._lock)
            self.path = _rename(self.path, self._root / f"{self._name}-{_stamp(datetime.now(tz=UTC))}")
            self._committed = True
            _sync(self._root)
            shutil.rmtree(_BLOCKS, ignore_errors=True, dir_fd=self._lock)
            _hand_over(self._lock)
        return self.path


def _locked_folder(root: Path, name: str) -> tuple[Path, int]:
    """Make a hidden folder and lock it."""
    while True:
        path = root / f".{name}-{secrets.token_hex(4)}{PARTIAL}"
        path.mkdir(0o755)
        # Another run may sweep the folder until it is locked; then there is nothing at the path.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, _FOLDER)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists():
                return path, descriptor
            os.close(descriptor)


def _inside(descriptor: int) -> Path:
    """Give a path into a folder that is held open: no other folder can take its place."""
    return Path(f"{OPEN_FOLDERS}{descriptor}")


def _sweep(root: Path) -> tuple[list[Path], list[str]]:
    """Dissolve hidden folders whose run is gone, as no process holds their lock; name those of others."""
    kept, left_alone = [], []
    for path in root.glob(f".*{PARTIAL}"):
        # Another run may sweep the same folder: that is not this run's trouble.
        with contextlib.suppress(OSError):
            if (why := _not_ours(path)) is not None:
                left_alone += [f"{path} {why}"] if why else []
                continue
            descriptor = os.open(path, _FOLDER)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_uid == os.geteuid() and (found := _dissolve(path, descriptor)):
                    kept.append(found)
            finally:
                os.close(descriptor)
    return kept, left_alone


def _not_ours(path: Path) -> str | None:
    """Say why a hidden folder is not this user's to sweep; nothing of a run that still goes on."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return "is a link" if stat.S_ISLNK(found.st_mode) else "is no folder"
    if found.st_uid == os.geteuid():
        return None
    with contextlib.suppress(PermissionError):
        descriptor = os.open(path, _FOLDER)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return ""
        finally:
            os.close(descriptor)
    return f"belongs to another user (uid {found.st_uid})"


def _dissolve(path: Path, descriptor: int) -> Path | None:
    """Remove a hidden folder, unless it has a recording: then make that visible, and give its folder."""
    inside = _inside(descriptor)
    if not _is(stat.S_ISDIR, inside / _BLOCKS):
        _remove(path, descriptor)
        return None
    if not _is(stat.S_ISREG, inside / "scenario.yaml"):
        return None
    from harness.recording.spool import recovered  # noqa: PLC0415  as in PendingResult.begin
    from harness.scenario import load_scenario  # noqa: PLC0415  as in PendingResult.begin

    try:
        recording = recovered(inside / _BLOCKS, load_scenario(inside / "scenario.yaml").all_instances())
        if recording is not None:
            _write_recording(inside, recording)
            for file in inside.iterdir():  # plots and a summary would look like those of a whole run
                if file.name not in {*_RECORDED, _BLOCKS}:
                    _discard(file.name, descriptor)
            name = path.name.removeprefix(".").removesuffix(PARTIAL).rpartition("-")[0]
            kept = _rename(path, path.with_name(f"{name}-{_stamp(recording.started_at)}{INCOMPLETE}"))
            # Not before: killed just now, it would have lost everything.
            shutil.rmtree(_BLOCKS, dir_fd=descriptor)
            _hand_over(descriptor)
            return kept
    except (OSError, HarnessError):
        return None  # it may be of use as it is; no run depends on it
    _remove(path, descriptor)
    return None


def _is(kind: Callable[[int], bool], path: Path) -> bool:
    """Tell whether there is something of a kind, such as a file, at a path; a link is none."""
    try:
        return kind(path.lstat().st_mode)
    except OSError:
        return False


def _write_recording(inside: Path, recording: Recording) -> None:
    unfinished = inside / f".{secrets.token_hex(4)}.parquet"
    with unfinished.open("xb") as file:
        recording.to_parquet(file)
    unfinished.rename(inside / "requests.parquet")


def _remove(path: Path, descriptor: int) -> None:
    """Remove a folder that is held open, and all in it."""
    with contextlib.suppress(OSError):
        for name in os.listdir(descriptor):
            _discard(name, descriptor)
        path.rmdir()


def _discard(name: str, folder: int) -> None:
    """Remove a file, a link or a folder from a folder that is held open."""
    if _is(stat.S_ISDIR, _inside(folder) / name):
        shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)


def _hand_over(folder: int) -> None:
    """Give a folder that is held open, and the files in it, to the user that called sudo."""
    if caller() is None:
        return
    for name in os.listdir(folder):
        descriptor = os.open(name, _FILE, dir_fd=folder)
        hand_over(descriptor)
        os.close(descriptor)
    hand_over(folder)


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
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
