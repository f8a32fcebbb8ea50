"""The units of a recording: times, choices and counts, each computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from harness.analysis.early_stop import InterimLook
    from harness.recording.table import Recording
    from harness.types import Unit

KINDS: tuple[Unit, ...] = ("connection", "request", "source")
"""The kinds that are counted in any recording; networks only where a strategy balances them."""


class Chosen(NamedTuple):
    """Choices of instances, in the order of time.

    Attributes
    ----------
    times_ns
        When each one was made, on the monotonic clock.
    instances
        Which instance was chosen.
    """

    times_ns: NDArray[np.int64]
    instances: NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Units:
    """All units of one kind in a recording; counts are computed when they are first needed, and kept.

    Attributes
    ----------
    kind
        What the units are.
    """

    kind: Unit
    _recording: Recording

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """The units of each instance."""
        return self._recording.units_by_instance(self.kind)

    @cached_property
    def missing(self) -> int:
        """How many units no instance can be named for."""
        if self.kind == "request":
            return len(self._recording.rows) - int(self.counts.sum())
        return len(self.sizes) - int(self.counts.sum())

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """The requests of each unit."""
        return self._recording.requests_by_unit(self.kind)

    @property
    def total(self) -> int:
        """How many units there are."""
        return int(self.counts.sum()) + self.missing

    def chosen(self) -> Chosen:
        """Give when an instance was chosen for each unit that has one, and which.

        These are 12 bytes for each unit, which the recording's analysis needs once: they are not kept.
        """
        return Chosen(*self._recording.choices(self.kind))


def units_of(recording: Recording, balanced: Unit) -> Mapping[Unit, Units]:
    """Give the units of every kind, that which the strategy balances among them."""
    return {kind: Units(kind, recording) for kind in dict.fromkeys((*KINDS, balanced))}


@dataclass(frozen=True, eq=False)
class Sample:
    """What one verdict is on.

    Attributes
    ----------
    recording
        All requests, those before the first fault, or those of one route.
    units
        Its units of every kind.
    unit, shares
        What the strategy balances, and each instance's expected share of it.
    wall_ns
        How long the load took.
    looks
        The looks that could have ended the load; None where no look could.
    """

    recording: Recording
    units: Mapping[Unit, Units]
    unit: Unit
    shares: Sequence[float]
    wall_ns: int
    looks: Sequence[InterimLook] | None = None

    @property
    def balanced(self) -> Units:
        """The units that the strategy balances."""
        return self.units[self.unit]
