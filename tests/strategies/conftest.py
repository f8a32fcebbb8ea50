"""What tests of strategies share: real instances, and connections from the client side."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.process import ProcessEngine
from harness.scenario import Application
from harness.strategies.base import Endpoint, Member

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.hosts.base import Program
    from harness.hosts.netns import NetnsHost
    from harness.strategies.base import Strategy

ENDPOINT = Endpoint("198.18.37.99", 80)
_CONNECT = """
def ask(sock):
    sock.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
    return sock.recv(1000).decode().splitlines()[-1].removeprefix("Hello from ")

def connect():
    return socket.create_connection(("198.18.37.99", 80), 5)
"""
_IN_TURN = """
answers = []
for _ in range({count}):
    with connect() as sock:
        answers.append(ask(sock))
channel.send({{"answer": answers}})
"""
_KEPT = """
kept = connect()
first = ask(kept)
channel.send({"answer": "connected"})
channel.receive()
channel.send({"answer": [first, ask(kept), sorted({ask(connect()) for _ in range(60)})]})
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

    def start(self, count: int) -> list[Member]:
        """Start instances."""
        self._engine = ProcessEngine(self.host, Application(), count)
        return self._engine.start([f"instance-{k}" for k in range(1, count + 1)])

    def ask(self, count: int) -> list[str]:
        """Connect so many times from the client side, and give the instances' names in turn."""
        program = self._client_program(_CONNECT + _IN_TURN.format(count=count))
        answers: list[str] = program.channel.receive(60)["answer"]
        return answers

    def counted(self, strategy: Strategy, members: Sequence[Member], connections: int) -> list[int]:
        """Connect, see that client, instances and kernel agree, and give the counts."""
        asked = Counter(self.ask(connections))
        counts = [asked[member.name] for member in members]
        assert counted_by_kernel(strategy, self.host, members) == counts
        served = self._engine.served()
        assert served is not None
        assert [count.connections for count in served] == counts
        return counts

    def across_an_update(self, update: Callable[[], None]) -> Any:
        """Ask on a kept connection before and after an update, then on 60 new ones.

        Returns
        -------
        list
            The kept connection's instance before, the same after, and the new ones' instances.
        """
        program = self._client_program(_CONNECT + _KEPT)
        assert program.channel.receive(30) == {"answer": "connected"}
        update()
        program.channel.send({"do": "go"})
        return program.channel.receive(30)["answer"]


@pytest.fixture
def lab(host: NetnsHost, client_program: Callable[[str], Program]) -> Lab:
    """Give a host to start instances on."""
    return Lab(host, client_program)
