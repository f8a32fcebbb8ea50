from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from harness.load.shared import SharedRecords
from harness.recording.layout import STRUCT, dtype


def write(shared: SharedRecords, first: int, number: int) -> None:
    """Append records whose connections are numbered from `first`."""
    rows = np.zeros(number, dtype())
    rows["connection"] = first + np.arange(number)
    os.write(shared.fileno(), rows.tobytes())


def test_each_record_is_taken_once_and_in_order() -> None:
    """Whatever the steps, what is taken is what was written, and all that the writer speaks of."""
    shared = SharedRecords()
    taken, written = [], 0
    for step in (1, 4000, 0, 77, 100_000):
        write(shared, written, step)
        written += step
        taken.append(shared.take(written))
        assert len(taken[-1]) == step
    assert (np.concatenate(taken)["connection"] == np.arange(104_078)).all()


def test_reader_waits_for_records_not_yet_announced() -> None:
    """A writer that is still at its newest records has said so of the others alone."""
    shared = SharedRecords()
    write(shared, 0, 10)
    assert shared.take(7)["connection"].tolist() == list(range(7))
    assert shared.take(10)["connection"].tolist() == [7, 8, 9]


def test_a_record_cut_short_is_none() -> None:
    """A writer that died in the middle of a record, or speaks of more than there is, costs that one."""
    shared = SharedRecords()
    write(shared, 0, 2)
    os.write(shared.fileno(), bytes(STRUCT.size - 1))
    assert len(shared.take(1_000_000_000)) == 2
    assert len(shared.take(3)) == 0


def test_memory_is_given_back() -> None:
    """However much went through, the system holds a page at most of what was taken."""
    shared = SharedRecords()
    for step in range(100):
        write(shared, step * 10_000, 10_000)
        assert len(shared.take((step + 1) * 10_000)) == 10_000
    status = os.fstat(shared.fileno())
    assert status.st_size == 1_000_000 * STRUCT.size
    assert status.st_blocks * 512 <= os.sysconf("SC_PAGE_SIZE")


def test_taken_rows_may_be_written_to() -> None:
    """They are the taker's own."""
    shared = SharedRecords()
    write(shared, 0, 3)
    rows = shared.take(3)
    rows["instance"] = 5
    assert rows["instance"].tolist() == [5, 5, 5]


def test_the_descriptor_ends_with_its_object() -> None:
    """Nobody has to close it."""
    shared = SharedRecords()
    number = shared.fileno()
    assert str(Path(f"/proc/self/fd/{number}").readlink()).startswith("/memfd:records")
    del shared
    assert not os.path.lexists(f"/proc/self/fd/{number}")
