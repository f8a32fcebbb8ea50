"""Docker Engine and Podman, started for one run: all in which they differ.

Both answer Docker's API, so everything else is `harness.engines.containers`. Their state is in the host's
own /run, which is memory and ends with the host: nothing of theirs can be left on this machine's disk.
"""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from http.client import HTTPConnection
from typing import TYPE_CHECKING, ClassVar

from harness.common.text import stderr_tail
from harness.errors import EngineError, HostError
from harness.hosts.address_plan import IPV4

if TYPE_CHECKING:
    from harness.hosts.base import ContainerHost, Service

FOLDER = "/run/sameport/engine"
_PODMAN_TMP = f"{FOLDER}/tmp"  # noqa: S108  of the host's own

# One that dockerd starts would make a folder below this machine's /opt.
_CONTAINERD_TOML = """\
version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "{socket}"
"""
# crun refuses a mixture of both versions of control groups. Events and logs go to files because the
# journal can't be reached from here.
_CONTAINERS_CONF = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
image_copy_tmp_dir = "{folder}/tmp"
tmp_dir = "{folder}/tmp"
static_dir = "{folder}/static"
volume_path = "{folder}/volumes"
[containers]
cgroups = "enabled"
log_driver = "k8s-file"
default_ulimits = {ulimits}
[network]
network_config_dir = "{folder}/networks"
"""
_STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""

# A machine's Docker stays as one run has set it until another wants it otherwise: its start takes a while.
_SET_UP = """
import json, pathlib, subprocess, sys
file, wanted = pathlib.Path("/etc/docker/daemon.json"), json.loads(sys.argv[1])
settings = json.loads(file.read_text()) if file.exists() else {}
if settings.get("userland-proxy", True) != wanted:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(settings | {"userland-proxy": wanted}))
    subprocess.run(["systemctl", "restart", "docker"], check=True)
else:
    subprocess.run(["systemctl", "start", "docker"], check=True)
"""

_UP_DEADLINE_S = 60
_LOOK_EVERY_S = 0.02
_PING_DEADLINE_S = 10


class Daemon(ABC):
    """A container engine on a host.

    Parameters
    ----------
    host
        Where.
    userland_proxy
        Whether a published port is served by a relay, too, for clients that the rules do not match.

    Attributes
    ----------
    name
        As a scenario says it.
    title
        As its makers do.
    resolver
        The address at which containers on its network find their neighbours' names.
    cuts_output
        Whether it may lose the end of what a program says that it runs in a container.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    resolver: ClassVar[str]
    cuts_output: ClassVar[bool] = False

    def __init__(self, host: ContainerHost, *, userland_proxy: bool = True) -> None:
        self._host = host
        self._userland_proxy = userland_proxy
        self._services: list[Service] = []
        self.socket = f"{FOLDER}/api.sock"

    @abstractmethod
    def _serve(self) -> list[Service]:
        """Start its programs."""

    def start(self) -> None:
        """Start it; `wait` tells when it is up.

        Raises
        ------
        EngineError
            It does not start; the message holds its words.
        """
        try:
            self._services = self._serve()
        except HostError as error:
            raise EngineError(str(error)) from error

    def wait(self) -> None:
        """Wait until it answers.

        Raises
        ------
        EngineError
            It ended, or does not answer; the message holds its last words.
        """
        end_s = time.monotonic() + _UP_DEADLINE_S
        while not self._answers():
            self.require_alive()
            if time.monotonic() > end_s:
                raise EngineError(f"{self.title} did not answer within {_UP_DEADLINE_S} s")
            time.sleep(_LOOK_EVERY_S)

    def _answers(self) -> bool:
        try:
            with self._host.connect(self.socket) as connected:
                connected.settimeout(_PING_DEADLINE_S)
                connection = HTTPConnection("localhost")
                connection.sock = connected
                connection.request("GET", "/_ping")
                return connection.getresponse().status == 200
        except (HostError, OSError):
            return False

    def require_alive(self) -> None:
        """Raise EngineError, with its last words, if one of its programs has ended."""
        for service in self._services:
            try:
                service.wait_listening([])
            except HostError as error:
                raise EngineError(str(error)) from error

    def open_forwarding(self, port: int) -> None:
        """Let through what rules of the host's own send to this port of the instances; by default, all is."""
        del port

    def _write(self, name: str, text: str) -> str:
        path = f"{FOLDER}/{name}"
        self._host.write(path, text)
        return path


class Dockerd(Daemon):
    """Docker Engine: dockerd, and a containerd of its own."""

    name: ClassVar[str] = "docker"
    title: ClassVar[str] = "Docker Engine"
    resolver: ClassVar[str] = "127.0.0.11"

    def _serve(self) -> list[Service]:
        containerd = f"{FOLDER}/containerd.sock"
        config = self._write("containerd.toml", _CONTAINERD_TOML.format(folder=FOLDER, socket=containerd))
        settings = {
            "containerd": containerd,
            "data-root": f"{FOLDER}/data",
            "exec-root": f"{FOLDER}/exec",
            "pidfile": f"{FOLDER}/dockerd.pid",
            "hosts": [f"unix://{self.socket}"],
            "bip": IPV4.engine_bridge,
            "default-address-pools": [{"base": IPV4.engine_pool, "size": IPV4.engine_pool_bits}],
            "cgroup-parent": self._host.group,
            # systemd's bus can't be reached from here.
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "userland-proxy": self._userland_proxy,
            "log-driver": "local",
            "log-level": "warn",
        }
        return [
            self._host.serve(
                "containerd", ["containerd", "--config", config, "--log-level", "warn"], role="engine"
            ),
            self._host.serve(
                "dockerd",
                ["dockerd", "--config-file", self._write("daemon.json", json.dumps(settings))],
                role="engine",
            ),
        ]

    def open_forwarding(self, port: int) -> None:
        """Accept in the chain that Docker leaves to its users; its own let through published ports only."""
        accepted = f"-d {IPV4.containers} -p tcp --dport {port} -m conntrack --ctstate DNAT -j ACCEPT"
        finished = self._host.run(["iptables", "--wait", "-I", "DOCKER-USER", *accepted.split()])
        if finished.status:
            raise EngineError(f"instances' ports can't be opened in DOCKER-USER: {finished.stderr.strip()}")


class MachinesDockerd(Dockerd):
    """The Docker Engine of a virtual machine, which runs there already."""

    def __init__(self, host: ContainerHost, *, userland_proxy: bool = True) -> None:
        super().__init__(host, userland_proxy=userland_proxy)
        self.socket = "/run/docker.sock"

    def _serve(self) -> list[Service]:
        finished = self._host.run([sys.executable, "-c", _SET_UP, json.dumps(self._userland_proxy)])
        if finished.status:
            words = stderr_tail(finished.stderr.encode())
            raise EngineError(f"Docker does not start in the virtual machine: {words}")
        return []


class Podman(Daemon):
    """Podman, as a service that answers Docker's API."""

    name: ClassVar[str] = "podman"
    title: ClassVar[str] = "Podman"
    resolver: ClassVar[str] = IPV4.container_gateway
    # Seen with 4.3.1: of 300 programs on a busy machine, 15 were heard to their first lines or not at all.
    cuts_output: ClassVar[bool] = True

    def _serve(self) -> list[Service]:
        if not self._userland_proxy:
            raise EngineError(
                "Podman as root has no relay for published ports, so there is none to take out: leave "
                "userland_proxy out, or take engine docker"
            )
        self._keep_machine_clean()
        env = {
            "CONTAINERS_CONF": self._write(
                "containers.conf", _CONTAINERS_CONF.format(folder=FOLDER, ulimits=_ulimits(self._host))
            ),
            "CONTAINERS_STORAGE_CONF": self._write("storage.conf", _STORAGE_CONF.format(folder=FOLDER)),
            "CONTAINERS_REGISTRIES_CONF": self._write("registries.conf", ""),
            "TMPDIR": _PODMAN_TMP,
            "HOME": FOLDER,
        }
        # It makes neither of them.
        self._write("tmp/.keep", "")
        self._write("networks/.keep", "")
        argv = ["podman", "--log-level", "warn", "system", "service", "--time", "0", f"unix://{self.socket}"]
        return [self._host.serve("podman", argv, env, role="engine")]

    def _keep_machine_clean(self) -> None:
        """Let it write to a layer over /var/lib: whatever it is told, it keeps a cache there."""
        for folder in ("upper", "work"):
            self._write(f"lib/{folder}/.keep", "")
        layers = f"lowerdir=/var/lib,upperdir={FOLDER}/lib/upper,workdir={FOLDER}/lib/work"
        mounted = self._host.run(["mount", "-t", "overlay", "-o", layers, "overlay", "/var/lib"])
        if mounted.status:
            raise EngineError(f"/var/lib can't be kept from Podman: {mounted.stderr.strip()}")


def _ulimits(host: ContainerHost) -> str:
    """Say which limits containers get: those that there are, since Podman would raise them."""
    ask = ["prlimit", "--noheadings", "--output=RESOURCE,HARD", "--nofile", "--nproc"]
    hard = [line.split() for line in host.run(ask).stdout.splitlines()]
    limits = [f"{name.lower()}={most}:{most}" for name, most in hard if most != "unlimited"]
    return json.dumps(limits)


DAEMONS: dict[str, type[Daemon]] = {daemon.name: daemon for daemon in (Dockerd, Podman)}
