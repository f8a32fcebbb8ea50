"""`pytest --harness` and the fixture `harness_run`, in pytest processes of their own with real runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.host

_LOAD = "load: {duration: 500ms, warm_up: 0s, users: 4}\ntolerance: 40%\n"
_EVEN = f"strategy: dnat-nth\nreplicas: 2\n{_LOAD}"
_UNEVEN = f"strategy: dnat-literal\nreplicas: 4\n{_LOAD}"
_TOO_FEW = "strategy: dnat-nth\nreplicas: 2\nload: {requests: 40, duration: 5s, warm_up: 0s, users: 2}\n"
_STRATEGY = """
from harness.errors import KernelLacksError
from harness.strategies.dnat import DnatRandom

class Lacking(DnatRandom):
    name = "lacking"

    def expose(self, host, endpoint, members):
        raise KernelLacksError("this kernel lacks the part that nobody has")
"""


@pytest.fixture
def scenarios(pytester: pytest.Pytester) -> Callable[..., Path]:
    """Give a way to write scenario files into the folder `scenarios`, each with its text."""

    def write(**texts: str) -> Path:
        folder = pytester.path / "scenarios"
        folder.mkdir(exist_ok=True)
        for name, text in texts.items():
            (folder / f"{name.replace('_', '-')}.yaml").write_text(text)
        return folder

    return write


def _pytest(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    # Errors where anything warns: other people's suites may be as strict.
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", "-ra", *arguments)


def _names(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    """Collect, and give the names of the tests."""
    told = _pytest(pytester, "--collect-only", "-q", *arguments)
    return [line for line in told.outlines if "::" in line]


def test_a_scenario_passes_where_its_verdict_is_the_expected_one(
    pytester: pytest.Pytester, scenarios: Callable[..., Path]
) -> None:
    """Even, uneven or refused; each with its result below pytest's own folder, told to JUnit as well."""
    refused = "strategy: publish\nreplicas: 2\nexpect: refused\n"
    scenarios(even=_EVEN, literal=f"{_UNEVEN}expect: uneven\n", refused=refused)
    pytester.makepyfile("def test_other(): raise AssertionError('nobody asked for this one')")
    told = _pytest(pytester, "--harness", "scenarios", "--junit-xml=report.xml", "-rP", "--basetemp=base")
    told.assert_outcomes(passed=3)
    told.stdout.fnmatch_lines(["scenarios/even.yaml .*", "scenarios/literal.yaml .*"])
    told.stdout.fnmatch_lines(["*verdict  *uneven: instance-*", "*uneven: as expected"])
    report = ET.fromstring((pytester.path / "report.xml").read_text())  # noqa: S314  our own
    properties = {each.attrib["name"]: each.attrib["value"] for each in report.iter("property")}
    assert properties["verdict"] == "uneven"  # that of the last that was measured
    results = pytester.path / "base" / "harness"
    assert Path(properties["result"]).parent == results
    assert sorted(folder.name.split("-")[0] for folder in results.iterdir()) == ["even", "literal"]
    assert (Path(properties["result"]) / "summary.json").exists()


def test_a_scenario_fails_with_its_table_where_the_verdict_is_another(
    pytester: pytest.Pytester, scenarios: Callable[..., Path]
) -> None:
    """What was measured, and why; where it was too little, how much more would do; no traceback."""
    scenarios(unexpected=_UNEVEN, too_few=_TOO_FEW)
    told = _pytest(pytester, "--harness", "scenarios", "--harness-results", "kept")
    told.assert_outcomes(failed=2)
    told.stdout.fnmatch_lines(
        [
            "too-few: inconclusive (40 connections over 2 instances, *); expected: even",
            "*instance-1 *20 *20 *50.00 %*",
            "*verdict * inconclusive: *",
            "*what would help: * more connections* longer load.duration; or a wider tolerance",
            "unexpected: uneven (*); expected: even",
            "*instance-4 *",
            "*verdict * uneven: instance-4*",
        ]
    )
    told.stdout.fnmatch_lines(["FAILED scenarios/unexpected.yaml::unexpected - unexpected: uneven (*"])
    told.stdout.no_fnmatch_line("*Traceback*")
    told.stdout.no_fnmatch_line("*pytest_plugin.py*")
    assert len(list((pytester.path / "kept").iterdir())) == 2


def test_a_scenario_fails_where_it_did_not_recover_as_required(
    pytester: pytest.Pytester, scenarios: Callable[..., Path]
) -> None:
    """A gate beside the verdict, which is the expected one here."""
    load = "load: {model: open, rate: 200/s, timeout: 200ms, duration: 2s, warm_up: 0s}\ntolerance: 60%\n"
    scenarios(
        dies=f"strategy: dnat-nth\nreplicas: 2\n{load}events: [{{at: 1s, kill: 1}}]\nrecovers: {{lost: 1%}}\n"
    )
    told = _pytest(pytester, "--harness", "scenarios", "--junit-xml=report.xml")
    told.assert_outcomes(failed=1)
    told.stdout.fnmatch_lines(
        ["dies: even (*, recovers: no); expected: even; recovers: no (* requests lost (*), more than 1 %)"]
    )
    report = ET.fromstring((pytester.path / "report.xml").read_text())  # noqa: S314  our own
    assert {each.attrib["value"] for each in report.iter("property")} >= {"even", "no"}


def test_plugin_reports_errors_in_their_own_words(
    pytester: pytest.Pytester, scenarios: Callable[..., Path]
) -> None:
    """An error fails without a traceback; what the kernel lacks, or a matrix need not have, is skipped."""
    pytester.makepyfile(lacking_strategy=_STRATEGY)
    info = pytester.mkdir("lacking-1.dist-info")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lacking\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[harness.strategies]\nlacking = lacking_strategy:Lacking\n")
    matrix = "matrix: {strategy: [direct, publish], replicas: [2]}\n"
    scenarios(
        broken="strategy: dnat-random\nreplicas: 1\napplication: {command: 'false'}\n",
        lacking="strategy: lacking\nreplicas: 1\n",
        not_there="strategy: publish\nreplicas: 2\n",
        some=matrix,
    )
    told = _pytest(pytester, "--harness", "scenarios")
    told.assert_outcomes(failed=2, skipped=3)
    told.stdout.fnmatch_lines(["instance-1 died (exit status 1)*application: false"])
    told.stdout.fnmatch_lines(["instance-2: bind for 0.0.0.0:80 failed: port is already allocated*"])
    told.stdout.fnmatch_lines(["SKIPPED *: lacking: this kernel lacks the part that nobody has"])
    told.stdout.fnmatch_lines(["SKIPPED *: direct-2 is not possible: *direct has 1 at most"])
    told.stdout.fnmatch_lines(["SKIPPED *: publish-2 is not possible: instance-2: bind *"])
    told.stdout.fnmatch_lines(["FAILED *broken.yaml::broken - instance-1 died*"])
    told.stdout.no_fnmatch_line("*Traceback*")


def test_scenarios_can_be_chosen_like_any_tests(
    pytester: pytest.Pytester, scenarios: Callable[..., Path]
) -> None:
    """By words, by marks with what the scenario says, and by names, those of one repetition too."""
    several = "scenarios: [../scenarios/a.yaml]\nmatrix: {strategy: [nft-hash], replicas: [2, 3]}\n"
    scenarios(
        a="strategy: dnat-random\nreplicas: 2\nrepeat: 3\n",
        b="strategy: {name: nginx, policy: hash}\nreplicas: 4\n",
        c="strategy: haproxy\nreplicas: 4\n",
    )
    (pytester.mkdir("suites") / "both.yaml").write_text(several)
    pytester.makepyfile(test_own="def test_own(): pass")
    a = [f"scenarios/a.yaml::a[{number}]" for number in (1, 2, 3)]
    b, c = "scenarios/b.yaml::b", "scenarios/c.yaml::c"
    given = ("--harness", "scenarios")
    assert _names(pytester, *given) == [*a, b, c]
    assert _names(pytester, *given, "-k", "dnat and random") == a
    assert _names(pytester, *given, "-k", "request or a[2]") == [a[1], c]
    assert _names(pytester, *given, "-m", "harness_scenario(strategy='nginx')") == [b]
    assert _names(pytester, *given, "-m", "harness_scenario(unit='source', replicas=4)") == [b]
    assert _names(pytester, *given, "--harness-set", "repeat=1", "-m", "harness")[0] == "scenarios/a.yaml::a"
    assert _names(pytester, *given, "test_own.py") == ["test_own.py::test_own", *a, b, c]
    assert _names(pytester, *given, "test_own.py", "-m", "not harness") == ["test_own.py::test_own"]
    assert _names(pytester, *given, a[1]) == [a[1]]
    assert _names(pytester) == ["test_own.py::test_own"]
    named = _names(
        pytester, "--harness", "suites/both.yaml", "--harness", "scenarios/c.yaml", "--strict-markers"
    )
    both = "suites/both.yaml::"
    assert named == [*(f"{both}a[{k}]" for k in (1, 2, 3)), f"{both}nft-hash-2", f"{both}nft-hash-3", c]


def test_a_wrong_file_is_a_collection_error_with_its_place(
    pytester: pytest.Pytester, scenarios: Callable[..., Path]
) -> None:
    """Every problem with file, line and column; no traceback, and nothing is run."""
    scenarios(right=_EVEN, wrong="strategy: dnat-randm\nreplicas: 0\n", torn="strategy: [")
    told = _pytest(pytester, "--harness", "scenarios")
    assert told.ret == pytest.ExitCode.INTERRUPTED
    told.assert_outcomes(errors=2)
    told.stdout.fnmatch_lines(["scenarios/torn.yaml:1:1*: *"])
    told.stdout.fnmatch_lines(["scenarios/wrong.yaml:1:11: unknown strategy 'dnat-randm', did you mean *"])
    told.stdout.fnmatch_lines(["scenarios/wrong.yaml:2:11: replicas: 0 is too few*"])
    told.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("path", "words"),
    [("nowhere", "no such file or folder"), ("empty", "no file of this folder ends in .yaml")],
)
def test_a_path_without_scenarios_is_wrong_use(pytester: pytest.Pytester, path: str, words: str) -> None:
    """To find no test is not to pass."""
    pytester.mkdir("empty")
    told = _pytest(pytester, "--harness", path)
    assert told.ret == pytest.ExitCode.USAGE_ERROR
    told.stderr.fnmatch_lines([f"ERROR: --harness {path}: *{words}"])


def test_the_fixture_gives_a_runs_summary(pytester: pytest.Pytester, scenarios: Callable[..., Path]) -> None:
    """With the file's keys replaced, from any folder; what goes wrong is an exception of the harness."""
    scenarios(even=_EVEN)
    pytester.makepyfile(
        test_own="""
        import pytest
        from harness.errors import ScenarioError
        from harness.summary.run import Summary

        def test_run(harness_run, monkeypatch, tmp_path):
            monkeypatch.chdir(tmp_path)
            summary = harness_run("scenarios/even.yaml", {"replicas": 3, "load.path": "/x", "name": "4"})
            assert isinstance(summary, Summary)
            assert (summary.verdict, summary.replicas, summary.name) == ("even", 3, "4")
            assert summary.counts.requests == 30
            assert summary.scenario["load"]["path"] == "/x"

        def test_wrong(harness_run):
            with pytest.raises(ScenarioError, match="even.yaml:2:"):
                harness_run("scenarios/even.yaml", {"tolerance": 0.1, "strategy": "direct"})

        def test_other():
            pass
        """
    )
    given = (
        "--harness-set",
        "load.requests=30",
        "--harness-set",
        "confidence=50%",
        "--harness-set",
        "tolerance=90%",
    )
    _pytest(pytester, *given).assert_outcomes(passed=3)
    _pytest(pytester, "-m", "not harness").assert_outcomes(passed=1, deselected=2)


def test_unused_plugin_imports_nothing(pytester: pytest.Pytester) -> None:
    """No part of the harness or its libraries is imported, no test is added, the options are explained."""
    pytester.makepyfile(
        """
        import sys

        def test_modules():
            heavy = {"click", "numpy", "pydantic", "pyroute2", "rich", "scipy"}
            ours = {name for name in sys.modules if name.partition(".")[0] == "harness"}
            assert ours == {"harness", "harness._version", "harness.pytest_plugin"}
            assert not heavy & set(sys.modules)
        """
    )
    told = _pytest(pytester, "-p", "no:locust", "-p", "no:hypothesispytest")
    told.assert_outcomes(passed=1)
    _pytest(pytester, "--help").stdout.fnmatch_lines(["*--harness=PATH*", "*--harness-set=KEY=VALUE*"])
    _pytest(pytester, "--markers").stdout.fnmatch_lines(["@pytest.mark.harness_scenario(strategy, unit, *"])


def _start(pytester: pytest.Pytester, mark: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=pytester.path,
        env=os.environ | {"SAMEPORT_TEST_RUN": mark},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no threads here
    )


def _living(mark: str) -> list[int]:
    """List the processes that carry the mark in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"SAMEPORT_TEST_RUN={mark}".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue  # it ended while it was looked at, or it is another user's
    return found


def test_ctrl_c_ends_it_and_leaves_nothing(pytester: pytest.Pytester, scenarios: Callable[..., Path]) -> None:
    """What was measured by then is kept, no other scenario begins, pytest says why it ended."""
    long = "strategy: dnat-random\nreplicas: 2\nload: {duration: 60s, warm_up: 0s, users: 2}\n"
    scenarios(first=long, second=long)
    mark = uuid.uuid4().hex
    with _start(pytester, mark, "-s", "--harness", "scenarios", "--harness-results", "kept") as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith("load: "):  # there are figures: it has measured something
                break
        running.send_signal(signal.SIGINT)
        stdout, stderr = running.communicate(timeout=30)
    assert running.returncode == pytest.ExitCode.INTERRUPTED, stderr
    assert "KeyboardInterrupt" in stdout
    (kept,) = (pytester.path / "kept").iterdir()
    assert json.loads((kept / "summary.json").read_text())["interrupted"] is True
    end_s = time.monotonic() + 5
    while _living(mark) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert _living(mark) == []


def test_workers_of_xdist_run_one_scenario_at_a_time(
    pytester: pytest.Pytester, scenarios: Callable[..., Path]
) -> None:
    """Two workers of one session wait for each other, although xdist gives runs to both."""
    scenarios(even=f"{_EVEN}repeat: 4\n")
    given = ("--harness", "scenarios", "--harness-results", "kept", "--basetemp=workers")
    _pytest(pytester, "-n2", "--dist=load", *given).assert_outcomes(passed=4)
    loads = []
    for file in pytester.path.glob("kept/*/summary.json"):
        summary = json.loads(file.read_text())
        began_s = datetime.fromisoformat(summary["started_at"]).timestamp()
        loads.append((began_s, began_s + summary["phases_s"]["load"]))
    loads.sort()
    assert len(loads) == 4
    assert all(ended <= began for (_, ended), (began, _) in pairwise(loads))


def test_xdist_is_told_that_all_runs_are_one_group(
    pytester: pytest.Pytester, scenarios: Callable[..., Path]
) -> None:
    """Where it is there, scenarios and tests with the fixture bear its mark; else nobody knows it."""
    scenarios(even=_EVEN)
    pytester.makepyfile(test_own="def test_own(harness_run): pass\ndef test_other(): pass\n")
    given = ("--harness", "scenarios", "test_own.py", "--strict-markers")
    names = ["test_own.py::test_own", "scenarios/even.yaml::even"]
    assert _names(pytester, *given, "-m", "xdist_group") == names
    assert _names(pytester, *given, "-p", "no:xdist", "-m", "harness") == names
