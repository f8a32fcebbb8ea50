"""SIGKILL at any moment of a run with containers leaves nothing behind."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.hosts.processes import family

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(os.geteuid() != 0, reason="container engines need root"),
]

_SCENARIO = """
strategy: nginx
replicas: 3
load: {duration: 20s, warm_up: 200ms, users: 8}
"""
_GROUPS = Path("/sys/fs/cgroup")
_STATE = tuple(
    Path(place) for place in ("/var/lib/docker", "/var/lib/containers", "/opt/containerd", "/run/docker")
)
_PATIENCE_S = 15
_KILLS = 4
_LASTS_S = 8


def _groups() -> list[Path]:
    """List the control groups of runs, and what an engine would leave beside them."""
    names = ("sameport", "docker", "libpod_parent")
    return [path for name in names for path in (*_GROUPS.glob(name), *_GROUPS.glob(f"*/{name}"))]


def _state() -> list[tuple[Path, float]]:
    """List what engines keep on a machine's disk, and when it was changed."""
    return [
        (path, path.lstat().st_mtime)
        for top in _STATE
        if top.exists()
        for path in (top, *sorted(top.rglob("*")))
    ]


def _alive(pids: list[tuple[int, str]]) -> list[int]:
    """List those of these processes that are still there, zombies left out."""
    return [pid for pid, started in pids if _started(pid) == started]


def _started(pid: int) -> str | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _with_start(pids: list[int]) -> list[tuple[int, str]]:
    return [(pid, started) for pid in pids if (started := _started(pid)) is not None]


def _all_of(run: int) -> list[int]:
    """List a run's processes: containers' parents are not of its family, but of its PID namespace."""
    mine = family(run)
    spaces = {_space(pid) for pid in mine} - {None, _space(os.getpid())}
    others = {int(process.name) for process in Path("/proc").glob("[0-9]*")}
    return sorted({*mine, *(pid for pid in others if _space(pid) in spaces)})


def _space(pid: int) -> str | None:
    """Name a process's PID namespace; None where it has ended."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return None


def _killed(harness: Command, engine: str, moment_s: float, *, whom: str) -> None:
    """Kill a run, or the process that owns its namespaces, and see that all of it has gone."""
    groups, state = _groups(), _state()
    process = harness.start("run", harness.scenario(_SCENARIO), "--engine", engine)
    time.sleep(moment_s)
    pids = _with_start(_all_of(process.pid))
    os.kill(_supervisor(process.pid) if whom == "supervisor" else process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    pids += _with_start(_all_of(process.pid))
    end_s = time.monotonic() + _PATIENCE_S
    while (_alive(pids) or _groups() != groups) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert _alive(pids) == []
    assert _groups() == groups
    assert _state() == state


def _supervisor(run: int) -> int:
    for pid in family(run):
        if b"harness.hosts.supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return run  # it has not been started yet


@pytest.mark.parametrize("engine", ["docker", "podman"])
@pytest.mark.parametrize("moment", range(_KILLS))
def test_a_killed_run_leaves_nothing(harness: Command, engine: str, moment: int, seed: int) -> None:
    """No process, container, interface, rule, mount, control group or file of an engine."""
    moment_s = 0.3 + (moment + random.Random(seed + moment).random()) / _KILLS * _LASTS_S
    _killed(harness, engine, moment_s, whom="harness")


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_run_whose_supervisor_is_killed_leaves_nothing(harness: Command, engine: str) -> None:
    """The harness itself cleans up after it."""
    _killed(harness, engine, 4, whom="supervisor")


def test_next_run_removes_the_remains_of_two_kills(harness: Command) -> None:
    """Only control groups can be left then: empty folders that the kernel keeps."""
    process = harness.start("run", harness.scenario(_SCENARIO), "--engine", "docker")
    time.sleep(5)
    supervisor = _supervisor(process.pid)
    pids = _with_start(_all_of(process.pid))
    os.kill(process.pid, signal.SIGSTOP)  # so that it does not clean up in between
    os.kill(supervisor, signal.SIGKILL)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    end_s = time.monotonic() + _PATIENCE_S
    while _alive(pids) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert _alive(pids) == []
    finished = harness("run", "scenario.yaml", "--engine", "docker", "--set", "load.duration=500ms")
    assert finished.returncode in {0, 3}, finished.stderr
    assert not list(_GROUPS.glob("*/sameport"))
    assert not list(_GROUPS.glob("sameport"))
