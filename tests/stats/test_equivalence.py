from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.equivalence import tolerance_verdict

if TYPE_CHECKING:
    from random import Random

small_counts = st.lists(st.integers(0, 500), min_size=2, max_size=8).filter(any)


def even_shares(n: int) -> list[float]:
    return [1 / n] * n


@settings(deadline=None)
@given(small_counts, st.floats(0.01, 0.9), st.integers(0, 50))
def test_p_values_are_scipys_exact_one_sided_ones(counts: list[int], tolerance: float, missing: int) -> None:
    """Both tests of each band equal scipy.stats.binomtest, with missing units counted against them."""
    from scipy.stats import binomtest

    n = sum(counts) + missing
    found = tolerance_verdict(counts, even_shares(len(counts)), tolerance, 0.95, missing)
    for count, instance in zip(counts, found.instances, strict=True):
        below = binomtest(count, n, instance.lower_bound, "greater").pvalue
        assert instance.p_below == pytest.approx(below, rel=1e-6, abs=1e-300)
        if instance.upper_bound < 1:
            above = binomtest(count + missing, n, instance.upper_bound, "less").pvalue
            assert instance.p_above == pytest.approx(above, rel=1e-6, abs=1e-300)
        else:
            assert instance.p_above == 0


@settings(deadline=None)
@given(small_counts, st.floats(0.01, 0.9), st.integers(0, 50))
def test_being_outside_is_tested_exactly_and_adjusted_after_holm(
    counts: list[int], tolerance: float, missing: int
) -> None:
    """The smallest adjusted p-value is the smallest of scipy's, times the number of hypotheses."""
    from scipy.stats import binomtest

    n, size = sum(counts) + missing, len(counts)
    found = tolerance_verdict(counts, even_shares(size), tolerance, 0.95, missing)
    lower, upper = found.instances[0].lower_bound, found.instances[0].upper_bound
    raw = [binomtest(count + missing, n, lower, "less").pvalue for count in counts]
    raw += [binomtest(count, n, upper, "greater").pvalue for count in counts]
    smallest = min(instance.p_outside for instance in found.instances)
    assert smallest == pytest.approx(min(1.0, min(raw) * 2 * size), rel=1e-6, abs=1e-300)


@given(small_counts, st.randoms(use_true_random=False))
def test_relabelling_instances_permutes_the_evidence(counts: list[int], random: Random) -> None:
    """The verdict doesn't depend on which instance comes first."""
    order = list(range(len(counts)))
    random.shuffle(order)
    shares = even_shares(len(counts))
    found = tolerance_verdict(counts, shares, 0.1, 0.95)
    permuted = tolerance_verdict([counts[i] for i in order], shares, 0.1, 0.95)
    assert permuted.verdict == found.verdict
    assert permuted.instances == tuple(found.instances[i] for i in order)


@given(small_counts, st.integers(1, 5000))
def test_units_that_went_missing_never_make_a_verdict(counts: list[int], missing: int) -> None:
    """What missing units leave is the verdict without them, or none."""
    shares = even_shares(len(counts))
    without = tolerance_verdict(counts, shares, 0.2, 0.95).verdict
    assert tolerance_verdict(counts, shares, 0.2, 0.95, missing).verdict in {without, "inconclusive"}


def test_verdict_is_even_for_many_equal_counts() -> None:
    """Enough units within the band give `even`, and the reason names the worst instance."""
    found = tolerance_verdict([5000] * 9 + [5100], even_shares(10), 0.1, 0.95)
    assert found.verdict == "even"
    assert found.alpha == 0.05
    assert found.reason == (
        "every instance's share lies within 10 % of what is expected; instance-10 deviates most, by +1.8 %"
    )


def test_a_share_outside_its_band_is_uneven() -> None:
    """The reason names the instance, its share and its band."""
    found = tolerance_verdict([5000] * 9 + [3000], even_shares(10), 0.1, 0.95)
    assert found.verdict == "uneven"
    assert found.reason == "instance-10's share 6.2 % lies below its band 9.0 to 11.0 %"


def test_the_reason_shows_as_many_digits_as_the_difference_needs() -> None:
    """A share just outside isn't rounded onto its bound."""
    found = tolerance_verdict([5_510_000, 4_490_000], even_shares(2), 0.1, 0.95)
    assert found.reason == "instance-1's share 55.1 % lies above its band 45.0 to 55.0 %"
    found = tolerance_verdict([55_020_000, 44_980_000], even_shares(2), 0.1, 0.95)
    assert found.reason == "instance-1's share 55.02 % lies above its band 45.00 to 55.00 %"


def test_verdict_is_inconclusive_for_few_units() -> None:
    """Equal but small counts show nothing; the reason says what to do, with the caller's words."""
    found = tolerance_verdict([50] * 10, even_shares(10), 0.1, 0.95, unit="connection")
    assert found.verdict == "inconclusive"
    assert found.reason == (
        "500 connections are too few to tell at 10 % tolerance; "
        "about 16,200 more should decide it if the shares turn out as expected"
    )


def test_missing_units_that_could_change_the_verdict_make_it_inconclusive() -> None:
    """The reason speaks of what is missing, not of too few units."""
    found = tolerance_verdict([5000] * 10, even_shares(10), 0.1, 0.95, 3000, unit="request")
    assert found.verdict == "inconclusive"
    assert found.reason.startswith("3,000 of 53,000 requests have no known instance")


def test_missing_units_speak_in_favour_of_a_lean_instance() -> None:
    """An instance isn't blamed for a share that the missing units could have filled."""
    counts = [5000] * 9 + [3000]
    assert tolerance_verdict(counts, even_shares(10), 0.1, 0.95, 2500).verdict == "inconclusive"


def test_verdict_is_inconclusive_without_units() -> None:
    """Without units there are no shares, and the reason says so."""
    found = tolerance_verdict([0, 0], even_shares(2), 0.1, 0.95, missing=9, unit="source")
    assert found.verdict == "inconclusive"
    assert found.reason == "no source can be attributed to an instance"
    assert [instance.share for instance in found.instances] == [None, None]


def test_unequal_expected_shares_have_bands_of_their_own() -> None:
    """The tolerance is relative to each expected share."""
    found = tolerance_verdict([75_000, 25_000], [0.75, 0.25], 0.1, 0.95, names=["big", "small"])
    assert found.verdict == "even"
    assert [instance.upper_bound for instance in found.instances] == pytest.approx([0.825, 0.275])


def test_a_band_beyond_all_shares_holds_without_a_test() -> None:
    """No share exceeds 1 or falls below 0, however few the units."""
    (only,) = tolerance_verdict([3], [1.0], 0.1, 0.95).instances
    assert (only.upper_bound, only.p_above, only.p_outside) == (1.0, 0.0, 1.0)
    assert tolerance_verdict([3, 1], [0.5, 0.5], 1.0, 0.95).verdict == "even"


def test_ten_million_units_are_judged_exactly() -> None:
    """A share three standard errors inside its bound has the normal distribution's p-value."""
    n, bound = 10_000_000, 0.11
    inside = round(n * bound - 3 * (n * bound * (1 - bound)) ** 0.5)
    rest = [(n - inside) // 9] * 8
    counts = [inside, *rest, n - inside - sum(rest)]
    first = tolerance_verdict(counts, even_shares(10), 0.1, 0.95).instances[0]
    assert first.p_above == pytest.approx(0.00135, rel=0.01)
    assert first.p_below == 0


@pytest.mark.parametrize(
    ("tolerance", "confidence", "missing"), [(0, 0.95, 0), (0.1, 1, 0), (0.1, 0, 0), (0.1, 0.95, -1)]
)
def test_parameters_out_of_range_are_refused(tolerance: float, confidence: float, missing: int) -> None:
    """A tolerance of nothing, certainty and negative counts are ValueErrors."""
    with pytest.raises(ValueError, match="tolerance"):
        tolerance_verdict([1, 1], even_shares(2), tolerance, confidence, missing)


def test_fair_instances_are_rarely_called_uneven() -> None:
    """Of 2,000 simulated fair runs over ten instances, at most alpha come out `uneven`."""
    rng = np.random.default_rng(7)
    # At a tolerance near nothing, a fair share lies on the band's edge: the worst case.
    draws = rng.multinomial(3000, even_shares(10), size=2000)
    uneven = sum(tolerance_verdict(draw, even_shares(10), 1e-6, 0.95).verdict == "uneven" for draw in draws)
    assert uneven / 2000 <= 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5


def test_a_share_on_the_edge_is_rarely_called_even() -> None:
    """Of 2,000 simulated runs with one share at its upper bound, at most alpha come out `even`."""
    rng = np.random.default_rng(8)
    shares = [0.11, *[0.89 / 9] * 9]
    draws = rng.multinomial(60_000, shares, size=2000)
    even = sum(tolerance_verdict(draw, even_shares(10), 0.1, 0.95).verdict == "even" for draw in draws)
    # And not never: else the test would be of no use.
    assert 0.02 < even / 2000 <= 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5


def test_fair_instances_are_called_even_when_there_is_enough() -> None:
    """Of 500 simulated fair runs with many units, nearly all come out `even`."""
    draws = np.random.default_rng(9).multinomial(60_000, even_shares(10), size=500)
    even = sum(tolerance_verdict(draw, even_shares(10), 0.1, 0.95).verdict == "even" for draw in draws)
    assert even / 500 > 0.95


@pytest.mark.parametrize(
    ("counts", "statistic", "p_value"), [([158, 142], 0.853, 0.356), ([157, 143], 0.653, 0.419)]
)
def test_three_hundred_requests_to_two_instances_show_nothing(
    counts: list[int], statistic: float, p_value: float
) -> None:
    """A published experiment's counts: a high p-value is no evidence of evenness."""
    from harness.stats.fairness import chi_square

    found = chi_square(counts, [0.5, 0.5])
    assert (round(found.statistic, 3), round(found.p_value, 3)) == (statistic, p_value)
    assert tolerance_verdict(counts, [0.5, 0.5], 0.1, 0.95).verdict == "inconclusive"


def test_a_dispersion_divides_the_evidence() -> None:
    """Counts that vary ten times as much are worth a tenth of their number, and less for the estimate."""
    counts = [5000, 5100]
    plain = tolerance_verdict([500, 510], [0.5, 0.5], 0.1, 0.95).instances[0]
    known = tolerance_verdict(counts, [0.5, 0.5], 0.1, 0.95, dispersion=10.0).instances[0]
    estimated = tolerance_verdict(
        counts, [0.5, 0.5], 0.1, 0.95, dispersion=10.0, dispersion_dof=19
    ).instances[0]
    assert known.p_below == pytest.approx(plain.p_below, rel=1e-9)
    assert known.p_below < estimated.p_below < 0.05


def test_a_dispersion_that_prevents_the_verdict_is_blamed() -> None:
    """The reason doesn't speak of too few units where there would be enough without it."""
    found = tolerance_verdict([5000, 5100], [0.5, 0.5], 0.1, 0.95, dispersion=30.0, unit="request")
    assert found.reason.startswith(
        "the shares of 10,100 requests vary 30.0 times as much between time windows"
    )


def test_a_dispersion_below_one_is_refused() -> None:
    """Turns make counts vary less, which is no reason to count them as more."""
    with pytest.raises(ValueError, match="at least 1"):
        tolerance_verdict([5, 5], [0.5, 0.5], 0.1, 0.95, dispersion=0.5)
