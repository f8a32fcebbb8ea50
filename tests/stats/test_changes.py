"""Places at which shares change."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats.changes import change_points


def _drawn(seed: int, *parts: tuple[int, list[float]]) -> np.ndarray:
    """Draw one unit a block: so many with these shares, then so many with those."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.multinomial(1, shares, size=blocks) for blocks, shares in parts])


def test_a_change_is_found_where_it_is() -> None:
    """A third that vanishes is seen within a few units."""
    table = _drawn(1, (300, [1 / 3, 1 / 3, 1 / 3]), (600, [0.5, 0.5, 0.0]))
    (place,) = change_points([table])
    assert 290 <= place <= 305


def test_shares_that_come_and_go_are_two_changes() -> None:
    """Both are found near their places, in the median of 41 sequences; some are cut more often on the way."""
    tables = (_drawn(seed, (400, [0.5, 0.5]), (200, [0.95, 0.05]), (400, [0.5, 0.5])) for seed in range(41))
    places = [change_points([table]) for table in tables]
    assert min(map(len, places)) >= 2  # in the whole, some would hide each other
    assert abs(np.median([found[0] for found in places]) - 400) <= 15
    assert abs(np.median([found[-1] for found in places]) - 600) <= 15


def test_change_shows_in_any_of_several_views() -> None:
    """Few units of one kind are lost among many kinds, which shows where they are put against all others."""
    got = np.ones((1000, 2), np.int64)
    got[:, 1] = 0
    got[:12] = [0, 1]
    many = np.random.default_rng(3).multinomial(1, [0.02] * 50, size=1000)
    assert change_points([many]) == []
    assert change_points([many, got]) == [12]


def test_constant_shares_are_seldom_cut() -> None:
    """The correction for all places keeps the rate below what was asked for, in 150 sequences."""
    cut = sum(bool(change_points([_drawn(seed, (400, [0.25] * 4))])) for seed in range(150))
    assert cut <= 3  # 0.15 are expected at most; the probability of more than 3 is below 1e-4


def test_a_sequence_of_one_kind_or_of_one_block_has_no_place() -> None:
    """Nothing can change there."""
    assert change_points([np.ones((50, 1), np.int64)]) == []
    assert change_points([np.array([[3, 4]])]) == []


def test_tables_that_do_not_fit_are_refused() -> None:
    """They are to be the same units."""
    with pytest.raises(ValueError, match="equal length"):
        change_points([np.ones((5, 2), np.int64), np.ones((6, 2), np.int64)])
