"""A process of a run that stands still ends the run, by name and soon."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess

    from tests.end_to_end.conftest import Command

_SCENARIO = """
strategy: %s
replicas: 2
load: {duration: 60s, warm_up: 0s, users: 2}
"""
_PATIENCE_S = 30


def _processes(harness: Command, word: str) -> list[int]:
    """Find the run's processes whose command has this word, in the order of their start."""
    found = []
    for pid in sorted(harness.look().processes):
        with suppress(OSError):
            if word in Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0"):
                found.append(pid)
    return found


def _under_load(harness: Command, strategy: str) -> subprocess.Popen[str]:
    """Start a run, and wait until its load goes on."""
    run = harness.start("run", harness.scenario(_SCENARIO % strategy))
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith("load: "):
            return run
    raise AssertionError(run.wait())


@pytest.mark.parametrize(
    ("word", "which", "name"),
    [
        ("harness.load", 0, "the load generator"),
        ("harness.engines.forkserver", 0, "the process that instances are forked from"),
        ("harness.hosts.supervisor", 0, "the supervisor of the netns host"),
        ("harness.hosts.supervisor", 1, "the first process of the netns host"),
    ],
)
def test_run_ends_when_a_process_stands_still(harness: Command, word: str, which: int, name: str) -> None:
    """Whichever it is: the run ends by itself, long before its load would, and names it."""
    run = _under_load(harness, "dnat-random")
    victim = _processes(harness, word)[which]
    os.kill(victim, signal.SIGSTOP)
    began_s = time.monotonic()
    _, stderr = run.communicate(timeout=_PATIENCE_S)
    assert time.monotonic() - began_s < _PATIENCE_S
    assert run.returncode == 2, stderr
    assert f"error: {name} (process" in stderr
    assert "stands still" in stderr
    assert "Traceback" not in stderr
    assert "what was recorded until then: results/" in stderr


def test_run_goes_on_when_a_process_was_stopped_for_a_moment(harness: Command) -> None:
    """A second is no standstill; what it did to the load is in the recording."""
    run = harness.start("run", harness.scenario(_SCENARIO % "dnat-random"), "--set", "load.duration=4s")
    while not (found := _processes(harness, "harness.engines.forkserver")):
        assert run.poll() is None
        time.sleep(0.05)
    os.kill(found[0], signal.SIGSTOP)
    time.sleep(1)
    os.kill(found[0], signal.SIGCONT)
    _, stderr = run.communicate(timeout=60)
    assert run.returncode in {0, 1, 3}, stderr


@pytest.mark.parametrize(
    ("word", "which"),
    [("harness.load", 0), ("harness.engines.forkserver", 0), ("harness.hosts.supervisor", 1)],
)
def test_sigterm_ends_a_run_in_which_a_process_stands_still(harness: Command, word: str, which: int) -> None:
    """At once, or as soon as the standstill is known."""
    run = _under_load(harness, "dnat-random")
    os.kill(_processes(harness, word)[which], signal.SIGSTOP)
    run.send_signal(signal.SIGTERM)
    _, stderr = run.communicate(timeout=_PATIENCE_S)
    assert run.returncode in {2, 130, 143}, stderr
    assert "Traceback" not in stderr
