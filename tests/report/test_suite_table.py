from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from harness.report.suite import closing_line, render_suite
from harness.summary.run import CpuTime, LatencySummary
from harness.summary.suite import Figures, RunOutcome, ScenarioOutcomes, SuiteSummary, among_all
from harness.summary.tests import ChiSquareTest

if TYPE_CHECKING:
    from collections.abc import Sequence

LONG = "so-reuseport-sandbox-100-per-request"


def figures(
    p50_ms: float = 1.5, statistic: float = 1.0, deviation: float | None = 0.01, per_s: float = 5000.0
) -> Figures:
    """Make up what a run of two instances measured."""
    return Figures(
        chi_square=ChiSquareTest(statistic=statistic, dof=1, p_value=0.5),
        p_outside=1.0,
        alpha=0.05,
        worst_deviation=deviation,
        latency_ns=LatencySummary(
            p50=round(p50_ms * 1e6), p90=2_000_000, p99=round(p50_ms * 4e6), p99_9=7_000_000, max=None
        ),
        throughput_per_s=per_s,
        cpu_us_per_request=CpuTime(kernel=71.5, instances=133.0, generator=104.0),
        requests=1000,
        errors={},
        witnesses_agree=True,
        warnings=(),
    )


def outcome(verdict: Any = "even", status: Any = 0, **more: Any) -> RunOutcome:
    """Make up what one run came to."""
    known: dict[str, Any] = {
        "reason": "so it is",
        "passed": not status,
        "round": 1,
        "seconds": 1.0,
        "figures": figures(),
    }
    if verdict in {"failed", "skipped", "not possible", "refused"}:
        known["figures"] = None
    return RunOutcome(verdict=verdict, status=status, **(known | more))


def scenario(name: str, *outcomes: RunOutcome, **more: Any) -> ScenarioOutcomes:
    """Make up a scenario with these runs."""
    known: dict[str, Any] = {
        "strategy": "dnat-random",
        "expect": "even",
        "replicas": 2,
        "unit": "connection",
        "repeat": 1,
    }
    return ScenarioOutcomes(name=name, outcomes=outcomes, **(known | more))


def suite(
    scenarios: Sequence[ScenarioOutcomes], *, interrupted: bool = False, repeat: int = 1
) -> SuiteSummary:
    """Make up a suite."""
    return SuiteSummary(
        name="made-up",
        seed=0,
        repeat=repeat,
        order=(),
        scenarios=among_all(tuple(scenarios)),
        interrupted=interrupted,
        passed=not interrupted and not any(one.status for each in scenarios for one in each.outcomes),
    )


def rendered(summary: SuiteSummary, width: int = 120, encoding: str = "utf-8") -> str:
    """Give what is printed to a file of that encoding."""
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding) as file:
        render_suite(summary, Console(file=file, width=width))
        file.flush()
        return raw.getvalue().decode(encoding)


def test_suite_table_row_has_all_compared_figures() -> None:
    """Scenario, strategy, verdict, p, worst deviation, latency, throughput and four costs, in one line."""
    (row,) = [line for line in rendered(suite([scenario("a-2", outcome())])).splitlines() if "a-2" in line]
    assert " ".join(row.split()) == "a-2 dnat-random even 0.32 +1.0 % 1.5 6 5,000 - 71.5 133 104"


def test_rows_are_in_the_order_given() -> None:
    """Not in that in which they ran, nor sorted."""
    text = rendered(suite([scenario(name, outcome()) for name in ("c-1", "a-1", "b-1")]))
    assert text.index("c-1") < text.index("a-1") < text.index("b-1")


def test_several_runs_are_one_row_with_median_and_range() -> None:
    """Verdicts are counted, the worst deviation has its sign, p is of all runs together."""
    runs = [
        outcome(figures=figures(1.0, 2.0, 0.02, 5000.0)),
        outcome(figures=figures(1.234, 3.0, -0.05, 6000.0), round=2),
        outcome("inconclusive", 3, figures=figures(9.87, 4.0, 0.01, 12345.0), round=3, reason="too few"),
    ]
    lines = rendered(suite([scenario("a-2", *runs)], repeat=3), width=200).splitlines()
    row = next(index for index, line in enumerate(lines) if line.startswith("a-2"))
    assert "even ×2, inconclusive" in lines[row]  # noqa: RUF001  the sign itself
    # Chi-square values of 2, 3 and 4 with one degree of freedom each: 9 with three, p = 0.0293.
    assert " ".join(lines[row].split()).endswith(" 0.029 -5.0 % 1.23 4.94 6,000 - 71.5 133 104")
    assert lines[row + 1].split()[:3] == ["1-9.9", "4-39", "5,000-12,000"]
    told = " ".join(" ".join(lines[row + 2 :]).split())
    assert "inconclusive a-2 (round 3): inconclusive where even is expected: too few" in told


def test_p_values_of_several_runs_are_not_pooled_wrongly() -> None:
    """Twenty runs that are as even as chance has it are no evidence, whatever the least of their p-values."""
    statistics = [0.001, 0.004, 0.016, 0.036, 0.064, 0.1, 0.15, 0.2, 0.27, 0.35, 0.45, 0.57, 0.7, 0.87, 1.1,
                  1.3, 1.6, 2.1, 2.7, 4.2]  # fmt: skip
    runs = [outcome(figures=figures(statistic=one), round=1 + i) for i, one in enumerate(statistics)]
    lines = rendered(suite([scenario("a-2", *runs)], repeat=20)).splitlines()
    p_value = next(line for line in lines if line.startswith("a-2")).split()[4]
    assert 0.3 < float(p_value) < 0.9


def test_suite_table_lists_missing_scenarios_with_reasons() -> None:
    """Failures have a row and a reason; what was skipped, or is not possible, only a reason, told once."""
    same = "port is already allocated"
    text = rendered(
        suite(
            [
                scenario("a-2", outcome("failed", 1, reason="instance-1 died")),
                scenario("b-2", outcome("skipped", passed=None, reason="no module ip_vs")),
                scenario("c-2", outcome("not possible", passed=None, reason=same), expect=None, repeat=0),
                scenario("c-3", outcome("not possible", passed=None, reason=same), expect=None, repeat=0),
                scenario("d-2", outcome("uneven", 1, reason="instance-2 is outside")),
                scenario("e-2", outcome("refused"), expect="refused"),
                scenario("f-2"),
            ],
            interrupted=True,
        )
    )
    table, told = text.split("cpu: ")
    assert [line.split()[0] for line in table.splitlines() if "dnat-random" in line] == ["a-2", "d-2", "e-2"]
    flat = " ".join(told.split())
    for words in (
        "failed a-2: instance-1 died",
        "skipped b-2: no module ip_vs",
        f"not possible c-2, c-3: {same}",
        "not as expected d-2: uneven where even is expected: instance-2 is outside",
        "not run f-2",
    ):
        assert words in flat
    assert text.splitlines()[-1] == (
        "made-up: interrupted (7 scenarios: 1 as expected, 1 not as expected, 1 failed, 1 skipped, "
        "2 not possible, 1 not run)"
    )


def test_the_last_line_says_how_it_went() -> None:
    """Passed only if nothing speaks against it."""
    assert closing_line(suite([scenario("a", outcome())])) == "made-up: passed (1 scenario: 1 as expected)"
    assert closing_line(suite([scenario("a", outcome("inconclusive", 3))])) == (
        "made-up: did not pass (1 scenario: 1 inconclusive)"
    )


@pytest.mark.parametrize("width", [40, 80, 100, 120, 200])
@pytest.mark.parametrize("repeat", [1, 3])
def test_suite_table_fits_any_terminal(width: int, repeat: int) -> None:
    """No line is wider, and no figure is lost: where one table has no room, two have."""
    runs = [outcome("uneven", 1, round=1 + index) for index in range(repeat)]
    rows = [scenario(LONG, *runs, strategy="so-reuseport-sandbox"), scenario("dnat-random-2", outcome())]
    text = rendered(suite(rows, repeat=repeat), width)
    assert max(map(len, text.splitlines())) <= width
    if width >= 80:
        for figure in ("0.63", "+1.0 %", "1.5", "5,000", "71.5", "133", "104"):
            assert figure in text
        one_table = width >= 120
        assert text.count("\nscenario ") == (1 if one_table else 2)
        assert ("strategy" in text) is (not one_table or width == 200)  # the names begin with it


def test_a_strategy_that_its_scenarios_name_does_not_say_is_never_left_out() -> None:
    """Rather there are two tables."""
    rows = [scenario(LONG, outcome(), strategy="so-reuseport-sandbox"), scenario("canary-2", outcome())]
    text = rendered(suite(rows), 120)
    assert text.count("\nscenario ") == 2
    assert "dnat-random" in text


def test_suite_without_results_has_no_table() -> None:
    """Where every scenario was skipped, only the reasons are there."""
    text = rendered(suite([scenario("b-2", outcome("skipped", passed=None, reason="no module ip_vs"))]))
    assert "deviation" not in text
    assert "no module ip_vs" in text


def test_names_and_reasons_from_outside_can_neither_paint_nor_ring() -> None:
    """Markup and control characters in them are shown, not obeyed."""
    text = rendered(suite([scenario("a-2", outcome("failed", 1, reason="[bold]\x1b]0;title\a\nnext"))]))
    assert "[bold]\\x1b]0;title\\x07\\nnext" in text
    assert "\x1b" not in text


def test_an_encoding_without_the_sign_gets_a_letter() -> None:
    """Plain ASCII is enough."""
    text = rendered(suite([scenario("a-2", outcome(), outcome(round=2))], repeat=2), encoding="ascii")
    assert "even x2" in text


def test_unlike_loads_are_told_and_like_ones_are_not() -> None:
    """Kept and new connections cost differently, so a table of both says that it ranks neither."""
    kept, new = (
        scenario("a", outcome(), load="16 users, kept"),
        scenario("b", outcome(), load="16 users, new each"),
    )
    both = rendered(suite([kept, new]), width=200)
    assert "16 users, kept" in both
    assert "16 users, new each" in both
    assert "unlike loads: latency, requests/s and cpu can be compared between rows of one load only" in both
    assert "unlike loads" not in rendered(suite([kept, scenario("c", outcome(), load="16 users, kept")]))
