from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.design import corrected, design_effect
from harness.stats.fairness import ChiSquare, chi_square

FAIR = [0.1] * 10


def rejections(sizes: np.ndarray, simulations: int, seed: int) -> tuple[float, float]:
    """Give the rates at which a fair strategy is rejected at 5 %: naively, and corrected."""
    random = np.random.default_rng(seed)
    effect = design_effect(sizes)
    naive = mended = 0
    for _ in range(simulations):
        chosen = random.integers(0, 10, sizes.size)
        test = chi_square(np.bincount(chosen, weights=sizes, minlength=10).astype(np.int64), FAIR)
        naive += test.p_value <= 0.05
        mended += corrected(test, effect).p_value <= 0.05
    return naive / simulations, mended / simulations


def test_ten_requests_a_connection_make_a_fair_strategy_look_unfair_unless_corrected() -> None:
    """Of 1,000 connections with 10 requests each, the naive test rejects 99.6 %, the corrected one 5 %."""
    naive, mended = rejections(np.full(1000, 10), 2000, seed=1)
    assert 0.985 < naive <= 1  # 5 standard errors are 0.007
    assert 0.025 < mended < 0.075  # and 0.024


def test_units_of_different_sizes_are_corrected_too() -> None:
    """The mean size would correct too little: few large units decide."""
    sizes = np.random.default_rng(2).geometric(0.1, 1000)
    naive, mended = rejections(sizes, 2000, seed=3)
    assert design_effect(sizes) > 1.5 * sizes.mean()
    assert naive > 0.9
    assert 0.025 < mended < 0.075


@given(st.integers(1, 10_000), st.integers(1, 1000))
def test_equal_units_have_their_size_as_the_effect(size: int, units: int) -> None:
    """Each unit is one choice; correcting gives the test of the units."""
    assert design_effect([size] * units) == size
    of_units = chi_square([units, 2 * units], [0.5, 0.5])
    found = corrected(chi_square([size * units, 2 * size * units], [0.5, 0.5]), size)
    assert found.statistic == pytest.approx(of_units.statistic)
    assert found.p_value == pytest.approx(of_units.p_value, rel=1e-6, abs=1e-300)
    assert found.dof == of_units.dof


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=100))
def test_the_effect_lies_between_mean_and_largest_size(sizes: list[int]) -> None:
    """It is the mean size, weighted by size."""
    found = design_effect(sizes)
    assert sum(sizes) / len(sizes) * (1 - 1e-12) <= found <= max(sizes)
    assert found == pytest.approx(sum(m * m for m in sizes) / sum(sizes))
    assert found == design_effect(np.array(sizes[::-1], np.uint32))


def test_design_effect_of_one_changes_nothing() -> None:
    """Nor does correcting invent a test where there is one instance."""
    test = chi_square([158, 142], [0.5, 0.5])
    assert corrected(test, 1.0) == test
    assert corrected(ChiSquare(0.0, 0, 1.0), 10.0) == ChiSquare(0.0, 0, 1.0)


@pytest.mark.parametrize("sizes", [[], [1, 0], [3, -1], [[1, 2]]])
def test_units_without_requests_are_refused(sizes: list[int]) -> None:
    """No units, and units of no size, are ValueErrors."""
    with pytest.raises(ValueError, match=r"unit"):
        design_effect(sizes)


@pytest.mark.parametrize("effect", [0.9, 0.0, float("nan"), float("inf")])
def test_effects_below_one_are_refused(effect: float) -> None:
    """Requests can't be worth more than one choice each."""
    with pytest.raises(ValueError, match="design effect"):
        corrected(ChiSquare(1.0, 1, 0.3), effect)
