"""Figures of several runs compared: how often a difference is claimed that is none, or missed."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats.comparison import compare
from harness.stats.figures import compare_figures

_FIGURES = [f"figure {number}" for number in range(8)]
_TRIALS = 400


def test_a_column_claims_a_difference_as_seldom_as_promised() -> None:
    """Of eight figures in three runs a side, any is said to differ in one comparison of twenty at most."""
    random = np.random.default_rng(1)
    claimed = 0
    for _ in range(_TRIALS):
        before, after = ({name: random.lognormal(1, 0.1, 3).tolist() for name in _FIGURES} for _ in range(2))
        found = compare_figures(before, after, _FIGURES, 0.95)
        claimed += any(change.finding == "differs" for change in found.values())
    # 20 are expected at most; four standard deviations of a binomial count are 17.
    assert claimed < 37


def test_all_intervals_hold_the_true_change_at_once() -> None:
    """A figure that is 30 % higher, with runs that vary by 10 %."""
    random = np.random.default_rng(2)
    held = 0
    for _ in range(_TRIALS):
        before = {name: random.lognormal(1, 0.1, 4).tolist() for name in _FIGURES}
        after = {name: (1.3 * random.lognormal(1, 0.1, 3)).tolist() for name in _FIGURES}
        changes = compare_figures(before, after, _FIGURES, 0.95).values()
        held += all(change.low is not None and change.low <= 0.3 <= (change.high or 0) for change in changes)
    assert held > 0.95 * _TRIALS - 17


def test_a_difference_is_found_where_it_is() -> None:
    """Relative to the geometric mean before; the interval is that of one figure, as there is one only."""
    before, after = [100.0, 101.0, 99.0], [150.0, 149.0, 152.0]
    (found,) = compare_figures({"p50": before}, {"p50": after}, {"p50"}, 0.95).values()
    expected = compare(before, after, 0.95)
    assert expected is not None
    assert expected.ratio is not None
    assert expected.ratio_low is not None
    assert found.finding == "differs"
    assert found.change == pytest.approx(expected.ratio - 1)
    assert found.low == pytest.approx(expected.ratio_low - 1)
    assert found.before == pytest.approx(np.exp(np.log(before).mean()))


def test_a_share_changes_in_its_own_unit() -> None:
    """So does a figure that is told as a ratio where there are zeros."""
    for relative in ([], ["errors"]):
        (found,) = compare_figures(
            {"errors": [0.0, 0.0, 0.0]}, {"errors": [0.01, 0.02, 0.03]}, relative, 0.95
        ).values()
        assert not found.relative
        assert found.change == pytest.approx(0.02)


def test_figures_of_one_run_have_no_interval() -> None:
    """There is a change, and no interval of it, whatever the other side has."""
    (found,) = compare_figures({"p50": [100.0]}, {"p50": [200.0, 201.0, 202.0]}, {"p50"}, 0.95).values()
    assert found.finding == "too few runs"
    assert found.change == pytest.approx(1.01, abs=1e-4)
    assert found.low is found.high is None


def test_figures_not_measured_are_not_compared() -> None:
    """Nor is it averaged over those that did."""
    (found,) = compare_figures({"cpu": [1.0, None]}, {"cpu": [2.0, 2.1]}, {"cpu"}, 0.95).values()
    assert (found.finding, found.before, found.change) == ("not measured", None, None)


def test_figures_that_never_vary_widen_no_other_interval() -> None:
    """No errors in any run can't be a false claim."""
    with_errors = compare_figures(
        {"p50": [1.0, 1.1], "errors": [0.0, 0.0]}, {"p50": [1.2, 1.3], "errors": [0.0, 0.0]}, ["p50"], 0.95
    )
    alone = compare_figures({"p50": [1.0, 1.1]}, {"p50": [1.2, 1.3]}, ["p50"], 0.95)
    assert with_errors["p50"] == alone["p50"]
    assert (with_errors["errors"].change, with_errors["errors"].finding) == (0, "not shown")


def test_compare_figures_refuses_different_figures() -> None:
    """Both sides have to have the same."""
    with pytest.raises(ValueError, match="p99"):
        compare_figures({"p50": [1.0]}, {"p99": [1.0]}, [], 0.95)
