"""Control groups: where containers' processor time and memory are counted, of version 1 and 2.

A privileged host has a group of its own, below which an engine makes one for each container. Groups are
folders: nothing removes them when the processes in them end, so that is done here.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from harness.hosts.processes import started

_ROOT = Path("/sys/fs/cgroup")
_PROCESSES = Path("/proc")
_ABOVE = "sameport"


@dataclass(frozen=True)
class Used:
    """What the processes of a group have used: processor time, and memory at most at a time."""

    cpu_ns: int
    memory_bytes: int


def own_group(pid: int) -> str:
    """Name the group of a host by its first process; no other process ever gets the same name."""
    return f"/{_ABOVE}/{pid}-{started(pid)}"


def _hierarchies(root: Path = _ROOT) -> list[Path]:
    """List where groups are: one place in version 2, one for each controller in version 1."""
    if (root / "cgroup.controllers").exists():
        return [root]
    return sorted({path.resolve() for path in root.iterdir() if (path / "cgroup.procs").exists()})


class Group:
    """The group that a process is in; its counts outlive it here.

    Parameters
    ----------
    pid
        The process.
    process, root
        Where the kernel shows processes and groups.
    """

    def __init__(self, pid: int, process: Path = _PROCESSES, root: Path = _ROOT) -> None:
        lines = (process / str(pid) / "cgroup").read_text().splitlines()
        # cgroups(7): hierarchy-ID:controller-list:path; version 2 has number 0 and no list.
        places = {
            controller: root / controller / path.lstrip("/")
            for _, controllers, path in (line.split(":", 2) for line in lines)
            for controller in controllers.split(",")
            if controller
        }
        unified = next(line.split(":", 2)[2] for line in [*lines, "0::/"] if line.startswith("0:"))
        self._cpu = places.get("cpuacct")
        self._memory = places.get("memory")
        self._both = root / unified.lstrip("/")
        self._last = Used(0, 0)
        self._over = False

    def ends(self) -> None:
        """Keep the counts as they were: the group has gone, and another has its place."""
        self._over = True

    def shares_place(self, other: Group) -> bool:
        """Tell whether another group is, or was, in the same place."""
        return (self._cpu, self._memory, self._both) == (other._cpu, other._memory, other._both)

    def used(self) -> Used:
        """Read its counts; those of the last reading where it has gone."""
        if self._over:
            return self._last
        # It goes with its last process.
        with contextlib.suppress(FileNotFoundError, OSError):
            self._last = Used(self._read_cpu(), max(self._read_memory(), self._last.memory_bytes))
        return self._last

    def _read_cpu(self) -> int:
        if self._cpu is not None:
            return int((self._cpu / "cpuacct.usage").read_text())
        stat = dict(line.split() for line in (self._both / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) * 1_000

    def _read_memory(self) -> int:
        if self._memory is not None:
            return int((self._memory / "memory.max_usage_in_bytes").read_text())
        for name in ("memory.peak", "memory.current"):  # the first since Linux 5.19
            if (self._both / name).exists():
                return int((self._both / name).read_text())
        return 0  # no such controller here


def remove(group: str, root: Path = _ROOT) -> None:
    """Remove a group, and those below it, from everywhere; processes in it must have ended."""
    for hierarchy in _hierarchies(root):
        top = hierarchy / group.lstrip("/")
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):  # another process removes it at the same time
                Path(folder).rmdir()
        with contextlib.suppress(OSError):
            top.parent.rmdir()  # unless it is another run's, too


def sweep(process: Path = _PROCESSES, root: Path = _ROOT) -> None:
    """Remove the groups of hosts that have ended without being able to do so."""
    names = {
        path.name for hierarchy in _hierarchies(root) for path in (hierarchy / _ABOVE).glob("[0-9]*-[0-9]*")
    }
    for name in names:
        pid, _, since = name.partition("-")
        if started(int(pid), process) != since:
            remove(f"/{_ABOVE}/{name}", root)
