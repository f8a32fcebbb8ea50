"""A suite's results, made small: what is kept, what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.errors import ResultError
from harness.results.archive import MACHINE, RUNS, SUITE, Machine, condense, read_runs, this_machine
from harness.results.reading import read_results
from harness.summary.run import Summary
from harness.summary.suite import RunOutcome, ScenarioOutcomes, SuiteSummary, outcome_of
from tests.gate.conftest import measure, stored

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gate.conftest import Stored

__all__ = ["measure", "stored"]  # fixtures

_FAILED = RunOutcome(verdict="failed", reason="no", passed=False, status=1, round=1, seconds=0.0)


def _suite(*folders: Path, more: tuple[RunOutcome, ...] = ()) -> SuiteSummary:
    """Give a suite with one scenario, whose runs left these results."""
    summaries = [Summary.model_validate_json((folder / "summary.json").read_bytes()) for folder in folders]
    outcomes = [outcome_of(summaries[i], folders[i], i + 1, 1.0) for i in range(len(folders))]
    scenario = ScenarioOutcomes(
        name="made-up",
        strategy="dnat-random",
        expect="even",
        replicas=2,
        unit="connection",
        repeat=len(outcomes),
        outcomes=(*outcomes, *more),
    )
    return SuiteSummary(
        name="some",
        seed=0,
        repeat=len(outcomes),
        order=(),
        scenarios=(scenario,),
        interrupted=False,
        passed=True,
    )


def test_the_summaries_come_back_as_they_were(stored: Stored, tmp_path: Path) -> None:
    """A line holds all of a run's summary.json."""
    folders = [stored([5000, 5000]), stored([9000, 1000])]
    condense(_suite(*folders), tmp_path / "kept")
    read = [json.loads(summary.to_json()) for summary in read_runs(tmp_path / "kept")]
    assert read == [json.loads((folder / "summary.json").read_text("utf-8")) for folder in folders]


def test_archive_keeps_runs_without_result_in_the_suite_only(stored: Stored, tmp_path: Path) -> None:
    """A matrix can so tell what failed from what was never asked for; figures aren't there twice."""
    folder = stored([5000, 5000])
    condense(_suite(folder, more=(_FAILED,)), tmp_path / "kept")
    suite = SuiteSummary.model_validate_json((tmp_path / "kept" / SUITE).read_bytes())
    (scenario,) = suite.scenarios
    assert [outcome.verdict for outcome in scenario.outcomes] == ["even", "failed"]
    assert [outcome.result for outcome in scenario.outcomes] == [folder.name, None]
    assert scenario.measured == []


def test_the_machine_is_described(stored: Stored, tmp_path: Path) -> None:
    """Whoever reads the figures learns what they were measured on, when, and with which versions."""
    first = stored([5000, 5000], change={"versions": {"nginx": "1.26"}})
    second = stored([5000, 5000], change={"versions": {"nginx": "1.28"}})
    condense(_suite(first, second), tmp_path / "kept")
    machine = Machine.model_validate_json((tmp_path / "kept" / MACHINE).read_bytes())
    assert machine == this_machine(read_runs(tmp_path / "kept"))
    assert machine.versions == {"nginx": "1.26, 1.28"}
    assert machine.first_run_at < machine.last_run_at
    assert machine.cpu
    assert machine.cores >= 1
    assert machine.memory_bytes > 1 << 20


def test_a_result_kept_whole_can_be_checked_as_any_other(stored: Stored, tmp_path: Path) -> None:
    """Its requests are there; its plots, which can be drawn anew, are not."""
    folders = [stored([5000, 5000]), stored([5000, 5000])]
    (folders[0] / "latency.png").write_bytes(b"a plot")
    condense(_suite(*folders), tmp_path / "kept", ["made-up"])
    (kept,) = (path for path in (tmp_path / "kept").iterdir() if path.is_dir())
    assert kept.name == folders[0].name
    assert {file.name for file in kept.iterdir()} == {"requests.parquet", "scenario.yaml", "summary.json"}
    assert read_results([kept]) == read_results([folders[0]])


def test_archive_replaces_an_older_one_as_a_whole(stored: Stored, tmp_path: Path) -> None:
    """No file of an older measurement is taken for one of the new."""
    target = tmp_path / "kept"
    condense(_suite(stored([5000, 5000])), target, ["made-up"])
    condense(_suite(stored([9000, 1000])), target)
    assert {file.name for file in target.iterdir()} == {RUNS, MACHINE, SUITE}
    assert [summary.verdict for summary in read_runs(target)] == ["uneven"]


@pytest.mark.parametrize(
    ("whole", "most_bytes", "why"),
    [
        (["nobody"], 1 << 20, "nobody: no run of the suite that left a result has this name"),
        (["made-up"], 1000, "keep fewer results whole"),
    ],
)
def test_refused_archive_leaves_the_older_one(
    stored: Stored, tmp_path: Path, whole: list[str], most_bytes: int, why: str
) -> None:
    """Half an hour's measurement is not lost to a misspelt name, nor are the former figures."""
    target = tmp_path / "kept"
    suite = _suite(stored([5000, 5000]))
    condense(suite, target)
    before = {file.name: file.read_bytes() for file in target.iterdir()}
    with pytest.raises(ResultError, match=why):
        condense(suite, target, whole, most_bytes)
    assert {file.name: file.read_bytes() for file in target.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"kept", "results"}


def test_a_suite_without_any_result_is_refused(tmp_path: Path) -> None:
    """There would be nothing to describe."""
    with pytest.raises(ResultError, match="some: no run of this suite left a result"):
        condense(_suite(more=(_FAILED,)), tmp_path / "kept")


def test_a_damaged_line_is_named(stored: Stored, tmp_path: Path) -> None:
    """File and line lead to it."""
    condense(_suite(stored([5000, 5000])), tmp_path / "kept")
    with (tmp_path / "kept" / RUNS).open("a", encoding="utf-8") as file:
        file.write('{"schema": 1}\n')
    with pytest.raises(ResultError, match=r"runs\.jsonl:2: is no run's summary: name: Field required"):
        read_runs(tmp_path / "kept")
    with pytest.raises(ResultError, match="can't be read: No such file"):
        read_runs(tmp_path / "elsewhere")
