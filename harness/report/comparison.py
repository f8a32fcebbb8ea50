"""Results side by side: each instance's share, and by how much it differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from harness.errors import ResultError
from harness.gate.stored import units_of
from harness.stats.homogeneity import homogeneity
from harness.words import printable

if TYPE_CHECKING:
    from rich.console import Console

    from harness.summary import Summary


def render_comparison(
    first: tuple[str, Summary],
    second: tuple[str, Summary],
    console: Console,
    confidence: float | None = None,
) -> None:
    """Print a table of shares and differences, and in a sentence what can be said of them.

    Parameters
    ----------
    first, second
        Results, with the names of their folders.
    console
        Where to print.
    confidence
        How sure a difference must be; by default as in the first one's scenario.

    Raises
    ------
    ResultError
        The two do not have the same instances, or count different units.
    """
    (name, before), (other, after) = first, second
    names = [row.name for row in before.instances]
    if names != [row.name for row in after.instances] or before.unit != after.unit:
        raise ResultError(
            f"{printable(other)} has other instances than {printable(name)}, or counts other units: "
            "compare runs with the same replicas, of strategies that choose for the same"
        )
    encoding = console.encoding
    sure = before.confidence if confidence is None else confidence
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("instance", overflow="fold")
    shares = [f"{one.host}, {one.engine}: {one.name}" for one in (before, after)]
    for header in (*shares, "difference", f"{sure * 100:.4g} % interval"):
        table.add_column(Text(printable(header, encoding)), justify="right", overflow="fold")
    dispersions = (before.tests.tolerance.dispersion, after.tests.tolerance.dispersion)
    found = homogeneity(units_of(before), units_of(after), sure, dispersions)
    rows = zip(before.instances, after.instances, found.differences, found.intervals, strict=True)
    for there, here, difference, (low, high) in rows:
        table.add_row(
            Text(printable(there.name, encoding)),
            _percent(there.share),
            _percent(here.share),
            f"{difference * 100:+.2f}",
            f"{low * 100:+.2f} to {high * 100:+.2f}",
        )
    console.print(table)
    console.print()
    most = abs(found.intervals).max() * 100
    test = f"chi-square {found.statistic:.2f}, {found.dof} degrees of freedom, p = {found.p:.2g}"
    if found.p < 1 - sure:
        sentence, style = f"they differ: {test}", "bold yellow"
    else:
        sentence = f"no difference could be shown ({test}); no share differs by more than {most:.2f} points"
        style = "green"
    console.print(Text(sentence, style))
    if before.emulated != after.emulated:
        console.print(Text("one of the hosts was emulated: times can't be compared", "yellow"))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.2f} %"
