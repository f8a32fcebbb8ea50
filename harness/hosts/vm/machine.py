"""One virtual machine, by Vagrant: up, used by one run at a time, kept or destroyed.

With a libvirt of the harness's own (`harness.hosts.vm.namespace_holder`), all that runs ends with the run,
however that ends. With the machine's, a run that was killed leaves it to the next run, or to `harness clean`,
to destroy what the provider still holds.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness.common.channel import Channel, ChannelClosedError
from harness.common.text import stderr_tail
from harness.errors import HostError
from harness.hosts.address_plan import MACHINE_ENDPOINT, MACHINE_NETWORK
from harness.hosts.vm.state import Known, Ssh, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.hosts.vm.providers import Provider

_BOOT_TIMEOUT_S = 600
_VAGRANT_DEADLINE_S = 900
_DESTROY_DEADLINE_S = 120
_KEEPER_DEADLINE_S = 90
_REACH_DEADLINE_S = 60
_LOOK_EVERY_S = 0.1
_LEAST_DISK_BYTES = 3 << 30
_TELLING = re.compile(
    r"Importing|Downloading|Uploading|Creating image|Booting|Starting domain|Waiting for|Running provisioner|"
    r"Adding box|Successfully added"
)


class Machine:
    """A virtual machine.

    Parameters
    ----------
    provider
        The provider that runs it.
    tell
        Receives a line about each long step.
    environment
        ``HARNESS_BOX``, ``HARNESS_CPUS`` and ``HARNESS_MEMORY_MB`` say what it is to be.

    Attributes
    ----------
    provider
        The provider that runs it; of a machine found running, the one that started it.
    ssh
        How it is entered, once it is up.
    """

    ssh: Ssh

    def __init__(
        self,
        provider: Provider,
        tell: Callable[[str], None],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.provider = provider
        self._tell = tell
        self._environment = environment
        self._state = State()
        self._channel: Channel | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._inside = 0

    def up(self) -> bool:
        """Bring it up, or find that it is; tells whether it was.

        Raises
        ------
        HostError
            It does not come up; the message says why, and what to do.
        """
        self._state.lock(self._tell)
        known = self._state.read()
        if known is not None and known.is_usable() and known.ssh is not None:
            self.provider, self._inside, self.ssh = known.provider, known.inside, known.ssh
            self._tell("the virtual machine was up, and is used as it is")
            return True
        if known is not None:
            self._tell("what an earlier run has left of its virtual machine is removed")
            self._remove(known)
        try:
            self._require_room()
            self._state.write(Known.of(self.provider))
            if self.provider.own:
                self._start_keeper()
            self._require_address()
            self._tell(f"a virtual machine is brought up: {self.provider.why}")
            self._vagrant_up()
            self.ssh = self._ask_ssh()
            self._wait_reachable()
        except BaseException:
            self.destroy()
            raise
        return False

    def _require_room(self) -> None:
        memory_mb = int(self._environment.get("HARNESS_MEMORY_MB", "2048"))
        available_kb = re.search(r"^MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
        if available_kb and int(available_kb[1]) < memory_mb * 1024:
            raise HostError(
                f"a virtual machine of {memory_mb:,} MB needs more memory than is free "
                f"({int(available_kb[1]) // 1024:,} MB): set another size with HARNESS_MEMORY_MB"
            )
        free = shutil.disk_usage(self._state.folder).free
        if free < _LEAST_DISK_BYTES:
            raise HostError(
                f"a virtual machine needs {_LEAST_DISK_BYTES / 1e9:.1f} GB of disk, and {free / 1e9:.1f} GB "
                f"are free at {self._state.folder}: free some, or name another folder in SAMEPORT_CACHE"
            )

    def _start_keeper(self) -> None:
        self._channel, theirs = Channel.pair()
        with theirs, (self._state.folder / "keeper.log").open("wb") as words:
            self._keeper = subprocess.Popen(
                [
                    *(sys.executable, "-m", "harness.hosts.vm.namespace_holder"),
                    *(str(theirs.fileno()), str(self._state.folder / "libvirt")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        try:
            told = self._channel.receive(_KEEPER_DEADLINE_S)
        except (ChannelClosedError, TimeoutError):
            told = {"event": "failed", "error": "libvirt's namespaces did not come up"}
        if told["event"] != "up":
            log = self._state.folder / "libvirt" / "libvirtd.log"
            why = (log.exists() and stderr_tail(log.read_bytes())) or "it said nothing"
            raise HostError(f"libvirt can't be started: {told['error']}: {why}")
        children = Path(f"/proc/{self._keeper.pid}/task/{self._keeper.pid}/children")
        self._inside = int(children.read_text())
        self._state.write(Known.of(self.provider, self._inside))

    def command(self, argv: Sequence[str]) -> list[str]:
        """Have a program run where the machine's provider is."""
        if not self._inside:
            return list(argv)
        return ["nsenter", f"--target={self._inside}", "--net", "--mount", "--pid", "--", *argv]

    def network(self, argv: Sequence[str]) -> list[str]:
        """Have a program run where the machine's networks are."""
        return ["nsenter", f"--net=/proc/{self._inside}/ns/net", "--", *argv] if self._inside else list(argv)

    def _require_address(self) -> None:
        routes = subprocess.run(
            self.network(["ip", "-4", "route", "get", MACHINE_ENDPOINT]),
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        known = re.search(
            rf"^{re.escape(MACHINE_ENDPOINT)} dev (\S+) src ({re.escape(MACHINE_NETWORK)}\S+)", routes
        )
        if known and not known[1].startswith(("vboxnet", "virbr")):
            raise HostError(
                f"the virtual machine's address, {MACHINE_ENDPOINT}, is in a network that this machine has "
                f"already ({known[2]} at {known[1]}): end what made it"
            )

    def _env(self) -> dict[str, str]:
        box = self._environment.get("HARNESS_BOX") or built_box()
        own = {"HARNESS_BOX": str(box)} if box else {}
        if self.provider.name == "libvirt":
            own["HARNESS_VIRT"] = "qemu" if self.provider.emulated else "kvm"
            own["HARNESS_CONSOLE"] = str(self._state.console)
        if self.provider.own:
            own["VAGRANT_HOME"] = str(self._state.folder / "vagrant-home")
            own["HOME"] = str(self._state.folder)
        return {
            **os.environ,
            **self._environment,
            **own,
            "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
            "VAGRANT_CWD": str(Path(__file__).parent),
            "VAGRANT_DOTFILE_PATH": str(self._state.folder / "vagrant"),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_NO_COLOR": "1",
        }

    def _vagrant(self, *words: str, deadline_s: float, tell: bool = False) -> tuple[int, list[str]]:
        """Run Vagrant to its end; gives its exit status, and all that it said."""
        said: list[str] = []
        end_s = time.monotonic() + deadline_s
        with subprocess.Popen(
            self.command(["vagrant", *words]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._env(),
            cwd="/",
            start_new_session=True,
        ) as vagrant:
            assert vagrant.stdout is not None  # noqa: S101  as asked for
            try:
                for line in _lines(vagrant.stdout, end_s):
                    said.append(line)
                    if tell and _TELLING.search(line):
                        self._tell(line.rpartition("==> sameport: ")[2].strip(" .!"))
                return vagrant.wait(max(1.0, end_s - time.monotonic())), said
            except (TimeoutError, subprocess.TimeoutExpired):
                return -1, said
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(vagrant.pid, signal.SIGKILL)

    def _vagrant_up(self) -> None:
        status, said = self._vagrant(
            "up", f"--provider={self.provider.name}", deadline_s=_VAGRANT_DEADLINE_S, tell=True
        )
        if status == 0:
            return
        (self._state.folder / "vagrant-up.log").write_text("\n".join(said))
        raise HostError(why_not_up(status, said, self._console_words(), self._env().get("HARNESS_BOX", "")))

    def _console_words(self) -> str:
        try:
            return stderr_tail(self._state.console.read_bytes())
        except OSError:
            return ""

    def _ask_ssh(self) -> Ssh:
        status, said = self._vagrant("ssh-config", deadline_s=_DESTROY_DEADLINE_S)
        told = dict(line.split(maxsplit=1) for line in map(str.strip, said) if " " in line)
        if status or not {"HostName", "Port", "User", "IdentityFile"} <= set(told):
            raise HostError(f"Vagrant gives no SSH settings of the virtual machine: {' | '.join(said[-3:])}")
        key = told["IdentityFile"].strip('"')
        return Ssh(told["HostName"], int(told["Port"]), told["User"], key)

    def _wait_reachable(self) -> None:
        attempt = f"import socket; socket.create_connection(({MACHINE_ENDPOINT!r}, 22), 5)"
        end_s = time.monotonic() + _REACH_DEADLINE_S
        argv = self.network([sys.executable, "-c", attempt])
        while True:
            asked = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if asked.returncode == 0:
                return
            if time.monotonic() > end_s:
                raise HostError(
                    f"the virtual machine is up, but has not answered at {MACHINE_ENDPOINT} within "
                    f"{_REACH_DEADLINE_S} s: {stderr_tail(asked.stderr)}"
                )
            time.sleep(_LOOK_EVERY_S)

    def keep(self) -> None:
        """Leave it running for the next run of this process; a machine found running stays as it was."""
        if self._channel is not None:
            self._channel.send({"do": "keep"})
            self._channel.receive(_KEEPER_DEADLINE_S)
            self._channel.close()
            self._channel = None
        known = self._state.read()
        if known is not None and not known.kept:
            self._state.write(known.for_(os.getpid(), self.ssh))
        self._state.unlock()

    def destroy(self) -> None:
        """End it, and remove all that it has left."""
        known = self._state.read()
        if known is not None:
            self._remove(known)
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._keeper is not None:
            self._keeper.wait()
            self._keeper = None
        self._inside = 0
        self._state.unlock()

    def _remove(self, known: Known) -> None:
        if known.provider.own:
            known.end()  # with its namespaces, all in them ends
        elif (self._state.folder / "vagrant").exists():
            self.provider = known.provider
            status, said = self._vagrant("destroy", "--force", deadline_s=_DESTROY_DEADLINE_S)
            if status:
                words = " | ".join(said[-3:])
                raise HostError(f"the virtual machine can't be destroyed: {words}; harness clean tries again")
        self._state.clear()

    @staticmethod
    def found() -> bool:
        """Tell whether a machine is running that was kept for later runs."""
        known = State().read()
        return known is not None and known.is_usable() and not known.owner

    @staticmethod
    def hand_over(tell: Callable[[str], None]) -> None:
        """Leave the machine that this process kept to later runs."""
        state = State()
        state.lock(tell)
        known = state.read()
        if known is not None and known.ssh is not None and known.owner == os.getpid():
            state.write(known.for_(0, known.ssh))
        state.unlock()

    @classmethod
    def clean(cls, tell: Callable[[str], None]) -> bool:
        """Destroy what earlier runs have left, killed or kept; tells whether there was something.

        Raises
        ------
        HostError
            The provider refuses.
        """
        state = State()
        if not state.folder.exists():
            return False
        state.lock(tell)
        known = state.read()
        state.unlock()
        if known is None:
            return False
        left = cls(known.provider, tell)
        left._state.lock(tell)
        left.destroy()
        return True


def why_not_up(status: int, said: Sequence[str], console: str, box: str) -> str:
    """Tell in a line or two why Vagrant failed, and what to do.

    Parameters
    ----------
    status, said
        Its exit status, -1 where it ran out of time, and its lines.
    console
        The last lines of the machine's own.
    box
        The one that was asked for.
    """
    text = "\n".join(said)
    words = " | ".join(line.strip() for line in said if line.strip())[-600:]
    booted = f"; its console's last lines: {console}" if console else ""
    if "Timed out while waiting for the machine to boot" in text or status == -1:
        return f"the virtual machine did not come up in time{booted or f': {words}'}"
    # That a box "could not be found" alone is no error: Vagrant then fetches it.
    if re.search(r"Couldn't open file|could not be found or|downloading the remote file", text):
        hint = "harness box build makes one, HARNESS_BOX names another"
        return f"the box {box or 'debian/bookworm64'!r} can't be had: {hint} ({words})"
    if re.search(r"authentication|Connection refused|Host key", text):
        return f"the virtual machine refuses SSH: {words}{booted}"
    if re.search(r"SSH command responded with a non-zero exit status|provisioner", text):
        return f"the virtual machine was not provisioned: {words}"
    if re.search(r"Cannot allocate memory|cannot set up guest memory", text):
        return f"the virtual machine gets no memory: name a smaller size in HARNESS_MEMORY_MB ({words})"
    return f"vagrant up failed: {words}{booted}"


def built_box() -> str:
    """Give the path of the box that `harness box build` has made; empty if it has not."""
    from harness.hosts.vm.box import VagrantBoxes  # noqa: PLC0415  on first use

    found = VagrantBoxes().find()
    return str(found.path) if found else ""


def _lines(stream: IO[bytes], end_s: float) -> Iterator[str]:
    """Give a program's lines as they come.

    Raises
    ------
    TimeoutError
        It has not ended in time.
    """
    rest = b""
    while True:
        if not select.select([stream], [], [], max(0.0, end_s - time.monotonic()))[0]:
            raise TimeoutError
        data = os.read(stream.fileno(), 1 << 16)
        *lines, rest = (rest + data).replace(b"\r", b"\n").split(b"\n")
        yield from (line.decode(errors="replace") for line in lines if line)
        if not data:
            return
