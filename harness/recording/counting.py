"""Counts of columns of the request table, in little more memory than the columns take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from harness.recording.layout import NO_INSTANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

PART: Final = 1 << 20
"""Rows that are handled at a time where all at once would take much more memory than the rows themselves."""


def first_answers(values: NDArray[np.integer], instance: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Give the row of the first request that an instance can be named for, for each value that has one.

    Parameters
    ----------
    values
        A column of numbers from 0: connections or sources.
    instance
        The column of instances.
    """
    # A table takes the place of sorting, which takes half a minute for ten million rows. Of assignments to
    # one place numpy keeps the last: reversed, the first answer.
    none = np.uint32(0xFFFFFFFF)  # a connection's number has 32 bits, too
    rows = np.full(int(values.max(initial=0)) + 1, none, dtype=np.uint32)
    for end in range(len(values), 0, -PART):
        begin = max(end - PART, 0)
        identified = np.flatnonzero(instance[begin:end] != NO_INSTANCE)[::-1]
        rows[values[begin:end][identified]] = identified + begin
    found: NDArray[np.uint32] = rows[rows != none]
    return found


def occurrences(values: NDArray[np.integer]) -> NDArray[np.int64]:
    """Count the rows of each value of a column, from 0."""
    counts = np.zeros(int(values.max(initial=0)) + 1, dtype=np.int64)
    for begin in range(0, len(values), PART):
        part = values[begin : begin + PART]
        lowest = int(part.min())  # numbers rise with time: a part's are few of all
        found = np.bincount(part - lowest)
        counts[lowest : lowest + len(found)] += found
    return counts


def by_instance(instance: NDArray[np.uint32], instances: int) -> NDArray[np.int64]:
    """Count the rows of each of so many instances."""
    counts = np.zeros(instances, dtype=np.int64)
    for begin in range(0, len(instance), PART):
        part = instance[begin : begin + PART]
        counts += np.bincount(part[part != NO_INSTANCE], minlength=instances)
    return counts
