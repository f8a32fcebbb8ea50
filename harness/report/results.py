"""Which results there are, as a table."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.common.text import printable
from harness.report.terminal import percent_with_sign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from harness.results.reading import Listed

_STYLES: Final = {"even": "green", "uneven": "red", "inconclusive": "yellow"}
_HEADERS: Final = ("result", "when", "strategy", "replicas", "connections", "verdict", "worst", "requests")
_RIGHT: Final = {"replicas", "connections", "worst", "requests"}


def render_results(listed: Sequence[Listed], console: Console) -> None:
    """Print a row for each result; what is damaged is explained below the table.

    Parameters
    ----------
    listed
        Names in it come from outside: control characters are made harmless.
    console
        Where to print. Where a terminal has no room for a table, each result is two lines; where there is no
        terminal, it becomes as wide as the table.
    """
    table = _table(listed, console)
    width = Measurement.get(console, console.options.update(width=10_000), table).maximum
    if width <= console.width or not console.is_terminal:
        # What no terminal shows is read by programs, for which a row is a line.
        console.width = max(width, console.width)
        console.print(table)
    else:
        for one in listed:
            name, *cells = _cells(one)
            console.print(_text(name, console, "bold"), soft_wrap=True)
            console.print(_text("  " + ", ".join(_labelled(cells)), console, _style(one)))
    for one in listed:
        if one.problem:
            console.print()
            console.print(_text(f"{one.folder.name}: summary.json {one.problem}", console, "red"))


def _table(listed: Sequence[Listed], console: Console) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for header in _HEADERS:
        table.add_column(header, justify="right" if header in _RIGHT else "left", no_wrap=True)
    for one in listed:
        styles = [_style(one) if header == "verdict" else "" for header in _HEADERS]
        row = zip(_cells(one), styles, strict=True)
        table.add_row(*(_text(cell, console, style) for cell, style in row))
    return table


def _cells(one: Listed) -> tuple[str, ...]:
    if one.summary is None:
        return (one.folder.name, "-", "-", "-", "-", one.state, "-", "-")
    summary = one.summary
    worst = one.worst_deviation
    return (
        one.folder.name,
        f"{datetime.fromisoformat(summary.started_at).astimezone():%Y-%m-%d %H:%M}",
        summary.strategy,
        f"{summary.replicas:,}",
        f"{summary.counts.connections:,}",
        summary.verdict if one.state == "whole" else f"{summary.verdict} ({one.state})",
        "-" if worst is None else percent_with_sign(worst),
        f"{summary.counts.requests:,}",
    )


def _labelled(cells: Sequence[str]) -> list[str]:
    """Say in words what a column's header says in a table; what isn't known is left out."""
    words = ("{}", "{}", "{} replica{s}", "{} connection{s}", "{}", "worst {}", "{} request{s}")
    both = zip(words, cells, strict=True)
    return [word.format(cell, s="" if cell == "1" else "s") for word, cell in both if cell != "-"]


def _style(one: Listed) -> str:
    return _STYLES[one.summary.verdict] if one.summary and one.state == "whole" else "yellow"


def _text(text: str, console: Console, style: str = "") -> Text:
    return Text(printable(text, console.encoding), style)
