"""`harness validate`, `plan` and `schema`: what files may say, and what they would do."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completing import Override, ScenarioFile

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("files", nargs=-1, required=True, type=ScenarioFile())
@click.option(
    "--set",
    "overrides",
    multiple=True,
    type=Override(),
    metavar="KEY=VALUE",
    help="Override a key in all of them.",
)
def validate(files: tuple[Path, ...], overrides: tuple[str, ...]) -> int:
    """Check scenario and suite FILES without running them.

    \b
    Every problem is printed with file:line:column. Exit status: 0 if all are right, else 2.
    """
    from harness.errors import ScenarioError
    from harness.suite.file import Planned, read_suite

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
            planned = [one.scenario for one in found.scenarios if isinstance(one, Planned)]
            for remark in dict.fromkeys(words for one in planned for words in one.remarks()):
                click.echo(f"{file}: remark: {remark}")
    return status


class _Rate(click.ParamType[Any]):
    """A rate as scenario files have it, read as a number a second."""

    name = "rate"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from harness.common.quantities import parse_rate

        try:
            rate = parse_rate(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return rate if rate > 0 else self.fail(f"{value} is out of range; write more than 0/s", param, ctx)


@click.command()
@click.argument("scenario", type=ScenarioFile())
@click.option(
    "--set",
    "overrides",
    multiple=True,
    type=Override(),
    metavar="KEY=VALUE",
    help="Override a key, as in tolerance=5%.",
)
@click.option(
    "--rate",
    type=_Rate(),
    metavar="3000/s",
    help="The rate of requests, to calculate how long the load takes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the sample size as one line of JSON.")
def plan(scenario: Path, overrides: tuple[str, ...], rate: float | None, *, as_json: bool) -> None:
    """Print how much data a verdict on SCENARIO takes, and what a run would set up. Nothing is run.

    First, how many units (the connections, requests or sources that the strategy balances) show that a
    fair strategy is fair, and how long they take. Then, in order, every address, program, rule and
    configuration file of a run.

    \b
    Examples:
      harness plan scenarios/dnat-10.yaml --rate 3000/s
      harness plan scenarios/dnat-10.yaml --set tolerance=2% --set load.until=verdict
    """
    from harness.plan.dry_run import provisioned
    from harness.plan.sample_size import needs_of
    from harness.report.plan import needs_text, plan_text
    from harness.scenario import load_scenario

    loaded = load_scenario(scenario, overrides)
    needs = needs_of(loaded)
    if as_json:
        click.echo(json.dumps({"name": loaded.name, **asdict(needs)}))
        return
    encoding = sys.stdout.encoding or "ascii"
    click.echo(needs_text(loaded, needs, rate, encoding))
    click.echo(plan_text(provisioned(loaded), encoding), nl=False)


@click.command()
@click.argument(
    "what", type=click.Choice(["scenario", "suite", "summary", "suite-summary"]), default="scenario"
)
def schema(what: str) -> None:
    """Print the JSON Schema of scenario or suite files, or of the JSON output of runs or suites."""
    from harness.scenario.schema import scenario_schema
    from harness.suite.schema import suite_schema
    from harness.summary.run import summary_schema
    from harness.summary.suite import suite_summary_schema

    make = {
        "scenario": scenario_schema,
        "suite": suite_schema,
        "summary": summary_schema,
        "suite-summary": suite_summary_schema,
    }
    click.echo(json.dumps(make[what](), indent=2))
