"""The programs that serve on a host, such as proxies: the side of the process that starts them."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.text import stderr_tail
from harness.hosts.listening import listeners_held, listening_sockets
from harness.hosts.processes import family

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.common.channel import Message
    from harness.types import Transport

_LOGS = Path("/run/sameport/services")
_GRACE_S = 5


@dataclass
class _Service:
    name: str
    child: subprocess.Popen[bytes]
    log: Path
    stopped: bool = False

    def exit_reason(self) -> str | None:
        """Tell how it ended; None while it runs."""
        status = self.child.poll()
        if status is None:
            return None
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return f"{self.name} ended ({how}): {self.words()}"

    def words(self) -> str:
        return stderr_tail(self.log.read_bytes()) or "it said nothing"


class Services:
    """Starts them, watches them and stops them."""

    def __init__(self) -> None:
        self._services: dict[int, _Service] = {}

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> int:
        """Start a program, all its words going to a log; gives its process."""
        _LOGS.mkdir(parents=True, exist_ok=True)
        log = _LOGS / f"{len(self._services)}.log"
        with log.open("wb") as words:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                env=os.environ | env,
                cwd="/",  # the user's own folder may be one that cannot be entered again by its path
                start_new_session=True,  # so that it can be stopped with all that it started
            )
        self._services[child.pid] = _Service(name, child, log)
        return child.pid

    def look(self, pid: int, transports: Sequence[Transport] = ()) -> Message:
        """Tell how it ended, if it did, on what it listens over these transports, and its last words."""
        service = self._services[pid]
        ended = service.exit_reason()
        held = set() if ended else listeners_held(family(pid), listening_sockets(pid, transports))
        return {"ended": ended, "listeners": sorted(held), "words": service.words()}

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to the program, but not to what it started."""
        self._services[pid].child.send_signal(number)

    def stop(self, pid: int) -> None:
        """End it and what it started."""
        service = self._services[pid]
        service.stopped = True
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            service.child.wait(_GRACE_S)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        service.child.wait()
        with suppress(ChildProcessError):
            while True:  # whose parent ended before them, they became this process's, the namespace's first
                os.waitpid(-pid, 0)

    def stop_all(self) -> None:
        """End all that still run, and what they started."""
        for pid, service in self._services.items():
            if not service.stopped:
                self.stop(pid)

    def died(self) -> list[str]:
        """Tell of each that has ended without being stopped."""
        ends = (service.exit_reason() for service in self._services.values() if not service.stopped)
        return [end for end in ends if end]
