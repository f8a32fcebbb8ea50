from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.drift import drift, merged_windows
from harness.stats.equivalence import tolerance_verdict
from harness.stats.planning import more_units, units_needed, units_until_verdict
from harness.stats.sequential import SequentialTest


def fraction_even(shares: list[float], units: int, runs: int, seed: int, tolerance: float = 0.1) -> float:
    """Simulate fair runs in 20 windows, judged with their dispersion as runs are."""
    rng = np.random.default_rng(seed)
    windows = [units * (i + 1) // 20 - units * i // 20 for i in range(20)]
    even = 0
    for _ in range(runs):
        table = merged_windows(rng.multinomial(windows, shares))
        varied = drift(table)
        found = tolerance_verdict(
            table.sum(axis=0),
            shares,
            tolerance,
            0.95,
            dispersion=varied.inflation if varied else 1.0,
            dispersion_dof=varied.dof if varied else None,
        )
        even += found.verdict == "even"
    return even / runs


@pytest.mark.parametrize(
    ("shares", "tolerance"),
    [([0.5] * 2, 0.1), ([0.1] * 10, 0.1), ([0.9, 0.1], 0.1), ([0.2, 0.3, 0.5], 0.2), ([0.5] * 2, 0.5)],
)
def test_a_fair_strategy_is_even_with_the_power(shares: list[float], tolerance: float) -> None:
    """Simulated with drift and verdict: 90 % with the planned units, fewer with two thirds of them."""
    planned = units_needed(shares, tolerance, 0.95)
    error = (0.9 * 0.1 / 500) ** 0.5
    assert fraction_even(shares, planned, 500, 1, tolerance) >= 0.9 - 4 * error
    assert fraction_even(shares, planned * 2 // 3, 500, 2, tolerance) < 0.9


def test_the_sequential_plan_says_by_when_most_fair_runs_have_stopped() -> None:
    """Of simulated fair runs at least 90 % have their verdict by the planned units, and half much earlier."""
    rng = np.random.default_rng(4)
    shares = [0.2] * 5
    planned, half = (units_until_verdict(shares, 0.1, 0.95, power) for power in (0.9, 0.5))
    used = []
    for _ in range(100):
        test = SequentialTest(shares, 0.1, 0.95)
        for counts in rng.multinomial(planned // 20, shares, size=40).cumsum(axis=0):
            if test.look(counts).verdict == "even":
                break
        used.append(counts.sum())
    assert np.mean(np.array(used) <= planned) >= 0.9 - 4 * (0.9 * 0.1 / 100) ** 0.5
    assert np.median(used) <= half < planned


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 50), st.floats(0.02, 0.5), st.floats(0.8, 0.999))
def test_a_finer_question_takes_more_units(instances: int, tolerance: float, confidence: float) -> None:
    """More instances, a smaller tolerance, more confidence: none of them is free."""
    shares = [1 / instances] * instances
    planned = units_needed(shares, tolerance, confidence)
    assert units_needed([1 / (instances + 5)] * (instances + 5), tolerance, confidence) > planned
    assert units_needed(shares, tolerance / 1.5, confidence) > planned
    assert units_needed(shares, tolerance, 1 - (1 - confidence) / 10) > planned
    assert units_until_verdict(shares, tolerance, confidence) > 0


def test_a_rare_instance_sets_the_number() -> None:
    """Nine to one takes more than half and half; the order of the shares makes no difference."""
    assert units_needed([0.9, 0.1], 0.1, 0.95) > 3 * units_needed([0.5, 0.5], 0.1, 0.95)
    assert units_needed([0.9, 0.1], 0.1, 0.95) == units_needed([0.1, 0.9], 0.1, 0.95)


def test_numbers_have_three_digits() -> None:
    """More would pretend to a precision that a plan doesn't have."""
    assert units_needed([0.1] * 10, 0.1, 0.95) % 100 == 0


def test_an_undecided_count_is_told_what_the_plan_lacks() -> None:
    """Fewer units than planned: the rest of the plan."""
    more = more_units([50] * 10, [0.1] * 10, 0.1, 0.95)
    assert (more.units, more.assuming) == (units_needed([0.1] * 10, 0.1, 0.95) - 500, "expected")


def test_an_undecided_count_beyond_the_plan_is_told_what_it_takes_at_its_shares() -> None:
    """An instance inside its band, but close to the bound: so many more at these shares decide it."""
    counts = [10_950, 9_050]
    found = tolerance_verdict(counts, [0.5, 0.5], 0.1, 0.95)
    assert found.verdict == "inconclusive"
    assert found.more is not None
    assert found.more.assuming == "observed"
    assert found.more.units is not None
    for part, verdict in ((0.97, "inconclusive"), (1.0, "even")):
        factor = 1 + part * found.more.units / 20_000
        grown = [round(count * factor) for count in counts]
        assert tolerance_verdict(grown, [0.5, 0.5], 0.1, 0.95).verdict == verdict


def test_a_share_on_its_bound_is_beyond_any_number() -> None:
    """No sensible number of units tells on which side it lies; the reason says what to do."""
    found = tolerance_verdict([11_000, 9_000], [0.5, 0.5], 0.1, 0.95)
    assert found.more is not None
    assert (found.more.units, found.more.assuming) == (None, "observed")
    assert found.reason.endswith("a share lies too close to the edge of its band: widen the tolerance")


def test_dispersion_takes_as_many_times_the_units() -> None:
    """Counts that vary five times as much need five times the plan."""
    plain = more_units([50] * 10, [0.1] * 10, 0.1, 0.95).units
    varied = more_units([50] * 10, [0.1] * 10, 0.1, 0.95, dispersion=5.0, dispersion_dof=171).units
    assert plain is not None
    assert varied is not None
    assert 4 * plain < varied < 6 * plain


@pytest.mark.parametrize(
    ("tolerance", "confidence", "power"), [(0, 0.95, 0.9), (0.1, 1, 0.9), (0.1, 0.95, 1), (0.1, 0.95, 0)]
)
def test_parameters_out_of_range_are_refused(tolerance: float, confidence: float, power: float) -> None:
    """A tolerance of nothing, and certainty, can't be planned for."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        units_needed([0.5, 0.5], tolerance, confidence, power)


@pytest.mark.parametrize("shares", [[1 / 3] * 3, [0.1] * 10, [0.5] * 2, [0.2, 0.3, 0.5]])
def test_a_strategy_in_turn_needs_only_what_its_counts_need(shares: list[float]) -> None:
    """Its counts are those expected: even with the planned units, and not with a fifth less."""
    planned = units_needed(shares, 0.1, 0.95, steady=True)
    assert planned < units_needed(shares, 0.1, 0.95) / 3
    for units, verdict in ((planned, "even"), (planned * 0.8, "inconclusive")):
        counts = np.round(np.array(shares) * units).astype(int)
        assert tolerance_verdict(counts, shares, 0.1, 0.95).verdict == verdict


@pytest.mark.parametrize(
    ("counts", "most"), [([183, 183, 184], 300), ([260] * 10, 500)], ids=["three", "ten"]
)
def test_advice_for_counts_in_turn_decides(counts: list[int], most: int) -> None:
    """What is advised is enough, and not many times more."""
    shares = [1 / len(counts)] * len(counts)
    advised = tolerance_verdict(counts, shares, 0.1, 0.95, steady=True).more
    assert advised is not None
    assert advised.units is not None
    assert advised.units <= most
    each = -(-(sum(counts) + advised.units) // len(counts))
    assert tolerance_verdict([each] * len(counts), shares, 0.1, 0.95).verdict == "even"
