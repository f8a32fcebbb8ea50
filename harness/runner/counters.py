"""Counters other than the client's, read before and after the load: instances, kernel and proxy."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from harness.analysis.observed import Readings
from harness.engines.base import Served
from harness.errors import HarnessError
from harness.hosts.network import tcp_since
from harness.types import TOTAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.base import Engine
    from harness.hosts.base import Host
    from harness.strategies.base import Strategy
    from harness.types import Counted, Endpoint, Member, WitnessTable


class Counters:
    """Reads every counter when it is made, and gives the differences later.

    No request may be under way, neither when it is made nor when it collects.
    """

    def __init__(
        self,
        host: Host,
        engine: Engine,
        strategy: Strategy,
        endpoint: Endpoint,
        members: Sequence[Member],
    ) -> None:
        self._host = host
        self._engine = engine
        self._strategy = strategy
        self._endpoint = endpoint
        self._members = members
        self._tcp = host.tcp()
        self._served, self._dropped, self._cpu_ns = self._counts()
        self._counted = self._strategy.counted(self._host, self._endpoint, self._members)

    def _counts(self) -> tuple[list[Served] | None, int, dict[str, int]]:
        return self._engine.served(), self._host.dropped(), self._host.cpu_ns()

    def _counted_since(self) -> Counted | None:
        """Ask the kernel or the proxy; None where a proxy that died can't answer any more."""
        try:
            return self._strategy.counted(self._host, self._endpoint, self._members)
        except HarnessError:
            if self._host.died():
                return None
            raise

    def collect(
        self, all_instances: Sequence[str], *, changed: bool, followed: bool
    ) -> tuple[Readings, list[str]]:
        """Give what each counter has counted since, and what spoils it, one sentence each.

        Parameters
        ----------
        all_instances
            The instances that there were by now, in the order of their coming.
        changed
            Whether members have come or gone meanwhile, so that programs may not know each one's count.
        followed
            Whether the strategy's members were changed, with which counts of the kernel's rules begin anew.
        """
        counted = self._counted_since()
        served, dropped, cpu_ns = self._counts()
        cpu_since_ns = {role: used - self._cpu_ns.get(role, 0) for role, used in cpu_ns.items()}
        names = [member.name for member in self._members]
        tables: dict[str, WitnessTable] = {}
        if served is not None and self._served is not None:
            # Instances that joined later had counted nothing, and those that never joined never will.
            pairs = zip_longest(served, self._served, fillvalue=Served(0, 0))
            since = [now - before for now, before in pairs]
            since += [Served(0, 0)] * (len(all_instances) - len(since))
            tables["instances"] = {
                name: (count.connections, count.requests)
                for name, count in zip(all_instances, since, strict=True)
            }
        if counted is not None and self._counted is not None and not (followed and counted.by == "kernel"):
            if changed:
                counted = replace(counted, members=None)
            tables[counted.by] = _since(self._counted, counted, names)
        warnings = []
        if dropped > self._dropped:
            warnings.append(
                f"the kernel dropped {dropped - self._dropped:,} packets, its connection table being full "
                "(net.netfilter.nf_conntrack_max): errors and latency are this machine's, not the strategy's"
            )
        tcp = tcp_since(self._tcp, self._host.tcp())
        return Readings(tables, cpu_since_ns, self._engine.memory_bytes(), tcp), warnings

    def died(self) -> tuple[str, ...]:
        """Tell of each instance and each service that ended without being asked to."""
        return (*self._engine.died(), *self._host.died())


def _since(before: Counted, now: Counted, names: Sequence[str]) -> WitnessTable:
    def row(earlier: int, later: int) -> tuple[int | None, int | None]:
        count = later - earlier
        return (count, None) if now.what == "connections" else (None, count)

    if before.members is None or now.members is None:
        return {TOTAL: row(before.total, now.total)}
    return {name: row(*counts) for name, *counts in zip(names, before.members, now.members, strict=True)}
