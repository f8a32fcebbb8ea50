"""Results found below folders, filtered and put side by side."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

import harness as library
from harness.errors import HarnessError, ResultError
from harness.recording.layout import dtype
from harness.results.archive import RUNS
from harness.results.folder import PendingResult
from harness.scenario import load_scenario
from harness.summary.run import Summary
from tests.report.test_events import event

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Harness
    from tests.gate.conftest import Stored

_CHEAP = """
import sys
import harness
heavy = {"numpy", "pandas", "pydantic", "matplotlib", "locust", "harness.notebook"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.fixture
def incomplete(tmp_path: Path) -> Path:
    """Give the result of a run that failed after 30 requests had been answered."""
    (tmp_path / "killed.yaml").write_text("strategy: dnat-random\nreplicas: 2\n", encoding="utf-8")
    scenario = load_scenario(tmp_path / "killed.yaml")
    rows = np.zeros(30, dtype())
    rows["instance"] = np.arange(30) % 2
    rows["connection"] = range(30)
    with PendingResult(tmp_path / "results", "x") as pending:
        # Left without a commit, as by an error.
        pending.begin(scenario).add(rows, ["instance-1", "instance-2"])
    (folder,) = (tmp_path / "results").glob("*-incomplete")
    return folder


def _condense(folder: Path, *results: Path) -> Path:
    """Write a line for each of these results."""
    summaries = [
        Summary.model_validate_json((result / "summary.json").read_bytes()).model_dump_json(by_alias=True)
        for result in results
    ]
    folder.mkdir(parents=True)
    (folder / RUNS).write_text("".join(f"{summary}\n" for summary in summaries), encoding="utf-8")
    return folder


def test_importing_the_harness_stays_cheap() -> None:
    """The command line imports it, too; numpy and pandas come when something is asked for."""
    subprocess.run([sys.executable, "-c", _CHEAP], check=True, timeout=60)


def test_results_are_found_in_a_folder_in_order(stored: Stored, tmp_path: Path) -> None:
    """Each has its folder's name, its verdict and its requests; hidden folders are nobody's results."""
    folders = sorted([stored([5000, 5000]), stored([9000, 1000])])
    shutil.copytree(folders[0], tmp_path / "results" / ".half.partial")
    results = library.load_results(tmp_path / "results")
    assert [result.name for result in results] == [folder.name for folder in folders]
    assert {result.verdict for result in results} == {"even", "uneven"}
    assert [len(result.requests) for result in results] == [10_000, 10_000]
    assert results[0].recording.connections_by_instance().sum() == 10_000


def test_a_folder_right_below_is_looked_into_and_none_deeper(stored: Stored, tmp_path: Path) -> None:
    """One's own results don't mix with the condensed ones of another machine, two folders down."""
    folder = stored([5000, 5000])
    shutil.copytree(folder, tmp_path / "results" / "suite" / "below")
    shutil.copytree(folder, tmp_path / "results" / "reference" / "suite" / "deep")
    found = library.load_results(tmp_path / "results")
    assert [result.name for result in found] == [folder.name, "below"]


def test_a_result_is_there_once_by_whatever_path(stored: Stored, tmp_path: Path) -> None:
    """Its own folder, and the folder that it is in."""
    folder = stored([5000, 5000])
    assert len(library.load_results(folder, tmp_path / "results", str(folder))) == 1


def test_the_folder_of_results_is_the_usual_one_by_default(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `harness run` leaves them."""
    folder = stored([5000, 5000])
    monkeypatch.chdir(tmp_path)
    assert [result.name for result in library.load_results()] == [folder.name]


def test_condensed_results_have_summaries_alone(stored: Stored, tmp_path: Path) -> None:
    """What needs their requests says that they were not kept."""
    suite = _condense(tmp_path / "reference" / "some", stored([5000, 5000]), stored([9000, 1000]))
    results = library.load_results(suite.parent)
    assert [result.verdict for result in results] == ["even", "uneven"]
    assert results[0].distribution["units"].tolist() == [5000, 5000]
    assert results.table()["suite"].tolist() == ["some", "some"]
    assert not results.table()["has_requests"].any()
    assert results[0].name.startswith("made-up-2026")
    with pytest.raises(ResultError, match="its requests were not kept: of most archived results"):
        _ = results[0].requests


def test_a_condensed_result_that_is_whole_is_there_once(stored: Stored, tmp_path: Path) -> None:
    """In the place of its line, with its requests."""
    first, second = stored([5000, 5000]), stored([9000, 1000])
    suite = _condense(tmp_path / "reference", first, second)
    shutil.copytree(second, suite / second.name)
    results = library.load_results(suite)
    assert [result.has_requests for result in results] == [False, True]
    assert len(results[1].requests) == 10_000
    assert results[1].suite == "reference"


def test_library_finds_results_beside_archived_ones(stored: Stored, incomplete: Path, tmp_path: Path) -> None:
    """A whole result without a line of its own, and one that is incomplete."""
    first, second = stored([5000, 5000]), stored([9000, 1000])
    suite = _condense(tmp_path / "reference", first)
    for folder in (second, incomplete):
        shutil.copytree(folder, suite / folder.name)
    results = library.load_results(suite)
    assert [result.has_requests for result in results] == [False, True, True]
    assert {result.name for result in results[1:]} == {second.name, incomplete.name}


def test_an_incomplete_result_has_its_requests_and_no_verdict(incomplete: Path) -> None:
    """It says what it is; it must not be taken for a whole one."""
    (result,) = library.load_results(incomplete)
    assert not result.has_summary
    assert len(result.requests) == 30
    assert result.timeline()["requests"].sum() == 30
    assert result.scenario["replicas"] == 2
    for part in ("document", "distribution", "summary", "verdict"):
        with pytest.raises(ResultError, match="there is no summary, and so no verdict"):
            getattr(result, part)
    assert repr(result) == f"<Result {incomplete.name}: no summary>"


def test_an_incomplete_result_has_a_row_without_a_verdict(incomplete: Path, stored: Stored) -> None:
    """A table of many does not fail for one of them."""
    stored([5000, 5000])
    table = library.load_results(incomplete.parent).table().set_index("result")
    assert table["verdict"].isna().sum() == 1
    row = table.loc[incomplete.name]
    assert (row["strategy"], row["replicas"], row["connections"]) == ("dnat-random", 2, "per-request")


def test_results_can_be_filtered_by_every_column(stored: Stored, tmp_path: Path) -> None:
    """By a value, by one of several, by a function; all must hold."""
    stored([5000, 5000])
    stored([9000, 1000])
    stored([5000, 5000, 5000])
    results = library.load_results(tmp_path / "results")
    assert len(results.filter(strategy="dnat-random", replicas=2)) == 2
    assert len(results.filter(replicas=[2, 3], verdict="even")) == 2
    assert len(results.filter(worst_deviation_percent=lambda percent: abs(percent) > 10)) == 1
    assert len(results.filter(suite=None)) == 3
    assert len(results.filter(replicas=100)) == 0
    assert len(results[1:].filter(replicas=(2, 3))) == 2


def test_a_condition_on_what_is_unknown_fits_nothing(incomplete: Path) -> None:
    """A function is not asked about what is missing."""
    assert len(library.load_results(incomplete).filter(errors=lambda errors: errors == 0)) == 0


def test_a_column_that_is_none_is_told_with_the_nearest(stored: Stored, tmp_path: Path) -> None:
    """A slip of the pen is not taken for a condition that nothing fits."""
    stored([5000, 5000])
    with pytest.raises(HarnessError, match="no column 'replica'; did you mean replicas"):
        library.load_results(tmp_path / "results").filter(replica=2)


def test_result_summary_is_its_row_of_the_table(stored: Stored, tmp_path: Path) -> None:
    """The same as in the table of all."""
    stored([5000, 5000])
    stored([9000, 1000])
    results = library.load_results(tmp_path / "results")
    assert results[1].summary.iloc[0].equals(results.table().iloc[1])


def test_events_of_all_results_are_one_table(stored: Stored, tmp_path: Path, incomplete: Path) -> None:
    """Results without any, and incomplete ones, add no row."""
    for events in ((), (event(), event(action="start", label="start instance-5"))):
        stored([5, 5], change={"events": events})
    table = library.load_results(tmp_path / "results").events()
    assert table["event"].tolist() == ["kill instance-4", "start instance-5"]
    assert table["number"].tolist() == [1, 2]
    assert table["result"].nunique() == 1
    assert incomplete.name not in set(table["result"])


def test_library_refuses_other_folders_in_a_line(tmp_path: Path) -> None:
    """Path, why, what to do."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    for name, why in (
        ("nowhere", "nowhere: does not exist; name a folder of results"),
        ("file", "file: is no folder; name a folder of results"),
        ("empty", "empty: there is no result in this folder; `harness run` leaves one"),
    ):
        with pytest.raises(ResultError, match=why) as caught:
            library.load_results(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_damaged_summary_is_named(stored: Stored) -> None:
    """Loading is lazy: it is told when it is asked for."""
    folder = stored([5000, 5000])
    (folder / "summary.json").write_text("{}", encoding="utf-8")
    (result,) = library.load_results(folder)
    with pytest.raises(ResultError, match=r"summary\.json: is not what it should be"):
        _ = result.document


def test_a_notebook_shows_errors_without_a_traceback() -> None:
    """IPython asks an exception for its own rendering."""
    error = ResultError("results: does not exist")
    error.add_note("what was recorded until then: x")
    assert error._render_traceback_() == [
        "error: results: does not exist",
        "what was recorded until then: x",
    ]


def test_condensed_results_can_be_drawn_from_the_command_line(
    harness: Harness, stored: Stored, tmp_path: Path
) -> None:
    """The pictures of a suite need no requests; what does need them is refused in a line."""
    suite = _condense(tmp_path / "reference" / "some", stored([5000, 5000]), stored([9000, 1000]))
    pictures = tmp_path / "pictures"
    drawn = harness("plot", suite.parent, "--kind", "matrix", "--kind", "distribution", "--output", pictures)
    assert drawn.exit_code == 0, drawn.output
    assert len([*pictures.glob("made-up-*-distribution.png")]) == 2
    assert (pictures / "matrix.png").is_file()
    refused = harness("plot", suite, "--kind", "latency", "--output", pictures)
    assert refused.exit_code == 2
