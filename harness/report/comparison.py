"""Results side by side: what each measured, by how much it differs from the first, and whether that shows."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.common.text import printable
from harness.gate.sides import ROLES, compare_sides, pooled_shares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console

    from harness.gate.sides import Difference, Side
    from harness.stats.figures import FigureChange
    from harness.stats.homogeneity import Homogeneity


class _Row(NamedTuple):
    label: str
    written: Callable[[float], str]


def _points(share: float) -> str:
    return f"{share * 100:.3g} %"


def _ms(duration_ns: float) -> str:
    return f"{duration_ns / 1e6:.3g} ms"


def _us(duration_us: float) -> str:
    return f"{duration_us:.3g} us"


_ROWS: Final = {
    "worst_deviation": _Row("worst deviation", _points),
    "p50_ns": _Row("latency p50", _ms),
    "p90_ns": _Row("latency p90", _ms),
    "p99_ns": _Row("latency p99", _ms),
    "throughput_per_s": _Row("throughput", lambda rate: f"{rate:,.0f}/s"),
    **{f"cpu_{role}_us_per_request": _Row(f"cpu {role}", _us) for role in ROLES},
    "error_share": _Row("errors", _points),
}


_NARROW: Final = 60
_MOST: Final = 10.0  # ends of intervals above this say only that nothing is known


def render_comparison(sides: Sequence[Side], console: Console, confidence: float) -> None:
    """Print what the sides measured, the differences to the first, and in sentences what can be said of them.

    Parameters
    ----------
    sides
        Two or more; names in them come from outside and are made harmless.
    console
        Where to print; as many sides stand beside the first as there is room for. In less than 60 columns
        there is no table, but a line for each figure of each side.
    confidence
        How sure differences must be: all those of one side together.
    """
    first, *others = sides
    differences = [compare_sides(first, other, confidence) for other in others]
    if console.width < _NARROW:
        for line in _lines(first, differences):
            console.print(Text(printable(line, console.encoding)))
    else:
        for table in _tables(first, differences, console):
            console.print(table)
            console.print()
    for text, style in _remarks(first, differences, confidence):
        console.print(Text(printable(text, console.encoding), style))
    for difference in differences:
        console.print()
        if difference.shares is not None:
            _render_shares(first, difference, difference.shares, console, confidence)
        else:
            words = f"{difference.side.label}: shares are not compared: {difference.shares_why}"
            console.print(Text(printable(words, console.encoding), "dim"))


def comparison_json(sides: Sequence[Side], confidence: float) -> str:
    """Give what `render_comparison` shows as one line of JSON."""
    first, *others = sides
    differences = [compare_sides(first, other, confidence) for other in others]
    document = {
        "schema": 1,
        "confidence": confidence,
        "sides": [_side_entry(side) for side in sides],
        "differences": [_difference_entry(first, one) for one in differences],
    }
    return json.dumps(document)


def _side_entry(side: Side) -> dict[str, Any]:
    one = side.first
    known = {name: values for name, values in side.figures().items() if any(v is not None for v in values)}
    return {
        "label": side.label,
        "scenario": one.name,
        "strategy": one.strategy,
        "host": one.host,
        "engine": one.engine,
        "replicas": one.replicas,
        "unit": one.unit,
        "runs": [folder for folder, _ in side.runs],
        "figures": known,
    }


def _difference_entry(first: Side, difference: Difference) -> dict[str, Any]:
    shares = difference.shares
    return {
        "label": difference.side.label,
        "against": first.label,
        "other_keys": {key: list(both) for key, both in difference.keys.items()},
        "figures": {name: asdict(change) for name, change in difference.figures.items()},
        "shares": None
        if shares is None
        else {
            "statistic": shares.statistic,
            "dof": shares.dof,
            "p_value": shares.p,
            "instances": [
                {"name": row.name, "change": change, "low": low, "high": high}
                for row, change, (low, high) in zip(
                    first.first.instances,
                    shares.differences.tolist(),
                    shares.intervals.tolist(),
                    strict=True,
                )
            ],
        },
    }


def _tables(first: Side, differences: Sequence[Difference], console: Console) -> Iterator[Table]:
    """Give one table if there is room for all sides, else several, each with the first side."""
    ahead = list(differences)
    while ahead:
        taken = len(ahead)
        while taken > 1 and _natural_width(_table(first, ahead[:taken], console), console) > console.width:
            taken -= 1
        yield _table(first, ahead[:taken], console)
        ahead = ahead[taken:]


def _natural_width(table: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(width=10_000), table).maximum


def _table(first: Side, differences: Sequence[Difference], console: Console) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("")
    for side in (first, *(difference.side for difference in differences)):
        runs = "1 run" if len(side.runs) == 1 else f"{len(side.runs):,} runs"
        header = f"{printable(side.label, console.encoding)}\n{side.first.host}, {side.first.engine}, {runs}"
        table.add_column(Text(header), overflow="fold")
    for name, row in _ROWS.items():
        changes = [difference.figures.get(name) for difference in differences]
        if not any(changes):
            continue
        known = next(change for change in changes if change)
        table.add_row(row.label, _value(known.before, row), *(_cell(change, row) for change in changes))
    return table


def _value(mean: float | None, row: _Row) -> str:
    return "-" if mean is None else row.written(mean)


def _cell(change: FigureChange | None, row: _Row) -> Text:
    """Write a figure, and below it by how much it differs from the first side's."""
    if change is None:
        return Text("-")
    cell = Text(_value(change.after, row))
    if said := _change(change):
        cell.append(f"\n{said}", "bold" if change.finding == "differs" else "dim")
    return cell


def _lines(first: Side, differences: Sequence[Difference]) -> Iterator[str]:
    """Give what the table has, for where a table has no room."""
    for name, row in _ROWS.items():
        changes = {one.side.label: one.figures[name] for one in differences if name in one.figures}
        for index, (label, change) in enumerate(changes.items()):
            if not index:
                yield f"{row.label}:"
                yield f"  {first.label}: {_value(change.before, row)}"
            said = _change(change)
            yield f"  {label}: {_value(change.after, row)}{said and f', {said}'}"
    yield ""


def _change(change: FigureChange) -> str:
    """Write by how much a figure differs; nothing where there is nothing to compare."""
    if change.change is None:
        return ""
    if change.change == 0 and not change.low and not change.high:
        return "the same"
    if change.low is None or change.high is None:
        return _signed(change.change, change)
    interval = f"{_signed(change.low, change, '')} to {_signed(change.high, change)}"
    if change.finding == "not shown":
        return f"no difference shown ({interval})"
    return f"{_signed(change.change, change)} ({interval})"


def _signed(value: float, change: FigureChange, unit: str | None = None) -> str:
    """Write a change with its sign: in percent of what was before, or in points of a percentage."""
    if unit is None:
        unit = " %" if change.relative else " points"
    if value > _MOST:
        return f"over +{_MOST * 100:,.0f}{unit}"
    # Adding 0 makes the negative zero that rounding leaves a positive one.
    digits = 1 if change.relative else 2
    return f"{round(value * 100, digits) + 0.0:+,.{digits}f}{unit}"


def _remarks(first: Side, differences: Sequence[Difference], confidence: float) -> Iterator[tuple[str, str]]:
    """Say what the table shows, and what it does not."""
    for difference in differences:
        by_finding: dict[str, list[str]] = {}
        for name, change in difference.figures.items():
            by_finding.setdefault(change.finding, []).append(_ROWS[name].label)
        against = f"{difference.side.label} against {first.label}"
        if differs := by_finding.get("differs"):
            yield f"{against}: differs in {', '.join(differs)}", "bold yellow"
        if not_shown := by_finding.get("not shown"):
            yield f"{against}: no difference could be shown in {', '.join(not_shown)}", "green"
        if "too few runs" in by_finding:
            yield f"{against}: {_too_few(first, difference.side)}", "yellow"
        if difference.keys:
            keys = [f"{key} ({_said(a)}, {_said(b)})" for key, (a, b) in difference.keys.items()]
            yield f"{against}: other things differ than the strategy: {', '.join(keys)}", "yellow"
    sides = [first, *(difference.side for difference in differences)]
    if any(len(side.runs) > 1 for side in sides):
        sure = f"{confidence * 100:.4g} %"
        yield f"means of the runs; the intervals of a column hold all at once, in {sure} of cases", "dim"
    yield from _cautions(sides)


def _cautions(sides: Sequence[Side]) -> Iterator[tuple[str, str]]:
    """Tell what makes figures less than they seem."""
    for side in sides:
        if any(one.interrupted for one in side.summaries):
            yield f"{side.label}: a run was interrupted before its end", "yellow"
        if any(one.generator.limited for one in side.summaries):
            yield (
                f"{side.label}: the load generator was the limit: throughput and latency are its own",
                "yellow",
            )
    if len({side.first.emulated for side in sides}) > 1:
        yield "one of the hosts was emulated: times can't be compared", "yellow"


def _too_few(first: Side, other: Side) -> str:
    if len(first.runs) == len(other.runs) == 1:
        return (
            "one run each: the figures are these runs'; how far runs of one scenario differ is not known, so "
            "whether the scenarios do is not, either; repeat both (--set repeat=5)"
        )
    alone = first if len(first.runs) == 1 else other
    return f"{alone.label} has one run, which is too few to tell what differs; repeat it (--set repeat=5)"


def _said(value: Any) -> str:
    return "not set" if value is None else str(value)


def _render_shares(
    first: Side, difference: Difference, found: Homogeneity, console: Console, confidence: float
) -> None:
    """Print each instance's share, and by how much it differs."""
    encoding, side = console.encoding, difference.side
    names = [printable(row.name, encoding) for row in first.first.instances]
    both = (map(_percent, pooled_shares(side)) for side in (first, side))
    changes = [f"{change * 100:+.2f}" for change in found.differences]
    intervals = [f"{low * 100:+.2f} to {high * 100:+.2f}" for low, high in found.intervals]
    cells = list(zip(names, *both, changes, intervals, strict=True))
    headers = (first.label, side.label, "difference", f"{confidence * 100:.4g} % interval")
    if console.width < _NARROW:
        console.print(Text(printable(f"shares, {first.label} and {side.label}:", encoding)))
        for name, there, here, change, interval in cells:
            console.print(Text(f"{name}: {there}, {here}; {change} ({interval})"))
    else:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        table.add_column("instance", overflow="fold")
        for header in headers:
            table.add_column(Text(printable(header, encoding)), justify="right", overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row))
        console.print(table)
    console.print()
    most = abs(found.intervals).max() * 100
    test = f"chi-square {found.statistic:.2f}, {found.dof} degrees of freedom, p = {found.p:.2g}"
    if found.p < 1 - confidence:
        sentence, style = f"shares differ: {test}", "bold yellow"
    else:
        sentence = (
            f"shares: no difference could be shown ({test}); none differs by more than {most:.2f} points"
        )
        style = "green"
    console.print(Text(sentence, style))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.2f} %"
