"""The parts that are found by name, as tables: what each is, and what it can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.common.text import printable
from harness.engines import engine_kinds
from harness.faults import fault_kinds
from harness.report.plots import plot_kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

_DRAWS: Final = {"one": "each result", "few": "up to 8 results", "all": "all results"}


def engines() -> list[tuple[str, ...]]:
    """Give a row for each engine, below the names of its columns."""
    header = ("engine", "hosts", "images", "limits", "publishes", "root", "at most", "what it is")
    rows: list[tuple[str, ...]] = [header]
    for kind in engine_kinds():
        hosts = ", ".join(sorted(kind.hosts))
        can = ("yes" if one else "-" for one in (kind.images, kind.limits, kind.publishes, kind.privileged))
        most = "-" if kind.most_replicas is None else f"{kind.most_replicas:,}"
        rows.append((kind.name, hosts, *can, most, kind.summary))
    return rows


def faults() -> list[tuple[str, ...]]:
    """Give a row for each fault, below the names of its columns."""
    rows: list[tuple[str, ...]] = [("fault", "value", "with", "members", "needs", "what it does")]
    for kind in fault_kinds():
        members = "change" if kind.ends or kind.joins else "stay"
        needs = "the sample" if kind.sample else "-"
        rows.append((kind.name, kind.value, ", ".join(kind.keys) or "-", members, needs, kind.does))
    return rows


def plots() -> list[tuple[str, ...]]:
    """Give a row for each kind of plot, below the names of its columns."""
    rows: list[tuple[str, ...]] = [("plot", "draws", "needs", "what it shows")]
    for kind in plot_kinds():
        needs = "requests" if kind.requests else "summary"
        rows.append((kind.name, _DRAWS[kind.draws], needs, kind.shows))
    return rows


def render_parts(rows: Sequence[Sequence[str]], console: Console) -> None:
    """Print a table whose first row has the names of its columns; without a terminal, a row is a line."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    header, *entries = rows
    for name in header:
        table.add_column(name, no_wrap=name != header[-1], overflow="fold")
    for entry in entries:
        table.add_row(*(Text(printable(cell, console.encoding)) for cell in entry))
    if not console.is_terminal:
        console.width = Measurement.get(console, console.options.update(width=10_000), table).maximum
    console.print(table)
