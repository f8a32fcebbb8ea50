"""`harness plot`: pictures of stored results."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completing import RegisteredName, ResultPath
from harness.cli.options import output_option
from harness.errors import ResultError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.recording.table import Recording
    from harness.report.plots.kind import PlotKind, Source
    from harness.report.plots.style import Picture
    from harness.results.stored import Stored
    from harness.summary.run import Summary
    from harness.summary.suite import SuiteSummary


class _Plot(click.Command):
    """The command, whose help lists the kinds of plots that there are."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from harness.report.plots import plot_kinds

        super().format_help_text(ctx, formatter)
        with formatter.section("Kinds"):
            formatter.write_dl([(kind.name, kind.shows) for kind in plot_kinds()])


def _names() -> list[str]:
    from harness.report.plots import PLOTS

    return [*PLOTS.names(), "all"]


@click.command(cls=_Plot)
@click.argument("results", nargs=-1, required=True, type=ResultPath(), metavar="RESULT...")
@click.option(
    "--kind",
    "kinds",
    type=RegisteredName("kind", _names),
    multiple=True,
    default=("all",),
    help="What to draw.  [default: all that these results have] May be repeated.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["png", "svg"]),
    default="png",
    show_default=True,
    help="The format of the files.",
)
@output_option(Path("plots"), "The folder for the pictures; files of the same name are replaced.")
def plot(results: tuple[Path, ...], kinds: tuple[str, ...], format_: str, output: Path) -> int:
    """Draw RESULTs: shares, latency, cost, and how results compare.

    A result is a folder that `harness run` wrote. A folder of results stands for all in it, condensed ones,
    such as those in results/reference, too. The output of `harness suite --json` is accepted as well: its
    matrix shows what was skipped or not possible.

    \b
    Examples:
      harness plot results/dnat-10-20260102-030405
      harness plot results/dnat-10-* results/haproxy-10-* --kind slope --format svg
      harness plot results --kind matrix --kind cost --output pictures
    """
    from harness.common.text import printable
    from harness.report.plots import PLOTS, plot_kinds

    suites, stored = _found(results)
    sources = _sources(stored)
    if "all" in kinds:
        wanted = [kind for kind in plot_kinds() if _fits(kind, stored, sources, suites)]
    else:
        wanted = [PLOTS.find(name) for name in dict.fromkeys(kinds)]
    output = _made(output)
    for kind in wanted:
        for name, draw in _pictures(kind, stored, sources, suites):
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


def _sources(stored: Sequence[Stored]) -> list[Source]:
    """Give what plots draw; labels are the scenarios' names where those differ, else the results'."""
    from harness.report.plots.kind import Source

    short = [one.summary.name for one in stored]
    labels = short if len(set(short)) == len(short) else [one.name for one in stored]
    return [
        Source(label, partial(_summary, one), partial(_recording, one))
        for label, one in zip(labels, stored, strict=True)
    ]


def _summary(one: Stored) -> Summary:
    return one.summary


def _recording(one: Stored) -> Recording:
    from harness.common.text import printable

    recording = one.recording()
    if recording is None:
        raise ResultError(
            f"{printable(one.name)}: its requests were not kept: of most condensed results, the summary "
            "alone is there; choose another --kind, or measure anew"
        )
    return recording


def _fits(
    kind: PlotKind, stored: Sequence[Stored], sources: Sequence[Source], suites: Sequence[SuiteSummary]
) -> bool:
    """Tell whether these results have such a plot: of a few, all of each; of many, what shows all of them."""
    from harness.report.plots.kind import MOST_RUNS

    if suites and kind.draw_suite is not None:
        return True
    if not stored or (kind.draws != "all" and len(stored) > MOST_RUNS):
        return False
    if kind.requests and any(one.folder is None for one in stored):
        return False
    return kind.fits(sources)


def _pictures(
    kind: PlotKind, stored: Sequence[Stored], sources: Sequence[Source], suites: Sequence[SuiteSummary]
) -> Iterator[tuple[str, Callable[[], Picture]]]:
    """Give the names of a kind's pictures, and what draws each.

    Raises
    ------
    ResultError
        These results make no such picture.
    """
    from harness.report.plots.kind import MOST_RUNS

    if kind.draw_suite is not None:
        for suite in suites:
            yield f"{_file_name(suite.name)}-{kind.name}", partial(kind.draw_suite, suite)
        if suites and not stored:
            return
    if not stored:
        raise ResultError(
            f"a suite's document alone makes no plot of kind {kind.name}; name its results' folders"
        )
    if kind.draws == "few" and len(stored) > MOST_RUNS:
        raise ResultError(
            f"a plot of kind {kind.name} has room for {MOST_RUNS} results, not {len(stored)}; name fewer"
        )
    if kind.draws == "one" or (kind.draws == "few" and len(stored) == 1):
        for one, source in zip(stored, sources, strict=True):
            yield f"{_file_name(one.name)}-{kind.name}", partial(kind.draw, [source])
    else:
        yield kind.name, partial(kind.draw, sources)


def _file_name(name: str) -> str:
    """Make a name fit to be a file's."""
    fit = "".join(char if char.isalnum() or char in "-_." else "_" for char in name).strip(".")
    return fit[:100] or "result"


def _made(folder: Path) -> Path:
    from harness.common.files import make_folder
    from harness.common.text import printable

    try:
        make_folder(folder)
    except OSError as error:
        raise ResultError(
            f"{printable(str(folder))}: can't be made: {error.strerror}; choose another folder with --output"
        ) from error
    return folder


def _write(picture: Picture, path: Path) -> None:
    from harness.common.text import printable
    from harness.report.plots.save import save

    try:
        save(picture, path)
    except OSError as error:
        raise ResultError(
            f"{printable(str(path))}: can't be written: {error.strerror}; choose another folder with --output"
        ) from error
