from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.fairness import ChiSquare, added_up, chi_square, goodness_of_fit

if TYPE_CHECKING:
    from random import Random

counts_with_weights = st.lists(
    st.tuples(st.integers(0, 10_000), st.floats(0.1, 10)), min_size=2, max_size=30
).filter(lambda pairs: any(count for count, _ in pairs))


@settings(deadline=None)  # the first example imports scipy.stats
@given(counts_with_weights)
def test_chi_square_equals_scipys(pairs: list[tuple[int, float]]) -> None:
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


def test_chi_square_of_one_instance_is_none() -> None:
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
def test_chi_square_refuses_impossible_counts_and_shares(counts: list[int], shares: list[float]) -> None:
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
    draws = np.random.default_rng(5).multinomial(1000, [0.25] * 4, size=(2000, 10))
    small = sum(added_up([chi_square(row, [0.25] * 4) for row in rows]).p_value < 0.01 for rows in draws)
    assert 3 < small < 45  # 20 are expected


def test_goodness_of_fit_of_one_instance_is_no_test() -> None:
    """There are no degrees of freedom, and nothing is surprising."""
    assert added_up([chi_square([17], [1.0])] * 3) == ChiSquare(0.0, 0, 1.0)


def shares_of(pairs: list[tuple[int, float]]) -> list[float]:
    return [weight / sum(weight for _, weight in pairs) for _, weight in pairs]


@settings(deadline=None)
@given(counts_with_weights)
def test_the_g_test_is_what_scipy_computes(pairs: list[tuple[int, float]]) -> None:
    """Statistic and p-value equal power_divergence's with the logarithm, counts of 0 included."""
    from scipy.stats import power_divergence

    counts, shares = [count for count, _ in pairs], shares_of(pairs)
    expected = power_divergence(counts, [share * sum(counts) for share in shares], lambda_="log-likelihood")
    found = goodness_of_fit(counts, shares)
    # Scipy adds up terms of both signs, so tiny statistics are rounding there, and may be negative.
    assert found.g_test.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-7)
    if expected.statistic > 1e-6:
        assert found.g_test.p_value == pytest.approx(float(expected.pvalue), rel=1e-6, abs=1e-300)
    assert found.g_test.dof == found.chi_square.dof
    assert found.chi_square == chi_square(counts, shares)


@settings(deadline=None)
@given(counts_with_weights, st.randoms(use_true_random=False))
def test_relabelling_changes_nothing(pairs: list[tuple[int, float]], random: Random) -> None:
    """Not even simulated p-values, which are drawn in an order of their own; residuals move along."""
    shares = shares_of(pairs)
    order = list(range(len(pairs)))
    random.shuffle(order)
    one = goodness_of_fit([pairs[i][0] for i in range(len(pairs))], shares)
    other = goodness_of_fit([pairs[i][0] for i in order], [shares[i] for i in order])
    assert (one.valid, one.spread) == (other.valid, other.spread)
    assert one.simulated_p_value == other.simulated_p_value
    assert other.residuals == pytest.approx([one.residuals[i] for i in order], rel=1e-9, abs=1e-9)
    for name in ("p_value", "p_more_even", "cohen_w", "jain_index", "max_over_mean"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-6, abs=1e-9)


@settings(deadline=None)
@given(counts_with_weights)
def test_measures_of_evenness_agree_with_each_other(pairs: list[tuple[int, float]]) -> None:
    """Jain's index is 1/(1 + CV²); w² is the sum of (share - expected)² / expected."""
    counts, shares = np.array([count for count, _ in pairs]), np.array(shares_of(pairs))
    found = goodness_of_fit(counts, shares.tolist())
    assert found.jain_index == pytest.approx(1 / (1 + found.coefficient_of_variation**2))
    assert found.cohen_w**2 == pytest.approx(float(((counts / counts.sum() - shares) ** 2 / shares).sum()))
    assert 1 - 1e-9 <= found.max_over_mean <= len(pairs) + 1e-9
    assert 1 / len(pairs) - 1e-9 <= found.jain_index <= 1 + 1e-9
    variance = counts.sum() * shares * (1 - shares)
    assert found.residuals == pytest.approx((counts - counts.sum() * shares) / variance**0.5)


def test_weights_that_are_kept_are_perfectly_even() -> None:
    """Nine to one is as even as it gets where nine to one is expected."""
    found = goodness_of_fit([900, 100], [0.9, 0.1])
    assert (found.jain_index, found.max_over_mean) == pytest.approx((1, 1))
    assert found.coefficient_of_variation == pytest.approx(0, abs=1e-12)


def test_measures_of_one_instance_are_neutral() -> None:
    """Nothing can be tested, and nothing deviates."""
    found = goodness_of_fit([17], [1.0])
    assert found.chi_square == found.g_test == ChiSquare(0.0, 0, 1.0)
    assert (found.valid, found.simulated_p_value, found.spread) == (True, None, "by chance")
    assert (found.p_value, found.p_more_even, found.jain_index, found.max_over_mean) == (1, 1, 1, 1)
    assert (found.residuals, found.cohen_w, found.coefficient_of_variation) == ((0.0,), 0, 0)


def test_two_instances_have_the_binomial_test() -> None:
    """Below five expected units, both tails come within Monte-Carlo error of the exact binomial ones."""
    from scipy.stats import binom, binomtest

    found = goodness_of_fit([1, 7], [0.5, 0.5])
    assert not found.valid
    assert found.p_value == found.simulated_p_value
    # Five standard errors of 9,999 draws.
    assert found.p_value == pytest.approx(binomtest(1, 8).pvalue, abs=0.013)
    assert found.p_more_even == pytest.approx(1 - 2 * binom.cdf(0, 8, 0.5), abs=0.005)


@pytest.mark.parametrize(
    ("n", "shares"),
    [(6, [0.5, 0.5]), (12, [0.25] * 4), (30, [0.01, 0.09, 0.3, 0.6]), (40, [0.05] * 20)],
)
def test_small_counts_are_called_uneven_at_most_as_often_as_alpha(n: int, shares: list[float]) -> None:
    """The simulated p-value keeps its word where chi-square's has none."""
    draws = np.random.default_rng(6).multinomial(n, shares, size=300)
    rejected = sum(goodness_of_fit(row, shares, seed=i).p_value <= 0.05 for i, row in enumerate(draws))
    assert rejected < 35  # at most 15 are expected; 5 standard deviations more are 34


@pytest.mark.parametrize(("n", "instances"), [(10, 2), (100, 2), (15, 3), (60, 3), (100, 4), (8, 10)])
def test_chance_is_called_more_even_at_most_as_often_as_alpha(n: int, instances: int) -> None:
    """Few units fall into even counts often enough, where the approximation calls it next to impossible."""
    shares = [1 / instances] * instances
    draws = np.random.default_rng(7).multinomial(n, shares, size=300)
    found = [goodness_of_fit(row, shares, seed=i).spread for i, row in enumerate(draws)]
    assert found.count("more even") < 35


@pytest.mark.parametrize("units", [1_000, 10_003, 10_000_000])
def test_round_robin_is_named_more_even_than_chance(units: int) -> None:
    """It isn't praised as a high p, and the p-value that is to be read stays near 1."""
    counts = [units // 10 + (i < units % 10) for i in range(10)]
    found = goodness_of_fit(counts, [0.1] * 10)
    assert found.spread == "more even"
    assert found.p_more_even < 1e-3
    assert found.p_value > 0.99


def test_goodness_of_fit_names_less_even_and_the_instance() -> None:
    """The residual points to the one that is off, and w says how little that may matter."""
    found = goodness_of_fit([98_000, *[102_000] * 1, *[100_000] * 8], [0.1] * 10)
    assert found.spread == "less even"
    assert found.residuals[0] == pytest.approx(-2000 / (100_000 * 0.9) ** 0.5)
    assert found.cohen_w == pytest.approx((2 * 2000**2 / 100_000 / 1_000_000) ** 0.5)
    assert found.cohen_w < 0.1


def test_the_seed_decides_the_draws() -> None:
    """The same seed gives the same p-value, another one a slightly different one."""
    ps = [goodness_of_fit([3, 1, 0, 2], [0.25] * 4, seed=seed).p_value for seed in (1, 1, 2, 3, 4)]
    assert ps[0] == ps[1]
    assert len(set(ps)) > 1
    assert max(ps) - min(ps) < 0.05


def test_a_thousand_instances_with_few_units_take_little_memory() -> None:
    """Two thousand draws of a thousand counts are made in parts."""
    import tracemalloc

    tracemalloc.start()
    found = goodness_of_fit([1] * 1000, [0.001] * 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6
    assert found.simulated_p_value == 1.0
    assert found.p_more_even == 1 / 2001


@pytest.mark.parametrize(
    ("counts", "shares", "alpha"), [([0, 0], [0.5, 0.5], 0.05), ([1], [0.5], 0.05), ([1, 1], [0.5, 0.5], 1.0)]
)
def test_goodness_of_fit_refuses_impossible_input(
    counts: list[int], shares: list[float], alpha: float
) -> None:
    """No units, shares that don't add up, and an alpha that is no error rate are ValueErrors."""
    with pytest.raises(ValueError, match=r"units|add up|alpha"):
        goodness_of_fit(counts, shares, alpha=alpha)
