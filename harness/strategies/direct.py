"""The baseline: the client talks to the one instance itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from harness.strategies.passive import Passive

if TYPE_CHECKING:
    from harness.strategies.capabilities import Discovery
    from harness.types import Placement, Unit


class Direct(Passive):
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
    packet_path: ClassVar[str] = """
client --> host:PORT, where the instance listens
"""
    caveats: ClassVar[str] = """
- There is nothing to balance: its latency and cost are the baseline for the other strategies.
"""
