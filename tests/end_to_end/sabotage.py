"""Ways to harm a run from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.end_to_end.conftest import Command

RULES: Final = ("dnat-random", "dnat-nth")
PROXIES: Final = ("haproxy", "nginx")
LASTS_S: Final = 3.0


@dataclass(frozen=True)
class Sabotage:
    """One way to harm a run.

    Attributes
    ----------
    what
        What is done, in words for the page.
    strategies
        The strategies that it is tried on.
    act
        Does it.
    named
        What the output has to say, as a regular expression.
    """

    what: str
    strategies: tuple[str, ...]
    act: Callable[[Run], None]
    named: str


@dataclass(frozen=True)
class Run:
    """A run under load, and the chance that picks what is harmed."""

    command: Command
    pid: int
    chance: random.Random

    @property
    def results(self) -> Path:
        """Give the results' folder as the run sees it."""
        return Path(f"/proc/{self.pid}/root{self.command.folder}/results")

    def wait_for_load(self, patience_s: float = 60) -> None:
        """Wait until the measured load begins, with which the scenario is written down."""
        end_s = time.monotonic() + patience_s
        while not list(self.results.glob(".*/scenario.yaml")):
            assert time.monotonic() < end_s
            time.sleep(0.02)

    def processes(self, *words: str) -> list[int]:
        """Find the run's processes whose command line has one of these words."""
        found = []
        for pid in sorted(self.command.look().processes):
            line = _read(pid, "cmdline").replace("\0", " ")
            if any(word in line for word in words):
                found.append(pid)
        return found

    def instances(self) -> list[int]:
        """Find the instances: what the forkserver has forked."""
        servers = self.processes("harness.engines.forkserver")
        return [pid for pid in servers if _parent(pid) in servers]

    def inside(self, *argv: str) -> str:
        """Run a program where the host's rules are."""
        home = min(self.processes("harness.engines.forkserver"))
        entered = ["nsenter", "-t", str(home), "-U", "-n", "-m", "--preserve-credentials", *argv]
        return subprocess.run(entered, capture_output=True, text=True, check=True).stdout


def _read(pid: int, file: str) -> str:
    try:
        return Path(f"/proc/{pid}/{file}").read_text(errors="replace")
    except OSError:
        return ""  # it ended while it was looked at


def _namespace(pid: int) -> str:
    """Give the PID namespace of a process; empty where it can't be seen."""
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


def _parent(pid: int) -> int:
    found = re.search(r"^PPid:\s+(\d+)", _read(pid, "status"), re.MULTILINE)
    return int(found[1]) if found else 0


def _flush(run: Run) -> None:
    run.inside("iptables", "-t", "nat", "-F")


def _change_a_rule(run: Run) -> None:
    """Lead the connections of one rule to a port on which nothing listens."""
    rules = [line for line in run.inside("iptables-save", "-t", "nat").splitlines() if "-j DNAT" in line]
    number = run.chance.randrange(len(rules))
    _, chain, *rule = rules[number].split()
    rule[-1] = f"{rule[-1].rpartition(':')[0]}:9"
    run.inside("iptables", "-t", "nat", "-R", chain, str(number + 1), *rule)


def _kill_an_instance(run: Run) -> None:
    os.kill(run.chance.choice(run.instances()), signal.SIGKILL)


def _stop_an_instance(run: Run) -> None:
    os.kill(run.chance.choice(run.instances()), signal.SIGSTOP)


def _kill_the_proxy(run: Run) -> None:
    # By namespace: nginx writes its title over its environment, where the mark of the test's processes is.
    inside = _namespace(run.instances()[0])
    everybody = (int(process.name) for process in Path("/proc").glob("[0-9]*"))
    for pid in [pid for pid in everybody if _namespace(pid) == inside]:
        if _read(pid, "comm").strip() in PROXIES:
            with suppress(ProcessLookupError):  # it ended with its parent
                os.kill(pid, signal.SIGKILL)


def _drop_packets(run: Run) -> None:
    words = ("-m", "statistic", "--mode", "random", "--probability", "0.01", "-j", "DROP")
    run.inside("iptables", "-t", "raw", "-A", "PREROUTING", "-i", "ext0", *words)


def _stop_the_generator(run: Run) -> None:
    os.kill(min(run.processes("harness.load")), signal.SIGSTOP)


def _fill_the_disk(run: Run) -> None:
    """Fill the small file system that the results lie on, which the run's processes alone see."""
    with (run.results / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return  # it is full


def on_a_small_disk(folder: Path) -> tuple[str, ...]:
    """Give what to put before a command so that its results lie on a small file system of its own."""
    (folder / "results").mkdir()
    script = 'mount -t tmpfs -o size=1m tmpfs "$1"; shift; exec "$@"'
    alone = ("--user", "--map-current-user", "--keep-caps") if os.geteuid() else ()
    return ("unshare", *alone, "--mount", "sh", "-ec", script, "sh", str(folder / "results"))


SABOTAGE: Final = {
    "flush": Sabotage(
        "flush the rules", RULES, _flush, "rules were removed or replaced|no request succeeded"
    ),
    "rule": Sabotage("change one rule", RULES, _change_a_rule, "the kernel's rules were changed"),
    "kill": Sabotage(
        "kill an instance", (*RULES, *PROXIES), _kill_an_instance, r"instance-\d died \(killed by SIGKILL\)"
    ),
    "freeze": Sabotage(
        "stop an instance (SIGSTOP)",
        (*RULES, *PROXIES),
        _stop_an_instance,
        r"instance-\d stands still: a signal \(SIGSTOP\)",
    ),
    "proxy": Sabotage("kill the proxy", PROXIES, _kill_the_proxy, "(haproxy|nginx).* ended"),
    "disk": Sabotage("fill the disk", ("dnat-random",), _fill_the_disk, "No space left on device"),
    "drop": Sabotage(
        "drop 1 % of the packets", ("dnat-random", "haproxy"), _drop_packets, "the network lost packets"
    ),
    "generator": Sabotage(
        "stop the load generator (SIGSTOP)", ("dnat-random",), _stop_the_generator, "generator"
    ),
}
