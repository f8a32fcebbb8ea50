"""The process that owns a `netns` host: `python -m harness.hosts.supervisor FD`.

It moves into new user, mount, PID, network, host-name and IPC namespaces and forks. The child is
the PID namespace's first process: it makes the network, starts what it is told to start, and when
it ends, for whatever reason, the kernel kills everything else inside and takes the namespaces
apart. It ends when the channel to the harness closes, or when its parent dies; so no process of a
run outlives any other that it needs.

Requests and answers are described at the `_do_…` method of each.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from harness.channel import Channel, ChannelClosedError, Message
from harness.hosts import kernel
from harness.hosts.processes import cpu_ns_by_role, softirq_ns
from harness.hosts.services import Services

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMESPACES = (
    kernel.CLONE_NEWUSER
    | kernel.CLONE_NEWNS
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWIPC
)
_RUN_DEADLINE_S = 120
_CONNECT_DEADLINE_S = 5

# Limits of the kernel that would show in a measurement as if they were the strategy's.
_FOR_ALL = {
    "net/ipv6/conf/all/disable_ipv6": "1",  # no duplicate-address detection or router search on the links
    "net/ipv6/conf/default/disable_ipv6": "1",
    "net/core/somaxconn": "65535",
    "net/ipv4/tcp_max_syn_backlog": "65535",
}
_FOR_CLIENTS = _FOR_ALL | {
    "net/ipv4/ip_local_port_range": "1024 65535",
    "net/ipv4/tcp_tw_reuse": "1",
    "net/ipv4/tcp_max_tw_buckets": "2000000",
}
_FOR_HOST = _FOR_CLIENTS | {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "0",  # a bridged packet must not meet the rules twice
}
_FOR_TRACKING = {
    # Connections that have ended must not fill the table (its size is global). A packet that comes after
    # its entry has gone is not to be taken for a new connection: it would be balanced, and counted, again.
    "net/netfilter/nf_conntrack_tcp_timeout_time_wait": "10",
    "net/netfilter/nf_conntrack_tcp_loose": "0",
}


def _set_limits(limits: Mapping[str, str]) -> None:
    for name, value in limits.items():
        try:
            Path("/proc/sys", name).write_text(value)
        except FileNotFoundError:
            continue  # the kernel has not loaded this part (IPv6, connection tracking), so nor its limit


class Supervisor:
    """The first process inside."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._client = self._new_network()
        self._attached = 0
        self._children: list[subprocess.Popen[bytes]] = []
        self._services = Services()
        self._roles: dict[int, str] = {}

    def _new_network(self) -> int:
        kernel.unshare(kernel.CLONE_NEWNET)
        try:
            _set_limits(_FOR_CLIENTS)
            return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            kernel.enter_network(self._home)

    def serve(self) -> None:
        """Carry out requests until the harness closes the channel."""
        while True:
            request = self._channel.receive()
            try:
                answer = getattr(self, f"_do_{request['do']}")(request)
            except OSError as error:
                what = f"{error.filename}: " if error.filename else ""
                answer = {"error": f"{what}{error.strerror or error}", "errno": error.errno}
            except subprocess.TimeoutExpired as error:
                answer = {"error": f"{error.cmd[0]} did not end within {error.timeout:.0f} s", "errno": 0}
            with answer.pop("socket", ExitStack()) as handed:
                self._channel.send(answer, (handed.fileno(),) if isinstance(handed, socket.socket) else ())

    def _do_link(self, _request: Message) -> Message:
        """Make the network between host and client → {first_external_source, first_local_source}."""
        from harness.hosts import links  # noqa: PLC0415  its import takes 0.3 s, in which programs can start

        self._links = links
        self._routes = links.RouteSocket()
        _set_limits(_FOR_HOST)
        self._routes.send(links.host_messages(self._client))
        with kernel.inside_network(self._client, self._home):
            routes = links.RouteSocket()
        routes.send(links.client_messages())
        routes.close()
        return {
            "first_external_source": links.FIRST_EXTERNAL_SOURCE,
            "first_local_source": links.FIRST_LOCAL_SOURCE,
        }

    def _do_attach(self, request: Message) -> Message:
        """Connect the network namespaces of processes: {pids} → {addresses}."""
        links, first, pids = self._links, self._attached, request["pids"]
        self._routes.send(links.bridge_messages(first, len(pids)))
        self._routes.send(list(links.port_messages(first, pids)))
        for pid, messages in zip(pids, links.instance_messages(first, len(pids)), strict=True):
            self._configure(pid, messages)
        self._attached += len(pids)
        return {"addresses": [links.instance_address(first + k) for k in range(len(pids))]}

    def _configure(self, pid: int, messages: list[bytes]) -> None:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with kernel.inside_network(namespace, self._home):
                _set_limits(_FOR_ALL)
                routes = self._links.RouteSocket()
        finally:
            os.close(namespace)
        routes.send(messages)
        routes.close()

    def _do_track(self, _request: Message) -> Message:
        """Set the limits of connection tracking, which the kernel loads with the first rule for it → {}."""
        _set_limits(_FOR_TRACKING)
        return {}

    def _do_dropped(self, _request: Message) -> Message:
        """Count the packets that connection tracking dropped, its table being full → {dropped}."""
        try:
            rows = [line.split() for line in Path("/proc/net/stat/nf_conntrack").read_text().splitlines()]
        except FileNotFoundError:
            return {"dropped": 0}  # nothing is tracked, so nothing was dropped for it
        columns = [rows[0].index(name) for name in ("drop", "early_drop")]
        return {"dropped": sum(int(row[column], 16) for row in rows[1:] for column in columns)}

    def _do_run(self, request: Message) -> Message:
        """Run a program to its end: {argv, text} → {status, stdout, stderr}."""
        finished = subprocess.run(
            request["argv"],
            input=request["text"],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_RUN_DEADLINE_S,
            cwd="/",  # the user's own folder may be one that cannot be entered again by its path
        )
        return {"status": finished.returncode, "stdout": finished.stdout, "stderr": finished.stderr}

    def _do_spawn(self, request: Message) -> Message:
        """Start a program: {argv, side, role, fds} and that many descriptors, standard error first → {}."""
        fds = [self._channel.take_fd() for _ in range(request["fds"])]
        try:
            namespace = self._client if request["side"] == "client" else self._home
            with kernel.inside_network(namespace, self._home):
                child = subprocess.Popen(
                    [*request["argv"], *map(str, fds[1:])],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=fds[0],
                    pass_fds=fds[1:],
                )
        finally:
            for fd in fds:
                os.close(fd)
        # Kept, so that nothing warns of a child whose end nobody looked at: its channel tells of that.
        self._children.append(child)
        self._roles[child.pid] = request["role"]
        return {}

    def _do_serve(self, request: Message) -> Message:
        """Start a program that goes on serving: {name, argv, env} → {pid}."""
        pid = self._services.start(request["name"], request["argv"], request["env"])
        self._roles[pid] = "proxy"
        return {"pid": pid}

    def _do_look(self, request: Message) -> Message:
        """See how a service is: {pid} → {ended, ports, words}."""
        return self._services.look(request["pid"])

    def _do_signal(self, request: Message) -> Message:
        """Send a service a signal: {pid, number} → {}."""
        self._services.signal(request["pid"], request["number"])
        return {}

    def _do_stop(self, request: Message) -> Message:
        """End a service: {pid} → {}."""
        self._services.stop(request["pid"])
        return {}

    def _do_died(self, _request: Message) -> Message:
        """Tell of services that ended by themselves → {died}."""
        return {"died": self._services.died()}

    def _do_write(self, request: Message) -> Message:
        """Put a file in its place at once: {path, text} → {}."""
        path = Path(request["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        new.write_text(request["text"])
        new.rename(path)
        return {}

    def _do_connect(self, request: Message) -> Message:
        """Connect to a service: {place} → {} and the socket's descriptor."""
        place = request["place"]
        if isinstance(place, int):
            return {"socket": socket.create_connection(("127.0.0.1", place), _CONNECT_DEADLINE_S)}
        connected = socket.socket(socket.AF_UNIX)
        try:
            connected.settimeout(_CONNECT_DEADLINE_S)
            connected.connect(place)
        except OSError:
            connected.close()
            raise
        return {"socket": connected}

    def _do_cpu(self, _request: Message) -> Message:
        """Read processor times → {role: ns, …, softirq: ns}."""
        return cpu_ns_by_role(self._roles) | {"softirq": softirq_ns()}


def _prepare_inside() -> None:
    kernel.keep_mounts_private()
    kernel.mount("proc", "/proc")
    # iptables and proxies want a writable /run; the machine's own is not theirs to write to.
    kernel.mount("tmpfs", "/run")
    if Path("/dev/shm").is_dir():  # noqa: S108  shared memory's own place
        # What programs share by name ends with the host: Envoy leaves its shared memory behind.
        kernel.mount("tmpfs", "/dev/shm")  # noqa: S108
    # The machine's name servers can't be reached from here. A program that looks up its own name when
    # it starts, as many do, would wait five seconds for each; loopback refuses at once.
    own = Path("/run/resolv.conf")
    own.write_text("nameserver 127.0.0.1\n")
    if (machines := Path("/etc/resolv.conf").resolve()).is_file():
        kernel.mount_over(str(own), str(machines))


def _first_process(channel: Channel) -> NoReturn:
    """Live as the PID namespace's first process; its end is the end of all others."""
    kernel.die_with_parent()
    try:
        _prepare_inside()
        supervisor = Supervisor(channel)
        channel.send({"event": "up"})
        supervisor.serve()
    except ChannelClosedError:
        os._exit(0)
    except OSError as error:
        channel.send({"event": "failed", "error": str(error), "errno": error.errno})
    os._exit(1)


def main() -> int:
    """Make the namespaces, and wait for the first process inside to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # its few objects live as long as it does; walking them makes pyroute2's import slower
    channel = Channel.inherited(int(sys.argv[1]))
    kernel.die_with_parent()
    try:
        kernel.unshare(_NAMESPACES)
    except OSError as error:
        channel.send({"event": "failed", "error": str(error), "errno": error.errno or errno.EPERM})
        return 1
    try:
        # Only a process outside may say who is who inside (user_namespaces(7)).
        channel.send({"event": "unshared"})
        channel.receive()
    except ChannelClosedError:
        return 0
    child = os.fork()
    if child == 0:
        _first_process(channel)
    channel.close()
    os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
