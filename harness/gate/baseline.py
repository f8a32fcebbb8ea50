"""Results and baselines as they lie on the disk, read back."""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.common.text import printable
from harness.errors import ResultError
from harness.scenario.fields import WRITTEN
from harness.scenario.model import Scenario
from harness.summary.run import CpuTime, LatencySummary, Summary, not_as_expected
from harness.types import Verdict  # noqa: TC001  pydantic reads it when the model is made

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_MODEL = TypeVar("_MODEL", bound=BaseModel)

_NOT_MEASURED = frozenset(
    {"name", "description", "tolerance", "confidence", "expect", "recovers", "seed", "repeat"},
)
"""Keys of a scenario that change nothing about what is measured."""


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


def read_results(paths: Iterable[Path]) -> dict[str, list[tuple[str, Summary]]]:
    """Read stored results, each once, however often and by whatever path it is named.

    Parameters
    ----------
    paths
        The results' folders, or the summaries in them.

    Returns
    -------
    dict of str to list of tuple of str and Summary
        For each scenario's name, its results with their folders' names.

    Raises
    ------
    ResultError
        There is no result, a part of it is missing or damaged, or its parts contradict each other.
    """
    found: dict[str, list[tuple[str, Summary]]] = {}
    for path in paths:
        folder = path.parent if path.name == "summary.json" else path
        summary = _read_result(folder)
        own = found.setdefault(summary.name, [])
        if all(summary.started_at != other.started_at for _, other in own):
            own.append((folder.resolve().name, summary))
    return found


def _read_result(folder: Path) -> Summary:
    import pyarrow as pa  # noqa: PLC0415  it takes a while, and help needs none
    import pyarrow.parquet as pq  # noqa: PLC0415  as above

    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise ResultError(f"{_shown(folder)}: {what}; name the folder of a result, which `harness run` left")
    summary = read_summary(folder)
    recording = folder / "requests.parquet"
    try:
        with recording.open("rb") as file:
            recorded = pq.read_metadata(file).num_rows
    except (OSError, pa.ArrowException) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ResultError(
            f"{_shown(recording)}: can't be read ({why}), and a result whose requests are missing proves "
            f"nothing; run the scenario again"
        ) from error
    if recorded != summary.counts.requests:
        raise ResultError(
            f"{_shown(folder)}: summary.json speaks of {summary.counts.requests:,} requests, "
            f"requests.parquet holds {recorded:,}; run the scenario again"
        )
    return summary


def read_summary(folder: Path) -> Summary:
    """Read a result's summary alone, whatever else is there.

    Raises
    ------
    ResultError
        There is none, or it is damaged.
    """
    return _read(folder / "summary.json", Summary, "a result's folder has one; `harness run` leaves it")


def read_baseline(where: Path, name: str) -> Baseline:
    """Read a scenario's baseline, from a file or the folder of all.

    Raises
    ------
    ResultError
        There is none, or it is damaged.
    """
    path = where / f"{name}.json" if where.is_dir() else where
    return _read(path, Baseline, "make one with: harness baseline RESULT")


def baseline_of(summaries: Sequence[Summary]) -> Baseline:
    """Keep of a scenario's results what others are compared with.

    Raises
    ------
    ResultError
        A result did not pass, or is of another scenario than the first.
    """
    first = summaries[0]
    for summary in summaries:
        if not summary.passed or summary.interrupted:
            how = "was interrupted" if summary.interrupted else f"is {not_as_expected(summary)}"
            raise ResultError(f"{_named(summary)}: {how}; a baseline is made of results that passed")
        refuse_another(first.scenario, summary)
    return Baseline(
        name=first.name,
        verdict=first.verdict,
        instances=tuple(row.name for row in first.instances),
        expected_shares=tuple(row.expected_share for row in first.instances),
        scenario=first.scenario,
        runs=tuple(_run(summary) for summary in summaries),
    )


def refuse_another(scenario: dict[str, Any], summary: Summary) -> None:
    """Refuse to compare what was measured in different ways.

    Raises
    ------
    ResultError
        The summary's scenario measures something else; says which keys differ.
    """
    different = _differing(scenario, summary.scenario)
    if different:
        key, *others = different
        more = f" (and {', '.join(others)})" if others else ""
        there, here = different[key]
        raise ResultError(
            f"{_named(summary)}: is of another scenario than what it is to be compared with: {key} is "
            f"{_value(here)} here and {_value(there)} there{more}"
        )


def differing_keys(first: Summary, second: Summary) -> dict[str, tuple[Any, Any]]:
    """Give the dotted keys in which two results' scenarios differ, with both values; None is not set.

    Keys that change nothing measured, such as the name, are left out.
    """
    return _differing(first.scenario, second.scenario)


def measured_scenario(summary: Summary) -> dict[str, Any]:
    """Give what of a result's scenario changes what is measured, by dotted keys."""
    return _flat(_completed(summary.scenario))


def _differing(first: dict[str, Any], second: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    before, after = _flat(_completed(first)), _flat(_completed(second))
    keys = sorted(before.keys() | after.keys())
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _completed(scenario: dict[str, Any]) -> dict[str, Any]:
    """Add the keys that the harness did not have yet when the scenario was stored, with their defaults."""
    try:
        text = json.dumps(scenario)
        return Scenario.model_validate_json(text, by_alias=True, by_name=False, context=WRITTEN).as_written()
    except ValidationError:
        return scenario  # of a version that spelt it in another way, or of a strategy that isn't here


def write_baseline(baseline: Baseline, folder: Path) -> Path:
    """Write a baseline whole or not at all, in place of an older one.

    Raises
    ------
    ResultError
        The folder can't be written to.
    """
    path = folder / f"{baseline.name}.json"
    hidden = folder / f".{baseline.name}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with hidden.open("w", encoding="utf-8") as file:
                file.write(baseline.to_json())
                file.flush()
                os.fsync(file.fileno())
            hidden.replace(path)
        finally:
            hidden.unlink(missing_ok=True)
    except OSError as error:
        raise ResultError(f"{_shown(path)}: the baseline can't be written: {error.strerror}") from error
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


def _flat(scenario: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give a scenario's values by their dotted keys; those that change nothing measured are left out."""
    flat: dict[str, Any] = {}
    for key, value in scenario.items():
        if not prefix and key in _NOT_MEASURED:
            continue
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _read(path: Path, model: type[_MODEL], hint: str) -> _MODEL:
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ResultError(f"{_shown(path)}: can't be read: {error.strerror} ({hint})") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ResultError(
            f"{_shown(path)}: is not what it should be: {place or 'text'}: {first['msg']} ({hint})"
        ) from None


def _named(summary: Summary) -> str:
    return f"{printable(summary.name)} of {printable(summary.started_at)}"


def _value(value: Any) -> str:
    return "not set" if value is None else printable(str(value))


def _shown(path: Path) -> str:
    return printable(str(path))
