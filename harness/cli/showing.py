"""`harness list` and `harness show`: what there is, and what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness.cli.completing import ResultName

_RESULTS = Path("results")


@click.command("list")
@click.argument("what", type=click.Choice(["strategies", "engines", "faults", "plots", "results"]))
@click.argument("folder", type=click.Path(path_type=Path), required=False, metavar="[DIR]")
@click.option("--markdown", is_flag=True, help="Of strategies: print a page of documentation.")
@click.option("--json", "as_json", is_flag=True, help="Of results: print one line of JSON.")
def list_(what: str, folder: Path | None, *, markdown: bool, as_json: bool) -> None:
    """List the installed parts, those of other packages included, or the RESULTS in DIR.

    Scenarios name strategies, engines and faults; `harness plot` draws plots. DIR is by default the folder
    results. The oldest result comes first. `incomplete`: the run was killed. `interrupted`: Ctrl-C ended it.

    \b
    Examples:
      harness list strategies
      harness list plots
      harness list results
      harness list results measured --json | jq .results[].verdict
    """
    if what != "strategies" and markdown:
        raise click.UsageError("--markdown is for strategies; results have --json")
    if what != "results" and (folder is not None or as_json):
        raise click.UsageError("DIR and --json are for results: harness list results DIR --json")
    if what == "results":
        _list_results(folder or _RESULTS, as_json=as_json)
    elif what == "strategies":
        _list_strategies(markdown=markdown)
    else:
        _list_parts(what)


def _list_parts(what: str) -> None:
    from harness.report import parts
    from harness.report.format import standard_output

    rows = {"engines": parts.engines, "faults": parts.faults, "plots": parts.plots}[what]()
    parts.render_parts(rows, standard_output())


def _list_strategies(*, markdown: bool) -> None:
    from harness.report.format import standard_output
    from harness.report.strategies import render_strategies, strategies_page
    from harness.strategies import find_strategy, strategy_names

    strategies = [find_strategy(name) for name in strategy_names()]
    if markdown:
        click.echo(strategies_page(strategies), nl=False)
    else:
        render_strategies(strategies, standard_output())


def _list_results(folder: Path, *, as_json: bool) -> None:
    from harness.common.text import printable
    from harness.report.format import standard_output
    from harness.report.results import render_results
    from harness.results.catalogue import list_results, results_json

    listed = list_results(folder)
    if as_json:
        click.echo(results_json(listed))
    elif listed:
        render_results(listed, standard_output())
    else:
        click.echo(
            f"{printable(str(folder))}: no results; harness run SCENARIO leaves one in the folder results"
        )


@click.command()
@click.argument("result", type=ResultName())
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=_RESULTS,
    show_default=True,
    help="The folder in which RESULT is looked up.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one line of JSON.")
@click.option("--quiet", is_flag=True, help="Print the verdict line only.")
def show(result: str, results: Path, *, as_json: bool, quiet: bool) -> None:
    """Print again what a run printed, from its stored RESULT.

    RESULT is the folder of a result, its name in the folder of results, or the word latest.

    \b
    Examples:
      harness show latest
      harness show dnat-10-20260102-030405
      harness show measured/dnat-10-20260102-030405 --json | jq .latency_ns
    """
    from harness.report.format import standard_output
    from harness.report.terminal import render_summary, verdict_line
    from harness.results.catalogue import find_result
    from harness.results.reading import read_summary

    folder = find_result(result, results)
    summary = read_summary(folder)
    if as_json:
        click.echo(json.dumps(json.loads(summary.to_json())))
    elif quiet:
        click.echo(verdict_line(summary))
    else:
        render_summary(summary, folder, standard_output())
