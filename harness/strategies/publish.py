"""Publishing a port, as a container engine does for one container: a DNAT rule and a relay.

The rule matches all clients on the network. The relay listens on the port itself, so that no other program
can take it, and serves clients that the rule does not match, such as those on loopback.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from harness.errors import RefusedError
from harness.hosts.address_plan import IPV4
from harness.strategies.base import Options
from harness.strategies.iptables import IptablesStrategy, counted_anywhere, dnat
from harness.strategies.userland import TAKEN, PortTakenError, RelayProgram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.hosts.base import Host
    from harness.strategies.actions import Actions, Facts
    from harness.strategies.capabilities import Capabilities
    from harness.types import Counted, Endpoint, Member

_INSTEAD = "so-reuseport-sandbox, dnat-random, nft-random, haproxy (`harness list strategies` has all)"


class PublishOptions(Options):
    """Options of a published port."""

    userland_proxy: bool = Field(
        default=True,
        description="Whether a relay serves the port, too, as Docker's `--userland-proxy`: for clients "
        "that the rule does not match.",
    )


class Publish(IptablesStrategy):
    """Each instance publishes the endpoint's port for itself: the second finds it taken."""

    name: ClassVar[str] = "publish"
    summary: ClassVar[str] = "one-to-one DNAT and a relay, as `docker run -p`; one instance only"
    family: ClassVar[str] = "nothing in between"
    published: ClassVar[bool] = True
    policy = "none"
    joinable: ClassVar[bool] = False
    predicted: ClassVar[str] = "everything to the one"
    options_model: ClassVar[type[Options]] = PublishOptions
    options: PublishOptions
    packet_path: ClassVar[str] = """
client elsewhere --> host:PORT --> nat table: DNAT --> the one instance
client on 127.0.0.1 --> PORT --> relay --> the one instance
"""
    caveats: ClassVar[str] = """
- A published port leads to one instance. A second instance fails: "port is already allocated".
- The relay listens on the port although the rule takes the traffic, so that no other program can bind it.
- Through the relay, instances see the host's address; through the rule, the client's.
"""

    def __init__(self, options: PublishOptions) -> None:
        super().__init__(options)
        self._relays: list[RelayProgram] = []

    @classmethod
    def capabilities(cls, options: Options) -> Capabilities:
        """Tell what it can do: an engine's own relay is one of its options."""
        told = super().capabilities(options)
        return replace(told, relays=options.userland_proxy) if isinstance(options, PublishOptions) else told

    def _rules(self, members: Sequence[Member]) -> list[str]:
        return [dnat(member) for member in members]

    def exposing(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Publish the port for one member after another, unless their engine has done so."""
        if facts.published:
            return
        if not self.options.userland_proxy:
            for member in members[1:]:
                raise _refusal(member, endpoint)
        for member in members if self.options.userland_proxy else ():
            try:
                yield from self._relay(endpoint, member)
            except PortTakenError as error:
                yield from self._stop_relays()
                raise _refusal(member, endpoint) from error
        yield from super().exposing(facts, endpoint, members)

    def _relay(self, endpoint: Endpoint, member: Member) -> Actions[None]:
        """Start a relay; the second one finds the port taken, also on a new host."""
        expected = {"on_new_host": TAKEN} if self._relays else {}
        relay = yield from RelayProgram.started(IPV4.unspecified, endpoint.port, [member], **expected)
        self._relays.append(relay)

    def updating(self, facts: Facts, endpoint: Endpoint, members: Sequence[Member]) -> Actions[None]:
        """Publish the port for another member instead."""
        if len(members) > 1:
            raise RefusedError(f"port {endpoint.port} is already allocated; it leads to one instance")
        for relay in self._relays:
            yield from relay.lead_to(members)
        yield from super().updating(facts, endpoint, members)

    def withdrawing(self, facts: Facts, endpoint: Endpoint) -> Actions[None]:
        """Free the port."""
        yield from self._stop_relays()
        yield from super().withdrawing(facts, endpoint)

    def counted(self, host: Host, endpoint: Endpoint, members: Sequence[Member]) -> Counted:
        """Read the connections that the rule has taken, also of a rule that the engine made."""
        return counted_anywhere(host, members) if host.published else super().counted(host, endpoint, members)

    def _stop_relays(self) -> Actions[None]:
        for relay in self._relays:
            yield from relay.stopped()
        self._relays.clear()


def _refusal(member: Member, endpoint: Endpoint) -> RefusedError:
    return RefusedError(
        f"{member.name}: bind for 0.0.0.0:{endpoint.port} failed: port is already allocated; "
        f"a published port leads to one instance. For several: {_INSTEAD}"
    )
