"""`harness plot`: pictures of stored results."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completing import ResultPath
from harness.cli.options import output_option
from harness.errors import ResultError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.report.plots import Picture, Run
    from harness.results.stored import Stored
    from harness.summary.run import Summary
    from harness.summary.suite import SuiteSummary

_KINDS = ("distribution", "latency", "cdf", "timeline", "matrix", "cost", "slope")


@click.command()
@click.argument("results", nargs=-1, required=True, type=ResultPath(), metavar="RESULT...")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice([*_KINDS, "all"]),
    multiple=True,
    default=("all",),
    help="What to draw; by default all that these results have. May be repeated.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["png", "svg"]),
    default="png",
    show_default=True,
    help="Of files.",
)
@output_option(Path("plots"), "The folder for the pictures; files of the same name are replaced.")
def plot(results: tuple[Path, ...], kinds: tuple[str, ...], format_: str, output: Path) -> int:
    """Draw RESULTs: who got how much, how long it took, what it costs, and how they compare.

    A result is a folder that `harness run` left; a folder of results stands for all in it, and so does one
    of condensed results, such as those in results/reference. What
    `harness suite --json` printed can be named, too: its matrix has what was skipped or not possible.

    \b
    distribution  each instance's share, with its interval and the tolerance
    latency, cdf  latency by percentile, and as distribution function; up to 8 results in one picture
    timeline      throughput, errors, shares and latency over time, with the events
    matrix        verdicts, by strategy and replicas
    cost          processor time per request against evenness: the picture that picks a strategy
    slope         two results, or those of two scenarios, side by side
    \b
    Examples:
      harness plot results/dnat-10-20260102-030405
      harness plot results/dnat-10-* results/haproxy-10-* --kind slope --format svg
      harness plot results --kind matrix --kind cost --output pictures
    """
    from harness.common.text import printable

    suites, stored = _found(results)
    wanted = _default_kinds(stored, suites) if "all" in kinds else list(dict.fromkeys(kinds))
    output = _made(output)
    for kind in wanted:
        for name, draw in _pictures(kind, stored, suites):
            path = output / f"{name}.{format_}"
            _write(draw(), path)
            click.echo(printable(str(path)))
    return 0


def _found(paths: Sequence[Path]) -> tuple[list[SuiteSummary], list[Stored]]:
    """Sort what was named into suites' documents and results, each once."""
    from harness.common.text import printable
    from harness.results.reading import SUMMARY
    from harness.results.stored import find_results

    documents = [path for path in paths if path.is_file() and path.name != SUMMARY]
    suites = [_suite(path) for path in dict.fromkeys(documents)]
    folders = [path for path in paths if path not in documents]
    if not folders:
        return suites, []
    found = find_results(folders)
    for folder in found.incomplete:
        click.echo(f"{printable(str(folder))}: left out, it is incomplete: it has no summary.json", err=True)
    return suites, list(found.results)


def _suite(path: Path) -> SuiteSummary:
    from pydantic import ValidationError

    from harness.common.text import printable
    from harness.summary.suite import SuiteSummary

    try:
        return SuiteSummary.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ResultError(f"{printable(str(path))}: can't be read: {error.strerror}") from error
    except ValidationError as error:
        raise ResultError(
            f"{printable(str(path))}: is neither a result's folder nor what `harness suite --json` printed"
        ) from error


def _default_kinds(stored: Sequence[Stored], suites: Sequence[SuiteSummary]) -> list[str]:
    """Choose what these results have: of a few, all of each; of many, what shows all of them."""
    from harness.report.plots import MOST_RUNS

    kinds = list(_KINDS[:4]) if 1 <= len(stored) <= MOST_RUNS else []
    if len(stored) > 1 or suites:
        kinds.append("matrix")
    if len(stored) > 1 and any(_has_cost(one.summary) for one in stored):
        kinds.append("cost")
    if len(_sides(stored)) == 2:
        kinds.append("slope")
    return kinds


def _has_cost(summary: Summary) -> bool:
    from harness.report.plots.groups import cpu_in_all, worst_deviation

    return cpu_in_all(summary.cpu_us_per_request) is not None and worst_deviation(summary) is not None


def _pictures(
    kind: str, stored: Sequence[Stored], suites: Sequence[SuiteSummary]
) -> Iterator[tuple[str, Callable[[], Picture]]]:
    """Give the names of a kind's pictures, and what draws each.

    Raises
    ------
    ResultError
        These results make no such picture.
    """
    from harness.report import plots

    summaries = [one.summary for one in stored]
    if kind == "matrix":
        for suite in suites:
            yield f"{_file_name(suite.name)}-matrix", partial(plots.matrix_figure, suite)
        if stored or not suites:
            yield "matrix", partial(plots.matrix_figure, summaries)
        return
    if not stored:
        raise ResultError(f"a suite's document alone makes no plot of kind {kind}; name its results' folders")
    if kind in {"distribution", "timeline"}:
        for one in stored:
            yield f"{_file_name(one.name)}-{kind}", partial(_own, kind, one)
    elif kind in {"latency", "cdf"}:
        name = f"{_file_name(stored[0].name)}-{kind}" if len(stored) == 1 else kind
        yield name, partial(_latencies, kind, stored)
    elif kind == "cost":
        yield "cost", partial(plots.cost_figure, summaries)
    else:
        yield "slope", partial(_slope, stored)


def _own(kind: str, one: Stored) -> Picture:
    """Draw one result alone."""
    from harness.report import plots

    if kind == "distribution":
        return plots.distribution_figure(one.summary)
    return plots.timeline_figure(_run(one, one.name).recording, one.summary)


def _latencies(kind: str, stored: Sequence[Stored]) -> Picture:
    from harness.report import plots

    if len(stored) > plots.MOST_RUNS:
        raise ResultError(
            f"a plot of kind {kind} has room for {plots.MOST_RUNS} results, not {len(stored)}; name fewer"
        )
    short = [one.summary.name for one in stored]
    names = short if len(set(short)) == len(short) else [one.name for one in stored]
    runs = [_run(one, name) for one, name in zip(stored, names, strict=True)]
    if kind == "cdf":
        return plots.cdf_figure(runs)
    if len(runs) == 1:
        return plots.latency_figure(runs[0].recording, runs[0].summary)
    return plots.latencies_figure(runs)


def _run(one: Stored, label: str) -> Run:
    from harness.common.text import printable
    from harness.report.plots import Run

    recording = one.recording()
    if recording is None:
        raise ResultError(
            f"{printable(one.name)}: its requests were not kept: of most condensed results, the summary "
            "alone is there; choose another --kind, or measure anew"
        )
    return Run(label, recording, one.summary)


def _slope(stored: Sequence[Stored]) -> Picture:
    from harness.report import plots

    sides = _sides(stored)
    if len(sides) != 2:
        raise ResultError(
            "a plot of kind slope compares two results, or those of two scenarios; "
            f"these are {len(stored)} of {len(sides)}"
        )
    (before, first), (after, second) = sides.items()
    return plots.slope_figure(before, first, after, second)


def _sides(stored: Sequence[Stored]) -> dict[str, list[Summary]]:
    """Put results into sets to be compared: two are a set each, more are sorted by their scenarios."""
    sides: dict[str, list[Summary]] = {}
    alone = len(stored) == 2 and stored[0].summary.name == stored[1].summary.name
    for number, one in enumerate(stored, 1):
        name = one.name if alone else one.summary.name
        if alone and name in sides:
            name = f"{name} ({number})"
        sides.setdefault(name, []).append(one.summary)
    return sides


def _file_name(name: str) -> str:
    """Make a name fit to be a file's."""
    fit = "".join(char if char.isalnum() or char in "-_." else "_" for char in name).strip(".")
    return fit[:100] or "result"


def _made(folder: Path) -> Path:
    from harness.common.text import printable

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultError(
            f"{printable(str(folder))}: can't be made: {error.strerror}; choose another folder with --output"
        ) from error
    return folder


def _write(picture: Picture, path: Path) -> None:
    from harness.common.text import printable
    from harness.report.plots import save

    try:
        save(picture, path)
    except OSError as error:
        raise ResultError(
            f"{printable(str(path))}: can't be written: {error.strerror}; choose another folder with --output"
        ) from error
