"""Engines: what runs an instance on a host, by name.

In: a host, a workload and names; out: members that listen, what they counted, and how they ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class EngineKind:
    """What is known of a kind of engine before one is made.

    Attributes
    ----------
    summary
        One line for tables and help.
    images
        Whether it runs container images, and not programs of the host.
    most_replicas
        How many instances it can run; None for as many as the host has addresses for.
    commands
        Programs that must be on the host, each with the command that installs it.
    """

    summary: str
    images: bool = False
    most_replicas: int | None = None
    commands: Mapping[str, str] = field(default_factory=dict)


# A Linux bridge has 1,023 ports, and a container engine puts a network on one.
_MOST_CONTAINERS = 1_000

ENGINES = {
    "process": EngineKind("a process in network and host-name namespaces of its own"),
    "docker": EngineKind(
        "a container of a Docker Engine of its own; needs root",
        images=True,
        most_replicas=_MOST_CONTAINERS,
        commands=dict.fromkeys(
            ("dockerd", "containerd", "runc", "iptables"), "apt-get install docker.io iptables"
        ),
    ),
    "podman": EngineKind(
        "a container of a Podman of its own, by Docker's API; needs root",
        images=True,
        most_replicas=_MOST_CONTAINERS,
        commands={
            "podman": "apt-get install podman",
            "runc": "apt-get install runc",
            "conmon": "apt-get install conmon",
        },
    ),
}
