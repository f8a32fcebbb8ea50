"""What a host grants its programs."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hosts.netns import may_map_everyone
from harness.strategies.actions import Command, Question

if TYPE_CHECKING:
    from harness.strategies.actions import Actions

_ASK = Command(("sh", "-c", "ulimit -Hn; nproc; cat /proc/self/uid_map"))


@dataclass(frozen=True)
class Limits:
    """What a host grants its programs.

    Attributes
    ----------
    files
        The most files and sockets that a process may have open.
    cores
        Processor cores that they may run on.
    only_root
        Whether root is the only user there is, as in an ordinary user's namespaces.
    """

    files: int
    cores: int
    only_root: bool


def granted() -> Actions[Limits]:
    """Ask a host what it grants its programs."""
    finished = yield Question(_ASK, on_new_host=_here)
    files, cores, *mapped = finished.stdout.splitlines()
    users = sum(int(line.split()[2]) for line in mapped)
    return Limits(int(files), int(cores), only_root=users == 1)


def _here() -> str:
    """Tell what programs of a new host would be granted on this machine: they have this process's limits."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    known = Path("/proc/self/uid_map").read_text() if may_map_everyone() else f"0 {os.geteuid()} 1\n"
    return f"{files}\n{os.sysconf('SC_NPROCESSORS_ONLN')}\n{known}"
