"""Configure IPVS by socket options: `… -m harness.strategies.ipvs_control ADDRESS PORT`.

Commands come as JSON on standard input, `[[name, argument, …], …]`, and what they give, in a list, goes
to standard output; they are the `_do_…` methods of `Service`. The exit status is 3, with the reason on
standard error, where the kernel lacks what it takes.

Socket options, because ipvsadm(8) speaks netlink, which kernels before 2024 refuse inside a user
namespace, root or not (Linux: "ipvs: allow netlink configuration from non-initial user namespace").
Layouts and numbers are those of linux/ip_vs.h.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import struct
import sys
from typing import Any

LACKS = 3
_BASE = 64 + 1024 + 64
_GET_VERSION, _GET_SERVERS = _BASE, _BASE + 4
_ADD_SERVICE, _DELETE_SERVICE = _BASE + 2, _BASE + 4
_ADD, _DELETE, _EDIT = _BASE + 7, _BASE + 8, _BASE + 9
# struct ip_vs_service_user: protocol, address, port, mark; scheduler, flags, timeout, netmask
_SERVICE_KEY = struct.Struct("=H2x4s2s2xI")
_SERVICE_REST = struct.Struct("=16sIII")
_SERVER = struct.Struct("=4s2s2xIiII")  # ip_vs_dest_user: address, port, flags, weight, thresholds
# struct ip_vs_dest_entry: the same, active, inactive and persistent connections, then its statistics
_ENTRY = struct.Struct("=4s2s2xIiIIIII4xI52x")

_libc = ctypes.CDLL(None, use_errno=True)


class Service:
    """A virtual service over TCP."""

    def __init__(self, address: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._key = _SERVICE_KEY.pack(
            socket.IPPROTO_TCP, socket.inet_aton(address), struct.pack("!H", port), 0
        )

    def _set(self, option: int, scheduler: str = "", flags: int = 0, server: bytes = b"") -> None:
        service = self._key + _SERVICE_REST.pack(scheduler.encode(), flags, 0, 0)
        self._socket.setsockopt(socket.IPPROTO_IP, option, service + server)

    def _do_version(self) -> str:
        """Ask whether IPVS is there at all."""
        return self._socket.getsockopt(socket.IPPROTO_IP, _GET_VERSION, 64).partition(b"\0")[0].decode()

    def _do_make(self, scheduler: str, flags: int) -> None:
        """Make the service, with the flags of its scheduler."""
        self._set(_ADD_SERVICE, scheduler, flags)

    def _do_remove(self) -> None:
        """Take out the service and its servers."""
        self._set(_DELETE_SERVICE)

    def _do_add(self, address: str, port: int, weight: int) -> None:
        """Take in a server."""
        self._set(_ADD, server=_server(address, port, weight))

    def _do_edit(self, address: str, port: int, weight: int) -> None:
        """Give a server another weight; with 0, it keeps its connections and gets no more."""
        self._set(_EDIT, server=_server(address, port, weight))

    def _do_counts(self, servers: int) -> list[list[Any]]:
        """Read the connections that each server has been given: [[address, port, connections], …]."""
        head = self._key + struct.pack("=I4x", servers)
        buffer = ctypes.create_string_buffer(head, len(head) + servers * _ENTRY.size)
        length = ctypes.c_uint32(len(buffer))
        place = (self._socket.fileno(), socket.IPPROTO_IP, _GET_SERVERS)
        if _libc.getsockopt(*place, buffer, ctypes.byref(length)):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        entries = _ENTRY.iter_unpack(buffer.raw[len(head) :])
        # Where there are fewer servers than asked for, the kernel leaves the rest as it was.
        return [
            [socket.inet_ntoa(address), int.from_bytes(port, "big"), connections]
            for address, port, *_, connections in entries
            if any(port)
        ]

    def carry_out(self, name: str, *arguments: Any) -> Any:
        """Carry out one command."""
        return getattr(self, f"_do_{name}")(*arguments)


def _server(address: str, port: int, weight: int) -> bytes:
    # No flag: masquerading, which is network address translation.
    return _SERVER.pack(socket.inet_aton(address), struct.pack("!H", port), 0, weight, 0, 0)


def main() -> int:
    """Carry out all commands, or as many as the kernel takes."""
    service = Service(sys.argv[1], int(sys.argv[2]))
    given = []
    for name, *arguments in json.load(sys.stdin):
        try:
            given.append(service.carry_out(name, *arguments))
        except OSError as error:
            no_ipvs = name == "version" and error.errno == errno.ENOPROTOOPT
            no_scheduler = name == "make" and error.errno == errno.ENOENT
            said = " ".join(map(str, [name, *arguments]))
            sys.stderr.write(f"{said}: {error.strerror}\n")
            return LACKS if no_ipvs or no_scheduler else 1
    json.dump(given, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
