"""A run in one JSON document: verdict, evidence, and what it was measured with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from harness.errors import LoadError
from harness.strategies.base import Unit  # noqa: TC001  pydantic reads it when the model is made

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from harness.recording import Recording
    from harness.scenario import Scenario
    from harness.stats.equivalence import ToleranceVerdict

LIMITED_FROM = 0.9
"""Fraction of one core from which the generator, which has one thread, counts as the bottleneck."""

_EVIDENCE = ("lower_bound", "upper_bound", "p_below", "p_above", "p_outside")

Verdict = Literal["even", "uneven", "inconclusive"]
WitnessTable: TypeAlias = "Mapping[str, tuple[int | None, int | None]]"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ChiSquareTest(_Model):
    """Pearson's test of goodness of fit."""

    statistic: float
    dof: int
    p_value: float


class ToleranceBand(_Model):
    """An instance's band of shares, and p-values as in `harness.stats.equivalence`."""

    name: str
    lower_bound: float
    upper_bound: float
    p_below: float
    p_above: float
    p_outside: float


class ToleranceTest(_Model):
    """The tests that the verdict follows from; `missing` units can't be attributed to an instance."""

    alpha: float
    missing: int
    instances: tuple[ToleranceBand, ...]


class Tests(_Model):
    """All tests; chi-square is null where there are no units."""

    chi_square: ChiSquareTest | None
    tolerance: ToleranceTest


class InstanceRow(_Model):
    """What one instance got; share and deviation are of the unit, and null where there are no units."""

    name: str
    connections: int
    requests: int
    sources: int
    share: float | None
    expected_share: float
    deviation: float | None


class Counts(_Model):
    """Totals, those that no instance can be named for too; errors are failed requests."""

    connections: int
    requests: int
    sources: int
    errors: int


class WitnessTotals(_Model):
    """What one witness counted in all; null for what it can't count."""

    connections: int | None
    requests: int | None


class Witnesses(_Model):
    """Who served what as several parties counted it; null for one that isn't there.

    `agree` is null where nobody but the client counted.
    """

    client: WitnessTotals | None
    instances: WitnessTotals | None
    kernel: WitnessTotals | None
    proxy: WitnessTotals | None
    agree: bool | None
    differences: tuple[str, ...]


class LatencySummary(_Model):
    """Latency quantiles of successful requests in nanoseconds; null where none succeeded."""

    p50: int | None
    p90: int | None
    p99: int | None
    p99_9: int | None
    max: int | None


class Generator(_Model):
    """How busy the load generator was, as a fraction of one core, and whether that limited the load."""

    cpu_fraction: float
    limited: bool


class Phases(_Model):
    """How long each phase of the run took, in seconds; null for one that did not happen."""

    provision: float | None = None
    expose: float | None = None
    generator: float | None = None
    warm_up: float | None = None
    load: float | None = None
    analyse: float | None = None
    teardown: float | None = None
    total: float | None = None


class Summary(_Model):
    """A run: summary.json.

    `throughput_per_s` counts successful requests for each second of the measured load.
    """

    # Goes up when a reader of older summaries would misread a newer one.
    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: str
    strategy: str
    host: str
    engine: str
    client: str
    replicas: int
    unit: Unit
    verdict: Verdict
    reason: str
    expect: Verdict
    passed: bool
    interrupted: bool
    started_at: str = Field(json_schema_extra={"format": "date-time"})
    tolerance: float
    confidence: float
    seed: int
    repeat_index: int
    tests: Tests
    instances: tuple[InstanceRow, ...]
    counts: Counts
    errors: dict[str, int]
    witnesses: Witnesses
    latency_ns: LatencySummary
    throughput_per_s: float
    generator: Generator
    phases_s: Phases = Phases()
    versions: dict[str, str]
    warnings: tuple[str, ...]
    scenario: dict[str, Any]

    def to_json(self) -> str:
        """Give the text of summary.json; infinities and NaN, which JSON has not, become null."""
        return self.model_dump_json(indent=2, by_alias=True) + "\n"


def summary_schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of summary.json."""
    schema = Summary.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def exit_status(summary: Summary) -> int:
    """Give a run's exit status: 0 as expected, 3 can't be told, 1 otherwise."""
    if summary.passed:
        return 0
    return 3 if summary.verdict == "inconclusive" else 1


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What a run knows beside its scenario and its recording.

    Attributes
    ----------
    unit, expected_shares
        The strategy's, the shares in the order of the scenario's instances.
    wall_ns
        Duration of the measured load.
    generator_cpu_ns, generator_wall_ns
        Processor time that the generator used, and during how long.
    witnesses
        `instances`, `kernel` and `proxy`, where they counted the measured part: a mapping of the
        instance's name to connections and requests, None for what the witness can't count.
    versions
        Name to version of everything that took part.
    started_at
        When the run started; by default, when the measured load did.
    """

    unit: Unit
    expected_shares: Sequence[float]
    wall_ns: int
    generator_cpu_ns: int
    generator_wall_ns: int
    witnesses: Mapping[str, WitnessTable] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    interrupted: bool = False
    repeat_index: int = 0
    started_at: datetime | None = None


def summarise(scenario: Scenario, recording: Recording, observed: Observed) -> Summary:
    """Judge a recording and write everything down; the phases are filled in later.

    Raises
    ------
    LoadError
        Instances are meant to get different shares, but the answers don't name them.
    """
    # Imported here: readers of summaries need no scipy, whose import takes half a second.
    from harness.stats.equivalence import tolerance_verdict  # noqa: PLC0415  see above
    from harness.stats.latency import quantiles_ns  # noqa: PLC0415  as above

    unit, shares = observed.unit, observed.expected_shares
    if not recording.named and max(shares) - min(shares) > 1e-9:
        raise LoadError(
            f"{scenario.strategy.name} gives instances different shares, but answers name "
            f"{recording.instances[0]!r}, which is none of them: let each answer with its name"
        )
    kinds: tuple[Unit, ...] = ("connection", "request", "source")
    counted = {f"{kind}s": recording.units_by_instance(kind) for kind in kinds}
    units = counted[f"{unit}s"]
    missing = recording.unattributed(unit)
    judged = tolerance_verdict(
        units, shares, scenario.tolerance, scenario.confidence, missing, names=recording.instances, unit=unit
    )
    errors = recording.errors_by_class()
    failed = sum(errors.values())
    cpu_fraction = observed.generator_cpu_ns / max(observed.generator_wall_ns, 1)
    return Summary(
        name=scenario.name,
        strategy=scenario.strategy.name,
        host=scenario.host,
        engine=scenario.engine,
        client=scenario.client,
        replicas=scenario.replicas,
        unit=unit,
        verdict=judged.verdict,
        reason=judged.reason,
        expect=scenario.expect,
        passed=judged.verdict == scenario.expect,
        interrupted=observed.interrupted,
        started_at=(observed.started_at or recording.started_at).astimezone(UTC).isoformat(),
        tolerance=scenario.tolerance,
        confidence=scenario.confidence,
        seed=scenario.seed,
        repeat_index=observed.repeat_index,
        tests=_tests(recording.instances, units, shares, judged, missing),
        instances=_rows(recording.instances, counted, shares, judged),
        counts=Counts(
            connections=int(counted["connections"].sum()) + recording.unattributed("connection"),
            requests=len(recording.rows),
            sources=int(counted["sources"].sum()) + recording.unattributed("source"),
            errors=failed,
        ),
        errors=errors,
        witnesses=_witnesses(recording, unit, counted, observed.witnesses),
        latency_ns=LatencySummary(**quantiles_ns(recording.latencies_ns())._asdict()),
        throughput_per_s=(len(recording.rows) - failed) / max(observed.wall_ns, 1) * 1e9,
        generator=Generator(cpu_fraction=cpu_fraction, limited=cpu_fraction >= LIMITED_FROM),
        versions=dict(observed.versions),
        warnings=(*observed.warnings, *_own_warnings(units, shares, unit)),
        scenario=scenario.as_written(),
    )


def _rows(
    names: Sequence[str],
    counted: Mapping[str, NDArray[np.int64]],
    shares: Sequence[float],
    judged: ToleranceVerdict,
) -> tuple[InstanceRow, ...]:
    return tuple(
        InstanceRow(
            name=name,
            share=judged.instances[i].share,
            expected_share=shares[i],
            deviation=judged.instances[i].deviation,
            **{kind: int(counts[i]) for kind, counts in counted.items()},
        )
        for i, name in enumerate(names)
    )


def _tests(
    names: Sequence[str],
    units: NDArray[np.int64],
    shares: Sequence[float],
    judged: ToleranceVerdict,
    missing: int,
) -> Tests:
    from harness.stats.fairness import chi_square  # noqa: PLC0415  as in summarise

    return Tests(
        chi_square=ChiSquareTest(**asdict(chi_square(units, shares))) if units.sum() else None,
        tolerance=ToleranceTest(
            alpha=judged.alpha,
            missing=missing,
            instances=tuple(
                ToleranceBand(name=name, **{key: getattr(instance, key) for key in _EVIDENCE})
                for name, instance in zip(names, judged.instances, strict=True)
            ),
        ),
    )


def _own_warnings(units: NDArray[np.int64], shares: Sequence[float], unit: Unit) -> list[str]:
    if 0 < int(units.sum()) * min(shares) < 5:
        few = f"an instance is expected to get fewer than 5 {unit}s"
        return [f"chi-square's p-value is a poor approximation: {few}; measure longer"]
    return []


def _witnesses(
    recording: Recording,
    unit: Unit,
    counted: Mapping[str, NDArray[np.int64]],
    tables: Mapping[str, WitnessTable],
) -> Witnesses:
    """Compare what the client counted with what others did."""
    pairs = zip(counted["connections"].tolist(), counted["requests"].tolist(), strict=True)
    client = dict(zip(recording.instances, pairs, strict=True))
    # A layer-7 proxy keeps connections of its own to the instances: only requests can agree.
    kinds = ("requests",) if unit == "request" else ("connections", "requests")
    compared = False
    differences: list[str] = []
    for witness, table in tables.items():
        for kind in kinds:
            mine, theirs = _column(client, kind), _column(table, kind)
            if all(count is None for count in theirs.values()):
                continue
            compared = True
            if not recording.named:
                # Instances go by names of their own here: no telling which is which.
                mine, theirs = {"in all": _total(mine)}, {"in all": _total(theirs)}
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
