from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.stats.intervals import Method, simultaneous_intervals

if TYPE_CHECKING:
    from random import Random

METHODS: tuple[Method, ...] = get_args(Method)
all_methods = pytest.mark.parametrize("method", METHODS)


def theirs(counts: list[int], confidence: float, method: Method) -> np.ndarray:
    """Ask statsmodels, whose Sison-Glaz warns of logarithms of negative numbers on its way."""
    from statsmodels.stats.proportion import multinomial_proportions_confint

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(multinomial_proportions_confint(counts, 1 - confidence, method))


@settings(deadline=None)  # the first example imports statsmodels
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=30).filter(any), st.floats(0.5, 0.999))
def test_goodman_is_what_statsmodels_computes(counts: list[int], confidence: float) -> None:
    """For any counts."""
    found = simultaneous_intervals(counts, confidence)
    assert found == pytest.approx(theirs(counts, confidence, "goodman").clip(0, 1), abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 60), min_size=2, max_size=12), st.sampled_from([0.9, 0.95, 0.99]))
def test_sison_glaz_is_what_statsmodels_computes(counts: list[int], confidence: float) -> None:
    """For counts that are small enough for it, and not so few that its expansion turns negative."""
    assume(sum(counts) >= 20)
    found = simultaneous_intervals(counts, confidence, "sison-glaz")
    assert found == pytest.approx(theirs(counts, confidence, "sison-glaz"), abs=1e-6)


@all_methods
@settings(deadline=None)
@given(
    counts=st.lists(st.integers(0, 3000), min_size=1, max_size=20),
    confidence=st.floats(0.5, 0.999),
    random=st.randoms(use_true_random=False),
)
def test_intervals_hold_the_observed_shares_and_move_with_labels(
    method: Method, counts: list[int], confidence: float, random: Random
) -> None:
    """Lower limit ≤ share ≤ upper limit, all within 0 and 1; relabelling changes nothing else."""
    found = simultaneous_intervals(counts, confidence, method)
    assert found.shape == (len(counts), 2)
    if not any(counts):
        assert (found[:, 1] == 1).all()
        return
    shares = np.array(counts) / sum(counts)
    assert (found[:, 0] <= shares + 1e-12).all()
    assert (shares <= found[:, 1] + 1e-12).all()
    assert found.min() >= 0
    assert found.max() <= 1
    order = list(range(len(counts)))
    random.shuffle(order)
    other = simultaneous_intervals([counts[i] for i in order], confidence, method)
    assert other == pytest.approx(found[order], abs=1e-9)


@all_methods
def test_all_shares_are_held_together_with_the_confidence(method: Method) -> None:
    """Of 2,000 measurements of ten equal shares, about 95 % have all of them in their intervals."""
    draws = np.random.default_rng(1).multinomial(
        2000, [0.1] * 10, size=2000 if method != "sison-glaz" else 400
    )
    limits = [simultaneous_intervals(row, 0.95, method) for row in draws]
    held = np.mean([((one[:, 0] <= 0.1) & (one[:, 1] >= 0.1)).all() for one in limits])
    assert 0.92 < held < 0.99


@pytest.mark.parametrize(("n", "instances"), [(3, 2), (10, 10), (500, 100)])
def test_exact_intervals_hold_with_few_units_too(n: int, instances: int) -> None:
    """Where approximations promise too much: with 5 units each, Goodman's hold 82 %, not 95 %."""
    draws = np.random.default_rng(2).multinomial(n, [1 / instances] * instances, size=1000)

    def held(method: Method) -> float:
        limits = [simultaneous_intervals(row, 0.95, method) for row in draws]
        share = 1 / instances
        return float(np.mean([((one[:, 0] <= share) & (share <= one[:, 1])).all() for one in limits]))

    assert held("exact") > 0.95 - 0.035
    if instances == 100:
        assert held("goodman") < 0.88


def test_exact_intervals_are_clopper_and_pearsons() -> None:
    """Each instance's is scipy's binomial interval at the confidence that is shared out."""
    from scipy.stats import binomtest

    counts = [0, 3, 40, 957]
    found = simultaneous_intervals(counts, 0.95, "exact")
    for i, count in enumerate(counts):
        interval = binomtest(count, 1000).proportion_ci(1 - 0.05 / 4)
        assert found[i].tolist() == pytest.approx([interval.low, interval.high], abs=1e-9)


@all_methods
def test_intervals_of_one_instance_or_no_units_are_trivial(method: Method) -> None:
    """One instance can only get everything; without units anything is possible."""
    assert simultaneous_intervals([17], 0.95, method).tolist() == [[1, 1]]
    assert simultaneous_intervals([0], 0.95, method).tolist() == [[1, 1]]
    assert simultaneous_intervals([0, 0, 0], 0.95, method).tolist() == [[0, 1]] * 3


@all_methods
@pytest.mark.parametrize(
    "counts",
    [[1_000_000] * 10, [10_000] * 1000, [9_000_000, *[1000] * 999], [10_000_000, 0], [1, 0], [0, 0, 1]],
)
def test_intervals_of_any_counts_take_bounded_memory(method: Method, counts: list[int]) -> None:
    """Ten million units and a thousand instances, all in one, and a single unit: no warning, no gigabyte."""
    import tracemalloc

    tracemalloc.start()
    found = simultaneous_intervals(counts, 0.95, method)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 250e6
    assert np.isfinite(found).all()
    assert (found[:, 0] <= found[:, 1]).all()
    n, p = sum(counts), counts[0] / sum(counts)
    if n >= 10_000_000 and 0 < p < 1:
        # The first interval is between one at 95 % for itself and one of six standard deviations.
        deviation = (p * (1 - p) / n) ** 0.5
        assert 1.5 * deviation < (found[0, 1] - found[0, 0]) / 2 < 6 * deviation


@all_methods
def test_dispersion_widens_by_its_square_root(method: Method) -> None:
    """Counts that vary four times as much tell shares half as exactly."""
    counts = [10_000, 20_000, 30_000, 40_000]
    plain = np.diff(simultaneous_intervals(counts, 0.95, method))
    wide = np.diff(simultaneous_intervals(counts, 0.95, method, dispersion=4.0))
    assert wide / plain == pytest.approx(2 * np.ones((4, 1)), rel=0.02)


@pytest.mark.parametrize(
    ("counts", "confidence", "method", "dispersion"),
    [
        ([], 0.95, "goodman", 1),
        ([1, -1], 0.95, "goodman", 1),
        ([1, 2], 1.0, "goodman", 1),
        ([1, 2], 0.0, "goodman", 1),
        ([1, 2], 0.95, "wald", 1),
        ([1, 2], 0.95, "exact", 0.5),
    ],
)
def test_intervals_refuse_impossible_input(
    counts: list[int], confidence: float, method: Method, dispersion: float
) -> None:
    """Counts, confidence, dispersion and method are checked, with a sentence."""
    with pytest.raises(ValueError, match=r"needed|must be"):
        simultaneous_intervals(counts, confidence, method, dispersion=dispersion)
