"""What a run takes, and what it would set up, as text."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from harness.common.text import printable
from harness.plan.dry_run import Instances, Machine, Remark
from harness.strategies.actions import Command, File, Served, Spawned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.plan.dry_run import Step
    from harness.plan.sample_size import Needs
    from harness.scenario import Scenario
    from harness.strategies.actions import Asked

_INDENT = "    "
_PLACES = {
    "own": "each in a network namespace of its own",
    "host": "all in the host's own network namespace",
    "sandbox": "all in one network namespace, a sandbox",
}
_CLIENTS = {"external": "in a network namespace of their own", "local": "on the host itself"}


def plan_text(steps: Sequence[Step], encoding: str = "utf-8") -> str:
    """Write the steps down, one below the other.

    Parameters
    ----------
    steps
        As `harness.plan.dry_run.provisioned` gives them. What comes from outside is made harmless.
    encoding
        That of the terminal: what it lacks becomes an escape.
    """
    lines = [line for step in steps for line in _lines(step)]
    if isinstance(steps[-1], Instances):
        lines += ["", "Nothing else is set up: instances that listen are exposed."]
    return "\n".join(printable(line, encoding) for line in lines) + "\n"


def needs_text(
    scenario: Scenario, needs: Needs, requests_per_s: float | None = None, encoding: str = "utf-8"
) -> str:
    """Describe the load that a verdict on a scenario needs.

    Parameters
    ----------
    scenario, needs
        The scenario, and what `harness.plan.sample_size.needs_of` says of it.
    requests_per_s
        Tell how long it takes at this rate; None for the rate that it takes in the load's duration.
    encoding
        That of the terminal: what it lacks becomes an escape.
    """
    facts = (f"{label:<10}  {text}" for label, text in _needs(scenario, needs, requests_per_s))
    return "\n".join(printable(fact, encoding) for fact in facts) + "\n"


def _needs(scenario: Scenario, needs: Needs, requests_per_s: float | None) -> Iterator[tuple[str, str]]:
    unit = needs.unit
    yield "scenario", f"{scenario.name}: {scenario.replicas:,} instances by {scenario.strategy.name}"
    within, sure = (f"{fraction * 100:.4g} %" for fraction in (scenario.tolerance, scenario.confidence))
    whose = "its route's" if scenario.routes else "the"
    yield (
        "question",
        f"has every instance its share of {whose} {unit}s, within {within}? (sure to {sure})",
    )
    runs = f"{needs.half:,} {unit}s in half of all runs, " if needs.early else ""
    yield "units", f"{runs}{needs.units:,} {unit}s in nine of ten runs, if the strategy is fair"
    yield "time", _time(needs, requests_per_s)


def _time(needs: Needs, requests_per_s: float | None) -> str:
    """Say how long the load has to last, or that no time suffices."""
    unit, duration = needs.unit, _seconds(needs.duration_s)
    if needs.out_of_reach:
        return f"too few units: this load brings at most {needs.most_units:,} {unit}s, however long it lasts"
    if needs.requests_per_unit is None:
        return f"as soon as all users have their {unit}s"
    if requests_per_s is None:
        least = needs.units * needs.requests_per_unit / needs.duration_s
        return f"{duration}, as the scenario has it, at {least:,.0f} requests/s or more"
    half, whole = (units * needs.requests_per_unit / requests_per_s for units in (needs.half, needs.units))
    took = f"{_seconds(half)} or {_seconds(whole)}" if needs.early else _seconds(whole)
    enough = "" if whole <= needs.duration_s else f"; the scenario's load lasts {duration} only"
    return f"{took} at {requests_per_s:,.0f} requests/s{enough}"


def _seconds(duration_s: float) -> str:
    return f"{duration_s:.1f} s" if duration_s < 100 else f"{duration_s:,.0f} s"


def _lines(step: Step) -> Iterator[str]:
    if isinstance(step, Machine):
        several = f"{step.sources:,} from {step.first_source} on"
        if step.pattern == "scattered":
            several = f"{step.sources:,} scattered, {step.first_source} the first"
        addresses = step.first_source if step.sources == 1 else several
        yield f"host {step.host}: clients know {step.endpoint.authority}"
        yield f"clients: {_CLIENTS[step.client]}, addresses: {addresses}"
    elif isinstance(step, Instances):
        what = "the sample" if step.command is None else _shell(step.command)
        yield f"instances: {len(step.members):,} of {what}, {_PLACES[step.placement]}"
        weighted = any(member.weight != 1 for member in step.members)
        for member in step.members:
            weight = f"  weight {member.weight}" if weighted else ""
            asked = f"  {member.route.host or member.route.path}" if member.route else ""
            yield f"{_INDENT}{member.name}  {member.authority}{weight}{asked}"
    else:
        yield ""
        title, text = titled(step)
        yield title
        for line in text.removesuffix("\n").split("\n") if text else ():
            yield f"{_INDENT}{line.expandtabs()}".rstrip()


def titled(step: Asked | Remark) -> tuple[str, str]:
    """Give a step's first line, and the text below it."""
    if isinstance(step, Command):
        return f"run {_shell(step.argv)}" + (", whose standard input is" if step.text else ""), step.text
    if isinstance(step, File):
        return f"write {step.path}", step.text
    if isinstance(step, Served):
        env = "".join(f"{key}={shlex.quote(value)} " for key, value in step.env)
        return f"serve {env}{_shell(step.argv)}", ""
    if isinstance(step, Spawned):
        return f"start {_shell(step.argv)}", ""
    if isinstance(step, Remark):
        return f"note: {step.text}", ""
    return f"tell it {json.dumps(step.message)}", ""


def _shell(argv: Sequence[str]) -> str:
    return shlex.join(argv)
