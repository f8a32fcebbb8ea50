"""DNAT strategies with real iptables on a real host."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness.engines.process import ProcessEngine
from harness.errors import StrategyError
from harness.scenario import Application
from harness.stats.fairness import chi_square
from harness.strategies.base import Endpoint, Member
from harness.strategies.dnat import DnatRandom

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.hosts.base import Program
    from harness.hosts.netns import NetnsHost

_ENDPOINT = Endpoint("198.18.37.99", 80)
_DNAT = DnatRandom(DnatRandom.options_model())
_CONNECT = """
def ask(sock):
    sock.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
    return sock.recv(1000).decode().splitlines()[-1].removeprefix("Hello from ")

def connect():
    return socket.create_connection(("198.18.37.99", 80), 5)
"""
_MANY = (
    _CONNECT
    + """
answers = []
for _ in range({count}):
    with connect() as sock:
        answers.append(ask(sock))
channel.send({{"answer": answers}})
"""
)


def _members(host: NetnsHost, count: int) -> tuple[ProcessEngine, list[Member]]:
    engine = ProcessEngine(host, Application(), count)
    return engine, engine.start([f"instance-{k}" for k in range(1, count + 1)])


def _rules(host: NetnsHost) -> str:
    return host.run(["iptables-save", "-t", "nat"]).stdout


def test_connections_spread_evenly_and_all_witnesses_agree(
    host: NetnsHost, on_client_side: Callable[[str], list[str]]
) -> None:
    """Client, instances and the rules' own counters tell the same of 2,000 connections."""
    engine, members = _members(host, 4)
    _DNAT.expose(host, _ENDPOINT, members)
    asked = Counter(on_client_side(_MANY.format(count=2_000)))
    counts = [asked[member.name] for member in members]
    assert _DNAT.kernel_counts(host, _ENDPOINT, members) == counts
    served = engine.served()
    assert served is not None
    assert [count.connections for count in served] == counts
    # A fair strategy fails this once in a million runs.
    assert chi_square(counts, _DNAT.expected_shares(members)).p_value > 1e-6


def test_clients_on_the_host_itself_are_balanced_too(host: NetnsHost) -> None:
    """Local connections never pass PREROUTING: the OUTPUT chain leads to the same cascade."""
    _, members = _members(host, 2)
    _DNAT.expose(host, _ENDPOINT, members)
    code = (
        "import socket\nfor _ in range(40):\n"
        " s=socket.create_connection(('198.18.37.99',80),5); s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')\n"
        " print(s.recv(1000).decode().splitlines()[-1]); s.close()"
    )
    answers = host.run(["python3", "-c", code]).stdout.splitlines()
    assert set(answers) == {"Hello from instance-1", "Hello from instance-2"}
    assert len(answers) == 40


def test_an_update_moves_new_connections_and_leaves_established_ones(
    host: NetnsHost, client_program: Callable[[str], Program]
) -> None:
    """A connection stays with its instance when that leaves the set; new ones never go there."""
    _, members = _members(host, 3)
    _DNAT.expose(host, _ENDPOINT, members[:1])
    code = (
        _CONNECT
        + """
kept = connect()
first = ask(kept)
channel.send({"answer": "connected"})
channel.receive()
channel.send({"answer": [first, ask(kept), sorted({ask(connect()) for _ in range(60)})]})
"""
    )
    program = client_program(code)
    assert program.channel.receive(30) == {"answer": "connected"}
    _DNAT.update(host, _ENDPOINT, members[1:])
    program.channel.send({"do": "go"})
    assert program.channel.receive(30)["answer"] == [
        "instance-1",
        "instance-1",
        ["instance-2", "instance-3"],
    ]


def test_withdrawing_leaves_other_rules_alone(host: NetnsHost) -> None:
    """Somebody else's rules stand as before, and none of ours is left."""
    host.run(["iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "81", "-j", "ACCEPT"])
    before = re.sub(r"#.*\n|\[.*?\]", "", _rules(host))
    members = [Member(f"instance-{k}", f"198.19.{k // 200}.{k % 200 + 2}", 8080) for k in range(600)]
    _DNAT.expose(host, _ENDPOINT, members)
    assert "SAMEPORT" in _rules(host)
    _DNAT.withdraw(host, _ENDPOINT)
    assert re.sub(r"#.*\n|\[.*?\]", "", _rules(host)) == before


@pytest.mark.parametrize("count", [1, 2, 250, 251, 1_000])
def test_the_cascade_gives_each_member_the_same_chance(host: NetnsHost, count: int) -> None:
    """The probabilities as the kernel holds them multiply to 1/N for every member, at any length."""
    members = [Member(f"instance-{k}", f"198.19.{k // 200}.{k % 200 + 2}", 8080) for k in range(count)]
    for _ in range(2):  # the second time, over what the first has put in
        _DNAT.expose(host, _ENDPOINT, members)
        shares = _shares(_rules(host), "SAMEPORT-80")
        assert list(shares) == [f"{member.address}:8080" for member in members]
        assert list(shares.values()) == pytest.approx([1 / count] * count, rel=1e-5)
        _DNAT.update(host, _ENDPOINT, members)
        assert _shares(_rules(host), "SAMEPORT-80") == shares


def _shares(saved: str, chain: str) -> dict[str, float]:
    """Follow the rules as a packet would, and give the chance of each destination."""
    left = 1.0
    shares = {}
    while chain:
        rules = re.findall(rf"^-A {chain} (.*)$", saved, re.MULTILINE)
        chain = ""
        for rule in rules:
            if following := re.search(r"-g (\S+)", rule):
                chain = following[1]
                break
            chance = re.search(r"--probability (\S+)", rule)
            taken = left * (float(chance[1]) if chance else 1)
            shares[re.findall(r"--to-destination (\S+)", rule)[0]] = taken
            left -= taken
    return shares


def test_a_refusal_by_iptables_is_told_in_its_own_words(host: NetnsHost) -> None:
    """What iptables says reaches the user."""
    with pytest.raises(
        StrategyError, match=r"iptables-restore refused the rules of dnat-random: .*Bad IP address"
    ):
        _DNAT.expose(host, _ENDPOINT, [Member("instance-1", "not-an-address", 8080)])
    assert "SAMEPORT" not in _rules(host)
