"""Baselines: what a scenario's results are compared with, kept in a file of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.common.documents import read_document
from harness.common.files import make_folder, write_whole
from harness.common.text import printable
from harness.errors import ResultError
from harness.gate.differences import refuse_another, result_named
from harness.summary.outcome import not_as_expected
from harness.summary.run import (  # noqa: TC001  pydantic reads them when the model is made
    CpuTime,
    LatencySummary,
    Summary,
)
from harness.types import Verdict  # noqa: TC001  pydantic reads it when the model is made

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BaselineRun(_Model):
    """What a baseline keeps of one run: `units` are in the order of the baseline's instances."""

    started_at: str
    units: tuple[int, ...]
    missing: int
    dispersion: float
    requests: int
    errors: int
    latency_ns: LatencySummary
    cpu_us_per_request: CpuTime


class Baseline(_Model):
    """What a scenario's results are compared with: one or more runs of it."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: str
    verdict: Verdict
    instances: tuple[str, ...]
    expected_shares: tuple[float, ...]
    scenario: dict[str, Any]
    runs: tuple[BaselineRun, ...] = Field(min_length=1)

    def to_json(self) -> str:
        """Give the file's text: a line for each key, and for each run."""
        written = self.model_dump(mode="json", by_alias=True)
        runs = ",\n  ".join(map(json.dumps, written.pop("runs")))
        lines = [f'"{key}": {json.dumps(value)}' for key, value in written.items()]
        lines.append(f'"runs": [\n  {runs}\n ]')
        return "{\n " + ",\n ".join(lines) + "\n}\n"


def read_baseline(where: Path, name: str) -> Baseline:
    """Read a scenario's baseline, from a file or the folder of all.

    Raises
    ------
    ResultError
        There is none, or it is damaged.
    """
    path = where / f"{name}.json" if where.is_dir() else where
    return read_document(path, Baseline, "make one with: harness baseline RESULT")


def baseline_of(summaries: Sequence[Summary]) -> Baseline:
    """Keep of a scenario's results what others are compared with.

    Raises
    ------
    ResultError
        A result did not pass, or is of another scenario than the first.
    """
    first = summaries[0]
    for summary in summaries:
        if not summary.passed:
            how = f"did not pass: {not_as_expected(summary)}"
            raise ResultError(f"{result_named(summary)}: {how}; a baseline is made of results that passed")
        refuse_another(first.scenario, summary)
    return Baseline(
        name=first.name,
        verdict=first.verdict,
        instances=tuple(row.name for row in first.instances),
        expected_shares=tuple(row.expected_share for row in first.instances),
        scenario=first.scenario,
        runs=tuple(_run(summary) for summary in summaries),
    )


def write_baseline(baseline: Baseline, folder: Path) -> Path:
    """Write a baseline whole or not at all, in place of an older one.

    Raises
    ------
    ResultError
        The folder can't be written to.
    """
    path = folder / f"{baseline.name}.json"
    try:
        make_folder(folder)
        write_whole(path, baseline.to_json())
    except OSError as error:
        shown = printable(str(path))
        raise ResultError(f"{shown}: the baseline can't be written: {error.strerror}") from error
    return path


def _run(summary: Summary) -> BaselineRun:
    return BaselineRun(
        started_at=summary.started_at,
        units=units_of(summary),
        missing=summary.tests.tolerance.missing,
        dispersion=summary.tests.tolerance.dispersion,
        requests=summary.counts.requests,
        errors=summary.counts.errors,
        latency_ns=summary.latency_ns,
        cpu_us_per_request=summary.cpu_us_per_request,
    )


def units_of(summary: Summary) -> tuple[int, ...]:
    """Give each instance's units."""
    return tuple(getattr(row, f"{summary.unit}s") for row in summary.instances)
