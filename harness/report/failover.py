"""A suite's failover table: what each event cost with each strategy, and when that was over."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from harness.common.text import printable
from harness.report.format import spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from harness.summary.suite import EventFigures, ScenarioOutcomes, SuiteSummary


class FailoverRow(NamedTuple):
    """One event of a scenario, in each run in which it came.

    Attributes
    ----------
    scenario, strategy, membership, event
        Which one it is, in words.
    runs
        What it cost, by run.
    """

    scenario: str
    strategy: str
    membership: str
    event: str
    runs: tuple[EventFigures, ...]

    @property
    def lost(self) -> str:
        """The lost share of the requests, in percent."""
        return spread(run.lost / run.requests * 100 if run.requests else None for run in self.runs)

    @property
    def classes(self) -> str:
        """How many were lost, by class: a line for each."""
        names = dict.fromkeys(name for run in self.runs for name in run.errors)
        lines = []
        for name in names:
            middle, *between = spread(run.errors.get(name, 0) for run in self.runs).split("\n")
            lines.append(" ".join([middle, *(f"({range_})" for range_ in between), name.replace("_", " ")]))
        return "\n".join(lines) or "none"

    @property
    def recovered(self) -> str:
        """How many seconds it took; and how often it is not shown."""
        shown = [run.recovered_s for run in self.runs if run.recovered_s is not None]
        without = (run.recovery for run in self.runs if run.recovered_s is None)
        counts = Counter("disturbed" if state == "disturbed" else "not shown" for state in without)
        of = f" of {len(self.runs)}" if len(self.runs) > 1 else ""
        lines = [f"{state} ({count}{of})" if of else state for state, count in counts.items()]
        return "\n".join([*([spread(shown)] if shown else []), *lines])


def failover_rows(summary: SuiteSummary) -> list[FailoverRow]:
    """Give a row for each event of each scenario that has some, in the order given."""
    return [row for scenario in summary.scenarios for row in _rows(scenario)]


def _rows(scenario: ScenarioOutcomes) -> list[FailoverRow]:
    runs = [run for run in scenario.measured if run.events]
    most = max((len(run.events) for run in runs), default=0)
    rows = []
    for place in range(most):
        came = tuple(run.events[place] for run in runs if len(run.events) > place)
        first = next(run for run in runs if len(run.events) > place)
        rows.append(FailoverRow(scenario.name, scenario.strategy, first.membership, came[0].label, came))
    return rows


def render_failover(summary: SuiteSummary, console: Console) -> None:
    """Print the table, if there is any event.

    Parameters
    ----------
    summary
        Names in it come from outside: markup and control characters are made harmless.
    console
        Where to print.
    """
    rows = failover_rows(summary)
    if not rows:
        return
    console.print()
    console.print(_table(rows, console.encoding))
    console.print()
    notes = [
        "lost: of the requests under way at the event or begun after it, until the next event",
        "recovered: from when on shares were within the tolerance of what was intended; disturbed: never",
        "p50, p99: of requests that arrived before the recovery, or, without one, before the next event",
    ]
    if any(run.answered_after for row in rows for run in row.runs):
        notes.append("old, after: requests begun after the cut, but answered by instances that had left")
    if summary.repeat > 1:
        notes.append("several runs: medians, and the range")
    console.print(Text("\n".join(notes), "dim"))


def _table(rows: Sequence[FailoverRow], encoding: str) -> Table:
    named = len({(row.strategy, row.membership, row.event) for row in rows}) < len(rows)
    cells: dict[str, Callable[[FailoverRow], str]] = {
        **({"scenario": lambda row: row.scenario} if named else {}),
        "strategy": lambda row: row.strategy,
        "membership": lambda row: row.membership,
        "event": lambda row: row.event,
        "lost\n%": lambda row: row.lost,
        "lost\nby class": lambda row: row.classes,
        "recovered\ns": lambda row: row.recovered,
        "p50\nms": lambda row: spread(_ms(run.during_ns.p50) for run in row.runs),
        "p99\nms": lambda row: spread(_ms(run.during_ns.p99) for run in row.runs),
    }
    if any(run.answered_after for row in rows for run in row.runs):
        cells["old,\nafter"] = lambda row: spread(run.answered_after for run in row.runs)
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 0), show_edge=False)
    words = {"scenario", "strategy", "membership", "event", "lost\nby class"}
    for header in cells:
        table.add_column(header, justify="left" if header in words else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_lines(cell(row), encoding)) for cell in cells.values()))
    return table


def _lines(cell: str, encoding: str) -> str:
    return "\n".join(printable(line, encoding) for line in cell.split("\n"))


def _ms(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / 1e6
