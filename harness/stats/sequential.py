"""A verdict that may be looked for again and again while units come in.

Looking at a test of fixed size every second, and stopping when it says yes, finds something in most
fair runs sooner or later. These tests are made for it: the p-values and the intervals hold at all looks
at once (`harness.stats.mixture`), so whenever one stops, the error rates are what they are called.

The claim is exact for units that choose independently, with shares that stay what they are. Where counts
vary more between the looks than such choices would, evidence is divided by the dispersion as in
`harness.stats.equivalence`; it then holds approximately. `benchmarks/calibration.py` measures how well.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.stats.bands import alpha_estimated, assemble, band, checked_alpha, estimated
from harness.stats.drift import drift, merged_windows
from harness.stats.equivalence import Question
from harness.stats.fairness import checked_counts
from harness.stats.mixture import (
    anytime_at_least,
    anytime_at_most,
    confidence_limits,
    log_fit_ratio,
    prior,
    prior_weight,
)
from harness.stats.planning import WINDOWS, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.stats.bands import Evidence
    from harness.stats.equivalence import ToleranceVerdict

    Counts = NDArray[np.int64]
    Floats = NDArray[np.float64]

FEWEST_LOOKS: Final = 8
"""Looks with new units before a verdict: fewer windows would not show that shares vary between them."""

_VARIES: Final = 1e-6
"""Looks are many: of fair runs, next to none is to be said to vary at any of them."""

_MOST_SLICES: Final = 8 * WINDOWS


class SequentialTest:
    """Looks at growing counts until they suffice for a verdict.

    Parameters
    ----------
    expected_shares, tolerance, confidence, names, unit
        As for `harness.stats.equivalence.tolerance_verdict`.

    Attributes
    ----------
    intervals
        The shares of all instances, simultaneously and at all looks, with the confidence; shape
        (instances, 2). Each look's lie within those of the look before. Where they can't, because a
        share has changed, that instance's start anew; and while shares vary between looks by more than
        chance allows, they are those of the current look alone.
    fit_p_value
        Of "the shares are exactly the expected ones, and choices independent", valid at any time.
    decided_at
        Index of the look that first gave a verdict other than `inconclusive`; None while none has.

    Raises
    ------
    ValueError
        A parameter is out of range.

    Examples
    --------
    >>> test = SequentialTest([0.5, 0.5], tolerance=0.1, confidence=0.95, unit="request")
    >>> for look in range(1, 21):
    ...     found = test.look([100 * look, 100 * look])
    >>> found.verdict, test.decided_at
    ('even', 7)
    """

    def __init__(
        self,
        expected_shares: Sequence[float],
        tolerance: float,
        confidence: float,
        *,
        names: Sequence[str] | None = None,
        unit: str = "unit",
    ) -> None:
        nothing, self._shares = checked_counts([0] * len(expected_shares), expected_shares)
        self._alpha = checked_alpha(tolerance, confidence)
        self._question = Question(self._shares, tolerance, self._alpha, names, unit)
        self._plan = Plan(self._shares, tolerance, confidence, sequential=True)
        self._weight = prior_weight(self._shares, tolerance, confidence)
        self._prior = prior(self._shares, self._weight)
        self._counts = nothing
        self._slices: list[Counts] = []
        self._looks = 0
        self._found: ToleranceVerdict | None = None
        self.intervals: Floats = np.tile([0.0, 1.0], (self._shares.size, 1))
        self.fit_p_value = 1.0
        self.decided_at: int | None = None

    @property
    def half_width(self) -> float:
        """Half the width of the widest interval, relative to its expected share."""
        return float(((self.intervals[:, 1] - self.intervals[:, 0]) / 2 / self._shares).max())

    def look(self, counts: Sequence[int] | Counts, missing: int = 0) -> ToleranceVerdict:
        """Judge the counts so far.

        Parameters
        ----------
        counts
            Units of each instance since the beginning.
        missing
            Missing units since the beginning: their instance is unknown.

        Returns
        -------
        ToleranceVerdict
            Once it is `even` or `uneven` it stays, with the figures of the look that decided it.

        Raises
        ------
        ValueError
            A count is smaller than at the look before.
        """
        observed, _ = checked_counts(counts, self._shares.tolist())
        new = observed - self._counts
        if new.min() < 0:
            raise ValueError(f"counts of {self._counts.tolist()} can't become {observed.tolist()}")
        self._counts = observed.copy()  # the caller may go on counting in it
        if new.any():
            self._remember(new)
        dispersion, dof, varies = self._dispersion()
        if varies:
            self.intervals = np.tile([0.0, 1.0], (self._shares.size, 1))
        self._narrow(observed, missing, dispersion, dof)
        log_ratio = log_fit_ratio(observed.astype(float), missing, self._shares, self._weight)
        self.fit_p_value = min(self.fit_p_value, math.exp(min(-log_ratio, 0.0)))
        if self.decided_at is None:
            self._found = self._judge(observed, missing, dispersion, dof)
            if self._found.verdict != "inconclusive":
                self.decided_at = self._looks
        self._looks += 1
        assert self._found is not None  # noqa: S101  the first look has set it
        return self._found

    def _remember(self, new: Counts) -> None:
        """Keep what came since the last look; where there are many such slices, merge them in pairs."""
        self._slices.append(new)
        if len(self._slices) > _MOST_SLICES:
            older = np.array(self._slices[:_MOST_SLICES])
            self._slices[:_MOST_SLICES] = list(older[::2] + older[1::2])

    def _dispersion(self) -> tuple[float, int | None, bool]:
        """Give how much more counts vary between looks than by chance, its dof, and if significantly so."""
        if len(self._slices) < 2:
            return 1.0, None, False
        varied = drift(merged_windows(np.array(self._slices), most=WINDOWS), alpha=_VARIES)
        return (varied.inflation, varied.dof, varied.varies) if varied else (1.0, None, False)

    def _narrow(self, observed: Counts, missing: int, dispersion: float, dof: int | None) -> None:
        """Cut this look's intervals out of those of the looks before."""
        level = self._alpha / self._shares.size
        if dispersion > 1 and dof is not None:
            level = alpha_estimated(level, dof)
        limits = confidence_limits(observed / dispersion, missing / dispersion, level, *self._prior)
        lower = np.maximum(limits[:, 0], self.intervals[:, 0])
        upper = np.minimum(limits[:, 1], self.intervals[:, 1])
        self.intervals = np.where((lower <= upper)[:, None], np.stack([lower, upper], axis=1), limits)

    def _judge(self, observed: Counts, missing: int, dispersion: float, dof: int | None) -> ToleranceVerdict:
        """Make the tests of this look."""

        def evidence(factor: float = 1.0, lost: int = missing, spread: float = dispersion) -> Evidence:
            scale = factor / spread
            return self._evidence(
                np.asarray(observed * scale, dtype=np.float64), lost * scale, dof if spread > 1 else None
            )

        question, alpha, found = self._question, self._alpha, evidence()
        doubt = ""
        if question.answer(observed, found) != "inconclusive":
            if len(self._slices) >= FEWEST_LOOKS:
                return question.verdict(observed, found)
            doubt = f"{FEWEST_LOOKS} looks at the counts are needed to see whether shares vary between them"
        return question.verdict(
            observed,
            found,
            more=self._plan.more(int(observed.sum()), missing, dispersion, evidence),
            missing=missing if evidence(lost=0).verdict(alpha) != "inconclusive" else 0,
            dispersion=dispersion if evidence(spread=1.0).verdict(alpha) != "inconclusive" else 1.0,
            doubt=doubt,
        )

    def _evidence(self, x: Floats, missing: float, dof: int | None) -> Evidence:
        return evidence_at_any_time(x, missing, self._shares, self._question.tolerance, self._prior, dof)


def evidence_at_any_time(  # noqa: PLR0913, PLR0917  the question has this many parts
    counts: Floats,
    missing: float,
    shares: Floats,
    tolerance: float,
    weights: tuple[Floats, Floats],
    dof: int | None,
) -> Evidence:
    """Make all tests of a verdict, valid at all looks at once.

    Parameters
    ----------
    counts, missing
        Units of each instance and missing units, divided by their dispersion.
    shares, tolerance
        What is expected; shape (instances,).
    weights
        The prior's, from `harness.stats.mixture.prior`: the same at every look.
    dof
        Degrees of freedom that the dispersion was estimated with; None where it is known.
    """
    lower, upper = band(shares, tolerance)
    n, bounds = counts.sum() + missing, np.array([lower, upper])
    at_least_p = anytime_at_least(counts, n, bounds, *weights)
    at_most_p = anytime_at_most(counts + missing, n, bounds, *weights)
    return assemble((lower, upper), estimated(at_least_p, dof), estimated(at_most_p, dof))
