"""`harness suite`, and scenarios that expect to be refused, on real hosts with real load."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from harness.strategies import find_strategy, strategy_names
from harness.summary.suite import suite_summary_schema

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

_ROOT = Path(__file__).parents[2]
_LOAD = "load: {duration: 1s, warm_up: 200ms, users: 8}\ntolerance: 50%\n"
_MATRIX = """
matrix:
  strategy: [dnat-random, dnat-literal, so-reuseport-sandbox, direct, publish]
  replicas: [1, 4]
adjust:
  - where: {strategy: dnat-literal, replicas: 4}
    set: {expect: uneven, tolerance: 10%, confidence: 90%}
defaults:
  load: {duration: 1s, warm_up: 200ms, users: 8}
  tolerance: 50%
  confidence: 99.9%
"""


_SMALLER = """
matrix: {strategy: [dnat-random, direct, publish], replicas: [1, 4]}
defaults: {load: {duration: 1s, warm_up: 200ms, users: 8}, tolerance: 50%, confidence: 99.9%}
"""


def _write(harness: Command, name: str, text: str) -> str:
    path = harness.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return name


def _document(finished: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(finished.stdout)
    jsonschema.validate(document, suite_summary_schema())
    return document


def test_a_matrix_is_run_in_rounds_and_told_in_one_table(harness: Command) -> None:
    """What can be run is, each time with a result; what can't be is listed, and the suite passes."""
    finished = harness("suite", _write(harness, "m.yaml", _MATRIX), "--repeat", "2", "--seed", "3")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    possible = 3 * 2 + 2  # direct and publish with one instance
    # publish with four is tried once: only then does it refuse.
    assert f"[{2 * possible + 1}/{2 * possible + 1}] " in finished.stderr
    assert len(list((harness.folder / "results").iterdir())) == 2 * possible
    for words in (
        "even ×2",  # noqa: RUF001  the sign itself
        "uneven ×2",  # noqa: RUF001  as above
        "direct-4: replicas: 4 is too many; direct has 1 at most",
        "port is already allocated",
        "m: passed (10 scenarios: 8 as expected, 2 not possible)",
    ):
        assert words in finished.stdout, finished.stdout
    assert finished.stdout.index("dnat-random-1") < finished.stdout.index("so-reuseport-sandbox-4")


def test_the_json_document_has_every_run_and_its_result(harness: Command) -> None:
    """It says what the results' own summaries say, and nothing else is printed."""
    finished = harness("suite", _write(harness, "m.yaml", _SMALLER), "--json")
    assert finished.stderr == ""
    document = _document(finished)
    assert (document["name"], document["passed"], document["repeat"]) == ("m", True, 1)
    ran = {scenario["name"]: scenario["outcomes"] for scenario in document["scenarios"]}
    assert sorted(document["order"][0]) == sorted(set(ran) - {"direct-4"})
    assert document["order"][0] != [name for name in ran if name != "direct-4"]
    for name, outcomes in ran.items():
        (outcome,) = outcomes
        if name in {"direct-4", "publish-4"}:
            assert (outcome["verdict"], outcome["result"]) == ("not possible", None)
            continue
        summary = json.loads((harness.folder / outcome["result"] / "summary.json").read_text())
        assert (summary["name"], summary["verdict"]) == (name, outcome["verdict"])
        assert summary["counts"]["requests"] == outcome["figures"]["requests"]
        assert summary["cpu_us_per_request"] == outcome["figures"]["cpu_us_per_request"]
        assert summary["witnesses"]["agree"] is True


def test_a_scenario_that_fails_does_not_stop_the_others(harness: Command) -> None:
    """Its reason is listed, the status is 1, and no process of it is left."""
    _write(harness, "s/good.yaml", f"strategy: dnat-random\nreplicas: 2\n{_LOAD}")
    command = "application: {command: [sleep, '9'], start_timeout: 300ms}\n"
    _write(harness, "s/bad.yaml", f"strategy: dnat-random\nreplicas: 2\n{command}{_LOAD}")
    finished = harness("suite", "s")
    assert finished.returncode == 1
    told = " ".join(finished.stdout.split())
    assert "failed bad: " in told
    assert "never listened on port 8080 within 0.3 s" in told
    assert finished.stdout.splitlines()[-1] == ("s: did not pass (2 scenarios: 1 as expected, 1 failed)")
    (folder,) = (harness.folder / "results").iterdir()
    assert folder.name.startswith("good-")


def test_suite_with_a_mistake_runs_nothing(harness: Command) -> None:
    """All mistakes are told, with exit status 2, before the first host is made."""
    _write(harness, "s/good.yaml", f"strategy: dnat-random\nreplicas: 2\n{_LOAD}")
    _write(harness, "s/bad.yaml", "strategy: dnat-rnd\nreplicas: 0\n")
    finished = harness("suite", "s")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr.count("s/bad.yaml:") == 2
    assert "Traceback" not in finished.stderr
    assert not (harness.folder / "results").exists()


def test_quiet_prints_the_last_line_only(harness: Command) -> None:
    """One line on standard output, none on standard error."""
    name = _write(harness, "a.yaml", f"strategy: dnat-random\nreplicas: 2\n{_LOAD}")
    finished = harness("suite", name, "--quiet")
    assert (finished.stdout, finished.stderr) == ("a: passed (1 scenario: 1 as expected)\n", "")


def test_suite_without_evidence_has_its_own_exit_status(harness: Command) -> None:
    """Not wrong, but not passed either."""
    name = _write(harness, "a.yaml", f"strategy: dnat-random\nreplicas: 2\n{_LOAD}confidence: 99.9%\n")
    finished = harness("suite", name, "--json", "--set", "load.requests=20")
    assert finished.returncode == 3
    (scenario,) = _document(finished)["scenarios"]
    assert scenario["outcomes"][0]["figures"]["requests"] == 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_was_measured_and_begins_nothing_more(
    harness: Command, number: signal.Signals
) -> None:
    """The run under way ends early, the table has what is there, and the status is 130."""
    for name in "abc":
        _write(harness, f"s/{name}.yaml", f"strategy: dnat-random\nreplicas: 2\n{_LOAD}")
    process = harness.start("suite", "s", "--set", "load.duration=60s")
    assert process.stderr is not None
    while "load: " not in (line := process.stderr.readline()):
        assert line, "ended before any load"
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "(cut short)" in stdout
    assert "s: interrupted (3 scenarios: 1 inconclusive, 2 not run)" in stdout
    assert "[2/3]" not in stderr
    assert len(list((harness.folder / "results").iterdir())) == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_end_before_anything_was_measured_still_has_a_table(
    harness: Command, number: signal.Signals, status: int
) -> None:
    """The status is that of a run that ends so, and nothing of it is left."""
    for name in "ab":
        _write(harness, f"s/{name}.yaml", f"strategy: dnat-random\nreplicas: 2\n{_LOAD}")
    process = harness.start("suite", "s", "--set", "load.warm_up=60s", "--set", "load.duration=60s")
    assert process.stderr is not None
    while "warm-up: " not in (line := process.stderr.readline()):
        assert line, "ended before the warm-up"
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=30)
    assert process.returncode == status
    assert stdout.splitlines()[-1] == "s: interrupted (2 scenarios: 2 not run)"
    assert list((harness.folder / "results").iterdir()) == []


def test_every_scenario_here_passes_for_an_ordinary_user(
    harness: Command, public_tmp_path: Path, ordinary_user: tuple[str, ...]
) -> None:
    """Every strategy has run, but for what this kernel lacks, and all counters agree exactly.

    The load ends with the verdict, and the tolerance is wider than the scenarios', so that it comes soon.
    Where other tests take the processors, steering by processor may follow them and stay undecided.
    """
    public_tmp_path.chmod(0o777)
    harness.environment |= {"HOME": "/nonexistent"}
    shorter = ("--set", "load.until=verdict", "--set", "tolerance=20%")
    finished = harness(
        "suite", str(_ROOT / "scenarios"), "--json", *shorter, user=ordinary_user, patience_s=900
    )
    document = _document(finished)
    outcomes = {scenario["name"]: scenario["outcomes"][0] for scenario in document["scenarios"]}
    missed = {name: one for name, one in outcomes.items() if one["passed"] is False}
    steered = missed.pop("so-reuseport-cpu-10", None)
    assert missed == {}
    if steered is None:
        assert (finished.returncode, document["passed"]) == (0, True)
    else:
        assert (steered["verdict"], finished.returncode) == ("inconclusive", 3)
    able = {name for name in strategy_names() if find_strategy(name).runs_on("process")}
    assert {scenario["strategy"] for scenario in document["scenarios"]} == able
    for name, outcome in outcomes.items():
        if outcome["verdict"] == "skipped":
            assert "kernel lacks" in outcome["reason"], name
        elif outcome["verdict"] != "refused":
            assert outcome["figures"]["witnesses_agree"] is not False, name
            assert outcome["figures"]["errors"] == {}, name


def test_published_experiment_is_inconclusive_when_repeated(harness: Command) -> None:
    """300 requests over two instances: exactly so many are made, and they do not suffice."""
    finished = harness("suite", str(_ROOT / "scenarios/suites/article.yaml"), "--json")
    assert finished.returncode == 0
    scenarios = _document(finished)["scenarios"]
    assert [scenario["name"] for scenario in scenarios] == ["dnat-random-2", "so-reuseport-sandbox-2"]
    for scenario in scenarios:
        (outcome,) = scenario["outcomes"]
        assert (outcome["verdict"], outcome["figures"]["requests"]) == ("inconclusive", 300)
        assert outcome["figures"]["witnesses_agree"] is True


def test_a_refusal_that_is_expected_is_a_line_and_status_0(harness: Command) -> None:
    """Nothing is stored, since nothing was measured; with --json, the line is an object."""
    name = _write(harness, "p.yaml", f"strategy: publish\nreplicas: 2\nexpect: refused\n{_LOAD}")
    finished = harness("run", name)
    assert finished.returncode == 0
    assert finished.stdout.startswith("p: refused, as expected: instance-2: ")
    assert "port is already allocated" in finished.stdout
    assert finished.stdout.count("\n") == 1
    finished = harness("run", name, "--json", "--set", "repeat=2")
    (refusal, again) = map(json.loads, finished.stdout.splitlines())
    assert refusal == again
    assert "port is already allocated" in refusal.pop("reason")
    expected = {"schema": 1, "name": "p", "strategy": "publish", "verdict": "refused", "expect": "refused"}
    assert refusal == expected | {"passed": True}
    assert list((harness.folder / "results").iterdir()) == []


def test_a_refusal_that_is_not_expected_is_an_error(harness: Command) -> None:
    """As is any other thing that the host can't do."""
    name = _write(harness, "p.yaml", f"strategy: publish\nreplicas: 2\n{_LOAD}")
    finished = harness("run", name)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "port is already allocated" in finished.stderr


def test_suite_fails_without_an_expected_refusal(harness: Command) -> None:
    """The run is measured and judged as ever."""
    name = _write(harness, "p.yaml", f"strategy: publish\nreplicas: 1\nexpect: refused\n{_LOAD}")
    finished = harness("run", name)
    assert finished.returncode == 1
    assert "refused: not as expected" in finished.stdout


def test_a_bound_that_time_forestalls_is_told(harness: Command) -> None:
    """Whoever asks for a number of requests learns that it was not reached."""
    name = _write(harness, "a.yaml", f"strategy: dnat-random\nreplicas: 2\n{_LOAD}")
    finished = harness("run", name, "--json", "--set", "load.requests=1000000000")
    (warning,) = json.loads(finished.stdout)["warnings"]
    assert warning.startswith("only ")
    assert warning.endswith("of 1,000,000,000 requests began within load.duration (1 s); lengthen it")


_COUNT = """
import json, os, sys
from pathlib import Path
from harness import cli
from harness.suite import running

def look(tidy, **options):
    tidy(**options)  # now a run is over, and the next has made nothing yet
    status = Path("/proc/self/status").read_text()
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    seen.append([len(os.listdir("/proc/self/fd")), len(children), int(status.split("VmRSS:")[1].split()[0])])

seen, tidy = [], running._tidy
running._tidy = lambda **options: look(tidy, **options)
sys.argv = ["harness", "suite", "a.yaml", "--repeat", "12", "--set", "load.duration=200ms", "--quiet"]
status = cli.main()
print(json.dumps(seen))
"""


def test_the_command_does_not_grow_from_run_to_run(harness: Command) -> None:
    """After each run, it holds no more files and processes than after the first, and hardly more memory."""
    _write(harness, "a.yaml", f"strategy: dnat-random\nreplicas: 2\n{_LOAD}")
    finished = subprocess.run(
        [sys.executable, "-c", _COUNT],
        capture_output=True,
        text=True,
        check=True,
        cwd=harness.folder,
        env=harness.environment,
        timeout=120,
    )
    seen = json.loads(finished.stdout.splitlines()[-1])
    assert len(seen) == 12
    assert {files for files, _, _ in seen} == {seen[0][0]}
    assert {children for _, children, _ in seen} == {0}
    assert seen[-1][2] - seen[3][2] < 20_000  # kB
