"""Is one result worse than another? Differences and ratios with intervals.

A difference of a figure between two results shows little: it differs between any two runs. So the answer is
an interval for the ratio, and one of three answers: within the tolerance, beyond it, or
unknown from these runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import stdtrit

from harness.stats.blocks import TimeBlocks, draws_for, limits
from harness.stats.histogram import highest_values, lowest_values
from harness.stats.latency import SHARES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Requests = tuple[NDArray[np.integer], NDArray[np.integer]]

Worse = Literal["no", "yes", "unknown"]


@dataclass(frozen=True)
class Comparison:
    """One figure of two results, with intervals.

    Attributes
    ----------
    ratio, ratio_low, ratio_high
        After to before, and its interval; None where a figure is 0.
    difference, difference_low, difference_high
        After less before, and its interval, in the figure's unit.
    confidence
        Of each of the two intervals.
    """

    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    difference: float
    difference_low: float
    difference_high: float
    confidence: float


@dataclass(frozen=True)
class ErrorsRisen:
    """Whether requests fail more often than before.

    Attributes
    ----------
    before, after
        The share of the requests that failed; None where there were none.
    p_value
        Probability of at least so many failures after, of all that there are, where neither is more
        prone to them.
    risen
        Whether the p-value is at most 1 - confidence.
    """

    before: float | None
    after: float | None
    p_value: float
    risen: bool


def compare(before: Sequence[float], after: Sequence[float], confidence: float = 0.95) -> Comparison | None:
    """Compare a figure that each run has one of: a p99, processor time per request, throughput.

    Parameters
    ----------
    before, after
        The figure of each run; shapes (runs before,) and (runs after,), which may differ.
    confidence
        Of each interval, between 0 and 1.

    Returns
    -------
    Comparison or None
        The ratio is that of the geometric means, the difference that of the arithmetic ones. None with
        fewer than two runs on either side: the variation between runs is unknown then.

    Raises
    ------
    ValueError
        A figure is negative, above 1e150 or no number, or the confidence is not between 0 and 1.

    Notes
    -----
    Welch's t interval (Biometrika 34, 1947), whose degrees of freedom are those of F. E. Satterthwaite
    (Biometrics Bulletin 2, 1946), on the values for the difference and on their logarithms for the ratio.
    It lets the sides vary by different amounts. Nothing is assumed of the requests in a run; runs are
    assumed to be independent and their figures (or logarithms) to be about normal. Where the figures
    don't vary at all on either side, the interval has no width.

    `benchmarks/coverage.py` measured, at 95 %, for 2, 3, 5 and 10 runs a side: the ratio's interval covers
    in 95 to 98 % where runs differ log-normally, and in 94 to 99 % where on both sides one run in five is
    30 % slower than the others.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    for values in (first, second):
        # The squares of larger ones are more than a double holds.
        if values.ndim != 1 or not ((values >= 0) & (values <= 1e150)).all():
            raise ValueError(f"one figure a run is needed, each from 0 to 1e150, not {values.tolist()}")
    if min(first.size, second.size) < 2:
        return None
    ratios: tuple[float | None, float | None, float | None] = (None, None, None)
    if first.all() and second.all():
        # Over 700 in the exponent there is no double; no ratio of two doubles' means gets there, an end may.
        exponents = np.clip(_welch(np.log(first), np.log(second), confidence), -700, 700)
        ratios = tuple(np.exp(exponents).tolist())
    return Comparison(*ratios, *_welch(first, second, confidence), confidence)


def _welch(before: Floats, after: Floats, confidence: float) -> tuple[float, float, float]:
    """Give the difference of the means, and the ends of its interval.

    Not with scipy.stats.ttest_ind: importing scipy.stats takes a second, and it warns of runs that agree.
    """
    difference = float(after.mean() - before.mean())
    parts = [float(values.var(ddof=1)) / values.size for values in (before, after)]
    variance = sum(parts)
    if variance == 0:
        return difference, difference, difference
    # In relation to their sum, since the square of a small variance is 0.
    dof = 1 / sum(
        (part / variance) ** 2 / (values.size - 1)
        for part, values in zip(parts, (before, after), strict=True)
    )
    off = float(-stdtrit(dof, (1 - confidence) / 2)) * variance**0.5
    return difference, difference - off, difference + off


def worse_beyond(comparison: Comparison | None, tolerance: float) -> Worse:
    """Say whether a figure of which less is better has become worse by more than a tolerance.

    For a figure of which more is better, such as throughput, compare the other way round:
    ``compare(after, before)``.

    Parameters
    ----------
    comparison
        The figure's; None is unknown.
    tolerance
        Relative, 0 or more: 0.2 lets the figure be 20 % larger than before.

    Returns
    -------
    "no", "yes" or "unknown"
        "no" where the ratio's interval lies at or below 1 + tolerance, "yes" where it lies above, and
        else "unknown". Each is wrong with a probability of at most (1 - confidence)/2.

    Raises
    ------
    ValueError
        The tolerance is negative or not finite.
    """
    if not 0 <= tolerance < np.inf:
        raise ValueError(f"a tolerance must be 0 or more, not {tolerance}")
    if comparison is None or comparison.ratio_low is None or comparison.ratio_high is None:
        return "unknown"
    if comparison.ratio_high <= 1 + tolerance:
        return "no"
    return "yes" if comparison.ratio_low > 1 + tolerance else "unknown"


def compare_latency_blocks(
    before: Requests, after: Requests, confidence: float = 0.95, *, seed: int = 0
) -> Mapping[str, Comparison | None]:
    """Compare the latency quantiles of one run with those of another, by resampling time blocks.

    It knows nothing of the differences between runs. Two runs of the same system differ, too, in what
    they found the machine doing, and the intervals don't contain that: a "yes" from them says that these
    two runs differ, not that the systems do. With two runs or more on either side `compare` tells that.

    Parameters
    ----------
    before, after
        Latency and start of each request, in nanoseconds, as in
        `harness.stats.latency.quantile_intervals`.
    confidence
        Of each interval, between 0 and 1.
    seed
        Equal seeds give equal intervals.

    Returns
    -------
    mapping
        `p50`, `p90`, `p99` and `p99_9` to a comparison, whose differences are in nanoseconds; None where
        either run supports no interval. The ratio is None where the quantile before can be 0.

    Raises
    ------
    ValueError
        As `harness.stats.latency.quantile_intervals`.

    Notes
    -----
    Blocks of both runs are drawn independently of each other, and the expanded percentiles of the
    draws' ratios and differences are the intervals' ends (`harness.stats.blocks.limits`).

    `benchmarks/coverage.py` measured, at 95 %, 2,000 and 20,000 requests a run: for pairs of runs of one
    kind, given intervals cover in 92 to 97 %. Where requests are alike over half a block, half of the
    pairs have an interval for the p50, which covers in 87 %.
    """
    draws = draws_for(confidence)
    both = [TimeBlocks.of(*requests) for requests in (before, after)]
    compared: dict[str, Comparison | None] = {}
    for name, share in SHARES.items():
        compared[name] = None
        if all(blocks.supports(share) for blocks in both):
            first, second = both
            drawn = first.resampled(share, draws, 2 * seed), second.resampled(share, draws, 2 * seed + 1)
            compared[name] = _of_draws(drawn, (first.quantile(share), second.quantile(share)), confidence)
    return compared


def _of_draws(
    drawn: tuple[NDArray[np.int64], NDArray[np.int64]], found: tuple[int, int], confidence: float
) -> Comparison:
    # A bucket stands for all of its values: the low end is that of the best case, the high end of the worst.
    (low_before, low_after), (high_before, high_after) = (
        [ends(buckets).astype(np.float64) for buckets in drawn] for ends in (lowest_values, highest_values)
    )
    before, after = (float(highest_values(np.array([bucket]))[0]) for bucket in found)
    low, high = limits(drawn[0], confidence)
    ratios: tuple[float | None, float | None, float | None] = (None, None, None)
    if low_before.all() and before:
        ratios = (
            after / before,
            float(np.sort(low_after / high_before)[low]),
            float(np.sort(high_after / low_before)[high]),
        )
    return Comparison(
        *ratios,
        after - before,
        float(np.sort(low_after - high_before)[low]),
        float(np.sort(high_after - low_before)[high]),
        confidence,
    )


def errors_risen(before: tuple[int, int], after: tuple[int, int], confidence: float = 0.95) -> ErrorsRisen:
    """Test whether a request fails more often than before.

    Parameters
    ----------
    before, after
        Failed requests and all requests.
    confidence
        One less the probability of saying "risen" where nothing has changed.

    Returns
    -------
    ErrorsRisen
        Without requests on either side the p-value is 1: nothing shows.

    Raises
    ------
    ValueError
        More requests failed than there were, a count is negative, or the confidence is not between 0
        and 1.

    Notes
    -----
    R. A. Fisher's exact test, one-sided (J. R. Statist. Soc. 98, 1935): given how many failed in all, the
    failures after are hypergeometric. It takes each request as failing for itself. Failures that come
    together, as all those while an instance was away, are fewer observations than they are requests, and
    the p-value is then too small; so is it for what differs between runs.
    """
    # As in drift: importing scipy.stats takes a second, which only this function's callers spend.
    from scipy.stats import hypergeom  # noqa: PLC0415  see above

    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    for failed, requests in (before, after):
        if not 0 <= failed <= requests:
            raise ValueError(f"of {requests} requests, {failed} can't have failed")
    shares = [failed / requests if requests else None for failed, requests in (before, after)]
    p_value = 1.0
    if before[1] and after[1]:
        p_value = float(hypergeom.sf(after[0] - 1, before[1] + after[1], before[0] + after[0], after[1]))
    return ErrorsRisen(shares[0], shares[1], p_value, risen=p_value <= 1 - confidence)
