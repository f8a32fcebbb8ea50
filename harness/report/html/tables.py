"""The page's tables as data: each cell has a text, and a value to sort by where that differs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.report.events import classes
from harness.report.html.words import deviation_text, worst_deviation
from harness.report.plots.groups import condition, labels, strategies
from harness.summary.suite import membership_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.report.plots.groups import Condition
    from harness.results.stored import Stored
    from harness.summary.events import EventRow
    from harness.summary.run import InstanceRow, RouteRow, Summary

_NONE = "–"  # noqa: RUF001  a dash


@dataclass(frozen=True)
class Cell:
    """A cell: `value` is what it is sorted by, `mark` a class of the stylesheet, `href` where it leads."""

    text: str
    value: float | None = None
    mark: str = ""
    href: str = ""


@dataclass(frozen=True)
class Column:
    """A column: numbers stand to the right, and are sorted by their cells' values."""

    header: str
    number: bool = True


@dataclass(frozen=True)
class Table:
    """A table: `key` is unique in the page; the first cell of a row names it."""

    key: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    sortable: bool = True
    filterable: bool = field(default=True)


def overview(results: Sequence[Stored]) -> Table:
    """Make the table of all results, a row each."""
    roles = [
        role
        for role in ("proxy", "kernel", "instances", "engine")
        if any(getattr(one.summary.cpu_us_per_request, role) is not None for one in results)
    ]
    words = ("result", "strategy", "verdict", "as expected")
    numbers = (
        "replicas",
        "worst deviation",
        "p50 (ms)",
        "p99 (ms)",
        "requests/s",
        *(f"cpu {role} (µs/request)" for role in roles),
        "errors",
    )
    columns = tuple([Column(word, number=False) for word in words] + [Column(word) for word in numbers])
    rows = tuple(_overview_row(number, one, roles) for number, one in enumerate(results, 1))
    note = (
        "Latency is that of successful requests; p50 is the median. Requests/s and processor times are means "
        "over the run. Processor times overlap where the kernel does not keep interrupts apart: compare the "
        "figures of a column, and do not add columns up."
    )
    if any(one.summary.generator.limited for one in results):
        note += " *: the load generator was the limit."
    return Table("overview", "All results", columns, rows, note)


def _overview_row(number: int, one: Stored, roles: Sequence[str]) -> tuple[Cell, ...]:
    summary = one.summary
    worst = worst_deviation(summary)
    star = "*" if summary.generator.limited else ""
    return (
        Cell(one.name, href=f"#r{number}"),
        Cell(summary.strategy),
        Cell(summary.verdict, mark=summary.verdict),
        Cell("yes" if summary.passed else "no", mark="" if summary.passed else "bad"),
        Cell(f"{summary.replicas:,}", summary.replicas),
        Cell(deviation_text(worst), None if worst is None else abs(worst)),
        _milliseconds(summary.latency_ns.p50),
        _milliseconds(summary.latency_ns.p99),
        Cell(f"{summary.throughput_per_s:,.0f}{star}", summary.throughput_per_s),
        *(_microseconds(getattr(summary.cpu_us_per_request, role)) for role in roles),
        Cell(f"{summary.counts.errors:,}", summary.counts.errors, "bad" if summary.counts.errors else ""),
    )


_RECOVERS = {"no": "bad", "inconclusive": "inconclusive"}


def events(results: Sequence[Stored], most: int) -> Table | None:
    """Make the table of what events cost, a row each and at most so many; None where nothing happened."""
    required = any(one.summary.recovers is not None for one in results if one.summary.events)
    headers = {
        **dict.fromkeys(("result", "strategy", "membership", "event"), False),
        "lost (%)": True,
        "lost by class": False,
        "last error (s)": True,
        "recovered (s)": True,
        **({"as required": False} if required else {}),
    }
    columns = tuple(Column(header, number) for header, number in headers.items())
    happened = [
        _event_row(number, one, event)[: len(columns)]
        for number, one in enumerate(results, 1)
        for event in one.summary.events
    ]
    if not happened:
        return None
    note = (
        "Seconds count from the event. Lost: of the requests under way at the event or begun after it, until "
        "the next event. Recovered: from when on shares were within the tolerance of what was intended; "
        "disturbed: at the end they were not; not shown: too few units followed."
    )
    if required:
        note += " As required: whether the run recovered from all of its events as its scenario requires."
    if left := max(len(happened) - most, 0):
        more = "1 more event is" if left == 1 else f"{left:,} more events are"
        note += f" {more} left out here; each result's section has its own."
    return Table("events", "What events cost", columns, tuple(happened[:most]), note)


def _event_row(number: int, one: Stored, event: EventRow) -> tuple[Cell, ...]:
    summary, recovery = one.summary, event.recovery
    share = event.lost / event.requests * 100 if event.requests else None
    state = "disturbed" if recovery and recovery.state == "disturbed" else "not shown"
    after_s = recovery.after_s if recovery else None
    passed = summary.recovers.passed if summary.recovers else None
    return (
        Cell(one.name, href=f"#r{number}"),
        Cell(summary.strategy),
        Cell(membership_of(summary)),
        Cell(event.label or f"{event.action} {', '.join(event.members)}"),
        Cell(_NONE) if share is None else Cell(f"{share:.2f}", share, "bad" if event.lost else ""),
        Cell(classes(event.errors) or "none"),
        _seconds(event.last_error_s),
        Cell(state, mark="bad" if state == "disturbed" else "") if after_s is None else _seconds(after_s),
        Cell(passed or _NONE, mark=_RECOVERS.get(passed or "", "")),
    )


def matrix(results: Sequence[Stored]) -> Table:
    """Make the matrix of verdicts: strategies by what they ran under, repeated runs counted in a cell."""
    summaries = [one.summary for one in results]
    conditions = [condition(summary) for summary in summaries]
    names = strategies(summaries)
    cells: dict[tuple[str, Condition], list[Summary]] = {}
    for summary, name, own in zip(summaries, names, conditions, strict=True):
        cells.setdefault((name, own), []).append(summary)
    headers = labels(conditions)
    rows = tuple(
        (Cell(name), *(_verdicts(cells.get((name, own), ())) for own in headers))
        for name in dict.fromkeys(names)
    )
    columns = (Column("strategy", number=False), *(Column(text, number=False) for text in headers.values()))
    caption = "Verdicts by strategy, replicas and connections"
    return Table("matrix", caption, columns, rows, sortable=False, filterable=False)


def _verdicts(summaries: Iterable[Summary]) -> Cell:
    counts = Counter(summary.verdict for summary in summaries)
    if not counts:
        return Cell("not measured", mark="none")
    text = ", ".join(verdict if n == 1 else f"{n} {verdict}" for verdict, n in sorted(counts.items()))
    return Cell(text, mark=next(iter(counts)) if len(counts) == 1 else "mixed")


def instances(key: str, summary: Summary, most: int) -> Table:
    """Make the table of instances; where there are more than `most`, those that deviate most are kept."""
    counted = dict.fromkeys(["connections", "requests", f"{summary.unit}s"])
    interval = f"{summary.confidence * 100:.4g} % interval"
    columns = (
        *([Column("route", number=False)] if summary.routes else []),
        Column("instance", number=False),
        *(Column(header) for header in (*counted, "share", interval, "expected", "deviation")),
        Column("in the band", number=False),
    )
    bands = {band.name: band for band in summary.tests.tolerance.instances}
    rows, note = list(summary.instances), ""
    if len(rows) > most:
        ordered = sorted(rows, key=lambda row: row.deviation or 0.0)
        half = max(most // 2, 1)
        rows = ordered[:half] + ordered[-half:]
        note = (
            f"{len(ordered) - len(rows):,} instances between the lowest and the highest {half:,} are left "
            "out here; summary.json has them all."
        )

    def cells(row: InstanceRow) -> tuple[Cell, ...]:
        band = bands.get(row.name)
        within = row.share is None or band is None or band.lower_bound <= row.share <= band.upper_bound
        return (
            *([Cell(row.route or "")] if summary.routes else []),
            Cell(row.name),
            *(Cell(f"{getattr(row, column):,}", getattr(row, column)) for column in counted),
            _percentage(row.share),
            _interval(row.interval),
            _percentage(row.expected_share),
            Cell(deviation_text(row.deviation), row.deviation),
            Cell(_NONE if row.share is None else "yes" if within else "no", mark="" if within else "bad"),
        )

    return Table(f"{key}-instances", "Instances", columns, tuple(cells(row) for row in rows), note)


def routes(key: str, summary: Summary) -> Table | None:
    """Make the table of routes; None where there are none."""
    if not summary.routes:
        return None
    columns = (
        *(Column(header, number=False) for header in ("route", "requests by", "verdict")),
        *(Column(header) for header in ("requests", "share", "chi-square", "p-value")),
        *(Column(header) for header in ("p50 (ms)", "p99 (ms)", "errors", "misrouted")),
    )
    return Table(f"{key}-routes", "Routes", columns, tuple(map(_route, summary.routes)))


def _route(route: RouteRow) -> tuple[Cell, ...]:
    test, errors = route.tests.chi_square, sum(route.errors.values())
    return (
        Cell(route.name),
        Cell(route.path or route.host or ""),
        Cell(route.verdict, mark=route.verdict),
        Cell(f"{route.requests:,}", route.requests),
        _percentage(route.share),
        Cell(_NONE) if test is None else Cell(f"{test.statistic:.2f}", test.statistic),
        Cell(_NONE) if test is None else Cell(f"{test.p_value:.2g}", test.p_value),
        _milliseconds(route.latency_ns.p50),
        _milliseconds(route.latency_ns.p99),
        Cell(f"{errors:,}", errors, "bad" if errors else ""),
        Cell(f"{route.misrouted:,}", route.misrouted, "bad" if route.misrouted else ""),
    )


def witnesses(key: str, summary: Summary) -> Table:
    """Make the table of the cross-checked counters."""
    rows = []
    for name in ("client", "instances", "kernel", "proxy"):
        totals = getattr(summary.witnesses, name)
        if totals is not None:
            rows.append((Cell(name), _count(totals.connections), _count(totals.requests)))
    columns = (Column("witness", number=False), Column("connections"), Column("requests"))
    return Table(
        f"{key}-witnesses",
        "Witnesses: the cross-checked counters",
        columns,
        tuple(rows),
        sortable=False,
        filterable=False,
    )


def versions(key: str, summary: Summary) -> Table:
    """Make the table of what took part."""
    rows = tuple((Cell(name), Cell(version)) for name, version in summary.versions.items())
    columns = (Column("part", number=False), Column("version", number=False))
    return Table(f"{key}-versions", "Versions", columns, rows, sortable=False, filterable=False)


def phases(key: str, summary: Summary) -> Table:
    """Make the table of how long each phase took."""
    took = summary.phases_s.model_dump()
    rows = tuple(
        (Cell(name.replace("_", "-")), Cell(f"{seconds:.2f}", seconds))
        for name, seconds in took.items()
        if seconds is not None
    )
    columns = (Column("phase", number=False), Column("seconds"))
    return Table(f"{key}-phases", "Phases", columns, rows, sortable=False, filterable=False)


def _count(count: int | None) -> Cell:
    return Cell("can't tell") if count is None else Cell(f"{count:,}", count)


def _percentage(fraction: float | None) -> Cell:
    if fraction is None:
        return Cell(_NONE)
    return Cell(f"{fraction * 100:.{2 if fraction >= 0.02 else 3}f} %", fraction)


def _interval(interval: tuple[float, float] | None) -> Cell:
    if interval is None:
        return Cell(_NONE)
    low, high = interval
    digits = 2 if high >= 0.02 else 3
    return Cell(f"{low * 100:.{digits}f} to {high * 100:.{digits}f} %", low)


def _seconds(value: float | None) -> Cell:
    return Cell(_NONE) if value is None else Cell(f"{max(value, 0):.3f}", value)


def _milliseconds(duration_ns: int | None) -> Cell:
    return Cell(_NONE) if duration_ns is None else Cell(f"{duration_ns / 1e6:.3g}", duration_ns)


def _microseconds(value: float | None) -> Cell:
    return Cell(_NONE) if value is None else Cell(f"{value:.3g}", value)
