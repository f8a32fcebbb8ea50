"""A run's summary as text: the table that is printed, and the verdict in one line."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from harness.common.text import cut, printable
from harness.report.events import event_facts, recovers_fact
from harness.report.format import duration as _duration
from harness.report.format import error_words
from harness.summary.outcome import conclude, misrouted_words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from harness.summary.run import InstanceRow, LatencySummary, Summary
    from harness.summary.service import ServiceSummary

SHOWN_IN_FULL = 40
"""With more instances than this, the table shows only the ends."""

_ENDS = 10
_LONGEST_NAME, _LONGEST_FACT = 80, 2000
_DIFFERENCES = 5
_NOTED_EFFECT = 1.05  # a smaller design effect changes no conclusion
_COLOURS = {"even": "bold green", "uneven": "bold red", "inconclusive": "bold yellow"}


def verdict_line(summary: Summary) -> str:
    """Give the verdict with what matters most, in one line."""
    units = sum(_units(summary, row) for row in summary.instances)
    parts = [f"{units:,} {summary.unit}s over {len(summary.instances)} instances"]
    deviations = [row.deviation for row in summary.instances if row.deviation is not None]
    if deviations:
        parts.append(f"worst deviation {percent_with_sign(max(deviations, key=abs))}")
    parts.append(f"tolerance {summary.tolerance * 100:.4g} %")
    if summary.routes:
        parts.insert(1, f"{len(summary.routes)} routes")
    if (test := summary.tests.fit or summary.tests.chi_square) is not None:
        parts.append(_p_value(test.p_value))
    if summary.misrouted:
        parts.append(f"{summary.misrouted:,} misrouted")
    if summary.recovers is not None:
        parts.append(f"recovers: {summary.recovers.passed}")
    not_passed = "; ".join(conclude(summary).pressing)
    words = f"; not passed: {printable(not_passed)}" if not_passed else ""
    return f"{printable(summary.name)}: {summary.verdict} ({', '.join(parts)}){words}"


def render_summary(summary: Summary, folder: Path | None, console: Console) -> None:
    """Print a run's table, tests, costs and verdict.

    Parameters
    ----------
    summary
        Names in it come from outside: markup and control characters are made harmless.
    folder
        The result's folder; None where nothing was stored.
    console
        Where to print; its encoding, width and colours are respected.
    """
    console.print(_instance_table(summary, console.encoding))
    console.print()
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value, style in facts_of(summary, console.encoding):
        facts.add_row(Text(label), Text(printable(cut(value, _LONGEST_FACT), console.encoding), style))
    console.print(facts)
    if folder is not None:
        # In one line however long, so that it can be copied.
        console.print(Text(f"result      {printable(str(folder), console.encoding)}"), soft_wrap=True)


def _units(summary: Summary, row: InstanceRow) -> int:
    return int(getattr(row, f"{summary.unit}s") or 0)


def _instance_table(summary: Summary, encoding: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("instance", overflow="fold")  # named for its route, where there are any
    counted = dict.fromkeys(["connections", "requests", f"{summary.unit}s"])
    interval = f"{summary.confidence * 100:.4g} % interval"
    share = "of route" if summary.routes else "share"
    for header in (*counted, share, interval, "expected", "deviation"):
        table.add_column(header, justify="right", overflow="fold")
    rows, left_out = list(summary.instances), 0
    if len(rows) > SHOWN_IN_FULL:
        rows.sort(key=lambda row: row.deviation or 0.0)
        left_out = len(rows) - 2 * _ENDS
        rows = rows[:_ENDS] + rows[-_ENDS:]
        table.caption = f"{left_out:,} instances between the lowest and the highest {_ENDS} are left out"
    for index, row in enumerate(rows):
        if left_out and index == _ENDS:
            table.add_row("...")
        table.add_row(
            Text(printable(cut(row.name, _LONGEST_NAME), encoding)),
            *(f"{getattr(row, column):,}" for column in counted),
            "-" if row.share is None else _percent(row.share),
            "-" if row.interval is None else _interval(*row.interval),
            _percent(row.expected_share),
            "-" if row.deviation is None else percent_with_sign(row.deviation),
        )
    return table


def facts_of(summary: Summary, encoding: str = "utf-8") -> Iterator[tuple[str, str, str]]:
    """Give label, value and style of each line below the table."""
    yield from _test_facts(summary)
    yield from route_facts(summary, encoding)
    latency = summary.latency_ns
    emulated = ", emulated" if summary.emulated else ""
    yield f"latency{emulated}", _quantiles(latency, encoding) or "no request succeeded", ""
    if sent := summary.latency_from_send_ns:
        yield "", f"from the arrival on; from the sending on: {_quantiles(sent, encoding)}", ""
    if latency.p50 is not None:
        yield "", _latency_intervals(summary, encoding), ""
    yield f"throughput{emulated}", f"{summary.throughput_per_s:,.0f} requests/s", ""
    costs = (
        (role, cost) for role, cost in summary.cpu_us_per_request.model_dump().items() if cost is not None
    )
    known_memory = summary.memory_bytes.model_dump().items()
    if known := [f"{role} {_duration(round(cost * 1e3), encoding)}" for role, cost in costs]:
        threads = f"; workers of the proxy: {summary.workers}" if summary.workers else ""
        yield f"cpu{emulated}", f"{'  '.join(known)}  per request{threads}", ""
    if memory := [f"{role} {size / 1e6:,.1f} MB" for role, size in known_memory if size]:
        yield "memory", f"{'  '.join(memory)}  at most, added up", ""
    for event in summary.events:
        yield from event_facts(event, encoding)
    yield from _error_facts(summary, encoding)
    yield from _witness_facts(summary)
    yield from _generator_facts(summary, encoding)
    for warning in summary.warnings:
        yield "warning", warning, "yellow"
    for reason in conclude(summary).pressing:
        yield "not passed", reason, "bold red"
    takes = _takes(summary)
    yield "verdict", f"{summary.verdict}: {summary.reason}{takes}", _COLOURS[summary.verdict]
    yield from _interval_facts(summary)
    if summary.expect != "even":
        as_expected = summary.verdict == summary.expect
        met = "as expected" if as_expected else "not as expected"
        yield "expected", f"{summary.expect}: {met}", "green" if as_expected else "red"
    if summary.recovers is not None:
        yield recovers_fact(summary.recovers)


def route_facts(summary: Summary, encoding: str = "utf-8") -> Iterator[tuple[str, str, str]]:
    """Give each route's requests, verdict, latency and errors."""
    for route in summary.routes:
        share = "" if route.share is None else f" ({_percent(route.share)})"
        said = (
            f"{route.name} ({route.path or route.host}): {route.requests:,} requests{share}, {route.verdict}"
        )
        if test := route.tests.chi_square:
            said += f"; chi-square {test.statistic:.2f}, {_p_value(test.p_value)}"
        latency = {"p50": route.latency_ns.p50, "p99": route.latency_ns.p99}
        known = "  ".join(
            f"{name} {_duration(value, encoding)}" for name, value in latency.items() if value is not None
        )
        told = "; ".join(part for part in (said, known, error_words(route, encoding)) if part)
        yield "route", told, {"uneven": "red", "inconclusive": "yellow"}.get(route.verdict, "")


def _error_facts(summary: Summary, encoding: str) -> Iterator[tuple[str, str, str]]:
    """Give the failed requests by what went wrong and by time, and those that went astray."""
    errors = error_words(summary, encoding)
    yield "errors", errors or "none", "red" if errors else ""
    if errors and summary.service is not None:
        yield "", in_time(summary.service), ""
    if summary.misrouted:
        yield "misrouted", misrouted_words(summary), "bold red"


def in_time(service: ServiceSummary) -> str:
    """Say when requests succeeded, where some failed."""
    parts = [f"{service.failed:,} of {service.requests:,} in {service.seconds:.1f} s"]
    if (longest := service.longest) is not None:
        lasted = longest.to_s - longest.from_s
        parts.append(f"longest time without a success {lasted:.2g} s, from {longest.from_s:.1f} s on")
    parts.append(f"{service.windows_without} of {service.windows} windows without one")
    parts.append(f"in the last one {service.last_failed:,} of {service.last_requests:,} failed")
    if service.pause_ms:
        parts.append(f"users pause up to {service.pause_ms:g} ms after failures")
    return "; ".join(parts)


def _generator_facts(summary: Summary, encoding: str) -> Iterator[tuple[str, str, str]]:
    """Give the generator's figures, and the component that limited the load."""
    generator = summary.generator
    busy = f"{generator.user}, {generator.cpu_fraction * 100:.0f} % of a core"
    if generator.limited:
        yield "generator", f"{busy}: it limited the load, and latency includes its own queue", "yellow"
    else:
        limit = f"; {generator.limit} limited the load" if generator.limit else "; nothing was used up"
        yield "generator", f"{busy}{limit}", ""
    if generator.workers:
        yield "workers", _workers(summary), ""
    if lag := generator.lag_ns:
        late = ", ".join(f"{name} {_duration(value, encoding)}" for name, value in lag.model_dump().items())
        yield "lag", f"arrivals were sent late by {late}", ""
    if generator.unsent:
        words = f"{generator.unsent:,} arrivals found no free connection before the end; raise load.users"
        yield "unsent", words, "yellow"
    if generator.resent:
        words = f"{generator.resent:,} requests were sent again: connections closed before their answer"
        yield "resent", words, "yellow"


def _test_facts(summary: Summary) -> Iterator[tuple[str, str, str]]:
    """Tell what the tests found, those alone that have something to say."""
    tests = summary.tests
    chi_square, fit = tests.chi_square, tests.fit
    if chi_square is not None and fit is not None:
        freedom = f"{chi_square.dof} degree{'' if chi_square.dof == 1 else 's'} of freedom"
        simulated = "" if fit.valid else " (simulated: few units are expected)"
        spread = "" if fit.spread == "by chance" else f"; {fit.spread} than chance allows"
        p_value = _p_value(fit.p_value)
        yield "chi-square", f"{chi_square.statistic:.2f}, {freedom}, {p_value}{simulated}{spread}", ""
    elif chi_square is not None:
        together = f"{chi_square.dof} degrees of freedom, {_p_value(chi_square.p_value)}"
        yield "chi-square", f"{chi_square.statistic:.2f}, {together}: that of all routes together", ""
    requests = tests.requests
    if requests is not None and requests.design_effect > _NOTED_EFFECT:
        naive = (
            f"chi-square {requests.chi_square.statistic:.2f} overstates {requests.design_effect:.1f} times"
        )
        right = f"{requests.corrected.statistic:.2f}, {_p_value(requests.corrected.p_value)}"
        yield "requests", f"{naive}: those of a {summary.unit} stay together; corrected {right}", ""
    if order := tests.order:
        repeats = f"repeats of the instance before: {order.repeat_ratio:.2f} of what chance gives"
        yield "order", f"{order.kind}; {repeats}", ""
    if (drift := tests.drift) and drift.varies:
        times = f"{drift.dispersion:.2f} times as much as chance explains ({_p_value(drift.p_value)})"
        what = f"counts vary between {drift.windows} time windows {times}, and carry so much less evidence"
        yield "drift", what, "yellow"
    if sequential := tests.sequential:
        when, width = sequential.decided_after_s, sequential.half_width
        undecided = summary.verdict == "inconclusive"
        ended = (
            "no verdict in the time it had" if undecided else "the evidence sufficed, but not before the end"
        )
        if when is not None:
            ended = f"the evidence sufficed after {when:.1f} s"
        known = f"; shares known to ±{width * 100:.1f} %" if width and summary.verdict != "uneven" else ""
        yield "until", f"{ended}, {len(sequential.looks)} looks{known}", ""


def _quantiles(latency: LatencySummary, encoding: str) -> str:
    quantiles = zip(("p50", "p90", "p99", "p99.9", "max"), latency.model_dump().values(), strict=True)
    return "  ".join(f"{name} {_duration(value, encoding)}" for name, value in quantiles if value is not None)


def _latency_intervals(summary: Summary, encoding: str) -> str:
    """Write the intervals of the usual and of the slow request, those that there are."""
    intervals = {"p50": summary.latency_intervals_ns.p50, "p99": summary.latency_intervals_ns.p99}
    written = []
    for name, interval in intervals.items():
        if interval is None:
            written.append(f"{name} not to be had")
        else:
            low, high = (_duration(end, encoding) for end in interval)
            value, unit = low.split()
            written.append(f"{name} {value if high.endswith(f' {unit}') else low} - {high}")
    if not any(intervals.values()):
        return "no intervals: requests are too few, or latency changed slowly during the run"
    return f"{summary.confidence * 100:.4g} % intervals: {', '.join(written)}"


def _witness_facts(summary: Summary) -> Iterator[tuple[str, str, str]]:
    witnesses = summary.witnesses
    if witnesses.agree is None:
        yield "witnesses", "client alone: no other counter", ""
    elif witnesses.agree:
        present = [name for name in ("client", "instances", "kernel", "proxy") if _counted(summary, name)]
        yield "witnesses", " = ".join(present), ""
    for difference in witnesses.differences[:_DIFFERENCES]:
        yield "witnesses", difference, "yellow"
    if len(witnesses.differences) > _DIFFERENCES:
        more = len(witnesses.differences) - _DIFFERENCES
        yield "witnesses", f"and {more:,} more differences, all of them in summary.json", "yellow"


def _counted(summary: Summary, witness: str) -> bool:
    totals = getattr(summary.witnesses, witness)
    return totals is not None and (totals.connections is not None or totals.requests is not None)


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.{2 if fraction >= 0.02 else 3}f} %"


def _interval(low: float, high: float) -> str:
    digits = 2 if high >= 0.02 else 3
    return f"{low * 100:.{digits}f}-{high * 100:.{digits}f} %"


def percent_with_sign(fraction: float) -> str:
    """Write a deviation as a percentage."""
    # Adding 0 makes the negative zero that rounding leaves a positive one.
    return f"{round(fraction * 100, 1) + 0.0:+.1f} %"


_BOTH_RIGHT = (
    "some reach out of their band beside an even verdict, and both are right: all hold at once, on both "
    "sides; the verdict asks of each share alone whether it lies within its band, which takes fewer units"
)


def _interval_facts(summary: Summary) -> Iterator[tuple[str, str, str]]:
    """Explain an interval that is wider than the band in which its share is shown to lie."""
    bands = {band.name: band for band in summary.tests.tolerance.instances}
    reach_out = any(
        row.interval is not None
        and row.name in bands
        and (row.interval[0] < bands[row.name].lower_bound or row.interval[1] > bands[row.name].upper_bound)
        for row in summary.instances
    )
    if summary.verdict == "even" and reach_out:
        yield "intervals", _BOTH_RIGHT, ""


def _takes(summary: Summary) -> str:
    """Say how long one has to wait for what is lacking."""
    more, seconds = summary.tests.tolerance.more_units, summary.tests.tolerance.more_seconds
    if seconds is not None:
        return f" (they take {roughly(seconds)} at the measured rate)"
    if more is None or summary.unit == "request" or summary.tests.tolerance.most_units is not None:
        return ""  # or the reason has said it
    if locustfile := summary.scenario.get("load", {}).get("locustfile"):
        name = printable(PurePath(locustfile).name)
        return f" (a longer load alone would bring none: the users of {name} keep their connections)"
    key = "load.connections" if summary.unit == "connection" else "load.sources"
    return f" (a longer load alone would bring none; see {key})"


def roughly(seconds: float) -> str:
    """Write how long to wait for something, with two digits."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{float(f'{seconds / size:.2g}'):,g} {unit}"
    return f"{float(f'{seconds:.2g}'):g} s"


def _p_value(p_value: float) -> str:
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"


def _workers(summary: Summary) -> str:
    """Give the workers' shares of the load, and how far apart their clocks were."""
    workers = summary.generator.workers
    words = (
        f"{len(workers)} shared the load: {' + '.join(f'{worker.requests:,}' for worker in workers)} requests"
    )
    far = [worker for worker in workers if not worker.same_clock]
    if not far:
        return f"{words}, one clock"
    offsets = (
        f"worker {worker.number} {worker.offset_ns / 1e6:+,.3f} ms ± {worker.uncertainty_ns / 1e6:,.3f} ms"
        for worker in far
    )
    return f"{words}; clocks ahead of this one: {', '.join(offsets)}"
