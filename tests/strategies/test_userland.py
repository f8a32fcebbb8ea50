"""The relay in user land, with whatever clients and instances do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import RefusedError, StrategyError
from harness.strategies import find_strategy
from harness.strategies.turns import turns
from harness.types import Member
from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.hosts.netns import NetnsHost
    from harness.strategies.base import Strategy
    from tests.strategies.conftest import Lab


@pytest.fixture
def userland() -> Strategy:
    found = find_strategy("userland")
    return found(found.options_model())


def test_members_take_turns_by_their_weights(lab: Lab, userland: Strategy) -> None:
    """Of weights 2, 1 and 1, a round is four connections, two of them for the first."""
    members = lab.start(3, weights=[2, 1, 1])
    userland.expose(lab.host, ENDPOINT, members)
    assert lab.counted(userland, members, 40) == [20, 10, 10]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([1, 1], [0, 1]), ([4, 2, 2], [0, 1, 2, 0]), ([1, 3], [0, 1, 1, 1]), ([7], [0])],
)
def test_a_round_is_the_shortest_that_the_weights_allow(weights: list[int], expected: list[int]) -> None:
    """Each has its turn before any has a second one."""
    assert turns(weights) == expected


def test_an_update_moves_new_connections_and_leaves_established_ones(lab: Lab, userland: Strategy) -> None:
    """A connection stays with its instance when that leaves the set."""
    members = lab.start(3)
    userland.expose(lab.host, ENDPOINT, members[:1])
    answers = lab.across_an_update(lambda: userland.update(lab.host, ENDPOINT, members[1:]))
    assert answers == ["instance-1", "instance-1", ["instance-2", "instance-3"]]


def test_withdrawing_frees_the_port(lab: Lab, userland: Strategy) -> None:
    """The same endpoint can be exposed again, once; a second relay finds the port taken."""
    members = lab.start(1)
    other = type(userland)(userland.options)
    userland.expose(lab.host, ENDPOINT, members)
    with pytest.raises(StrategyError, match=r"can't listen on 198.18.37.99:80: Address already in use"):
        other.expose(lab.host, ENDPOINT, members)
    userland.withdraw(lab.host, ENDPOINT)
    other.expose(lab.host, ENDPOINT, members)
    assert lab.ask(3) == ["instance-1"] * 3


_ECHO = """
import socket, threading
listener = socket.create_server(("198.18.37.99", 7000))
def serve(sock):
    while data := sock.recv(1 << 16):
        sock.sendall(data)
    sock.sendall(b"the end")
    sock.close()
channel.send({"answer": "listening"})
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.fixture
def echo(host: NetnsHost, userland: Strategy, host_program: Callable[[str], Any]) -> Iterator[None]:
    """Give a relay to a server that gives back what it gets, and says so when that has ended."""
    program = host_program(_ECHO)
    assert program.channel.receive(20) == {"answer": "listening"}
    userland.expose(host, ENDPOINT, [Member("echo", "198.18.37.99", 7000)])
    yield
    userland.withdraw(host, ENDPOINT)


@pytest.mark.usefixtures("echo")
def test_relay_delivers_all_bytes_to_a_slow_reader(on_client_side: Callable[[str], Any]) -> None:
    """Eight megabytes, more than all buffers hold, come back whole, and the end of the stream with them."""
    assert on_client_side("""
import hashlib, threading, time
data = bytes(range(256)) * (1 << 15)
sock = socket.create_connection(("198.18.37.99", 80), 10)
def send():
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
time.sleep(0.3)
received = b"".join(iter(lambda: sock.recv(1 << 16), b""))
channel.send({"answer": [len(received), received == data + b"the end"]})
""") == [(1 << 23) + 7, True]


@pytest.mark.usefixtures("echo")
def test_a_reset_is_passed_on_and_harms_nobody_else(on_client_side: Callable[[str], Any]) -> None:
    """The member learns that its client has gone; other connections go on."""
    assert (
        on_client_side("""
import struct
kept = socket.create_connection(("198.18.37.99", 80), 5)
for _ in range(20):
    sock = socket.create_connection(("198.18.37.99", 80), 5)
    sock.sendall(b"x" * 10000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
kept.sendall(b"still there")
channel.send({"answer": kept.recv(100).decode()})
""")
        == "still there"
    )


def test_a_member_that_refuses_costs_its_turns(
    host: NetnsHost, userland: Strategy, on_client_side: Callable[[str], Any]
) -> None:
    """Its clients are reset, and the relay lives on."""
    userland.expose(host, ENDPOINT, [Member("nobody", "198.18.37.99", 7001)])
    assert (
        on_client_side("""
result = []
for _ in range(3):
    try:  # the reset may come as soon as the connection is there
        with socket.create_connection(("198.18.37.99", 80), 5) as sock:
            sock.sendall(b"x")
            result.append(len(sock.recv(1)))
    except ConnectionResetError:
        result.append("reset")
channel.send({"answer": result})
""")
        == ["reset"] * 3
    )
    counted = userland.counted(host, ENDPOINT, [Member("nobody", "198.18.37.99", 7001)])
    assert counted is not None
    assert counted.members == (3,)


def test_a_published_port_is_reached_over_the_network_and_on_loopback(lab: Lab) -> None:
    """The rule serves those who come from elsewhere, the relay those on 127.0.0.1."""
    found = find_strategy("publish")
    publish, members = found(found.options_model()), lab.start(1)
    publish.expose(lab.host, ENDPOINT, members)
    assert lab.counted(publish, members, 10) == [10]
    code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:80/').read().decode())"
    assert lab.host.run(["python3", "-c", code]).stdout.strip() == "Hello from instance-1"
    assert lab.served() == [11]
    publish.withdraw(lab.host, ENDPOINT)
    assert "SAMEPORT" not in lab.host.run(["iptables-save"]).stdout


def test_a_port_can_be_published_once(lab: Lab) -> None:
    """The second instance finds the port taken, really, and the message says what to use instead."""
    found = find_strategy("publish")
    with pytest.raises(RefusedError) as refused:
        found(found.options_model()).expose(lab.host, ENDPOINT, lab.start(2))
    assert str(refused.value).startswith(
        "instance-2: bind for 0.0.0.0:80 failed: port is already allocated; a published port leads to one "
        "instance. For several: so-reuseport-sandbox, dnat-random, "
    )
