"""The reference results: the suite that measures them, the tool that keeps them, and what is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import harness as library
from harness.results.archive import MACHINE, Machine
from harness.suite.file import Planned, read_suite
from harness.summary.suite import SuiteSummary

_ROOT = Path(__file__).parents[2]
_TOOL = _ROOT / "benchmarks" / "reference.py"
_SUITE = _ROOT / "scenarios" / "suites" / "reference.yaml"
_KEPT = _ROOT / "results" / "reference"
_BESIDE_LOAD_S = 1.9
"""What a run takes beside its load, on two cores (benchmarks/overhead.py)."""


def _planned() -> list[Planned]:
    return [one for one in read_suite([_SUITE]).scenarios if isinstance(one, Planned)]


def test_the_suite_takes_half_an_hour_at_most() -> None:
    """So that somebody measures it anew."""
    loads_ns = [
        (one.scenario.load.warm_up_ns + one.scenario.load.duration_ns, one.repeat) for one in _planned()
    ]
    assert sum(repeat * (load_ns / 1e9 + _BESIDE_LOAD_S) for load_ns, repeat in loads_ns) <= 1800


def test_strategies_are_compared_under_the_same_load() -> None:
    """Within each column of the matrix; the baseline has that of the smaller one."""
    loads: dict[tuple[int, str], set[str]] = {}
    for one in _planned():
        load = one.scenario.load
        column = (max(one.scenario.replicas, 2), str(load.connections))
        loads.setdefault(column, set()).add(load.model_dump_json())
    assert len(loads) == 4
    assert all(len(different) == 1 for different in loads.values())
    assert {one.repeat for one in _planned()} == {3}


def test_the_tool_measures_and_keeps_a_suite(tmp_path: Path) -> None:
    """One command from a suite to what is committed; what was temporary is gone."""
    command = [sys.executable, str(_TOOL), str(_ROOT / "scenarios" / "suites" / "article.yaml")]
    options = ["--set", "load.requests=40", "--whole", "dnat-random-2", "--into", str(tmp_path / "kept")]
    (tmp_path / "temporary").mkdir()
    finished = subprocess.run(
        [*command, *options],
        env={"TMPDIR": str(tmp_path / "temporary"), "PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    assert "article: passed" in finished.stdout
    results = library.load_results(tmp_path / "kept")
    assert results.table()["requests"].tolist() == [40, 40]
    assert [result.has_requests for result in results] == [True, False]
    assert not [*(tmp_path / "temporary").iterdir()]


def test_a_scenario_that_is_none_of_the_suites_is_told_before_anything_runs(tmp_path: Path) -> None:
    """Not after half an hour."""
    finished = subprocess.run(
        [sys.executable, str(_TOOL), "--whole", "nobody", "--into", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 2
    assert finished.stderr.endswith(
        "reference.yaml: has no scenario 'nobody', whose first result is to be kept whole\n"
    )


@pytest.mark.parametrize("name", ["reference", "failover"])
def test_reference_archive_is_complete_and_small(name: str) -> None:
    """Every run has its line, and the machine is described; a clone stays quick."""
    folder = _KEPT / name
    suite = SuiteSummary.model_validate_json((folder / "suite.json").read_bytes())
    machine = Machine.model_validate_json((folder / MACHINE).read_bytes())
    results = library.load_results(folder)
    assert len(results) == sum(outcome.result is not None for _, outcome in suite.outcomes())
    assert {result.document.name for result in results} <= {scenario.name for scenario in suite.scenarios}
    assert results.table()["started_at"].min().isoformat() == machine.first_run_at
    assert [result.name for result in results if result.has_requests]
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= 4 << 20
