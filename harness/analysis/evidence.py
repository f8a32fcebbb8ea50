"""What a recording shows: the verdict on its units, and all tests beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.analysis.available import most_units, why_not_longer
from harness.analysis.early_stop import replay
from harness.stats.design import corrected, design_effect
from harness.stats.drift import drift, windows_table
from harness.stats.equivalence import tolerance_verdict
from harness.stats.fairness import chi_square, goodness_of_fit
from harness.stats.intervals import simultaneous_intervals
from harness.stats.ordering import order_of_choices
from harness.summary.tests import (
    ChiSquareTest,
    DriftTest,
    FitTest,
    LookRow,
    OrderTest,
    RequestsTest,
    SequentialSummary,
    Tests,
    ToleranceBand,
    ToleranceTest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.analysis.early_stop import InterimLook
    from harness.analysis.units import Sample
    from harness.scenario import Scenario
    from harness.stats.drift import Drift
    from harness.stats.equivalence import ToleranceVerdict
    from harness.stats.fairness import GoodnessOfFit
    from harness.stats.sequential import SequentialTest

_BAND = ("lower_bound", "upper_bound", "p_below", "p_above", "p_outside")


@dataclass(frozen=True)
class Evidence:
    """All that follows from which instance was chosen when.

    Attributes
    ----------
    judged
        The verdict: from the counts, or, for a run that watched them, from all looks at them.
    tests
        What the summary says of it.
    intervals
        Simultaneous intervals of the instances' shares, shape (instances, 2).
    residuals
        Each instance's standardised residual; None where there are no units, of its route or at all.
    """

    judged: ToleranceVerdict
    tests: Tests
    intervals: NDArray[np.float64]
    residuals: tuple[float | None, ...] | None


def evidence(scenario: Scenario, sample: Sample) -> Evidence:
    """Make all tests of a sample.

    Parameters
    ----------
    scenario
        What was measured, with the tolerance and the confidence to judge by.
    sample
        What the verdict is on.
    """
    units, names = sample.balanced, sample.recording.instances
    drifted, order, rate_per_s = _in_time(sample)
    inflation = drifted.inflation if drifted else 1.0
    if sample.looks is None:
        sequential = None
        judged = tolerance_verdict(
            units.counts,
            sample.shares,
            scenario.tolerance,
            scenario.confidence,
            units.missing,
            names=names,
            unit=sample.unit,
            dispersion=inflation,
            dispersion_dof=drifted.dof if drifted else None,
            steady=_steady(sample, order),
        )
        intervals = simultaneous_intervals(units.counts, scenario.confidence, "exact", dispersion=inflation)
    else:
        judged, test = replay(sample.recording, sample.looks, scenario, sample.unit, sample.shares)
        intervals = test.intervals
        sequential = _sequential(test, sample.looks, any_units=bool(units.counts.any()))
    judged, most = _within_reach(scenario, sample, judged)
    fit = None
    if units.counts.any():
        fit = goodness_of_fit(units.counts, sample.shares, alpha=judged.alpha, seed=scenario.seed)
    tests = Tests(
        chi_square=ChiSquareTest(**asdict(fit.chi_square)) if fit else None,
        fit=_fit(fit) if fit else None,
        tolerance=_tolerance(names, judged, units.missing, inflation, rate_per_s, most),
        drift=DriftTest(**asdict(drifted)) if drifted else None,
        order=order,
        requests=_requests(sample),
        sequential=sequential,
    )
    return Evidence(judged, tests, intervals, fit.residuals if fit else None)


def _within_reach(
    scenario: Scenario, sample: Sample, judged: ToleranceVerdict
) -> tuple[ToleranceVerdict, int | None]:
    """Say so where no longer load can bring the units that a verdict lacks; give how many there can be."""
    more = judged.more.units if judged.more else None
    if judged.verdict != "inconclusive" or more is None:
        return judged, None
    units = sample.balanced
    most, wanted = most_units(scenario, sample.unit), units.total + more
    if most is None or wanted <= max(most, units.total):
        return judged, None
    lacks = judged.reason.partition("; about ")[0]
    reason = f"{lacks}; {why_not_longer(scenario, sample.unit, most, wanted)}"
    return replace(judged, reason=reason), most


def _steady(sample: Sample, order: OrderTest | None) -> bool:
    """Whether instances were chosen in turn, by the order of choices or by counts more even than chance."""
    counts = sample.balanced.counts
    if order is not None and order.kind == "in turn":
        return True
    if not counts.any() or len(counts) < 2:
        return False
    return goodness_of_fit(counts, sample.shares).spread == "more even"


def _sequential(test: SequentialTest, looks: Sequence[InterimLook], *, any_units: bool) -> SequentialSummary:
    decided = next((look.elapsed_ns / 1e9 for look in looks[test.decided_at or 0 :]), None)
    return SequentialSummary(
        looks=tuple(LookRow(**asdict(look)) for look in looks),
        decided_after_s=None if test.decided_at is None else decided,
        half_width=test.half_width if any_units else None,
        fit_p_value=test.fit_p_value,
    )


def _in_time(sample: Sample) -> tuple[Drift | None, OrderTest | None, float]:
    """Test whether the shares changed, and how one choice followed the other; give the choices' rate.

    Connections that are kept come to an end, and so do sources: the rate is that of the second half.
    """
    times_ns, choices = sample.balanced.chosen()
    instances = len(sample.recording.instances)
    drifted = drift(windows_table(times_ns, choices, instances))
    order = order_of_choices(choices, instances)
    middle_ns = sample.recording.started_ns + sample.wall_ns // 2
    late = times_ns.size - int(np.searchsorted(times_ns, middle_ns, side="right"))
    return drifted, OrderTest(**asdict(order)) if order else None, late / max(sample.wall_ns, 1) * 2e9


def _fit(fit: GoodnessOfFit) -> FitTest:
    values = asdict(fit)
    return FitTest(**{key: values[key] for key in FitTest.model_fields})


def _tolerance(  # noqa: PLR0913, PLR0917  each is one fact of the test
    names: Sequence[str],
    judged: ToleranceVerdict,
    missing: int,
    inflation: float,
    rate_per_s: float,
    most: int | None,
) -> ToleranceTest:
    more = judged.more.units if judged.more else None
    longer = more is not None and most is None and rate_per_s > 0
    return ToleranceTest(
        alpha=judged.alpha,
        missing=missing,
        dispersion=inflation,
        more_units=more,
        more_seconds=more / rate_per_s if more is not None and longer else None,
        most_units=most,
        instances=tuple(
            ToleranceBand(name=name, **{key: getattr(instance, key) for key in _BAND})
            for name, instance in zip(names, judged.instances, strict=True)
        ),
    )


def _requests(sample: Sample) -> RequestsTest | None:
    """Test the requests, too, where they are not what is balanced."""
    requests = sample.units["request"].counts
    if sample.unit == "request" or not requests.any():
        return None
    naive, effect = chi_square(requests, sample.shares), design_effect(sample.balanced.sizes)
    return RequestsTest(
        chi_square=ChiSquareTest(**asdict(naive)),
        design_effect=effect,
        corrected=ChiSquareTest(**asdict(corrected(naive, effect))),
    )
