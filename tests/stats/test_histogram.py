from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.histogram import BUCKETS, Histogram, bucket_indices, highest_values, lowest_values
from harness.stats.latency import quantiles_ns

HOUR_NS = 3_600_000_000_000
LARGEST = 2**63 - 1

# All sizes alike, and what lies at the edges of buckets.
any_ns = st.one_of(
    st.integers(0, 5000),
    st.integers(0, LARGEST),
    st.builds(
        lambda bits, off: min(max((1 << bits) + off, 0), LARGEST), st.integers(0, 63), st.integers(-2, 2)
    ),
)
up_to_an_hour = any_ns.map(lambda value: value % (HOUR_NS + 1))


def array(values: list[int]) -> np.ndarray:
    """Give the values as an array, also if there are none."""
    return np.array(values, dtype=np.int64)


def reference(values: list[int], highest: int = HOUR_NS) -> HdrHistogram:
    """Record values with the package."""
    made = HdrHistogram(1, highest, 3)
    for value in values:
        assert made.record_value(value)
    return made


REFERENCE = reference([], LARGEST)


@given(st.lists(any_ns, max_size=50))
def test_indices_and_limits_are_hdrhistograms(values: list[int]) -> None:
    """Every value up to the largest has the same index, the same lowest and the same highest equivalent."""
    found = bucket_indices(array(values))
    assert found.tolist() == [REFERENCE._counts_index_for(value) for value in values]
    assert lowest_values(found).tolist() == [REFERENCE.get_lowest_equivalent_value(v) for v in values]
    assert highest_values(found).tolist() == [REFERENCE.get_highest_equivalent_value(v) for v in values]


def test_buckets_cover_everything_once() -> None:
    """Each bucket begins where the one before ends, the first at 0; the last ends with the largest value."""
    every = np.arange(BUCKETS)
    lowest, highest = lowest_values(every), highest_values(every)
    assert (lowest[0], highest[-1]) == (0, LARGEST)
    assert (lowest[1:] == highest[:-1] + 1).all()
    assert (bucket_indices(lowest) == every).all()
    assert (bucket_indices(highest) == every).all()
    assert ((highest - lowest) * 1024.0 <= highest).all()


@settings(deadline=None)  # the package makes 50,000 counters for each example
@given(st.lists(up_to_an_hour, min_size=1, max_size=60), st.data())
def test_quantiles_and_mean_are_hdrhistograms(values: list[int], data: st.DataObject) -> None:
    """For every rank: the package, which rounds a percentile's rank, is asked where nothing is to round."""
    made, theirs = Histogram.from_values(array(values)), reference(values)
    rank = data.draw(st.integers(1, len(values)))
    assert made.quantile(rank / len(values)) == theirs.get_value_at_percentile(100 * rank / len(values))
    assert made.total == theirs.get_total_count()
    assert made.mean() == pytest.approx(theirs.get_mean_value(), rel=1e-12)


@given(st.lists(any_ns, min_size=1, max_size=300))
def test_quantiles_are_those_of_the_values(values: list[int]) -> None:
    """Each is the highest equivalent of what `quantiles_ns` finds in the values themselves."""
    made, exact = Histogram.from_values(array(values)), quantiles_ns(array(values))
    for q, value in zip((0.5, 0.9, 0.99, 0.999, 1.0), exact, strict=True):
        assert made.quantile(q) == REFERENCE.get_highest_equivalent_value(value)


@given(st.integers(1, 2**40), st.data())
def test_a_rank_is_met_exactly(total: int, data: st.DataObject) -> None:
    """The share k/n means the k-th value, although k/n times n may be more than k in binary."""
    rank = data.draw(st.integers(1, total))
    # One bucket with `rank` values, another with the rest.
    counts = [rank, total - rank] if rank < total else [rank]
    made = Histogram(np.arange(len(counts)) + 7, array(counts))
    assert made.quantile(rank / total) == 7


@given(st.lists(st.lists(any_ns, max_size=40), min_size=1, max_size=5))
def test_merging_recordings_equals_recording_merged(recordings: list[list[int]]) -> None:
    """In any number of parts, empty ones too, in any order."""
    whole = Histogram.from_values(array([value for values in recordings for value in values]))
    parts = [Histogram.from_values(array(values)) for values in recordings]
    assert sum(parts, start=Histogram.from_values(array([]))) == whole
    assert sum(reversed(parts), start=Histogram.from_values(array([]))) == whole
    assert hash(sum(parts[1:], start=parts[0])) == hash(whole)


@given(st.lists(any_ns, max_size=100))
def test_json_comes_back(values: list[int]) -> None:
    """What was written is read, also without any value."""
    made = Histogram.from_values(array(values))
    assert Histogram.from_json(made.to_json()) == made


@settings(deadline=None)  # as above
@given(st.lists(up_to_an_hour, max_size=60))
def test_json_is_hdrhistograms_encoding(values: list[int]) -> None:
    """The package reads ours, and we read the package's."""
    made, theirs = Histogram.from_values(array(values)), reference(values)
    assert Histogram.from_json(theirs.encode().decode()) == made
    read = HdrHistogram.decode(made.to_json())
    assert read.get_total_count() == len(values)
    for q in (0.01, 0.5, 0.9, 1.0):
        assert read.get_value_at_percentile(100 * q) == theirs.get_value_at_percentile(100 * q)


@pytest.mark.parametrize("count", [1, 63, 64, 2**13, 2**31, 2**55 - 1, 2**55, 2**62])
def test_json_holds_counts_of_any_size(count: int) -> None:
    """From one byte a count to nine."""
    made = Histogram(array([0, 5, 6, BUCKETS - 1]), array([count, 1, count, 1]))
    assert Histogram.from_json(made.to_json()) == made


def test_ten_million_values_are_recorded_and_stay_small() -> None:
    """All are counted, whatever chunk they fall in, and the text has some kilobytes."""
    values = np.random.default_rng(1).lognormal(14, 1, 10_000_000).astype(np.int64)
    made = Histogram.from_values(values)
    assert made.total == values.size
    assert np.array_equal(made.counts, np.unique(bucket_indices(values), return_counts=True)[1])
    assert len(made.to_json()) < 40_000


def test_histogram_without_values_has_no_quantiles() -> None:
    """None, which can't be taken for very fast."""
    empty = Histogram.from_values(array([]))
    assert (empty.total, empty.quantile(0.5), empty.mean()) == (0, None, None)


def test_histogram_takes_any_whole_numbers() -> None:
    """Of any width, signed or not; tables of them, too."""
    small = Histogram.from_values(np.array([[1, 2], [3, 3]], dtype=np.uint8))
    assert small == Histogram.from_values(np.array([3, 3, 2, 1], dtype=np.uint64))


@pytest.mark.parametrize(
    "values", [np.array([-1]), np.array([2**63], dtype=np.uint64), np.array([1.0]), np.array([True])]
)
def test_histogram_refuses_impossible_latencies(values: np.ndarray) -> None:
    """Negative, beyond 2^63 - 1, or not whole."""
    with pytest.raises(ValueError, match=r"nanoseconds|must be"):
        Histogram.from_values(values)


@pytest.mark.parametrize("q", [0.0, -0.1, 1.1, float("nan")])
def test_histogram_quantile_refuses_impossible_shares(q: float) -> None:
    """Above 0 and at most 1."""
    with pytest.raises(ValueError, match="share"):
        Histogram.from_values(array([1])).quantile(q)


def _text(counts: bytes = b"\x02", *, lowest: int = 1, digits: int = 3, cookie: int = 0x1C849313) -> str:
    content = struct.pack(">IIIIqqd", cookie, len(counts), 0, digits, lowest, HOUR_NS, 1.0) + counts
    packed = zlib.compress(content)
    return base64.b64encode(struct.pack(">II", 0x1C849314, len(packed)) + packed).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no base64",
        "Übung",
        base64.b64encode(b"HdrHistogram").decode(),
        base64.b64encode(struct.pack(">II", 0x1C849314, 3) + b"abc").decode(),
        _text()[:-8],
        _text(cookie=0x1C849303),
        _text(lowest=1000),
        _text(digits=2),
        _text(b"\x82"),  # a number that goes on after the end
        _text(b"\xff\xff\x7f\x02"),  # a million empty buckets, and then one
        _text(b"\x00" * 2_000_000),  # unpacks to more than all buckets take
    ],
)
def test_histogram_reader_refuses_damaged_text(text: str) -> None:
    """Damaged, cut short, of another layout, or larger than any can be: a ValueError that says so."""
    with pytest.raises(ValueError, match=r"histogram|HdrHistogram"):
        Histogram.from_json(text)


def test_empty_buckets_may_be_zeros() -> None:
    """The encoding lets a writer put 0 for a single empty bucket."""
    assert Histogram.from_json(_text(b"\x00\x02")) == Histogram.from_values(array([1]))
