"""The baseline: the client talks to the one instance itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from harness.strategies.base import Strategy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.hosts.base import Host
    from harness.strategies.capabilities import Discovery
    from harness.types import Endpoint, Member, Placement, Unit


class Direct(Strategy):
    """One instance that listens on the endpoint itself: what all others can be compared with."""

    name: ClassVar[str] = "direct"
    summary: ClassVar[str] = "baseline: the client talks to one instance, nothing in between"
    unit: Unit = "connection"
    policy = "none"
    predicted: ClassVar[str] = "everything to the one"
    placement: ClassVar[Placement] = "host"
    most_members: ClassVar[int | None] = 1
    discovery: Discovery = "static"
    joinable: ClassVar[bool] = False
    family: ClassVar[str] = "nothing in between"
    keeps_source: ClassVar[bool] = True
    way: ClassVar[str] = """
client --> host:PORT, where the instance listens
"""
    seams: ClassVar[str] = """
- There is nothing to balance: its latency and cost are the baseline for the other strategies.
"""

    def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Do nothing: an instance that listens is exposed."""

    def update(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Do nothing: the endpoint is the instance's own."""

    def withdraw(self, host: Host, endpoint: Endpoint) -> None:
        """Do nothing: only the instance itself can stop listening."""
