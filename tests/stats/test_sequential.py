from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.equivalence import tolerance_verdict
from harness.stats.mixture import anytime_at_least, anytime_at_most, confidence_limits, prior
from harness.stats.sequential import FEWEST_LOOKS, SequentialTest

if TYPE_CHECKING:
    from random import Random

increments = st.lists(
    st.lists(st.integers(0, 300), min_size=3, max_size=3).filter(any), min_size=1, max_size=12
)
thirds = [1 / 3] * 3


def looked(slices: list[list[int]], shares: list[float], tolerance: float = 0.1) -> list[SequentialTest]:
    """Take a look after each of the slices; give a test for each number of looks."""
    tests = []
    for last in range(1, len(slices) + 1):
        test = SequentialTest(shares, tolerance, 0.95)
        for look in range(1, last + 1):
            test.look(np.sum(slices[:look], axis=0))
        tests.append(test)
    return tests


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 200), st.integers(2, 20))
def test_intervals_are_nested(size: int, looks: int) -> None:
    """While shares stay what they are, no look's interval reaches outside the one before."""
    rng = np.random.default_rng(size * 1000 + looks)
    test = SequentialTest(thirds, 0.1, 0.95)
    counts, before = np.zeros(3, dtype=np.int64), test.intervals
    for _ in range(looks):
        counts = counts + rng.multinomial(size, thirds)
        test.look(counts)
        assert (test.intervals[:, 0] >= before[:, 0]).all()
        assert (test.intervals[:, 1] <= before[:, 1]).all()
        assert (test.intervals[:, 0] <= test.intervals[:, 1]).all()
        before = test.intervals


@settings(deadline=None, max_examples=50)
@given(increments, st.randoms(use_true_random=False))
def test_relabelling_instances_permutes_everything(slices: list[list[int]], random: Random) -> None:
    """Verdict, intervals and fit don't depend on which instance comes first."""
    order = list(range(3))
    random.shuffle(order)
    shares = [0.5, 0.3, 0.2]
    test = looked(slices, shares)[-1]
    other = looked([[row[i] for i in order] for row in slices], [shares[i] for i in order])[-1]
    assert other.decided_at == test.decided_at
    assert other.intervals == pytest.approx(test.intervals[order], abs=1e-9)
    assert other.fit_p_value == pytest.approx(test.fit_p_value, rel=1e-6)


@settings(deadline=None, max_examples=30)
@given(increments)
def test_a_verdict_stays(slices: list[list[int]]) -> None:
    """What later looks bring never takes a verdict back, nor changes when it fell."""
    decided = [test.decided_at for test in looked(slices * 3, thirds, tolerance=0.5)]
    first = next((look for look in decided if look is not None), None)
    assert {look for look in decided if look is not None} <= {first}
    if first is not None:
        assert decided[first:] == [first] * (len(decided) - first)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 1000), st.floats(0.05, 0.95))
def test_p_values_are_no_smaller_than_the_exact_ones(x: int, more: int, bound: float) -> None:
    """To be free to look at any time costs evidence: never more of it than a test of fixed size finds."""
    from scipy.stats import binomtest

    n = x + more
    a, b = prior(np.array([0.4]), 50.0)
    count = np.array([float(x)])
    many = anytime_at_least(count, n, np.array([bound]), a, b)[0]
    few = anytime_at_most(count, n, np.array([bound]), a, b)[0]
    assert many >= binomtest(x, n, bound, "greater").pvalue - 1e-12
    assert few >= binomtest(x, n, bound, "less").pvalue - 1e-12


def test_the_mixture_is_the_ratio_of_the_beta_binomial_to_the_binomial() -> None:
    """The p-value is the binomial probability by the beta-binomial one, both as scipy has them."""
    from scipy.stats import betabinom, binom

    a, b = prior(np.array([0.25]), 40.0)
    found = anytime_at_least(np.array([60.0]), 150, np.array([0.3]), a, b)[0]
    expected = binom.pmf(60, 150, 0.3) / betabinom.pmf(60, 150, a[0], b[0])
    assert found == pytest.approx(expected, rel=1e-9)


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(0, 500))
def test_confidence_limits_are_the_shares_whose_p_value_is_alpha(x: int, others: int) -> None:
    """The interval ends where the test against its end would just reject."""
    a, b = prior(np.array([0.5, 0.5]), 30.0)
    counts = np.array([float(x), float(others)])
    (low, high), _ = confidence_limits(counts, 0.0, 0.05, a, b)
    n = x + others
    # Next to 1, numbers are too far apart to write a limit down.
    finest = 1 - 1e-11
    if 0 < low < finest:
        p_value = anytime_at_least(counts[:1], n, np.array([low]), a[:1], b[:1])[0]
        assert p_value == pytest.approx(0.05, rel=0.02)
    if high < finest:
        p_value = anytime_at_most(counts[:1], n, np.array([high]), a[:1], b[:1])[0]
        assert p_value == pytest.approx(0.05, rel=0.02)


def test_stopping_as_soon_as_it_may_does_not_make_fair_runs_uneven() -> None:
    """With a tolerance near nothing a fair share lies on the edge: of 300 runs at most alpha are `uneven`."""
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(300):
        test = SequentialTest([0.25] * 4, 1e-6, 0.95)
        for counts in rng.multinomial(50, [0.25] * 4, size=40).cumsum(axis=0):
            if test.look(counts).verdict != "inconclusive":
                wrong += 1
                break
    assert wrong / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


def test_looking_at_a_fixed_test_as_often_would_be_wrong_far_more_often() -> None:
    """The same runs, each look judged as if it were the only one, come out `uneven` beyond alpha."""
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(300):
        looks = rng.multinomial(50, [0.25] * 4, size=40).cumsum(axis=0)
        wrong += any(tolerance_verdict(c, [0.25] * 4, 1e-6, 0.95).verdict == "uneven" for c in looks)
    assert wrong / 300 > 0.1


def test_a_lean_instance_is_uneven_soon() -> None:
    """An instance at half of its share is found long before the units of the plan are there."""
    test = SequentialTest([0.1] * 10, 0.1, 0.95, names=[f"i{n}" for n in range(10)])
    for look in range(1, 21):
        found = test.look([50 * look] * 9 + [25 * look])
    assert (found.verdict, test.decided_at) == ("uneven", FEWEST_LOOKS + 1)
    assert found.reason.startswith("i9's share 5.3 % lies below its band 9.0")


def test_verdict_waits_for_enough_windows() -> None:
    """However much the first looks show, shares might still vary: that is what the reason says."""
    test = SequentialTest([0.5, 0.5], 0.1, 0.95)
    found = [test.look([100_000 * look, 100_000 * look]) for look in range(1, FEWEST_LOOKS + 1)]
    assert [each.verdict for each in found] == ["inconclusive"] * (FEWEST_LOOKS - 1) + ["even"]
    assert found[0].reason == "8 looks at the counts are needed to see whether shares vary between them"


def test_looks_without_new_units_are_not_counted_as_windows() -> None:
    """A load that stands still doesn't become evidence of constancy."""
    test = SequentialTest([0.5, 0.5], 0.1, 0.95)
    assert {test.look([100_000, 100_000]).verdict for _ in range(20)} == {"inconclusive"}


def test_shares_that_vary_take_more_units() -> None:
    """Bursts that go to one instance each widen the intervals, and put the verdict off."""
    calm, wild = (SequentialTest([0.5, 0.5], 0.1, 0.95, unit="request") for _ in range(2))
    counts = np.zeros(2, dtype=np.int64)
    for look in range(20):
        counts += [600, 400] if look % 2 else [400, 600]
        steady, varied = calm.look([500 * (look + 1)] * 2), wild.look(counts)
    assert (steady.verdict, varied.verdict) == ("even", "inconclusive")
    assert "times as much between time windows as independent choices would" in varied.reason
    assert wild.half_width > 2 * calm.half_width


def test_while_shares_change_an_interval_is_its_own_looks() -> None:
    """What was narrowed down before the change does not hold any more, and does not stay."""
    test = SequentialTest([0.5, 0.5], 0.1, 0.95)
    for look in range(1, 30):
        test.look([900 * look, 100 * look])
    early = test.intervals
    for look in range(1, 200):
        test.look([900 * 29 + 100 * look, 100 * 29 + 900 * look])
    assert early[0, 0] > 0.84
    assert test.intervals[0, 0] < (900 * 29 + 100 * 199) / (1000 * 228) < test.intervals[0, 1] < early[0, 0]


def test_missing_units_hold_a_verdict_back() -> None:
    """What can't be attributed counts against every rejection, and the reason says so."""
    test = SequentialTest([0.5, 0.5], 0.1, 0.95, unit="request")
    for look in range(1, 21):
        found = test.look([500 * look, 500 * look], missing=250 * look)
    assert found.verdict == "inconclusive"
    assert found.reason.startswith("5,000 of 25,000 requests have no known instance")


def test_undecided_look_estimates_the_units_needed() -> None:
    """An undecided look tells how many more it takes, and what that assumes."""
    test = SequentialTest([0.5, 0.5], 0.1, 0.95)
    for look in range(1, FEWEST_LOOKS + 1):
        found = test.look([20 * look, 20 * look])
    assert found.more is not None
    assert found.more.assuming == "expected"
    assert found.more.units is not None
    assert 500 < found.more.units < 5000


def test_the_fit_tells_fair_from_unfair_at_any_time() -> None:
    """Lindon and Malek's p-value stays at 1 for even counts, and falls for others."""
    fair, unfair = (SequentialTest([0.25] * 4, 0.1, 0.95) for _ in range(2))
    for look in range(1, 6):
        fair.look([100 * look] * 4)
        unfair.look([70 * look, 110 * look, 110 * look, 110 * look])
    assert fair.fit_p_value == 1.0
    assert unfair.fit_p_value < 0.001


def test_the_extremes_are_sound() -> None:
    """Ten million units, no units, an instance with none or all of them: finite limits within 0 and 1."""
    test = SequentialTest([0.999, 0.001], 0.1, 0.95)
    assert test.look([0, 0]).reason == "no unit can be attributed to an instance"
    for look in range(1, 11):
        test.look([999_000 * look, 0])
    assert test.intervals[1, 0] == 0
    assert test.intervals[0, 1] == 1
    assert 0 < test.intervals[1, 1] < 0.001
    assert np.isfinite(test.intervals).all()


def test_verdict_of_one_instance_is_even() -> None:
    """Its share is 1 whatever happens."""
    test = SequentialTest([1.0], 0.1, 0.95)
    assert [test.look([50 * look]).verdict for look in range(1, 10)][-1] == "even"


def test_counts_can_not_go_down() -> None:
    """They are counted since the beginning."""
    test = SequentialTest([0.5, 0.5], 0.1, 0.95)
    test.look([10, 10])
    with pytest.raises(ValueError, match=r"can't become \[9, 12\]"):
        test.look([9, 12])


def test_very_many_looks_keep_to_a_bounded_number_of_slices() -> None:
    """A long run is judged by windows merged from its looks, and still finds that shares wander."""
    rng = np.random.default_rng(5)
    test = SequentialTest([0.5, 0.5], 0.1, 0.95)
    counts = np.zeros(2, dtype=np.int64)
    for look in range(500):
        share = 0.5 + 0.4 * np.sin(look / 40)
        counts = counts + rng.multinomial(40, [share, 1 - share])
        found = test.look(counts)
    assert len(test._slices) <= 161
    assert found.verdict == "inconclusive"
