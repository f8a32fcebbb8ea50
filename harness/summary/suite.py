"""A suite's runs in one JSON document: what `harness suite --json` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.errors import StrategyError
from harness.stats.fairness import ChiSquare, added_up
from harness.stats.tails import holm
from harness.strategies import find_strategy
from harness.summary.events import Recovers, WindowLatency  # noqa: TC001  pydantic reads them, too
from harness.summary.outcome import exit_status
from harness.summary.run import CpuTime, LatencySummary  # noqa: TC001  pydantic reads them, too
from harness.summary.tests import ChiSquareTest  # noqa: TC001  pydantic reads it when the model is made
from harness.types import (
    Unit,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.summary.events import EventRow
    from harness.summary.run import Summary

OutcomeVerdict = Literal[Verdict, "refused", "failed", "skipped", "not possible"]
Expected = Literal[Verdict, "refused"]
Membership = Literal["static", "followed", "by itself"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EventFigures(_Model):
    """What an event cost in one run, as in its summary.json; `recovered_s` is null if not shown."""

    label: str
    requests: int
    lost: int
    errors: dict[str, int]
    recovery: Literal["recovered", "disturbed", "unknown"] | None
    recovered_s: float | None
    during_ns: WindowLatency
    first_second_ns: WindowLatency
    answered_after: int


class Figures(_Model):
    """What was measured in one run, as in its summary.json.

    `worst_deviation` is that of the instance that deviates most, with its sign; `p_outside` the least of
    the instances' p-values, and `alpha` what it was compared with. `membership` is how the strategy hears of
    members that come and go: by a watcher (`followed`), `by itself`, or not (`static`).
    """

    chi_square: ChiSquareTest | None
    worst_deviation: float | None
    p_outside: float
    alpha: float
    latency_ns: LatencySummary
    throughput_per_s: float
    cpu_us_per_request: CpuTime
    requests: int
    errors: dict[str, int]
    misrouted: int = 0
    generator_limited: bool = False
    witnesses_agree: bool | None
    membership: Membership = "static"
    events: tuple[EventFigures, ...] = ()
    warnings: tuple[str, ...]


class RunOutcome(_Model):
    """What one run of a scenario came to.

    `verdict` is the run's, or `refused` by the strategy as expected, or `failed`: it ended with an
    error; `skipped`: this kernel lacks what the strategy needs; `not possible`: a combination of the
    matrix that the strategy can't have. `passed` is null for the last two, which count neither way.
    `round` counts from 1, and is null where nothing ran; `result` is the result's folder; `figures`
    are null where nothing was measured; `recovers` is null where the scenario does not require it.
    """

    verdict: OutcomeVerdict
    reason: str
    passed: bool | None
    status: Literal[0, 1, 3]
    interrupted: bool = False
    round: int | None
    seconds: float
    result: str | None = None
    figures: Figures | None = None
    recovers: Recovers | None = None


class Chance(_Model):
    """What chance explains of a scenario, by itself and among all of its suite.

    With many scenarios, some look uneven by chance alone. The adjusted p-values count all scenarios
    (Holm): what they still show holds for the suite as a whole. `p_value` is chi-square's, of all runs
    together; `p_outside` that of a share outside its tolerance, in any run.
    """

    p_value: float
    p_value_adjusted: float
    p_outside: float
    p_outside_adjusted: float
    alpha: float


class ScenarioOutcomes(_Model):
    """A scenario and what its runs came to; there are fewer than `repeat` if the rest was left out.

    `expect`, `replicas` and `unit` are null for a combination that is not possible; `chance` is, where
    nothing was measured. `load` tells loads apart whose figures can't be compared; it is empty in older
    documents.
    """

    name: str
    strategy: str
    expect: Expected | None
    replicas: int | None
    unit: Unit | None
    load: str = ""
    repeat: int
    outcomes: tuple[RunOutcome, ...]
    chance: Chance | None = None

    @property
    def measured(self) -> list[Figures]:
        """The figures of those runs that have some."""
        return [outcome.figures for outcome in self.outcomes if outcome.figures is not None]


class SuiteSummary(_Model):
    """A suite: `order` is what was to be run, in each round; `scenarios` are in the order given."""

    # Goes up when a reader of older documents would misread a newer one.
    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: str
    seed: int
    repeat: int
    order: tuple[tuple[str, ...], ...]
    scenarios: tuple[ScenarioOutcomes, ...]
    interrupted: bool
    passed: bool

    def outcomes(self) -> Iterator[tuple[ScenarioOutcomes, RunOutcome]]:
        """Give every outcome with its scenario."""
        for scenario in self.scenarios:
            for outcome in scenario.outcomes:
                yield scenario, outcome

    def to_json(self) -> str:
        """Give the document's text, in one line."""
        return self.model_dump_json(by_alias=True)


def among_all(scenarios: tuple[ScenarioOutcomes, ...]) -> tuple[ScenarioOutcomes, ...]:
    """Say what chance explains of each scenario, given how many there are."""
    measured = {
        scenario.name: runs
        for scenario in scenarios
        if (runs := [run for run in scenario.measured if run.chi_square is not None])
    }
    fits = [
        added_up([ChiSquare(**run.chi_square.model_dump()) for run in runs if run.chi_square]).p_value
        for runs in measured.values()
    ]
    # Of several runs, any may be the one that is outside: Bonferroni's correction.
    outside = [min(min(run.p_outside for run in runs) * len(runs), 1.0) for runs in measured.values()]
    if not measured:
        return scenarios
    columns = zip(measured, fits, holm(fits).tolist(), outside, holm(outside).tolist(), strict=True)
    chances = {
        name: Chance(
            p_value=fit,
            p_value_adjusted=fit_among_all,
            p_outside=out,
            p_outside_adjusted=out_among_all,
            alpha=measured[name][0].alpha,
        )
        for name, fit, fit_among_all, out, out_among_all in columns
    }
    return tuple(scenario.model_copy(update={"chance": chances.get(scenario.name)}) for scenario in scenarios)


def outcome_of(summary: Summary, folder: Path, round_number: int, seconds: float) -> RunOutcome:
    """Keep of a run's summary what a suite's table and document need."""
    deviations = [row.deviation for row in summary.instances if row.deviation is not None]
    test, routes = summary.tests.tolerance, max(len(summary.routes), 1)
    figures = Figures(
        chi_square=summary.tests.chi_square,
        worst_deviation=max(deviations, key=abs, default=None),
        # Routes share one alpha: so p-values of several are comparable with those of a single one.
        p_outside=min(1.0, routes * min(instance.p_outside for instance in test.instances)),
        alpha=test.alpha * routes,
        latency_ns=summary.latency_ns,
        throughput_per_s=summary.throughput_per_s,
        cpu_us_per_request=summary.cpu_us_per_request,
        requests=summary.counts.requests,
        errors=summary.errors,
        misrouted=summary.misrouted,
        generator_limited=summary.generator.limited,
        witnesses_agree=summary.witnesses.agree,
        membership=membership_of(summary),
        events=tuple(_event_figures(row) for row in summary.events),
        warnings=summary.warnings,
    )
    return RunOutcome(
        verdict=summary.verdict,
        reason="; ".join(summary.not_passed) or summary.reason,
        passed=summary.passed,
        status=exit_status(summary),
        interrupted=summary.interrupted,
        round=round_number,
        seconds=seconds,
        result=str(folder),
        figures=figures,
        recovers=summary.recovers,
    )


def membership_of(summary: Summary) -> Membership:
    """Say how a run's strategy heard of members that come and go; of one not installed, it is not known."""
    if summary.scenario.get("membership") == "followed":
        return "followed"
    try:
        return "by itself" if find_strategy(summary.strategy).default_capabilities().follows else "static"
    except (KeyError, StrategyError):
        return "static"


def _event_figures(row: EventRow) -> EventFigures:
    return EventFigures(
        label=row.label or f"{row.action} {', '.join(row.members)}",
        requests=row.requests,
        lost=row.lost,
        errors=row.errors,
        recovery=row.recovery.state if row.recovery else None,
        recovered_s=row.recovery.after_s if row.recovery else None,
        during_ns=row.latency_ns.during,
        first_second_ns=row.latency_ns.first_second,
        answered_after=row.answered_after,
    )


def suite_exit_status(summary: SuiteSummary) -> int:
    """Give a whole suite's exit status: that of the run that says most; 1 before 3 before 0."""
    return max((outcome.status for _, outcome in summary.outcomes()), key=(0, 3, 1).index, default=0)


def suite_summary_schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of what `harness suite --json` prints."""
    schema = SuiteSummary.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
