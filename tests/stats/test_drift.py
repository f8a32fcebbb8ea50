from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.stats.drift import FEWEST_DOF, drift, merged_windows, windows_table

if TYPE_CHECKING:
    from random import Random

tables = hnp.arrays(
    np.int64, st.tuples(st.integers(2, 30), st.integers(2, 12)), elements=st.integers(0, 10**6)
)


@settings(deadline=None)  # the first example imports scipy.stats
@given(tables)
def test_drift_test_equals_scipys(table: np.ndarray) -> None:
    """Statistic, degrees of freedom and p-value equal scipy's of the rows and columns that have units."""
    from scipy.stats import chi2_contingency

    found = drift(table)
    filled = table[table.any(axis=1)][:, table.any(axis=0)]
    if min(filled.shape) < 2:
        assert found is None
        return
    expected = chi2_contingency(filled, correction=False)
    assert found is not None
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-300)
    assert found.dof == expected.dof == (found.windows - 1) * (found.instances - 1)
    assert found.dispersion == found.statistic / found.dof
    assert found.varies == (found.p_value <= 0.05)
    assert found.inflation == (max(found.dispersion, 1.0) if found.dof >= FEWEST_DOF or found.varies else 1.0)


@given(tables, st.randoms(use_true_random=False))
def test_labels_do_not_matter(table: np.ndarray, random: Random) -> None:
    """Instances and windows in another order give the same statistic."""
    rows, columns = list(range(table.shape[0])), list(range(table.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    one, other = drift(table), drift(table[rows][:, columns])
    if one is None or other is None:
        assert one is other is None
    else:
        assert one.statistic == pytest.approx(other.statistic, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    "table",
    [
        np.zeros((0, 3), np.int64),
        np.zeros((4, 3), np.int64),
        np.array([[3, 4, 5]]),
        np.array([[3, 4], [0, 0]]),
        np.array([[3, 0], [4, 0]]),
    ],
)
def test_drift_needs_two_windows_and_two_instances(table: np.ndarray) -> None:
    """None, where fewer of either have units."""
    assert drift(table) is None


def test_ten_million_units_lose_no_precision() -> None:
    """A difference of one unit between windows of five million is measured to twelve digits."""
    found = drift(np.array([[2_500_001, 2_500_000], [2_500_000, 2_500_001]]))
    assert found is not None
    # All four cells are off by a half from 10,000,002 / 4.
    assert found.statistic == pytest.approx(4 * 0.5**2 / 2_500_000.5, rel=1e-12)


def test_constant_shares_are_seen_as_such() -> None:
    """Of a thousand fair runs, about alpha are said to vary, and the mean dispersion is 1."""
    random = np.random.default_rng(1)
    found = [drift(random.multinomial(500, [0.1] * 10, size=20)) for _ in range(1000)]
    assert 20 < sum(one is not None and one.varies for one in found) < 85
    assert np.mean([one.dispersion for one in found if one is not None]) == pytest.approx(1, abs=0.02)


def test_bursts_inflate_by_their_length() -> None:
    """Choices made once for five units in a row vary five times as much as single ones."""
    random = np.random.default_rng(2)
    choices = random.integers(0, 10, 20_000).repeat(5)
    found = drift(windows_table(np.arange(choices.size), choices, 10))
    assert found is not None
    assert found.varies
    assert found.inflation == pytest.approx(5, rel=0.5)


def test_shares_that_change_are_found_though_the_totals_are_even() -> None:
    """An instance that gets 40 % first and 60 % later is seen."""
    found = drift(np.array([[400, 600], [600, 400]]))
    assert found is not None
    assert found.varies
    assert found.statistic == pytest.approx(4 * 100**2 / 500)
    assert found.inflation == found.dispersion == pytest.approx(80)


def test_taking_turns_is_no_drift() -> None:
    """Round robin's counts hardly vary: the dispersion is near 0, and nothing is inflated."""
    found = drift(windows_table(np.arange(10_003), np.arange(10_003) % 10, 10))
    assert found is not None
    assert found.dispersion < 0.1
    assert (found.varies, found.inflation) == (False, 1.0)


units = st.integers(1, 8).flatmap(
    lambda instances: st.tuples(
        st.lists(st.tuples(st.integers(0, 10**18), st.integers(0, instances - 1)), max_size=300),
        st.just(instances),
        st.integers(1, 25),
    )
)


@given(units)
def test_windows_hold_every_unit_and_enough_of_them(case: tuple[list[tuple[int, int]], int, int]) -> None:
    """Columns add up to the counts; the rarest instance expects five a window, or there is one window."""
    pairs, instances, most = case
    times = np.array([time for time, _ in pairs], np.int64)
    choices = np.array([choice for _, choice in pairs], np.int64)
    table = windows_table(times, choices, instances, most=most)
    counts = np.bincount(choices, minlength=instances)
    assert table.dtype == np.int64
    assert table.sum(axis=0).tolist() == counts.tolist()
    if pairs:
        rarest = counts[counts > 0].min()
        assert len(table) == max(1, min(most, rarest // 5))
    else:
        assert table.shape == (0, instances)


def test_windows_are_equal_in_time() -> None:
    """A unit's window is told by its time, wherever it stands among the units."""
    times = np.concatenate([np.arange(100), np.arange(900, 1000)]) + 1_700_000_000_000_000_000
    order = np.random.default_rng(3).permutation(200)
    table = windows_table(times[order], np.zeros(200, np.uint16)[order], 1, most=10)
    assert table.ravel().tolist() == [100, *[0] * 8, 100]


def test_units_of_one_moment_are_one_window() -> None:
    """Nothing varies over time that has none."""
    table = windows_table(np.full(1000, 7), np.arange(1000) % 2, 2)
    assert drift(table) is None


@given(tables, st.integers(1, 25))
def test_merging_keeps_order_and_units(table: np.ndarray, most: int) -> None:
    """Every window is a sum of adjacent slices, none is empty, and the rarest instance expects five."""
    merged = merged_windows(table, most=most)
    cumulated = {tuple(row) for row in table.cumsum(axis=0).tolist()}
    assert {tuple(row) for row in merged.cumsum(axis=0).tolist()} <= cumulated
    assert merged.sum(axis=0).tolist() == table.sum(axis=0).tolist()
    assert merged.any(axis=1).all()
    totals = table.sum(axis=0)
    if totals.any():
        assert 1 <= len(merged) <= max(1, min(most, totals[totals > 0].min() // 5))


def test_slices_that_are_equal_merge_to_as_many_windows_as_may_be() -> None:
    """A hundred seconds become twenty windows of five, and one slice stays one window."""
    table = np.full((100, 2), 50)
    assert merged_windows(table).tolist() == [[250, 250]] * 20
    assert merged_windows(table[:1]).tolist() == [[50, 50]]
    assert merged_windows(np.zeros((5, 2), np.int64)).shape == (0, 2)


@pytest.mark.parametrize(
    ("times", "choices", "instances", "most"),
    [
        ([1, 2], [0], 2, 20),
        ([1, 2], [0, 2], 2, 20),
        ([1, 2], [-1, 0], 2, 20),
        ([1, 2], [0, 0], 0, 20),
        ([1, 2], [0, 0], 1, 0),
        ([], [], 1, 0),
    ],
)
def test_units_that_can_not_be_are_refused(
    times: list[int], choices: list[int], instances: int, most: int
) -> None:
    """Lengths that differ, choices that are no instance's, and no windows are ValueErrors."""
    with pytest.raises(ValueError, match=r"needed|must be"):
        windows_table(np.array(times, np.int64), np.array(choices, np.int64), instances, most=most)


def test_tables_that_can_not_be_are_refused() -> None:
    """So are negative counts, one dimension, and an alpha that is no probability."""
    for table in (np.array([[1, -1], [1, 1]]), np.array([1, 2])):
        for function in (drift, merged_windows):
            with pytest.raises(ValueError, match=r"negative|dimensions"):
                function(table)
    with pytest.raises(ValueError, match="alpha"):
        drift(np.array([[1, 1], [1, 1]]), alpha=0.0)
