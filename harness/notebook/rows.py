"""A result as a row of the table that compares results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.summary.suite import membership_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.summary.events import EventRow
    from harness.summary.run import InstanceRow, Summary

_QUANTILES: Final = ("p50", "p90", "p99", "p99_9", "max")
_SPENDERS: Final = ("proxy", "kernel", "instances", "generator", "engine")


def row_of(summary: Summary) -> dict[str, Any]:
    """Give the columns of `harness.notebook.columns.TABLE` that a summary fills; None for unknown."""
    worst = _worst(summary)
    chi_square = summary.tests.chi_square
    latency, cpu = summary.latency_ns, summary.cpu_us_per_request
    return {
        **_asked(summary.scenario),
        "scenario": summary.name,
        "strategy": summary.strategy,
        "replicas": summary.replicas,
        "unit": summary.unit,
        "host": summary.host,
        "engine": summary.engine,
        "started_at": summary.started_at,
        "repeat": summary.repeat_index + 1,
        "verdict": summary.verdict,
        "passed": summary.passed,
        "worst_instance": worst.name if worst else None,
        "worst_deviation_percent": _times(worst.deviation if worst else None, 100),
        "tolerance_percent": summary.tolerance * 100,
        "confidence_percent": summary.confidence * 100,
        "chi_square_p": chi_square.p_value if chi_square else None,
        "units": getattr(summary.counts, f"{summary.unit}s"),
        "requests": summary.counts.requests,
        "errors": summary.counts.errors,
        "throughput_per_s": summary.throughput_per_s,
        **{f"latency_{name}_ms": _times(getattr(latency, name), 1e-6) for name in _QUANTILES},
        "cpu_us_per_request": cpu.in_all,
        **{f"{name}_cpu_us_per_request": getattr(cpu, name) for name in _SPENDERS},
        "generator_busy_percent": summary.generator.cpu_fraction * 100,
        "limited_by": summary.generator.limit,
        "witnesses_agree": summary.witnesses.agree,
        "load_s": summary.phases_s.load,
        "warnings": len(summary.warnings),
    }


def events_of(summary: Summary) -> Iterator[dict[str, Any]]:
    """Give the columns of `harness.notebook.columns.EVENTS` for each event; None for unknown."""
    whose = {
        "scenario": summary.name,
        "strategy": summary.strategy,
        "membership": membership_of(summary),
        "repeat": summary.repeat_index + 1,
        "recovers": summary.recovers.passed if summary.recovers else None,
    }
    for number, event in enumerate(summary.events, 1):
        yield whose | {"number": number} | _event(event)


def _event(event: EventRow) -> dict[str, Any]:
    same = (
        "action", "at_s", "took_s", "followed_s", "requests", "lost", "first_error_s", "last_error_s",
        "last_lost_began_s", "answered_after",
    )  # fmt: skip
    before, during = event.latency_ns.before, event.latency_ns.during
    return {name: getattr(event, name) for name in same} | {
        "event": event.label or f"{event.action} {', '.join(event.members)}",
        "lost_percent": event.lost / event.requests * 100 if event.requests else None,
        "lost_by_class": ", ".join(f"{count} {name}" for name, count in event.errors.items()) or None,
        "recovery": event.recovery.state if event.recovery else None,
        "recovered_s": event.recovery.after_s if event.recovery else None,
        "latency_p50_before_ms": _times(before.p50, 1e-6),
        "latency_p99_before_ms": _times(before.p99, 1e-6),
        "latency_p50_during_ms": _times(during.p50, 1e-6),
        "latency_p99_during_ms": _times(during.p99, 1e-6),
    }


def row_without_summary(scenario: dict[str, Any]) -> dict[str, Any]:
    """Give the columns that the scenario alone fills, as it was written beside an incomplete result."""
    keys = ("replicas", "host", "engine")
    return {
        **_asked(scenario),
        "scenario": scenario["name"],
        "strategy": scenario["strategy"]["name"],
        **{key: scenario[key] for key in keys},
    }


def _asked(scenario: dict[str, Any]) -> dict[str, Any]:
    connections = scenario.get("load", {}).get("connections")
    return {"connections": None if connections is None else str(connections)}


def _worst(summary: Summary) -> InstanceRow | None:
    deviating = [row for row in summary.instances if row.deviation is not None]
    return max(deviating, key=lambda row: abs(row.deviation or 0), default=None)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
