from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.latency import Quantiles, quantiles_ns


def test_quantiles_of_a_thousand_known_latencies() -> None:
    """Of 1 to 1,000 ns, the p-th percentile is the value that p percent are at most."""
    shuffled = np.random.default_rng(1).permutation(np.arange(1, 1001))
    assert quantiles_ns(shuffled) == Quantiles(500, 900, 990, 999, 1000)


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=200))
def test_quantiles_are_observed_and_in_order(latencies: list[int]) -> None:
    """Each quantile is one of the latencies, to the nanosecond, and none is below the one before."""
    found = [value for value in quantiles_ns(np.array(latencies, dtype=np.int64)) if value is not None]
    assert len(found) == 5
    assert set(found) <= set(latencies)
    assert found == sorted(found)
    assert found[-1] == max(latencies)


def test_no_latencies_have_no_quantiles() -> None:
    """Nothing measured is None, which can't be taken for very fast."""
    assert quantiles_ns(np.array([], dtype=np.int64)) == Quantiles(None, None, None, None, None)


def test_one_latency_is_every_quantile() -> None:
    """A single request is its own median and maximum."""
    assert quantiles_ns(np.array([7])) == pytest.approx(Quantiles(7, 7, 7, 7, 7))
