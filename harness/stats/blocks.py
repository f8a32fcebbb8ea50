"""A run cut into time blocks: the resampling that latency quantiles have their intervals from.

Requests that are under way together wait for the same things: a stall makes all of them slow. So 10,000
latencies are not 10,000 observations, and methods that take them as such give intervals that are too
narrow, often by far. What is nearly independent are pieces of the run that are long compared to whatever
makes latencies alike. The run is cut into 30 of them, and it is these that are drawn, with replacement.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import ndtr, stdtrit

from harness.stats.histogram import bucket_indices

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCKS: Final = 30
"""Blocks of a run.

Few are wanted, since the longer they are, the less they depend on each other; but intervals from few
blocks are wide. B. Schmeiser (Operations Research 30, 1982) found that more than 30 hardly narrow them.
"""

FEWEST_PIECES: Final = 10
"""Equally large pieces that the slowest requests must count for, if a quantile is to have an interval."""

# Largest correlation of neighbouring blocks that independent ones show in 19 of 20 runs, times sqrt(BLOCKS).
_CORRELATED: Final = 1.645

# Requests that are counted at a time.
_CHUNK: Final = 1 << 19


@dataclass(frozen=True, eq=False)
class TimeBlocks:
    """What requests took in each block of a run, in the buckets of `harness.stats.histogram`.

    Attributes
    ----------
    indices
        The buckets that have requests, ascending; shape (occupied,).
    cumulated
        Requests of each block in the buckets up to each of these; shape (`BLOCKS`, occupied). Whole
        numbers, as doubles.
    """

    indices: NDArray[np.int64]
    cumulated: NDArray[np.float64]

    @classmethod
    def of(cls, latencies_ns: NDArray[np.integer], starts_ns: NDArray[np.integer]) -> TimeBlocks:
        """Count requests.

        Parameters
        ----------
        latencies_ns, starts_ns
            How long each request took, and when it started, from any origin, in nanoseconds; both of
            shape (requests,), in the same order, which may be any.

        Raises
        ------
        ValueError
            The arrays differ in length, or a latency is negative or no whole number.
        """
        if latencies_ns.ndim != 1 or latencies_ns.shape != starts_ns.shape:
            raise ValueError(
                f"one latency and one start a request are needed, not {latencies_ns.size} latencies "
                f"and {starts_ns.size} starts"
            )
        if not starts_ns.size:
            return cls(np.zeros(0, dtype=np.int64), np.zeros((BLOCKS, 0)))
        first = int(starts_ns.min())
        length = -(-(int(starts_ns.max()) - first + 1) // BLOCKS)
        buckets = int(bucket_indices(latencies_ns.max())) + 1
        counts = np.zeros(BLOCKS * buckets, dtype=np.int64)
        for begin in range(0, starts_ns.size, _CHUNK):
            part = slice(begin, begin + _CHUNK)
            place = (starts_ns[part].astype(np.int64, copy=False) - first) // length
            place *= buckets
            place += bucket_indices(latencies_ns[part])
            found = np.bincount(place)
            counts[: found.size] += found
        table = counts.reshape(BLOCKS, buckets)
        indices = np.flatnonzero(table.any(axis=0))
        return cls(indices, table[:, indices].cumsum(axis=1).astype(np.float64))

    def supports(self, q: float) -> bool:
        """Check whether the blocks' differences determine the quantile's uncertainty.

        Two things are needed. The requests beyond the quantile must not be a few blocks' alone: with
        e of them in a block, (sum e)² / sum e² is the number of equally large pieces that they count for
        (L. Kish, Survey Sampling, 1965), and must be 10 or more; so must their own number, which may be
        less where many requests took equally long. And a block's share of them must not resemble the
        share of the one before: then what makes requests slow lasts longer than a block. The check is
        the lag-1 correlation, one-sided at 5 %, as in G. S. Fishman's choice of batches (Management
        Science 24, 1978).
        """
        if not self.indices.size:
            return False
        sizes, totals, at = self.cumulated[:, -1], self.cumulated.sum(axis=0), self._place(q)
        # Of the quantile's own bucket, as large a part lies beyond as makes the whole 1 - q of all.
        own = self.cumulated[:, at] - (self.cumulated[:, at - 1] if at else 0)
        part = (totals[at] - q * totals[-1]) / own.sum()
        beyond = sizes - self.cumulated[:, at] + part * own
        many = float(beyond.sum())
        # A hair less than ten: 1 - 0.99 is a little less than a hundredth.
        if many < FEWEST_PIECES - 1e-6 or many**2 < FEWEST_PIECES * float(beyond @ beyond):
            return False
        off = beyond - (1 - q) * sizes
        # Blocks that are all alike, but for rounding, don't depend on each other.
        variation = max(float(off @ off), 1e-9)
        correlation = float(off[1:] @ off[:-1]) / variation
        return correlation <= float(_CORRELATED / BLOCKS**0.5)

    def quantile(self, q: float) -> int:
        """Give the quantile's bucket; there must be requests."""
        return int(self.indices[self._place(q)])

    def _place(self, q: float) -> int:
        totals = self.cumulated.sum(axis=0)
        return int(np.searchsorted(totals, np.ceil(q * totals[-1])))

    def resampled(self, q: float, draws: int, seed: int) -> NDArray[np.int64]:
        """Give the quantile's bucket in runs made of blocks of this one.

        Parameters
        ----------
        q
            The quantile's share.
        draws
            How many such runs.
        seed
            Equal seeds draw equal blocks, whatever the quantile.

        Returns
        -------
        ndarray of int64
            Buckets, in no order; shape (draws,).
        """
        weights = np.random.default_rng(seed).multinomial(BLOCKS, np.full(BLOCKS, 1 / BLOCKS), draws)
        ranks = np.maximum(np.ceil(q * (weights @ self.cumulated[:, -1])), 1)
        low, high = np.zeros(draws, dtype=np.int64), np.full(draws, self.indices.size - 1)
        # All draws are halved at once, so that none's histogram is ever made.
        while (low < high).any():
            middle = (low + high) // 2
            reached = np.einsum("dk,kd->d", weights, self.cumulated[:, middle]) >= ranks
            low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
        return self.indices[low]


def draws_for(confidence: float) -> int:
    """Say how many draws an interval needs: some 50 beyond each end, and at most 100,000 in all."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    return min(ceil(100 / (1 - confidence)), 100_000)


def limits(drawn: NDArray[np.generic], confidence: float) -> tuple[int, int]:
    """Say which of the sorted draws are the ends of the interval.

    Notes
    -----
    The middle part of the draws, as large as the confidence, would be too narrow an interval by about
    4 % for 30 blocks: draws vary by (BLOCKS - 1)/BLOCKS of the variance, and take it as known. T. Hesterberg
    (The American Statistician 69, 2015) widens it as the t distribution does for a mean. Of each end,
    Phi(sqrt(BLOCKS / (BLOCKS - 1)) t) of the draws are cut off, with t the quantile (1 - confidence)/2 of
    Student's distribution with BLOCKS - 1 degrees of freedom.
    """
    student = stdtrit(BLOCKS - 1, (1 - confidence) / 2)
    cut = int(ndtr((BLOCKS / (BLOCKS - 1)) ** 0.5 * student) * drawn.size)
    return cut, drawn.size - 1 - cut
