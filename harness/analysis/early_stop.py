"""Looks at the counts while the load runs, to end it when they suffice for a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.recording.counter import UnitCounter
from harness.stats.sequential import FEWEST_LOOKS, SequentialTest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.recording.table import Recording
    from harness.scenario import Scenario
    from harness.stats.equivalence import ToleranceVerdict
    from harness.types import Unit, Verdict

_SPACING: Final = 0.01
"""Looks are at least this fraction of the time so far apart: an hour has some 600."""


@dataclass(frozen=True)
class InterimLook:
    """How many records there were when the counts were looked at, and how long the load had run."""

    records: int
    elapsed_ns: int


@dataclass
class EarlyStop:
    """Looks at what is recorded by now, and says when it suffices for a verdict.

    Parameters
    ----------
    scenario, unit
        What is measured, and what its strategy balances.
    names, expected_shares
        Each instance's name and share, in the scenario's order.

    Attributes
    ----------
    looks
        Those taken so far: `replay` repeats them on the recording.
    verdict
        What the looks have shown so far; once it is not `inconclusive`, it stays.
    """

    scenario: Scenario
    unit: Unit
    names: Sequence[str]
    expected_shares: Sequence[float]
    looks: list[InterimLook] = field(default_factory=list)
    verdict: Verdict = "inconclusive"

    def __post_init__(self) -> None:
        self._test = _test(self.scenario, self.names, self.expected_shares, self.unit)
        self._counter = UnitCounter(self.unit)
        self._counted = 0

    @property
    def all_looks(self) -> list[list[InterimLook]]:
        """The looks taken so far, as one list of one distribution."""
        return [self.looks]

    @property
    def decided(self) -> bool:
        """Whether a verdict was reached."""
        return self.verdict != "inconclusive"

    def take(self, rows: NDArray[np.void], elapsed_ns: int, identities: Sequence[str]) -> None:
        """Count new records, and judge them unless that was done just now.

        Parameters
        ----------
        rows
            Of type `harness.recording.layout.dtype()`.
        elapsed_ns
            How long the load has run.
        identities
            What the records' instance numbers stand for.
        """
        if self.decided:
            return
        for number, part in enumerate(_parts(rows, self._counter, self.scenario, self.unit)):
            if number:
                self._judge(elapsed_ns, identities)
            self._counter.add(part)
            self._counted += len(part)
        due_ns = self.looks[-1].elapsed_ns * (1 + _SPACING) if self.looks else 0
        if elapsed_ns >= due_ns:
            self._judge(elapsed_ns, identities)

    @property
    def half_width(self) -> float:
        """Half the width of the widest interval, relative to its expected share."""
        return self._test.half_width

    @property
    def known(self) -> str:
        """How well the shares are known."""
        return f"shares ±{self.half_width * 100:.1f} %"

    def _judge(self, elapsed_ns: int, identities: Sequence[str]) -> None:
        """Judge what is counted, unless that was judged before."""
        seen = self.looks[-1].records if self.looks else 0
        if self.decided or self._counted == seen:
            return
        if (counts := self._in_order(identities)) is not None:
            self.looks.append(InterimLook(self._counted, elapsed_ns))
            self.verdict = self._test.look(counts, self._counter.missing).verdict

    def _in_order(self, identities: Sequence[str]) -> np.ndarray | None:
        """Give the counts in the order of the shares; None where no telling which is whose."""
        counts = self._counter.counts(len(self.names))
        place = {name: index for index, name in enumerate(self.names)}
        if set(identities) <= set(place):
            ordered = np.zeros(len(self.names), dtype=np.int64)
            np.add.at(ordered, [place[name] for name in identities], counts[: len(identities)])
            return ordered
        # With names of their own, the order of instances makes no difference if all shares are alike.
        alike = max(self.expected_shares) - min(self.expected_shares) < 1e-9
        return counts if alike and len(counts) == len(self.names) else None


def replay(
    recording: Recording,
    looks: Sequence[InterimLook],
    scenario: Scenario,
    unit: Unit,
    expected_shares: Sequence[float],
) -> tuple[ToleranceVerdict, SequentialTest]:
    """Take the same looks at a recording, and one at all of it.

    Returns
    -------
    tuple of ToleranceVerdict and SequentialTest
        The verdict, and the test with its intervals.
    """
    rows, names = recording.rows, recording.instances
    test = _test(scenario, names, expected_shares, unit)
    counter = UnitCounter(unit)
    ends = [look.records for look in looks if look.records < len(rows)]
    *segments, rest = np.split(rows, ends)
    for segment in segments:
        counter.add(segment)
        test.look(counter.counts(len(names)), counter.missing)
    # A load that was over at once had no time for as many looks as a verdict takes.
    for few in np.array_split(rest, max(FEWEST_LOOKS - len(segments), 1)):
        for part in _parts(few, counter, scenario, unit):
            counter.add(part)
            verdict = test.look(counter.counts(len(names)), counter.missing)
    return verdict, test


def _parts(rows: np.ndarray, counter: UnitCounter, scenario: Scenario, unit: Unit) -> list[np.ndarray]:
    """Cut new records so that there are enough looks at the sources before there are no more of them.

    Connections and requests go on coming. Of sources there are so many and no more, and a short while
    may bring them all.
    """
    if unit != "source":
        return [rows]
    most = max(scenario.load.sources.count // FEWEST_LOOKS, 1)
    return np.split(rows, counter.newcomers(rows)[most - 1 - counter.seen % most :: most] + 1)


def _test(
    scenario: Scenario, names: Sequence[str], expected_shares: Sequence[float], unit: Unit
) -> SequentialTest:
    return SequentialTest(expected_shares, scenario.tolerance, scenario.confidence, names=names, unit=unit)
