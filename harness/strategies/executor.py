"""The executor: carries out the actions of a strategy on a host, and notes those that the journal keeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from harness.common.channel import Channel
from harness.errors import StrategyError
from harness.strategies.actions import (
    ByItself,
    Close,
    Command,
    Facts,
    File,
    Hear,
    Look,
    Pause,
    Question,
    Served,
    Signal,
    Spawned,
    Stop,
    Tell,
    Told,
    WaitListening,
    WaitUntil,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from harness.common.channel import Message
    from harness.hosts.base import Finished, Host, Program, Service
    from harness.strategies.actions import Action, Actions, Asked
    from harness.types import Role, Side


def facts_of(host: Host) -> Facts:
    """Read what is known of a host without asking anything of it."""
    return Facts(host.published, host.resolver, host.engine_socket)


def carry_out(actions: Actions[None], host: Host, note: Callable[[Asked], None] | None = None) -> None:
    """Carry out all actions, each before the next is asked for.

    Parameters
    ----------
    actions
        A strategy's, which are given the answers and the errors.
    host
        Where they are carried out.
    note
        Is told of each that the journal keeps, before it is carried out.

    Raises
    ------
    HarnessError
        Whatever the strategy lets pass of the errors that came, or raises itself.
    """
    answer: Any = None
    error: Exception | None = None
    while True:
        try:
            action = actions.send(answer) if error is None else actions.throw(error)
        except StopIteration:
            return
        answer = error = None
        if note is not None and (asked := noted(action)) is not None:
            note(asked)
        try:
            # A strategy that acts by itself is heard through its host.
            place = NotingHost(host, note) if note and isinstance(action, ByItself) else host
            answer = _CARRY_OUT[type(action)](action, place)
        except Exception as raised:  # noqa: BLE001  the strategy gets it, and lets it pass or not
            error = raised


def noted(action: Action) -> Asked | None:
    """Give what the journal keeps of an action, and the plan prints; None for waits and signals."""
    if isinstance(action, Question):
        return action.command
    if isinstance(action, Tell):
        return Told(action.message)
    return action if isinstance(action, Command | File | Served | Spawned | Told) else None


def _wait(action: WaitUntil, host: Host) -> None:
    end_s = time.monotonic() + action.deadline_s
    while True:
        if action.service is not None and action.listener is not None:
            action.service.wait_listening([action.listener])
        if action.holds(host):
            return
        if time.monotonic() > end_s:
            raise StrategyError(action.failure)
        time.sleep(action.every_s)


_CARRY_OUT: dict[type[Any], Callable[[Any, Host], Any]] = {
    Command: lambda action, host: host.run(action.argv, action.text),
    Question: lambda action, host: host.run(action.command.argv, action.command.text),
    File: lambda action, host: host.write(action.path, action.text),
    Served: lambda action, host: host.serve(action.name, action.argv, dict(action.env)),
    Spawned: lambda action, host: host.spawn(action.argv, "host", "proxy"),
    Tell: lambda action, _: action.program.channel.send(action.message),
    Hear: lambda action, _: action.program.channel.receive(action.patience_s),
    Close: lambda action, _: action.program.channel.close(),
    WaitListening: lambda action, _: action.service.wait_listening(action.listeners),
    WaitUntil: _wait,
    Look: lambda action, host: action.read(host),
    Signal: lambda action, _: action.service.signal(action.number),
    Stop: lambda action, _: action.service.stop(),
    Pause: lambda action, _: time.sleep(action.seconds),
    ByItself: lambda action, host: action.act(host),
}


class NotingHost:
    """A host for a strategy that acts by itself: notes what is asked, and passes it on.

    Parameters
    ----------
    host
        Carries it out.
    note
        Is told of each command, file, service, program and message before.
    """

    def __init__(self, host: Host, note: Callable[[Asked], None]) -> None:
        self._host = host
        self._note = note
        self.address, self.sources = host.address, host.sources
        self.published, self.resolver = host.published, host.resolver
        self.engine_socket = host.engine_socket

    def run(self, argv: Sequence[str], text: str = "") -> Finished:
        """Run a program to its end."""
        self._note(Command(tuple(argv), text))
        return self._host.run(argv, text)

    def write(self, path: str, text: str) -> None:
        """Put a file on the host."""
        self._note(File(path, text))
        self._host.write(path, text)

    def serve(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, role: Role = "proxy"
    ) -> Service:
        """Start a program that goes on."""
        self._note(Served(name, tuple(argv), tuple((env or {}).items())))
        return self._host.serve(name, argv, env, role)

    def spawn(self, argv: Sequence[str], side: Side, role: Role, fds: Sequence[int] = ()) -> Program:
        """Start a program that speaks over a channel."""
        self._note(Spawned(tuple(argv)))
        return _NotingProgram(self._host.spawn(argv, side, role, fds), self._note)

    def connect(self, place: int | str) -> socket.socket:
        """Connect to a service."""
        return self._host.connect(place)

    def attach(self, pids: Sequence[int], addresses: Sequence[str] = ()) -> list[str]:
        """Connect network namespaces."""
        return self._host.attach(pids, addresses)

    def exposed(self) -> None:
        """Be told that members are exposed."""
        self._host.exposed()

    def dropped(self) -> int:
        """Count dropped packets."""
        return self._host.dropped()

    def tcp(self) -> dict[str, list[int]]:
        """Read what network namespaces count of TCP."""
        return self._host.tcp()

    def died(self) -> list[str]:
        """Tell of services that have ended."""
        return self._host.died()

    def cpu_ns(self) -> dict[str, int]:
        """Read the processor time used."""
        return self._host.cpu_ns()


class _NotingProgram:
    def __init__(self, program: Program, note: Callable[[Asked], None]) -> None:
        self._program = program
        self.channel: Channel = _NotingChannel(program.channel, note)

    def stderr_tail(self) -> str:
        return self._program.stderr_tail()


class _NotingChannel(Channel):
    def __init__(self, channel: Channel, note: Callable[[Asked], None]) -> None:
        self._channel = channel
        self._note = note

    def fileno(self) -> int:
        return self._channel.fileno()

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        self._note(Told(message))
        self._channel.send(message, fds)

    def receive(self, timeout_s: float | None = None) -> Message:
        return self._channel.receive(timeout_s)

    def send_bytes(self, data: bytes) -> None:
        self._channel.send_bytes(data)

    def take_fd(self) -> int:
        return self._channel.take_fd()

    def close(self) -> None:
        self._channel.close()
