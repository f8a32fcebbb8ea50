"""Throw-away machines, by name: what each can hold and run.

In: programs, files and processes to attach; out: their words, addresses and processor time.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.hosts.address_plan import IPV4, MACHINE_ENDPOINT


@dataclass(frozen=True)
class HostKind:
    """What is known of a kind of host before one is made.

    Attributes
    ----------
    summary
        One line for tables and help.
    address
        That clients know.
    most_replicas
        How many instances it can hold.
    engine
        The engine that runs its instances where a scenario names none; `EngineKind.hosts` has all.
    here
        Whether it runs this machine's programs, and does not have its own.
    """

    summary: str
    address: str
    most_replicas: int
    engine: str
    here: bool


DEFAULT_SOURCES = 16
MOST_SOURCES = 16_000
MOST_IN_A_NETWORK = 254
"""Addresses of a network of /24 that clients can have."""
"""How many addresses clients have, and how many they can have."""

HOSTS = {
    "netns": HostKind(
        summary="Linux namespaces on this machine, no root needed",
        address=IPV4.endpoint,
        most_replicas=64_000,
        engine="process",
        here=True,
    ),
    "vagrant": HostKind(
        summary="a virtual machine with Docker Engine, by Vagrant",
        address=MACHINE_ENDPOINT,
        most_replicas=1_000,
        engine="docker",
        here=False,
    ),
}
