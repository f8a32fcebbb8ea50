"""What a recording shows: the verdict on its units, and all tests beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

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
    from harness.recording.table import Recording
    from harness.scenario import Scenario
    from harness.stats.drift import Drift
    from harness.stats.equivalence import ToleranceVerdict
    from harness.stats.fairness import GoodnessOfFit
    from harness.types import Unit

_BAND = ("lower_bound", "upper_bound", "p_below", "p_above", "p_outside")


@dataclass(frozen=True)
class Evidence:
    """All that follows from who was chosen when.

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


def evidence(  # noqa: PLR0913  the question has this many parts
    scenario: Scenario,
    recording: Recording,
    unit: Unit,
    shares: Sequence[float],
    *,
    looks: Sequence[InterimLook] | None,
    wall_ns: int,
) -> Evidence:
    """Make all tests of a recording.

    Parameters
    ----------
    scenario, recording
        What was measured, and every request of it.
    unit, shares
        What the strategy balances, and each instance's expected share of it.
    looks
        The looks that could have ended the load; None where none could.
    wall_ns
        How long the load took.
    """
    units = recording.units_by_instance(unit)
    missing = recording.unattributed(unit)
    drifted, order, rate_per_s = _in_time(recording, unit, wall_ns)
    inflation = drifted.inflation if drifted else 1.0
    sequential = None
    if looks is None:
        judged = tolerance_verdict(
            units,
            shares,
            scenario.tolerance,
            scenario.confidence,
            missing,
            names=recording.instances,
            unit=unit,
            dispersion=inflation,
            dispersion_dof=drifted.dof if drifted else None,
        )
        intervals = simultaneous_intervals(units, scenario.confidence, "exact", dispersion=inflation)
    else:
        judged, test = replay(recording, looks, scenario, unit, shares)
        intervals = test.intervals
        rows = tuple(LookRow(**asdict(look)) for look in looks)
        decided = next((look.elapsed_ns / 1e9 for look in looks[test.decided_at or 0 :]), None)
        sequential = SequentialSummary(
            looks=rows,
            decided_after_s=None if test.decided_at is None else decided,
            half_width=test.half_width if units.sum() else None,
            fit_p_value=test.fit_p_value,
        )
    fit = goodness_of_fit(units, shares, alpha=judged.alpha, seed=scenario.seed) if units.sum() else None
    tests = Tests(
        chi_square=ChiSquareTest(**asdict(fit.chi_square)) if fit else None,
        fit=_fit(fit) if fit else None,
        tolerance=_tolerance(recording.instances, judged, missing, inflation, rate_per_s),
        drift=DriftTest(**asdict(drifted)) if drifted else None,
        order=order,
        requests=_requests(recording, unit, shares),
        sequential=sequential,
    )
    return Evidence(judged, tests, intervals, fit.residuals if fit else None)


def _in_time(recording: Recording, unit: Unit, wall_ns: int) -> tuple[Drift | None, OrderTest | None, float]:
    """Test whether the shares changed, and how one choice followed the other; give the choices' rate.

    Connections that are kept come to an end, and so do sources: the rate is that of the second half.
    """
    times_ns, choices = recording.choices(unit)
    instances = len(recording.instances)
    drifted = drift(windows_table(times_ns, choices, instances))
    order = order_of_choices(choices, instances)
    late = int(np.count_nonzero(times_ns - recording.started_ns > wall_ns / 2))
    return drifted, OrderTest(**asdict(order)) if order else None, late / max(wall_ns, 1) * 2e9


def _fit(fit: GoodnessOfFit) -> FitTest:
    values = asdict(fit)
    return FitTest(**{key: values[key] for key in FitTest.model_fields})


def _tolerance(
    names: Sequence[str], judged: ToleranceVerdict, missing: int, inflation: float, rate_per_s: float
) -> ToleranceTest:
    more = judged.more.units if judged.more else None
    return ToleranceTest(
        alpha=judged.alpha,
        missing=missing,
        dispersion=inflation,
        more_units=more,
        more_seconds=more / rate_per_s if more is not None and rate_per_s > 0 else None,
        instances=tuple(
            ToleranceBand(name=name, **{key: getattr(instance, key) for key in _BAND})
            for name, instance in zip(names, judged.instances, strict=True)
        ),
    )


def _requests(recording: Recording, unit: Unit, shares: Sequence[float]) -> RequestsTest | None:
    """Test the requests, too, where they are not what is balanced."""
    requests = recording.requests_by_instance()
    if unit == "request" or not requests.sum():
        return None
    naive, effect = chi_square(requests, shares), design_effect(recording.requests_by_unit(unit))
    return RequestsTest(
        chi_square=ChiSquareTest(**asdict(naive)),
        design_effect=effect,
        corrected=ChiSquareTest(**asdict(corrected(naive, effect))),
    )
