"""Collect and judge: what others counted, and the summary of it all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.analysis.observed import Readings
    from harness.recording.table import Recording
    from harness.runner.drive import Driven
    from harness.summary.run import Summary


@dataclass(frozen=True)
class Collected:
    """Load with what others than the client counted of it.

    Attributes
    ----------
    driven
        The load.
    readings
        What instances, kernel, proxy and engine say.
    died
        What ended without being asked to, one sentence each.
    warnings
        What spoils the load or the readings, one sentence each.
    """

    driven: Driven
    readings: Readings
    died: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """A recording, and the summary of its run."""

    collected: Collected
    recording: Recording
    summary: Summary


def collect(driven: Driven) -> Collected:
    """Read all counters; no request may be under way any more."""
    readings, warnings = driven.counters.collect(
        driven.exposed.lab.scenario.all_instances(),
        changed=bool(driven.events),
        followed=driven.members_changed,
    )
    return Collected(driven, readings, driven.counters.died(), (*driven.warnings, *warnings))


def judge(collected: Collected, repeat_index: int) -> Judged:
    """Turn records into numbers.

    Raises
    ------
    HarnessError
        The records can't be read back, or don't tell instances apart that have to be.
    """
    from harness.analysis.observed import Balancing, Environment, Observed  # noqa: PLC0415  prepared by now
    from harness.analysis.summarise import summarise  # noqa: PLC0415  as above
    from harness.recording.table import Recording  # noqa: PLC0415  as above

    driven, exposed = collected.driven, collected.driven.exposed
    lab, scenario, strategy = exposed.lab, exposed.lab.scenario, exposed.lab.strategy
    recording = Recording.of_run(
        driven.spool.rows(), driven.load.identities, scenario.all_instances(), tuple(scenario.routes)
    )
    if strategy.can.unit == "network":
        recording = recording.with_sources(lab.host.sources)
    observed = Observed(
        balancing=Balancing(strategy.can.unit, strategy.expected_shares(lab.members), strategy.can.layer),
        load=driven.load,
        readings=collected.readings,
        environment=Environment(
            exposed.versions, lab.host.cores, lab.host.emulated, getattr(strategy, "workers", None)
        ),
        looks=driven.looks,
        events=driven.events,
        died=collected.died,
        warnings=collected.warnings,
        interrupted=driven.interrupted,
        repeat_index=repeat_index,
    )
    return Judged(collected, recording, summarise(scenario, recording, observed))
