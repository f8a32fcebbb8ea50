from __future__ import annotations

import time
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.stats.comparison import (
    Comparison,
    compare,
    compare_latency_blocks,
    errors_risen,
    worse_beyond,
)

figures = st.lists(st.floats(0.001, 1e9), min_size=2, max_size=12)
confidences = st.sampled_from([0.8, 0.95, 0.999])


def compared(before: list[float], after: list[float], confidence: float = 0.95) -> Comparison:
    """Compare figures that are enough to be compared."""
    found = compare(before, after, confidence)
    assert found is not None
    return found


def logs_of(comparison: Comparison) -> list[float]:
    """Give the logarithms of the ratio and of its interval's ends."""
    ratios = comparison.ratio, comparison.ratio_low, comparison.ratio_high
    return [float(np.log(ratio)) for ratio in ratios if ratio is not None]


@settings(deadline=None)  # the first example imports statsmodels
@given(figures, figures, confidences)
def test_intervals_are_statsmodels(before: list[float], after: list[float], confidence: float) -> None:
    """Welch's, on the values for the difference, on the logarithms for the ratio."""
    from statsmodels.stats.weightstats import CompareMeans

    # Of values that agree but for the last digits, both have rounding errors to show.
    assume(min(np.ptp(np.log(before)), np.ptp(np.log(after))) > 1e-6)
    found = compared(before, after, confidence)
    on_values = CompareMeans.from_data(after, before)
    low, high = on_values.tconfint_diff(1 - confidence, usevar="unequal")
    scale = max(*before, *after)
    assert (found.difference_low, found.difference_high) == pytest.approx(
        (low, high), rel=1e-6, abs=1e-6 * scale
    )
    assert found.difference == pytest.approx(np.mean(after) - np.mean(before), abs=1e-9 * scale)
    on_logs = CompareMeans.from_data(np.log(after), np.log(before))
    ends = np.clip(on_logs.tconfint_diff(1 - confidence, usevar="unequal"), -700, 700)
    middle = np.mean(np.log(after)) - np.mean(np.log(before))
    assert logs_of(found) == pytest.approx([middle, *ends], rel=1e-6, abs=1e-6)


def test_ratio_interval_equals_scipys() -> None:
    """With different numbers of runs on the sides."""
    from scipy.stats import ttest_ind

    before, after = [10.1, 10.4, 9.7], [12.0, 11.1, 14.2, 12.3, 12.2]
    interval = ttest_ind(after, before, equal_var=False).confidence_interval(0.9)
    found = compared(before, after, 0.9)
    assert (found.difference_low, found.difference_high) == pytest.approx((interval.low, interval.high))


@given(figures, figures, st.floats(0.01, 100))
def test_ratio_knows_no_unit_and_turns_over(before: list[float], after: list[float], factor: float) -> None:
    """Microseconds or nanoseconds, the ratio is the same; after to before is the reciprocal."""
    assume(min(np.ptp(np.log(before)), np.ptp(np.log(after))) > 1e-6)
    one = compared(before, after)
    other = compared([x * factor for x in before], [x * factor for x in after])
    back = compared(after, before)
    ratio, low, high = logs_of(one)
    assert logs_of(other) == pytest.approx([ratio, low, high], abs=1e-6)
    assert logs_of(back) == pytest.approx([-ratio, -high, -low], abs=1e-6)


@pytest.mark.parametrize(("before", "after"), [([1.0], [2.0, 3.0]), ([2.0, 3.0], [1.0]), ([], [])])
def test_fewer_than_two_runs_tell_nothing(before: list[float], after: list[float]) -> None:
    """Nothing can be told of how runs differ; and that is unknown, not fine."""
    assert compare(before, after) is None
    assert worse_beyond(compare(before, after), 0.1) == "unknown"


def test_figures_that_can_be_zero_have_only_a_difference() -> None:
    """No figure is a multiple of 0, so nothing is said of its being worse."""
    found = compared([0.0, 0.1, 0.2], [0.3, 0.2, 0.1])
    assert (found.ratio, found.ratio_low, found.ratio_high) == (None, None, None)
    assert found.difference == pytest.approx(0.1)
    assert found.difference_low < 0 < found.difference_high
    assert worse_beyond(found, 0.1) == "unknown"


def test_figures_that_do_not_vary_have_an_interval_without_width() -> None:
    """Without a warning; one side that varies is enough for width."""
    found = compared([5.0, 5.0], [6.0, 6.0, 6.0])
    assert astuple(found) == pytest.approx((1.2, 1.2, 1.2, 1, 1, 1, 0.95))
    found = compared([5.0, 5.0], [6.0, 6.5, 7.0])
    assert found.difference_low < 1.5 < found.difference_high


@given(st.lists(st.floats(0, 1e150), min_size=2, max_size=5), st.lists(st.floats(0, 1e150), min_size=2))
def test_any_figures_have_ordered_intervals(before: list[float], after: list[float]) -> None:
    """From the smallest double to the largest that is allowed: ends in order, none infinite, no warning."""
    found = compared(before, after)
    assert found.difference_low <= found.difference <= found.difference_high
    assert np.isfinite([found.difference_low, found.difference_high]).all()
    if found.ratio is not None and found.ratio_low is not None and found.ratio_high is not None:
        assert 0 < found.ratio_low <= found.ratio <= found.ratio_high < np.inf


@pytest.mark.parametrize(
    ("before", "after", "confidence"),
    [
        ([1.0, -1.0], [1.0, 2.0], 0.95),
        ([1.0, 2.0], [1.0, float("nan")], 0.95),
        ([1.0, 2.0], [1.0, float("inf")], 0.95),
        ([1.0, 2.0], [1.0, 2.0], 1.0),
        ([1.0, 2.0], [1.0, 2.0], 0.0),
    ],
)
def test_compare_refuses_impossible_figures(
    before: list[float], after: list[float], confidence: float
) -> None:
    """Negative, not finite; and confidences that are none."""
    with pytest.raises(ValueError, match=r"one figure a run|confidence must"):
        compare(before, after, confidence)


@pytest.mark.parametrize(
    ("low", "high", "tolerance", "worse"),
    [
        (0.9, 1.1, 0.2, "no"),
        (0.9, 1.2, 0.2, "no"),
        (0.9, 1.21, 0.2, "unknown"),
        (1.2, 1.5, 0.2, "unknown"),
        (1.21, 1.5, 0.2, "yes"),
        (0.5, 0.6, 0.0, "no"),
        (0.99, 1.01, 0.0, "unknown"),
    ],
)
def test_worse_is_told_by_the_interval(low: float, high: float, tolerance: float, worse: str) -> None:
    """All of it must lie on one side of the tolerance."""
    assert worse_beyond(Comparison(1, low, high, 0, 0, 0, 0.95), tolerance) == worse


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), float("inf")])
def test_worse_beyond_refuses_impossible_tolerances(tolerance: float) -> None:
    """Negative or not finite."""
    with pytest.raises(ValueError, match="tolerance"):
        worse_beyond(None, tolerance)


@pytest.mark.parametrize(("runs", "other"), [(3, 3), (5, 10)])
def test_both_answers_are_seldom_wrong_at_the_edge(runs: int, other: int) -> None:
    """Exactly at the tolerance, and with sides that vary differently, each is given in 2.5 % of all cases."""
    random = np.random.default_rng(runs)
    said = {"no": 0, "yes": 0, "unknown": 0}
    for _ in range(4000):
        before, after = random.lognormal(0, 0.05, runs), random.lognormal(np.log(1.2), 0.1, other)
        said[worse_beyond(compare(before.tolist(), after.tolist()), 0.2)] += 1
    # Welch's test is not exact. 2.5 % are 100; 150 of 4,000 at 2.5 % are five deviations.
    assert 30 < said["no"] < 150
    assert 30 < said["yes"] < 150


def requests(seed: int, *, count: int = 20_000, factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Give latencies about half a millisecond, and starts over 30 s."""
    random = np.random.default_rng(seed)
    latencies = (random.lognormal(13, 0.5, count) * factor).astype(np.int64)
    return latencies, random.integers(0, 30 * 10**9, count)


def test_runs_of_the_same_latency_agree() -> None:
    """The interval of the p99's ratio holds 1 in 95 of 100 pairs of runs."""
    wrong = 0
    for seed in range(150):
        both = requests(2 * seed, count=4000), requests(2 * seed + 1, count=4000)
        found = compare_latency_blocks(*both, seed=seed)["p90"]
        if found is not None and found.ratio_low is not None and found.ratio_high is not None:
            wrong += not found.ratio_low <= 1 <= found.ratio_high
    assert wrong < 24  # 7.5 are expected


def test_a_slower_run_is_found() -> None:
    """A quarter more, in all quantiles, with the difference in nanoseconds."""
    found = compare_latency_blocks(requests(1, count=100_000), requests(2, count=100_000, factor=1.25))
    assert list(found) == ["p50", "p90", "p99", "p99_9"]
    for one in found.values():
        assert one is not None
        assert one.ratio_low is not None
        assert one.ratio_high is not None
        assert 1.05 < one.ratio_low < 1.25 < one.ratio_high < 1.45
        assert worse_beyond(one, 0.02) == "yes"
    median = found["p50"]
    assert median is not None
    assert median.difference_low < 0.25 * np.exp(13) < median.difference_high


def test_too_few_requests_on_one_side_are_no_comparison() -> None:
    """None where either run supports no interval."""
    many, few = requests(1), requests(2, count=300)
    for pair in ((many, few), (few, many)):
        found = compare_latency_blocks(*pair)
        assert found["p50"] is not None
        assert (found["p99"], found["p99_9"]) == (None, None)


def test_latencies_of_zero_have_no_ratio() -> None:
    """Their difference is known exactly."""
    starts = np.arange(10_000)
    zero, one = np.zeros(10_000, dtype=np.int64), np.ones(10_000, dtype=np.int64)
    found = compare_latency_blocks((zero, starts), (one, starts))["p50"]
    assert found == Comparison(None, None, None, 1, 1, 1, 0.95)


@settings(deadline=None)  # the first example imports scipy.stats
@given(st.integers(1, 2000), st.integers(1, 2000), st.data())
def test_errors_are_tested_as_scipy_does(before: int, after: int, data: st.DataObject) -> None:
    """Fisher's exact test, one-sided."""
    from scipy.stats import fisher_exact

    failed = data.draw(st.integers(0, before)), data.draw(st.integers(0, after))
    found = errors_risen((failed[0], before), (failed[1], after), 0.99)
    table = [[failed[1], after - failed[1]], [failed[0], before - failed[0]]]
    assert found.p_value == pytest.approx(fisher_exact(table, "greater").pvalue, rel=1e-6)
    assert found.risen == (found.p_value <= 0.01)
    assert (found.before, found.after) == (failed[0] / before, failed[1] / after)


def test_errors_by_hand() -> None:
    """None of 4 before, 3 of 4 after: 4 of the 56 ways to choose 3 of 8 are all after."""
    assert errors_risen((0, 4), (3, 4)).p_value == pytest.approx(4 / 56)


def test_errors_of_ten_million_take_no_time() -> None:
    """Few and many failures, with hardly any difference and with a large one."""
    began = time.monotonic()
    million = 1_000_000
    assert not errors_risen((100, 10 * million), (110, 10 * million)).risen
    assert errors_risen((100, 10 * million), (150, 10 * million)).risen
    assert not errors_risen((3 * million, 10 * million), (3 * million + 1000, 10 * million)).risen
    assert errors_risen((3 * million, 10 * million), (3 * million + 10_000, 10 * million)).risen
    assert not errors_risen((10 * million, 10 * million), (10 * million, 10 * million)).risen
    assert time.monotonic() - began < 5


def test_errors_without_requests_show_nothing() -> None:
    """On either side."""
    for before, after in (((0, 0), (5, 10)), ((0, 10), (0, 0)), ((0, 0), (0, 0))):
        found = errors_risen(before, after)
        assert (found.p_value, found.risen) == (1.0, False)


@pytest.mark.parametrize(
    ("before", "after", "confidence"),
    [((2, 1), (0, 1), 0.95), ((0, 1), (-1, 1), 0.95), ((0, 1), (0, 1), 1.0)],
)
def test_errors_risen_refuses_impossible_counts(
    before: tuple[int, int], after: tuple[int, int], confidence: float
) -> None:
    """More failures than requests, fewer than none, and a confidence that is none."""
    with pytest.raises(ValueError, match=r"failed|confidence"):
        errors_risen(before, after, confidence)
