"""`harness plot`: which files it writes, and what it refuses in a line."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from harness.summary.run import CpuTime
from harness.summary.suite import RunOutcome, ScenarioOutcomes, SuiteSummary

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Harness
    from tests.report.conftest import Measure


@pytest.fixture
def store(tmp_path: Path, measure: Measure) -> Any:
    """Give a way to leave a result below results/, as a run does."""

    def stored(name: str, counts: list[int], minute: int = 0) -> Path:
        recording, summary = measure(counts, name=name)
        folder = tmp_path / "results" / f"{name}-20260101-00{minute:02}00"
        folder.mkdir(parents=True)
        recording.to_parquet(folder / "requests.parquet")
        moment = datetime(2026, 1, 1, 0, minute, tzinfo=UTC).isoformat()
        changed = {
            "started_at": moment,
            "strategy": name,
            "scenario": {"load": {"connections": "keep-alive"}},
            "cpu_us_per_request": CpuTime(instances=20 + minute, generator=5),
        }
        (folder / "summary.json").write_text(summary.model_copy(update=changed).to_json())
        return folder

    return stored


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_plot_draws_the_plots_of_one_result(tmp_path: Path, store: Any, harness: Harness) -> None:
    """All kinds that one result has, each told with its path; nothing is added to the result itself."""
    folder = store("a", [50, 60])
    before = written(folder)
    run = harness("plot", folder, "--output", tmp_path / "out")
    assert run.exit_code == 0
    kinds = ("distribution", "latency", "cdf", "timeline")
    assert written(tmp_path / "out") == {f"{folder.name}-{kind}.png" for kind in kinds}
    assert set(run.stdout.splitlines()) == {str(path) for path in (tmp_path / "out").iterdir()}
    assert written(folder) == before


def test_two_results_are_compared_too(tmp_path: Path, store: Any, harness: Harness) -> None:
    """Latencies share a picture, and there are a slope chart, a matrix and costs; SVG parses."""
    folders = store("a", [50, 60]), store("b", [50, 40], 1)
    run = harness("plot", *folders, "--format", "svg", "--output", tmp_path / "out")
    assert run.exit_code == 0
    own = {f"{folder.name}-{kind}.svg" for folder in folders for kind in ("distribution", "timeline")}
    common = {f"{kind}.svg" for kind in ("latency", "cdf", "matrix", "cost", "slope")}
    assert written(tmp_path / "out") == own | common
    for path in (tmp_path / "out").iterdir():
        assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314  just written


def test_a_folder_stands_for_its_results(tmp_path: Path, store: Any, harness: Harness) -> None:
    """Many results have a matrix and costs; an incomplete one is left out, and that is said."""
    for minute in range(9):
        store("a", [50, 60 + minute], minute)
    incomplete = tmp_path / "results" / "a-20260101-010000-incomplete"
    incomplete.mkdir()
    (incomplete / "requests.parquet").write_bytes(b"")
    run = harness("plot", tmp_path / "results", "--output", tmp_path / "out")
    assert run.exit_code == 0
    assert written(tmp_path / "out") == {"matrix.png", "cost.png"}
    assert f"{incomplete}: left out, it is incomplete" in run.stderr


def test_the_same_result_counts_once(tmp_path: Path, store: Any, harness: Harness) -> None:
    """Named twice, or by its summary, it is still one."""
    folder = store("a", [50, 60])
    run = harness("plot", folder, folder / "summary.json", "--output", tmp_path / "out")
    assert run.exit_code == 0
    assert "slope.png" not in written(tmp_path / "out")


def test_the_same_results_make_the_same_files(tmp_path: Path, store: Any, harness: Harness) -> None:
    """Every kind, drawn twice: the same bytes."""
    folders = store("a", [50, 60]), store("b", [50, 40], 1)
    for out in ("one", "two"):
        harness("plot", *folders, "--format", "svg", "--output", tmp_path / out)
    assert len(written(tmp_path / "one")) == 9
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_suites_document_has_a_matrix(tmp_path: Path, harness: Harness) -> None:
    """What `harness suite --json` printed is enough for it, and for nothing else."""
    outcome = RunOutcome(verdict="skipped", reason="", passed=None, status=0, round=None, seconds=0)
    scenario = ScenarioOutcomes(
        name="ipvs-rr-2",
        strategy="ipvs-rr",
        expect=None,
        replicas=2,
        unit=None,
        repeat=1,
        outcomes=(outcome,),
    )
    suite = SuiteSummary(
        name="../all", seed=1, repeat=1, order=(), scenarios=(scenario,), interrupted=False, passed=True
    )
    path = tmp_path / "suite.json"
    path.write_text(suite.to_json())
    run = harness("plot", path, "--output", tmp_path / "out")
    assert run.exit_code == 0
    assert written(tmp_path / "out") == {"_all-matrix.png"}
    refused = harness("plot", path, "--kind", "cost", "--output", tmp_path / "out")
    assert refused.exit_code == 2
    assert "name its results' folders" in str(refused.exception)


def test_plot_names_what_it_can_not_draw(tmp_path: Path, store: Any, harness: Harness) -> None:
    """Each refusal is one line that names the thing and says what to do, with status 2."""
    folder = store("a", [50, 60])
    incomplete = tmp_path / "b-incomplete"
    incomplete.mkdir()
    (incomplete / "requests.parquet").write_bytes(b"")
    text = tmp_path / "text.json"
    text.write_text("{}")
    (tmp_path / "empty").mkdir()
    out = ("--output", tmp_path / "out")
    cases: dict[str, tuple[object, ...]] = {
        "missing: does not exist": (tmp_path / "missing", *out),
        "b-incomplete: is incomplete: its run was killed": (incomplete, *out),
        "empty: holds no result": (tmp_path / "empty", *out),
        "text.json: is neither a result's folder nor": (text, *out),
        "slope compares two results": (folder, "--kind", "slope", *out),
        "text.json: can't be made": (folder, "--output", text),
        "invalid\\x1b: does not exist": (tmp_path / "invalid\x1b", *out),
    }
    for words, arguments in cases.items():
        run = harness("plot", *arguments)
        assert run.exit_code == 2, words
        assert words in str(run.exception)
        assert "\n" not in str(run.exception)


def test_a_picture_in_the_way_is_told(tmp_path: Path, store: Any, harness: Harness) -> None:
    """A folder that has a picture's name can't be replaced by it."""
    folder = store("a", [50, 60])
    (tmp_path / "out" / f"{folder.name}-cdf.png").mkdir(parents=True)
    run = harness("plot", folder, "--kind", "cdf", "--output", tmp_path / "out")
    assert run.exit_code == 2
    assert f"{folder.name}-cdf.png: can't be written: Is a directory" in str(run.exception)


def test_plot_refuses_too_many_latency_curves(tmp_path: Path, store: Any, harness: Harness) -> None:
    folders = [store("a", [5, 6], minute) for minute in range(9)]
    run = harness("plot", *folders, "--kind", "latency", "--output", tmp_path / "out")
    assert run.exit_code == 2
    assert "has room for 8 results, not 9" in str(run.exception)
