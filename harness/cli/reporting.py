"""`harness report`: results as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import output_option
from harness.common.files import write_whole
from harness.common.text import printable
from harness.errors import ResultError


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_option(
    Path("report.html"), "The file for the page; an existing file is replaced.", metavar="FILE.html"
)
def report(results: tuple[Path, ...], output: Path) -> None:
    """Write RESULTS as one HTML page: the verdict in plain words, then tables, plots and evidence.

    A result is a folder that `harness run` wrote. A folder of results, such as a suite's, stands for all in
    it, condensed ones, too (docs/suites.md). The page is a single file that loads nothing from elsewhere:
    it can be mailed, stored or printed.

    \b
    Examples:
      harness report results/dnat-10-20260102-030405
      harness report results/dnat-10-* results/haproxy-10-* -o comparison.html
      harness report results/ -o suite.html
      harness report results/reference -o reference.html
    """
    from harness.report.html import find_results, render_page

    found = find_results(results)
    page = render_page(found)
    _write(output, page)
    count = len(found.results)
    shown = printable(str(output))
    click.echo(f"{shown}: {count:,} result{'' if count == 1 else 's'}, {len(page.encode()) / 1e6:.1f} MB")


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "is a folder; name a file in it", str(path))
        write_whole(path, text)
    except OSError as error:
        shown = printable(str(path))
        raise ResultError(f"{shown}: the report can't be written: {error.strerror}; see --output") from error
