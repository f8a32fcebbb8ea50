"""How often is the verdict wrong? Simulated runs of known truth, judged as the harness judges real ones.

    python benchmarks/calibration.py [--simulations N] [--seed N]

Each case is simulated for 2, 10 and 100 instances, at a quarter of the planned units, at the planned
ones, and at four times as many; and with early stopping, looked at ten times for each plan's worth of
units until four plans. Prints a Markdown table. The exit status is 1 where a wrong verdict is more
frequent than the confidence allows, or a fair strategy at the planned units is `even` less than 90 % of
the time, each by more than three standard errors of the simulation.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.stats.bands import binomial_evidence
from harness.stats.drift import drift, merged_windows
from harness.stats.planning import units_needed
from harness.stats.sequential import SequentialTest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from harness.types import Verdict

    Floats = NDArray[np.float64]
    Table = NDArray[np.int64]
    Draw = Callable[[np.random.Generator, Floats, int, int], Table]

TOLERANCE: Final = 0.1
CONFIDENCE: Final = 0.95
ALPHA: Final = 0.05
POWER: Final = 0.9
INSTANCES: Final = (2, 10, 100)
PLANS: Final = (0.25, 1.0, 4.0)
LOOKS: Final = 40
"""Looks of a run with early stopping, over four plans of units."""
SLICES: Final = 200
"""Pieces of time in which shares are constant."""
PERIODS: Final = 50
"""Pieces of time after which shares that drift have changed."""
BURST: Final = 20
VERDICTS: Final = ("even", "uneven", "inconclusive")


def sliced(units: int, slices: int) -> NDArray[np.int64]:
    """Divide units over slices of time as evenly as whole numbers allow."""
    limits: NDArray[np.int64] = np.linspace(0, units, slices + 1).astype(np.int64)
    return np.diff(limits)


def independent(rng: np.random.Generator, shares: Floats, units: int, slices: int) -> Table:
    """Choose an instance for every unit by itself."""
    return rng.multinomial(sliced(units, slices), shares)


def bursts(rng: np.random.Generator, shares: Floats, units: int, slices: int) -> Table:
    """Send successive units to one instance, then choose the next."""
    chosen: Table = BURST * rng.multinomial(sliced(units // BURST, slices), shares)
    return chosen


def turns(_: np.random.Generator, shares: Floats, units: int, slices: int) -> Table:
    """Let all instances take turns."""
    whole = np.add.outer(sliced(units, slices).cumsum(), np.arange(shares.size)) // shares.size
    first = np.zeros((1, shares.size), np.int64)
    taken: Table = np.diff(whole, axis=0, prepend=first)[:, ::-1]
    return taken


def trend(rng: np.random.Generator, shares: Floats, units: int, slices: int) -> Table:
    """Let half of the instances start at twice the tolerance above their mean and end as much below."""
    slope = np.linspace(2 * TOLERANCE, -2 * TOLERANCE, slices)
    signs = np.where(np.arange(shares.size) % 2, 1.0, -1.0)
    moved = shares * (1 + np.outer(slope, signs))
    return rng.multinomial(sliced(units, slices), moved / moved.sum(axis=1, keepdims=True))


def wandering(spread: float) -> Draw:
    """Give each period shares of its own, around the right mean."""

    def draw(rng: np.random.Generator, shares: Floats, units: int, slices: int) -> Table:
        periods = max(slices * PERIODS // SLICES, 1)
        # Gamma variates divided by their sum have the right means, and about this coefficient of variation.
        own = rng.gamma(shares / shares.mean() / spread**2, size=(periods, shares.size))
        own /= own.sum(axis=1, keepdims=True)
        return rng.multinomial(sliced(units, slices), np.repeat(own, slices // periods, axis=0))

    return draw


def kept_alive_naive(rng: np.random.Generator, shares: Floats, units: int, slices: int) -> Table:
    """Count requests of connections that each send ten, spread over the whole run."""
    requests = 10 * rng.multinomial(units // 10, shares)
    limits = np.linspace(0, 1, slices + 1)[:, None] * requests
    until = limits.astype(np.int64)
    return until[1:] - until[:-1]


def fair(instances: int) -> Floats:
    """Give everybody the same share."""
    return np.full(instances, 1 / instances)


def one_off(deviation: float) -> Callable[[int], Floats]:
    """Give the first instance a share that deviates, and the others what remains."""

    def shares(instances: int) -> Floats:
        own = (1 + deviation) / instances
        return np.append(own, np.full(instances - 1, (1 - own) / (instances - 1)))

    return shares


def all_at_the_edge(instances: int) -> Floats:
    """Give half of the instances the largest share that is tolerated, the others the smallest."""
    return (1 + TOLERANCE * np.where(np.arange(instances) % 2, 1.0, -1.0)) / instances


@dataclass(frozen=True)
class Case:
    """What is simulated, and which verdicts are wrong for it.

    `counted`: whether its wrong verdicts are the method's, and not those of the mistake that it shows.
    """

    name: str
    draw: Draw
    shares: Callable[[int], Floats]
    wrong: tuple[Verdict, ...]
    counted: bool = True


INSIDE: Final = ("uneven",)
OUTSIDE: Final = ("even",)
EDGE: Final = ("even", "uneven")

CASES: Final = (
    Case("fair, independent (also: connections kept alive)", independent, fair, INSIDE),
    Case("fair, bursts of 20 units", bursts, fair, INSIDE),
    Case("fair, round robin", turns, fair, INSIDE),
    Case("fair mean, trend from +20 % to -20 %", trend, fair, INSIDE),
    Case("fair mean, shares wander by 5 %", wandering(0.05), fair, INSIDE),
    Case("fair mean, shares wander by 20 %", wandering(0.2), fair, INSIDE),
    Case("one off by +5 %", independent, one_off(0.05), INSIDE),
    Case("one at the edge, -10 %", independent, one_off(-0.1), EDGE),
    Case("one at the edge, +10 %", independent, one_off(0.1), EDGE),
    Case("all at the edge, ±10 %", independent, all_at_the_edge, EDGE),
    Case("one at the edge, bursts of 20 units", bursts, one_off(-0.1), EDGE),
    Case("one at the edge, shares wander by 5 %", wandering(0.05), one_off(-0.1), EDGE),
    Case("one at the edge, shares wander by 20 %", wandering(0.2), one_off(-0.1), EDGE),
    Case("one off by -20 %", independent, one_off(-0.2), OUTSIDE),
    Case("one off by -50 %", independent, one_off(-0.5), OUTSIDE),
    Case(
        "*mistake shown:* requests counted, 10 each connection, fair",
        kept_alive_naive,
        fair,
        INSIDE,
        counted=False,
    ),
    Case(
        "*mistake shown:* requests counted, 10 each connection, one at the edge",
        kept_alive_naive,
        one_off(-0.1),
        EDGE,
        counted=False,
    ),
)


def judged(table: Table, expected: Floats) -> Verdict:
    """Judge a run of fixed length, with its dispersion, as `harness.analysis.evidence` does."""
    varied = drift(merged_windows(table))
    evidence = binomial_evidence(
        table.sum(axis=0),
        expected,
        TOLERANCE,
        dispersion=varied.inflation if varied else 1.0,
        dof=varied.dof if varied else None,
    )
    return evidence.verdict(ALPHA)


def watched(table: Table, expected: Floats) -> tuple[Verdict, float]:
    """Judge a run that stops as soon as it can; also give the part of its units that it took."""
    test = SequentialTest(expected.tolist(), TOLERANCE, CONFIDENCE)
    looks = table.reshape(LOOKS, -1, expected.size).sum(axis=1).cumsum(axis=0)
    for counts in looks:
        verdict = test.look(counts).verdict
        if verdict != "inconclusive":
            break
    return verdict, float(counts.sum() / looks[-1].sum())


@dataclass(frozen=True)
class Row:
    """Rates of the verdicts in VERDICTS's order: shape (plans + 1, 3), the last with early stopping."""

    index: int
    instances: int
    planned: int
    rates: Floats
    simulations: tuple[int, ...]
    used: float

    @property
    def case(self) -> Case:
        """What was simulated."""
        return CASES[self.index]

    def wrong(self) -> list[tuple[float, float]]:
        """Give each rate of wrong verdicts, and its standard error if it were alpha."""
        columns = [VERDICTS.index(verdict) for verdict in self.case.wrong]
        # At the edge both are wrong, each with a probability of its own.
        return [
            (float(rates[columns].max()), (ALPHA * (1 - ALPHA) / n) ** 0.5)
            for rates, n in zip(self.rates, self.simulations, strict=True)
        ]

    def failures(self) -> list[str]:
        """Name what is worse than promised."""
        found = [
            f"{self.case.name}, {self.instances} instances: wrong in {rate:.1%}"
            for rate, error in self.wrong()
            if self.case.counted and rate > ALPHA + 3 * error
        ]
        even, n = self.rates[PLANS.index(1.0)][0], self.simulations[PLANS.index(1.0)]
        if self.case is CASES[0] and even < POWER - 3 * (POWER * (1 - POWER) / n) ** 0.5:
            found.append(f"{self.instances} instances: a fair strategy is even in only {even:.1%}")
        return found

    def __str__(self) -> str:
        """Make a line of the table."""
        cells = [f"{rates[0]:.1%} / {rates[1]:.1%}" for rates in self.rates]
        worst = max(self.wrong())[0]
        return (
            f"| {self.case.name} | {self.instances} | {self.planned:,} | {' | '.join(cells)} "
            f"| {self.used:.2f} | {worst:.1%} |"
        )


def measure(task: tuple[int, int, int, int]) -> Row:
    """Simulate a case for a number of instances."""
    case_index, instances, simulations, seed = task
    case = CASES[case_index]
    rng = np.random.default_rng([seed, case_index, instances])
    expected, true = fair(instances), case.shares(instances)
    planned = units_needed(expected.tolist(), TOLERANCE, CONFIDENCE, POWER)
    rates = []
    for plan in PLANS:
        units = round(plan * planned)
        found = [judged(case.draw(rng, true, units, SLICES), expected) for _ in range(simulations)]
        rates.append([found.count(verdict) / simulations for verdict in VERDICTS])
    few = max(simulations // 5, 1)
    stopped = [watched(case.draw(rng, true, 4 * planned, SLICES), expected) for _ in range(few)]
    verdicts = [verdict for verdict, _ in stopped]
    rates.append([verdicts.count(verdict) / few for verdict in VERDICTS])
    used = 4 * float(np.median([part for _, part in stopped]))
    return Row(case_index, instances, planned, np.array(rates), (*[simulations] * len(PLANS), few), used)


def main() -> int:
    """Measure all cases, on all cores, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--simulations", type=int, default=1000, help="of each cell; a fifth of them with early stopping"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tasks = [
        (index, instances, options.simulations, options.seed)
        for index in range(len(CASES))
        for instances in INSTANCES
    ]
    print(
        f"Rates of `even` / `uneven`; {options.simulations:,} simulations a cell, "
        f"{options.simulations // 5:,} with early stopping; tolerance 10 %, confidence 95 %, "
        f"seed {options.seed}.\n\n"
        "| Case | Instances | Planned units | Plan / 4 | Plan | 4 plans "
        "| Early stopping | Units used, in plans (median) | Wrong at most |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    failures = []
    with ProcessPoolExecutor() as pool:
        for row in pool.map(measure, tasks):
            print(row, flush=True)
            failures += row.failures()
    for failure in failures:
        print(f"more often wrong than promised: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
