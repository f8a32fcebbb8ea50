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
    from collections.abc import Sequence

    from harness.strategies.actions import Actions

# A control group's quota bounds those below it, too: of a container, its own are all that it sees.
_SCRIPT = r"""
ulimit -Hn
nproc
group=$(sed -n 's/^0:://p' /proc/self/cgroup)
while :; do
    sed 's/^/quota /' "/sys/fs/cgroup${group%/}/cpu.max" 2>/dev/null
    case $group in ""|/) break ;; esac
    group=${group%/*}
done
quota=$(cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null) &&
    echo "quota $quota $(cat /sys/fs/cgroup/cpu/cpu.cfs_period_us)"
cat /proc/self/uid_map
"""
_ASK = Command(("sh", "-c", _SCRIPT))


@dataclass(frozen=True)
class Limits:
    """What a host grants its programs.

    Attributes
    ----------
    files
        The most files and sockets that a process may have open.
    cores
        Processor cores that they may use: those that they may run on, and no more than a quota of processor
        time amounts to, rounded up.
    only_root
        Whether root is the only user there is, as in an ordinary user's namespaces.
    """

    files: int
    cores: int
    only_root: bool


def granted() -> Actions[Limits]:
    """Ask a host what it grants its programs."""
    finished = yield Question(_ASK, on_new_host=_here)
    files, cores, *rest = finished.stdout.splitlines()
    quotas = [line.split()[1:] for line in rest if line.startswith("quota ")]
    users = sum(int(line.split()[2]) for line in rest if not line.startswith("quota "))
    return Limits(int(files), within(int(cores), quotas), only_root=users == 1)


def within(cores: int, quotas: Sequence[Sequence[str]]) -> int:
    """Give how many cores quotas leave of these.

    Parameters
    ----------
    cores
        How many a program may run on.
    quotas
        Microseconds of processor time in a period, and the period's, as control groups have them; `max` or a
        negative number is none.
    """
    some = [(quota, period) for quota, period in quotas if quota != "max" and int(quota) > 0]
    return max(1, min([cores, *(-(-int(quota) // int(period)) for quota, period in some)]))


def _here() -> str:
    """Tell what programs of a new host would be granted on this machine: they have this process's limits."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    known = Path("/proc/self/uid_map").read_text() if may_map_everyone() else f"0 {os.geteuid()} 1\n"
    return f"{files}\n{len(os.sched_getaffinity(0))}\n{_quota()}{known}"


def _quota() -> str:
    """Give the quotas of this process's control groups, as the script on a host prints them."""
    groups = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line.removeprefix("0::/") for line in groups if line.startswith("0::")), "")
    places = [Path("/sys/fs/cgroup") / own, *(Path("/sys/fs/cgroup") / own).parents]
    found = [place / "cpu.max" for place in places if place.is_relative_to("/sys/fs/cgroup")]
    return "".join(f"quota {path.read_text()}" for path in found if path.is_file())
