"""From when on a disturbed distribution is what it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.stats.recovery import LOST, Distribution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

THREE_OF_FOUR = (1 / 3, 1 / 3, 1 / 3, 0.0)


def _drawn(seed: int, *parts: tuple[int, Sequence[float]], last: int = LOST) -> NDArray[np.int64]:
    """Draw units: so many with these shares, then so many with those; what is left of 1 goes to the last."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.choice([0, 1, 2, last], size=units, p=[*shares, 1 - sum(shares)]) for units, shares in parts]
    )


THIRDS = (1 / 3, 1 / 3, 1 - 2 / 3)
QUARTERS = (0.25, 0.25, 0.25)


def test_units_that_are_lost_for_a_while_delay_the_recovery() -> None:
    """A quarter of 400 units is lost, then none: it recovers where losses end, not where they are diluted."""
    found = Distribution(_drawn(1, (400, QUARTERS), (3000, THIRDS)), THREE_OF_FOUR, 0.2, 0.95).recovery()
    assert found.state == "recovered"
    assert found.first is not None
    assert 385 <= found.first <= 405
    assert found.units == 3400 - found.first


def test_recovery_begins_after_the_last_unit_to_the_dead() -> None:
    """Whoever should get nothing is not within any tolerance, however many others follow."""
    chosen = _drawn(2, (3000, THIRDS))
    chosen[700] = 3
    found = Distribution(chosen, THREE_OF_FOUR, 0.2, 0.95).recovery()
    assert (found.state, found.first) == ("recovered", 701)


def test_a_newcomer_that_gets_nothing_yet_is_no_recovery() -> None:
    """The new shares are not there before everybody has his own."""
    chosen = _drawn(3, (600, (0.5, 0.5, 0.0)), (3000, THIRDS))
    found = Distribution(chosen, (1 / 3, 1 / 3, 1 / 3), 0.2, 0.95).recovery()
    assert found.first is not None
    assert 590 <= found.first <= 610


def test_recovery_without_disturbance_is_at_once() -> None:
    """Nothing was disturbed."""
    found = Distribution(_drawn(4, (3000, THIRDS)), THREE_OF_FOUR, 0.2, 0.95).recovery()
    assert (found.state, found.first, found.units) == ("recovered", 0, 3000)


def test_losses_that_go_on_are_no_recovery() -> None:
    """As with rules that nobody changes."""
    found = Distribution(_drawn(5, (3000, QUARTERS)), THREE_OF_FOUR, 0.2, 0.95).recovery()
    assert (found.state, found.first, found.needed) == ("disturbed", None, None)


def test_recovery_of_few_units_is_unknown_and_states_the_number() -> None:
    """The end came too early."""
    found = Distribution(_drawn(6, (60, THIRDS)), THREE_OF_FOUR, 0.2, 0.95).recovery()
    assert (found.state, found.first, found.units) == ("unknown", None, 60)
    assert found.needed is not None
    assert found.needed > 500


def test_units_to_the_dead_before_the_cut_are_no_disturbance_at_the_end() -> None:
    """As in a step of a rolling replacement: too little follows for a recovery, and nothing is against it."""
    before = _drawn(7, (20, QUARTERS), last=3)
    assert (before == 3).sum() == 8
    found = Distribution(np.append(before, _drawn(8, (355, THIRDS))), THREE_OF_FOUR, 0.2, 0.95).recovery()
    assert (found.state, found.units) == ("unknown", 375 - int(np.flatnonzero(before == 3)[-1]) - 1)


@pytest.mark.parametrize(("place", "state"), [(8, "unknown"), (12, "disturbed"), (199, "disturbed")])
def test_a_unit_to_the_dead_counts_unless_it_came_early(place: int, state: str) -> None:
    """Among the first ten of 200, which is where one in twenty would be by chance."""
    chosen = np.tile([0, 1, 2], 67)[:200]
    chosen[place] = 3
    assert Distribution(chosen, THREE_OF_FOUR, 0.2, 0.95).recovery().state == state


def test_an_only_survivor_needs_answers_alone() -> None:
    """All of its units are its own; what is lost is against it."""
    chosen = np.array([LOST] * 30 + [0] * 400)
    assert Distribution(chosen, (1.0, 0.0), 0.1, 0.95).recovery().first == 30


def test_sources_count_once() -> None:
    """A thousand connections of four addresses are four choices, which show nothing."""
    chosen = np.tile([0, 1, 0, 1], 250)
    sources = np.tile([0, 1, 2, 3], 250)
    assert Distribution(chosen, (0.5, 0.5), 0.2, 0.95).recovery().state == "recovered"
    found = Distribution(chosen, (0.5, 0.5), 0.2, 0.95, sources).recovery()
    assert (found.state, found.units) == ("unknown", 4)


def test_a_source_that_is_answered_at_last_was_not_lost() -> None:
    """Its first answer says where it is sent; one that never gets any is missing."""
    chosen = np.array([LOST, LOST, 0, LOST])
    assert Distribution(chosen, (0.5, 0.5), 0.2, 0.95, np.array([7, 8, 7, 8])).recovery().units == 2


@pytest.mark.parametrize("units", [0, 1])
def test_recovery_without_units_or_instances_is_unknown(units: int) -> None:
    """Neither is a recovery."""
    assert Distribution(np.zeros(units, np.int64), (1.0, 0.0), 0.1, 0.95).recovery().state == "unknown"
    assert Distribution(np.full(units, LOST), (0.0, 0.0), 0.1, 0.95).recovery().state == "disturbed"


def test_choices_that_do_not_fit_the_shares_are_refused() -> None:
    """An index is of an instance."""
    with pytest.raises(ValueError, match="don't fit"):
        Distribution(np.array([0, 5]), (0.5, 0.5), 0.1, 0.95)


def test_shares_at_the_edge_are_seldom_called_recovered() -> None:
    """At 95 %, no more than one in twenty, however many beginnings are tried: 150 sequences."""
    edge = ((1 - 0.2) / 3, (1 + 0.1) / 3, (1 + 0.1) / 3)
    called = 0
    for seed in range(150):
        chosen = _drawn(1000 + seed, (int(seed % 5) * 100 + 1, QUARTERS), (3000, edge))
        called += Distribution(chosen, THREE_OF_FOUR, 0.2, 0.95).recovery().state == "recovered"
    assert called <= 15  # 7.5 are allowed; three standard errors more


def test_the_moment_of_recovery_is_seldom_too_early_or_too_late() -> None:
    """With a quarter lost until unit 400, nine in ten of 100 moments lie within 5 % of it."""
    near = 0
    for seed in range(100):
        chosen = _drawn(5000 + seed, (400, QUARTERS), (3000, THIRDS))
        first = Distribution(chosen, THREE_OF_FOUR, 0.2, 0.95).recovery().first
        near += first is not None and 380 <= first <= 420
    assert near >= 90
