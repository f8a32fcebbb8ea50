"""How often do the intervals of latency quantiles and ratios cover the truth? Simulated runs, known truth.

    python benchmarks/coverage.py [--simulations N] [--seed N]

A run lasts 30 s, and its requests start at random moments. Their latencies are log-normal: independent,
or alike over a correlation time of so many requests (an autoregression of the logarithms), or independent
but for stalls, in which all requests wait for the stall's end. Each interval has a confidence of 95 %. It
covers if it contains the quantile of an endless run, or the ratio 1 of two runs of the same kind. A cell
says how many of 100 given intervals cover, with the standard error of the simulation, and in how many of
100 runs one is given at all; `-` where fewer than 20 were given. Prints Markdown tables. The exit status
is 1 where intervals cover less than 93 % though requests are independent, or runs differ log-normally; or
where otherwise more than an eighth of all runs have an interval that misses; each by more than three
standard errors. Nothing is asked of runs of two kinds, which show the limits of few runs.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri

from harness.stats.comparison import compare, compare_latency_blocks
from harness.stats.latency import (
    SHARES,
    Quantiles,
    quantile_intervals,
    quantile_intervals_of_runs,
    quantiles_ns,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from harness.stats.comparison import Comparison

    Ends = tuple[float, float]
    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

CONFIDENCE: Final = 0.95
PROMISED: Final = 0.93
"""What given intervals must cover where all is as their formulas have it."""
MISSED: Final = 0.125
"""Runs that may have an interval that misses, where it is not."""
REQUESTS: Final = (500, 2_000, 20_000, 200_000)
COMPARED: Final = (2_000, 20_000)
RUNS: Final = (2, 3, 5, 10)
FEWEST: Final = 20
"""Given intervals whose coverage is worth telling."""
RUN_NS: Final = 30 * 10**9
MEDIAN, SPREAD = 13.0, 0.5
"""Mean and standard deviation of the logarithms of the latencies in nanoseconds: a median of 0.44 ms."""
POOL: Final = 1_000
"""Runs that several are drawn from."""


@dataclass(frozen=True)
class Condition:
    """What makes latencies alike: a correlation time in requests, or stalls of a run and their length."""

    name: str
    alike_over: float = 0
    stalls: float = 0
    stall_ns: float = 0

    @property
    def promised(self) -> bool:
        """Whether requests are independent, as the intervals would have it at best."""
        return not self.alike_over and not self.stalls

    def draw(self, rng: np.random.Generator, requests: int) -> tuple[Integers, Integers]:
        """Give latencies and starts of a run, in order of the starts."""
        starts = np.sort(rng.integers(RUN_NS, size=requests))
        logs = rng.normal(size=requests)
        if self.alike_over:
            factor = np.exp(-1 / self.alike_over)
            logs[1:] *= np.sqrt(1 - factor**2)
            logs = lfilter([1], [1, -factor], logs)
        return (np.exp(MEDIAN + SPREAD * logs) + self._waits(rng, starts)).astype(np.int64), starts

    def _waits(self, rng: np.random.Generator, starts: Integers) -> Floats:
        """Give how long each request waits for the end of the last stall that it meets."""
        # As many began in the moment before the run as in any other.
        stalls = rng.poisson(self.stalls * (1 + self.stall_ns / RUN_NS))
        ends = np.append(np.sort(rng.uniform(0, RUN_NS + self.stall_ns, stalls)), np.inf)
        waits = np.zeros(starts.size)
        if stalls:
            # The last one to begin before the request is the last one to end.
            last = np.searchsorted(ends - self.stall_ns, starts, side="right") - 1
            waits = np.maximum(np.where(last >= 0, ends[last] - starts, 0), 0)
        return waits

    def truth(self, share: float) -> float:
        """Give the quantile of an endless run.

        A wait is at most x if no stall began from stall_ns to x before its end, so, at the rate r of stalls,
        with the probability exp(-r (stall_ns - x)); the latency is its sum with an independent one.
        """
        if not self.stalls:
            return float(np.exp(MEDIAN + SPREAD * ndtri(share)))
        rate = self.stalls / RUN_NS
        waits = np.linspace(0, self.stall_ns, 20_001)
        density = rate * np.exp(-rate * (self.stall_ns - waits))

        def excess(latency: float) -> float:
            with np.errstate(divide="ignore"):
                without = ndtr((np.log(np.maximum(latency - waits, 0)) - MEDIAN) / SPREAD)
            below = float(np.trapezoid(without * density, waits) + np.exp(-rate * self.stall_ns) * without[0])
            return below - share

        return float(brentq(excess, 1, 100 * self.stall_ns))


CONDITIONS: Final = (
    Condition("independent"),
    Condition("alike over 10 requests", alike_over=10),
    Condition("alike over 100 requests", alike_over=100),
    Condition("alike over 300 requests", alike_over=300),
    Condition("alike over 1,000 requests", alike_over=1_000),
    Condition("3 stalls of 50 ms", stalls=3, stall_ns=50e6),
    Condition("20 stalls of 50 ms", stalls=20, stall_ns=50e6),
    Condition("100 stalls of 20 ms", stalls=100, stall_ns=20e6),
)


@dataclass(frozen=True)
class Rate:
    """How often an interval was given, and how often it covered then."""

    given: int
    covered: int
    simulations: int

    @property
    def error(self) -> float:
        """Standard error of the coverage; that of one half a draw from covering all, where all do."""
        share = min(max(self.covered / self.given, 0.5 / self.given), 1 - 0.5 / self.given)
        return float((share * (1 - share) / self.given) ** 0.5)

    def too_low(self, *, promised: bool | None) -> bool:
        """Whether fewer cover than there should; nothing is asked of what is None."""
        if not self.given or promised is None:
            return False
        if promised:
            return self.covered / self.given + 3 * self.error < PROMISED
        missed = (self.given - self.covered) / self.simulations
        return missed - 3 * float((missed * (1 - missed) / self.simulations) ** 0.5) > MISSED

    def __str__(self) -> str:
        """Make a cell of a table."""
        if not self.given:
            return "none"
        given = f"({self.given / self.simulations * 100:.0f})"
        if self.given < FEWEST:
            return f"- {given}"
        return f"{self.covered / self.given * 100:.0f} ± {self.error * 100:.0f} {given}"


@dataclass(frozen=True)
class Task:
    """A row of a table to be simulated."""

    condition: int
    number: int
    simulations: int
    seed: int

    def rng(self) -> np.random.Generator:
        """Give the row's own random numbers."""
        return np.random.default_rng([self.seed, self.condition, self.number])


def one_run(task: Task) -> list[Rate]:
    """Measure `quantile_intervals` for runs of so many requests."""
    rng, condition = task.rng(), CONDITIONS[task.condition]
    truths = [condition.truth(share) for share in SHARES.values()]
    found = []
    for seed in range(task.simulations):
        intervals = quantile_intervals(*condition.draw(rng, task.number), CONFIDENCE, seed=seed)
        found.append(list(intervals.values()))
    return [
        _rate([row[column] for row in found], truth, task.simulations) for column, truth in enumerate(truths)
    ]


def two_runs(task: Task) -> list[Rate]:
    """Measure `compare_latency_blocks` for pairs of runs of so many requests."""
    rng, condition = task.rng(), CONDITIONS[task.condition]
    found = []
    for seed in range(task.simulations):
        both = [condition.draw(rng, task.number) for _ in range(2)]
        compared = compare_latency_blocks(both[0], both[1], CONFIDENCE, seed=seed).values()
        found.append([_ends(each) for each in compared])
    return [_rate([row[column] for row in found], 1, task.simulations) for column in range(len(SHARES))]


def _rate(intervals: Sequence[Ends | None], truth: float, simulations: int) -> Rate:
    given = [interval for interval in intervals if interval is not None]
    return Rate(len(given), sum(low <= truth <= high for low, high in given), simulations)


@dataclass(frozen=True)
class Variation:
    """How much slower or faster a whole run is than others, and the mean of its logarithm."""

    name: str
    draw: Callable[[np.random.Generator, int], Floats]
    mean_log: float = 0.0
    promised: bool | None = True


VARIATIONS: Final = (
    Variation("by what their requests differ by, only", lambda _, runs: np.ones(runs)),
    Variation("by 5 %, log-normal", lambda rng, runs: np.exp(rng.normal(0, 0.05, runs))),
    Variation("by 30 %, log-normal", lambda rng, runs: np.exp(rng.normal(0, 0.3, runs))),
    Variation(
        "one in five is 30 % slower",
        lambda rng, runs: np.where(rng.random(runs) < 0.2, 1.3, 1.0),
        mean_log=0.2 * float(np.log(1.3)),
        promised=None,
    ),
)


def several_runs(task: Task) -> list[Rate]:
    """Measure `quantile_intervals_of_runs` and `compare` for several runs of 20,000 requests.

    A run is one of a thousand simulated ones, made slower or faster as a whole.
    """
    rng, variation = task.rng(), VARIATIONS[task.condition]
    pool = np.array([quantiles_ns(CONDITIONS[0].draw(rng, 20_000)[0]) for _ in range(POOL)], dtype=np.float64)
    truths = np.exp(np.log(pool).mean(axis=0) + variation.mean_log).tolist()
    of_runs, ratios = [], []
    for _ in range(task.simulations):
        both = [
            pool[rng.integers(POOL, size=task.number)] * variation.draw(rng, task.number)[:, None]
            for _ in range(2)
        ]
        runs = [Quantiles(*map(int, row)) for row in both[0]]
        of_runs.append(list(quantile_intervals_of_runs(runs, [20_000] * task.number, CONFIDENCE).values()))
        compared = compare(both[0][:, 2].tolist(), both[1][:, 2].tolist(), CONFIDENCE)
        ratios.append(_ends(compared))
    rates = [_rate([row[column] for row in of_runs], truths[column], task.simulations) for column in range(4)]
    return [*rates, _rate(ratios, 1, task.simulations)]


def _ends(compared: Comparison | None) -> Ends | None:
    if compared is None or compared.ratio_low is None or compared.ratio_high is None:
        return None
    return compared.ratio_low, compared.ratio_high


_QUANTILES: Final = ("p50", "p90", "p99", "p99.9")


@dataclass(frozen=True)
class Table:
    """What is simulated for a table, and its headings."""

    title: str
    row: str
    number: str
    columns: tuple[str, ...]
    measure: Callable[[Task], list[Rate]]
    rows: tuple[Condition, ...] | tuple[Variation, ...]
    numbers: tuple[int, ...]
    times: int = 1
    """Simulations of a row for each that is asked for: some cost less."""


TABLES: Final = (
    Table("Quantiles of one run", "Latencies", "Requests", _QUANTILES, one_run, CONDITIONS, REQUESTS),
    Table("Ratio of two runs", "Latencies", "Requests each", _QUANTILES, two_runs, CONDITIONS, COMPARED),
    Table(
        "Quantiles of several runs, and the ratio of two results of so many runs each",
        "Runs differ",
        "Runs",
        (*_QUANTILES, "ratio of the p99"),
        several_runs,
        VARIATIONS,
        RUNS,
        times=10,
    ),
)


def main() -> int:
    """Simulate all tables, on all cores, and print them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--simulations", type=int, default=400, help="of a row; ten times of several runs")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(
        f"Of 100 given intervals of {CONFIDENCE:.0%}, so many cover ± standard error (and of 100 runs or "
        f"pairs, so many are given one); {options.simulations} simulations a row, of several runs ten "
        f"times as many; seed {options.seed}."
    )
    low = []
    with ProcessPoolExecutor() as pool:
        for table in TABLES:
            print(f"\n{table.title}\n\n| {table.row} | {table.number} | {' | '.join(table.columns)} |")
            print(f"|---|{'--:|' * (1 + len(table.columns))}")
            tasks = [
                Task(index, number, options.simulations * table.times, options.seed)
                for index in range(len(table.rows))
                for number in table.numbers
            ]
            for task, rates in zip(tasks, pool.map(table.measure, tasks), strict=True):
                row = table.rows[task.condition]
                name = f"{row.name} | {task.number:,}"
                print(f"| {name} | {' | '.join(map(str, rates))} |", flush=True)
                low += [f"{name}: {rate}" for rate in rates if rate.too_low(promised=row.promised)]
    for cell in low:
        print(f"covers less than it should: {cell}", file=sys.stderr)
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
