"""The answer in README.md: what it says of the reference results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ResultError
from tests.report.conftest import measure
from tests.report.test_events import event
from tools.figures import answer, drawn, failover, put_in, read_runs

if TYPE_CHECKING:
    from harness.summary.run import Summary
    from tests.report.conftest import Measure

__all__ = ["measure"]

_README = Path(__file__).parents[2] / "README.md"
_MACHINE = {"virtual": True, "cores": 2, "cpu": "Abacus 9", "kernel": "6.18.44-made-up"}


@pytest.fixture
def runs(measure: Measure) -> list[Summary]:
    """Give two runs each of two strategies, and one of another column."""

    def run(strategy: str, verdict: str, replicas: int = 10, connections: str = "per-request") -> Summary:
        _, summary = measure([1_000] * 10)
        said: dict[str, Any] = {"load": {"connections": connections}}
        change = {"strategy": strategy, "verdict": verdict, "replicas": replicas, "scenario": said}
        return summary.model_copy(update=change)

    return [
        run("good", "even"),
        run("good", "even"),
        run("bad", "uneven"),
        run("bad", "inconclusive"),
        run("two", "even", replicas=2),
        run("kept", "even", connections="keep-alive"),
    ]


def test_runs_of_one_column_are_compared(runs: list[Summary]) -> None:
    """Costs under another load, or of other replicas, are not those of the strategy alone."""
    assert [one.strategy for one in drawn(runs)] == ["good", "good", "bad", "bad"]
    with pytest.raises(ResultError, match="no run has 10 replicas"):
        drawn(runs[-2:])


def test_the_answer_counts_the_even_and_names_the_others(runs: list[Summary]) -> None:
    """With all that their runs came to, and what they were measured on."""
    said = " ".join(answer(runs, _MACHINE).split())
    assert "1 of 2 strategies are even within 10 % in every run; `bad` is inconclusive or uneven." in said
    assert "a virtual machine with 2 cores (Abacus 9), kernel 6.18.44;" in said


def test_strategies_that_fare_alike_share_a_row(measure: Measure) -> None:
    """What is lost, and whether that ends, decides; other scenarios of the suite are left out."""

    def run(name: str, **change: Any) -> Summary:
        return measure([1_000] * 4)[1].model_copy(update={"name": name, "events": (event(**change),)})

    table = failover(
        [
            run("kill-one-follows", lost=2),
            run("kill-one-checks", lost=500),
            run("kill-one-rules", lost=625, recovery=None),
            run("blue-green-rules"),
        ]
    )
    rows = [line for line in table.splitlines() if line.startswith("| ") and "`" in line]
    assert [re.findall("`(.*?)`", row) for row in rows] == [["follows"], ["checks"], ["rules"]]
    assert "20 to 20 %" in rows[1]
    assert "0.1 s" in rows[1]
    assert "25 to 25 % | not" in rows[2]
    assert "blue-green" not in table
    with pytest.raises(ResultError, match="kill-one-"):
        failover([run("blue-green-rules")])


def test_several_runs_of_a_strategy_are_told_together(measure: Measure) -> None:
    """The worst of them says where it stands; a recovery that one of them did not show is told."""

    def run(name: str, **change: Any) -> Summary:
        return measure([1_000] * 4)[1].model_copy(update={"name": name, "events": (event(**change),)})

    table = failover(
        [
            run("kill-one-follows", lost=2),
            run("kill-one-follows", lost=0, recovery=None),
            run("kill-one-checks", lost=0),
            run("kill-one-checks", lost=500),
        ]
    )
    rows = [line for line in table.splitlines() if line.startswith("| ") and "`" in line]
    assert [re.findall("`(.*?)`", row) for row in rows] == [["follows"], ["checks"]]
    assert "(2 runs each" in table
    assert "| 0 to 0.08 % | 0.1 s (not shown in 1 of 2 runs) |" in rows[0]
    assert "| 0 to 20 % | 0.1 s |" in rows[1]


def test_the_answer_stands_between_its_marks() -> None:
    """Whatever stood there before is replaced; what is around stays."""
    before = _README.read_text("utf-8")
    after = put_in(before, "the answer\n")
    assert "the answer\n<!-- end of answer -->" in after
    assert put_in(after, "another\n") == put_in(before, "another\n")
    assert after.partition("<!-- answer")[0] == before.partition("<!-- answer")[0]
    with pytest.raises(ResultError, match="marks"):
        put_in("no marks", "text")


def test_runs_are_read_from_lines(runs: list[Summary], tmp_path: Path) -> None:
    """As the reference results keep them."""
    lines = [json.dumps(json.loads(one.to_json())) + "\n" for one in runs]
    (tmp_path / "runs.jsonl").write_text("".join(lines))
    assert read_runs(tmp_path / "runs.jsonl") == runs
