"""What tests of strategies share: real instances, and connections from the client side."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.process import ProcessEngine
from harness.engines.workload import Workload
from harness.types import Endpoint, Member

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.hosts.base import Program
    from harness.hosts.netns import NetnsHost
    from harness.strategies.base import Strategy
    from harness.types import Placement

ENDPOINT = Endpoint("198.18.37.99", 80)
_CONNECT = """
def ask(sock):
    sock.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
    return sock.recv(1000).decode().splitlines()[-1].removeprefix("Hello from ")

def connect(source="0.0.0.0"):
    return socket.create_connection(("198.18.37.99", 80), 5, (source, 0))
"""
_IN_TURN = """
answers = []
for source in {sources}:
    with connect(source) as sock:
        answers.append(ask(sock))
channel.send({{"answer": answers}})
"""
_STAY = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
"""
_UNDER_LOAD = """
import threading
kept = connect()
asked, failed, going = [ask(kept)], [], True

def load():
    while going:
        try:
            with connect("198.18.128.1") as sock:
                asked.append(ask(sock))
        except OSError as error:
            failed.append(repr(error))

thread = threading.Thread(target=load)
thread.start()
channel.send({"answer": "under load"})
channel.receive()
going = False
thread.join()
new = {ask(connect(f"198.18.128.{k % 16 + 1}")) for k in range(60)}
channel.send({"answer": [asked[0], ask(kept), sorted(new), failed]})
"""


def counted_by_kernel(strategy: Strategy, host: NetnsHost, members: Sequence[Member]) -> list[int] | None:
    """Give what the strategy's rules counted for each member."""
    counted = strategy.counted(host, ENDPOINT, members)
    if counted is None or counted.members is None:
        return None
    assert (counted.by, counted.what, counted.total) == ("kernel", "connections", sum(counted.members))
    return list(counted.members)


class Lab:
    """A host with instances of the sample, and clients that connect one after another."""

    def __init__(self, host: NetnsHost, client_program: Callable[[str], Program]) -> None:
        self.host = host
        self._client_program = client_program

    def start(
        self,
        count: int,
        placement: Placement = "own",
        weights: Sequence[int] | None = None,
        command: tuple[str, ...] | None = None,
    ) -> list[Member]:
        """Start instances of the sample, or of a command."""
        workload = Workload(command=command, endpoint_port=ENDPOINT.port, most=count)
        self._engine = ProcessEngine(self.host, workload, placement)
        started = self._engine.start([f"instance-{k}" for k in range(1, count + 1)])
        each = weights or [1] * count
        return [replace(member, weight=weight) for member, weight in zip(started, each, strict=True)]

    def served(self) -> list[int]:
        """Give the connections that each instance counted."""
        served = self._engine.served()
        assert served is not None
        return [count.connections for count in served]

    def ask(self, count: int) -> list[str]:
        """Connect so many times from the client side, and give the instances' names in turn."""
        return self.ask_from(["0.0.0.0"] * count)  # noqa: S104  any of the client's own

    def ask_from(self, sources: Sequence[str]) -> list[str]:
        """Connect from each of these addresses, and give the instances' names in turn."""
        program = self._client_program(_CONNECT + _IN_TURN.format(sources=list(sources)))
        answers: list[str] = program.channel.receive(60)["answer"]
        return answers

    def ask_from_one_processor(self, count: int) -> list[str]:
        """Connect so many times, without leaving the processor."""
        program = self._client_program(_STAY + _CONNECT + _IN_TURN.format(sources=["0.0.0.0"] * count))  # noqa: S104
        answers: list[str] = program.channel.receive(60)["answer"]
        return answers

    def counted(self, strategy: Strategy, members: Sequence[Member], connections: int) -> list[int]:
        """Connect, see that client, instances and whoever else counts agree, and give the counts."""
        asked = Counter(self.ask(connections))
        counts = [asked[member.name] for member in members]
        counted = strategy.counted(self.host, ENDPOINT, members)
        if counted is not None:
            assert (counted.what, counted.total) == ("connections", connections)
            assert counted.members is None or list(counted.members) == counts
        assert self.served() == counts
        return counts

    def across_an_update(self, update: Callable[[], None]) -> Any:
        """Update while new connections are made, one after the other, and one is kept.

        Returns
        -------
        list
            The kept connection's instance before and after, and those of 60 connections made after.
        """
        program = self._client_program(_CONNECT + _UNDER_LOAD)
        assert program.channel.receive(30) == {"answer": "under load"}
        update()
        program.channel.send({"do": "end"})
        *answers, failed = program.channel.receive(30)["answer"]
        assert failed == []
        return answers


@pytest.fixture
def lab(host: NetnsHost, client_program: Callable[[str], Program]) -> Lab:
    """Give a host to start instances on."""
    return Lab(host, client_program)
