"""What all hosts have in common on the harness's side: asking the process inside (`harness.hosts.agent`)."""

from __future__ import annotations

import shlex
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, ClassVar

from harness.common.channel import Channel, ChannelClosedError, Message
from harness.common.text import stderr_tail
from harness.errors import HostError
from harness.hosts.base import Finished
from harness.hosts.listening import listeners
from harness.types import Listener

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence

    from harness.types import Role, Transport

_ANSWER_DEADLINE_S = 180
_LISTEN_DEADLINE_S = 20
_LOOK_EVERY_S = 0.005


@dataclass(frozen=True)
class SpawnedProgram:
    """A program that was started with a channel, its words going to a file."""

    channel: Channel
    stderr: IO[bytes]

    def stderr_tail(self) -> str:
        """Give the last lines that it wrote to its standard error, one line of text."""
        self.stderr.seek(0)
        return stderr_tail(self.stderr.read())


class AskedService:
    """A program that goes on serving on the host; its first process is `pid`."""

    def __init__(self, ask: Callable[[Message], Message], name: str, pid: int) -> None:
        self._ask = ask
        self._name = name
        self.pid = pid

    def wait_listening(self, ports: Sequence[Listener | int]) -> None:
        """Wait until it, or a process that it started, listens on these ports; a bare number is TCP's."""
        wanted = listeners(ports)
        transports = sorted({listener.transport for listener in wanted})
        end_s = time.monotonic() + _LISTEN_DEADLINE_S
        while True:
            seen = self._ask({"do": "look", "pid": self.pid, "transports": transports})
            if seen["ended"]:
                raise HostError(seen["ended"])
            if not (silent := wanted - {Listener(*held) for held in seen["listeners"]}):
                return
            if time.monotonic() > end_s:
                what = f"did not listen on {min(silent)} within {_LISTEN_DEADLINE_S} s"
                raise HostError(f"{self._name} {what}: {seen['words']}")
            time.sleep(_LOOK_EVERY_S)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process; nothing happens where that has ended."""
        self._ask({"do": "signal", "pid": self.pid, "number": int(number)})

    def stop(self) -> None:
        """End it and all that it started."""
        self._ask({"do": "stop", "pid": self.pid})


class AskingHost(ABC):
    """A host whose agent process carries out requests from a channel.

    Attributes
    ----------
    kind
        As a scenario says it.
    """

    kind: ClassVar[str]
    _channel: Channel

    def __init__(self) -> None:
        self._asking = threading.RLock()

    @abstractmethod
    def _last_words(self) -> str:
        """Give the last lines that the process inside wrote."""

    def run(self, argv: Sequence[str], text: str = "") -> Finished:
        """Run a program on the host to its end; `text` is its standard input."""
        answer = self._ask({"do": "run", "argv": list(argv), "text": text})
        return Finished(answer["status"], answer["stdout"], answer["stderr"])

    def serve(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, role: Role = "proxy"
    ) -> AskedService:
        """Start a program that goes on serving on the host, such as a proxy."""
        asked = {"do": "serve", "name": name, "argv": list(argv), "env": dict(env or {}), "role": role}
        return AskedService(self._ask, name, self._ask(asked)["pid"])

    def write(self, path: str, text: str) -> None:
        """Put a file on the host, below /run, at once."""
        self._ask({"do": "write", "path": path, "text": text})

    def listeners(
        self, pids: Sequence[int], transports: Sequence[Transport] = ("tcp",)
    ) -> list[set[Listener]]:
        """Tell on what each of these processes, or one that it started, listens."""
        asked = {"do": "listeners", "pids": list(pids), "transports": list(transports)}
        return [{Listener(*one) for one in held} for held in self._ask(asked)["listeners"]]

    def adopt(self, pids: Sequence[int], role: Role) -> None:
        """Count what containers use, known by their first processes, for a role."""
        self._ask({"do": "adopt", "pids": list(pids), "role": role})

    def exposed(self) -> None:
        """Set the limits of kernel parts that are there only since a strategy has put in its rules."""
        self._ask({"do": "track"})

    def dropped(self) -> int:
        """Count the packets that connection tracking had to drop so far."""
        return int(self._ask({"do": "dropped"})["dropped"])

    def tcp(self) -> dict[str, list[int]]:
        """Read what each network namespace on the host counts of TCP (`harness.hosts.network`)."""
        counts: dict[str, list[int]] = self._ask({"do": "tcp"})["counts"]
        return counts

    def died(self) -> list[str]:
        """Tell of each service that has ended without being stopped, one sentence each."""
        sentences: list[str] = self._ask({"do": "died"})["died"]
        return sentences

    def cpu_ns(self) -> dict[str, int]:
        """Read the processor time used so far: of each role's living processes, and `softirq`."""
        return self._ask({"do": "cpu"})

    def memory_bytes(self) -> dict[str, int]:
        """Read how much memory the containers of each role had at most, added up."""
        return self._ask({"do": "memory"})

    def _ask(self, request: Message, fds: tuple[int, ...] = ()) -> Message:
        try:
            with self._asking:  # one question at a time, whichever thread has it
                self._channel.send(request, fds)
                answer = self._channel.receive(_ANSWER_DEADLINE_S)
        except ChannelClosedError as error:
            words = self._last_words() or "it was killed"
            raise HostError(f"the {self.kind} host has gone: {words}") from error
        except TimeoutError as error:
            message = f"the {self.kind} host did not {request['do']} within {_ANSWER_DEADLINE_S} s"
            raise HostError(message) from error
        if "error" in answer:
            what = next((_shown(request[key]) for key in ("argv", "path", "place") if key in request), "")
            what = f"{request['do']} {what}".strip()
            raise HostError(f"the {self.kind} host could not {what:.200}: {answer['error']}")
        return answer


def _shown(what: list[str] | str | int) -> str:
    return shlex.join(what) if isinstance(what, list) else str(what)
