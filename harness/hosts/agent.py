"""The agent on every host, which carries out requests: programs, files, counts.

Requests and answers are described at the `_do_…` method of each.
"""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hosts import cgroups, kernel
from harness.hosts.listening import listeners_held, listening_sockets
from harness.hosts.network import tcp_counts
from harness.hosts.processes import cpu_ns_by_role, family, softirq_ns
from harness.hosts.services import Services

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.common.channel import Message, Messages

_RUN_DEADLINE_S = 120
_CONNECT_DEADLINE_S = 5

# Limits of the kernel that would show in a measurement as if they were the strategy's.
FOR_ALL = {
    "net/ipv6/conf/all/disable_ipv6": "1",  # no duplicate-address detection or router search on the links
    "net/ipv6/conf/default/disable_ipv6": "1",
    "net/core/somaxconn": "65535",
    "net/ipv4/tcp_max_syn_backlog": "65535",
}
FOR_CLIENTS = FOR_ALL | {
    "net/ipv4/ip_local_port_range": "1024 65535",
    "net/ipv4/tcp_tw_reuse": "1",
    "net/ipv4/tcp_max_tw_buckets": "2000000",
}
FOR_HOST = FOR_CLIENTS | {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "0",  # a bridged packet must not meet the rules twice
}
FOR_TRACKING = {
    # Connections that have ended must not fill the table (its size is global). A packet that comes after
    # its entry has gone is not to be taken for a new connection: it would be balanced, and counted, again.
    "net/netfilter/nf_conntrack_tcp_timeout_time_wait": "10",
    "net/netfilter/nf_conntrack_tcp_loose": "0",
}


def set_limits(limits: Mapping[str, str]) -> None:
    """Set limits of the kernel, those of its parts that it has loaded."""
    for name, value in limits.items():
        try:
            Path("/proc/sys", name).write_text(value)
        except FileNotFoundError:
            continue  # the kernel has not loaded this part (IPv6, connection tracking), so nor its limit


class Inside:
    """The process on a host that carries out the harness's requests.

    Parameters
    ----------
    channel
        To the harness.
    """

    def __init__(self, channel: Messages) -> None:
        self._channel = channel
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._services = Services()
        self._roles: dict[int, str] = {}
        self._groups: dict[str, list[cgroups.Group]] = {}

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

    def _do_track(self, _request: Message) -> Message:
        """Set the limits of connection tracking, which the kernel loads with the first rule for it → {}."""
        set_limits(FOR_TRACKING)
        return {}

    def _do_dropped(self, _request: Message) -> Message:
        """Count the packets that connection tracking dropped, its table being full → {dropped}."""
        try:
            rows = [line.split() for line in Path("/proc/net/stat/nf_conntrack").read_text().splitlines()]
        except FileNotFoundError:
            return {"dropped": 0}  # nothing is tracked, so nothing was dropped for it
        columns = [rows[0].index(name) for name in ("drop", "early_drop")]
        return {"dropped": sum(int(row[column], 16) for row in rows[1:] for column in columns)}

    def _do_tcp(self, _request: Message) -> Message:
        """Read what each network namespace counts of TCP → {namespace: counts, …}."""
        return {"counts": tcp_counts()}

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

    def _do_serve(self, request: Message) -> Message:
        """Start a program that goes on serving: {name, argv, env, role} → {pid}."""
        pid = self._services.start(request["name"], request["argv"], request["env"])
        self._roles[pid] = request["role"]
        return {"pid": pid}

    def _do_look(self, request: Message) -> Message:
        """See how a service is: {pid, transports} → {ended, listeners, words}."""
        return self._services.look(request["pid"], request["transports"])

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

    def _connected(self, place: int | str, pid: int) -> socket.socket:
        """Connect to a TCP port of the host's loopback, or a process's, or to a Unix socket."""
        if isinstance(place, int):
            with ExitStack() as visit:
                if pid:
                    self._visit(visit, pid)
                return socket.create_connection(("127.0.0.1", place), _CONNECT_DEADLINE_S)
        connected = socket.socket(socket.AF_UNIX)
        try:
            connected.settimeout(_CONNECT_DEADLINE_S)
            connected.connect(place)
        except OSError:
            connected.close()
            raise
        return connected

    def _visit(self, visit: ExitStack, pid: int) -> None:
        """Go to the network namespace of a process, until the visit ends."""
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        visit.callback(os.close, namespace)
        visit.enter_context(kernel.inside_network(namespace, self._home))

    def _do_listeners(self, request: Message) -> Message:
        """See on what processes, or those that they started, listen: {pids, transports} → {listeners}."""
        transports = request["transports"]
        each = [listeners_held(family(pid), listening_sockets(pid, transports)) for pid in request["pids"]]
        return {"listeners": [sorted(held) for held in each]}

    def _do_adopt(self, request: Message) -> Message:
        """Take in containers by their first processes: {pids, role} → {}.

        Their control groups' counts are those of the role, and their networks get the limits of all others.
        Those that have ended already have neither.
        """
        for pid in request["pids"]:
            with suppress(FileNotFoundError, ProcessLookupError), ExitStack() as visit:
                group, groups = cgroups.Group(pid), self._groups.setdefault(request["role"], [])
                for before in groups:
                    if before.shares_place(group):
                        before.ends()  # the container had ended, and was started again
                groups.append(group)
                self._visit(visit, pid)
                # A container's network may track connections, too: name servers of Docker's make it.
                set_limits(FOR_CLIENTS | FOR_TRACKING)
        return {}

    def _do_cpu(self, _request: Message) -> Message:
        """Read processor times → {role: ns, …, softirq: ns}."""
        used = cpu_ns_by_role(self._roles)
        for role, groups in self._groups.items():
            used[role] = used.get(role, 0) + sum(group.used().cpu_ns for group in groups)
        return used | {"softirq": softirq_ns()}

    def _do_memory(self, _request: Message) -> Message:
        """Read how much memory containers had at most, added up → {role: bytes}."""
        return {
            role: sum(group.used().memory_bytes for group in groups) for role, groups in self._groups.items()
        }
