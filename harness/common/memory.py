"""Limits of this process's memory, and libraries that hang where they are too low."""

from __future__ import annotations

import os
import resource
from typing import Final

from harness.errors import HarnessError

_LEAST_BYTES: Final = 1 << 30
_THREADS: Final = "OPENBLAS_NUM_THREADS"

_own: set[str] = set()


def keep_libraries_single() -> None:
    """Have numpy and scipy start no threads when they are imported, which a run has no use for.

    OpenBLAS makes one for each core, and waits for ever, with the interpreter's lock, for those that get no
    memory: no signal would end the process.
    """
    if _THREADS not in os.environ:
        os.environ[_THREADS] = "1"
        _own.add(_THREADS)


def environment() -> dict[str, str]:
    """Give the environment for others' programs: that of the user, without what is set above."""
    return {name: value for name, value in os.environ.items() if name not in _own}


def require_memory() -> None:
    """Refuse to run where this process may not have the memory that a run needs.

    Raises
    ------
    HarnessError
        The limit of its address space is too low; the message says how to raise it.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY and soft < _LEAST_BYTES:
        raise HarnessError(
            f"a process of this shell may have {soft >> 10:,} KiB of address space, and a run needs "
            f"{_LEAST_BYTES >> 10:,} KiB: ulimit -v unlimited, or leave it at that at least"
        )
