"""Which processes belong together, and what they have cost."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def parents() -> dict[int, int]:
    """Give the parent of every process in this PID namespace."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        # Its name, in parentheses, may contain anything; what follows is the state and the parent (proc(5)).
        found[int(process.name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def family(pid: int) -> list[int]:
    """List a process and all that it started and they did, as long as those between them live."""
    found = parents()
    members = [pid]
    for member in members:
        members += [child for child, parent in found.items() if parent == member]
    return members


def started(pid: int, process: Path = Path("/proc")) -> str | None:
    """Read when a process started, in clock ticks since the machine did (proc(5), stat, field 22).

    None where it has ended, though nobody may have asked how.
    """
    try:
        fields = (process / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]


def cpu_ns_by_role(roles: Mapping[int, str]) -> dict[str, int]:
    """Add up the processor time of living processes.

    Parameters
    ----------
    roles
        The role of some processes; others have that of their nearest ancestor with one, and without
        such an ancestor are left out.
    """
    found = parents()
    totals = dict.fromkeys(roles.values(), 0)
    for pid in found:
        ancestor = pid
        while ancestor and ancestor not in roles:
            ancestor = found.get(ancestor, 0)
        if ancestor:
            try:
                totals[roles[ancestor]] += time.clock_gettime_ns(_clock(pid))
            except OSError:
                continue  # it has ended meanwhile
    return totals


def _clock(pid: int) -> int:
    # A process's clock, in nanoseconds for all its threads, also for those that have ended
    # (linux/posix-timers_types.h: MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED).
    return (~pid << 3) | 2


def softirq_ns() -> int:
    """Read what all cores of this machine spent in interrupts, hard and soft, since it started."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    ticks = int(fields[6]) + int(fields[7])  # proc(5): cpu user nice system idle iowait irq softirq
    return ticks * 10_000_000  # USER_HZ is 100 on every architecture that Linux knows today
