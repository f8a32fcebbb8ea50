"""A watchdog on the processes of a run: one that a signal has stopped ends the run, with its name.

A process that is stopped (SIGSTOP) answers nothing, and is not gone either: whatever waits for its answer
would wait for ever, or measure the pause. The watchdog ends all processes inside the host instead, so that
every wait ends at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import Final

STANDS_STILL_S: Final = 3.0
"""For how long a process has to be stopped."""

_LOOK_EVERY_S: Final = 0.5


class Watchdog:
    """Looks at processes twice a second, in a thread of its own, until it is closed.

    Parameters
    ----------
    first
        The first process inside the host, whose end is that of all others.
    first_fd
        A descriptor of that process.

    Attributes
    ----------
    found
        What stands still, in a sentence; empty while nothing does.
    """

    def __init__(self, first: int, first_fd: int) -> None:
        self.found = ""
        self._first_fd = os.dup(first_fd)
        self._root = Path(f"/proc/{first}/root/proc")
        self._watched: dict[Path, str] = {}
        self._still: dict[Path, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def add(self, name: str, pid: int, *, inside: bool = True) -> None:
        """Look at one more process, known by its number inside the host, or outside."""
        self._watched[(self._root if inside else Path("/proc")) / str(pid) / "stat"] = (
            f"{name} (process {pid})"
        )

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()
        os.close(self._first_fd)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            for path, name in list(self._watched.items()):
                self._still[path] = self._still.get(path, 0.0) + _LOOK_EVERY_S if _is_stopped(path) else 0.0
                if self._still[path] >= STANDS_STILL_S:
                    self.found = (
                        f"{name} stands still: a signal (SIGSTOP) stopped it {self._still[path]:g} s ago; "
                        "the run was ended, as nothing that it measured meanwhile can be trusted"
                    )
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(self._first_fd, signal.SIGKILL)
                    return


def _is_stopped(stat: Path) -> bool:
    """Tell whether a signal has stopped a process; one that has ended is none (proc_pid_stat(5))."""
    try:
        return stat.read_text().rpartition(") ")[2].startswith("T")
    except OSError:
        return False
