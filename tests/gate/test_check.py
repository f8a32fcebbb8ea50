from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from harness.errors import ResultError
from tests.gate.conftest import SCENARIO
from tests.report.test_events import required

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.conftest import Harness
    from tests.gate.conftest import Stored

EVEN = [20_000, 20_100, 19_900, 20_000]
UNEVEN = [16_000, 21_300, 21_400, 21_300]


def statuses(output: str) -> dict[str, str]:
    """Give each check's status from what --json prints."""
    return {check["check"]: check["status"] for check in json.loads(output)["checks"]}


def test_an_even_result_passes(stored: Stored, harness: Harness) -> None:
    """A whole result with the expected verdict passes, and the table says why."""
    found = harness("check", stored(EVEN))
    assert found.exit_code == 0, found.output
    assert "passed: 3 passed" in found.stdout
    assert "all of 80,000 requests are there" in found.stdout


def test_an_uneven_result_fails(stored: Stored, harness: Harness) -> None:
    """The verdict is not the expected one: exit status 1."""
    found = harness("check", stored(UNEVEN), "--json")
    assert found.exit_code == 1
    assert statuses(found.stdout) == {"complete": "passed", "service": "passed", "verdict": "failed"}


def test_an_inconclusive_result_does_not_pass(stored: Stored, harness: Harness) -> None:
    """Too few units: exit status 3."""
    assert harness("check", stored([40, 41, 39, 40])).exit_code == 3


def test_check_passes_an_expected_uneven_verdict(stored: Stored, harness: Harness) -> None:
    """The scenario's expectation counts, not evenness."""
    assert harness("check", stored(UNEVEN, expect="uneven")).exit_code == 0
    assert harness("check", stored(EVEN, expect="uneven")).exit_code == 1


def test_check_judges_again_with_another_tolerance(stored: Stored, harness: Harness) -> None:
    """--tolerance replaces the scenario's: wide enough, the uneven result passes; too narrow, none does."""
    assert harness("check", stored(UNEVEN), "--tolerance", "30%").exit_code == 0
    assert harness("check", stored(EVEN), "--tolerance", "0.5%").exit_code == 3


def test_an_interrupted_run_does_not_pass(stored: Stored, harness: Harness) -> None:
    """However even, what was cut short is inconclusive."""
    assert harness("check", stored(EVEN, change={"interrupted": True})).exit_code == 3


def test_witnesses_that_contradict_each_other_do_not_pass(stored: Stored, harness: Harness) -> None:
    """Counts of which another witness has others prove nothing."""
    kernel = {f"instance-{i + 1}": (count - 1, None) for i, count in enumerate(EVEN)}
    found = harness("check", stored(EVEN, observed={"tables": {"kernel": kernel}}), "--json")
    assert statuses(found.stdout)["witnesses"] == "inconclusive"
    assert found.exit_code == 3


@pytest.mark.parametrize("missing", ["summary.json", "requests.parquet"])
def test_missing_files_never_pass(stored: Stored, harness: Harness, missing: str) -> None:
    """A result without its summary or its requests is an error."""
    folder = stored(EVEN)
    (folder / missing).unlink()
    found = harness("check", folder)
    assert isinstance(found.exception, ResultError)
    assert missing in str(found.exception)


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("nowhere", "nowhere: does not exist; name the folder of a result"),
        ("file", "file: is no folder; name the folder of a result"),
        (".", "is no result: it has no summary.json, which `harness run` leaves"),
    ],
)
def test_check_refuses_a_folder_without_result(
    harness: Harness, tmp_path: Path, path: str, complaint: str
) -> None:
    """By its name, with what to name instead."""
    (tmp_path / "file").touch()
    found = harness("check", tmp_path / path)
    assert isinstance(found.exception, ResultError)
    assert complaint in str(found.exception)


def test_a_report_that_can_not_be_written_is_an_error(
    stored: Stored, harness: Harness, tmp_path: Path
) -> None:
    """A CI job must not go on without it; what was found is printed all the same."""
    found = harness("check", stored(EVEN), "--junit", tmp_path)
    assert found.exit_code == 2
    assert f"{tmp_path}: can't be written: Is a directory" in str(found.exception)
    assert "passed: 3 passed" in found.stdout


def test_damaged_files_never_pass(stored: Stored, harness: Harness) -> None:
    """Neither does a summary that isn't one, nor a recording with fewer requests, nor one cut short."""
    folder = stored(EVEN)
    fewer = stored(EVEN[:3])
    (folder / "requests.parquet").write_bytes((fewer / "requests.parquet").read_bytes())
    found = harness("check", folder)
    assert re.search(r"80,000 requests, requests.parquet holds 60,000", str(found.exception))
    data = (folder / "requests.parquet").read_bytes()
    (folder / "requests.parquet").write_bytes(data[: len(data) // 2])
    assert isinstance(harness("check", folder).exception, ResultError)
    (folder / "summary.json").write_text('{"schema": 1}')
    found = harness("check", folder)
    assert isinstance(found.exception, ResultError)
    assert "\n" not in str(found.exception)


def baseline(harness: Harness, tmp_path: Path, *results: Path) -> Path:
    """Make a baseline of these results, and give its folder."""
    folder = tmp_path / "baselines"
    found = harness("baseline", *results, "--baselines", folder)
    assert found.exit_code == 0, found.output
    return folder


def test_an_unchanged_system_passes_against_its_baseline(
    stored: Stored, harness: Harness, tmp_path: Path
) -> None:
    """Shares and errors are what they were; latency, of which nobody asked, is not compared."""
    folder = baseline(harness, tmp_path, stored(EVEN), stored([20_100, 19_950, 20_000, 19_950]))
    found = harness("check", stored([19_900, 20_100, 20_050, 19_950]), "--baseline", folder, "--json")
    assert found.exit_code == 0, found.output
    assert statuses(found.stdout) == dict.fromkeys(
        ("complete", "service", "verdict", "shares", "errors"), "passed"
    )
    one = harness("check", stored(EVEN), "--baseline", folder / "made-up.json")
    assert one.exit_code == 0, one.output


def test_a_baseline_is_not_compared_with_itself(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """Results that it was made of prove nothing, and don't make others look better either."""
    kept = [stored(EVEN), stored(EVEN), stored(EVEN)]
    folder = baseline(harness, tmp_path, *kept)
    alone = harness("check", *kept, "--baseline", folder)
    assert "made-up: its baseline was made of these results; run the scenario again" in str(alone.exception)
    found = harness("check", *kept, stored(UNEVEN), "--baseline", folder, "--json")
    assert statuses(found.stdout)["shares"] == "failed"


def test_a_result_counts_once(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """However often it is named, by whatever path, or copied."""
    result = stored(EVEN)
    shutil.copytree(result, tmp_path / "copy")
    results = (result, result / "summary.json", result / ".." / result.name, tmp_path / "copy")
    found = harness("check", *results, "--json")
    assert [check["result"] for check in json.loads(found.stdout)["checks"]] == [result.name] * 3
    kept = baseline(harness, tmp_path, *results) / "made-up.json"
    assert len(json.loads(kept.read_text())["runs"]) == 1


def test_results_of_the_same_folders_name_all_count(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """Two machines may have measured in the same second."""
    first, second = stored(EVEN), stored(UNEVEN)
    other = (tmp_path / "other" / first.name).resolve()
    shutil.move(second, other)
    found = harness("check", first, other, "--json")
    verdicts = [each for each in json.loads(found.stdout)["checks"] if each["check"] == "verdict"]
    assert [each["status"] for each in verdicts] == ["passed", "failed"]


def test_a_baseline_has_a_line_for_each_run(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """It stays small, and a commit shows what has changed."""
    kept = baseline(harness, tmp_path, stored(EVEN), stored(EVEN)) / "made-up.json"
    text = kept.read_text()
    assert len(text.splitlines()) == 12
    assert [json.loads(line.rstrip(",")) for line in text.splitlines()[8:10]] == json.loads(text)["runs"]
    assert len(text) < 1500


def test_a_planted_regression_is_caught(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """One instance falls to 80 % of its share: the shares fail, and the verdict."""
    folder = baseline(harness, tmp_path, stored(EVEN))
    found = harness("check", stored(UNEVEN), "--baseline", folder, "--json")
    assert found.exit_code == 1
    assert statuses(found.stdout)["shares"] == "failed"


def test_errors_that_rise_fail(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """A hundred failures where there were none are more than chance."""
    folder = baseline(harness, tmp_path, stored(EVEN))
    found = harness("check", stored(EVEN, failed=100), "--baseline", folder, "--json")
    assert statuses(found.stdout)["errors"] == "failed"
    found = harness("check", stored(EVEN, failed=1), "--baseline", folder, "--json")
    assert statuses(found.stdout)["errors"] == "passed"


def test_latency_needs_repeats(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """One run on a side can't say; several can: half as slow again fails, the same passes."""

    def slower(factor: float, jitter: float) -> dict[str, Any]:
        summary_ns = int(1_000_000 * factor * jitter)
        quantiles = dict.fromkeys(("p50", "p90", "p99", "p99_9", "max"), summary_ns)
        return {"latency_ns": type(example)(**quantiles)}

    from harness.summary.run import LatencySummary

    example = LatencySummary(p50=1, p90=1, p99=1, p99_9=1, max=1)
    before = [stored(EVEN, change=slower(1, jitter)) for jitter in (0.99, 1.0, 1.01)]
    folder = baseline(harness, tmp_path, *before)
    asked = ("--baseline", folder, "--latency-tolerance", "p99=20%", "--json")
    found = harness("check", stored(EVEN, change=slower(1, 1.0)), *asked)
    assert statuses(found.stdout)["latency p99"] == "inconclusive"
    assert found.exit_code == 3
    after = [stored(EVEN, change=slower(1.5, jitter)) for jitter in (0.99, 1.0, 1.01)]
    assert statuses(harness("check", *after, *asked).stdout)["latency p99"] == "failed"
    again = [stored(EVEN, change=slower(1, jitter)) for jitter in (0.99, 1.0, 1.01)]
    assert statuses(harness("check", *again, *asked).stdout)["latency p99"] == "passed"


def test_check_refuses_another_scenario(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """The key that differs is named, and the two values."""
    folder = baseline(harness, tmp_path, stored(EVEN))
    other = {**SCENARIO, "load": {"users": 32, "duration": "10s"}}
    found = harness("check", stored(EVEN, written=other), "--baseline", folder)
    assert isinstance(found.exception, ResultError)
    assert "load.users is 32 here and 16 there" in str(found.exception)


def test_a_key_that_came_later_has_its_default(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """A baseline of an older version, which did not write a key yet, is still one of this scenario."""
    folder = baseline(harness, tmp_path, stored(EVEN))
    newer = {**SCENARIO, "client": "external"}
    assert harness("check", stored(EVEN, written=newer), "--baseline", folder).exit_code == 0


def test_a_scenario_without_a_baseline_is_refused(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """The message says how to make one."""
    (tmp_path / "none").mkdir()
    found = harness("check", stored(EVEN), "--baseline", tmp_path / "none")
    assert "harness baseline" in str(found.exception)


def test_baseline_refuses_results_that_did_not_pass(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """Neither an uneven result nor an interrupted one."""
    for folder in (stored(UNEVEN), stored(EVEN, change={"interrupted": True})):
        found = harness("baseline", folder, "--baselines", tmp_path / "baselines")
        assert "made of results that passed" in str(found.exception)
    assert not (tmp_path / "baselines").exists()


def test_junit_has_a_case_for_each_check(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """Failures are counted, and names from outside can't break the XML."""
    file = tmp_path / "junit.xml"
    hostile = 'a"<b>&\x1b[31m'
    result = stored(UNEVEN, names=[hostile, "b", "c", "d"])
    assert harness("check", result, "--junit", file).exit_code == 1
    root = ET.fromstring(file.read_text(encoding="utf-8"))  # noqa: S314  written a moment ago
    assert (root.get("tests"), root.get("failures")) == ("3", "1")
    failure = root.find(".//testcase[@name='verdict']/failure")
    assert failure is not None
    assert failure.get("type") == "failed"
    assert "\\x1b" in (failure.text or "")


def test_github_gets_annotations_and_a_summary(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """An error for what failed, a table in the step's summary, nothing that ends a line early."""
    summary = tmp_path / "step.md"
    result = stored(UNEVEN, names=["a|b", "::error::", "c%", "d"])
    found = harness("check", result, "--github", env={"GITHUB_STEP_SUMMARY": str(summary)})
    (line,) = [line for line in found.stdout.splitlines() if line.startswith("::")]
    assert line.startswith("::error title=made-up-")
    assert "%25" in line
    table = summary.read_text(encoding="utf-8")
    assert "❌ failed" in table
    assert "a&#124;b" in table


@pytest.mark.parametrize(
    "arguments",
    [
        ["--tolerance", "0.1"],
        ["--tolerance", "0%"],
        ["--latency-tolerance", "p98=20%", "--baseline", "x"],
        ["--latency-tolerance", "p99", "--baseline", "x"],
        ["--latency-tolerance", "p99=20%"],
        ["--cpu-tolerance", "20%"],
    ],
)
def test_wrong_options_are_refused(harness: Harness, arguments: list[str]) -> None:
    """Numbers without a unit, unknown quantiles, comparisons without a baseline."""
    assert harness("check", "somewhere", *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("passed", "answer"),
    [("yes", ("passed", 0)), ("no", ("failed", 1)), ("inconclusive", ("inconclusive", 3))],
)
def test_check_includes_the_recovery(
    stored: Stored, harness: Harness, tmp_path: Path, passed: str, answer: tuple[str, int]
) -> None:
    """A gate like the verdict, in every output."""
    status, exit_status = answer
    change = {"recovers": required(passed)}
    junit = tmp_path / "junit.xml"
    found = harness("check", stored(EVEN, change=change), "--json", "--github", "--junit", junit)
    assert found.exit_code == exit_status
    assert statuses(found.stdout) == {
        "complete": "passed",
        "service": "passed",
        "verdict": "passed",
        "recovers": status,
    }
    case = ET.parse(junit).find(".//testcase[@name='recovers']")  # noqa: S314  our own file
    assert case is not None
    assert (case.find("failure") is None) == (passed == "yes")
    assert ("45 of 2,500 requests lost" in found.stderr) == (passed != "yes")


def test_a_run_that_did_not_recover_is_no_baseline(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """It did not pass, and the reason is said."""
    folder = stored(EVEN, change={"recovers": required("no"), "passed": False})
    found = harness("baseline", folder, "--baselines", tmp_path / "baselines")
    assert isinstance(found.exception, ResultError)
    assert "did not pass: even, but did not recover as required: 45 of 2,500 requests lost" in str(
        found.exception
    )
