"""On which ports a process listens, over both transports and families."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.hosts.listening import listeners, listeners_held, listening_sockets
from harness.types import Listener


@pytest.mark.skipif(os.geteuid() != 0, reason="entering this network takes root; a host has its own")
@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["ipv4", "ipv6"]
)
def test_listeners_of_both_transports_are_told_apart(family: int, address: str) -> None:
    """One port of TCP and one of UDP: each is found for its transport alone."""
    with socket.socket(family) as stream, socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        stream.bind((address, 0))
        stream.listen()
        datagrams.bind((address, 0))
        taken = Listener("tcp", stream.getsockname()[1])
        bound = Listener("udp", datagrams.getsockname()[1])
        own = os.getpid()
        assert taken in listeners_held([own], listening_sockets(own))
        assert bound not in listeners_held([own], listening_sockets(own))
        over_udp = listeners_held([own], listening_sockets(own, ("udp",)))
        assert bound in over_udp
        assert taken not in over_udp
        assert {taken, bound} <= listeners_held([own], listening_sockets(own, ("tcp", "udp")))


def test_listeners_of_a_connected_datagram_socket_are_none() -> None:
    """It takes datagrams of its peer only."""
    with (
        socket.socket(type=socket.SOCK_DGRAM) as server,
        socket.socket(type=socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())
        own = Listener("udp", client.getsockname()[1])
        assert own not in listening_sockets(os.getpid(), ("udp",)).values()


def test_listeners_take_a_bare_number_for_a_port_of_tcp() -> None:
    """As strategies of other packages have it."""
    assert listeners([80, Listener("udp", 53)]) == {Listener("tcp", 80), Listener("udp", 53)}


_ENDED = """
import subprocess
from harness.hosts.listening import listeners_held, listening_sockets
ended = subprocess.Popen(["true"], stdout=subprocess.PIPE)
ended.stdout.read()
print(listeners_held([ended.pid], listening_sockets(ended.pid)))
"""


def test_listeners_of_an_ended_process_are_none_for_an_ordinary_user(ordinary_user: tuple[str, ...]) -> None:
    """The kernel refuses a look at its descriptors until its parent has waited for it."""
    told = subprocess.run(
        [*ordinary_user, "unshare", "--user", "--map-root-user", sys.executable, "-c", _ENDED],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd="/",
    )
    assert (told.stdout, told.stderr) == ("set()\n", "")
