"""Counts from elsewhere: read, judged as a run's are, and shown."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from harness.common.text import printable
from harness.report.terminal import percent_with_sign
from harness.stats.equivalence import tolerance_verdict
from harness.stats.fairness import goodness_of_fit
from harness.stats.intervals import simultaneous_intervals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from harness.stats.equivalence import ToleranceVerdict
    from harness.stats.fairness import GoodnessOfFit

_COLOURS = {"even": "bold green", "uneven": "bold red", "inconclusive": "bold yellow"}
_LARGEST = 2**53  # beyond, counts are not exact as floating-point numbers


@dataclass(frozen=True)
class Judged:
    """Counts, and everything that follows from them; without units there is no fit."""

    names: tuple[str, ...]
    counts: tuple[int, ...]
    shares: tuple[float, ...]
    tolerance: float
    confidence: float
    verdict: ToleranceVerdict
    fit: GoodnessOfFit | None
    intervals: NDArray[np.float64]


def read_csv(data: bytes) -> tuple[list[str], list[int]]:
    """Read names and counts, one pair a line; a first line without a number is a header.

    Raises
    ------
    ValueError
        A line isn't a name and a count, says which; or there is none.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"standard input is no UTF-8 text: byte {error.start + 1}") from None
    names: list[str] = []
    counts: list[int] = []
    try:
        rows = [(reader.line_num, row) for reader in [csv.reader(io.StringIO(text))] for row in reader]
    except csv.Error as error:
        raise ValueError(f"standard input is no CSV: {error}") from None
    for number, row in rows:
        fields = [field.strip() for field in row]
        if not any(fields):
            continue
        if len(fields) != 2:
            raise ValueError(f"line {number}: write two columns, name and count, not {len(fields)}")
        if not (fields[1].isascii() and fields[1].isdigit()):
            if not names and number == rows[0][0]:
                continue
            raise ValueError(
                f"line {number}: {printable(fields[1])!r} is no count; write a whole number from 0"
            )
        if int(fields[1]) > _LARGEST:
            raise ValueError(f"line {number}: {fields[1]} is too large a count")
        names.append(fields[0] or f"line {number}")
        counts.append(int(fields[1]))
    if not counts:
        raise ValueError("there are no counts; write them, or pipe a CSV of names and counts in")
    return names, counts


def weights(expected: str | None, instances: int) -> list[float]:
    """Read what the instances are to get, as in ``9:1``.

    Returns
    -------
    list of float
        Shares that add up to 1; equal ones where nothing is said.

    Raises
    ------
    ValueError
        Something else than numbers above 0 between colons, or another number of them.
    """
    if expected is None:
        return [1 / instances] * instances
    try:
        numbers = [float(part) for part in expected.split(":")]
    except ValueError:
        raise ValueError(
            f"--expected {expected}: write numbers with colons between them, as in 9:1"
        ) from None
    if len(numbers) != instances:
        raise ValueError(f"--expected {expected}: there are {instances} counts, but {len(numbers)} numbers")
    if not all(0 < number < float("inf") for number in numbers):
        raise ValueError(f"--expected {expected}: every number must be above 0; leave out instances with 0")
    return [number / sum(numbers) for number in numbers]


def judge_counts(  # noqa: PLR0913  the question has this many parts
    counts: Sequence[int],
    shares: Sequence[float],
    tolerance: float,
    confidence: float,
    *,
    names: Sequence[str] | None = None,
    seed: int = 0,
    intervals: Any = "exact",
) -> Judged:
    """Judge counts as those of a run are.

    Raises
    ------
    ValueError
        A count is too large, shares and counts don't fit each other, or a name has several counts.
    """
    if sum(counts) > _LARGEST:
        raise ValueError(f"{sum(counts):,} units are too many to count exactly")
    if twice := [name for name, lines in Counter(names or ()).items() if lines > 1]:
        raise ValueError(f"{printable(twice[0])!r} has several counts; add them up")
    labels = tuple(names or [f"instance-{number}" for number in range(1, len(counts) + 1)])
    verdict = tolerance_verdict(counts, shares, tolerance, confidence, names=labels)
    fit = goodness_of_fit(counts, shares, alpha=verdict.alpha, seed=seed) if sum(counts) else None
    spans = simultaneous_intervals(counts, confidence, intervals)
    return Judged(labels, tuple(counts), tuple(shares), tolerance, confidence, verdict, fit, spans)


def as_json(judged: Judged) -> str:
    """Give everything as one line of JSON."""
    fit, verdict = judged.fit, judged.verdict
    instances = [
        {
            "name": name,
            "count": count,
            "expected_share": share,
            "interval": interval,
            "residual": fit.residuals[i] if fit else None,
            **asdict(verdict.instances[i]),
        }
        for i, (name, count, share, interval) in enumerate(
            zip(judged.names, judged.counts, judged.shares, judged.intervals.tolist(), strict=True)
        )
    ]
    tests = {key: value for key, value in asdict(fit).items() if key != "residuals"} if fit else None
    return json.dumps(
        {
            "schema": 1,
            "verdict": verdict.verdict,
            "reason": verdict.reason,
            "tolerance": judged.tolerance,
            "confidence": judged.confidence,
            "more_units": verdict.more.units if verdict.more else None,
            "fit": tests,
            "instances": instances,
        }
    )


def render(judged: Judged, console: Console) -> None:
    """Print a table of the instances, the tests and the verdict."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("instance", overflow="fold")
    for header in ("units", "share", "expected", "deviation", f"{judged.confidence * 100:.4g} % interval"):
        table.add_column(header, justify="right", overflow="fold")
    for i, name in enumerate(judged.names):
        found, (low, high) = judged.verdict.instances[i], judged.intervals[i]
        table.add_row(
            Text(printable(name, console.encoding)),
            f"{judged.counts[i]:,}",
            "-" if found.share is None else _percent(found.share),
            _percent(judged.shares[i]),
            "-" if found.deviation is None else percent_with_sign(found.deviation),
            f"{low * 100:.2f} to {high * 100:.2f} %",
        )
    console.print(table)
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value in _facts(judged):
        facts.add_row(label, Text(printable(value, console.encoding)))
    verdict = judged.verdict
    words = printable(f"{verdict.verdict}: {verdict.reason}", console.encoding)
    facts.add_row("verdict", Text(words, _COLOURS[verdict.verdict]))
    console.print(facts)


def _facts(judged: Judged) -> Iterator[tuple[str, str]]:
    fit = judged.fit
    if fit is None or len(judged.counts) == 1:
        return
    chi_square, g_test = fit.chi_square, fit.g_test
    freedom = f"{chi_square.dof} degree{'s' * (chi_square.dof > 1)} of freedom"
    yield "chi-square", f"{chi_square.statistic:.3f}, {freedom}, p = {chi_square.p_value:.3g}"
    yield "G-test", f"{g_test.statistic:.3f}, p = {g_test.p_value:.3g}"
    if fit.simulated_p_value is not None:
        yield "simulated", f"p = {fit.simulated_p_value:.3g}, the one to read: few units are expected"
    if fit.spread != "by chance":
        p_value = fit.p_value if fit.spread == "less even" else fit.p_more_even
        yield "spread", f"{fit.spread} than chance allows (p = {p_value:.2g})"
    ratios = f"max/mean {fit.max_over_mean:.3f}, coefficient of variation {fit.coefficient_of_variation:.3f}"
    yield "evenness", f"Cohen's w {fit.cohen_w:.3f}, Jain's index {fit.jain_index:.4f}, {ratios}"


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.2f} %"
