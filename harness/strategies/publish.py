"""Publishing a port, as a container engine does for one container: a DNAT rule and a relay.

The rule is for everybody who comes over the network; the relay listens on the port itself, so that
nobody else can take it, and serves whom the rule does not see, such as clients on loopback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from harness.errors import RefusedError
from harness.strategies.iptables import IptablesStrategy, dnat
from harness.strategies.userland import PortTakenError, RelayProgram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.hosts.base import Host
    from harness.strategies.base import Endpoint, Member, Options

_INSTEAD = "so-reuseport-sandbox, dnat-random, nft-random, haproxy (`harness list strategies` has all)"


class Publish(IptablesStrategy):
    """Each instance publishes the endpoint's port for itself: the second finds it taken."""

    name: ClassVar[str] = "publish"
    summary: ClassVar[str] = "one-to-one DNAT and a relay, as `docker run -p`; one instance only"
    policy = "none"
    predicted: ClassVar[str] = "everything to the one"
    way: ClassVar[str] = """
client elsewhere --> host:PORT --> nat table: DNAT --> the one instance
client on 127.0.0.1 --> PORT --> relay --> the one instance
"""
    seams: ClassVar[str] = """
- A published port leads to one instance. The second that wants it fails: "port is already allocated".
- The relay listens on the port although the rule takes the traffic: that keeps others from binding it.
- Through the relay, instances see the host's address; through the rule, the client's.
"""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._relays: list[RelayProgram] = []

    def _rules(self, members: Sequence[Member]) -> list[str]:
        return [dnat(member) for member in members]

    def expose(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Publish the port for one member after another."""
        for member in members:
            try:
                self._relays.append(RelayProgram(host, "0.0.0.0", endpoint.port, [member]))  # noqa: S104  as published
            except PortTakenError as error:
                self._stop_relays()
                raise RefusedError(
                    f"{member.name}: bind for 0.0.0.0:{endpoint.port} failed: port is already allocated; "
                    f"a published port leads to one instance. For several: {_INSTEAD}"
                ) from error
        super().expose(host, endpoint, members)

    def update(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> None:
        """Publish the port for another member instead."""
        if len(members) > 1:
            raise RefusedError(f"port {endpoint.port} is already allocated; it leads to one instance")
        self._relays[0].lead_to(members)
        super().update(host, endpoint, members)

    def withdraw(self, host: Host, endpoint: Endpoint) -> None:
        """Free the port."""
        self._stop_relays()
        super().withdraw(host, endpoint)

    def _stop_relays(self) -> None:
        for relay in self._relays:
            relay.stop()
        self._relays.clear()
