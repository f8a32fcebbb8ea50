"""A suite's runs, one after the other: whatever becomes of one, the others go on."""

from __future__ import annotations

import gc
import os
import time
from typing import TYPE_CHECKING, Final

from harness.common.signals import Terminated
from harness.errors import HarnessError, KernelLacksError, RefusedError, defect
from harness.runner.run import run
from harness.suite.file import NotPossible, Planned
from harness.suite.order import rounds
from harness.summary.suite import (
    RunOutcome,
    ScenarioOutcomes,
    SuiteSummary,
    among_all,
    outcome_of,
    suite_exit_status,
)

if TYPE_CHECKING:
    from pathlib import Path

    from harness.report.progress import Progress
    from harness.scenario import Scenario
    from harness.suite.file import Suite
    from harness.summary.suite import OutcomeVerdict

_LIKELY_OVERHEAD_S: Final = 2.0
"""What a run takes beside its load, until it is known better."""

_SETTLED: Final = ("skipped", "not possible")
"""What would be no different in another round."""


class SuiteRun:
    """A suite on its way.

    Parameters
    ----------
    suite
        What to run.
    results
        The folder that the results' folders are made in.
    progress
        Told of each run and its phases.

    Attributes
    ----------
    interrupted_by
        The Ctrl-C or SIGTERM that ended it early; None if none did.
    """

    def __init__(self, suite: Suite, results: Path, progress: Progress) -> None:
        self._suite = suite
        self._results = results
        self._progress = progress
        self._planned = {one.name: one for one in suite.scenarios if isinstance(one, Planned)}
        self._order = rounds({name: one.repeat for name, one in self._planned.items()}, suite.seed)
        self._outcomes: dict[str, list[RunOutcome]] = {name: [] for name in self._planned}
        self._overheads_s: list[float] = []
        self._cut_short = False
        self.interrupted_by: KeyboardInterrupt | None = None

    def run(self) -> SuiteSummary:
        """Run everything, and sum up; after Ctrl-C, what there is by then."""
        ahead = [(name, index) for index, names in enumerate(self._order) for name in names]
        done = 0
        try:
            while ahead and not self._cut_short:
                name, index = ahead[0]
                self._announce(name, index, done, ahead)
                outcome = self._once(name, index)
                self._outcomes[name].append(outcome)
                self._progress.heading(f"{name}: {outcome.verdict}, {outcome.seconds:.1f} s")
                self._cut_short = outcome.interrupted
                settled = outcome.verdict in _SETTLED
                ahead = [one for one in ahead[1:] if not (settled and one[0] == name)]
                done += 1
                _tidy(first=done == 1)
        except KeyboardInterrupt as error:
            self._cut_short = True
            self.interrupted_by = error
        return self._summary()

    def exit_status(self, summary: SuiteSummary) -> int:
        """Give the exit status of the command: 130 or 143 where it was ended from outside, as for a run."""
        if self._cut_short:
            return 143 if isinstance(self.interrupted_by, Terminated) else 130
        return suite_exit_status(summary)

    def _once(self, name: str, index: int) -> RunOutcome:
        planned = self._planned[name]
        began_s = time.monotonic()
        try:
            outcome = run(planned.scenario, self._results, self._progress, index, keep=True)
        except HarnessError as error:
            return _without_measurement(error, planned, index, time.monotonic() - began_s)
        except Exception as error:
            if os.environ.get("HARNESS_DEBUG"):
                raise
            failed = HarnessError(defect(error))
            return _without_measurement(failed, planned, index, time.monotonic() - began_s)
        seconds = time.monotonic() - began_s
        summary = outcome.summary
        self._overheads_s.append(seconds - (summary.phases_s.warm_up or 0) - (summary.phases_s.load or 0))
        kept = outcome_of(summary, outcome.folder, index + 1, seconds)
        return kept.model_copy(update={"interrupted": outcome.interrupted})

    def _announce(self, name: str, index: int, done: int, ahead: list[tuple[str, int]]) -> None:
        rounds_in_all = len(self._order)
        parts = [f"round {index + 1} of {rounds_in_all}"] if rounds_in_all > 1 else []
        parts.append(f"about {_for_people(sum(self._expected_s(name) for name, _ in ahead))} left")
        self._progress.heading(f"[{done + 1}/{done + len(ahead)}] {name} ({', '.join(parts)})")

    def _expected_s(self, name: str) -> float:
        """Estimate how long a run takes: as it took before, else its load and what runs take beside it."""
        if known := self._outcomes[name]:
            return known[-1].seconds
        load = self._planned[name].scenario.load
        overheads = self._overheads_s or [_LIKELY_OVERHEAD_S]
        return (load.warm_up_ns + load.duration_ns) / 1e9 + sum(overheads) / len(overheads)

    def _summary(self) -> SuiteSummary:
        scenarios = tuple(
            _not_possible(one)
            if isinstance(one, NotPossible)
            else _outcomes_of(one.scenario, one.repeat, self._outcomes[one.name])
            for one in self._suite.scenarios
        )
        passed = all(outcome.status == 0 for scenario in scenarios for outcome in scenario.outcomes)
        return SuiteSummary(
            name=self._suite.name,
            seed=self._suite.seed,
            repeat=len(self._order),
            order=tuple(map(tuple, self._order)),
            scenarios=among_all(scenarios),
            interrupted=self._cut_short,
            passed=passed and not self._cut_short,
        )


def _without_measurement(error: HarnessError, planned: Planned, index: int, seconds: float) -> RunOutcome:
    """Tell what a run came to that ended with an error."""
    verdict: OutcomeVerdict = "failed"
    if isinstance(error, KernelLacksError):
        verdict = "skipped"
    elif isinstance(error, RefusedError) and planned.scenario.expect == "refused":
        verdict = "refused"
    elif isinstance(error, RefusedError) and planned.of_matrix:
        verdict = "not possible"
    return RunOutcome(
        verdict=verdict,
        reason=str(error),
        passed=None if verdict in _SETTLED else verdict == "refused",
        status=1 if verdict == "failed" else 0,
        round=index + 1,
        seconds=seconds,
    )


def _not_possible(combination: NotPossible) -> ScenarioOutcomes:
    outcome = RunOutcome(
        verdict="not possible", reason=combination.reason, passed=None, status=0, round=None, seconds=0.0
    )
    return ScenarioOutcomes(
        name=combination.name,
        strategy=combination.strategy,
        expect=None,
        replicas=None,
        unit=None,
        repeat=0,
        outcomes=(outcome,),
    )


def _outcomes_of(scenario: Scenario, repeat: int, outcomes: list[RunOutcome]) -> ScenarioOutcomes:
    return ScenarioOutcomes(
        name=scenario.name,
        strategy=scenario.strategy.name,
        expect=scenario.expect,
        replicas=scenario.replicas,
        unit=scenario.strategy.can.unit,
        load=scenario.load.words,
        repeat=repeat,
        outcomes=tuple(outcomes),
    )


def _tidy(*, first: bool) -> None:
    """Give back what a run left in cycles; the command has the collector off, since one run ends soon.

    What the first run imported stays as long as the process, and need not be looked through again.
    """
    gc.collect()
    if first:
        gc.freeze()


def _for_people(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds / 5), 1) * 5} s"
    return f"{round(seconds / 60)} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"
