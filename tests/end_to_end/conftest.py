"""The command as a user runs it, in a process of its own, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HARNESS = str(Path(sys.executable).with_name("harness"))
_MARK = "SAMEPORT_TEST_RUN"


@dataclass(frozen=True)
class Machine:
    """What a run could leave on this machine.

    Attributes
    ----------
    processes
        Those that carry this test's mark in their environment.
    interfaces, rules, mounts
        The machine's own, as the kernel lists them.
    """

    processes: frozenset[int]
    interfaces: frozenset[str]
    rules: str
    mounts: str


def _look(mark: str) -> Machine:
    processes = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{_MARK}={mark}".encode() in (process / "environ").read_bytes():
                processes.add(int(process.name))
        except OSError:
            continue  # it ended while it was looked at, or it is another user's
    rules = subprocess.run(
        ["iptables-save"], capture_output=True, text=True, check=False, env={"PATH": "/usr/sbin:/sbin"}
    )
    return Machine(
        frozenset(processes),
        frozenset(link.name for link in Path("/sys/class/net").iterdir()),
        "".join(line for line in rules.stdout.splitlines(keepends=True) if not line.startswith("#")),
        Path("/proc/self/mountinfo").read_text(),
    )


class Command:
    """`harness`, with an environment that marks everything it starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.environment = os.environ | {_MARK: self.mark, "COLUMNS": "100"}
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, user: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Start it, as a terminal would: where the tests run in the background, Ctrl-C is ignored."""
        process = subprocess.Popen(
            [*user, HARNESS, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no threads here
        )
        self.started.append(process)
        return process

    def __call__(
        self, *arguments: str, user: tuple[str, ...] = (), patience_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        with self.start(*arguments, user=user) as process:
            try:
                stdout, stderr = process.communicate(timeout=patience_s)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def scenario(self, text: str) -> str:
        """Write a scenario file and give its name."""
        (self.folder / "scenario.yaml").write_text(text)
        return "scenario.yaml"

    def look(self) -> Machine:
        """See what this command could have left."""
        return _look(self.mark)

    def settled(self, before: Machine) -> Machine:
        """See what it has left, once the kernel has had the time to take namespaces apart."""
        end_s = time.monotonic() + 5
        while (after := self.look()) != before and time.monotonic() < end_s:
            time.sleep(0.05)
        return after


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Command]:
    """Give the command, and see to it that the test's runs leave nothing on the machine."""
    command = Command(tmp_path)
    before = command.look()
    yield command
    for process in command.started:  # those of a test that failed
        with process:
            process.kill()
    assert command.settled(before) == before
