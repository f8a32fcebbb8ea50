"""Packed records in memory that the generator and the harness share.

The generator appends, and says how far it has come; the harness takes out what is there and gives the
memory back. So it holds what came since the last time, however long the load.
"""

from __future__ import annotations

import mmap
import os
import weakref
from typing import TYPE_CHECKING, Any

from harness.recording.layout import STRUCT, as_array

if TYPE_CHECKING:
    import numpy.typing as npt


class SharedRecords:
    """A file in memory, written by one process and read once by another; it ends with this object."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("records", os.MFD_CLOEXEC)
        self._taken = 0
        self._given_back = 0
        weakref.finalize(self, os.close, self._fd)

    def fileno(self) -> int:
        """Give the descriptor that the generator writes to."""
        return self._fd

    def take(self, records: int) -> npt.NDArray[Any]:
        """Take what is there and was not taken before.

        Parameters
        ----------
        records
            How many there are since the beginning, as the generator says: those it has done with.

        Returns
        -------
        structured array
            The new records, of type `harness.recording.layout.dtype()`; fewer where the file ends before.
        """
        there = os.fstat(self._fd).st_size // STRUCT.size
        data = bytearray(max(min(records, there) * STRUCT.size - self._taken, 0))
        view = memoryview(data)
        while view:  # one call reads 2 GiB at most
            view = view[os.preadv(self._fd, [view], self._taken + len(data) - len(view)) :]
        rows = as_array(data)
        self._taken += rows.nbytes
        self._give_back()
        return rows

    def drop(self, records: int) -> None:
        """Do without what is there: so many records since the beginning."""
        self._taken = max(records * STRUCT.size, self._taken)
        self._give_back()

    def _give_back(self) -> None:
        """Punch a hole where everything was taken; the file keeps its length."""
        end = self._taken - self._taken % mmap.ALLOCATIONGRANULARITY
        length = end - self._given_back
        if length:
            with mmap.mmap(self._fd, length, offset=self._given_back) as pages:
                pages.madvise(mmap.MADV_REMOVE)
            self._given_back = end
