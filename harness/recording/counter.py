"""Units counted while their records come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness.recording.layout import NO_INSTANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.types import Unit


class UnitCounter:
    """Counts units by the instance that answered first to each, block after block.

    After any number of blocks it is what `harness.recording.table.Recording` counts in all of them at once.

    Parameters
    ----------
    unit
        What the strategy balances.

    Attributes
    ----------
    seen
        Units so far, whether or not an instance can be named for them.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        # For each connection or source, by its number: the instance of its first answer that names one.
        self._answers = np.empty(0, dtype=np.uint32)
        self._occurs = np.empty(0, dtype=np.bool_)
        self._counts = np.empty(0, dtype=np.int64)
        self.seen = 0

    @property
    def missing(self) -> int:
        """Units seen so far that no instance can be named for."""
        return self.seen - int(self._counts.sum())

    def add(self, rows: NDArray[np.void]) -> None:
        """Count records of type `harness.recording.layout.dtype()`."""
        if not len(rows):
            return
        instance = rows["instance"]
        if self._unit == "request":
            self.seen += len(rows)
        else:
            instance = self._first(rows[self._unit], instance)
        found = np.bincount(instance[instance != NO_INSTANCE])
        self._counts = _grown(self._counts, len(found), 0)
        self._counts[: len(found)] += found

    def newcomers(self, rows: NDArray[np.void]) -> NDArray[np.intp]:
        """Give the places of those records, yet to be added, that are the first of their unit."""
        units, places = np.unique(rows[self._unit], return_index=True)
        occurs = np.append(self._occurs, False)  # what is beyond its end has not occurred
        return np.sort(places[~occurs[np.minimum(units, len(self._occurs))]])

    def counts(self, instances: int) -> NDArray[np.int64]:
        """Give the units of each instance; more than `instances` where so many have answered."""
        return _grown(self._counts, instances, 0)

    def _first(self, values: NDArray[np.uint32], instance: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Give the instances of the units that this block is the first to name one for."""
        most = int(values.max()) + 1
        if most > len(self._answers):
            room = max(most, 2 * len(self._answers))  # so that growing stays rare
            self._answers = _grown(self._answers, room, NO_INSTANCE)
            self._occurs = _grown(self._occurs, room, fill=False)
        # Numbers rise with time, so a block's are few of a long run's.
        block = self._occurs[int(values.min()) : most]
        before = np.count_nonzero(block)
        self._occurs[values] = True
        self.seen += int(np.count_nonzero(block) - before)
        new = (instance != NO_INSTANCE) & (self._answers[values] == NO_INSTANCE)
        values, instance = values[new], instance[new]
        # Of assignments to one place numpy keeps the last: reversed, the place of the first answer.
        place = np.arange(len(values), dtype=np.uint32)
        self._answers[values[::-1]] = place[::-1]
        first = self._answers[values] == place
        chosen: NDArray[np.uint32] = instance[first]
        self._answers[values[first]] = chosen
        return chosen


def _grown(array: NDArray[Any], size: int, fill: int) -> NDArray[Any]:
    """Lengthen an array to `size` entries, if it is shorter."""
    return np.append(array, np.full(max(size - len(array), 0), fill, dtype=array.dtype))
