"""The command `harness`: parse, call, print."""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness import __version__
from harness.errors import HarnessError, RefusedError, defect
from harness.interrupts import Terminated, end_on_sigterm

if TYPE_CHECKING:
    from harness.doctor import Finding
    from harness.runner import Outcome
    from harness.scenario import Scenario


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    """Measure how evenly N instances share one port of one Linux machine.

    \b
    Start with:  harness run scenarios/dnat-10.yaml
    If it fails: harness doctor
    """


@cli.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, as in load.users=20."
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="The folder that result folders are made in.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, one line a run.")
@click.option("--quiet", is_flag=True, help="Print the verdict line only.")
def run(scenario: Path, overrides: tuple[str, ...], results: Path, *, as_json: bool, quiet: bool) -> int:
    """Run SCENARIO and judge how even its distribution is.

    It builds a throw-away host, starts the instances, exposes them by the scenario's strategy, drives
    the load, and leaves a result folder. Nothing of this machine's own network is touched; root is
    not needed.

    \b
    Exit status: 0 even (or whatever the scenario expects), 1 uneven, 3 inconclusive, 2 for every
    error, 130 after Ctrl-C.

    \b
    Examples:
      harness run scenarios/dnat-10.yaml
      harness run scenarios/dnat-10.yaml --set replicas=4 --set load.duration=5s
      harness run scenarios/dnat-10.yaml --json | jq .verdict
    """
    from harness.report.progress import Progress
    from harness.runner import run as run_once
    from harness.scenario import load_scenario

    loaded = load_scenario(scenario, overrides)
    status = 0
    for repeat_index in range(loaded.repeat):
        progress = Progress(quiet=quiet or (as_json and not sys.stderr.isatty()))
        try:
            outcome = run_once(loaded, results, progress, repeat_index)
        except RefusedError as error:
            if loaded.expect != "refused":
                raise
            progress.close()
            _show_refusal(loaded, error, as_json=as_json)
            continue
        finally:
            progress.close()
        status = _worse(status, _show(outcome, as_json=as_json, quiet=quiet))
        if outcome.interrupted:
            return 130
    return status


def _show(outcome: Outcome, *, as_json: bool, quiet: bool) -> int:
    from rich.console import Console

    from harness.report.terminal import render_summary, verdict_line
    from harness.summary import exit_status

    if as_json:
        click.echo(json.dumps(json.loads(outcome.summary.to_json())))
    elif quiet:
        click.echo(verdict_line(outcome.summary))
    else:
        render_summary(outcome.summary, outcome.folder, Console())
    return exit_status(outcome.summary)


def _show_refusal(scenario: Scenario, error: RefusedError, *, as_json: bool) -> None:
    from harness.summary import Refusal
    from harness.words import printable

    if as_json:
        refusal = Refusal(name=scenario.name, strategy=scenario.strategy.name, reason=str(error))
        click.echo(refusal.to_json(), nl=False)
    else:
        click.echo(printable(f"{scenario.name}: refused, as expected: {error}"))


def _worse(one: int, other: int) -> int:
    """Of two exit statuses, the one that says more: uneven, then inconclusive, then even."""
    return max(one, other, key=(0, 3, 1).index)


@cli.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--repeat",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="How many times each scenario is run; by default as the files say.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    metavar="N",
    help="Shuffles the order of the runs; by default as the file says, or 0.",
)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key in all scenarios."
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="The folder that result folders are made in.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as one line of JSON.")
@click.option("--quiet", is_flag=True, help="Print the last line only.")
def suite(  # noqa: PLR0913  one for each option
    paths: tuple[Path, ...],
    repeat: int | None,
    seed: int | None,
    overrides: tuple[str, ...],
    results: Path,
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run many scenarios, and compare them in one table.

    PATHS are scenario files, suite files (docs/suites.md), and folders, of which each *.yaml is
    meant. All of them are checked before anything runs. One run follows the other, in rounds of a
    shuffled order, so that a drift of the machine hits all scenarios alike. A scenario that fails
    does not stop the others.

    \b
    Exit status: 0 all as expected (what this kernel lacks is skipped and listed), 1 some not,
    3 none worse than inconclusive, 2 for wrong files, 130 after Ctrl-C.

    \b
    Examples:
      harness suite scenarios/
      harness suite scenarios/suites/all.yaml --set load.duration=1s
      harness suite scenarios/dnat-10.yaml scenarios/nft-random-10.yaml --repeat 5
    """
    from rich.console import Console

    from harness.report.progress import Progress
    from harness.report.suite import closing_line, render_suite
    from harness.suite.file import read_suite
    from harness.suite.running import SuiteRun

    planned = read_suite(paths, overrides, repeat=repeat, seed=seed)
    progress = Progress(quiet=quiet or (as_json and not sys.stderr.isatty()), fleeting=True)
    running = SuiteRun(planned, results, progress)
    try:
        summary = running.run()
    finally:
        progress.close()
    if as_json:
        click.echo(summary.to_json())
    elif quiet:
        click.echo(closing_line(summary))
    else:
        render_suite(summary, Console())
    return running.exit_status(summary)


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key in all of them.")
def validate(files: tuple[Path, ...], overrides: tuple[str, ...]) -> int:
    """Check scenario and suite FILES without running them.

    \b
    Every problem is told with its place: file:line:column. Exit status: 0 if all are right, else 2.
    """
    from harness.errors import ScenarioError
    from harness.suite.file import read_suite

    status = 0
    for file in files:
        try:
            found = read_suite([file], overrides)
        except ScenarioError as error:
            click.echo(str(error), err=True)
            status = 2
        else:
            count = len(found.scenarios)
            click.echo(f"{file}: right" if count == 1 else f"{file}: right, {count:,} scenarios")
    return status


@cli.command()
@click.argument(
    "what", type=click.Choice(["scenario", "suite", "summary", "suite-summary"]), default="scenario"
)
def schema(what: str) -> None:
    """Print the JSON Schema of scenario or suite files (for editors), or of what runs or suites print."""
    from harness.scenario.schema import scenario_schema
    from harness.suite.schema import suite_schema
    from harness.suite.summary import suite_summary_schema
    from harness.summary import summary_schema

    make = {
        "scenario": scenario_schema,
        "suite": suite_schema,
        "summary": summary_schema,
        "suite-summary": suite_summary_schema,
    }
    click.echo(json.dumps(make[what](), indent=2))


@cli.command("list")
@click.argument("what", type=click.Choice(["strategies"]))
@click.option("--markdown", is_flag=True, help="Write a page with all that they say.")
def list_(what: str, *, markdown: bool) -> None:
    """List the STRATEGIES that scenarios can name, and what each says of itself."""
    del what
    from rich.console import Console

    from harness.report.strategies import render_strategies, strategies_page
    from harness.strategies import find_strategy, strategy_names

    strategies = [find_strategy(name) for name in strategy_names()]
    if markdown:
        click.echo(strategies_page(strategies), nl=False)
    else:
        render_strategies(strategies, Console())


@cli.command()
def doctor() -> int:
    """Try every host, engine and strategy on this machine, and say what would mend what fails.

    \b
    Exit status: 0 if everything works but what this kernel lacks, 1 if something is missing.
    """
    from harness.doctor import examine

    works = True
    for finding in examine():
        _tell(finding)
        works = works and finding.state != "missing"
    return 0 if works else 1


def _tell(finding: Finding) -> None:
    colours = {"works": "green", "missing": "red", "lacking": "yellow"}
    mark = click.style(f"{finding.state:<7}", fg=colours[finding.state], bold=finding.state == "missing")
    click.echo(f"{mark}  {finding.kind:<8}  {finding.name:<20}  {finding.detail}")
    if finding.mend:
        click.echo(f"{'':<41}mend it: {finding.mend}")


def main() -> int:
    """Run the command; whatever goes wrong is told in a line or two, never in a traceback."""
    # A run lasts seconds and ends with its process; the collector would walk half a million objects of
    # libraries many times over, and once more at the end: half a second in all.
    gc.disable()
    end_on_sigterm()
    try:
        status = _run_command()
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # click turns the one into the other
        from harness.report.progress import silence

        silence(sys.stdout)
        silence(sys.stderr)
        status = 2
    gc.freeze()
    return status


def _run_command() -> int:
    try:
        return cli.main(standalone_mode=False) or 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
    except HarnessError as error:
        _complain(str(error))
    except (KeyboardInterrupt, click.Abort) as error:
        click.echo("interrupted: everything that was started has ended; nothing was stored", err=True)
        return 143 if isinstance(error.__cause__ or error, Terminated) else 130  # click wraps it
    except BrokenPipeError:
        raise
    except Exception as error:
        if os.environ.get("HARNESS_DEBUG"):
            raise
        _complain(defect(error))
    return 2


def _complain(message: str) -> None:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)


if __name__ == "__main__":
    sys.exit(main())
