from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.blocks import BLOCKS, TimeBlocks
from harness.stats.histogram import Histogram, bucket_indices
from harness.stats.latency import (
    SHARES,
    Interval,
    Quantiles,
    quantile_intervals,
    quantile_intervals_of_runs,
    quantiles_ns,
)

SECOND_NS = 10**9
NONE = dict.fromkeys(SHARES)


def starts(random: np.random.Generator, count: int) -> np.ndarray:
    """Give starts over 30 s."""
    return random.integers(0, 30 * SECOND_NS, count)


def independent(random: np.random.Generator, count: int) -> np.ndarray:
    """Give latencies about half a millisecond: exp(13) ns is the median."""
    return random.lognormal(13, 0.5, count).astype(np.int64)


def alike(random: np.random.Generator, count: int, lasts: float) -> np.ndarray:
    """Give such latencies, each like the ones before: an AR(1) process that forgets in `lasts` requests."""
    from scipy.signal import lfilter

    kept = np.exp(-1 / lasts)
    noise = random.standard_normal(count)
    noise[1:] *= (1 - kept**2) ** 0.5
    latencies: np.ndarray = np.exp(13 + 0.5 * lfilter([1], [1, -kept], noise)).astype(np.int64)
    return latencies


def test_quantiles_of_a_thousand_known_latencies() -> None:
    """Of 1 to 1,000 ns, the p-th percentile is the value that p percent are at most."""
    shuffled = np.random.default_rng(1).permutation(np.arange(1, 1001))
    assert quantiles_ns(shuffled) == Quantiles(500, 900, 990, 999, 1000)


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=200))
def test_quantiles_are_observed_and_in_order(latencies: list[int]) -> None:
    """Each quantile is one of the latencies, to the nanosecond, and none is below the one before."""
    found = [value for value in quantiles_ns(np.array(latencies, dtype=np.int64)) if value is not None]
    assert len(found) == 5
    assert set(found) <= set(latencies)
    assert found == sorted(found)
    assert found[-1] == max(latencies)


def test_quantiles_of_no_latencies_are_none() -> None:
    """Nothing measured is None, which can't be taken for very fast."""
    assert quantiles_ns(np.array([], dtype=np.int64)) == Quantiles(None, None, None, None, None)


def test_quantiles_of_one_latency_are_that_latency() -> None:
    """A single request is its own median and maximum."""
    assert quantiles_ns(np.array([7])) == pytest.approx(Quantiles(7, 7, 7, 7, 7))


@given(st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)), max_size=60))
def test_blocks_hold_every_request_once(requests: list[tuple[int, int]]) -> None:
    """Together they are the run's histogram, and each request is counted in the block of its start."""
    latencies, begun = np.array(requests, dtype=np.int64).reshape(-1, 2).T
    found = TimeBlocks.of(latencies, begun)
    whole = Histogram.from_values(latencies)
    assert found.indices.tolist() == whole.indices.tolist()
    assert np.diff(found.cumulated.sum(axis=0), prepend=0).tolist() == whole.counts.tolist()
    if requests:
        length = -(-(int(begun.max()) - int(begun.min()) + 1) // BLOCKS)
        place = [(int(start) - int(begun.min())) // length for start in begun]
        assert found.cumulated[:, -1].tolist() == np.bincount(place, minlength=BLOCKS).tolist()


def test_a_draw_is_a_run_made_of_blocks() -> None:
    """The quantile of weighted blocks is that of as many copies of their requests."""
    random = np.random.default_rng(2)
    latencies, begun = independent(random, 3000), np.sort(starts(random, 3000))
    blocks = TimeBlocks.of(latencies, begun)
    weights = np.random.default_rng(5).multinomial(BLOCKS, np.full(BLOCKS, 1 / BLOCKS), 20)
    length = -(-(int(begun[-1]) - int(begun[0]) + 1) // BLOCKS)
    block = (begun - begun[0]) // length
    for share in SHARES.values():
        expected = [
            bucket_indices(np.quantile(latencies.repeat(drawn[block]), share, method="inverted_cdf"))
            for drawn in weights
        ]
        assert blocks.resampled(share, 20, 5).tolist() == expected


def test_intervals_hold_the_quantiles_and_are_repeatable() -> None:
    """In any order of the requests; the more confidence, the wider; in the order of the quantiles."""
    random = np.random.default_rng(3)
    latencies, begun = independent(random, 50_000), starts(random, 50_000)
    found = quantile_intervals(latencies, begun, seed=4)
    shuffled = random.permutation(50_000)
    assert quantile_intervals(latencies[shuffled], begun[shuffled] + 17, seed=4) == found
    surer = quantile_intervals(latencies, begun, 0.999, seed=4)
    for (name, interval), value in zip(found.items(), quantiles_ns(latencies), strict=False):
        wide = surer[name]
        assert interval is not None
        assert wide is not None
        assert value is not None
        assert wide.low < interval.low < value < interval.high < wide.high
        assert interval.high - interval.low < 0.1 * value


def test_independent_latencies_are_covered() -> None:
    """95 of 100 intervals hold the true quantile, as near as 400 runs can tell."""
    from scipy.special import ndtri

    random = np.random.default_rng(6)
    given_, wrong = dict.fromkeys(SHARES, 0), dict.fromkeys(SHARES, 0)
    for seed in range(400):
        found = quantile_intervals(independent(random, 2000), starts(random, 2000), seed=seed)
        for name, interval in found.items():
            if interval is not None:
                true = np.exp(13 + 0.5 * ndtri(SHARES[name]))
                given_[name] += 1
                wrong[name] += not interval.low <= true <= interval.high
    assert given_["p99_9"] == 0
    for name in ("p50", "p90", "p99"):
        assert given_[name] > 320
        assert 3 <= wrong[name] <= 50  # 20 are expected


def test_latencies_that_are_alike_are_covered() -> None:
    """Where an interval from independent requests would hold the median in a third of all runs."""
    random = np.random.default_rng(7)
    covered = naive = runs = 0
    for seed in range(300):
        latencies, begun = alike(random, 20_000, 50), np.sort(starts(random, 20_000))
        found = quantile_intervals(latencies, begun, seed=seed)["p50"]
        sorted_ = np.sort(latencies)
        naive += bool(sorted_[10_000 - 139] <= np.exp(13) <= sorted_[10_000 + 139])
        if found is not None:
            runs += 1
            covered += found.low <= np.exp(13) <= found.high
    assert runs > 240
    assert covered / runs > 0.86
    assert naive / 300 < 0.5


def test_stalls_widen_the_tail_alone() -> None:
    """40 stalls of 20 ms hold the p99, which is then less sure than with the same latencies shuffled."""
    random = np.random.default_rng(8)
    latencies, begun = independent(random, 30_000), np.sort(starts(random, 30_000))
    for at in random.integers(0, 30 * SECOND_NS, 40):
        stalled = (begun >= at) & (begun < at + 20_000_000)
        latencies[stalled] += at + 20_000_000 - begun[stalled]
    found, shuffled = (quantile_intervals(x, begun) for x in (latencies, random.permutation(latencies)))
    width = {}
    for name in ("p50", "p99"):
        one, other = found[name], shuffled[name]
        assert one is not None
        assert other is not None
        width[name] = (one.high - one.low) / (other.high - other.low)
    assert width["p99"] > 2 * width["p50"]


def test_quantile_decided_by_few_blocks_has_no_interval() -> None:
    """One stall holds the slowest hundredth: how often stalls come can't be told from it."""
    random = np.random.default_rng(9)
    latencies, begun = independent(random, 20_000), np.sort(starts(random, 20_000))
    latencies[5000:5400] += 50_000_000
    found = quantile_intervals(latencies, begun)
    assert found["p50"] is not None
    assert found["p99"] is found["p99_9"] is None


def test_quantile_with_slowness_beyond_a_block_has_no_interval() -> None:
    """Latency that rises all the time has no quantile that a longer run would have, too."""
    random = np.random.default_rng(10)
    latencies, begun = independent(random, 20_000), np.sort(starts(random, 20_000))
    assert quantile_intervals(latencies * (begun + 30 * SECOND_NS) // (30 * SECOND_NS), begun) == NONE


def test_tail_quantiles_of_few_requests_have_no_interval() -> None:
    """Five requests beyond the p99, and none beyond the p99.9."""
    random = np.random.default_rng(11)
    found = quantile_intervals(independent(random, 500), starts(random, 500))
    assert [name for name, interval in found.items() if interval is None] == ["p99", "p99_9"]


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_next_to_no_requests_have_no_intervals(count: int) -> None:
    """Nor a warning."""
    values = np.arange(count, dtype=np.int64)
    assert quantile_intervals(values, values) == NONE
    assert quantile_intervals(values, values * 0) == NONE


def test_latencies_that_are_all_the_same_are_their_interval() -> None:
    """Nothing is slower than the quantile, and it is known none the less, unless requests are too few."""
    found = quantile_intervals(np.full(1000, 7), np.arange(1000))
    assert found["p50"] == found["p90"] == found["p99"] == Interval(7, 7)
    assert found["p99_9"] is None
    assert quantile_intervals(np.full(999, 7), np.arange(999))["p99"] is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100)), max_size=300), st.integers(0, 9))
def test_quantile_intervals_are_ordered_or_none(requests: list[tuple[int, int]], seed: int) -> None:
    """Ties, empty blocks and single ones raise no warning, and an interval holds the quantile's bucket."""
    latencies, begun = np.array(requests, dtype=np.int64).reshape(-1, 2).T
    found = quantile_intervals(latencies, begun, 0.9, seed=seed)
    for interval in found.values():
        assert interval is None or interval.low <= interval.high


@pytest.mark.parametrize(
    ("latencies", "begun", "confidence"),
    [
        (np.array([1, 2]), np.array([1]), 0.95),
        (np.array([[1, 2]]), np.array([[1, 2]]), 0.95),
        (np.array([-1]), np.array([1]), 0.95),
        (np.array([1.5]), np.array([1]), 0.95),
        (np.array([1]), np.array([1]), 1.0),
        (np.array([1]), np.array([1]), 0.0),
    ],
)
def test_quantile_intervals_refuse_impossible_input(
    latencies: np.ndarray, begun: np.ndarray, confidence: float
) -> None:
    """Arrays of different lengths, tables, latencies that are none, confidences that are none."""
    with pytest.raises(ValueError, match=r"needed|must be|whole"):
        quantile_intervals(latencies, begun, confidence)


def run(p99: int | None) -> Quantiles:
    """Give a run's quantiles."""
    return Quantiles(100, 200, p99, 2000, 3000)


@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=10), st.sampled_from([0.9, 0.99]))
@settings(deadline=None)  # the first example imports statsmodels
def test_interval_of_runs_is_students_on_logs(p99s: list[int], confidence: float) -> None:
    """As statsmodels has it."""
    from statsmodels.stats.weightstats import DescrStatsW

    found = quantile_intervals_of_runs([run(p99) for p99 in p99s], [5000] * len(p99s), confidence)
    if np.ptp(p99s) > 0:
        low, high = np.clip(DescrStatsW(np.log(p99s)).tconfint_mean(1 - confidence), None, np.log(2.0**62))
        interval = found["p99"]
        assert interval is not None
        assert interval.low <= np.exp(low) * (1 + 1e-9) <= (interval.low + 1) * (1 + 1e-8)
        assert interval.high >= np.exp(high) * (1 - 1e-9) >= (interval.high - 1) * (1 - 1e-8)
    assert found["p50"] == pytest.approx((100, 100), abs=1)
    assert found["p99_9"] is None


def test_intervals_of_three_runs_hold_the_typical_run() -> None:
    """95 of 100, where the bootstrap of three runs would hold it in 70."""
    random = np.random.default_rng(12)
    wrong = 0
    for _ in range(3000):
        values = random.lognormal(13, 0.2, 3).astype(np.int64)
        interval = quantile_intervals_of_runs([run(int(value)) for value in values], [5000] * 3)["p99"]
        assert interval is not None
        wrong += not interval.low <= np.exp(13) <= interval.high
    assert 90 < wrong < 212  # 150 are expected


def test_runs_that_tell_nothing_have_no_interval() -> None:
    """One run, none, a quantile that is missing or 0, or a run with too few requests for it."""
    assert quantile_intervals_of_runs([], []) == NONE
    assert quantile_intervals_of_runs([run(500)], [5000]) == NONE
    for runs, counts in (
        ([run(500), run(None)], [5000, 5000]),
        ([run(500), run(0)], [5000, 5000]),
        ([run(500), run(600)], [5000, 999]),
    ):
        found = quantile_intervals_of_runs(runs, counts)
        assert found["p99"] is None
        assert found["p90"] is not None
    assert quantile_intervals_of_runs([run(500), run(600)], [1000, 1000])["p99"] is not None
    assert quantile_intervals_of_runs([run(500), run(600)], [10_000, 10_000])["p99_9"] is not None


def test_two_runs_that_differ_much_have_a_finite_interval() -> None:
    """Up to more than anybody waits, and no overflow."""
    interval = quantile_intervals_of_runs([run(1), run(10**12)], [5000, 5000])["p99"]
    assert interval is not None
    assert (interval.low, interval.high) == (0, 2**62)


def test_runs_and_requests_must_match() -> None:
    """One number of requests a run; a confidence that is one."""
    with pytest.raises(ValueError, match="of each run"):
        quantile_intervals_of_runs([run(1)], [])
    with pytest.raises(ValueError, match="confidence"):
        quantile_intervals_of_runs([run(1)], [1], 1.0)
