"""Two measurements compared: how often a difference is claimed that is none, and whether one is found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from harness.stats.homogeneity import homogeneity

_TRIALS = 600


def test_homogeneity_equals_pearsons_test() -> None:
    """Of a table of two rows."""
    first, second = [310, 290, 400], [150, 180, 170]
    found = homogeneity(first, second, 0.95)
    expected = chi2_contingency(np.array([first, second]), correction=False)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.dof == 2
    assert found.p == pytest.approx(expected.pvalue)
    assert found.differences == pytest.approx([150 / 500 - 0.31, 180 / 500 - 0.29, 170 / 500 - 0.4])


def test_equal_distributions_differ_as_seldom_as_promised() -> None:
    """The test has its level, and all intervals together hold no difference as often as they say."""
    random = np.random.default_rng(1)
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    claimed = held = 0
    for _ in range(_TRIALS):
        first, second = (random.multinomial(units, shares).tolist() for units in (2_000, 3_000))
        found = homogeneity(first, second, 0.95)
        claimed += found.p < 0.05
        held += bool((found.intervals[:, 0] <= 0).all() and (found.intervals[:, 1] >= 0).all())
    # 30 and 570 are expected; six standard deviations of a binomial count are 32.
    assert claimed < 62
    assert held > 538


def test_a_difference_is_found_where_it_is() -> None:
    """Its interval holds the true one, and not zero."""
    found = homogeneity([1_000, 1_000, 1_000], [1_000, 1_300, 700], 0.95)
    assert found.p < 1e-9
    assert found.intervals[1, 0] > 0 > found.intervals[2, 1]
    assert found.intervals[1, 0] < 1_300 / 3_000 - 1 / 3 < found.intervals[1, 1]


def test_homogeneity_divides_counts_by_their_dispersion() -> None:
    """Counts are divided by their dispersion."""
    sure = homogeneity([500, 500], [560, 440], 0.95)
    unsure = homogeneity([500, 500], [560, 440], 0.95, (4.0, 4.0))
    assert unsure.statistic == pytest.approx(sure.statistic / 4)
    assert np.ptp(unsure.intervals[0]) > 1.9 * np.ptp(sure.intervals[0])


def test_an_instance_without_units_differs_from_nobody() -> None:
    """It takes no part in the test; with all units at one instance, nothing can differ."""
    assert homogeneity([50, 50, 0], [40, 60, 0], 0.95).dof == 1
    assert homogeneity([100, 0], [70, 0], 0.95).p == 1


@pytest.mark.parametrize(("first", "second"), [([1, 2], [1, 2, 3]), ([5], [5]), ([0, 0], [1, 2])])
def test_homogeneity_refuses_other_instances_and_empty_counts(first: list[int], second: list[int]) -> None:
    """Other instances, only one, or nothing measured."""
    with pytest.raises(ValueError, match=r"instances|units"):
        homogeneity(first, second, 0.95)
