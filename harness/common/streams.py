"""Standard streams that are closed, full, or have no reader."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

from harness.errors import HarnessError


def complete_streams() -> None:
    """Put the null device in the place of closed standard streams, whose numbers other files would get.

    Raises
    ------
    HarnessError
        Standard output is closed, so there is nowhere to write what the command is for.
    """
    closed = set()
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
            closed.add(descriptor)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  as long as the process
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  as above
    if 1 in closed:
        raise HarnessError("standard output is closed: send it to a file, or to /dev/null")


def flush_output() -> None:
    """Write what standard output still holds back.

    Raises
    ------
    BrokenPipeError
        It has no reader any more.
    HarnessError
        It can't be written, as where a disk is full.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(error) from error


def unwritable(error: OSError) -> HarnessError:
    """Explain why standard output can't be written."""
    return HarnessError(
        f"standard output can't be written: {error.strerror}; results are stored nevertheless"
    )


def silence(file: TextIO) -> None:
    """Redirect a stream without a reader to nowhere, with what is still in its buffer.

    Python would try once more when it ends, and change its exit status when that fails.
    """
    with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor has nothing to send
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, file.fileno())
        os.close(nowhere)
