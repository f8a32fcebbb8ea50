"""Several questions with one confidence for all answers."""

from __future__ import annotations

import doctest

import pytest
from scipy.stats import chi2

from harness.stats import multiplicity
from harness.stats.fairness import chi_square
from harness.stats.multiplicity import chi_square_of_all, confidence_of_each, verdict_of_all


def test_the_examples_come_out_as_printed() -> None:
    """A reader who types one in gets what stands there."""
    assert doctest.testmod(multiplicity) == (0, 4)


@pytest.mark.parametrize("questions", [1, 2, 30])
def test_no_more_of_all_answers_are_wrong_than_of_one(questions: int) -> None:
    """Whether they are independent, or never wrong at once; one alone is asked as ever."""
    wrong = 1 - confidence_of_each(0.95, questions)
    assert 1 - (1 - wrong) ** questions <= questions * wrong == pytest.approx(0.05)


def test_the_worst_part_decides() -> None:
    """What is shown of one part holds of the whole; what is not shown of one is not shown of all."""
    assert verdict_of_all(["even", "even"]) == "even"
    assert verdict_of_all(["inconclusive", "even"]) == "inconclusive"
    assert verdict_of_all(["inconclusive", "uneven", "even"]) == "uneven"


def test_independent_tests_add_up() -> None:
    """Statistics and degrees of freedom; one alone stays itself, and a single instance adds nothing."""
    one, other = chi_square([10, 20], [0.5, 0.5]), chi_square([10, 12, 20], [1 / 3] * 3)
    both = chi_square_of_all([one, other, chi_square([7], [1.0])])
    assert both is not None
    assert (both.statistic, both.dof) == (one.statistic + other.statistic, 3)
    assert both.p_value == pytest.approx(chi2.sf(both.statistic, 3))
    assert chi_square_of_all([one]) == one
    assert chi_square_of_all([]) is None
