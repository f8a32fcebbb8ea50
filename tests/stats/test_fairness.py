from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.fairness import ChiSquare, added_up, chi_square

if TYPE_CHECKING:
    from random import Random

counts_with_weights = st.lists(
    st.tuples(st.integers(0, 10_000), st.floats(0.1, 10)), min_size=2, max_size=30
).filter(lambda pairs: any(count for count, _ in pairs))


@settings(deadline=None)  # the first example imports scipy.stats
@given(counts_with_weights)
def test_it_is_what_scipy_computes(pairs: list[tuple[int, float]]) -> None:
    """Statistic and p-value equal scipy.stats.chisquare's, for any expected shares."""
    from scipy.stats import chisquare

    counts = [count for count, _ in pairs]
    shares = [weight / sum(weight for _, weight in pairs) for _, weight in pairs]
    expected = chisquare(counts, [share * sum(counts) for share in shares])
    found = chi_square(counts, shares)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-300)
    assert found.dof == len(counts) - 1


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_instances_does_not_matter(counts: list[int], random: Random) -> None:
    """Relabelling the instances leaves the test as it is."""
    shares = [1 / len(counts)] * len(counts)
    shuffled = list(counts)
    random.shuffle(shuffled)
    assert chi_square(shuffled, shares).statistic == pytest.approx(chi_square(counts, shares).statistic)


def test_one_instance_can_only_get_all() -> None:
    """With one instance there is nothing to test."""
    assert chi_square([17], [1.0]) == ChiSquare(0.0, 0, 1.0)


def test_ten_million_units_that_differ_by_chance_are_no_surprise() -> None:
    """Large counts lose no precision: three standard deviations are about three in a thousand."""
    half, three_sigma = 5_000_000, 4743
    found = chi_square([half + three_sigma, half - three_sigma], [0.5, 0.5])
    assert found.p_value == pytest.approx(0.0027, rel=0.01)


@pytest.mark.parametrize(
    ("counts", "shares"),
    [
        ([0, 0], [0.5, 0.5]),
        ([], []),
        ([1, 2], [1.0]),
        ([1, -1], [0.5, 0.5]),
        ([1, 2], [0.5, 0.6]),
        ([1, 2], [0.0, 1.0]),
        ([1, 2], [float("nan"), 1.0]),
    ],
)
def test_what_is_no_distribution_is_refused(counts: list[int], shares: list[float]) -> None:
    """No units, no instances, and counts and shares that can't be are ValueErrors."""
    with pytest.raises(ValueError, match=r"units|needed|negative|add up"):
        chi_square(counts, shares)


@given(st.lists(counts_with_weights, min_size=1, max_size=5))
def test_several_measurements_add_up_to_one_test(measurements: list[list[tuple[int, float]]]) -> None:
    """Statistics and degrees of freedom do, and the p-value follows; one measurement stays as it is."""
    from scipy.stats import chi2

    tests = [
        chi_square([n for n, _ in pairs], [w / sum(w for _, w in pairs) for _, w in pairs])
        for pairs in measurements
    ]
    together = added_up(tests)
    assert together.statistic == pytest.approx(sum(test.statistic for test in tests))
    assert together.dof == sum(test.dof for test in tests)
    assert together.p_value == pytest.approx(float(chi2.sf(together.statistic, together.dof)), abs=1e-300)
    assert added_up(tests[:1]) == tests[0]


def test_added_up_p_values_of_fair_measurements_are_uniform() -> None:
    """So few of them are below 1 % as should be, which the least p-value of ten would not give."""
    import numpy as np

    draws = np.random.default_rng(5).multinomial(1000, [0.25] * 4, size=(2000, 10))
    small = sum(added_up([chi_square(row, [0.25] * 4) for row in rows]).p_value < 0.01 for rows in draws)
    assert 3 < small < 45  # 20 are expected


def test_one_instance_is_no_test_however_often() -> None:
    """There are no degrees of freedom, and nothing is surprising."""
    assert added_up([chi_square([17], [1.0])] * 3) == ChiSquare(0.0, 0, 1.0)
