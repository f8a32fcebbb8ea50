"""A suite's runs as text: a row for each scenario, then what needs words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.common.text import printable
from harness.report.failover import render_failover
from harness.report.format import spread as _spread
from harness.report.terminal import percent_with_sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from harness.summary.suite import Chance, Figures, ScenarioOutcomes, SuiteSummary

_OUTSIDE: Final = {"skipped", "not possible"}
"""Verdicts of what has no row, only a reason below the table."""

_TIMES: Final = "×"  # noqa: RUF001  the sign itself

_UNLIKE: Final = (
    "unlike loads: latency, requests/s and cpu can be compared between rows of one load only, as new and "
    "kept connections cost differently"
)

_STYLES: Final = {
    "as expected": "green",
    "inconclusive": "yellow",
    "not as expected": "bold red",
    "failed": "bold red",
    "skipped": "yellow",
    "not possible": "dim",
    "not run": "yellow",
}
"""Every state of a scenario, in the order of the output."""


class _Column(NamedTuple):
    header: str
    cell: Callable[[ScenarioOutcomes], str]
    right: bool = True


class _Remark(NamedTuple):
    state: str
    name: str
    words: str


def render_suite(summary: SuiteSummary, console: Console) -> None:
    """Print the table of all scenarios, the reasons of those that need one, and how it went.

    Parameters
    ----------
    summary
        Names and reasons in it come from outside: markup and control characters are made harmless.
    console
        Where to print. Where a table of all columns has no room, the strategies are left out if all names
        begin with them; else, or if that does not do, it becomes two tables of the same rows.
    """
    encoding = console.encoding
    rows = [scenario for scenario in summary.scenarios if _has_row(scenario)]
    if rows:
        for table in _tables(rows, console):
            console.print(table)
            console.print()
        console.print(Text("cpu: mean microseconds per request; columns overlap: do not add them up", "dim"))
        notes = ["p (Holm): chi-square's, adjusted for the number of scenarios"]
        if summary.repeat > 1:
            notes.append("several runs: medians, and the range below; p of all runs together")
        if len({scenario.load for scenario in rows}) > 1:
            notes.append(_UNLIKE)
        if any(run.generator_limited for scenario in rows for run in scenario.measured):
            notes.append("*: the load generator was the limit; throughput and latency are its own")
        console.print(Text("\n".join(notes), "dim"))
    render_failover(summary, console)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for state, text in _told(summary):
        grid.add_row(Text(state, _STYLES[state]), Text(printable(text, encoding)))
    if grid.row_count:
        console.print()
        console.print(grid)
    console.print()
    style = "bold green" if summary.passed else "bold red"
    console.print(Text(printable(closing_line(summary), encoding), style))


def closing_line(summary: SuiteSummary) -> str:
    """Give the whole suite in one line."""
    counts = Counter(_state(scenario) for scenario in summary.scenarios)
    states = [f"{counts[state]:,} {state}" for state in _STYLES if counts[state]]
    verdict = "passed" if summary.passed else "interrupted" if summary.interrupted else "did not pass"
    scenarios = f"{len(summary.scenarios):,} scenario{'' if len(summary.scenarios) == 1 else 's'}"
    return f"{summary.name}: {verdict} ({scenarios}: {', '.join(states)})"


def _has_row(scenario: ScenarioOutcomes) -> bool:
    return any(outcome.verdict not in _OUTSIDE for outcome in scenario.outcomes)


def _state(scenario: ScenarioOutcomes) -> str:
    """Give the worst that is to be said of a scenario's runs."""
    verdicts = {outcome.verdict for outcome in scenario.outcomes}
    for verdict in ("failed", "skipped", "not possible"):
        if verdict in verdicts:
            return verdict
    worst = max((outcome.status for outcome in scenario.outcomes), key=(0, 3, 1).index, default=None)
    return {None: "not run", 0: "as expected", 3: "inconclusive", 1: "not as expected"}[worst]


def _told(summary: SuiteSummary) -> Iterator[tuple[str, str]]:
    """Give what needs words: its state, and the scenarios of one reason with the reason."""
    remarks = [remark for scenario in summary.scenarios for remark in _remarks(scenario, summary.repeat)]
    for state in _STYLES:
        reasons: dict[str, list[str]] = {}
        for remark in remarks:
            if remark.state == state:
                reasons.setdefault(remark.words, []).append(remark.name)
        for words, names in reasons.items():
            yield state, f"{', '.join(names)}: {words}"
    for scenario in summary.scenarios:
        if explained := _explained_by_chance(scenario, len(summary.scenarios)):
            yield "inconclusive", f"{scenario.name}: {explained}"
    if not_run := [scenario.name for scenario in summary.scenarios if not scenario.outcomes]:
        yield "not run", ", ".join(not_run)


def _explained_by_chance(scenario: ScenarioOutcomes, scenarios: int) -> str | None:
    """Tell that a scenario which is uneven by itself need not be so among many."""
    chance, verdicts = scenario.chance, {outcome.verdict for outcome in scenario.outcomes}
    if chance is None or "uneven" not in verdicts or chance.p_outside_adjusted <= chance.alpha:
        return None
    return (
        f"uneven by itself (p = {chance.p_outside:.2g}), but chance explains that among {scenarios} "
        f"scenarios (p = {chance.p_outside_adjusted:.2g}); run it again"
    )


def _remarks(scenario: ScenarioOutcomes, rounds: int) -> Iterator[_Remark]:
    for outcome in scenario.outcomes:
        name = scenario.name
        if rounds > 1 and outcome.round is not None and outcome.verdict not in _OUTSIDE:
            name += f" (round {outcome.round})"
        if outcome.verdict in {"failed", *_OUTSIDE}:
            yield _Remark(outcome.verdict, name, outcome.reason)
        elif outcome.status:
            state = "inconclusive" if outcome.status == 3 else "not as expected"
            if outcome.verdict != scenario.expect:
                words = f"{outcome.verdict} where {scenario.expect} is expected: {outcome.reason}"
                yield _Remark(state, name, words)
            if outcome.figures is not None and (astray := outcome.figures.misrouted):
                yield _Remark(state, name, f"instances of another route answered {astray:,} requests")
            if outcome.recovers is not None and outcome.recovers.passed != "yes":
                yield _Remark(state, name, f"recovers: {outcome.recovers.passed}: {outcome.recovers.reason}")


def _columns(encoding: str) -> tuple[list[_Column], list[_Column], list[_Column]]:
    """Give the columns that name a scenario, tell its distribution, and tell what it costs."""
    times = _TIMES if printable(_TIMES, encoding) == _TIMES else "x"

    def cpu(role: str) -> Callable[[ScenarioOutcomes], str]:
        return lambda scenario: _spread(getattr(run.cpu_us_per_request, role) for run in scenario.measured)

    names = [
        _Column("scenario", lambda scenario: scenario.name, right=False),
        _Column("strategy", lambda scenario: scenario.strategy, right=False),
    ]
    distribution = [
        _Column("verdict", lambda scenario: _verdicts(scenario, times), right=False),
        _Column("p\n(Holm)", lambda scenario: _p_value(scenario.chance)),
        _Column("worst\ndeviation", lambda scenario: _worst_deviation(scenario.measured)),
    ]
    costs = [
        _Column("p50\nms", lambda scenario: _spread(_ms(run.latency_ns.p50) for run in scenario.measured)),
        _Column("p99\nms", lambda scenario: _spread(_ms(run.latency_ns.p99) for run in scenario.measured)),
        _Column("requests\n/s", _throughput),
        _Column("cpu\nproxy", cpu("proxy")),
        _Column("cpu\nkernel", cpu("kernel")),
        _Column("cpu\ninst.", cpu("instances")),
        _Column("cpu\ngen.", cpu("generator")),
    ]
    return names, distribution, costs


def _tables(rows: Sequence[ScenarioOutcomes], console: Console) -> list[Table]:
    """Give one table if there is room for it, else two."""
    (name, strategy), distribution, costs = _columns(console.encoding)
    if any(row.load for row in rows):
        costs.insert(0, _Column("load", lambda scenario: scenario.load or "unknown", right=False))
    in_one = [[name, strategy, *distribution, *costs]]
    if all(row.name.startswith(row.strategy) for row in rows):
        in_one.append([name, *distribution, *costs])
    for columns in in_one:
        table = _table(columns, rows, console.encoding)
        if _natural_width(table, console) <= console.width:
            return [table]
    in_two = ([name, strategy, *distribution], [name, *costs])
    return [_table(columns, rows, console.encoding) for columns in in_two]


def _table(columns: Sequence[_Column], rows: Sequence[ScenarioOutcomes], encoding: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 0), show_edge=False)
    for column in columns:
        table.add_column(column.header, justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        cells = (_lines(column.cell(row), encoding) for column in columns)
        table.add_row(
            *(
                Text(cell, _style(row) if c.header == "verdict" else "")
                for c, cell in zip(columns, cells, strict=True)
            )
        )
    return table


def _natural_width(table: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(width=10_000), table).maximum


def _lines(cell: str, encoding: str) -> str:
    return "\n".join(printable(line, encoding) for line in cell.split("\n"))


def _style(scenario: ScenarioOutcomes) -> str:
    return _STYLES[_state(scenario)]


def _verdicts(scenario: ScenarioOutcomes, times: str) -> str:
    counts = Counter(
        f"{outcome.verdict} (cut short)" if outcome.interrupted else outcome.verdict
        for outcome in scenario.outcomes
    )
    return ", ".join(
        verdict if count == 1 else f"{verdict} {times}{count}" for verdict, count in counts.items()
    )


def _p_value(chance: Chance | None) -> str:
    if chance is None:
        return "-"
    return "<0.0001" if chance.p_value_adjusted < 0.0001 else f"{chance.p_value_adjusted:.2g}"


def _worst_deviation(measured: Sequence[Figures]) -> str:
    deviations = [run.worst_deviation for run in measured if run.worst_deviation is not None]
    return percent_with_sign(max(deviations, key=abs)) if deviations else "-"


def _throughput(scenario: ScenarioOutcomes) -> str:
    """Write it with a mark where it is the generator's."""
    limited = any(run.generator_limited for run in scenario.measured)
    middle, *rest = _spread(run.throughput_per_s for run in scenario.measured).split("\n")
    return "\n".join([middle + "*" if limited else middle, *rest])


def _ms(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / 1e6
