"""`harness check`, `baseline` and `fairness`: judge what was measured."""

from __future__ import annotations

import os
import sys
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completing import ResultPath
from harness.cli.options import output_option
from harness.errors import HarnessError, ResultError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.gate.checks import Check

_EXIT = {"passed": 0, "failed": 1, "inconclusive": 3}
_BASELINES = Path("results/baselines")


class _Percentage(click.ParamType[Any]):
    """A percentage as scenario files have it, read as a fraction."""

    name = "percentage"
    most: float = 1

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from harness.common.quantities import parse_percentage

        if isinstance(value, float):
            return value
        try:
            fraction = parse_percentage(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not 0 < fraction < self.most:
            below = "" if self.most == inf else " and less than 100%"
            self.fail(f"{value} is out of range; write more than 0%{below}", param, ctx)
        return fraction


class _Increase(_Percentage):
    """A percentage that something may grow by: to three times as much, for instance."""

    most = inf


class _QuantileTolerance(_Increase):
    """A latency quantile and its tolerance: p99=20%."""

    name = "quantile=percentage"

    def convert(  # type: ignore[override]  # a pair where the parent gives the number alone
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        from harness.gate.checks import QUANTILES

        quantile, _, percentage = str(value).partition("=")
        if quantile not in QUANTILES:
            self.fail(f"{value!r}: write one of {', '.join(QUANTILES)}, '=' and a percentage", param, ctx)
        return quantile, super().convert(percentage, param, ctx)


@click.command()
@click.argument("results", nargs=-1, required=True, type=ResultPath())
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="DIR|FILE",
    help="Compare with this baseline, or with the scenario's in this folder.",
)
@click.option("--tolerance", type=_Percentage(), metavar="10%", help="Replace the scenario's tolerance.")
@click.option(
    "--latency-tolerance",
    "latency",
    type=_QuantileTolerance(),
    multiple=True,
    metavar="p99=20%",
    help="Fail above this increase of p50, p90, p99, p99.9 or max over the baseline. May be repeated.",
)
@click.option(
    "--cpu-tolerance",
    "cpu",
    type=_Increase(),
    metavar="20%",
    help="Fail above this increase of processor time per request over the baseline.",
)
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Also write JUnit XML.")
@click.option("--github", is_flag=True, help="Print GitHub annotations, and add to the summary of the step.")
@click.option("--json", "json_", is_flag=True, help="Print the checks as one line of JSON.")
def check(  # noqa: PLR0913  one for each option
    results: tuple[Path, ...],
    baseline: Path | None,
    tolerance: float | None,
    latency: tuple[tuple[str, float], ...],
    cpu: float | None,
    *,
    junit: Path | None,
    github: bool,
    json_: bool,
) -> int:
    """Pass or fail stored RESULTS, in a CI job for example.

    A result is a folder that `harness run` wrote. Each is checked against its own scenario: the verdict
    is the expected one, the result is complete, and the counts of client, instances and kernel or proxy
    agree. With a baseline, shares and errors are compared with it; on request, latency and processor
    time, too. Several results of one scenario are compared together. What the data cannot show is
    inconclusive, never passed: latency, for example, needs several runs on both sides.

    \b
    Exit status: 0 all passed, 1 some failed, 3 none failed but some inconclusive, 2 for every error.

    \b
    Examples:
      harness check results/dnat-10-20260102-030405
      harness check results/dnat-10-* --baseline results/baselines
      harness check results/dnat-10-* --baseline results/baselines --latency-tolerance p99=20%
    """
    if baseline is None and (latency or cpu is not None):
        raise click.UsageError("latency and processor time are compared with a --baseline; name one")
    checks = _checked(results, baseline, tolerance, dict(latency), cpu)
    return _tell(checks, junit, github=github, json_=json_)


def _checked(
    results: tuple[Path, ...],
    baseline: Path | None,
    tolerance: float | None,
    latency: dict[str, float],
    cpu: float | None,
) -> list[Check]:
    from harness.gate.baseline import read_baseline
    from harness.gate.checks import Limits, check_against, check_alone
    from harness.results.reading import read_results

    limits = Limits(tolerance, latency, cpu)
    checks: list[Check] = []
    for name, own in read_results(results).items():
        for folder, summary in own:
            checks += check_alone(folder, summary, limits)
        if baseline is not None:
            summaries = [summary for _, summary in own]
            checks += check_against(summaries, read_baseline(baseline, name), limits)
    return checks


def _tell(checks: Sequence[Check], junit: Path | None, *, github: bool, json_: bool) -> int:
    from harness.report import gate
    from harness.report.format import standard_output

    if json_:
        click.echo(gate.as_json(checks))
    else:
        gate.render_checks(checks, standard_output())
    if junit is not None:
        _write(junit, gate.as_junit(checks), "w")
    if github:
        # Standard output is for --json alone, where that is given; GitHub reads both.
        for line in gate.as_annotations(checks):
            click.echo(line, err=json_)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            _write(Path(summary), gate.as_markdown(checks), "a")
    return _EXIT[gate.overall(checks)]


def _write(path: Path, text: str, mode: str) -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ResultError(f"{path}: can't be written: {error.strerror}") from error


@click.command()
@click.argument("results", nargs=-1, required=True, type=ResultPath())
@output_option(_BASELINES, "The folder for the baselines, one file for each scenario.", former="--baselines")
def baseline(results: tuple[Path, ...], output: Path) -> int:
    """Store RESULTS as the baseline that `harness check` compares later results with.

    All results of one scenario make one baseline, which replaces the former one. Only results that
    passed are accepted. Latency and processor time can be compared only if there are several.

    \b
    Example:
      harness run scenarios/dnat-10.yaml --set repeat=3
      harness baseline results/dnat-10-*
    """
    from harness.gate.baseline import baseline_of, write_baseline
    from harness.results.reading import read_results

    made = [baseline_of([summary for _, summary in own]) for own in read_results(results).values()]
    for one in made:
        path = write_baseline(one, output)
        runs = "1 run" if len(one.runs) == 1 else f"{len(one.runs)} runs"
        click.echo(f"{path}: {runs}, {sum(map(sum, (run.units for run in one.runs))):,} units")
    return 0


@click.command()
@click.argument("counts", nargs=-1, type=click.IntRange(0))
@click.option("--expected", metavar="9:1", help="The intended proportions.  [default: equal shares]")
@click.option("--tolerance", type=_Percentage(), default="10%", show_default=True, metavar="PERCENT")
@click.option("--confidence", type=_Percentage(), default="95%", show_default=True, metavar="PERCENT")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of simulated p-values."
)
@click.option(
    "--intervals",
    type=click.Choice(["exact", "goodman", "sison-glaz"]),
    default="exact",
    show_default=True,
    help="The method of the simultaneous intervals of the shares.",
)
@click.option("--json", "json_", is_flag=True, help="Print everything as one line of JSON.")
def fairness(  # noqa: PLR0913  one for each option
    counts: tuple[int, ...],
    expected: str | None,
    tolerance: float,
    confidence: float,
    *,
    seed: int,
    intervals: str,
    json_: bool,
) -> int:
    """Judge COUNTS from any source: how many connections, requests or sources each instance got.

    Without COUNTS, the command reads CSV from standard input, with two columns, name and count; a header
    line is recognised. The counted units have to be assigned independently of each other: connections for
    a layer-4 balancer, requests for a proxy, but not requests that share a connection.

    \b
    Exit status: 0 even, 1 uneven, 3 inconclusive, 2 for every error.

    \b
    Examples:
      harness fairness 158 142
      harness fairness 902 98 --expected 9:1 --tolerance 5%
      printf 'a,510\\nb,490\\n' | harness fairness
    """
    from harness.report.fairness import as_json, judge_counts, read_csv, render, weights
    from harness.report.format import standard_output

    names = None
    try:
        if not counts:
            if sys.stdin.isatty():
                raise click.UsageError("write the counts, or pipe a CSV of names and counts in")
            names, numbers = read_csv(sys.stdin.buffer.read())
        else:
            numbers = list(counts)
        shares = weights(expected, len(numbers))
        judged = judge_counts(
            numbers, shares, tolerance, confidence, names=names, seed=seed, intervals=intervals
        )
    except ValueError as error:
        raise HarnessError(str(error)) from error
    if json_:
        click.echo(as_json(judged))
    else:
        render(judged, standard_output())
    return {"even": 0, "uneven": 1, "inconclusive": 3}[judged.verdict.verdict]


@click.command()
@click.argument("results", nargs=-1, required=True, type=ResultPath())
@click.option(
    "--confidence",
    type=_Percentage(),
    metavar="PERCENTAGE",
    help="The confidence of intervals.  [default: the first scenario's]",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one line of JSON.")
def compare(results: tuple[Path, ...], confidence: float | None, *, as_json: bool) -> None:
    """Compare RESULTS of one strategy or of several: each with the first.

    Results of one scenario are its runs, and are taken together; if all are of one scenario, each run
    stands for itself. A folder stands for the results in it. Figures are means of the runs. Each difference
    has an interval, which takes two runs or more on both sides; a difference that chance alone may have
    made is marked. If instances are the same, their shares are compared, too. To pass or fail a result,
    use harness check.

    \b
    Examples:
      harness compare results/dnat-10-* results/haproxy-tcp-10-*
      harness compare results/dnat-10-20261124-101500 results/dnat-10-20261124-113000
      harness compare before/ after/ --json
    """
    from harness.gate.sides import read_sides
    from harness.report.comparison import comparison_json, render_comparison
    from harness.report.format import standard_output

    sides = read_sides(results)
    if len(sides) < 2:
        raise click.UsageError("name two results or more: there is nothing to compare one with")
    sure = sides[0].first.confidence if confidence is None else confidence
    if as_json:
        click.echo(comparison_json(sides, sure))
    else:
        render_comparison(sides, standard_output(), sure)
