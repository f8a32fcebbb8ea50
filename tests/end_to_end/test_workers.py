"""A load that several processes share, on this machine and, as good as, on others."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.hosts.netns import search_path
from tests.end_to_end.conftest import HARNESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.end_to_end.conftest import Command

_SCENARIO = """
strategy: dnat-random
replicas: 3
load: {duration: 2s, warm_up: 500ms, users: 8}
"""


def test_workers_share_the_load(harness: Command) -> None:
    """All witnesses agree with what the workers recorded together, after a warm-up of the same workers."""
    before = harness.look()
    finished = harness("run", harness.scenario(_SCENARIO), "--workers", "3", "--json")
    summary = json.loads(finished.stdout)
    assert finished.returncode in {0, 3}, finished.stderr
    assert summary["witnesses"]["agree"]
    assert summary["scenario"]["load"]["workers"] == 3
    workers = summary["generator"]["workers"]
    assert sum(worker["requests"] for worker in workers) == summary["counts"]["requests"]
    assert [worker["number"] for worker in workers] == [1, 2, 3]
    assert all(worker["requests"] and worker["same_clock"] for worker in workers)
    assert summary["counts"]["errors"] == 0
    assert harness.settled(before) == before


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--workers", "3", "--set", "load.users=2"), "2 users are too few for 3 workers"),
        (("--await-workers", "1", "--listen", "here"), "'here' is not ADDRESS:PORT"),
        (("--listen", "0.0.0.0:5557"), "say how many, too, with --await-workers"),
        (("--await-workers", "1", "--listen", "198.18.200.9:5557"), "can't be awaited at 198.18.200.9:5557"),
        (("--await-workers", "1", "--set", "repeat=2"), "goes with a single run"),
    ],
)
def test_run_refuses_load_that_workers_can_not_share(
    harness: Command, arguments: tuple[str, ...], why: str
) -> None:
    """In a line, and nothing is left."""
    finished = harness("run", harness.scenario(_SCENARIO), *arguments)
    assert finished.returncode == 2
    assert why in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("address", "why"),
    [("nobody.invalid", "nobody.invalid: "), ("here:99999", "is no address"), ("", "is no address")],
)
def test_a_worker_is_told_what_is_no_address(harness: Command, address: str, why: str) -> None:
    """Before it waits for anybody."""
    finished = harness("worker", "--join", address, "--secret", "0" * 32)
    assert finished.returncode == 2
    assert why in finished.stderr
    assert "say HOST:PORT" in finished.stderr


class Machines:
    """Network namespaces that reach a run's client side over links of their own.

    Each is a machine as far as the run can tell: it has its own addresses and clock, and its packets go
    through the client namespace as through a router.
    """

    def __init__(self, stack: contextlib.ExitStack, client: int, host: int) -> None:
        self._stack = stack
        self._client = client
        _do(*_inside(client), "sysctl", "-qw", "net.ipv4.ip_forward=1")
        _do(*_inside(host), "ip", "route", "add", "198.18.110.0/24", "via", "198.18.100.1")
        self._number = 0

    def add(self, *command: str, environment: dict[str, str]) -> subprocess.Popen[str]:
        """Start a command on one more machine, whose clock is a day ahead; `{gateway}` is the run."""
        number, self._number = self._number, self._number + 1
        gateway, own = f"198.18.110.{4 * number + 1}", f"198.18.110.{4 * number + 2}"
        holder = _start([*_inside(self._client), "unshare", "--net", "sh", "-c", "echo; read wait"])
        self._stack.enter_context(holder)
        self._stack.callback(holder.kill)
        assert holder.stdout is not None
        holder.stdout.readline()
        inside = _inside(holder.pid)
        link = ("ip", "link", "add", f"w{number}", "type", "veth", "peer", "name", "eth0", "netns")
        outside = _inside(self._client)
        _do(*outside, *link, str(holder.pid))
        _do(*outside, "ip", "addr", "add", f"{gateway}/30", "dev", f"w{number}")
        _do(*outside, "ip", "link", "set", f"w{number}", "up")
        _do(*inside, "ip", "addr", "add", f"{own}/30", "dev", "eth0")
        _do(*inside, "ip", "link", "set", "eth0", "up")
        _do(*inside, "ip", "route", "add", "default", "via", gateway)
        clock = ("unshare", "--time", "--monotonic", "86400", "--fork", "--kill-child")
        words = [word.format(gateway=gateway) for word in command]
        started = _start([*inside, *clock, *words], environment)
        self._stack.enter_context(started)
        self._stack.callback(started.kill)
        return started


def _inside(pid: int) -> tuple[str, ...]:
    """Give what to put before a command to run it in a process's network, as the user that owns it."""
    return ("nsenter", "-t", str(pid), "--user", "--preserve-credentials", "--net")


def _start(command: Sequence[str], environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _do(*command: str) -> None:
    subprocess.run(command, check=True, env={"PATH": search_path()})


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def _process(harness: Command, *words: str) -> int:
    """Find the first process of a run whose command has these words, as soon as there is one."""
    end_s = time.monotonic() + 30
    while time.monotonic() < end_s:
        # Those that it forked have its command, too, and other namespaces.
        for pid in sorted(harness.look().processes):
            with contextlib.suppress(OSError):
                said = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if all(word.encode() in said for word in words):
                    return pid
        time.sleep(0.02)
    raise AssertionError(words)


def _invitation(run: subprocess.Popen[str]) -> tuple[str, str]:
    """Read where and with which secret the run says that workers join."""
    assert run.stderr is not None
    for line in run.stderr:
        if found := re.search(r"harness worker --join (\S+) --secret ([0-9a-f]{32})", line):
            return found[1], found[2]
    raise AssertionError(run.wait())


def test_workers_of_other_machines_join(harness: Command, stack: contextlib.ExitStack) -> None:
    """Two of them and one of the run's own: counts agree with every witness, clocks are told apart."""
    arguments = ("--await-workers", "2", "--json")
    run = harness.start("run", harness.scenario(_SCENARIO), *arguments)
    client = _process(harness, "harness.load", "127.0.0.1:5557")
    machines = Machines(stack, client, _process(harness, "harness.engines.forkserver"))
    place, secret = _invitation(run)
    assert place == "198.18.100.1:5557"  # the client side's own address, and not all of them
    stranger = machines.add(HARNESS, "worker", "--join", place, "--secret", "0" * 32, environment={})
    said, _ = stranger.communicate(timeout=30)
    assert stranger.returncode == 2
    assert "does not know this secret" in said
    command = (HARNESS, "worker", "--join", place)
    environment = os.environ | {"COLUMNS": "100", "SAMEPORT_SECRET": secret}
    workers = [machines.add(*command, environment=environment) for _ in range(2)]
    stdout, stderr = run.communicate(timeout=90)
    assert run.returncode in {0, 3}, stderr
    summary = json.loads(stdout)
    assert summary["witnesses"]["agree"]
    told = summary["generator"]["workers"]
    assert sum(worker["requests"] for worker in told) == summary["counts"]["requests"]
    far = [worker for worker in told if not worker["same_clock"]]
    assert len(far) == 2
    assert all(abs(one["offset_ns"] - 86400 * 10**9) <= one["uncertainty_ns"] for one in far)
    assert any("198.18.110.2 spoke to the workers' port without" in line for line in summary["warnings"])
    assert "turned away 198.18.110.2" in stderr
    # Sixteen addresses of the run's own worker, and one of each other machine.
    assert summary["counts"]["sources"] == 18
    for worker in workers:
        said, _ = worker.communicate(timeout=30)
        assert worker.returncode == 0
        assert [line.split()[0] for line in said.splitlines()][:2] == ["joining", "joined"]
        assert said.splitlines()[-1] == "the run has ended"


def test_a_worker_that_disappears_is_told(harness: Command, stack: contextlib.ExitStack) -> None:
    """What it had sent counts, and the result says that there was more."""
    arguments = ("--await-workers", "1", "--listen", "0.0.0.0:5557", "--set", "load.duration=6s", "--json")
    run = harness.start("run", harness.scenario(_SCENARIO), "--set", "load.warm_up=0s", *arguments)
    client = _process(harness, "harness.load", "127.0.0.1:5557")
    machines = Machines(stack, client, _process(harness, "harness.engines.forkserver"))
    _, secret = _invitation(run)
    command = (HARNESS, "worker", "--join", "{gateway}", "--secret", secret)
    worker = machines.add(*command, environment=dict(os.environ))
    assert worker.stdout is not None
    while "joined" not in worker.stdout.readline():
        pass
    time.sleep(2)  # in the middle of the load, which lasts six seconds
    worker.kill()  # unshare's child goes with it
    stdout, stderr = run.communicate(timeout=90)
    assert run.returncode in {0, 1, 3}, stderr
    summary = json.loads(stdout)
    (lost,) = [one for one in summary["generator"]["workers"] if one["lost"]]
    assert lost["requests"] > 0
    assert any("disappeared during the load" in warning for warning in summary["warnings"])
    counted = sum(one["requests"] for one in summary["generator"]["workers"])
    assert summary["counts"]["requests"] == counted
