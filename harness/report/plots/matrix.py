"""A suite's verdicts: a row for each strategy, a column for each condition."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from matplotlib.patches import Rectangle

from harness.errors import ResultError
from harness.report.plots.groups import condition, labels, replicas, strategies, worst_deviation
from harness.report.plots.kind import PlotKind
from harness.report.plots.style import (
    INK,
    LIGHT,
    MUTED,
    PAPER,
    SMALL,
    TITLE,
    Picture,
    new_figure,
    percent,
    plain,
    styled,
    tip,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes

    from harness.summary.run import Summary
    from harness.summary.suite import SuiteSummary

# A mark, a colour and a word for each: none of them alone tells the verdict.
_LOOKS: Final = {
    "even": ("\N{CHECK MARK}", "even"),
    "uneven": ("\N{BALLOT X}", "uneven"),
    "inconclusive": ("?", "inconclusive"),
    "refused": ("\N{EM DASH}", "none"),
    "failed": ("!", "uneven"),
    "skipped": ("", "paper"),
    "not possible": ("", "paper"),
    "mixed": ("", "mixed"),
}
_NOT_RUN: Final = {"skipped", "not possible"}
_CELL, _LINE = 1.32, 0.17
_NAME: Final = re.compile(r"(.+?)-(\d+)(?:-(keep-alive|per-request|connections-\d+))?")
"""What `harness suite` calls a scenario of a matrix, or a file is called by habit."""


@dataclass
class _Cell:
    """The runs of one strategy under one condition."""

    verdicts: Counter[str] = field(default_factory=Counter)
    unexpected: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, verdict: str, note: str, *, expected: bool) -> None:
        self.verdicts[verdict] += 1
        self.unexpected += not expected
        if note and note not in self.notes:
            self.notes.append(note)

    def lines(self, marks: bool = True) -> list[str]:
        """Say the verdicts, and how often each where there are several runs."""
        runs = self.verdicts.total()
        return [
            " ".join(
                filter(None, [_LOOKS[verdict][0] if marks else "", str(count) if runs > 1 else "", verdict])
            )
            for verdict, count in sorted(self.verdicts.items(), key=lambda item: (-item[1], item[0]))
        ]

    @property
    def look(self) -> str:
        return next(iter(self.verdicts)) if len(self.verdicts) == 1 else "mixed"


_Table = dict[tuple[str, str], _Cell]


@styled
def matrix_figure(runs: Sequence[Summary] | SuiteSummary) -> Picture:
    """Draw the verdicts of many runs: strategies by replicas and connections.

    Parameters
    ----------
    runs
        Stored results; or a suite's document, which also knows what was skipped, refused or not possible.
        That has names alone for what never ran: rows and columns are read off them, as `harness suite`
        makes them.

    Returns
    -------
    Picture
        Cells say verdicts in words, with a mark and a colour. Repeats are counted; a cell whose runs
        disagree has a colour of its own. What is outlined did not come out as its scenario expects.

    Raises
    ------
    ResultError
        There is no run.
    """
    from harness.summary.suite import SuiteSummary  # noqa: PLC0415  scipy takes a while; a run draws no matrix

    name = runs.name if isinstance(runs, SuiteSummary) else "verdicts"
    table, rows, columns = _of_suite(runs) if isinstance(runs, SuiteSummary) else _of_results(runs)
    if not table:
        raise ResultError("a matrix of no results: name at least one")
    tallest = max(len(cell.verdicts) for cell in table.values())
    margin = 0.25 + 0.085 * max(len(plain(row, 34)) for row in rows)
    height = 0.16 + _LINE * tallest
    head = 0.62 + 0.17 * max(column.count("\n") for column in columns)
    width = max(margin + _CELL * len(columns) + 0.1, 4.6)
    figure = new_figure(width, head + height * len(rows) + 0.42)
    total = figure.get_size_inches()[1]
    axes = figure.add_axes(
        (margin / width, 0.42 / total, _CELL * len(columns) / width, height * len(rows) / total)
    )
    figure.suptitle(plain(name, 40), fontsize=TITLE, y=1 - 0.08 / total, parse_math=False)
    _lay_out(axes, rows, columns)
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            if cell := table.get((row, column)):
                _draw(axes, x, y, cell, f"{row}, {column}".replace("\n", ", "))
    note = "numbers: repeats" if any(cell.verdicts.total() > 1 for cell in table.values()) else ""
    if any(cell.unexpected for cell in table.values()):
        note = "   ".join(filter(None, [note, "outlined: not what the scenario expects"]))
    figure.text(0.1 / width, 0.14 / total, note, fontsize=SMALL, color=MUTED)
    return figure


def _of_results(summaries: Sequence[Summary]) -> tuple[_Table, list[str], list[str]]:
    columns = {key: text.replace(", ", "\n") for key, text in labels(map(condition, summaries)).items()}
    table: _Table = {}
    for strategy, summary in zip(strategies(summaries), summaries, strict=True):
        cell = table.setdefault((strategy, columns[condition(summary)]), _Cell())
        worst = worst_deviation(summary)
        note = "" if worst is None else f"worst deviation {percent(worst, 1)}"
        cell.add(summary.verdict, note, expected=summary.passed)
    return table, _in_order(row for row, _ in table), list(columns.values())


def _of_suite(suite: SuiteSummary) -> tuple[_Table, list[str], list[str]]:
    table: _Table = {}
    order: dict[str, tuple[int, str]] = {}
    for scenario in suite.scenarios:
        found = _NAME.fullmatch(scenario.name)
        row = found[1] if found else scenario.name
        count = int(found[2]) if found else scenario.replicas or 0
        connections = (found[3] or "").replace("connections-", "connections ") if found else ""
        column = "\n".join(filter(None, [replicas(count) if count else "", connections])) or "all"
        order[column] = (count, connections)
        cell = table.setdefault((row, column), _Cell())
        for outcome in scenario.outcomes:
            cell.add(outcome.verdict, outcome.reason, expected=outcome.passed is not False)
    table = {place: cell for place, cell in table.items() if cell.verdicts}
    used = {column for _, column in table}
    return table, _in_order(row for row, _ in table), sorted(used, key=order.__getitem__)


def _in_order(names: Iterable[str]) -> list[str]:
    return sorted(set(names))


def _lay_out(axes: Axes, rows: list[str], columns: list[str]) -> None:
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(columns)), columns, parse_math=False)
    axes.set_yticks(range(len(rows)), [plain(row, 34) for row in rows], parse_math=False)
    axes.tick_params(length=0, labelsize=SMALL)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw(axes: Axes, x: int, y: int, cell: _Cell, where: str) -> None:
    """Draw one cell."""
    outside = set(cell.verdicts) <= _NOT_RUN
    patch = Rectangle(
        (x - 0.47, y - 0.44),
        0.94,
        0.88,
        facecolor=LIGHT[_LOOKS[cell.look][1]],
        edgecolor=INK if cell.unexpected else LIGHT["grid"] if outside else PAPER,
        linewidth=1.8 if cell.unexpected else 1,
        linestyle=(0, (2, 2)) if outside else "-",
    )
    axes.add_patch(patch)
    tip(patch, f"{where}: {', '.join(cell.lines(marks=False))}" + "".join(f"; {note}" for note in cell.notes))
    axes.text(
        x,
        y,
        "\n".join(cell.lines()),
        ha="center",
        va="center",
        fontsize=SMALL,
        color=MUTED if outside else INK,
        linespacing=1.25,
    )


MATRIX: Final = PlotKind(
    name="matrix",
    shows="verdicts, by strategy and replicas",
    draws="all",
    draw=lambda sources: matrix_figure([source.summary for source in sources]),
    fits=lambda sources: len(sources) > 1,
    draw_suite=matrix_figure,
)
