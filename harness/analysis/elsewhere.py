"""Units that others than the client counted, where no answer of a load can name its instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.analysis.units import Chosen, Units

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from harness.analysis.observed import Observed
    from harness.recording.table import Recording
    from harness.types import Unit

_COUNTERS = ("kernel", "proxy", "instances")
_COLUMNS: tuple[tuple[Unit, int], ...] = (("connection", 0), ("request", 1))


@dataclass(frozen=True, eq=False)
class CountedElsewhere(Units):
    """Units by what another counter says: how many each instance got, and nothing of when.

    Attributes
    ----------
    by
        The counter.
    counted
        The units of each instance.
    """

    by: str
    counted: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """The units of each instance."""
        return self.counted

    @property
    def missing(self) -> int:
        """How many units the client made and the counter did not see."""
        return max(len(self.sizes) - int(self.counted.sum()), 0)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The requests of each unit, as the client recorded them."""
        if self.kind == "request":
            return np.ones(len(self._recording.rows), np.int64)
        return self._recording.requests_by_unit(self.kind)

    @property
    def total(self) -> int:
        """How many units there are."""
        return max(len(self.sizes), int(self.counted.sum()))

    def chosen(self) -> Chosen:
        """Give no choices: a counter keeps no times."""
        return Chosen(np.empty(0, np.int64), np.empty(0, np.uint32))


def counted_elsewhere(
    recording: Recording, units: Mapping[Unit, Units], observed: Observed
) -> Mapping[Unit, Units]:
    """Give a recording's units, by another counter where no answer names an instance.

    That is so for a locustfile whose users speak another protocol than HTTP. What came before a fault can't
    be told from what came after it by such a counter: with faults, the units stay as they are.
    """
    if observed.load.user != "locustfile" or observed.events or units["request"].counts.any():
        return units
    found = dict(units)
    for kind, column in _COLUMNS:
        for by in _COUNTERS:
            table = observed.readings.tables.get(by, {})
            counts = [table[name][column] for name in recording.instances if name in table]
            known = [count for count in counts if count is not None]
            if len(known) == len(recording.instances) and min(known, default=-1) >= 0:
                found[kind] = CountedElsewhere(kind, recording, by, np.array(known, np.int64))
                break
    return found


def words_of(units: Units, observed: Observed) -> list[str]:
    """Say whose counts a verdict rests on, or why there are none."""
    nameless = "no answer that the locustfile reports names an instance"
    if isinstance(units, CountedElsewhere):
        return [f"{nameless}: shares are what the {units.by} counted, without their course in time"]
    if observed.load.user == "locustfile" and not units.counts.any():
        advice = "report the response with the event, or use a strategy whose counters do"
        return [f"{nameless}, and no other counter knows them one by one: {advice}"]
    return []
