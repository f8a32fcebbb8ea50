"""The summary's figures of the load: how busy and how late the generator was, what used processor time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.summary.run import CpuTime, Generator, Lag, Limit, Worker

if TYPE_CHECKING:
    from harness.analysis.observed import Observed
    from harness.recording.table import Recording
    from harness.scenario import Scenario

LIMITED_FROM = 0.9
"""Fraction of its available processor time from which on a component counts as the bottleneck."""

_OF_WORKER = ("number", "machine", "requests", "same_clock", "offset_ns", "uncertainty_ns", "lost")


def generator(scenario: Scenario, recording: Recording, observed: Observed) -> Generator:
    """Say how busy the generator was, how late, and which component limited the load."""
    load = observed.load
    wall_ns = max(load.wall_ns, 1)
    busy = _busy(scenario, observed)
    workers = tuple(
        Worker(cpu_fraction=worker["cpu_ns"] / wall_ns, **{key: worker[key] for key in _OF_WORKER})
        for worker in load.workers
    )
    if workers:
        busy["generator"] = max(worker.cpu_fraction for worker in workers)
    return Generator(
        user=load.user,
        cpu_fraction=busy["generator"],
        limited=busy["generator"] >= LIMITED_FROM,
        limit=next((component for component, used in busy.items() if used >= LIMITED_FROM), None),
        lag_ns=_lag(recording),
        unsent=load.unsent,
        resent=load.resent,
        workers=workers,
    )


def cpu_time(observed: Observed, requests: int) -> CpuTime:
    """Give the processor time for each request, of every component that was there."""
    used_ns = {**observed.readings.cpu_ns, "generator": observed.load.cpu_ns}
    used_ns["kernel"] = used_ns.pop("softirq", 0)
    each = {role: used_ns[role] / 1e3 / max(requests, 1) for role in CpuTime.model_fields if role in used_ns}
    return CpuTime(**each)


def _busy(scenario: Scenario, observed: Observed) -> dict[Limit, float]:
    """Give the fraction of its available processor time that each component used."""
    # Interrupts are in the others' time, too.
    used = {role: ns for role, ns in observed.readings.cpu_ns.items() if role != "softirq"}
    used["generator"] = observed.load.cpu_ns
    used["machine"] = sum(used.values())
    all_cores = observed.environment.cores
    cores: dict[Limit, float] = {
        "generator": 1,
        "instances": _cores_of_instances(scenario, all_cores),
        "proxy": min(scenario.resources.proxy.cpus or all_cores, all_cores),
        "machine": all_cores,
    }
    wall_ns = max(observed.load.wall_ns, 1)
    return {component: used.get(component, 0) / wall_ns / there for component, there in cores.items()}


def _cores_of_instances(scenario: Scenario, cores: int) -> float:
    """Give how many cores instances can use at a time: each one, as they are single threads, or its limit."""
    return min(scenario.replicas * min(scenario.resources.instances.cpus or 1, 1), cores)


def _lag(recording: Recording) -> Lag | None:
    """Say how late requests were sent; None in a closed loop, where none waits for its turn."""
    late_ns = recording.rows["start_ns"] - recording.rows["intended_start_ns"]
    if not late_ns.any():
        return None
    p50, p99, most = np.quantile(late_ns, [0.5, 0.99, 1.0], method="inverted_cdf").tolist()
    return Lag(p50=p50, p99=p99, max=most)
