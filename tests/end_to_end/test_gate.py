"""`harness check` on real runs: it catches a regression, and lets a system that has not changed pass."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from harness.cli import cli
from harness.stats.planning import units_needed

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

_DNAT_10 = Path(__file__).parents[2] / "scenarios" / "dnat-10.yaml"

# Two thirds of the tolerance are left for what chance makes of so many connections.
_FOUR = """
name: four
strategy: dnat-random
replicas: 4
tolerance: 25%
repeat: {repeat}
load: {{duration: 2s, warm_up: 200ms, requests: 4000}}
"""

# Stands before the real program in PATH: in place of every tenth connection, every 12.5th.
_SABOTAGE = """#!/bin/sh
sed 's/--probability 0.100000000000/--probability 0.080000000000/' | exec {program} "$@"
"""


def _sabotage(harness: Command) -> None:
    """Make the first rule of a cascade over ten give its instance 80 % of its share."""
    program = shutil.which("iptables-restore", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert program is not None
    wrapper = harness.folder / "bin" / "iptables-restore"
    wrapper.parent.mkdir()
    wrapper.write_text(_SABOTAGE.format(program=program))
    wrapper.chmod(0o755)
    harness.environment["PATH"] = f"{wrapper.parent}:{harness.environment['PATH']}"


def _measured(harness: Command, *arguments: str) -> list[str]:
    """Run, and give the results' folders of this run."""
    results = harness.folder / "results"
    before = set(results.glob("*")) if results.exists() else set()
    finished = harness("run", *arguments, patience_s=300)
    assert finished.returncode in {0, 1, 3}, finished.stderr
    return sorted(str(path) for path in set(results.iterdir()) - before)


def test_a_planted_regression_is_caught(harness: Command) -> None:
    """One of ten instances at 80 % of its share fails against the scenario and against the baseline."""
    # So many that chance can't hide the fifth from the baseline, nor fake one: both are beyond 5 sigma.
    load = ("--set", "load.requests=100000", "--set", "load.duration=2m")
    good = _measured(harness, str(_DNAT_10), *load)
    assert harness("check", *good).returncode == 0
    assert harness("baseline", *good, "--baselines", "kept").returncode == 0
    _sabotage(harness)
    bad = _measured(harness, str(_DNAT_10), *load)
    alone = harness("check", *bad, "--json")
    assert alone.returncode == 1
    assert {check["check"]: check["status"] for check in json.loads(alone.stdout)["checks"]} == {
        "complete": "passed",
        "service": "passed",
        "network": "passed",
        "verdict": "failed",
        "witnesses": "passed",
    }
    # The verdict may name any instance that lies outside; the baseline says which one has changed.
    against = harness("check", *good, *bad, "--baseline", "kept", "--json")
    assert against.returncode == 1
    (shares,) = [check for check in json.loads(against.stdout)["checks"] if check["check"] == "shares"]
    assert shares["status"] == "failed"
    assert "instance-1 changed most, by -" in shares["detail"]


def test_an_unchanged_system_passes_twenty_times_of_twenty(harness: Command) -> None:
    """Against a baseline of three runs, each of twenty more passes every check."""
    assert 4 * units_needed([0.25] * 4, 0.25, 0.95) < 4000
    kept = _measured(harness, harness.scenario(_FOUR.format(repeat=3)))
    assert harness("baseline", *kept, "--baselines", "kept").returncode == 0
    runs = _measured(harness, harness.scenario(_FOUR.format(repeat=20)))
    assert len(runs) == 20
    for run in runs:
        checked = CliRunner().invoke(
            cli, ["check", run, "--baseline", f"{harness.folder}/kept"], standalone_mode=False
        )
        assert (checked.return_value or 0, checked.exception) == (0, None), checked.output


def test_the_projects_own_baseline_is_of_its_scenario(harness: Command) -> None:
    """The committed one can be compared with a run of the scenario as it is now, as CI does."""
    kept = _DNAT_10.parents[1] / "results" / "baselines"
    run = _measured(harness, str(_DNAT_10), "--set", "description=shorter", "--quiet")
    checked = harness("check", *run, "--baseline", str(kept), "--json")
    # Whether its ten seconds suffice is a matter of the machine and of chance; they can't contradict it.
    assert checked.returncode in {0, 3}, checked.stdout + checked.stderr
    assert {check["check"] for check in json.loads(checked.stdout)["checks"]} >= {"shares", "errors"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("check", "nowhere"), "nowhere"),
        (("check", "scenario.yaml"), "scenario.yaml"),
        (("baseline", "nowhere"), "nowhere"),
        (("fairness", "1", "x"), "x"),
    ],
)
def test_check_fails_on_unreadable_input(
    harness: Command, arguments: tuple[str, ...], complaint: str
) -> None:
    """Exit status 2, a line that names it, no traceback."""
    harness.scenario(_FOUR.format(repeat=1))
    finished = harness(*arguments)
    assert finished.returncode == 2
    assert complaint in finished.stderr
    assert "Traceback" not in finished.stderr
