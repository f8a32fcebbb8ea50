"""The command `harness`: parse, call, print."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

import click

from harness._version import __version__
from harness.cli import box, completing, images, judging, plotting, reporting, running, scenarios, showing
from harness.common.memory import keep_libraries_single
from harness.common.signals import Terminated, end_on_signals
from harness.common.streams import complete_streams, flush_output, silence, unwritable
from harness.common.text import cut, wants_no_colour
from harness.errors import HarnessError, defect

if TYPE_CHECKING:
    from harness.cli.doctor import Finding, State


_LONGEST_LINE: Final = 1000
_NOT_WRITTEN: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="harness")
def cli() -> None:
    """Measure how evenly N instances share one port of one Linux machine.

    \b
    Start with:  harness run scenarios/dnat-10.yaml
    If it fails: harness doctor
    """


for _command in (
    running.run,
    running.suite,
    running.worker,
    judging.check,
    judging.baseline,
    judging.fairness,
    judging.compare,
    plotting.plot,
    reporting.report,
    scenarios.plan,
    scenarios.validate,
    scenarios.schema,
    showing.list_,
    showing.show,
    images.images,
    box.box,
    images.clean,
    completing.completion,
):
    cli.add_command(_command)


@cli.command()
def doctor() -> int:
    """Try every host, engine and strategy on this machine, and say what to install.

    \b
    Each part is one of:
      works    it was tried just now
      missing  it can be installed; the last line says how
      lacking  this kernel or user does not allow it, or a large program is absent; the rest works

    \b
    Exit status: 0 if nothing is missing, 1 if something is.
    """
    from harness.cli.doctor import MEANINGS, examine, to_install

    found = []
    for finding in examine():
        _tell(finding)
        found.append(finding)
    click.echo()
    for state, meaning in MEANINGS.items():
        if number := sum(finding.state == state for finding in found):
            click.echo(f"{_coloured(state)}  {number:>2}  {meaning}")
    for command in to_install(found):
        click.echo(f"to install what is missing: {command}")
    return 1 if any(finding.state == "missing" for finding in found) else 0


def _tell(finding: Finding) -> None:
    click.echo(f"{_coloured(finding.state)}  {finding.kind:<8}  {finding.name:<20}  {finding.detail}")
    if finding.mend:
        click.echo(f"{'':<41}install: {finding.mend}")


def _coloured(state: State) -> str:
    colours = {"works": "green", "missing": "red", "lacking": "yellow"}
    return click.style(f"{state:<7}", fg=colours[state], bold=state == "missing")


def _give_no_color(command: click.Command) -> None:
    """Let a command, and all below it, take --no-color, which applies wherever it stands."""
    command.params.append(
        click.Option(
            ["--no-color"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_without_colour,
            help="Print without colours; the environment variable NO_COLOR does the same.",
        )
    )
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _give_no_color(below)


def _without_colour(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del param
    if value:
        os.environ["NO_COLOR"] = "1"
    if wants_no_colour():
        ctx.color = False


_give_no_color(cli)


def main() -> int:
    """Run the command; errors are printed in a line or two, never as a traceback."""
    # A run lasts seconds and ends with its process; the collector would walk half a million objects of
    # libraries many times over, and once more at the end: half a second in all.
    gc.disable()
    try:
        complete_streams()
        keep_libraries_single()
        status = _run_command()
        flush_output()
    except (BrokenPipeError, SystemExit):  # click turns the one into the other
        status = _without_reader()
    except HarnessError as error:
        silence(sys.stdout)
        status = _told(error)
    except OSError:  # standard error can't be written either
        status = _without_reader()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what remains takes no time, and has nothing to lose
    gc.freeze()
    return status


def _without_reader() -> int:
    silence(sys.stdout)
    silence(sys.stderr)
    return 2


def _told(error: HarnessError) -> int:
    try:
        _complain(str(error), error)
    except OSError:
        return _without_reader()
    return 2


def _called() -> int:
    try:
        return cli.main(standalone_mode=False, complete_var=completing.VARIABLE) or 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except SystemExit as error:
        if completing.VARIABLE in os.environ:  # click answers the shell and ends
            return int(error.code or 0)
        raise


def _run_command() -> int:
    try:
        end_on_signals()
        return _called()
    except click.ClickException as error:
        error.show()
    except HarnessError as error:
        _complain(str(error), error)
    except (KeyboardInterrupt, click.Abort) as error:
        came = error.__cause__ or error  # click wraps it
        kept = "; ".join(getattr(came, "__notes__", ["nothing was stored"]))
        click.echo(f"interrupted: everything that was started has ended; {kept}", err=True)
        return 143 if isinstance(came, Terminated) else 130
    except BrokenPipeError:
        raise
    except Exception as error:
        if os.environ.get("HARNESS_DEBUG"):
            raise
        _complain(_explained(error), error)
    return 2


def _explained(error: Exception) -> str:
    # All other files are explained where they are written, and have names.
    if isinstance(error, OSError) and error.filename is None and error.errno in _NOT_WRITTEN:
        return str(unwritable(error))
    return defect(error)


def _complain(message: str, error: Exception) -> None:
    lines = "\n".join([message, *getattr(error, "__notes__", ())]).splitlines()
    message = "\n".join(cut(line, _LONGEST_LINE) for line in lines)
    colour = False if wants_no_colour() else None
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True, color=colour)


if __name__ == "__main__":
    sys.exit(main())
