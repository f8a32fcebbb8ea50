"""The `process` engine: each instance a process in network and host-name namespaces of its own.

All are forked from one prepared process (`harness.engines.forkserver`), so a thousand of them share
most of their memory. The sample application counts into memory that this process shares, so its
counts are read outside the measured path and outlive the instance.
"""

from __future__ import annotations

import mmap
import os
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.common.channel import Channel, ChannelClosedError, Message
from harness.common.text import printable
from harness.engines.base import Change, Served
from harness.engines.forkserver import SLOT_WORDS
from harness.engines.readiness import wait_ready
from harness.errors import EngineError
from harness.instance.server import CONTROL_WORD, control
from harness.types import Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.engines.base import Version
    from harness.engines.workload import Workload
    from harness.hosts.base import Host
    from harness.types import Endpoint, Placement

_WORD = 8
_SHOWN = 200  # characters of a command in a message
# Measured with 1,000 sample instances under load: memory that they do not share, and what the kernel
# takes for their namespaces.
_MEMORY_EACH_BYTES = 1_800_000
_ANSWER_DEADLINE_S = 180
_GRACE_NS = 10_000_000_000  # what `docker stop` leaves a container to end by itself


class ProcessChanges:
    """What becomes of instances, as the process tells it that they are forked from.

    Parameters
    ----------
    sock
        On which it tells, owned from here on.
    member
        Gives an instance that listens.
    """

    def __init__(self, sock: socket.socket, member: Callable[[str], Member | None]) -> None:
        self._sock = sock
        self._member = member

    def __iter__(self) -> Iterator[Change]:
        """Give the changes as they come."""
        with Channel(self._sock) as channel, suppress(ChannelClosedError):
            while told := channel.receive():
                yield Change(told["name"], self._member(told["name"]) if told["listens"] else None)

    def close(self) -> None:
        """End it: a thread that waits for the next change learns that there is none."""
        with suppress(OSError):  # the other end has gone before
            self._sock.shutdown(socket.SHUT_RDWR)


class ProcessEngine:
    """Instances as processes on a host.

    Parameters
    ----------
    host
        A host that can attach network namespaces.
    workload
        What to run: the sample, or a command.
    placement
        In which network namespaces they are.
    """

    title = "processes"

    def __init__(
        self,
        host: Host,
        workload: Workload,
        placement: Placement = "own",
    ) -> None:
        self._host = host
        self._workload = workload
        self._placement = placement
        self._port = workload.endpoint_port if placement == "host" else workload.port
        size = max(workload.most * SLOT_WORDS * _WORD, mmap.PAGESIZE)
        counters = os.memfd_create("sameport-counters")
        try:
            os.ftruncate(counters, size)
            self._counters = memoryview(mmap.mmap(counters, size)).cast("Q")
            self._forkserver = host.spawn(
                [sys.executable, "-m", "harness.engines.forkserver"], "host", "instances", [counters]
            )
        finally:
            os.close(counters)
        self._asking = threading.Lock()
        self._names: list[str] = []  # each at its slot
        self._members: dict[str, Member] = {}
        self._sandbox = ""
        self._ready: set[str] = set()
        self._is_ready = threading.Condition()
        self._counts = not workload.command  # whether all of them do

    def prepare(self) -> None:
        """Do nothing: the prepared process gets ready by itself."""

    def start(
        self, names: Sequence[str], version: Version | None = None, weights: Mapping[str, int] | None = None
    ) -> list[Member]:
        """Start one instance for each name and wait until all of them listen."""
        app = self._workload
        _require_memory(len(names))
        self._names += [name for name in names if name not in self._names]
        slots = [self._names.index(name) for name in names]
        for slot in slots:
            self._counters[slot * SLOT_WORDS + CONTROL_WORD] = 0
        told = dict(version.told) if version else {}
        command = (version and version.command) or app.command
        self._counts &= not command
        pids = self._ask(
            {
                "do": "fork",
                "names": list(names),
                "slots": slots,
                "placement": self._placement,
                "command": command,
                "env": {**app.env, **told},
                "port": self._port,
                "delay_ns": app.delay_ns,
            }
        )["pids"]
        members = [
            Member(name, address, self._port, (weights or {}).get(name, 1))
            for name, address in zip(names, self._addresses(names, pids), strict=True)
        ]
        with self._is_ready:
            self._ready.difference_update(names)
        self._members |= {member.name: member for member in members}
        go = {"do": "go", "port": self._port, "deadline_ns": app.start_timeout_ns}
        self._raise_if_not_up(names, command, self._ask(go))
        wait_ready(self._host, members, app.ready, app.start_timeout_ns)
        with self._is_ready:
            self._ready.update(names)
            self._is_ready.notify_all()
        return members

    def _listening(self, name: str) -> Member | None:
        """Give an instance that listens, once it is ready where it says when; None where it never is."""
        if self._workload.ready is not None:
            with self._is_ready:
                self._is_ready.wait_for(lambda: name in self._ready, self._workload.start_timeout_ns / 1e9)
                if name not in self._ready:
                    return None
        return self._members[name]

    def _addresses(self, names: Sequence[str], pids: Sequence[int]) -> list[str]:
        """Connect new instances to the host, and give each one's address."""
        if self._placement == "host":
            return [self._host.address] * len(names)
        if self._placement == "own":
            # All of them have been there before, or none.
            before = [self._members[name].address for name in names if name in self._members]
            return self._host.attach(pids, before)
        if not self._sandbox:
            (self._sandbox,) = self._host.attach(pids)
        return [self._sandbox] * len(names)

    def _raise_if_not_up(self, names: Sequence[str], command: Sequence[str] | None, answer: Message) -> None:
        patience_s = self._workload.start_timeout_ns / 1e9
        if answer["died"]:
            shared = "" if self._placement == "own" else "; all share one port, so each must set SO_REUSEPORT"
            raise EngineError(f"{answer['died'][0]}; application: {_what(command)}{shared}")
        if answer["silent"]:
            self._raise_if_on_loopback(answer, command)
            others = ", ".join(map(str, answer["other_ports"]))
            raise EngineError(
                f"{len(answer['silent'])} of {len(names)} instances (first: {answer['silent'][0]}) "
                f"never listened on port {self._port} within {patience_s:g} s"
                + (f" (listening on: {others}; {self._hint()})" if others else "")
                + f"; application: {_what(command)}"
            )

    def _raise_if_on_loopback(self, answer: Message, command: Sequence[str] | None) -> None:
        if self._port in answer["loopback_ports"]:
            raise EngineError(
                f"{answer['silent'][0]} listens on port {self._port} of 127.0.0.1 alone, where nothing "
                "outside of its own network reaches it: let the application listen on 0.0.0.0; "
                f"application: {_what(command)}"
            )

    def _hint(self) -> str:
        if self._placement == "host":
            return "on the host's network, it must listen on the endpoint's port, the variable PORT"
        return "is application.port right?"

    def exposure(self, endpoint: Endpoint) -> tuple[Host, Endpoint]:
        """Give the host itself: a strategy's programs run on it."""
        return self._host, endpoint

    def versions(self) -> dict[str, str]:
        """Give none: it is part of the harness."""
        return {}

    def end(self, names: Sequence[str], *, kill: bool) -> None:
        """End instances, all at once: by SIGKILL, or by SIGTERM and, after 10 s, SIGKILL."""
        self._ask({"do": "end", "names": list(names), "kill": kill, "grace_ns": _GRACE_NS})

    def freeze(self, names: Sequence[str], *, frozen: bool) -> None:
        """Stop all processes of instances by SIGSTOP, or let them go on by SIGCONT."""
        self._ask({"do": "freeze", "names": list(names), "frozen": frozen})

    def degrade(self, names: Sequence[str], *, slow_ns: int | None = None, fail: float | None = None) -> None:
        """Write into the sample's memory that it is to be slower, or to fail."""
        for name in names:
            place = self._names.index(name) * SLOT_WORDS + CONTROL_WORD
            self._counters[place] = control(self._counters[place], slow_ns, fail)

    def changes(self) -> ProcessChanges:
        """Follow what becomes of the instances from now on."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._ask({"do": "follow"}, (theirs.fileno(),))
        return ProcessChanges(ours, self._listening)

    def memory_bytes(self) -> dict[str, int]:
        """Give nothing: instances share most of their memory."""
        return {}

    def served(self) -> list[Served] | None:
        """Read what each instance counted, in the order of their first start; None with a command."""
        if not self._counts:
            return None
        slots = range(0, len(self._names) * SLOT_WORDS, SLOT_WORDS)
        return [Served(self._counters[slot], self._counters[slot + 1]) for slot in slots]

    def died(self) -> list[str]:
        """Describe each instance that has ended by itself, one sentence each."""
        sentences: list[str] = self._ask({"do": "died"})["died"]
        return sentences

    def _ask(self, request: Message, fds: tuple[int, ...] = ()) -> Message:
        channel = self._forkserver.channel
        try:
            with self._asking:  # one question at a time, whichever thread has it
                channel.send(request, fds)
                answer = channel.receive(_ANSWER_DEADLINE_S + request.get("deadline_ns", 0) / 1e9)
        except TimeoutError as error:
            raise EngineError(
                f"the process that instances are forked from did not {request['do']} within "
                f"{_ANSWER_DEADLINE_S} s"
            ) from error
        except ChannelClosedError as error:
            words = self._forkserver.stderr_tail() or "it was killed"
            raise EngineError(f"the process that instances are forked from has gone: {words}") from error
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer


def _require_memory(count: int) -> None:
    """Refuse what would make the kernel kill processes, perhaps those of others, for want of memory."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    if (needed := count * _MEMORY_EACH_BYTES) > available:
        raise EngineError(
            f"{count:,} instances need some {needed / 1e9:,.1f} GB of memory, and {available / 1e9:,.1f} GB "
            f"are available; write fewer replicas, {available // _MEMORY_EACH_BYTES:,} at most"
        )


def _what(command: Sequence[str] | None) -> str:
    if not command:
        return "the sample"
    words = printable(" ".join(command))
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}..."
