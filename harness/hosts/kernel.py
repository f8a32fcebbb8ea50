"""The few system calls that Python 3.11 does not offer: namespaces, mounts, the death of a parent."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Numbers of sched.h, mount.h and prctl.h; the same on every architecture.
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def unshare(flags: int) -> None:
    """Move this process (CLONE_NEWPID: its next children) into new namespaces (unshare(2))."""
    _check(_libc.unshare(flags))


def enter_network(namespace: int) -> None:
    """Move this thread into the network namespace that the descriptor names (setns(2))."""
    _check(_libc.setns(namespace, CLONE_NEWNET))


@contextmanager
def inside_network(namespace: int, home: int) -> Iterator[None]:
    """Visit a network namespace; what is opened meanwhile belongs to it for good."""
    enter_network(namespace)
    try:
        yield
    finally:
        enter_network(home)


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the parent ends (prctl(2), PR_SET_PDEATHSIG).

    A parent that ended before this call sends nothing: callers must also watch for
    the end of a channel to it.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))


def keep_mounts_private() -> None:
    """Stop this mount namespace's changes from reaching the one it was copied from."""
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))


def mount(kind: str, place: str) -> None:
    """Mount an empty tmpfs or this PID namespace's proc."""
    flags = _MS_NOSUID | _MS_NODEV | (_MS_NOEXEC if kind == "proc" else 0)
    _check(_libc.mount(kind.encode(), place.encode(), kind.encode(), flags, None))


def mount_over(source: str, place: str) -> None:
    """Let a file or folder stand where another stood."""
    _check(_libc.mount(source.encode(), place.encode(), None, _MS_BIND, None))
