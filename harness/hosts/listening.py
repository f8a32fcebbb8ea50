"""Which TCP ports a process or its network namespace listens on, told by the kernel.

No packet is sent for it: a connection made to look would be counted by the instance, and its
remains could disturb the measured ones. /proc/net/tcp would tell, too, but walks the kernel's table
of all established connections, some milliseconds an instance.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING

from harness.hosts import kernel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h, net/tcp_states.h
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_TCP_LISTEN = 10
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI48x")  # inet_diag_req_v2, for any socket
_SOURCE_PORT = struct.Struct("!4xH")  # where inet_diag_msg begins, and its idiag_sport
_INODE = struct.Struct("=68xI")  # the same, and its idiag_inode


def listening_ports(pid: int) -> set[int]:
    """List the ports on which the network namespace of a process listens; none where it has ended."""
    return set(listening_sockets(pid).values())


def ports_held(pids: Iterable[int], sockets: Mapping[int, int]) -> set[int]:
    """List the ports of those sockets that one of these processes holds.

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
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                target = os.readlink(entry)  # noqa: PTH115  three times as fast as Path's, for thousands
                if target.startswith("socket:["):
                    yield int(target[8:-1])
    except (FileNotFoundError, ProcessLookupError):
        return


def listening_sockets(pid: int) -> dict[int, int]:
    """Give inode and port of each listening socket in a process's network namespace."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
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


def _dump(diag: socket.socket, family: int) -> dict[int, int]:
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << _TCP_LISTEN)
    header = _HEADER.pack(
        _HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST | _NLM_F_DUMP, 0, 0
    )
    diag.send(header + request)
    sockets: dict[int, int] = {}
    while True:
        data = diag.recv(1 << 16)
        offset = 0
        while offset < len(data):
            length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
            if kind != _SOCK_DIAG_BY_FAMILY:  # the end, or (a kernel without IPv6) a refusal
                return sockets
            (port,) = _SOURCE_PORT.unpack_from(data, offset + _HEADER.size)
            (inode,) = _INODE.unpack_from(data, offset + _HEADER.size)
            sockets[inode] = port
            offset += (length + 3) & ~3
