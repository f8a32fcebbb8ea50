"""From when on is a disturbed distribution what it should be? A sequential test of the units that follow.

docs/statistics.md has the definition, and how often it errs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from harness.stats.bands import binomial_evidence, checked_alpha
from harness.stats.changes import change_points
from harness.stats.drift import drift, merged_windows
from harness.stats.fairness import chi_square
from harness.stats.mixture import prior, prior_weight
from harness.stats.planning import units_needed
from harness.stats.sequential import evidence_at_any_time
from harness.stats.tails import at_least

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

LOST: Final = -1
"""In place of an instance: the unit's instance is unknown."""

_BLOCKS: Final = 1024
_MOST_CELLS: Final = 4_000_000
_MISFIT: Final = 0.01

State = Literal["recovered", "disturbed", "unknown"]


@dataclass(frozen=True)
class Recovery:
    """From which unit on the distribution is shown to be what it should.

    Attributes
    ----------
    state
        `recovered`: it is shown. `disturbed`: at the end, the opposite is. `unknown`: neither.
    first
        Index of the first unit from which on it is shown; None unless recovered.
    units
        How many there are from there on; where nothing is shown, since the last change.
    needed
        About how many would show it, if they came as they should.
    """

    state: State
    first: int | None
    units: int
    needed: int | None


class Distribution:
    """Units in the order of time, and the shares that they should have.

    Parameters
    ----------
    chosen
        Index of each unit's instance, or `LOST`; shape (units,).
    shares
        Each instance's intended share; 0 for those that should get nothing. Shape (instances,).
    tolerance, confidence
        As for a verdict.
    groups
        Where the units are choices made once for all of a group (the connections of a source), whose each
        is. A group then counts once, with its first unit that was not lost; None where each counts.

    Raises
    ------
    ValueError
        A parameter is out of range.
    """

    def __init__(
        self,
        chosen: Counts,
        shares: Sequence[float],
        tolerance: float,
        confidence: float,
        groups: NDArray[np.integer] | None = None,
    ) -> None:
        given = np.asarray(shares, dtype=np.float64)
        if given.size == 0 or given.min() < 0 or (chosen.size and int(chosen.max()) >= given.size):
            raise ValueError(f"shares of {given.size} instances, none below 0, don't fit the choices")
        self._alpha = checked_alpha(tolerance, confidence)
        self._tolerance = tolerance
        self._confidence = confidence
        self._groups = groups
        due = given > 0
        self._shares = given[due] / given[due].sum() if due.any() else given[due]
        # Numbers among those that should get something; the others are `dead`.
        self._numbers = np.append(np.where(due, due.cumsum() - 1, LOST), LOST)[chosen]
        self._dead = np.append(~due, False)[chosen]

    def recovery(self) -> Recovery:
        """Say from when on the distribution is shown to be within the tolerance.

        Notes
        -----
        The units are cut where their shares change. Of the beginnings of these parts, and the unit after the
        last one that went to an instance that should get nothing, it is the first from which on no part
        contradicts, and all units together are within the tolerance, by the tests of
        `harness.stats.sequential` read backwards from the end: these hold for all beginnings at once.
        """
        total = self._numbers.size
        dead = np.flatnonzero(self._dead)
        fewest = int(dead[-1]) + 1 if dead.size else 0
        cuts = self._cuts() if self._shares.size else [0]
        for first in sorted({fewest, *cuts}):
            if fewest <= first < total and self._shares.size and self._holds_from(first, cuts):
                return Recovery("recovered", first, self._size(first), None)
        last = self._last_part(cuts[-1], fewest)
        if self.outside(last):
            return Recovery("disturbed", None, self._size(last), None)
        needed = units_needed(self._shares.tolist(), self._tolerance, self._confidence)
        return Recovery("unknown", None, self._size(last), needed)

    def _last_part(self, cut: int, fewest: int) -> int:
        """Give the first unit of what the end is judged by: since the last cut, or the end of the dead.

        A part can be too short for a cut to be found in it. Were its units to the dead anywhere among all of
        its units, they would all be among the first m of n with a probability of C(m, d) / C(n, d). If that
        is at most alpha, they have ended, and are no evidence against what came after them.
        """
        early, units = fewest - cut, self._dead.size - cut
        if early <= 0:
            return cut
        taken = np.arange(np.count_nonzero(self._dead[cut:]))
        return fewest if np.prod((early - taken) / (units - taken)) <= self._alpha else cut

    def outside(self, first: int) -> bool:
        """Say whether the units from one on are shown not to be what they should.

        One to an instance that should get nothing is enough. So is a share of lost units that alone is larger
        than the smallest tolerance: all of them might be one instance's.
        """
        if not self._shares.size or self._dead[first:].any():
            return True
        counts, lost = self._counts(first)
        if self._lost_too_many(counts, lost):
            return True
        inflation, dof = self._dispersion(first)
        found = binomial_evidence(counts, self._shares, self._tolerance, lost, dispersion=inflation, dof=dof)
        return bool(counts.any()) and found.verdict(self._alpha) == "uneven"

    def _cuts(self) -> list[int]:
        """Give the first unit of each part."""
        total = self._numbers.size
        blocks = max(min(total, _BLOCKS, _MOST_CELLS // self._shares.size), 1)
        edges = np.linspace(0, total, blocks + 1).astype(np.int64)
        table = self._table(0, edges)
        got = table.sum(axis=1)
        against = np.diff(edges) - got
        found = change_points([np.stack([got, against], axis=1), table])
        return [0, *(int(edges[block]) for block in found)]

    def _holds_from(self, first: int, cuts: Sequence[int]) -> bool:
        """Say whether no part from a unit on contradicts, and all together are shown to be right."""
        ends = [cut for cut in cuts if cut > first] + [self._numbers.size]
        begins = [first, *ends[:-1]]
        if any(self._contradicts(begin, end) for begin, end in zip(begins, ends, strict=True)):
            return False
        counts, lost = self._counts(first)
        inflation, dof = self._dispersion(first)
        weights = prior(self._shares, prior_weight(self._shares, self._tolerance, self._confidence))
        found = evidence_at_any_time(
            counts / inflation,
            lost / inflation,
            self._shares,
            self._tolerance,
            weights,
            dof if inflation > 1 else None,
        )
        return bool(counts.any()) and found.verdict(self._alpha) == "even"

    def _contradicts(self, first: int, end: int) -> bool:
        """Say whether a part is not what it should be: neither near enough by itself, nor by chance."""
        counts, lost = self._counts(first, end)
        if self._lost_too_many(counts, lost):
            return True
        if not counts.any() or counts.size < 2:
            return False
        if binomial_evidence(counts, self._shares, self._tolerance, lost).verdict(self._alpha) == "even":
            return False
        return chi_square(counts, self._shares.tolist()).p_value <= _MISFIT

    def _lost_too_many(self, counts: Counts, lost: int) -> bool:
        allowed = self._tolerance * float(self._shares.min())
        return bool(lost) and float(at_least(lost, int(counts.sum()) + lost, allowed)) <= self._alpha

    def _dispersion(self, first: int) -> tuple[float, int | None]:
        """Give how many times more counts vary than by chance, and its degrees of freedom."""
        total = self._numbers.size
        blocks = max(min(total - first, 8 * 20), 1)
        edges = first + np.linspace(0, total - first, blocks + 1).astype(np.int64)
        varied = drift(merged_windows(self._table(first, edges)))
        return (varied.inflation, varied.dof) if varied else (1.0, None)

    def _table(self, first: int, edges: Counts) -> Counts:
        """Count each instance's units in blocks; shape (blocks, instances)."""
        numbers = self._numbers[first:]
        block = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
        got = numbers != LOST
        size = self._shares.size
        flat = np.bincount(block[got] * size + numbers[got], minlength=(len(edges) - 1) * size)
        return flat.reshape(len(edges) - 1, size).astype(np.int64)

    def _counts(self, first: int, end: int | None = None) -> tuple[Counts, int]:
        """Count each instance's units, and the lost ones, among some."""
        numbers = np.fromiter(self._units(first, end), np.int64) if self._groups is not None else None
        if numbers is None:
            numbers = self._numbers[first:end]
        counts = np.bincount(numbers[numbers != LOST], minlength=self._shares.size).astype(np.int64)
        return counts, int(np.count_nonzero(numbers == LOST))

    def _size(self, first: int) -> int:
        counts, lost = self._counts(first)
        return int(counts.sum()) + lost

    def _units(self, first: int, end: int | None) -> Iterator[int]:
        """Give each group's unit."""
        assert self._groups is not None  # noqa: S101  callers check it
        groups, numbers = self._groups[first:end], self._numbers[first:end]
        # Units that were not lost come first, each kind in the order of time.
        order = np.argsort(numbers == LOST, kind="stable")
        _, index = np.unique(groups[order], return_index=True)
        yield from numbers[order][index].tolist()
