"""Latency in five numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Quantiles(NamedTuple):
    """Latency quantiles in nanoseconds; all None where nothing was measured."""

    p50: int | None
    p90: int | None
    p99: int | None
    p99_9: int | None
    max: int | None


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
    values = np.quantile(latencies_ns, [0.5, 0.9, 0.99, 0.999, 1.0], method="inverted_cdf")
    return Quantiles(*(int(value) for value in values))
