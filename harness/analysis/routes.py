"""Several applications behind one port: each route is a distribution of its own, judged for itself.

All that is said of a route holds with a confidence such that what is said of all of them together holds
with the scenario's (`harness.stats.multiplicity`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from harness.analysis.early_stop import EarlyStop
from harness.analysis.evidence import Evidence, evidence
from harness.analysis.statuses import LAYER_OF_REQUESTS, status_rows
from harness.analysis.units import units_of
from harness.recording.identities import relabel
from harness.recording.layout import NO_INSTANCE
from harness.scenario.routes import shares_of_load
from harness.stats.fairness import ChiSquare
from harness.stats.latency import quantiles_ns
from harness.stats.multiplicity import chi_square_of_all, confidence_of_each, verdict_of_all
from harness.summary.run import LatencySummary, RouteRow
from harness.summary.tests import ChiSquareTest, SequentialSummary, Tests, ToleranceTest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from harness.analysis.early_stop import InterimLook
    from harness.analysis.units import Sample
    from harness.recording.table import Recording
    from harness.scenario import Scenario
    from harness.types import Unit

_NUMBER = TypeVar("_NUMBER", int, float)


@dataclass(frozen=True)
class Part:
    """A route, and what there is to be judged of it.

    Attributes
    ----------
    number, name
        Which route it is.
    instances, shares
        Its instances' names, and their shares of its units.
    scenario
        The whole scenario, with the confidence of one route's verdict.
    """

    number: int
    name: str
    instances: tuple[str, ...]
    shares: tuple[float, ...]
    scenario: Scenario


def parts(scenario: Scenario, shares: Sequence[float]) -> list[Part]:
    """Give the routes of a scenario; none where it has none.

    Parameters
    ----------
    scenario
        What is measured.
    shares
        Each instance's expected share of its route, in the scenario's order.
    """
    own, found = [*shares], []
    for number, (name, route) in enumerate(scenario.routes.items()):
        instances = tuple(route.instances(name))
        each = confidence_of_each(scenario.confidence, len(scenario.routes))
        strict = scenario.model_copy(update={"confidence": each})
        found.append(Part(number, name, instances, tuple(own[: len(instances)]), strict))
        del own[: len(instances)]
    return found


class RoutedEarlyStop:
    """Looks at the routes' counts while the load runs, each for itself, until there is a verdict on all.

    Parameters
    ----------
    scenario, unit, shares
        As for `harness.analysis.early_stop.EarlyStop`, the shares as for `parts`.
    """

    def __init__(self, scenario: Scenario, unit: Unit, shares: Sequence[float]) -> None:
        self._parts = parts(scenario, shares)
        self._watches = [EarlyStop(part.scenario, unit, part.instances, part.shares) for part in self._parts]

    @property
    def all_looks(self) -> list[list[InterimLook]]:
        """The looks taken so far, of each route; they count its records alone."""
        return [watch.looks for watch in self._watches]

    @property
    def decided(self) -> bool:
        """Whether there is a verdict: one route is uneven, or each has its own."""
        verdicts = [watch.verdict for watch in self._watches]
        return verdict_of_all(verdicts) != "inconclusive"

    @property
    def known(self) -> str:
        """How well the shares are known."""
        return max(self._watches, key=lambda watch: watch.half_width).known

    def take(self, rows: NDArray[np.void], elapsed_ns: int, identities: Sequence[str]) -> None:
        """Count new records; parameters as of `harness.analysis.early_stop.EarlyStop.take`."""
        for part, watch in zip(self._parts, self._watches, strict=True):
            own = rows[rows["route"] == part.number]
            relabel(own, identities, part.instances)
            watch.take(own, elapsed_ns, part.instances)


class OnRoute(NamedTuple):
    """An instance's route, and the units on which it was the first of its route to answer."""

    route: str
    connections: int
    sources: int


@dataclass(frozen=True)
class Routed:
    """What a recording shows of its routes.

    Attributes
    ----------
    evidence
        That of all routes together, with all instances in the recording's order.
    rows
        Each route's row of the summary.
    instances
        By instance, its route and what it counted there: a connection may have several routes.
    """

    evidence: Evidence
    rows: tuple[RouteRow, ...]
    instances: dict[str, OnRoute]


def routed_evidence(
    scenario: Scenario, sample: Sample, looks: Sequence[Sequence[InterimLook]] | None
) -> Routed:
    """Make all tests of a recording's routes.

    Parameters
    ----------
    scenario, sample
        As for `harness.analysis.evidence.evidence`, the shares as for `parts`.
    looks
        The looks of each route; None where no look could end the load.
    """
    found, rows = [], []
    instances: dict[str, OnRoute] = {}
    for part in parts(scenario, sample.shares):
        recording = sample.recording.of_route(part.number, part.instances)
        own = replace(
            sample,
            recording=recording,
            units=units_of(recording, sample.unit),
            shares=part.shares,
            looks=None if looks is None else looks[part.number],
        )
        shown = evidence(part.scenario, own)
        found.append(shown)
        rows.append(_row(scenario, sample.recording, part, own, shown))
        counts = (own.units[kind].counts.tolist() for kind in ("connection", "source"))
        instances |= {
            name: OnRoute(part.name, connections, sources)
            for name, connections, sources in zip(part.instances, *counts, strict=True)
        }
    return Routed(_together(scenario, found, rows), tuple(rows), instances)


def _row(scenario: Scenario, recording: Recording, part: Part, own: Sample, shown: Evidence) -> RouteRow:
    route = scenario.routes[part.name]
    rows, requests = recording.rows, own.recording.rows
    answered = np.count_nonzero((rows["route"] == part.number) & (rows["instance"] != NO_INSTANCE))
    return RouteRow(
        name=part.name,
        path=route.path,
        host=route.host,
        replicas=route.replicas,
        requests=len(requests),
        share=len(requests) / len(rows) if len(rows) else None,
        expected_share=shares_of_load(scenario.routes)[part.name],
        errors=own.recording.errors_by_class(),
        statuses=status_rows(own.recording, LAYER_OF_REQUESTS),
        misrouted=int(answered) - int(own.units["request"].counts.sum()),
        verdict=shown.judged.verdict,
        reason=shown.judged.reason,
        tests=shown.tests,
        latency_ns=LatencySummary(**quantiles_ns(own.recording.latencies_ns())._asdict()),
    )


def _together(scenario: Scenario, found: Sequence[Evidence], rows: Sequence[RouteRow]) -> Evidence:
    """Say of all routes what is said of each."""
    verdict = verdict_of_all([shown.judged.verdict for shown in found])
    index = next(i for i in _most_telling(found) if verdict in {"even", found[i].judged.verdict})
    reason = f"route {rows[index].name}: {found[index].judged.reason}"
    if verdict == "even":
        number = f"each of {len(found)} routes" if len(found) > 1 else f"route {rows[0].name}"
        reason = f"on {number}, {found[index].judged.reason}"
    judged = replace(
        found[index].judged,
        verdict=verdict,
        instances=tuple(instance for shown in found for instance in shown.judged.instances),
        reason=reason,
    )
    residuals = tuple(
        residual for shown in found for residual in shown.residuals or (None,) * len(shown.judged.instances)
    )
    intervals = np.concatenate([shown.intervals for shown in found])
    return Evidence(judged, _tests(scenario, rows), intervals, residuals)


def _most_telling(found: Sequence[Evidence]) -> list[int]:
    """Order the routes by how far their worst instance is from its share, the farthest first."""
    worst = [max(abs(each.deviation or 0) for each in shown.judged.instances) for shown in found]
    return sorted(range(len(found)), key=worst.__getitem__, reverse=True)


def _tests(scenario: Scenario, rows: Sequence[RouteRow]) -> Tests:
    """Put the routes' tests together, as far as that says anything of the whole."""
    fits = [ChiSquare(**row.tests.chi_square.model_dump()) for row in rows if row.tests.chi_square]
    fit = chi_square_of_all(fits)
    tolerances = [row.tests.tolerance for row in rows]
    shares = shares_of_load(scenario.routes)
    lacking = [row for row in rows if row.verdict == "inconclusive"]
    takes = [row.tests.tolerance for row in lacking]
    units = [
        test.more_units and round(test.more_units / shares[row.name])
        for row, test in zip(lacking, takes, strict=True)
    ]
    return Tests(
        chi_square=ChiSquareTest(**asdict(fit)) if fit else None,
        tolerance=ToleranceTest(
            alpha=tolerances[0].alpha,
            missing=sum(test.missing for test in tolerances),
            dispersion=max(test.dispersion for test in tolerances),
            more_units=_longest(units),
            more_seconds=_longest([test.more_seconds for test in takes]),
            instances=tuple(band for test in tolerances for band in test.instances),
        ),
        sequential=_sequential(rows),
    )


def _longest(each: Sequence[_NUMBER | None]) -> _NUMBER | None:
    """Give the largest; None where one is not known, or there are none."""
    known = [number for number in each if number is not None]
    return max(known) if known and len(known) == len(each) else None


def _sequential(rows: Sequence[RouteRow]) -> SequentialSummary | None:
    """Say when the load had its verdict: that of an uneven route, or the last one's."""
    found = [row.tests.sequential for row in rows if row.tests.sequential]
    if not found:
        return None
    uneven = [one for one, row in zip(found, rows, strict=True) if row.verdict == "uneven"]
    decided = [one.decided_after_s for one in uneven or found]
    first = min((moment for moment in decided if moment is not None), default=None)
    widths = [one.half_width for one in found if one.half_width is not None]
    fits = [one.fit_p_value for one in found if one.fit_p_value is not None]
    return SequentialSummary(
        looks=max((one.looks for one in found), key=len),
        decided_after_s=first if uneven else _longest(decided),
        half_width=max(widths, default=None),
        fit_p_value=min(1.0, min(fits) * len(rows)) if fits else None,
    )
