"""The process that owns a `netns` host: `python -m harness.hosts.supervisor FD [privileged]`.

It moves into new user, mount, PID, network, host-name and IPC namespaces and forks. The child is
the PID namespace's first process: it makes the network, starts what it is told to start, and when
it ends, for whatever reason, the kernel kills everything else inside and takes the namespaces
apart. It ends when the channel to the harness closes, or when its parent dies; so no process of a
run outlives any other that it needs.

A privileged host, which container engines need, has no user namespace of its own. It has a control
group instead, which no kernel removes: so this process outlives the harness by the moment that takes.

Requests and answers are described at the `_do_…` method of each.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from harness.common.channel import Channel, ChannelClosedError, Message
from harness.hosts import cgroups, kernel
from harness.hosts.address_plan import IPV4
from harness.hosts.agent import FOR_ALL, FOR_CLIENTS, FOR_HOST, Inside, set_limits

_AGAIN_DEADLINE_S = 10
_LOOK_EVERY_S = 0.002

_NAMESPACES = (
    kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC
)


class Supervisor(Inside):
    """The first process inside."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self._channel: Channel = channel
        self._client = self._new_network()
        self._attached = 0
        self._positions: dict[str, int] = {}
        self._children: list[subprocess.Popen[bytes]] = []

    def _new_network(self) -> int:
        kernel.unshare(kernel.CLONE_NEWNET)
        try:
            set_limits(FOR_CLIENTS)
            return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            kernel.enter_network(self._home)

    def _do_link(self, _request: Message) -> Message:
        """Make the network between host and client → {}."""
        from harness.hosts import links  # noqa: PLC0415  its import takes 0.3 s, in which programs can start

        self._links = links
        self._routes = links.RouteSocket()
        set_limits(FOR_HOST)
        self._routes.send(links.host_messages(self._client))
        with kernel.inside_network(self._client, self._home):
            routes = links.RouteSocket()
        routes.send(links.client_messages())
        routes.close()
        return {}

    def _do_attach(self, request: Message) -> Message:
        """Connect the network namespaces of processes: {pids, addresses} → {addresses}.

        Those of instances that come again are given the addresses that they had.
        """
        links, first, pids = self._links, self._attached, request["pids"]
        if request["addresses"]:
            for pid, address in zip(pids, request["addresses"], strict=True):
                self._attach_again(self._positions[address], pid)
            return {"addresses": request["addresses"]}
        self._routes.send(links.bridge_messages(first, len(pids)))
        self._attach(first, pids)
        self._attached += len(pids)
        positions = range(first, first + len(pids))
        addresses = {IPV4.instance(position): position for position in positions}
        self._positions |= addresses
        return {"addresses": list(addresses)}

    def _attach(self, first: int, pids: list[int]) -> None:
        self._routes.send(list(self._links.port_messages(first, pids)))
        for pid, messages in zip(pids, self._links.instance_messages(first, len(pids)), strict=True):
            self._configure(pid, messages)

    def _attach_again(self, position: int, pid: int) -> None:
        """Connect a namespace in the place of one whose last process has ended.

        The kernel takes away the old one's link when it gets round to it, which is waited for.
        """
        end_s = time.monotonic() + _AGAIN_DEADLINE_S
        with suppress(OSError):  # there is none of that name: it has gone
            while socket.if_nametoindex(self._links.port_name(position)) and time.monotonic() < end_s:
                time.sleep(_LOOK_EVERY_S)
        self._attach(position, [pid])

    def _configure(self, pid: int, messages: list[bytes]) -> None:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with kernel.inside_network(namespace, self._home):
                set_limits(FOR_ALL)
                routes = self._links.RouteSocket()
        finally:
            os.close(namespace)
        routes.send(messages)
        routes.close()

    def _do_spawn(self, request: Message) -> Message:
        """Start a program: {argv, side, role, fds} and so many descriptors, standard error first → {pid}."""
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
        # Kept, so that Python does not warn of a child that was not waited for: its channel reports the end.
        self._children.append(child)
        self._roles[child.pid] = request["role"]
        return {"pid": child.pid}

    def _do_connect(self, request: Message) -> Message:
        """Connect to a service: {place, pid} → {} and the socket's descriptor.

        A process whose loopback is meant; 0 for the host's own.
        """
        return {"socket": self._connected(request["place"], request["pid"])}


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


def _watch(harness: int, child: int) -> None:
    """Wait for the end of the first process inside, and bring it about when the harness ends.

    Parameters
    ----------
    harness
        A descriptor of its process.
    child
        The first process inside.
    """
    inside = os.pidfd_open(child)
    ends = select.poll()
    for process in (harness, inside):
        ends.register(process, select.POLLIN)
    if inside not in dict(ends.poll()):
        signal.pidfd_send_signal(inside, signal.SIGKILL)
    os.waitpid(child, 0)


def main() -> int:
    """Make the namespaces, and wait for the first process inside to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # its few objects live as long as it does; walking them makes pyroute2's import slower
    channel = Channel.inherited(int(sys.argv[1]))
    privileged = sys.argv[2:] == ["privileged"]
    harness = os.pidfd_open(os.getppid())
    if not privileged:
        kernel.die_with_parent()
    try:
        kernel.unshare(_NAMESPACES if privileged else _NAMESPACES | kernel.CLONE_NEWUSER)
    except OSError as error:
        channel.send({"event": "failed", "error": str(error), "errno": error.errno or errno.EPERM})
        return 1
    group = cgroups.own_group(os.getpid()) if privileged else ""
    try:
        # Only a process outside may map the users inside (user_namespaces(7)).
        channel.send({"event": "unshared", "group": group})
        channel.receive()
    except ChannelClosedError:
        return 0
    if privileged:
        cgroups.sweep()
    child = os.fork()
    if child == 0:
        _first_process(channel)
    channel.close()
    _watch(harness, child)
    if privileged:
        cgroups.remove(group)
    return 0


if __name__ == "__main__":
    sys.exit(main())
