from __future__ import annotations

from itertools import pairwise, permutations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.ordering import _repeats, order_of_choices

if TYPE_CHECKING:
    from random import Random

    from harness.stats.ordering import Order


def order_of(choices: np.ndarray, instances: int) -> Order:
    """Give the order of choices that are enough to tell."""
    found = order_of_choices(choices, instances)
    assert found is not None
    return found


def scrambled(units: int, under_way: int, seed: int) -> np.ndarray:
    """Give the units' numbers in the order in which they are seen: those under way overtake each other."""
    late = np.random.default_rng(seed).uniform(0, under_way, units)
    return np.argsort(np.arange(units) + late)


@pytest.mark.parametrize("counts", [[2, 2], [4, 3], [1, 2, 4], [2, 2, 2, 1], [1, 1, 1, 1], [5, 0, 2], [3]])
def test_mean_and_variance_are_those_of_all_orders(counts: list[int]) -> None:
    """Every permutation of a few choices, counted: Barton and David's formula has to give just that."""
    chosen = np.repeat(np.arange(len(counts)), counts)
    repeats = [sum(a == b for a, b in pairwise(p)) for p in permutations(chosen.tolist())]
    assert _repeats(np.array(counts)) == pytest.approx((np.mean(repeats), np.var(repeats)), abs=1e-12)


@settings(deadline=None)  # the first example imports statsmodels
@given(st.lists(st.booleans(), min_size=90, max_size=300))
def test_two_instances_have_wald_and_wolfowitz_test(choices: list[bool]) -> None:
    """Mean, variance and p-value equal those of statsmodels."""
    from statsmodels.sandbox.stats.runs import runstest_1samp

    found = order_of_choices(np.array(choices, np.int64), 2)
    if found is not None:
        z, p_value = runstest_1samp(np.array(choices, float), cutoff=0.5, correction=False)
        assert (found.z, found.p_value) == pytest.approx((z, p_value), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("units", [401, 399, 400])
def test_pairs_counted_in_parts_are_the_same_pairs(monkeypatch: pytest.MonkeyPatch, units: int) -> None:
    """None is lost or counted twice where one part ends and the next begins."""
    chosen = np.random.default_rng(units).integers(0, 3, units).astype(np.uint32)
    whole = order_of(chosen, 3)
    monkeypatch.setattr("harness.stats.ordering._CHUNK", 100)
    assert order_of(chosen, 3) == whole


@given(st.integers(2, 6), st.integers(300, 600), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_relabelling_changes_nothing(instances: int, units: int, seed: int, random: Random) -> None:
    """Nor do instances that got nothing, nor going through the units backwards."""
    chosen = np.random.default_rng(seed).integers(0, instances, units)
    labels = list(range(instances + 3))
    random.shuffle(labels)
    one, other = order_of(chosen, instances), order_of(np.array(labels)[chosen], instances + 3)
    backwards = order_of(chosen[::-1], instances)
    for name in ("runs", "expected_runs", "variance", "z", "p_value", "repeat_ratio", "kind"):
        assert getattr(one, name) == getattr(other, name) == getattr(backwards, name)
    assert one.dependence == pytest.approx(other.dependence)
    assert one.dependence == pytest.approx(backwards.dependence)


@pytest.mark.parametrize(("units", "instances"), [(300, 2), (1000, 10), (2500, 100)])
def test_random_choices_are_seldom_called_anything_else(units: int, instances: int) -> None:
    """Z has mean 0 and deviation 1, p is small as often as it says, and V is near 0."""
    random = np.random.default_rng(4)
    found = [order_of(random.integers(0, instances, units), instances) for _ in range(2000)]
    z = np.array([one.z for one in found])
    assert abs(z.mean()) < 5 / 2000**0.5
    assert 0.92 < z.std() < 1.08
    assert 55 < sum(one.p_value <= 0.05 for one in found) < 160
    assert sum(one.kind != "random" for one in found) < 14  # 2 are expected
    if found[0].dependence is not None:
        assert np.mean([one.dependence for one in found if one.dependence is not None]) < 0.08


@pytest.mark.parametrize("instances", [2, 3, 10, 100])
def test_round_robin_is_in_turn(instances: int) -> None:
    """No repeats at all; each choice follows from the one before."""
    found = order_of(np.arange(100 * instances) % instances, instances)
    assert (found.kind, found.repeat_ratio, found.runs) == ("in turn", 0, 100 * instances)
    assert found.dependence is None or found.dependence == pytest.approx(1)
    assert found.z > 4


def test_round_robin_that_concurrency_scrambles_is_in_turn_still() -> None:
    """With 16 connections under way and ten instances or more, repeats are rarer than chance has them."""
    seen = scrambled(20_000, 16, seed=5)
    ratios = {}
    for instances in (10, 20, 100):
        found = order_of(seen % instances, instances)
        assert found.kind == "in turn"
        ratios[instances] = found.repeat_ratio
    assert ratios[100] == ratios[20] == 0
    assert 0.3 < ratios[10] < 0.65


def test_turns_of_few_instances_drown_in_concurrency() -> None:
    """With 64 under way and two instances, the order is as good as random, and isn't called anything else."""
    found = order_of(scrambled(20_000, 64, seed=6) % 2, 2)
    assert found.kind == "random"
    assert found.repeat_ratio == pytest.approx(1, abs=0.05)


def test_weighted_turns_are_in_turn() -> None:
    """Unequal counts are taken as given."""
    found = order_of(np.tile([0, 1, 0, 2, 0, 1], 200), 3)
    assert found.kind == "in turn"
    assert found.repeat_ratio == 0


def test_bursts_are_sticky() -> None:
    """Five units in a row to one instance leave a fifth of the runs."""
    chosen = np.random.default_rng(7).integers(0, 10, 2000).repeat(5)
    found = order_of(chosen, 10)
    assert found.kind == "sticky"
    assert found.repeat_ratio == pytest.approx(0.8 / 0.1 + 0.2, rel=0.05)
    assert found.dependence == pytest.approx(0.8, abs=0.05)
    assert found.z < -50


def test_uneven_random_choices_are_random() -> None:
    """A share of 90 % repeats itself much, but not more than its size says."""
    found = order_of(np.random.default_rng(8).choice(3, 20_000, p=[0.9, 0.07, 0.03]), 3)
    assert found.kind == "random"
    assert found.repeat_ratio == pytest.approx(1, abs=0.02)


def test_a_tiny_effect_is_random_however_sure() -> None:
    """Repeating the last choice once in a hundred is significant in a million units, and doesn't matter."""
    random = np.random.default_rng(9)
    chosen = random.integers(0, 2, 1_000_000)
    again = np.flatnonzero(random.random(chosen.size - 1) < 0.01) + 1
    chosen[again] = chosen[again - 1]
    found = order_of(chosen, 2)
    assert found.p_value < 1e-6
    assert (found.kind, round(found.repeat_ratio, 2)) == ("random", 1.01)
    assert found.dependence == pytest.approx(0.01, abs=0.005)


def test_v_without_its_correction_is_scipys() -> None:
    """Bergsma's correction, undone, leaves the usual Cramer's V of the table of successive choices."""
    from scipy.stats.contingency import association

    chosen = np.random.default_rng(10).integers(0, 4, 500).repeat(2)
    dependence = order_of(chosen, 4).dependence
    assert dependence is not None
    pairs = chosen.size - 1
    limit = 3 - 9 / (pairs - 1)
    phi2 = dependence**2 * limit + 9 / (pairs - 1)
    table = np.zeros((4, 4), np.int64)
    np.add.at(table, (chosen[:-1], chosen[1:]), 1)
    assert (phi2 / 3) ** 0.5 == pytest.approx(association(table, method="cramer"))


def test_order_of_few_units_is_unknown() -> None:
    """Nor does one instance, nor one that got nearly all; a sparse table of successive choices has no V."""
    assert order_of_choices(np.zeros(0, np.int64), 3) is None
    assert order_of_choices(np.zeros(1, np.int64), 3) is None
    assert order_of_choices(np.arange(38) % 2, 2) is None
    assert order_of_choices(np.zeros(1000, np.int64), 3) is None
    assert order_of_choices(np.arange(1000) == 500, 2) is None
    found = order_of(np.random.default_rng(11).integers(0, 100, 5000).astype(np.uint32), 100)
    assert found.dependence is None


@pytest.mark.parametrize(
    ("choices", "alpha"), [([0, 2], 0.001), ([-1, 0], 0.001), ([0, 1], 0.0), ([[0], [1]], 0.001)]
)
def test_order_of_choices_refuses_impossible_input(choices: list[int], alpha: float) -> None:
    """Choices of no instance, tables, and an alpha that is no error rate are ValueErrors."""
    with pytest.raises(ValueError, match=r"must be|needed"):
        order_of_choices(np.array(choices), 2, alpha=alpha)
