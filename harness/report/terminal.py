"""What a run says on the terminal: its progress on standard error, its summary on standard output."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from harness.summary import InstanceRow, Summary

SHOWN_IN_FULL = 40
"""With more instances than this, the table shows only the ends."""

_ENDS = 10
_DIFFERENCES = 5
_COLOURS = {"even": "bold green", "uneven": "bold red", "inconclusive": "bold yellow"}
_PLAIN_EVERY_S = 2.0
_BAR = 20


class Progress:
    """Says which phase a run is in, and for how long each took.

    On a terminal, the last line is rewritten in place; the cursor is never hidden, so nothing has to
    be restored when the process is killed. Elsewhere, a phase is a line, and live figures come every
    two seconds at most. When nobody can read any more, it falls silent.

    Parameters
    ----------
    quiet
        Say nothing.
    file
        Where to; standard error by default.
    """

    def __init__(self, *, quiet: bool = False, file: TextIO | None = None) -> None:
        self._file = None if quiet else file or sys.stderr
        self._columns = _columns(self._file)
        self._encoding = getattr(self._file, "encoding", None) or "ascii"
        self._phase: str | None = None
        self._detail = ""
        self._began_s = 0.0
        self._said_s = 0.0

    def phase(self, name: str, detail: str = "") -> None:
        """Finish the former phase and start another."""
        self._finish()
        self._phase = name
        self._detail = f" ({printable(detail, self._encoding)})" if detail else ""
        self._began_s = self._said_s = time.monotonic()
        self._rewrite(f"{name}{self._detail} ...")

    def live(self, elapsed_s: float, total_s: float, requests: int, rate_per_s: float, errors: int) -> None:
        """Show how far the load is."""
        name = self._phase or "load"
        figures = (
            f"{elapsed_s:.0f}/{total_s:.0f} s, {requests:,} requests, {rate_per_s:,.0f}/s, {errors:,} errors"
        )
        if self._columns:
            done = round(_BAR * min(max(elapsed_s / total_s, 0.0), 1.0)) if total_s > 0 else _BAR
            self._rewrite(f"{name} [{'#' * done}{'-' * (_BAR - done)}] {figures}")
        elif time.monotonic() - self._said_s >= _PLAIN_EVERY_S:
            self._said_s = time.monotonic()
            self._write(f"{name}: {figures}\n")

    def close(self) -> None:
        """Finish the last phase; what is written next starts on a line of its own."""
        self._finish()
        self._file = None

    def _finish(self) -> None:
        if self._phase is None:
            return
        line = f"{self._phase}{self._detail}: {time.monotonic() - self._began_s:.1f} s"
        self._phase = None
        self._rewrite(line)
        self._write("\n" if self._columns else f"{line}\n")

    def _rewrite(self, line: str) -> None:
        """Replace the last line, on a terminal only."""
        if self._columns:
            # A line that wraps could not be replaced. ECMA-48: CSI 2 K erases the line.
            self._write(f"\r\x1b[2K{line[: self._columns - 1]}")

    def _write(self, text: str) -> None:
        if self._file is None:
            return
        try:
            self._file.write(text)
            self._file.flush()
        except (OSError, ValueError):
            # Broken pipe, or a closed file: progress is no reason for a run to fail.
            self._file = None


def verdict_line(summary: Summary) -> str:
    """Give the verdict with what matters most, in one line."""
    units = sum(_units(summary, row) for row in summary.instances)
    parts = [f"{units:,} {summary.unit}s over {len(summary.instances)} instances"]
    deviations = [row.deviation for row in summary.instances if row.deviation is not None]
    if deviations:
        parts.append(f"worst deviation {_signed_percent(max(deviations, key=abs))}")
    parts.append(f"tolerance {summary.tolerance * 100:.4g} %")
    if summary.tests.chi_square is not None:
        parts.append(_p_value(summary.tests.chi_square.p_value))
    return f"{printable(summary.name)}: {summary.verdict} ({', '.join(parts)})"


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
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value, style in _facts(summary, console.encoding):
        facts.add_row(Text(label), Text(printable(value, console.encoding), style))
    console.print(facts)
    if folder is not None:
        # In one line however long, so that it can be copied.
        console.print(Text(f"result      {printable(str(folder), console.encoding)}"), soft_wrap=True)


def printable(text: str, encoding: str = "utf-8") -> str:
    """Write as escapes what is no visible character, or what an encoding lacks."""
    visible = "".join(char if char.isprintable() else _escape(char) for char in text)
    return visible.encode(encoding, "backslashreplace").decode(encoding)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _columns(file: TextIO | None) -> int:
    """Give a terminal's width; 0 for what is no terminal, or one that can't rewrite a line."""
    try:
        if file is None or not file.isatty() or os.environ.get("TERM") == "dumb":
            return 0
        return os.get_terminal_size(file.fileno()).columns or 80
    except (OSError, ValueError):
        return 0


def _units(summary: Summary, row: InstanceRow) -> int:
    return {"connection": row.connections, "request": row.requests, "source": row.sources}[summary.unit]


def _instance_table(summary: Summary, encoding: str) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("instance", overflow="fold")
    counted = ["connections", "requests", *(["sources"] if summary.unit == "source" else [])]
    for header in (*counted, "share", "expected share", "deviation"):
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
            Text(printable(row.name, encoding)),
            *(f"{getattr(row, column):,}" for column in counted),
            "-" if row.share is None else _percent(row.share),
            _percent(row.expected_share),
            "-" if row.deviation is None else _signed_percent(row.deviation),
        )
    return table


def _facts(summary: Summary, encoding: str) -> Iterator[tuple[str, str, str]]:
    """Give label, value and style of each line below the table."""
    chi_square = summary.tests.chi_square
    if chi_square is not None:
        freedom = f"{chi_square.dof} degree{'' if chi_square.dof == 1 else 's'} of freedom"
        yield "chi-square", f"{chi_square.statistic:.2f}, {freedom}, {_p_value(chi_square.p_value)}", ""
    latency = summary.latency_ns
    quantiles = zip(("p50", "p90", "p99", "p99.9", "max"), latency.model_dump().values(), strict=True)
    known = [f"{name} {_duration(value, encoding)}" for name, value in quantiles if value is not None]
    yield "latency", "  ".join(known) or "no request succeeded", ""
    yield "throughput", f"{summary.throughput_per_s:,.0f} requests/s", ""
    errors = ", ".join(f"{count:,} {name}" for name, count in summary.errors.items())
    yield "errors", errors or "none", "red" if errors else ""
    yield from _witness_facts(summary)
    busy = f"{summary.generator.cpu_fraction * 100:.0f} % of a core"
    if summary.generator.limited:
        yield "generator", f"{busy}: latency includes the generator's own queue", "yellow"
    else:
        yield "generator", busy, ""
    for warning in summary.warnings:
        yield "warning", warning, "yellow"
    yield "verdict", f"{summary.verdict}: {summary.reason}", _COLOURS[summary.verdict]
    if summary.expect != "even":
        met = "as expected" if summary.passed else "not as expected"
        yield "expected", f"{summary.expect}: {met}", "green" if summary.passed else "red"


def _witness_facts(summary: Summary) -> Iterator[tuple[str, str, str]]:
    witnesses = summary.witnesses
    if witnesses.agree is None:
        yield "witnesses", "client alone: nobody else counted", ""
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


def _signed_percent(fraction: float) -> str:
    # Adding 0 makes the negative zero that rounding leaves a positive one.
    return f"{round(fraction * 100, 1) + 0.0:+.1f} %"


def _p_value(p_value: float) -> str:
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"


def _duration(duration_ns: int, encoding: str) -> str:
    """Write a duration with the unit that needs the fewest digits."""
    if duration_ns < 1_000_000:
        micro = "u" if printable("µ", encoding) != "µ" else "µ"
        return f"{duration_ns / 1e3:.3g} {micro}s"
    return f"{duration_ns / 1e6:.3g} ms" if duration_ns < 999_500_000 else f"{duration_ns / 1e9:.3g} s"
