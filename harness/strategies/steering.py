"""Attach a BPF program to the sockets that share a port: `… -m harness.strategies.steering PORT POLICY N`.

A program belongs to the whole group (socket(7)), so one of its sockets is enough. It is borrowed from
the process that listens on it (pidfd_getfd(2)): one that joined for the purpose would be given
connections, and lose them when it leaves.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hosts.listening import listening_sockets

if TYPE_CHECKING:
    from collections.abc import Iterator

_SO_ATTACH_REUSEPORT_CBPF = 51  # asm-generic/socket.h
_PIDFD_GETFD = 438  # asm-generic/unistd.h
# linux/filter.h: struct sock_filter {code, jt, jf, k}; ancillary data lies from SKF_AD_OFF.
_FILTER = struct.Struct("=HBBI")
_LOAD_WORD, _MODULO, _RETURN_A = 0x20, 0x94, 0x16  # BPF_LD|W|ABS, BPF_ALU|MOD|K, BPF_RET|A
_ANCILLARY = {"random": (-0x1000 + 56) & 0xFFFFFFFF, "cpu": (-0x1000 + 36) & 0xFFFFFFFF}


def program(policy: str, sockets: int) -> bytes:
    """Assemble: load a number, take it modulo the number of sockets, return it."""
    instructions = ((_LOAD_WORD, 0, 0, _ANCILLARY[policy]), (_MODULO, 0, 0, sockets), (_RETURN_A, 0, 0, 0))
    return b"".join(_FILTER.pack(*instruction) for instruction in instructions)


def attach(listener: socket.socket, policy: str, sockets: int) -> None:
    """Attach the program to a listening socket's group; one that is there is replaced.

    Raises
    ------
    OSError
        The kernel refuses the program.
    """
    code = program(policy, sockets)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog {unsigned short len; struct sock_filter *filter}
    described = struct.pack("@HP", len(code) // _FILTER.size, ctypes.addressof(buffer))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, described)


def borrow_listener(port: int) -> socket.socket:
    """Get a copy of a socket that listens on a port of this network namespace.

    Raises
    ------
    OSError
        No process listens there, or it can't be reached.
    """
    sockets = listening_sockets(os.getpid())
    wanted = {f"socket:[{inode}]" for inode, held in sockets.items() if held.port == port}
    for pid, fd in _descriptors(wanted):
        pidfd = os.pidfd_open(pid)
        try:
            copy = _libc.syscall(_PIDFD_GETFD, pidfd, fd, 0)
        finally:
            os.close(pidfd)
        if copy < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return socket.socket(fileno=copy)
    raise OSError(f"no process listens on port {port}")


_libc = ctypes.CDLL(None, use_errno=True)


def _descriptors(wanted: set[str]) -> Iterator[tuple[int, int]]:
    """Find processes and their descriptors of these sockets."""
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(entry) in wanted:  # noqa: PTH115  what it gives is no path
                yield int(entry.parts[2]), int(entry.name)
        except OSError:
            continue  # it has ended, or closed it, meanwhile


if __name__ == "__main__":
    try:
        with borrow_listener(int(sys.argv[1])) as borrowed:
            attach(borrowed, sys.argv[2], int(sys.argv[3]))
    except OSError as error:
        sys.exit(str(error))
