"""Which ports a process or its network namespace listens on, from the kernel.

No packet is sent for it: a connection made to look would be counted by the instance, and its
remains could disturb the measured ones. /proc/net/tcp would tell, too, but walks the kernel's table
of all established connections, some milliseconds an instance. For UDP, which has no such connections,
/proc/net/udp is read: not every kernel has the other way for it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hosts import kernel
from harness.types import Listener

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.types import Transport

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h, net/tcp_states.h
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_TCP_LISTEN = 10
_UDP_UNCONNECTED = "07"  # as /proc/net/udp has it: TCP_CLOSE
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI48x")  # inet_diag_req_v2, for any socket
_SOURCE_PORT = struct.Struct("!4xH")  # where inet_diag_msg begins, and its idiag_sport
_SOURCE_ADDRESS = struct.Struct("=8x16s")  # the same, and its idiag_src
_LOOPBACK_V6 = bytes(15) + b"\1"
_INODE = struct.Struct("=68xI")  # the same, and its idiag_inode
# A process that has ended. Until its parent has waited for it, only root may look at its descriptors.
_NOT_NOW = (FileNotFoundError, ProcessLookupError, PermissionError)


def listeners(ports: Iterable[Listener | int]) -> set[Listener]:
    """Give the listeners that are meant: a bare number is a TCP port."""
    return {Listener("tcp", port) if isinstance(port, int) else port for port in ports}


def listeners_of_namespace(pid: int, transports: Sequence[Transport] = ("tcp",)) -> set[Listener]:
    """List what others reach in the network namespace of a process; nothing where it has ended.

    What listens on the loopback interface alone is reached by no other machine.
    """
    found = {listener for listener, loopback in _listening_tcp(pid).values() if not loopback}
    return (found if "tcp" in transports else set()) | (
        set(_bound_udp(pid).values()) if "udp" in transports else set()
    )


def listeners_on_loopback(pid: int) -> set[Listener]:
    """List what listens on the loopback interface alone in the network namespace of a process, by TCP."""
    found = list(_listening_tcp(pid).values())
    return {one for one, loopback in found if loopback} - {one for one, loopback in found if not loopback}


def listeners_held(pids: Iterable[int], sockets: Mapping[int, Listener]) -> set[Listener]:
    """List what those sockets listen on that one of these processes holds.

    Parameters
    ----------
    pids
        Processes; those that have ended hold none.
    sockets
        As `listening_sockets` gives them.
    """
    return {sockets[inode] for pid in pids for inode in _sockets_of(pid) if inode in sockets}


def _sockets_of(pid: int) -> Iterator[int]:
    try:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError, PermissionError):  # closed meanwhile
                target = os.readlink(entry)  # noqa: PTH115  three times as fast as Path's, for thousands
                if target.startswith("socket:["):
                    yield int(target[8:-1])
    except _NOT_NOW:
        return


def listening_sockets(pid: int, transports: Sequence[Transport] = ("tcp",)) -> dict[int, Listener]:
    """Give inode and listener of each listening socket in a process's network namespace."""
    found: dict[int, Listener] = {}
    if "tcp" in transports:
        found |= {inode: listener for inode, (listener, _) in _listening_tcp(pid).items()}
    if "udp" in transports:
        found |= _bound_udp(pid)
    return found


def _listening_tcp(pid: int) -> dict[int, tuple[Listener, bool]]:
    """Give inode, listener, and whether it is on loopback alone."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except _NOT_NOW:
        os.close(home)
        return {}
    try:
        with kernel.inside_network(namespace, home):
            diag = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG)
    finally:
        os.close(namespace)
        os.close(home)
    with diag:
        return _dump(diag, socket.AF_INET) | _dump(diag, socket.AF_INET6)


def _bound_udp(pid: int) -> dict[int, Listener]:
    """Read those that take datagrams from anywhere: bound, and connected to no one address (proc(5))."""
    found = {}
    for table in ("udp", "udp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except _NOT_NOW:  # or a kernel without IPv6
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _UDP_UNCONNECTED:
                found[int(fields[9])] = Listener("udp", int(fields[1].rpartition(":")[2], 16))
    return found


def _dump(diag: socket.socket, family: int) -> dict[int, tuple[Listener, bool]]:
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << _TCP_LISTEN)
    header = _HEADER.pack(
        _HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST | _NLM_F_DUMP, 0, 0
    )
    diag.send(header + request)
    sockets: dict[int, tuple[Listener, bool]] = {}
    while True:
        data = diag.recv(1 << 16)
        offset = 0
        while offset < len(data):
            length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
            if kind != _SOCK_DIAG_BY_FAMILY:  # the end, or (a kernel without IPv6) a refusal
                return sockets
            (port,) = _SOURCE_PORT.unpack_from(data, offset + _HEADER.size)
            (inode,) = _INODE.unpack_from(data, offset + _HEADER.size)
            (source,) = _SOURCE_ADDRESS.unpack_from(data, offset + _HEADER.size)
            loopback = source[0] == 127 if family == socket.AF_INET else source == _LOOPBACK_V6
            sockets[inode] = Listener("tcp", port), loopback
            offset += (length + 3) & ~3
