"""What others than the client counted of the measured part: the instances, and the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.base import Engine, Served
    from harness.hosts.base import Host
    from harness.judge import WitnessTable
    from harness.strategies.base import Endpoint, Member, Strategy


class Witnesses:
    """Notes where every count stands, to tell later what has come since.

    No request may be under way, neither when it is made nor when it is asked.
    """

    def __init__(
        self, host: Host, engine: Engine, strategy: Strategy, endpoint: Endpoint, members: Sequence[Member]
    ) -> None:
        self._host = host
        self._engine = engine
        self._strategy = strategy
        self._endpoint = endpoint
        self._members = members
        self._served, self._kernel, self._dropped = self._counts()

    def _counts(self) -> tuple[list[Served] | None, list[int] | None, int]:
        kernel = self._strategy.kernel_counts(self._host, self._endpoint, self._members)
        return self._engine.served(), kernel, self._host.dropped()

    def collect(self) -> tuple[dict[str, WitnessTable], list[str]]:
        """Give each witness's table of connections and requests, and what spoils their word."""
        served, kernel, dropped = self._counts()
        names = [member.name for member in self._members]
        tables: dict[str, WitnessTable] = {}
        if served is not None and self._served is not None:
            since = [now - before for now, before in zip(served, self._served, strict=True)]
            tables["instances"] = {
                name: (count.connections, count.requests) for name, count in zip(names, since, strict=True)
            }
        if kernel is not None and self._kernel is not None:
            tables["kernel"] = {
                name: (now - before, None)
                for name, now, before in zip(names, kernel, self._kernel, strict=True)
            }
        warnings = self._engine.died()
        if dropped > self._dropped:
            warnings.append(
                f"the kernel dropped {dropped - self._dropped:,} packets, its connection table being full "
                "(net.netfilter.nf_conntrack_max): errors and latency are this machine's, not the strategy's"
            )
        return tables, warnings
