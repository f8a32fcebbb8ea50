"""What is known of a kind of engine before one is made, and the kinds that the harness has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.engines.base import Engine
    from harness.engines.containers import Images
    from harness.engines.workload import Workload
    from harness.hosts.base import ContainerHost
    from harness.strategies.base import Strategy

# A Linux bridge has 1,023 ports, and a container engine puts a network on one.
_MOST_CONTAINERS: Final = 1_000


class MakeEngine(Protocol):
    """Makes an engine."""

    def __call__(
        self, host: Any, workload: Workload, strategy: Strategy, images: Images | None, *, own: bool
    ) -> Engine:
        """Make an engine on a host that has started.

        Parameters
        ----------
        host
            A `harness.hosts.base.Host`; a `ContainerHost` for kinds that are `privileged`.
        workload
            What its instances run.
        strategy
            What is to expose them, which says where they run.
        images
            What to make containers of; None for kinds that run none.
        own
            Whether the host runs this machine's programs; otherwise it has an engine already.
        """


@dataclass(frozen=True)
class EngineKind:
    """A kind of engine. Other packages add theirs by the entry-point group ``harness.engines``.

    Attributes
    ----------
    name
        Its name in scenarios.
    summary
        One line for tables and help.
    make
        Makes one for a run.
    hosts
        The hosts that can run it.
    images
        Whether it runs container images, and not programs of the host.
    limits
        Whether it can limit an instance's memory and processors.
    publishes
        Whether it publishes ports, and answers what containers there are, by Docker's API.
    privileged
        Whether its host has to be made by root.
    most_replicas
        How many instances it can run; None for as many as the host has addresses for.
    commands
        Programs that must be on the host, each with the command that installs it.
    probe
        Starts what runs instances on a host of its own and waits until it answers, for `harness doctor`;
        None where there is nothing to start.
    """

    name: str
    summary: str
    make: MakeEngine
    hosts: frozenset[str] = frozenset({"netns"})
    images: bool = False
    limits: bool = False
    publishes: bool = False
    privileged: bool = False
    most_replicas: int | None = None
    commands: Mapping[str, str] = field(default_factory=dict)
    probe: Callable[[ContainerHost], None] | None = None


def _make_process(
    host: Any, workload: Workload, strategy: Strategy, images: Images | None, *, own: bool
) -> Engine:
    from harness.engines.process import ProcessEngine  # noqa: PLC0415  a scenario is read without engines

    del images, own
    return ProcessEngine(host, workload, strategy.can.placement)


def _maker(name: str) -> MakeEngine:
    """Give what makes a container engine whose daemon has this name."""

    def make(
        host: Any, workload: Workload, strategy: Strategy, images: Images | None, *, own: bool
    ) -> Engine:
        from harness.engines.containers import ContainerEngine  # noqa: PLC0415  with the SDK, 0.2 s
        from harness.engines.daemons import DAEMONS, MachinesDockerd  # noqa: PLC0415  as above

        if images is None:
            raise AssertionError(name)  # the runner finds images for every kind that runs them
        relays = strategy.can.relays
        daemon = (DAEMONS[name] if own else MachinesDockerd)(host, userland_proxy=relays)
        return ContainerEngine(host, daemon, workload, strategy, images)

    return make


def _prober(name: str) -> Callable[[ContainerHost], None]:
    def probe(host: ContainerHost) -> None:
        from harness.engines.daemons import DAEMONS  # noqa: PLC0415  with the SDK, 0.2 s

        daemon = DAEMONS[name](host)
        daemon.start()
        daemon.wait()

    return probe


PROCESS: Final = EngineKind(
    name="process",
    summary="a process in network and host-name namespaces of its own",
    make=_make_process,
)

DOCKER: Final = EngineKind(
    name="docker",
    summary="a container of a Docker Engine of its own; needs root",
    make=_maker("docker"),
    hosts=frozenset({"netns", "vagrant"}),
    images=True,
    limits=True,
    publishes=True,
    privileged=True,
    most_replicas=_MOST_CONTAINERS,
    commands=dict.fromkeys(
        ("dockerd", "containerd", "runc", "iptables"), "apt-get install docker.io iptables"
    ),
    probe=_prober("docker"),
)

PODMAN: Final = EngineKind(
    name="podman",
    summary="a container of a Podman of its own, by Docker's API; needs root",
    make=_maker("podman"),
    images=True,
    limits=True,
    publishes=True,
    privileged=True,
    most_replicas=_MOST_CONTAINERS,
    commands={
        "podman": "apt-get install podman",
        "runc": "apt-get install runc",
        "conmon": "apt-get install conmon",
    },
    probe=_prober("podman"),
)
