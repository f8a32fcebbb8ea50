from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.shares import compare_shares

if TYPE_CHECKING:
    from random import Random

TEN = np.full(10, 0.1)


def _verdicts(shares: np.ndarray, before: int, after: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [
        compare_shares(rng.multinomial(before, TEN), rng.multinomial(after, shares), 0.1, 0.95).verdict
        for _ in range(400)
    ]


def test_an_unchanged_system_is_the_same() -> None:
    """With 240,000 units before and 80,000 after, chance alone is never taken for a change."""
    assert set(_verdicts(TEN, 240_000, 80_000, 1)) == {"same"}


def test_an_instance_at_four_fifths_has_changed() -> None:
    """One of ten instances that falls to 80 % of its share is a change by more than 10 %."""
    shares = np.full(10, 0.92 / 9)
    shares[3] = 0.08
    assert set(_verdicts(shares, 240_000, 80_000, 2)) == {"changed"}


def test_at_the_edge_neither_is_claimed_more_often_than_allowed() -> None:
    """A change by exactly the tolerance is called the same, or changed, in at most 5 % of comparisons."""
    shares = np.full(10, 0.91 / 9)
    shares[3] = 0.09
    found = _verdicts(shares, 80_000, 30_000, 3)
    # Three standard errors of 400 simulations above 5 %.
    assert found.count("same") <= 33
    assert found.count("changed") <= 33


def test_share_comparison_of_few_units_is_inconclusive() -> None:
    """Three hundred units over two instances are too few for 10 %."""
    assert compare_shares([158, 142], [150, 150], 0.1, 0.95).verdict == "unknown"


def test_counts_that_vary_more_are_less_evidence() -> None:
    """Dispersion takes a verdict away, in whichever measurement it is."""
    assert compare_shares([5000, 5000], [5000, 5000], 0.1, 0.95).verdict == "same"
    for side in ("dispersion_before", "dispersion_after"):
        assert compare_shares([5000, 5000], [5000, 5000], 0.1, 0.95, **{side: 20.0}).verdict == "unknown"


def test_an_instance_that_got_nothing_and_gets_something_has_changed() -> None:
    """From nothing there is no ratio, but there is a verdict."""
    found = compare_shares([10_000, 0], [9_000, 1_000], 0.1, 0.95)
    assert (found.verdict, found.worst, found.ratio) == ("changed", 1, None)


def test_share_comparison_of_one_instance_is_the_same() -> None:
    """A single instance can't change its share."""
    assert compare_shares([7], [3], 0.1, 0.95).verdict == "same"


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), min_size=2, max_size=8), st.randoms())
def test_relabelling_changes_nothing(pairs: list[tuple[int, int]], random: Random) -> None:
    """The order of the instances does not matter."""
    shuffled = list(pairs)
    random.shuffle(shuffled)
    one, other = (
        compare_shares([a for a, _ in each], [b for _, b in each], 0.1, 0.95) for each in (pairs, shuffled)
    )
    assert one.verdict == other.verdict
    assert one.p_same == pytest.approx(other.p_same)
    assert one.p_changed == pytest.approx(other.p_changed)


@pytest.mark.parametrize(
    ("before", "after"), [([0, 0], [1, 1]), ([1, 1], [0, 0]), ([1], [1, 2]), ([-1, 2], [1, 1])]
)
def test_share_comparison_refuses_impossible_input(before: list[int], after: list[int]) -> None:
    """No units, negative counts and different numbers of instances are errors."""
    with pytest.raises(ValueError, match=r"units on both sides|one count|negative"):
        compare_shares(before, after, 0.1, 0.95)
