"""Which processes belong together, and what they have cost."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TICK_NS = 10_000_000  # USER_HZ is 100 on every architecture that Linux knows today


def parents() -> dict[int, int]:
    """Give the parent of every process in this PID namespace."""
    return {pid: int(fields[1]) for pid, fields in _stats().items()}


def _stats() -> dict[int, list[str]]:
    """Read what the kernel tells of every process, from its state on (proc(5), stat, field 3)."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        # Its name, in parentheses, may contain anything.
        found[int(process.name)] = stat.rpartition(")")[2].split()
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

    None where it has ended, though its parent may not have waited for it.
    """
    try:
        fields = (process / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in {"Z", "X"} else fields[19]


def cpu_ns_by_role(roles: Mapping[int, str]) -> dict[str, int]:
    """Add up the processor time of living processes, and of their children that have ended.

    Of the latter it is known to a hundredth of a second for each parent, once that has asked how they ended.

    Parameters
    ----------
    roles
        The role of some processes; others have that of their nearest ancestor with one, and without
        such an ancestor are left out.
    """
    stats = _stats()
    found = {pid: int(fields[1]) for pid, fields in stats.items()}
    totals = dict.fromkeys(roles.values(), 0)
    for pid in found:
        ancestor = pid
        while ancestor and ancestor not in roles:
            ancestor = found.get(ancestor, 0)
        if ancestor:
            # proc(5), stat, fields 16 and 17: user and system time of children that were waited for.
            totals[roles[ancestor]] += (int(stats[pid][13]) + int(stats[pid][14])) * _TICK_NS
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
    return ticks * _TICK_NS
