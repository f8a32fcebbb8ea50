"""From a recording to the summary of a run: what its numbers are, and what they amount to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

from harness.analysis.crosscheck import crosscheck
from harness.analysis.elsewhere import counted_elsewhere, words_of
from harness.analysis.evidence import evidence
from harness.analysis.identity import mistaken
from harness.analysis.impact import impacts
from harness.analysis.latency import latency, latency_from_send
from harness.analysis.load import cpu_time, generator
from harness.analysis.recovery import recovers
from harness.analysis.routes import Routed, routed_evidence
from harness.analysis.rows import instance_rows
from harness.analysis.service import network_of, service_of
from harness.analysis.statuses import status_rows
from harness.analysis.units import Sample, units_of
from harness.errors import LoadError
from harness.summary.outcome import concluded
from harness.summary.run import Counts, Memory, Summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.analysis.observed import Observed
    from harness.analysis.units import Units
    from harness.recording.table import Recording
    from harness.scenario import Scenario
    from harness.types import Unit

_EMULATED = (
    "the host was emulated, without hardware virtualisation: shares and the verdict are as good as anywhere, "
    "but no time is that of a real machine"
)


def summarise(scenario: Scenario, recording: Recording, observed: Observed) -> Summary:
    """Judge a recording and write everything down; the phases are filled in later.

    Raises
    ------
    LoadError
        Instances are meant to get different shares, or are of different routes, but the answers don't
        name them.
    """
    _require_names(scenario, recording, observed.balancing.shares)
    quantiles, intervals = latency(scenario, recording)
    recorded = units_of(recording, observed.balancing.unit)
    units = counted_elsewhere(recording, recorded, observed)
    sample = _sample(recording, units, observed)
    doubt = _too_early(sample, observed) or mistaken(recording, units[sample.unit], observed.readings.tables)
    routed = _doubted(_judged(scenario, sample, observed), doubt)
    shown, requests = routed.evidence, len(recording.rows)
    errors = recording.errors_by_class()
    impact = impacts(recording, observed.events, scenario, sample.unit)
    events = tuple(one.row() for one in impact)
    recovered = recovers(scenario, impact, events)
    summary = Summary(
        **_as_planned(scenario),
        **_as_observed(observed),
        unit=sample.unit,
        verdict=shown.judged.verdict,
        reason=shown.judged.reason,
        passed=False,  # until it is concluded
        started_at=(observed.started_at or recording.started_at).astimezone(UTC).isoformat(),
        tests=shown.tests,
        instances=instance_rows(recording.instances, units, sample, shown, routed.instances),
        counts=_counts(units, requests, sum(errors.values())),
        errors=errors,
        statuses=status_rows(recording, observed.balancing.layer),
        service=service_of(scenario, recording, observed),
        died=tuple(observed.died),
        network=network_of(observed.readings),
        witnesses=crosscheck(recording, recorded, observed.balancing.layer, observed.readings.tables),
        latency_ns=quantiles,
        latency_from_send_ns=latency_from_send(recording),
        latency_intervals_ns=intervals,
        throughput_per_s=(requests - sum(errors.values())) / max(observed.load.wall_ns, 1) * 1e9,
        cpu_us_per_request=cpu_time(observed, requests),
        events=events,
        recovers=recovered,
        routes=routed.rows,
        generator=generator(scenario, recording, observed),
        warnings=(*observed.warnings, *_own_warnings(recording, units[sample.unit], observed)),
    )
    return concluded(summary)


def _require_names(scenario: Scenario, recording: Recording, shares: Sequence[float]) -> None:
    """See that answers tell instances apart where it matters which is which."""
    if recording.named:
        return
    what = "gives instances different shares" if max(shares) - min(shares) > 1e-9 else ""
    what = "leads to instances of several routes" if scenario.routes else what
    if what:
        raise LoadError(
            f"{scenario.strategy.name} {what}, but answers name {recording.instances[0]!r}, which is none of "
            "them: let each answer with its name"
        )


def _sample(recording: Recording, units: Mapping[Unit, Units], observed: Observed) -> Sample:
    """Give what the verdict is on: all of a recording, or what came before the first fault."""
    balancing, wall_ns = observed.balancing, observed.load.wall_ns
    if observed.events:
        first_ns = observed.events[0].began_ns
        wall_ns = first_ns - recording.started_ns
        recording = recording.before(first_ns, len(balancing.shares))
        units = units_of(recording, balancing.unit)
    return Sample(recording, units, balancing.unit, balancing.shares, wall_ns)


def _judged(scenario: Scenario, sample: Sample, observed: Observed) -> Routed:
    """Judge a sample: each route for itself, or all of it where there are no routes."""
    if scenario.routes:
        return routed_evidence(scenario, sample, observed.looks)
    looks = None if observed.looks is None else observed.looks[0]
    return Routed(evidence(scenario, replace(sample, looks=looks)), (), {})


def _too_early(sample: Sample, observed: Observed) -> str | None:
    """Say so where the first event came before there was anything to judge."""
    if not observed.events or sample.balanced.total:
        return None
    return (
        f"nothing was measured before the first event ({observed.events[0].action}), and a verdict is on "
        "what came before it: let the event come later"
    )


def _doubted(routed: Routed, doubt: str | None) -> Routed:
    """Let no verdict stand where the counts are not those of the instances."""
    if doubt is None:
        return routed
    judged = replace(routed.evidence.judged, verdict="inconclusive", reason=doubt, more=None)
    return replace(routed, evidence=replace(routed.evidence, judged=judged))


def _as_planned(scenario: Scenario) -> dict[str, Any]:
    """Give what the summary repeats of the scenario."""
    return {
        "name": scenario.name,
        "strategy": scenario.strategy.name,
        "host": scenario.host,
        "engine": scenario.engine,
        "client": scenario.client,
        "replicas": scenario.replicas,
        "expect": scenario.expect,
        "tolerance": scenario.tolerance,
        "confidence": scenario.confidence,
        "seed": scenario.seed,
        "scenario": scenario.as_written(),
    }


def _as_observed(observed: Observed) -> dict[str, Any]:
    """Give what the summary repeats of the run."""
    return {
        "emulated": observed.environment.emulated,
        "interrupted": observed.interrupted,
        "repeat_index": observed.repeat_index,
        "workers": observed.environment.workers,
        "memory_bytes": Memory(**observed.readings.memory_bytes),
        "versions": dict(observed.environment.versions),
    }


def _counts(units: Mapping[Unit, Units], requests: int, failed: int) -> Counts:
    return Counts(
        connections=units["connection"].total,
        requests=requests,
        sources=units["source"].total,
        networks=units["network"].total if "network" in units else None,
        errors=failed,
    )


def _own_warnings(recording: Recording, units: Units, observed: Observed) -> list[str]:
    warnings = [_EMULATED] if observed.environment.emulated else []
    warnings += words_of(units, observed)
    if not recording.named and not units.counts.all():
        seen, replicas = int(units.counts.astype(bool).sum()), len(units.counts)
        warnings.append(
            f"answers give {seen} of {replicas} names: either the other instances got nothing, or "
            "application.identity is not what tells instances apart"
        )
    return warnings
