"""The prepared process that instances are forked from: `python -m harness.engines.forkserver FD FD`.

The descriptors are the channel to the harness, and the memory in which the sample application
counts. Requests and answers are described at the `_do_…` method of each.
"""

from __future__ import annotations

import errno
import gc
import mmap
import os
import resource
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from harness.common.channel import Channel, ChannelClosedError, Message
from harness.common.text import stderr_tail
from harness.hosts import kernel
from harness.hosts.listening import (
    listeners_held,
    listeners_of_namespace,
    listeners_on_loopback,
    listening_sockets,
)
from harness.hosts.processes import family
from harness.instance.http1 import Http1
from harness.instance.server import CONTROL_WORD, Server
from harness.types import Listener

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.types import Placement

SLOT_WORDS = 8  # a cache line for each instance's counters, so that cores don't fight for it
_LOGS = Path("/run/sameport")
_BACKLOG = 65_535


@dataclass
class _Instance:
    name: str
    pid: int
    status: int | None = None
    asked: bool = False  # it was ended on purpose
    frozen: bool = False  # it was stopped on purpose

    @property
    def log(self) -> Path:
        return _LOGS / f"{self.name}.log"

    @property
    def stopped(self) -> bool:
        """Whether its process is stopped (state T, proc_pid_stat(5))."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False  # it has ended
        return stat.rpartition(")")[2].split()[0] == "T"

    def exit_reason(self) -> str:
        status = self.status or 0
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return f"{self.name} died ({how}): {stderr_tail(self.log.read_bytes()) or 'it said nothing'}"


class Forkserver:
    """Forks instances and knows which of them live.

    Parameters
    ----------
    channel
        To the harness.
    counters
        The memory in which the sample counts.
    """

    def __init__(self, channel: Channel, counters: memoryview) -> None:
        self._channel = channel
        self._counters = counters
        self._changes: Channel | None = None  # to the watcher of the instances
        self._instances: list[_Instance] = []
        self._new: list[_Instance] = []  # those that were forked last
        self._go = -1
        self._placement: Placement = "own"
        self._sandbox = 0  # the process that holds it, where there is one
        # The kernel tells of a child's end by a signal, and Python of a signal by a byte.
        self._ended, ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        signal.set_wakeup_fd(ends, warn_on_full_buffer=False)

    def serve(self) -> NoReturn:
        """Carry out requests until the harness closes the channel."""
        while True:
            while (
                self._channel.fileno() not in select.select([self._channel.fileno(), self._ended], [], [])[0]
            ):
                self._reap()
            request = self._channel.receive()
            try:
                answer = getattr(self, f"_do_{request['do']}")(request)
            except OSError as error:
                mend = "see ulimit -u, ulimit -n and free memory"
                answer = {"error": f"instances can't be started: {error.strerror}; {mend}"}
            self._channel.send(answer)

    def _reap(self) -> None:
        """Reap children that have ended, and notify the watcher."""
        with suppress(BlockingIOError):
            os.read(self._ended, 1 << 12)
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                for instance in self._instances:
                    if instance.pid == found[0] and instance.status is None:
                        instance.status = os.waitstatus_to_exitcode(found[1])
                        self._tell(instance, listens=False)

    def _tell(self, instance: _Instance, *, listens: bool) -> None:
        if self._changes is None:
            return
        try:
            self._changes.send({"name": instance.name, "listens": listens})
        except ChannelClosedError:
            self._changes.close()
            self._changes = None  # the watcher has gone

    def _do_follow(self, _request: Message) -> Message:
        """Tell of changes from now on, on the channel that comes with this, as they happen → {}."""
        self._changes = Channel.inherited(self._channel.take_fd())
        return {}

    def _do_fork(self, request: Message) -> Message:
        """Fork instances that wait: {names, slots, placement, command, env, port, delay_ns} → {pids}.

        In a sandbox, the one process is given that holds it.
        """
        self._placement = request["placement"]
        if self._placement == "sandbox" and not self._sandbox:
            self._sandbox = self._hold_network()
        gate, self._go = os.pipe()
        born, birth = os.pipe()
        self._new = []
        for slot, name in zip(request["slots"], request["names"], strict=True):
            pid = os.fork()
            if pid == 0:
                os.close(self._go)
                self._be_born(gate, birth, name, slot, request)
            self._new.append(_Instance(name, pid))
        self._instances += self._new
        os.close(birth)
        os.close(gate)
        # One byte an instance once its namespaces are there; then the end, also where some have died.
        with open(born, "rb") as cries:  # noqa: PTH123  a descriptor has no path
            stillborn = len(cries.read(len(self._new))) < len(self._new)
        if stillborn:
            # One has closed its end without a cry, so it is ending; its last words are the cause.
            while not (died := self._died(self._new)):
                time.sleep(0.001)
            return {"error": f"{died[0]}; see ulimit -u and the settings user.max_*_namespaces (sysctl user)"}
        if self._placement == "sandbox":
            return {"pids": [self._sandbox]}
        return {"pids": [instance.pid for instance in self._new]}

    def _be_born(self, gate: int, birth: int, name: str, slot: int, request: Message) -> NoReturn:
        """Become an instance; never returns into the forkserver's own code."""
        try:
            log = os.open(_LOGS / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)
            self._leave()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            kernel.unshare(kernel.CLONE_NEWUTS)
            socket.sethostname(name)
            self._move_in()
            os.write(birth, b".")
            os.close(birth)
            os.read(gate, 1)
            os.close(gate)
            shared = request["placement"] != "own"
            if request["command"]:
                told = {"INSTANCE": name, "HOSTNAME": name, "PORT": str(request["port"])}
                told |= {"REUSE_PORT": "1"} if shared else {}
                _become(request["command"], told | request["env"])
            begin = slot * SLOT_WORDS
            counters = self._counters[begin : begin + CONTROL_WORD + 1]
            listener = socket.create_server(("", request["port"]), backlog=_BACKLOG, reuse_port=shared)
            version = request["env"].get("VERSION", "")
            server = Server(listener, Http1(name, version), request["delay_ns"], counters)
            signal.signal(signal.SIGTERM, lambda _signal, _frame: server.end())
            server.serve()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001  whatever it is, it is this instance's last word
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201  its log
        os._exit(1)

    def _leave(self) -> None:
        """Leave the channels to the one that this was forked from."""
        self._channel.close()
        if self._changes is not None:
            self._changes.close()

    def _hold_network(self) -> int:
        """Fork a process that does nothing but hold a network namespace; gives it once it is there."""
        born, birth = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                self._leave()
                kernel.unshare(kernel.CLONE_NEWNET)
                os.write(birth, b".")
                os.close(birth)
                while True:
                    signal.pause()
            finally:
                os._exit(1)
        os.close(birth)
        with open(born, "rb") as cry:  # noqa: PTH123  a descriptor has no path
            if not cry.read(1):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as user.max_net_namespaces gives it
        return pid

    def _move_in(self) -> None:
        """Go to the network namespace in which this instance is to be."""
        if self._placement == "own":
            kernel.unshare(kernel.CLONE_NEWNET)
        elif self._placement == "sandbox":
            namespace = os.open(f"/proc/{self._sandbox}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            kernel.enter_network(namespace)
            os.close(namespace)

    def _do_go(self, request: Message) -> Message:
        """Let them run and wait until all listen: {port, deadline_ns} → what became of them.

        That is {died, silent, other_ports, loopback_ports}.
        """
        os.close(self._go)
        end_ns = time.monotonic_ns() + request["deadline_ns"]
        port = Listener("tcp", request["port"])
        silent = list(self._new)
        while True:
            began_ns = time.monotonic_ns()
            died = self._died(self._new)
            held = {} if self._placement == "own" else listening_sockets(silent[0].pid)
            silent = [instance for instance in silent if port not in self._listeners(instance, held)]
            now_ns = time.monotonic_ns()
            if died or not silent or now_ns > end_ns:
                break
            # The kernel sends no event when a socket starts to listen. Looking takes a core from those
            # that are starting: look no more than half of the time.
            time.sleep(max(0.002, (now_ns - began_ns) / 1e9))
        if not died and not silent:
            for instance in self._new:
                self._tell(instance, listens=True)
        others = sorted(one.port for one in self._listeners(silent[0], held)) if silent else []
        own = bool(silent) and self._placement == "own"
        return {
            "died": died,
            "silent": [instance.name for instance in silent],
            "other_ports": others,
            "loopback_ports": sorted(one.port for one in listeners_on_loopback(silent[0].pid)) if own else [],
        }

    def _listeners(self, instance: _Instance, held: Mapping[int, Listener]) -> set[Listener]:
        """List what an instance listens on; where it shares a namespace, by the sockets held there."""
        if self._placement == "own":
            return listeners_of_namespace(instance.pid)
        return listeners_held([instance.pid], held) or listeners_held(family(instance.pid), held)

    def _do_died(self, _request: Message) -> Message:
        """Tell of the dead, and of those that a signal of others has stopped → {died}."""
        return {"died": [*self._died(self._instances), *self._stopped()]}

    def _stopped(self) -> list[str]:
        living = (one for one in self._instances if one.status is None and not one.frozen)
        return [f"{one.name} stands still: a signal (SIGSTOP) stopped it" for one in living if one.stopped]

    def _died(self, instances: Sequence[_Instance]) -> list[str]:
        """Describe how those of these ended that were not told to."""
        self._reap()
        ended = (instance for instance in instances if instance.status is not None)
        return [instance.exit_reason() for instance in ended if not instance.asked]

    def _living(self, names: Sequence[str]) -> list[_Instance]:
        self._reap()
        return [one for one in self._instances if one.name in names and one.status is None]

    def _do_end(self, request: Message) -> Message:
        """End instances: {names, kill, grace_ns} → {killed}, those that SIGTERM did not end.

        As of a container, all that an instance has started ends with it.
        """
        instances = self._living(request["names"])
        families = {instance.name: family(instance.pid) for instance in instances}
        for instance in instances:
            instance.asked = True
            if request["kill"]:
                _signal([instance.pid], signal.SIGKILL)
            else:
                _signal([instance.pid], signal.SIGTERM)
                _signal(families[instance.name], signal.SIGCONT)  # a frozen one can't end
        killed = self._outlasting(instances, request["grace_ns"])
        for instance in killed:
            _signal([instance.pid], signal.SIGKILL)
        self._outlasting(killed, request["grace_ns"])
        for instance in instances:
            _signal(families[instance.name][1:], signal.SIGKILL)
        return {"killed": [instance.name for instance in killed]}

    def _outlasting(self, instances: Sequence[_Instance], patience_ns: int) -> list[_Instance]:
        """Wait until these have ended, and give those that have not in time."""
        end_ns = time.monotonic_ns() + patience_ns
        while left := [instance for instance in instances if instance.status is None]:
            remaining_s = (end_ns - time.monotonic_ns()) / 1e9
            if remaining_s <= 0:
                break
            select.select([self._ended], [], [], remaining_s)
            self._reap()
        return left

    def _do_freeze(self, request: Message) -> Message:
        """Freeze instances, or let them go on: {names, frozen} → {}."""
        number = signal.SIGSTOP if request["frozen"] else signal.SIGCONT
        for instance in self._living(request["names"]):
            instance.frozen = request["frozen"]
            _signal(family(instance.pid), number)
        return {}


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(pid, number)


def _become(command: list[str], env: dict[str, str]) -> NoReturn:
    """Turn into the user's program; its environment has its name."""
    os.execvpe(command[0], command, os.environ | env)  # noqa: S606  a list, as the scenario gives it; no shell


def main() -> int:
    """Serve the harness until it closes the channel."""
    channel = Channel.inherited(int(sys.argv[1]))
    counters = memoryview(mmap.mmap(int(sys.argv[2]), 0)).cast("Q")
    os.close(int(sys.argv[2]))
    _LOGS.mkdir(exist_ok=True)  # a host may have several engines
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Objects that the collector never visits again stay in pages that all instances share.
    gc.freeze()
    gc.disable()
    try:
        Forkserver(channel, counters).serve()
    except ChannelClosedError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
