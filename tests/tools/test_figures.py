"""The answer in README.md: what it says of the reference results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ResultError
from harness.summary.run import CpuTime
from tests.report.conftest import measure
from tests.report.test_events import event
from tools.figures import answer, drawn, failover, put_in, read_runs, reference_page, texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.summary.run import Summary
    from tests.report.conftest import Measure

    Real = Callable[..., Summary]

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


def _cells(text: str, name: str) -> list[str]:
    """Give the cells of the row of the decision table that has a strategy."""
    (row,) = (line for line in text.splitlines() if line.startswith("| ") and f"`{name}`" in line)
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.fixture
def real(measure: Measure) -> Real:
    """Make a run of a strategy that exists, so that its class says what it needs."""

    def run(strategy: str, verdict: str = "even", cpu_us: float = 100, replicas: int = 10) -> Summary:
        _, summary = measure([1_000] * (replicas - 1) + [1_030])
        said: dict[str, Any] = {"load": {"connections": "per-request"}}
        cpu = CpuTime(instances=cpu_us - 1, generator=1)
        change = {"strategy": strategy, "verdict": verdict, "scenario": said, "cpu_us_per_request": cpu}
        return summary.model_copy(update=change)

    return run


def test_the_answer_gives_strategies_that_are_alike_one_row(real: Real, measure: Measure) -> None:
    """Ranges span the strategies, of medians of runs; what classes say of themselves is in the row."""
    events = {
        "dnat-random": event(lost=625, recovery=None),
        "dnat-nth": event(lost=600, recovery=None),
        "haproxy": event(lost=500),
        "haproxy-tuned": event(lost=5),
    }
    killed = [
        measure([1_000] * 4)[1].model_copy(update={"name": f"kill-one-{name}", "events": (one,)})
        for name, one in events.items()
    ]
    summaries = [
        real("direct", replicas=1),
        real("haproxy", cpu_us=70),
        real("dnat-random", cpu_us=80),
        real("dnat-random", cpu_us=90),
        real("dnat-random", cpu_us=200),
        real("dnat-nth", cpu_us=60),
        real("so-reuseport-host", verdict="uneven", cpu_us=50),
    ]
    text = answer(summaries, killed, _MACHINE)
    how, strategies, verdict, cpu, _, lost, source, needs = _cells(text, "dnat-random")
    assert (how, strategies) == ("iptables", "`dnat-nth`, `dnat-random`")
    assert verdict == "even, 2.7 %"
    assert cpu == "60 to 90 µs"
    assert lost == "24 to 25 %; no recovery"
    assert (source, needs) == ("kept", "root")
    assert _cells(text, "haproxy")[5:] == ["20 %; recovery in 0.1 s", "hidden", "nothing"]
    assert _cells(text, "so-reuseport-host")[2].startswith("uneven, ")
    assert _cells(text, "so-reuseport-host")[5:] == ["not measured", "kept", "a changed application"]
    assert _cells(text, "direct")[2] == "(one instance)"
    explained = " ".join(text.split())
    assert "`haproxy-tuned` loses 0.2 %." in explained
    assert "a virtual machine with 2 cores (Abacus 9), kernel 6.18.44." in explained


def test_the_page_gives_each_strategy_a_row(real: Real, measure: Measure) -> None:
    """Alike or not."""
    killed = [
        measure([1_000] * 4)[1].model_copy(update={"name": "kill-one-dnat-nth", "events": (event(lost=0),)})
    ]
    page = reference_page([real("dnat-random", cpu_us=80), real("dnat-nth", cpu_us=60)], killed, _MACHINE)
    assert _cells(page.partition("## What")[0], "dnat-random")[1:4:2] == ["`dnat-random`", "80 µs"]
    assert _cells(page.partition("## What")[0], "dnat-nth")[1:4:2] == ["`dnat-nth`", "60 µs"]


def test_readme_and_page_are_fresh() -> None:
    """`make figures` writes them from the results that are stored."""
    answered, page = texts()
    readme = _README.read_text("utf-8")
    assert put_in(readme, answered) == readme
    assert (_README.parent / "docs" / "reference.md").read_text("utf-8") == page


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
    assert "| 20 % |" in rows[1]
    assert "0.1 s" in rows[1]
    assert "| 25 % | not |" in rows[2]
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
    assert "(2 runs each)" in table
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
