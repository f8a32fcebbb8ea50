"""The sample application as a program of its own: `python -m harness.instance`.

It is what containers run, and takes nothing but the standard library. Its environment says how it is:

=============  ===============================================================================
`INSTANCE`     What it calls itself; the host's name unless said.
`PORT`         Where it listens, 8080 unless said.
`REUSE_PORT`   Whether others may listen there, too: yes with anything but an empty word.
`DELAY_NS`     Nanoseconds between a request and its answer, 0 unless said.
`COUNTERS`     A file of memory that is shared, in which it counts; unless said, it counts for itself.
`SLOT`         Its place there, 0 unless said.
`VERSION`      What it says it is a version of; nothing unless said.
=============  ===============================================================================
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import sys
from array import array
from typing import TYPE_CHECKING

from harness.instance.http1 import Http1
from harness.instance.server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

SLOT_BYTES = 64
"""What each instance has of the file: a cache line, so that cores don't fight for it. It begins with
three numbers of 64 bits in the machine's own order: connections, requests, and a control word
(`harness.instance.server.CONTROL_WORD`)."""

_BACKLOG = 65_535
_LONGEST_NAME = 255


class _WrongError(Exception):
    """What the environment says can't be."""


def _number(environment: Mapping[str, str], name: str, unsaid: int, least: int, most: int) -> int:
    word = environment.get(name) or str(unsaid)
    if not (word.isascii() and word.isdecimal() and least <= int(word) <= most):
        raise _WrongError(f"{name}={word!r} is no whole number from {least} to {most}")
    return int(word)


def _label(environment: Mapping[str, str], variable: str, unsaid: str) -> str:
    """Read what goes into a header."""
    name = environment.get(variable) or unsaid
    if not (name.isascii() and (name.isprintable() or not name) and len(name) <= _LONGEST_NAME):
        raise _WrongError(
            f"{variable}={name!r} is no name; it may have {_LONGEST_NAME} visible ASCII characters"
        )
    return name


def _counters(environment: Mapping[str, str]) -> memoryview[int]:
    slot = _number(environment, "SLOT", 0, 0, 1_000_000)
    path = environment.get("COUNTERS")
    if not path:
        return memoryview(array("Q", (0, 0, 0)))
    try:
        with open(path, "r+b", buffering=0) as file:  # noqa: PTH123  pathlib costs 10 ms at each start
            memory = mmap.mmap(file.fileno(), 0)
    except (OSError, ValueError) as error:
        raise _WrongError(
            f"COUNTERS={path!r} can't be used: {getattr(error, 'strerror', None) or error}"
        ) from error
    if len(memory) < (slot + 1) * SLOT_BYTES:
        raise _WrongError(
            f"SLOT={slot} is behind the end of COUNTERS={path!r}, which has {len(memory)} bytes"
        )
    begin = slot * SLOT_BYTES
    return memoryview(memory)[begin : begin + 24].cast("Q")


def _end_at_once(_signal: int, _frame: FrameType | None) -> None:
    os._exit(0)


def main() -> int:
    """Serve until a signal ends it: SIGTERM does so in order, SIGINT at once."""
    # The first process of a PID namespace, as a container's is, gets no signal that it has no handler for.
    signal.signal(signal.SIGTERM, _end_at_once)
    signal.signal(signal.SIGINT, _end_at_once)
    try:
        name = _label(os.environ, "INSTANCE", socket.gethostname())
        version = _label(os.environ, "VERSION", "")
        port = _number(os.environ, "PORT", 8080, 1, 65_535)
        delay_ns = _number(os.environ, "DELAY_NS", 0, 0, 3_600_000_000_000)
        counters = _counters(os.environ)
        reuse = bool(os.environ.get("REUSE_PORT"))
        listener = socket.create_server(("", port), backlog=_BACKLOG, reuse_port=reuse)
    except _WrongError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  its log
        return 2
    except OSError as error:
        print(f"error: PORT={port} can't be listened at: {os.strerror(error.errno or 0)}", file=sys.stderr)  # noqa: T201
        return 2
    server = Server(listener, Http1(name, version), delay_ns, counters)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: server.end())
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
