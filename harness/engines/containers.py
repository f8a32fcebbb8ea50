"""Instances as containers, by Docker's API: the engines `docker` and `podman`.

A container gets what it needs and no more: no new privileges, no capabilities but those that an image
commonly needs to become its own user, limits of memory and of processes, and for the sample a root file
system that it can't write to. The sample counts into a file that all instances and the host share, so its
counts are read outside the measured path.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.engines.base import Changes, Served, Version
from harness.engines.container_host import ContainedHost
from harness.engines.docker_api import Container, Containers, Plan
from harness.engines.forkserver import SLOT_WORDS
from harness.engines.readiness import wait_ready
from harness.errors import EngineError, RefusedError
from harness.hosts.address_plan import IPV4
from harness.images.catalogue import CATALOGUE
from harness.instance.server import CONTROL_WORD, control
from harness.strategies.dns import NAME
from harness.types import Endpoint, Listener, Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.engines.daemons import Daemon
    from harness.engines.workload import Workload
    from harness.hosts.base import ContainerHost, Host
    from harness.images import CachedImage
    from harness.strategies.base import Strategy

_SHARED = "/run/sameport/shared"
_COUNTERS = f"{_SHARED}/counters"
_LOOK_EVERY_S = 0.01
_AT_ONCE = 8
# One write of 8 bytes, which `printf` has written as octal numbers.
_WRITE_WORD = 'printf "$1" | dd of="$2" bs=8 seek="$3" conv=notrunc status=none'
_TAKEN = ("port is already allocated", "address already in use")


@dataclass(frozen=True)
class Images:
    """The images of a run: the instances', a sandbox's where that is another, the proxy's if there is one.

    Those of new versions are known by what the scenario calls them.
    """

    instances: CachedImage
    sandbox: CachedImage | None = None
    proxy: CachedImage | None = None
    versions: Mapping[str, CachedImage] = field(default_factory=dict)

    def all(self) -> list[CachedImage]:
        """List those that there are, each once."""
        every = (self.instances, self.sandbox, self.proxy, *self.versions.values())
        found = (image for image in every if image)
        return list({image.reference: image for image in found}.values())


class ContainerEngine:
    """Instances as containers on a host.

    Parameters
    ----------
    host
        A privileged host.
    daemon
        The container engine, started here.
    workload
        What runs, on which ports, and what each container may use.
    strategy
        What is to expose them, which says where they run.
    images
        What to make containers of.
    """

    def __init__(
        self,
        host: ContainerHost,
        daemon: Daemon,
        workload: Workload,
        strategy: Strategy,
        images: Images,
    ) -> None:
        self._host = host
        self._daemon = daemon
        self._workload = workload
        self._strategy = strategy
        self._endpoint_port = workload.endpoint_port
        self._port = workload.endpoint_port if strategy.can.placement == "host" else workload.port
        self._images = images
        self._names: list[str] = []  # each at its slot
        self._instances: dict[str, Container] = {}
        self._sandbox: Container | None = None
        self._counts = workload.image is None  # whether all of them do
        self._frozen: set[str] = set()
        self._told: dict[str, int] = {}
        self._members: dict[str, Member] = {}  # those that listen, or did
        self._listens = threading.Condition()
        self.title = daemon.title
        host.write(_COUNTERS, "")
        daemon.start()

    def prepare(self) -> None:
        """Wait until the engine answers, load the images, and make the network."""
        self._daemon.wait()
        self.containers = Containers(self._host, self._daemon)
        self.containers.load(self._images.all())
        self.containers.make_network(IPV4.containers)

    def start(
        self, names: Sequence[str], version: Version | None = None, weights: Mapping[str, int] | None = None
    ) -> list[Member]:
        """Start one instance for each name, several at a time, and wait until all of them listen."""
        first = not self._names
        if first:
            size = max(self._workload.most * SLOT_WORDS * 8, 4096)
            self._host.run(["truncate", "--size", str(size), _COUNTERS])
        self._names += [name for name in names if name not in self._names]
        self._counts &= version is None or version.image is None
        for name in names:
            self._members.pop(name, None)
        with ThreadPoolExecutor(_AT_ONCE) as workers, self._refused():
            network = self._network()
            plans = [self._plan(name, network, version or Version(), weights or {}) for name in names]
            if self._strategy.can.published and self._strategy.can.placement == "own":
                # One after another: it is to be seen which of them the port is refused to.
                containers = [self._started(plan) for plan in plans]
            else:
                containers = list(workers.map(self._started, plans))
        self._instances |= {container.name: container for container in containers}
        self._host.adopt([container.pid for container in containers if container.pid], "instances")
        self._wait_listening(containers, (version and version.image) or self._workload.image)
        if first and self._strategy.can.placement == "own":
            self._daemon.open_forwarding(self._port)
        members = [
            Member(
                container.name, self._address(container), self._port, (weights or {}).get(container.name, 1)
            )
            for container in containers
        ]
        wait_ready(self._host, members, self._workload.ready, self._workload.start_timeout_ns)
        with self._listens:
            self._members |= {member.name: member for member in members}
            self._listens.notify_all()
        return members

    def _started(self, plan: Plan) -> Container:
        """Start a container, or the one again that has been there before."""
        before = self._instances.get(plan.name)
        if before is None:
            return self.containers.start(plan)
        self._tell(plan.name, 0)
        return self.containers.again(before)

    @contextmanager
    def _refused(self) -> Iterator[None]:
        """Tell apart that a port is published already, which is the strategy's own limit."""
        try:
            yield
        except EngineError as error:
            if self._strategy.can.published and any(words in str(error) for words in _TAKEN):
                raise RefusedError(str(error)) from error
            raise

    def _network(self) -> str:
        """Give the network that instances join: their own, the host's, or that of a sandbox."""
        if self._strategy.can.placement == "host":
            return "host"
        if self._strategy.can.placement == "own":
            return ""
        if self._sandbox is None:
            self._sandbox = self.containers.start(
                Plan(
                    name="sandbox",
                    own=True,
                    image=(self._images.sandbox or self._images.instances).reference,
                    entrypoint=("sleep",),
                    command=("infinity",),
                    published={self._port: self._endpoint_port},
                )
            )
        return f"container:{self._sandbox.id}"

    def _plan(self, name: str, network: str, version: Version, weights: Mapping[str, int]) -> Plan:
        app = self._workload
        told = {"INSTANCE": name, "HOSTNAME": name, "PORT": str(self._port)}
        own = self._strategy.can.placement == "own"
        if not own:
            told["REUSE_PORT"] = "1"
        sample = (app.image or version.image) is None
        if sample:
            slot = self._names.index(name)
            told |= {"COUNTERS": _COUNTERS, "SLOT": str(slot), "DELAY_NS": str(app.delay_ns)}
        if own:
            told |= self._strategy.environment(self._port)
        image = self._images.versions[version.image] if version.image else self._images.instances
        return Plan(
            name=name,
            image=image.reference,
            command=version.command or tuple(app.command or ()),
            env={**told, **app.env, **(version.told if version.name else {})},
            network=network,
            aliases=(NAME,) if own else (),
            labels=self._strategy.labels(self._port, weights.get(name, 1)) if own else {},
            published={self._port: self._endpoint_port} if own and self._strategy.can.published else {},
            folders={_SHARED: _SHARED} if sample else {},
            limits=self._workload.limits,
            low_port=self._port < 1024,
            trusted=sample,
        )

    def _address(self, container: Container) -> str:
        if self._strategy.can.placement == "host":
            return self._host.address
        return self._sandbox.address if self._sandbox else container.address

    def _wait_listening(self, containers: Sequence[Container], image: str | None) -> None:
        app = self._workload
        what = f"image {image}" if image else "the sample"
        end_s = time.monotonic() + app.start_timeout_ns / 1e9
        silent = list(containers)
        others: set[Listener] = set()
        while True:
            if died := self.containers.died(containers):
                shared = self._strategy.can.placement != "own"
                hint = "; all share one port, so each must set SO_REUSEPORT" if shared else ""
                raise EngineError(f"{died[0]}; application: {what}{hint}")
            held = self._host.listeners([container.pid for container in silent])
            waiting = [
                (container, own)
                for container, own in zip(silent, held, strict=True)
                if Listener("tcp", self._port) not in own
            ]
            if not waiting:
                return
            silent, others = [container for container, _ in waiting], waiting[0][1]
            if time.monotonic() > end_s:
                break
            time.sleep(_LOOK_EVERY_S)
        listening = ", ".join(str(listener.port) for listener in sorted(others))
        raise EngineError(
            f"{len(silent)} of {len(containers)} instances (first: {silent[0].name}) never listened on port "
            f"{self._port} within {app.start_timeout_ns / 1e9:g} s"
            + (f" (listening on: {listening}; is application.port right?)" if listening else "")
            + f"; application: {what}"
        )

    def exposure(self, endpoint: Endpoint) -> tuple[Host, Endpoint]:
        """Give the host as the strategy is to see it, and the endpoint that it is to open there."""
        if self._images.proxy is not None:
            contained = ContainedHost(
                self._host,
                self._daemon,
                self.containers,
                self._images.proxy.reference,
                [
                    f"/run/sameport/{self._strategy.name}",
                    *([self._daemon.socket] if self._strategy.can.asks_engine else []),
                ],
                endpoint.port,
                self._workload.proxy_limits,
                trusted=self._strategy.can.image in CATALOGUE,
            )
            return contained, Endpoint(IPV4.unspecified, endpoint.port)  # all that its container has
        self._host.published = self._strategy.can.published
        return self._host, endpoint

    def end(self, names: Sequence[str], *, kill: bool) -> None:
        """End instances, all at once: by SIGKILL, or as `docker stop` does."""
        self.freeze([name for name in names if name in self._frozen], frozen=False)  # or they would refuse
        self._host.cpu_ns()  # what they have used by now goes with their control groups
        self._each(names, lambda container: self.containers.end(container, kill=kill))

    def _each(self, names: Sequence[str], do: Callable[[Container], None]) -> None:
        """Do something to several containers at once."""
        if names:
            with ThreadPoolExecutor(len(names)) as workers:
                list(workers.map(do, [self._instances[name] for name in names]))

    def freeze(self, names: Sequence[str], *, frozen: bool) -> None:
        """Freeze instances as `docker pause` does, or let them go on."""
        self._each(names, lambda container: self.containers.freeze(container, frozen=frozen))
        (self._frozen.update if frozen else self._frozen.difference_update)(names)

    def degrade(self, names: Sequence[str], *, slow_ns: int | None = None, fail: float | None = None) -> None:
        """Write into the sample's memory that it is to be slower, or to fail."""
        for name in names:
            self._tell(name, control(self._told.get(name, 0), slow_ns, fail))

    def _tell(self, name: str, word: int) -> None:
        """Write an instance's word into the file that all share, in one piece."""
        self._told[name] = word
        place = self._names.index(name) * SLOT_WORDS + CONTROL_WORD
        written = "".join(f"\\{byte:03o}" for byte in word.to_bytes(8, sys.byteorder))
        finished = self._host.run(["sh", "-c", _WRITE_WORD, "sh", written, _COUNTERS, str(place)])
        if finished.status:
            raise EngineError(f"{name} can't be made slower, or made to fail: {finished.stderr.strip()}")

    def changes(self) -> Changes:
        """Follow what becomes of the instances from now on."""
        return self.containers.changes(self._listening)

    def _listening(self, name: str) -> Member | None:
        """Wait until an instance listens that has started; None where it never does, or is a proxy."""
        if name not in self._names:
            return None
        patience_s = self._workload.start_timeout_ns / 1e9
        with self._listens:
            self._listens.wait_for(lambda: name in self._members, patience_s)
            return self._members.get(name)

    def memory_bytes(self) -> dict[str, int]:
        """Read how much memory the containers of each role had at most, added up."""
        return self._host.memory_bytes()

    def served(self) -> list[Served] | None:
        """Read what each instance counted, in the order of their first start; None with others' images."""
        if not self._counts:
            return None
        told = self._host.run(["od", "-A", "n", "-v", "-t", "u8", "-w64", _COUNTERS]).stdout.splitlines()
        rows = [[int(word) for word in line.split()] for line in told[: len(self._names)]]
        return [Served(row[0], row[1]) for row in rows]

    def died(self) -> list[str]:
        """Describe each container that has ended by itself, one sentence each."""
        return self.containers.died()

    def versions(self) -> dict[str, str]:
        """Give the engine's own version, and what the images were made of."""
        origins = {f"image {image.reference}": image.origin for image in self._images.all()}
        return {self._daemon.name: self.containers.version()} | origins
