"""How often is a recovery called wrongly, and how far off is its moment? Simulated events of known truth.

    python benchmarks/recovery.py [--simulations N] [--seed N]

One of the instances dies. Its share of the first units is lost, or still goes to it; then the others share
all, as they should, or at the edge of the tolerance. Prints a Markdown table. The exit status is 1 where
shares at the edge are called recovered more often than the confidence allows, by more than three standard
errors of the simulation, or a moment lies outside its case's limits in more than one of ten.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.stats.planning import units_needed
from harness.stats.recovery import LOST, Distribution

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE: Final = 0.2
CONFIDENCE: Final = 0.95
ALPHA: Final = 0.05
SURVIVORS: Final = (2, 3, 9)
PLANS: Final = 2
"""How many times the plan's units follow the disturbance."""


@dataclass(frozen=True)
class Case:
    """What is simulated.

    Attributes
    ----------
    name
        In words.
    disturbed
        Units until the truth is what it is to be, in plans.
    to_the_dead
        Whether the dead one's units go to it, instead of being lost.
    edge
        Whether the shares after that are at the edge of the tolerance: none is to be called recovered.
    for_ever
        Whether the disturbance never ends.
    """

    name: str
    disturbed: float = 0.0
    to_the_dead: bool = False
    edge: bool = False
    for_ever: bool = False


CASES: Final = (
    Case("nothing is disturbed"),
    Case("lost, for 2 % of a plan", 0.02),
    Case("lost, for a tenth of a plan", 0.1),
    Case("lost, for half a plan", 0.5),
    Case("to the dead, for a tenth of a plan", 0.1, to_the_dead=True),
    Case("lost, without end", for_ever=True),
    Case("shares at the edge", edge=True),
    Case("lost, for a tenth of a plan, then shares at the edge", 0.1, edge=True),
)


def drawn(
    rng: np.random.Generator, case: Case, survivors: int, disturbed: int, units: int
) -> NDArray[np.int64]:
    """Draw the instance of each unit; the last instance is the one that is dead."""
    before = rng.integers(0, survivors + 1, size=disturbed + (units if case.for_ever else 0))
    if not case.to_the_dead:
        before[before == survivors] = LOST
    shares = np.full(survivors, 1 / survivors)
    if case.edge:
        own = (1 - TOLERANCE) / survivors
        shares = np.append(own, np.full(survivors - 1, (1 - own) / (survivors - 1)))
    after = rng.choice(survivors, size=0 if case.for_ever else units, p=shares)
    return np.concatenate([before, after]).astype(np.int64)


@dataclass(frozen=True)
class Row:
    """How often each state was told, and the distances of the moments from the truth, in units."""

    index: int
    survivors: int
    planned: int
    rates: dict[str, float]
    distances: tuple[float, float, float] | None
    simulations: int

    def __str__(self) -> str:
        """Make a line of the table."""
        told = " / ".join(f"{self.rates[state]:.1%}" for state in ("recovered", "disturbed", "unknown"))
        off = "-" if self.distances is None else " / ".join(f"{each:+.0f}" for each in self.distances)
        return f"| {CASES[self.index].name} | {self.survivors} | {self.planned:,} | {told} | {off} |"

    def failure(self) -> str | None:
        """Say what is worse than promised."""
        case, allowed = CASES[self.index], ALPHA + 3 * (ALPHA * (1 - ALPHA) / self.simulations) ** 0.5
        name = f"{case.name}, {self.survivors} survivors"
        if (case.edge or case.for_ever) and self.rates["recovered"] > allowed:
            return f"{name}: called recovered in {self.rates['recovered']:.1%}"
        if self.distances is not None and not case.edge:
            # Never earlier than the disturbance's beginning, and not much later than its end.
            least, most = -0.1 * self.planned, 0.05 * self.planned
            if self.distances[0] < least or self.distances[2] > most:
                return (
                    f"{name}: the moment is off by {self.distances[0]:.0f} to {self.distances[2]:.0f} units"
                )
        return None


def measure(task: tuple[int, int, int, int]) -> Row:
    """Simulate a case for a number of survivors."""
    index, survivors, simulations, seed = task
    case = CASES[index]
    rng = np.random.default_rng([seed, index, survivors])
    shares = [1 / survivors] * survivors
    planned = units_needed(shares, TOLERANCE, CONFIDENCE)
    disturbed = round(case.disturbed * planned)
    found = [
        Distribution(
            drawn(rng, case, survivors, disturbed, PLANS * planned), [*shares, 0.0], TOLERANCE, CONFIDENCE
        ).recovery()
        for _ in range(simulations)
    ]
    states = [one.state for one in found]
    off = [one.first - disturbed for one in found if one.first is not None]
    low, middle, high = np.quantile(off, [0.05, 0.5, 0.95]).tolist() if off else (0.0, 0.0, 0.0)
    return Row(
        index,
        survivors,
        planned,
        {state: states.count(state) / simulations for state in ("recovered", "disturbed", "unknown")},
        (low, middle, high) if off and not case.for_ever else None,
        simulations,
    )


def main() -> int:
    """Measure all cases, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1000, help="of each row")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tasks = [
        (index, survivors, options.simulations, options.seed)
        for index in range(len(CASES))
        for survivors in SURVIVORS
    ]
    print(
        f"{options.simulations:,} simulations a row; tolerance {TOLERANCE:.0%}, confidence {CONFIDENCE:.0%}, "
        f"seed {options.seed}; {PLANS} plans of units after the disturbance.\n\n"
        "| Case | Survivors | Planned units | recovered / disturbed / unknown "
        "| Moment off by, in units (5 %, median, 95 %) |\n|---|--:|--:|--:|--:|"
    )
    failures = []
    with ProcessPoolExecutor() as pool:
        for row in pool.map(measure, tasks):
            print(row, flush=True)
            failures += [failure] if (failure := row.failure()) else []
    for failure in failures:
        print(f"worse than promised: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
