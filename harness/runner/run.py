"""One run of a scenario: provision, expose, warm up, drive, collect, tear down, judge, store.

Each step is a function of what the last one gave, and each gives a frozen value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.common.memory import require_memory
from harness.common.signals import deferred
from harness.hosts import HOSTS
from harness.load.driver import NO_WORKERS, Workers
from harness.results.folder import PendingResult
from harness.runner.drive import drive, warm_up
from harness.runner.expose import expose
from harness.runner.judge import collect, judge
from harness.runner.phases import Phases
from harness.runner.provision import provision, tear_down
from harness.runner.setup import make_host, require_programs

if TYPE_CHECKING:
    from pathlib import Path

    from harness.report.progress import Progress
    from harness.runner.judge import Judged
    from harness.runner.setup import AnyHost
    from harness.scenario import Scenario
    from harness.strategies.base import Strategy
    from harness.summary.run import Summary

_EMULATION_FACTOR = 4


@dataclass(frozen=True)
class Outcome:
    """What a run came to: its summary, the folder that holds it, and whether Ctrl-C ended it."""

    summary: Summary
    folder: Path
    interrupted: bool


def run(  # noqa: PLR0913  what a run takes
    scenario: Scenario,
    results: Path,
    progress: Progress,
    repeat_index: int = 0,
    joining: Workers = NO_WORKERS,
    *,
    keep: bool = False,
) -> Outcome:
    """Run a scenario once.

    Parameters
    ----------
    scenario
        What to run.
    results
        The folder that the result's folder is made in.
    progress
        Told of each phase.
    repeat_index
        Which of the scenario's repetitions this is, from 0.
    joining
        Workers that join from elsewhere.
    keep
        Whether to leave a virtual machine up for the next run.

    Raises
    ------
    HarnessError
        Something that the user can mend; nothing is stored.
    KeyboardInterrupt
        Ctrl-C before anything was measured; nothing is stored.
    """
    require_memory()
    scenario, strategy, made = _made(scenario, progress, keep=keep)
    phases = Phases(progress)
    with PendingResult(results, scenario.name) as pending, made as host:
        for folder in pending.incomplete:
            progress.heading(f"kept what a run had recorded that was killed: {folder}")
        for found in pending.left_alone:
            progress.heading(f"left alone: {found}")
        lab = provision(scenario, strategy, host, phases)
        exposed = expose(lab, joining, phases)
        profile = warm_up(exposed, phases)
        driven = drive(exposed, profile, pending, phases)
        with deferred() as asked_to_end:
            collected = collect(driven)
            tear_down(lab, phases)
            with phases("analyse", "analysis"):
                judged = judge(collected, repeat_index)
                _write(judged, pending)
            summary, folder = _store(judged, pending, phases)
            return Outcome(summary, folder, driven.interrupted or asked_to_end.came)


def _made(scenario: Scenario, progress: Progress, *, keep: bool) -> tuple[Scenario, Strategy, AnyHost]:
    """Give the scenario as it can run here, its strategy, and its host, of which nothing is started yet."""
    strategy = scenario.made_strategy()
    host = make_host(scenario, progress.heading, keep=keep)
    scenario = _adapted(scenario, host, progress)
    if HOSTS[scenario.host].here:
        require_programs(scenario, strategy, host)
    return scenario, strategy, host


def _adapted(scenario: Scenario, host: AnyHost, progress: Progress) -> Scenario:
    """Have the load last longer on an emulated host, which answers less often."""
    load = scenario.load
    counted = load.requests is not None or load.until is not None
    if not host.emulated or counted or load.stages or scenario.events:
        return scenario
    longer = load.model_copy(update={"duration_ns": load.duration_ns * _EMULATION_FACTOR})
    progress.heading(f"the host is emulated, so the load lasts {longer.duration_ns / 1e9:g} s")
    return scenario.model_copy(update={"load": longer})


def _write(judged: Judged, pending: PendingResult) -> None:
    """Write all but the summary."""
    from harness.report.plots.stored import pictures  # noqa: PLC0415  imported with the analysis

    pending.write_applied(judged.collected.driven.exposed.notes)
    pending.write_recording(judged.recording)
    pending.write_plots(pictures(judged.recording, judged.summary))


def _store(judged: Judged, pending: PendingResult, phases: Phases) -> tuple[Summary, Path]:
    """Write the summary with the time of each phase, and make the result visible; give both."""
    summary = judged.summary.model_copy(update={"phases_s": phases.passed()})
    pending.write_summary(summary)
    return summary, pending.commit()
