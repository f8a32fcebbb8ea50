"""The recording while it grows: blocks on the disk, each a recording of its own.

Memory holds the newest block alone, however long the load, and a run that is killed leaves the others.
"""

from __future__ import annotations

import stat
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.common.files import explained
from harness.errors import ResultError
from harness.recording.layout import NO_INSTANCE, dtype
from harness.recording.table import Recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_BLOCK_RECORDS: Final = 1 << 18
_BLOCK_S: Final = 5.0

_ENDING: Final = ".parquet"


class Spool:
    """Records that come in, and go to the disk as soon as they are many or old.

    Parameters
    ----------
    folder
        Where the blocks are written to; made with the first of them.
    routes
        The names of the scenario's routes; none where it has none.

    Attributes
    ----------
    identities
        What the records' instance numbers stand for, as far as it is known.
    """

    def __init__(self, folder: Path, routes: Sequence[str] = ()) -> None:
        self._folder = folder
        self._routes = tuple(routes)
        self._files = 0
        self._held: list[NDArray[np.void]] = []
        self._held_since_s = 0.0
        self._on_disk = 0
        self.identities: tuple[str, ...] = ()

    @property
    def records(self) -> int:
        """How many came in so far."""
        return self._on_disk + self._holds

    @property
    def _holds(self) -> int:
        return sum(map(len, self._held))

    def add(self, rows: NDArray[np.void], identities: Sequence[str]) -> None:
        """Take records of type `harness.recording.layout.dtype()`, and the names of all instances so far.

        Raises
        ------
        ResultError
            A block can't be written.
        """
        self.identities = tuple(identities)
        if not len(rows):
            return
        now_s = time.monotonic()
        if not self._held:
            self._held_since_s = now_s
        self._held.append(rows)
        if self._holds >= _BLOCK_RECORDS or now_s - self._held_since_s >= _BLOCK_S:
            self.flush()

    def flush(self) -> None:
        """Write what is held; only a whole file has its name.

        Raises
        ------
        ResultError
            A block can't be written.
        """
        if not self._held:
            return
        rows = np.concatenate(self._held)
        target = self._folder / f"{self._files:06}{_ENDING}"
        unfinished = target.with_suffix(".unfinished")
        with explained(self._folder):
            self._folder.mkdir(exist_ok=True)
            unfinished.unlink(missing_ok=True)  # where the disk was full
            with unfinished.open("xb") as file:
                Recording.of_generator(rows, self.identities, self._routes).to_parquet(file)
            unfinished.rename(target)
        self._files += 1
        self._on_disk += len(rows)
        self._held = []

    def rows(self) -> NDArray[np.void]:
        """Give all records that came in.

        Raises
        ------
        ResultError
            A block can't be read back.
        """
        rows = np.empty(self.records, dtype())
        begin = 0
        for part in (*(block.rows for block in _read(self._folder)), *self._held):
            rows[begin : begin + len(part)] = part
            begin += len(part)
        if begin != len(rows):
            raise ResultError(f"{self._folder}: blocks of the recording are missing; run the scenario again")
        return rows


def recovered(folder: Path, instance_names: Sequence[str]) -> Recording | None:
    """Put together what a run left that did not come to its end.

    Parameters
    ----------
    folder
        Its blocks.
    instance_names
        The scenario's instances.

    Returns
    -------
    Recording or None
        None where no instance is known to have answered.

    Raises
    ------
    ResultError
        A block can't be read.
    """
    blocks = [*_read(folder)]
    if not any((block.rows["instance"] != NO_INSTANCE).any() for block in blocks):
        return None
    # The names of later blocks begin with those of earlier ones.
    rows, last = np.concatenate([block.rows for block in blocks]), blocks[-1]
    if not set(last.instances) <= set(instance_names) and len(last.instances) > len(instance_names):
        # They may be why it did not come to its end.
        return Recording.of_generator(rows, last.instances, last.routes)
    return Recording.of_run(rows, last.instances, instance_names, last.routes)


def _read(folder: Path) -> Iterator[Recording]:
    """Read one block after the other; links, pipes and devices are none."""
    files = (path for path in sorted(folder.glob(f"*{_ENDING}")) if stat.S_ISREG(path.lstat().st_mode))
    return map(Recording.from_parquet, files)
