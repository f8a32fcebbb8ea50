"""From records to a summary: what a run's numbers are, and what they amount to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.analysis.evidence import evidence
from harness.analysis.impact import impacts
from harness.analysis.recovery import recovers
from harness.analysis.routes import routed_evidence
from harness.errors import LoadError
from harness.stats.latency import quantile_intervals, quantiles_ns
from harness.summary.run import (
    Counts,
    CpuTime,
    Generator,
    InstanceRow,
    Lag,
    LatencyIntervals,
    LatencySummary,
    Limit,
    Memory,
    Summary,
    Witnesses,
    WitnessTotals,
    Worker,
)
from harness.types import TOTAL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from harness.analysis.early_stop import InterimLook
    from harness.analysis.evidence import Evidence
    from harness.faults.events import FaultEvent
    from harness.recording.table import Recording
    from harness.scenario import Scenario
    from harness.summary.run import RouteRow
    from harness.types import Layer, Unit, User, WitnessTable

LIMITED_FROM = 0.9
"""Fraction of the processor time that there is for somebody, from which he counts as the bottleneck."""

_EMULATED = (
    "the host was emulated, without hardware virtualisation: shares and the verdict are as good as anywhere, "
    "but no time is that of a real machine"
)
_OF_WORKER = ("number", "machine", "requests", "same_clock", "offset_ns", "uncertainty_ns", "lost")


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What a run knows beside its scenario and its recording.

    Attributes
    ----------
    unit, layer, expected_shares
        The strategy's, the shares in the order of the instances that there were at the beginning.
    wall_ns
        Duration of the measured load.
    generator_cpu_ns, generator_wall_ns
        Processor time that the generator used, and during how long.
    cpu_ns
        Processor time that `proxy`, `instances` and `softirq` used, as `Host.cpu_ns` has it.
    witnesses
        `instances`, `kernel` and `proxy`, where they counted the measured part: a mapping of the
        instance's name to connections and requests, None for what the witness can't count.
    versions
        Name to version of everything that took part.
    looks, route_looks
        The looks at the counts that could have ended the load, and those of each route where there are
        routes; None where none could.
    started_at
        When the run started; by default, when the measured load did.
    workers
        What each of several workers did, as `harness.load.master` reports it.
    user, unsent
        What sent the requests, and how many arrivals of an open loop were never sent.
    cores
        Processor cores that all had together.
    emulated
        Whether no hardware ran the host, so that its times are those of no real one.
    memory_bytes
        Memory that containers of `proxy` and `instances` had at most.
    happened
        What happened to instances meanwhile; the verdict is on what came before the first of it.
    """

    unit: Unit
    layer: Layer = 4
    expected_shares: Sequence[float]
    wall_ns: int
    generator_cpu_ns: int
    generator_wall_ns: int
    cpu_ns: Mapping[str, int] = field(default_factory=dict)
    witnesses: Mapping[str, WitnessTable] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    interrupted: bool = False
    repeat_index: int = 0
    looks: Sequence[InterimLook] | None = None
    route_looks: Sequence[Sequence[InterimLook]] | None = None
    started_at: datetime | None = None
    workers: Sequence[Mapping[str, Any]] = ()
    user: User = "wire"
    unsent: int = 0
    cores: int = 1
    emulated: bool = False
    memory_bytes: Mapping[str, int] = field(default_factory=dict)
    happened: Sequence[FaultEvent] = ()


def summarise(scenario: Scenario, recording: Recording, observed: Observed) -> Summary:
    """Judge a recording and write everything down; the phases are filled in later.

    Raises
    ------
    LoadError
        Instances are meant to get different shares, or are of different routes, but the answers don't
        name them.
    """
    unit, shares = observed.unit, observed.expected_shares
    _require_names(scenario, recording, shares)
    kinds: tuple[Unit, ...] = ("connection", "request", "source")
    counted = {f"{kind}s": recording.units_by_instance(kind) for kind in kinds}
    units = counted[f"{unit}s"]
    undisturbed, wall_ns = recording, observed.wall_ns
    if observed.happened:
        first_ns = observed.happened[0].began_ns
        undisturbed, wall_ns = recording.before(first_ns, len(shares)), first_ns - recording.started_ns
    routes: tuple[RouteRow, ...] = ()
    if scenario.routes:
        shown, routes = routed_evidence(
            scenario, recording, unit, shares, looks=observed.route_looks, wall_ns=wall_ns
        )
    else:
        shown = evidence(scenario, undisturbed, unit, shares, looks=observed.looks, wall_ns=wall_ns)
    judged, misrouted = shown.judged, sum(route.misrouted for route in routes)
    errors = recording.errors_by_class()
    failed = sum(errors.values())
    latency, intervals = _latency(scenario, recording)
    after = impacts(recording, observed.happened, scenario, unit)
    events = tuple(one.row() for one in after)
    recovered = recovers(scenario, recording, after, events)
    return Summary(
        name=scenario.name,
        strategy=scenario.strategy.name,
        host=scenario.host,
        engine=scenario.engine,
        emulated=observed.emulated,
        client=scenario.client,
        replicas=scenario.replicas,
        unit=unit,
        verdict=judged.verdict,
        reason=judged.reason,
        expect=scenario.expect,
        passed=judged.verdict == scenario.expect
        and not misrouted
        and (recovered is None or recovered.passed == "yes"),
        interrupted=observed.interrupted,
        started_at=(observed.started_at or recording.started_at).astimezone(UTC).isoformat(),
        tolerance=scenario.tolerance,
        confidence=scenario.confidence,
        seed=scenario.seed,
        repeat_index=observed.repeat_index,
        tests=shown.tests,
        instances=_with_routes(
            scenario, recording, _rows(recording.instances, undisturbed.instances, counted, shares, shown)
        ),
        counts=Counts(
            connections=int(counted["connections"].sum()) + recording.unattributed("connection"),
            requests=len(recording.rows),
            sources=int(counted["sources"].sum()) + recording.unattributed("source"),
            errors=failed,
        ),
        errors=errors,
        witnesses=_witnesses(recording, observed.layer, counted, observed.witnesses),
        latency_ns=latency,
        latency_from_send_ns=_latency_from_send(recording),
        latency_intervals_ns=intervals,
        throughput_per_s=(len(recording.rows) - failed) / max(observed.wall_ns, 1) * 1e9,
        cpu_us_per_request=_cpu_time(observed, len(recording.rows)),
        memory_bytes=Memory(**observed.memory_bytes),
        events=events,
        recovers=recovered,
        routes=routes,
        generator=_generator(scenario, recording, observed),
        versions=dict(observed.versions),
        warnings=(*observed.warnings, *_own_warnings(recording, units, emulated=observed.emulated)),
        scenario=scenario.as_written(),
    )


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


def _with_routes(
    scenario: Scenario, recording: Recording, rows: tuple[InstanceRow, ...]
) -> tuple[InstanceRow, ...]:
    """Say whose route each instance is of, and count units for each route: a connection may have several."""
    named = {row.name: row for row in rows}
    for number, (name, route) in enumerate(scenario.routes.items()):
        own = recording.of_route(number, route.instances(name))
        counts = own.connections_by_instance(), own.sources_by_instance()
        for instance, connections, sources in zip(own.instances, *(c.tolist() for c in counts), strict=True):
            update = {"route": name, "connections": connections, "sources": sources}
            named[instance] = named[instance].model_copy(update=update)
    return tuple(named.values())


def _latency(scenario: Scenario, recording: Recording) -> tuple[LatencySummary, LatencyIntervals]:
    latencies = recording.latencies_ns()
    quantiles = LatencySummary(**quantiles_ns(latencies)._asdict())
    intervals = quantile_intervals(latencies, recording.starts_ns(), scenario.confidence, seed=scenario.seed)
    return quantiles, LatencyIntervals(**intervals)


def _latency_from_send(recording: Recording) -> LatencySummary | None:
    """Give what an open loop's latency would be if it counted from when requests were sent; else None."""
    rows = recording.rows
    if not (rows["start_ns"] != rows["intended_start_ns"]).any():
        return None
    return LatencySummary(**quantiles_ns(rows["latency_ns"][rows["error"] == 0])._asdict())


def _generator(scenario: Scenario, recording: Recording, observed: Observed) -> Generator:
    """Say how busy the generator was, how late, and who limited the load."""
    wall_ns = max(observed.generator_wall_ns, 1)
    # Interrupts are in the others' time, too.
    used = {who: ns for who, ns in observed.cpu_ns.items() if who != "softirq"}
    used["generator"] = observed.generator_cpu_ns
    used["machine"] = sum(used.values())
    there_is: dict[Limit, float] = {
        "generator": 1,
        "instances": _cores_of_instances(scenario, observed.cores),
        "proxy": min(scenario.resources.proxy.cpus or observed.cores, observed.cores),
        "machine": observed.cores,
    }
    busy = {who: used.get(who, 0) / wall_ns / cores for who, cores in there_is.items()}
    workers = tuple(
        Worker(cpu_fraction=worker["cpu_ns"] / wall_ns, **{key: worker[key] for key in _OF_WORKER})
        for worker in observed.workers
    )
    if workers:
        busy["generator"] = max(worker.cpu_fraction for worker in workers)
    late_ns = recording.rows["start_ns"] - recording.rows["intended_start_ns"]
    lag = None
    if late_ns.any():  # in a closed loop, nobody waits for a turn
        p50, p99, most = np.quantile(late_ns, [0.5, 0.99, 1.0], method="inverted_cdf").tolist()
        lag = Lag(p50=p50, p99=p99, max=most)
    return Generator(
        user=observed.user,
        cpu_fraction=busy["generator"],
        limited=busy["generator"] >= LIMITED_FROM,
        limit=next((who for who in there_is if busy[who] >= LIMITED_FROM), None),
        lag_ns=lag,
        unsent=observed.unsent,
        workers=workers,
    )


def _cores_of_instances(scenario: Scenario, cores: int) -> float:
    """Give how many cores instances can use at a time: each one, as they are single threads, or its limit."""
    return min(scenario.replicas * min(scenario.resources.instances.cpus or 1, 1), cores)


def _cpu_time(observed: Observed, requests: int) -> CpuTime:
    used_ns = {**observed.cpu_ns, "generator": observed.generator_cpu_ns}
    used_ns["kernel"] = used_ns.pop("softirq", 0)
    each = {role: used_ns[role] / 1e3 / max(requests, 1) for role in CpuTime.model_fields if role in used_ns}
    return CpuTime(**each)


def _rows(
    names: Sequence[str],
    judged: Sequence[str],
    counted: Mapping[str, NDArray[np.int64]],
    shares: Sequence[float],
    shown: Evidence,
) -> tuple[InstanceRow, ...]:
    """Give each instance's row; shares are of those alone that there were before anything happened."""
    counts: list[dict[str, Any]] = [
        {kind: int(column[i]) for kind, column in counted.items()} for i in range(len(names))
    ]
    place = {name: i for i, name in enumerate(judged)}
    return tuple(
        _judged_row(name, place[name], shares, shown, each)
        if name in place
        else InstanceRow(name=name, share=None, expected_share=0, deviation=None, **each)
        for name, each in zip(names, counts, strict=True)
    )


def _judged_row(
    name: str, i: int, shares: Sequence[float], shown: Evidence, counts: Mapping[str, Any]
) -> InstanceRow:
    residual = shown.residuals[i] if shown.residuals else None
    return InstanceRow(
        name=name,
        share=shown.judged.instances[i].share,
        expected_share=shares[i],
        deviation=shown.judged.instances[i].deviation,
        interval=None if residual is None else (shown.intervals[i, 0], shown.intervals[i, 1]),
        residual=residual,
        **counts,
    )


def _own_warnings(recording: Recording, units: NDArray[np.int64], *, emulated: bool) -> list[str]:
    warnings = [_EMULATED] if emulated else []
    if not recording.named and not units.all():
        seen, replicas = int(np.count_nonzero(units)), len(units)
        warnings.append(
            f"answers give {seen} of {replicas} names: either the other instances got nothing, or "
            "application.identity is not what tells instances apart"
        )
    return warnings


def _witnesses(
    recording: Recording,
    layer: Layer,
    counted: Mapping[str, NDArray[np.int64]],
    tables: Mapping[str, WitnessTable],
) -> Witnesses:
    """Compare what the client counted with what others did."""
    pairs = zip(counted["connections"].tolist(), counted["requests"].tolist(), strict=True)
    client = dict(zip(recording.instances, pairs, strict=True))
    # A proxy at layer 7 keeps connections of its own to the instances: only requests can agree.
    kinds = ("requests",) if layer == 7 else ("connections", "requests")
    compared = False
    differences: list[str] = []
    for witness, table in tables.items():
        for kind in kinds:
            mine, theirs = _column(client, kind), _column(table, kind)
            if all(count is None for count in theirs.values()):
                continue
            compared = True
            if not recording.named or TOTAL in table:
                # Instances go by names of their own here, or the witness has none: no telling which is which.
                mine, theirs = {TOTAL: _total(mine)}, {TOTAL: _total(theirs)}
            differences += [
                f"{name}: client {_said(count)}, {witness} {_said(theirs.get(name))} {kind}"
                for name, count in mine.items()
                if count != theirs.get(name)
            ]
    totals = {
        witness: WitnessTotals(**{kind: _total(_column(table, kind)) for kind in ("connections", "requests")})
        for witness, table in {"client": client, **tables}.items()
    }
    return Witnesses(
        client=totals["client"],
        instances=totals.get("instances"),
        kernel=totals.get("kernel"),
        proxy=totals.get("proxy"),
        agree=not differences if compared else None,
        differences=tuple(differences),
    )


def _column(table: WitnessTable, kind: str) -> dict[str, int | None]:
    return {name: counts[kind == "requests"] for name, counts in table.items()}


def _total(column: Mapping[str, int | None]) -> int | None:
    """Add up; None where an instance's count is unknown, since a part would read as all."""
    known = [count for count in column.values() if count is not None]
    return sum(known) if len(known) == len(column) else None


def _said(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"
