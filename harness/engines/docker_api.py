"""Containers, by the `docker` SDK: loading images, making, starting, looking, and errors in a line or two."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.common.text import printable, stderr_tail
from harness.engines.base import Change
from harness.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from docker import APIClient
    from docker.types.daemon import CancellableStream

    from harness.engines.daemons import Daemon
    from harness.engines.workload import Limits
    from harness.hosts.base import ContainerHost
    from harness.images import CachedImage
    from harness.types import Member

_NETWORK = "sameport"
# A container's name has two letters at least, an instance's may have one, or be that of a proxy.
_PREFIX, _OWN_PREFIX = "sameport-", "sameport."
_LOOK_EVERY_S = 0.01
_DEADLINE_S = 300  # where the machine is emulated, and busy, eight containers that start at once take minutes
_STOP_S = 10  # what `docker stop` leaves a container to end by itself
# Of a container that has ended, its last output may be written after the event of its end.
_LOG_SETTLES_S = 0.2
_RUNNING = {"start": True, "die": False, "died": False}  # the last is Podman's own word
_MOST_PROCESSES = 512
_MEMORY_BYTES = 512 << 20
# What images commonly need to prepare their folders and to become a user of their own.
_TO_CHANGE_USER = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID")
# Limits of the kernel that would show in a measurement as if they were the strategy's.
_SYSCTLS = {"net.core.somaxconn": "65535", "net.ipv4.ip_local_port_range": "1024 65535"}
_MOST_WORDS = 500


@dataclass(frozen=True)
class Plan:
    """A container that is to be.

    Attributes
    ----------
    network
        What it joins: the network that all share if empty, else as `docker run --network` has it.
    aliases
        Further names by which others on the network find it.
    published
        The host's port for some of its own.
    folders
        The host's folders that it has, by their place in it.
    limits
        What the scenario lets it use.
    most_processes, memory_bytes
        What it may use where the scenario says nothing.
    capabilities
        Those that it keeps.
    user
        The user it runs as; None for the image's own.
    own
        Whether it is the harness's own, and not an instance.
    low_port
        Whether it listens on a port below 1024.
    trusted
        Whether it is known to need neither capabilities nor to write to its root file system.
    """

    name: str
    image: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    aliases: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[int, int] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    limits: Limits | None = None
    low_port: bool = False
    trusted: bool = True
    most_processes: int = _MOST_PROCESSES
    memory_bytes: int = _MEMORY_BYTES
    capabilities: tuple[str, ...] = ()
    user: str | None = None
    own: bool = False


@dataclass(frozen=True)
class Container:
    """A container that was started: its address on the shared network, and its first process."""

    name: str
    id: str
    address: str
    pid: int


class ContainerChanges:
    """A stream of the engine's events, of those that mean a container has started or ended.

    Parameters
    ----------
    stream
        The engine's.
    member
        Gives an instance once it listens; None where it never does, or is none.
    """

    def __init__(self, stream: CancellableStream[Any], member: Callable[[str], Member | None]) -> None:
        self._stream = stream
        self._member = member

    def __iter__(self) -> Iterator[Change]:
        """Give the changes as they come."""
        for event in self._stream:
            running = _RUNNING.get(event.get("status", ""))
            if running is None:
                continue
            name = event["Actor"]["Attributes"]["name"].removeprefix(_PREFIX)
            if not running:
                yield Change(name)
            elif member := self._member(name):
                yield Change(name, member)

    def close(self) -> None:
        """End it."""
        self._stream.close()


class Containers:
    """The containers of one run.

    Parameters
    ----------
    host, daemon
        The host, and the engine on it, which answers.
    """

    def __init__(self, host: ContainerHost, daemon: Daemon) -> None:
        import docker  # noqa: PLC0415  0.2 s, for engines that need it only

        self._daemon = daemon
        self._group = host.group
        self._started: dict[str, Container] = {}
        with self._told("is asked"):
            self.client: APIClient = docker.APIClient(
                f"unix://{host.local_path(daemon.socket)}", version="auto", timeout=_DEADLINE_S
            )

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn what the SDK raises into one line.

        Raises
        ------
        EngineError
            The engine refused, or has gone.
        """
        from docker.errors import APIError, DockerException  # noqa: PLC0415  as above
        from requests.exceptions import RequestException  # noqa: PLC0415  as above

        title = self._daemon.title
        try:
            yield
        except APIError as error:
            words = printable(str(error.explanation or error).strip())[:_MOST_WORDS]
            raise EngineError(f"{title} refused when {what}: {words}") from error
        except (DockerException, RequestException, OSError) as error:
            self._daemon.require_alive()
            raise EngineError(
                f"{title} does not answer when {what}: {printable(str(error))[:200]}"
            ) from error

    def version(self) -> str:
        """Ask for the engine's version."""
        with self._told("its version is asked for"):
            return str(self.client.version()["Version"])

    def load(self, images: Sequence[CachedImage]) -> None:
        """Load images from archives, side by side."""
        with ThreadPoolExecutor(len(images)) as workers:
            list(workers.map(self._load, images))

    def _load(self, image: CachedImage) -> None:
        if self._has(image):
            return  # a virtual machine keeps what an earlier run has brought
        with image.path.open("rb") as archive, self._told(f"image {image.reference} is loaded"):
            for line in self.client.load_image(archive):  # type: ignore[no-untyped-call]  # of the stubs
                if "error" in line:
                    raise EngineError(f"image {image.reference} can't be loaded: {line['error']}")

    def _has(self, image: CachedImage) -> bool:
        with self._told("its images are listed"):
            named: Any = self.client.images(name=image.reference)
        return any(one["Id"] == image.image_id for one in named)

    def make_network(self, subnet: str) -> None:
        """Make the network that instances and proxies share."""
        from docker.types import IPAMConfig, IPAMPool  # noqa: PLC0415  as above

        with self._told("its network is made"):
            self.client.create_network(
                _NETWORK, driver="bridge", ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])
            )

    def start(self, plan: Plan) -> Container:
        """Make a container and start it.

        Raises
        ------
        EngineError
            The engine refused it; the message holds its words.
        """
        with self._told(f"{plan.name} is started"):
            created = self.client.create_container(
                plan.image,
                command=list(plan.command) or None,
                entrypoint=list(plan.entrypoint) or None,
                name=(_OWN_PREFIX if plan.own else _PREFIX) + plan.name,
                user=plan.user,
                hostname=None if plan.network.startswith("container:") else plan.name,
                environment=dict(plan.env),
                labels=dict(plan.labels),
                ports=list(plan.published),
                host_config=self._host_config(plan),
                networking_config=self._networking(plan),
            )
            self.client.start(created["Id"])
            container = self._container(plan.name, created["Id"])
        self._started[container.id] = container
        return container

    def _container(self, name: str, id_: str) -> Container:
        seen = self.client.inspect_container(id_)
        networks = seen["NetworkSettings"]["Networks"] or {}
        address = networks.get(_NETWORK, {}).get("IPAddress", "")
        return Container(name, id_, address, seen["State"]["Pid"])

    def _host_config(self, plan: Plan) -> dict[str, Any]:
        shares = plan.network == "host" or plan.network.startswith("container:")
        capabilities = [*plan.capabilities, *([] if plan.trusted else _TO_CHANGE_USER)]
        memory = (plan.limits and plan.limits.memory_bytes) or plan.memory_bytes
        config: dict[str, Any] = self.client.create_host_config(
            network_mode=plan.network or _NETWORK,
            port_bindings=dict(plan.published.items()),
            binds={place: {"bind": inside, "mode": "rw"} for inside, place in plan.folders.items()},
            read_only=plan.trusted,
            tmpfs={"/tmp": "mode=1777"},  # noqa: S108  of the container's own
            cap_drop=["ALL"],
            cap_add=[*capabilities, "NET_BIND_SERVICE"] if plan.low_port else capabilities,
            security_opt=["no-new-privileges"],
            pids_limit=plan.most_processes,
            cgroup_parent=self._group,
            mem_limit=memory,
            memswap_limit=memory,
            nano_cpus=round(plan.limits.cpus * 1e9) if plan.limits and plan.limits.cpus else None,
            sysctls=None if shares else _SYSCTLS,
        )
        return config

    def _networking(self, plan: Plan) -> dict[str, Any] | None:
        if plan.network:
            return None
        joined: Any = self.client.create_endpoint_config(aliases=list(plan.aliases))
        config: dict[str, Any] = self.client.create_networking_config({_NETWORK: joined})  # type: ignore[arg-type]  # stubs take one endpoint
        return config

    def run(self, container: Container, argv: Sequence[str]) -> tuple[int, str, str]:
        """Run a program in a container to its end; gives its status, its output and its errors."""
        with self._told(f"{argv[0]} is run in {container.name}"):
            made = self.client.exec_create(container.id, list(argv))
            stdout, stderr = self.client.exec_start(made["Id"], demux=True)
            end_s = time.monotonic() + _DEADLINE_S
            # Podman's stream may end before the program has.
            while (told := self.client.exec_inspect(made["Id"]))["Running"]:
                if time.monotonic() > end_s:
                    raise EngineError(f"{argv[0]} did not end in {container.name} within {_DEADLINE_S} s")
                time.sleep(_LOOK_EVERY_S)
            status = told["ExitCode"]
        return status, (stdout or b"").decode(errors="replace"), (stderr or b"").decode(errors="replace")

    def signal(self, container: Container, number: int) -> None:
        """Send a container's first process a signal; nothing happens where it has ended."""
        if self.exit_reason(container) is None:
            with self._told(f"{container.name} is sent a signal"):
                self.client.kill(container.id, number)

    def remove(self, container: Container, grace_s: int = 0) -> None:
        """End a container, by SIGKILL once it has had some time to end by itself, and take it away."""
        self._started.pop(container.id, None)
        with self._told(f"{container.name} is removed"):
            if grace_s:
                self.client.stop(container.id, timeout=grace_s)
            self.client.remove_container(container.id, force=True, v=True)

    def end(self, container: Container, *, kill: bool) -> None:
        """End a container on purpose: it is not reported as one that died."""
        self._started.pop(container.id, None)
        with self._told(f"{container.name} is ended"):
            if kill:
                self.client.kill(container.id)
            else:
                self.client.stop(container.id, timeout=_STOP_S)

    def again(self, container: Container) -> Container:
        """Start a container again that has ended."""
        with self._told(f"{container.name} is started again"):
            self.client.start(container.id)
            started = self._container(container.name, container.id)
        self._started[container.id] = started
        return started

    def freeze(self, container: Container, *, frozen: bool) -> None:
        """Freeze all processes of a container, or let them go on."""
        with self._told(f"{container.name} is {'paused' if frozen else 'resumed'}"):
            (self.client.pause if frozen else self.client.unpause)(container.id)

    def changes(self, member: Callable[[str], Member | None]) -> ContainerChanges:
        """Follow what becomes of containers from now on."""
        with self._told("its events are asked for"):
            return ContainerChanges(self.client.events(decode=True, filters={"type": ["container"]}), member)

    def died(self, among: Sequence[Container] | None = None) -> list[str]:
        """Tell of each container, of these or of all, that has ended unasked, one sentence each."""
        with self._told("its containers are listed"):
            ended = self.client.containers(all=True, filters={"status": ["exited"]})
        ids = {found["Id"] for found in ended}
        containers = list(self._started.values()) if among is None else among
        told = (self.exit_reason(container) for container in containers if container.id in ids)
        return [words for words in told if words]

    def exit_reason(self, container: Container) -> str | None:
        """Tell how a container ended, with its last words; None while it runs."""
        with self._told(f"{container.name} is looked at"):
            state = self.client.inspect_container(container.id)["State"]
        if state["Status"] not in {"exited", "dead", "stopped"}:
            return None
        time.sleep(_LOG_SETTLES_S)
        how = "out of memory" if state.get("OOMKilled") else f"exit status {state['ExitCode']}"
        return f"{container.name} ended ({how}): {self.words(container)}"

    def words(self, container: Container) -> str:
        """Give the last lines that a container wrote."""
        with self._told(f"{container.name}'s log is read"):
            return stderr_tail(self.client.logs(container.id, tail=3)) or "it said nothing"
