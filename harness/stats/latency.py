"""Latency in five numbers, and how sure they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.special import stdtrit

from harness.stats.blocks import TimeBlocks, draws_for, limits
from harness.stats.histogram import highest_values, lowest_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

SHARES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999}
"""Of each quantile that can have an interval, the share of requests that are at most as slow."""

FEWEST_BEYOND: Final = 10
"""Slower requests that a run must have for its quantile to be near the one of a longer run."""


class Quantiles(NamedTuple):
    """Latency quantiles in nanoseconds; all None where nothing was measured."""

    p50: int | None
    p90: int | None
    p99: int | None
    p99_9: int | None
    max: int | None


class Interval(NamedTuple):
    """A confidence interval in nanoseconds, both ends belonging to it."""

    low: int
    high: int


def quantiles_ns(latencies_ns: NDArray[np.int64]) -> Quantiles:
    """Give the quantiles of latencies.

    Parameters
    ----------
    latencies_ns
        One latency a request, in nanoseconds, in any order.

    Returns
    -------
    Quantiles
        Each is a latency that was observed (Hyndman and Fan's type 1), never one in between. All
        are None, not 0, for no latencies: 0 would read as very fast.
    """
    if latencies_ns.size == 0:
        return Quantiles(None, None, None, None, None)
    values = np.quantile(latencies_ns, [*SHARES.values(), 1.0], method="inverted_cdf")
    return Quantiles(*(int(value) for value in values))


def quantile_intervals(
    latencies_ns: NDArray[np.integer],
    starts_ns: NDArray[np.integer],
    confidence: float = 0.95,
    *,
    seed: int = 0,
) -> Mapping[str, Interval | None]:
    """Give confidence intervals of one run's latency quantiles, by resampling time blocks.

    An interval covers the quantile of a much longer run in the same conditions. It knows nothing of the
    differences between runs, which are often larger: `quantile_intervals_of_runs` does.

    Parameters
    ----------
    latencies_ns, starts_ns
        How long each request took, and when it started, from any origin, in nanoseconds; both of shape
        (requests,), in the same order, which may be any.
    confidence
        Of each interval for itself.
    seed
        Equal seeds give equal intervals.

    Returns
    -------
    mapping
        `p50`, `p90`, `p99` and `p99_9` to an interval; None where the data support none: the slower
        requests are too few or come from few of the blocks, or what makes them slow lasts longer than a
        block (`harness.stats.blocks.TimeBlocks.supports`). The p99.9 of 500 requests has none.

    Raises
    ------
    ValueError
        The arrays differ in length, a latency is negative or no whole number, or the confidence is not
        between 0 and 1.

    Notes
    -----
    A block bootstrap with blocks side by side (E. Carlstein, Annals of Statistics 14, 1986) and expanded
    percentiles (`harness.stats.blocks.limits`). The ends are those of histogram buckets, rounded away from
    the quantile by at most one part in 1,024.

    `benchmarks/coverage.py` measured, at 95 % and 500 runs of 30 s a cell: for 500 to 200,000 independent
    requests, given intervals cover in 93 to 97 %. So they do where requests are alike over up to a sixth of
    a block (91 to 96 %, but for the p99 and p99.9, which then mostly have none), and with 20 stalls of
    50 ms or 100 of 20 ms (92 to 97 %).

    Less than 90 % where what makes requests slow is rare or slow itself, and a run happens not to show it:
    with 3 stalls of 50 ms, a quarter to two fifths of the runs have an interval of the p99, which covers
    in 63 to 82 %, and those without any stall, a twentieth, one of the p99.9, which never does. Where
    requests are alike over half a block, two thirds have one of the p50, which covers in 84 to 86 %, and
    an eighth one of the p90, in 53 to 72 %. That can't be mended by stricter conditions, which leave out
    more good intervals than bad ones. Of all runs, at most 11 % had an interval that missed.
    """
    draws = draws_for(confidence)
    blocks = TimeBlocks.of(latencies_ns, starts_ns)
    intervals: dict[str, Interval | None] = {}
    for name, share in SHARES.items():
        intervals[name] = None
        if blocks.supports(share):
            drawn = np.sort(blocks.resampled(share, draws, seed))
            ends = drawn[list(limits(drawn, confidence))]
            intervals[name] = Interval(int(lowest_values(ends)[0]), int(highest_values(ends)[1]))
    return intervals


def quantile_intervals_of_runs(
    runs: Sequence[Quantiles], requests: Sequence[int], confidence: float = 0.95
) -> Mapping[str, Interval | None]:
    """Give confidence intervals of a typical run's latency quantiles, from several runs.

    Parameters
    ----------
    runs
        The quantiles of each run; shape (runs,).
    requests
        How many latencies each run's are the quantiles of; shape (runs,).
    confidence
        Of each interval for itself.

    Returns
    -------
    mapping
        `p50`, `p90`, `p99` and `p99_9` to an interval for the geometric mean of the quantile over all
        runs that might be made; None where there are fewer than two runs, or a run has fewer than ten
        requests beyond the quantile, or the quantile is 0.

    Raises
    ------
    ValueError
        There is not one number of requests for each run, or the confidence is not between 0 and 1.

    Notes
    -----
    Student's t interval on the logarithms of the runs' quantiles. A run is one observation, however many
    requests it has: A. Georges, D. Buytaert and L. Eeckhout (OOPSLA 2007); T. Kalibera and R. Jones
    (ISMM 2013).

    `benchmarks/coverage.py` measured, at 95 %, with 5,000 results a cell, for 2, 3, 5 and 10 runs: 94 to 96 %
    where runs differ log-normally, by 5 or 30 %, or only by what their requests differ by. Where one run
    in five is 30 % slower than the others, two runs' intervals of the p50 cover in 43 %, three in 48 %,
    five in 67 % and ten in 89 %: few runs often have no slow one among them, which stays unnoticed.
    """
    if len(runs) != len(requests):
        raise ValueError(
            f"the requests of each run are needed, not {len(requests)} numbers for {len(runs)} runs"
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    return {name: _of_runs(name, runs, requests, confidence) for name in SHARES}


def _of_runs(
    name: str, runs: Sequence[Quantiles], requests: Sequence[int], confidence: float
) -> Interval | None:
    found: list[int | None] = [getattr(run, name) for run in runs]
    values = [value for value in found if value]
    # A hair less than ten: 1 - 0.99 is a little less than a hundredth.
    supported = (count * (1 - SHARES[name]) > FEWEST_BEYOND - 1e-6 for count in requests)
    if len(found) < 2 or len(values) < len(found) or not all(supported):
        return None
    logs = np.log(values)
    off = -float(stdtrit(len(values) - 1, (1 - confidence) / 2) * logs.std(ddof=1) / len(values) ** 0.5)
    low, high = np.exp(logs.mean() - off), np.exp(logs.mean() + off)
    # Two runs that differ much can have an interval up to more than is ever measured.
    return Interval(int(np.floor(low)), int(np.ceil(min(high, 2.0**62))))
