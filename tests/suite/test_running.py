from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.common.signals import Terminated
from harness.errors import EngineError, KernelLacksError, RefusedError
from harness.report.progress import Progress
from harness.runner.run import Outcome
from harness.suite import running
from harness.suite.file import read_suite
from harness.suite.running import SuiteRun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.scenario import Scenario
    from harness.summary.suite import SuiteSummary
    from tests.report.conftest import Measure
    from tests.suite.conftest import Files

EVEN, UNEVEN, FEW = [5000, 5000], [9000, 5000], [5, 5]
ABC = ("a", "b", "c")


class Bench:
    """Suites of made-up runs: what each comes to, by scenario and repeat, is the test's to say."""

    def __init__(self, files: Files, measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files = files
        self.measure = measure
        self.ran: list[str] = []
        self.said = io.StringIO()
        self.plan: Mapping[str, list[Any]] = {}
        monkeypatch.setattr(running, "run", self._run)

    def _run(
        self, scenario: Scenario, results: Path, progress: Progress, repeat_index: int, *, keep: bool
    ) -> Outcome:
        assert keep, "runs of a suite share a virtual machine"
        progress.phase("load")
        self.ran.append(scenario.name)
        what = self.plan.get(scenario.name, [EVEN])
        what = what[repeat_index % len(what)]
        if isinstance(what, BaseException):
            raise what
        cut_short = isinstance(what, SimpleNamespace)
        _, summary = self.measure(
            what.counts if cut_short else what, name=scenario.name, expect=scenario.expect
        )
        phases = summary.phases_s.model_copy(update={"load": 0.0, "warm_up": 0.0})
        summary = summary.model_copy(update={"phases_s": phases})
        return Outcome(summary, results / scenario.name, cut_short)

    def start(self, plan: Mapping[str, list[Any]], text: str = "", **options: Any) -> SuiteRun:
        """Give a suite of these scenarios, or of this text."""
        self.plan = plan
        if text:
            paths = [self.files.write("suite.yaml", text)]
        else:
            body = "strategy: dnat-random\nreplicas: 2\n"
            paths = [self.files.write(f"s/{name}.yaml", body) for name in ABC]
        progress = Progress(file=self.said)
        return SuiteRun(read_suite(paths, **options), Path("results"), progress)

    def run(self, plan: Mapping[str, list[Any]], text: str = "", **options: Any) -> tuple[SuiteSummary, int]:
        """Run it; give summary and exit status."""
        suite = self.start(plan, text, **options)
        summary = suite.run()
        return summary, suite.exit_status(summary)


@pytest.fixture
def bench(files: Files, measure: Measure, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Give a bench without real runs."""
    return Bench(files, measure, monkeypatch)


def verdicts(summary: SuiteSummary) -> dict[str, list[str]]:
    return {
        scenario.name: [outcome.verdict for outcome in scenario.outcomes] for scenario in summary.scenarios
    }


def test_runs_go_in_rounds_of_a_shuffled_order(bench: Bench) -> None:
    """They go as the document says, and each scenario has its runs in the order given."""
    summary, status = bench.run({}, repeat=4, seed=3)
    assert bench.ran == [name for names in summary.order for name in names]
    assert all(sorted(names) == list(ABC) for names in summary.order)
    assert len(set(summary.order)) > 1
    assert [scenario.name for scenario in summary.scenarios] == list(ABC)
    assert [outcome.round for outcome in summary.scenarios[0].outcomes] == [1, 2, 3, 4]
    assert (status, summary.passed, summary.repeat, summary.seed) == (0, True, 4, 3)


@pytest.mark.parametrize(
    ("plan", "status", "passed"),
    [
        ({}, 0, True),
        ({"a": [UNEVEN]}, 1, False),
        ({"a": [FEW]}, 3, False),
        ({"a": [FEW], "b": [UNEVEN]}, 1, False),
        ({"a": [EngineError("died")]}, 1, False),
        ({"a": [EngineError("died")], "b": [FEW]}, 1, False),
        ({"a": [RefusedError("no")]}, 1, False),
        ({"a": [KernelLacksError("no module")]}, 0, True),
        ({"a": [KernelLacksError("no module")], "b": [FEW]}, 3, False),
        ({"a": [ZeroDivisionError("slip")]}, 1, False),
    ],
)
def test_the_exit_status_is_that_of_the_worst(
    bench: Bench, plan: dict[str, list[Any]], status: int, passed: bool
) -> None:
    """A run that fails or is not as expected is worse than one that can't tell; a skipped one is neither."""
    summary, found = bench.run(plan)
    assert (found, summary.passed) == (status, passed)
    assert sorted(bench.ran) == list(ABC)


def test_a_failure_does_not_stop_the_others(bench: Bench) -> None:
    """It is kept with its reason, and tried again in the next round."""
    summary, _ = bench.run({"b": [EngineError("instance-1 died"), EVEN]}, repeat=2)
    assert verdicts(summary) == {"a": ["even"] * 2, "b": ["failed", "even"], "c": ["even"] * 2}
    failed = summary.scenarios[1].outcomes[0]
    assert (failed.reason, failed.passed, failed.result) == ("instance-1 died", False, None)


def test_a_defect_of_the_harness_does_not_stop_the_others_either(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour of runs isn't lost to it, unless somebody looks for it."""
    summary, _ = bench.run({"b": [ZeroDivisionError("slip")]})
    assert (
        summary.scenarios[1]
        .outcomes[0]
        .reason.startswith("a defect of the harness, not of yours: ZeroDivisionError: slip")
    )
    monkeypatch.setenv("HARNESS_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        bench.run({"b": [ZeroDivisionError("slip")]})


def test_scenario_beyond_the_kernel_is_not_tried_again(bench: Bench) -> None:
    """It would lack it in the next round, too."""
    summary, _ = bench.run({"b": [KernelLacksError("no ip_vs")]}, repeat=3)
    assert verdicts(summary)["b"] == ["skipped"]
    assert (bench.ran.count("b"), len(bench.ran)) == (1, 7)
    assert summary.scenarios[1].outcomes[0].passed is None
    assert "[7/7]" in bench.said.getvalue()


def test_a_refusal_is_as_expected_not_possible_or_a_failure(bench: Bench) -> None:
    """As the scenario expects it, as it comes from a matrix, or as neither does."""
    text = """
matrix: {strategy: [dnat-random], replicas: [1, 2]}
adjust: [{where: {replicas: 2}, set: {expect: refused}}]
"""
    no = RefusedError("port is already allocated")
    summary, status = bench.run({"dnat-random-1": [no], "dnat-random-2": [no]}, text, repeat=2)
    assert verdicts(summary) == {"dnat-random-1": ["not possible"], "dnat-random-2": ["refused"] * 2}
    assert (status, summary.passed) == (0, True)
    assert [one.outcomes[0].passed for one in summary.scenarios] == [None, True]
    summary, status = bench.run({"a": [no]})
    assert verdicts(summary)["a"] == ["failed"]


def test_scenario_without_the_expected_refusal_does_not_pass(bench: Bench) -> None:
    """Not even with too little evidence for anything else."""
    text = "matrix: {strategy: [dnat-random], replicas: [2]}\ndefaults: {expect: refused}\n"
    for counts in (EVEN, FEW):
        summary, status = bench.run({"dnat-random-2": [counts]}, text)
        assert (status, summary.passed) == (1, False)


def test_combinations_that_are_not_possible_are_in_the_document(bench: Bench) -> None:
    """With their reason, in their place, without having run."""
    summary, status = bench.run({}, "matrix: {strategy: [direct], replicas: [2, 1]}\n")
    assert verdicts(summary) == {"direct-2": ["not possible"], "direct-1": ["even"]}
    assert (summary.scenarios[0].outcomes[0].round, summary.order, status) == (None, (("direct-1",),), 0)


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (Terminated(), 143)])
def test_an_end_before_anything_was_measured_leaves_what_is_there(
    bench: Bench, error: BaseException, status: int
) -> None:
    """No further run begins, and the exit status is that of a run."""
    suite = bench.start({"b": [error]})
    summary = suite.run()
    begun = bench.ran.index("b") + 1
    assert len(bench.ran) == begun
    assert sum(len(scenario.outcomes) for scenario in summary.scenarios) == begun - 1
    assert (suite.exit_status(summary), summary.interrupted, summary.passed) == (status, True, False)


def test_a_run_that_was_cut_short_is_kept_and_the_last(bench: Bench) -> None:
    """What it measured counts for as much as it is."""
    first = bench.start({}).run().order[0][0]
    bench.ran.clear()
    summary, status = bench.run({first: [SimpleNamespace(counts=EVEN)]})
    assert (bench.ran, status, summary.interrupted, summary.passed) == ([first], 130, True, False)
    (outcome,) = next(scenario.outcomes for scenario in summary.scenarios if scenario.name == first)
    assert (outcome.interrupted, outcome.verdict, outcome.result) == (True, "even", f"results/{first}")


def test_progress_says_which_run_of_how_many_in_which_round(bench: Bench) -> None:
    """And about how long all the others take."""
    bench.run({}, repeat=2)
    headings = re.findall(r"^\[.*$", bench.said.getvalue(), re.MULTILINE)
    assert [heading.split()[0] for heading in headings] == [f"[{number}/6]" for number in range(1, 7)]
    assert ["round 1 of 2" in heading for heading in headings] == [True] * 3 + [False] * 3
    assert headings[0].endswith("about 85 s left)")
    assert headings[-1].endswith("about 5 s left)")  # as it took before: no time at all


def test_progress_of_one_round_has_no_round_number(bench: Bench) -> None:
    """Without repeats there is nothing to say of rounds."""
    bench.run({})
    assert "round" not in bench.said.getvalue()
    assert re.search(r"^b: even, 0\.\d s$", bench.said.getvalue(), re.MULTILINE)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "5 s"), (42, "40 s"), (89, "90 s"), (90, "2 min"), (3600, "60 min"), (5400, "1.5 h")],
)
def test_an_estimate_is_no_more_exact_than_it_can_be(seconds: float, words: str) -> None:
    """Five seconds, minutes, tenths of hours."""
    assert running._for_people(seconds) == words
