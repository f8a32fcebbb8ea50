"""Which results there are, and which one a word means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ResultError
from harness.results.catalogue import find_result, list_results
from harness.results.reading import read_summary
from tests.gate.conftest import measure, stored

if TYPE_CHECKING:
    from tests.conftest import Harness
    from tests.gate.conftest import Stored

__all__ = ["measure", "stored"]

_EVEN = [10_000] * 4


def _killed(results: Path, name: str) -> Path:
    """Make what a killed run leaves."""
    folder = results / name
    folder.mkdir(parents=True)
    (folder / "requests.parquet").write_bytes(b"some")
    return folder


def test_results_are_in_the_order_of_their_runs(stored: Stored) -> None:
    """Not in that of their names; a killed one comes where its name's time puts it."""
    second = stored(_EVEN, change={"started_at": "2026-01-02T00:00:00+00:00"})
    first = stored(_EVEN, change={"started_at": "2026-01-01T00:00:00+00:00"})
    third = stored(_EVEN, change={"started_at": "2026-01-03T02:00:00+02:00"})
    between = _killed(first.parent, "made-up-20260102-120000-incomplete")
    listed = list_results(first.parent)
    assert [one.folder for one in listed] == [first, second, between, third]
    assert [one.state for one in listed] == ["whole", "whole", "incomplete", "whole"]


def test_catalogue_leaves_out_other_files(stored: Stored) -> None:
    """Baselines, runs that are still going, and files."""
    result = stored(_EVEN)
    (result.parent / "baselines").mkdir()
    (result.parent / ".made-up-0a1b.partial").mkdir()
    (result.parent / "notes.txt").write_text("mine")
    assert [one.folder for one in list_results(result.parent)] == [result]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "\\u001b[31m"}'])
def test_a_damaged_one_hides_no_other(stored: Stored, text: str) -> None:
    """It is listed with what is wrong with it, in visible characters."""
    whole, broken = stored(_EVEN), stored(_EVEN)
    (broken / "summary.json").write_text(text)
    listed = {one.folder: one for one in list_results(whole.parent)}
    assert listed[whole].state == "whole"
    assert listed[broken].state == "damaged"
    assert listed[broken].problem.startswith("is not what it should be")
    assert listed[broken].problem.isprintable()
    with pytest.raises(ResultError, match=r"summary\.json: is not what it should be"):
        read_summary(broken)


def test_a_result_is_found_by_folder_by_name_and_as_the_latest(stored: Stored, tmp_path: Path) -> None:
    """A killed run is not the latest: there is nothing of it to show."""
    first, second = stored(_EVEN), stored(_EVEN)
    _killed(first.parent, "made-up-20990101-000000-incomplete")
    assert find_result(str(first), tmp_path / "elsewhere") == first
    assert find_result(str(first / "summary.json"), tmp_path / "elsewhere") == first
    assert find_result(first.name, first.parent) == first
    assert find_result("latest", first.parent) == second


def test_a_name_that_nothing_has_is_told_with_those_that_come_near(stored: Stored) -> None:
    """The beginning of a name, or a misspelt one."""
    result = stored(_EVEN)
    for word in ("made", result.name.replace("-u", "-v")):
        with pytest.raises(ResultError, match=f"did you mean {result.name}"):
            find_result(word, result.parent)
    with pytest.raises(ResultError, match="harness list results shows them"):
        find_result("x" * 5_000, result.parent)


def test_catalogue_says_why_a_result_can_not_be_shown(tmp_path: Path) -> None:
    """A file, a folder without a summary, a killed run, and no result at all."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ResultError, match="is no folder"):
        find_result(str(tmp_path / "file"), tmp_path)
    with pytest.raises(ResultError, match="is no result: it has no"):
        read_summary(tmp_path / "folder")
    with pytest.raises(ResultError, match="incomplete: its run was killed"):
        read_summary(_killed(tmp_path, "a-20260102-120000-incomplete"))
    with pytest.raises(ResultError, match="has no result yet"):
        find_result("latest", tmp_path)
    with pytest.raises(ResultError, match="is no folder"):
        list_results(tmp_path / "file")
    with pytest.raises(ResultError, match="does not exist"):
        list_results(tmp_path / "nowhere")


def test_the_list_is_a_row_a_line_where_no_terminal_is(stored: Stored, harness: Harness) -> None:
    """However long the names are; the killed and the interrupted are marked."""
    whole = stored(_EVEN)
    cut = stored([30, 10, 10, 10], change={"interrupted": True})
    _killed(whole.parent, "made-up-20990101-000000-incomplete")
    text = harness("list", "results", whole.parent).output
    header, _, *rows = (line.split() for line in text.splitlines())
    assert header == ["result", "when", "strategy", "replicas", "connections", "verdict", "worst", "requests"]
    assert rows[0][0] == whole.name
    assert rows[0][3:] == ["dnat-random", "4", "40,000", "even", "+0.0", "%", "40,000"]
    assert rows[1][0] == cut.name
    assert "(interrupted)" in rows[1]
    assert rows[2] == ["made-up-20990101-000000-incomplete", "-", "-", "-", "-", "incomplete", "-", "-"]


def test_the_list_as_json_has_what_the_table_has(stored: Stored, harness: Harness) -> None:
    """For each, and what is wrong with a damaged one."""
    whole, broken = stored([300, 100, 100, 100]), stored(_EVEN)
    (broken / "summary.json").write_text("{")
    document = json.loads(harness("list", "results", whole.parent, "--json").output)
    found = {entry["name"]: entry for entry in document["results"]}
    assert found[whole.name]["worst_deviation"] == pytest.approx(1.0)
    assert found[whole.name]["connections"] == 600
    assert found[broken.name]["state"] == "damaged"
    assert "summary" not in found[broken.name]
    assert found[broken.name]["problem"]


def test_show_prints_what_the_run_printed(stored: Stored, harness: Harness) -> None:
    """Table, tests, verdict and folder; with --json the summary, with --quiet a line."""
    result = stored([10_100, 9_900, 10_000, 10_000])
    shown = harness("show", result.name, "--results", result.parent)
    assert shown.exit_code == 0
    assert "instance-1" in shown.output
    assert "verdict     even" in shown.output
    assert str(result) in shown.output
    document = json.loads(harness("show", "latest", "--results", result.parent, "--json").output)
    assert document == json.loads((result / "summary.json").read_text())
    (line,) = harness("show", str(result), "--quiet").output.splitlines()
    assert line.startswith("made-up: even (40,000 connections over 4 instances")


@pytest.mark.parametrize(
    "arguments",
    [("list", "strategies", "results"), ("list", "strategies", "--json"), ("list", "results", "--markdown")],
)
def test_options_of_one_list_are_not_taken_for_the_other(
    harness: Harness, arguments: tuple[str, ...]
) -> None:
    """Each says to which it belongs."""
    assert harness(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"counts": {"connections": 1, "requests": -5, "sources": 1, "errors": 0}}, "counts.requests"),
        ({"counts": {"connections": 1, "requests": 1, "sources": 1, "errors": -1}}, "counts.errors"),
        ({"instances": []}, "instances"),
        ({"replicas": 0}, "replicas"),
        ({"errors": {"status": -5}}, "errors.status"),
    ],
)
def test_counts_that_cannot_be_are_damage(
    stored: Stored, harness: Harness, change: dict[str, Any], place: str
) -> None:
    """A summary with them is shown to be damaged, by its place, and passes nowhere."""
    folder = stored(_EVEN)
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps(summary | change))
    for command in ("show", "check", "compare"):
        arguments = [folder, stored(_EVEN)] if command == "compare" else [folder]
        finished = harness(command, *arguments)
        assert finished.exit_code == 2
        assert f"is not what it should be: {place}" in str(finished.exception)


@pytest.mark.parametrize("file", ["summary.json", "requests.parquet", "applied.json", "scenario.yaml"])
def test_pipes_in_a_result_hold_up_no_command(stored: Stored, file: str) -> None:
    """Whatever file of it is one: no command waits for a writer."""
    folder = stored(_EVEN)
    (folder / file).unlink(missing_ok=True)
    os.mkfifo(folder / file)
    for command in (
        ("list", "results", folder.parent),
        ("show", folder),
        ("check", folder),
        ("report", folder),
    ):
        finished = subprocess.run(
            [Path(sys.executable).with_name("harness"), *command],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            cwd=folder.parent.parent,
        )
        assert "Traceback" not in finished.stderr
        assert "a defect of the harness" not in finished.stderr
        if file in {"summary.json", "requests.parquet"} and command[0] in {"check", "report"}:
            assert finished.returncode == 2
