"""What is known of the virtual machine from run to run: a folder of the cache, used by one run at a time."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import IO, TYPE_CHECKING, Self

from harness.common.paths import cache_folder
from harness.errors import HostError
from harness.hosts.processes import started
from harness.hosts.vm.providers import Provider

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PATIENCE_S = 3 * 3600
_END_DEADLINE_S = 20
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class Ssh:
    """How a machine is entered: the file of a private key, and where."""

    host: str
    port: int
    user: str
    key: str


@dataclass(frozen=True)
class Known:
    """A machine that a run has made, or begun to.

    Attributes
    ----------
    provider
        The provider that runs it.
    inside, inside_started
        The first process of the namespaces that it is in, and when that started, in clock ticks since this
        machine did; 0 and None where it is in none.
    ssh
        How it is entered; None before it is up.
    kept
        Whether it is meant for the next run.
    owner, owner_started
        The process for whose runs alone it is kept, and when that started; 0 and None where it is for all.
    """

    provider: Provider
    inside: int = 0
    inside_started: str | None = None
    ssh: Ssh | None = None
    kept: bool = False
    owner: int = 0
    owner_started: str | None = None

    @classmethod
    def of(cls, provider: Provider, inside: int = 0) -> Self:
        """Note a machine that is being made."""
        return cls(provider, inside, started(inside) if inside else None)

    def for_(self, owner: int, ssh: Ssh) -> Self:
        """Note that it is kept for a process, or for all if that is 0."""
        since = started(owner) if owner else None
        return replace(self, ssh=ssh, kept=True, owner=owner, owner_started=since)

    def is_there(self) -> bool:
        """Tell whether the process that it depends on is still the same."""
        if not self.provider.own:
            return True
        return bool(self.inside) and started(self.inside) == self.inside_started

    def is_usable(self) -> bool:
        """Tell whether it was kept, exists, and does not belong to a killed run."""
        wanted = not self.owner or started(self.owner) == self.owner_started
        return self.kept and self.ssh is not None and self.is_there() and wanted

    def end(self) -> None:
        """End that process, and wait until it has ended, which is when all others inside have."""
        if not self.inside or not self.is_there():
            return
        with suppress(ProcessLookupError):
            first = os.pidfd_open(self.inside)
            try:
                signal.pidfd_send_signal(first, signal.SIGKILL)
                select.select([first], [], [], _END_DEADLINE_S)
            finally:
                os.close(first)


class State:
    """The folder.

    Parameters
    ----------
    folder
        What to use in place of the cache's.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder() / "machine"
        self.console = self.folder / "console.log"
        self._known = self.folder / "state.json"
        self._lock: IO[str] | None = None

    def lock(self, tell: Callable[[str], None]) -> None:
        """Have it for this run alone; waits for another.

        Raises
        ------
        HostError
            The other one does not end.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("a")
        try:
            self._wait(self._lock, tell)
        except BaseException:
            self.unlock()
            raise

    @staticmethod
    def _wait(lock: IO[str], tell: Callable[[str], None]) -> None:
        end_s, told = time.monotonic() + _PATIENCE_S, False
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            if not told:
                tell("waiting for another run, which has the virtual machine")
            told = True
            if time.monotonic() > end_s:
                raise HostError(f"another run has had the virtual machine for {_PATIENCE_S // 3600} h")
            time.sleep(_LOOK_EVERY_S)

    def unlock(self) -> None:
        """Let other runs have it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def read(self) -> Known | None:
        """Give what is known; None where nothing is left of any run."""
        try:
            known = json.loads(self._known.read_text())
            ssh = Ssh(**known.pop("ssh")) if known["ssh"] else None
            return Known(**known | {"ssh": ssh, "provider": Provider(**known["provider"])})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise HostError(f"{self._known} is damaged: remove {self.folder}") from error

    def write(self, known: Known) -> None:
        """Note what is there, at once."""
        new = self._known.with_suffix(".new")
        new.write_text(json.dumps(asdict(known)))
        new.rename(self._known)

    def clear(self) -> None:
        """Remove all but the lock, which others may wait for."""
        for path in self.folder.iterdir():
            if path.name == "lock":
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
