"""`harness run` and `harness suite`: measure."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completing import Override, RegisteredName, ScenarioFile
from harness.cli.options import output_option
from harness.engines import ENGINES
from harness.errors import RefusedError
from harness.hosts import HOSTS

if TYPE_CHECKING:
    from harness.runner.run import Outcome
    from harness.scenario import Scenario

_PORT = 5557
"""Where workers join by default: Locust's own port, at the client side's own address."""

_OUTPUT = output_option(Path("results"), "The folder for the result folders.", former="--results")
_ENGINE = click.option(
    "--engine",
    type=RegisteredName("engine", ENGINES.names),
    help="Replace the scenario's engine, which runs the instances; docker and podman need root.",
)


_HOST = click.option(
    "--host",
    type=click.Choice([*HOSTS]),
    help="Replace the scenario's host, the throw-away machine; vagrant has Docker.",
)
_KEEP = click.option(
    "--keep", is_flag=True, help="Keep a virtual machine for the next run; harness clean ends it."
)


def _chosen(
    overrides: tuple[str, ...], host: str | None, engine: str | None, workers: int | None = None
) -> tuple[str, ...]:
    """Add what options say to what --set does."""
    if host is not None and engine is None and not HOSTS[host].here:
        engine = HOSTS[host].engine
    given = {"host": host, "engine": engine, "load.workers": workers}
    return (*overrides, *(f"{key}={value}" for key, value in given.items() if value is not None))


@click.command()
@click.argument("scenario", type=ScenarioFile())
@click.option(
    "--set",
    "overrides",
    multiple=True,
    type=Override(),
    metavar="KEY=VALUE",
    help="Override a key, as in load.users=20.",
)
@_OUTPUT
@_HOST
@_ENGINE
@_KEEP
@click.option(
    "--workers", type=click.IntRange(1, 1000), metavar="N", help="Share the load among N processes."
)
@click.option(
    "--await-workers",
    type=click.IntRange(0, 1000),
    default=0,
    metavar="N",
    help="Wait for N workers from other machines (`harness worker`).",
)
@click.option(
    "--listen",
    metavar="ADDRESS:PORT",
    help=f"Where workers join, on the client side of the host.  [default: its own address, {_PORT}]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, one line a run.")
@click.option("--quiet", is_flag=True, help="Print the verdict line only.")
def run(  # noqa: PLR0913, PLR0917  one for each option
    scenario: Path,
    overrides: tuple[str, ...],
    output: Path,
    host: str | None,
    engine: str | None,
    workers: int | None,
    await_workers: int,
    listen: str | None,
    *,
    keep: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run SCENARIO and judge how even its distribution is.

    A run builds a throw-away host, starts the instances, exposes them by the scenario's strategy, drives
    the load, and writes a result folder. It does not touch this machine's own network. Only containers
    need root.

    \b
    Exit status: 0 even (or what the scenario expects), 1 uneven, or no recovery from an event as the
    scenario requires, 3 inconclusive, 2 for every error, 130 after Ctrl-C.

    \b
    Examples:
      harness run scenarios/dnat-10.yaml
      harness run scenarios/dnat-10.yaml --set replicas=4 --set load.duration=5s
      harness run scenarios/dnat-10.yaml --json | jq .verdict
      harness run scenarios/dnat-10.yaml --workers 2
      sudo .venv/bin/harness run scenarios/dnat-10.yaml --engine docker
      harness run scenarios/dnat-10.yaml --host vagrant --keep
    """
    from harness.load.driver import NO_WORKERS, Workers
    from harness.report.progress import Progress
    from harness.runner.run import run as run_once
    from harness.runner.setup import one_machine
    from harness.scenario import load_scenario

    loaded = load_scenario(scenario, _chosen(overrides, host, engine, workers))
    if await_workers and loaded.repeat > 1:
        raise click.UsageError(
            f"--await-workers goes with a single run; the scenario has repeat: {loaded.repeat}"
        )
    if listen and not await_workers:
        raise click.UsageError("--listen says where workers join: say how many, too, with --await-workers")
    place = _place(listen) if listen else ("", _PORT)
    joining = Workers(0, await_workers, *place) if await_workers else NO_WORKERS
    status = 0
    with one_machine([loaded.host], _told, keep=keep):
        for repeat_index in range(loaded.repeat):
            progress = Progress(quiet=quiet or (as_json and not sys.stderr.isatty()))
            try:
                outcome = run_once(loaded, output, progress, repeat_index, joining, keep=True)
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


def _told(words: str) -> None:
    click.echo(words, err=True)


def _place(listen: str) -> tuple[str, int]:
    """Read ADDRESS:PORT."""
    address, _, port = listen.rpartition(":")
    if not address or not port.isdecimal() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"{listen!r} is not ADDRESS:PORT", param_hint="--listen")
    return address.strip("[]"), int(port)


@click.command()
@click.option("--join", "address", required=True, metavar="ADDRESS[:PORT]", help="Where the run listens.")
@click.option(
    "--secret",
    required=True,
    envvar="SAMEPORT_SECRET",
    metavar="SECRET",
    help="The run's secret, which it prints.  [also: variable SAMEPORT_SECRET]",
)
@click.option(
    "--locustfile",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="This machine's copy of the run's locustfile, where it has one.",
)
def worker(address: str, secret: str, locustfile: Path | None) -> None:
    """Join a run on another machine as a process that sends a share of its load.

    The run waits for the worker (`harness run … --await-workers`) and prints this command. It assigns the
    worker's share, and collects its records. This machine must reach both the run and the measured port.
    The worker ends with the run. The run decides what is sent, so join only runs that you trust. It can
    name no file of this machine: its locustfile is used only if you give a copy of the same content.

    \b
    Examples:
      harness worker --join 192.168.37.1 --secret 5f0c...
      SAMEPORT_SECRET=5f0c... harness worker --join 192.168.37.1:5600 --locustfile users.py
    """
    from harness.load.worker import join

    own = str(locustfile.absolute()) if locustfile else ""
    join(address, secret, lambda words: click.echo(words, err=True), own)


def _show(outcome: Outcome, *, as_json: bool, quiet: bool) -> int:
    from harness.report.format import standard_output
    from harness.report.terminal import render_summary, verdict_line
    from harness.summary.outcome import exit_status

    if as_json:
        click.echo(json.dumps(json.loads(outcome.summary.to_json())))
    elif quiet:
        click.echo(verdict_line(outcome.summary))
    else:
        render_summary(outcome.summary, outcome.folder, standard_output())
    return exit_status(outcome.summary)


def _show_refusal(scenario: Scenario, error: RefusedError, *, as_json: bool) -> None:
    from harness.common.text import printable
    from harness.summary.run import Refusal

    if as_json:
        refusal = Refusal(name=scenario.name, strategy=scenario.strategy.name, reason=str(error))
        click.echo(refusal.to_json(), nl=False)
    else:
        click.echo(printable(f"{scenario.name}: refused, as expected: {error}"))


def _worse(one: int, other: int) -> int:
    """Of two exit statuses, the one that says more: uneven, then inconclusive, then even."""
    return max(one, other, key=(0, 3, 1).index)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=ScenarioFile())
@click.option(
    "--repeat",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Run each scenario N times.  [default: as the files say]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    metavar="N",
    help="Shuffle the order of the runs by this seed.  [default: as the file says, or 0]",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    type=Override(),
    metavar="KEY=VALUE",
    help="Override a key in all scenarios.",
)
@_OUTPUT
@_HOST
@_ENGINE
@_KEEP
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one line of JSON.")
@click.option("--quiet", is_flag=True, help="Print the last line only.")
def suite(  # noqa: PLR0913, PLR0917  one for each option
    paths: tuple[Path, ...],
    repeat: int | None,
    seed: int | None,
    overrides: tuple[str, ...],
    output: Path,
    host: str | None,
    engine: str | None,
    *,
    keep: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run many scenarios, and compare them in one table.

    PATHS are scenario files, suite files (docs/suites.md), and folders with *.yaml files. All are
    checked before anything runs. One run follows the other, in rounds of a shuffled order, so that a
    drift of the machine affects all scenarios alike. A scenario that fails does not stop the others.

    \b
    Exit status: 0 all as expected (what this kernel lacks is skipped and listed), 1 some not as
    expected, 3 some inconclusive and none worse, 2 for wrong files, 130 after Ctrl-C.

    \b
    Examples:
      harness suite scenarios/
      harness suite scenarios/suites/all.yaml --set load.duration=1s
      harness suite scenarios/dnat-10.yaml scenarios/nft-random-10.yaml --repeat 5
      sudo .venv/bin/harness suite scenarios/ --engine docker
      harness suite scenarios/ --host vagrant
    """
    from harness.report.format import standard_output
    from harness.report.progress import Progress
    from harness.report.suite import closing_line, render_suite
    from harness.runner.setup import one_machine
    from harness.suite.file import Planned, read_suite
    from harness.suite.running import SuiteRun

    planned = read_suite(paths, _chosen(overrides, host, engine), repeat=repeat, seed=seed)
    progress = Progress(quiet=quiet or (as_json and not sys.stderr.isatty()), fleeting=True)
    running = SuiteRun(planned, output, progress)
    hosts = {one.scenario.host for one in planned.scenarios if isinstance(one, Planned)}
    with one_machine(hosts, _told, keep=keep):
        try:
            summary = running.run()
        finally:
            progress.close()
    if as_json:
        click.echo(summary.to_json())
    elif quiet:
        click.echo(closing_line(summary))
    else:
        render_suite(summary, standard_output())
    return running.exit_status(summary)
