"""Every strategy made of rules, with real iptables and nftables on a real host."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness.errors import StrategyError
from harness.stats.fairness import chi_square
from harness.strategies import find_strategy
from harness.types import Member
from tests.strategies.conftest import ENDPOINT, counted_by_kernel

if TYPE_CHECKING:
    from harness.hosts.netns import NetnsHost
    from harness.strategies.base import Strategy
    from tests.strategies.conftest import Lab

_RANDOM = ["dnat-random", "dnat-literal", "nft-random", "kube-proxy-iptables"]
_ROUND_ROBIN = ["dnat-nth", "nft-round-robin"]
_RULES = [*_RANDOM, *_ROUND_ROBIN, "nft-hash"]
_WEIGHTED = ["dnat-random", "dnat-nth", "nft-random", "nft-round-robin"]


def _strategy(name: str) -> Strategy:
    found = find_strategy(name)
    return found(found.options_model())


def _rules(host: NetnsHost) -> str:
    """Give all rules there are, without counters and comments."""
    listed = host.run(["sh", "-c", "iptables-save; nft list ruleset"]).stdout
    return re.sub(r"#.*\n|\[.*?\]|counter packets \d+ bytes \d+", "", listed)


def _others(host: NetnsHost) -> str:
    """Put in rules of somebody else, and give all that there are."""
    for chain in ("PREROUTING", "OUTPUT", "POSTROUTING"):
        host.run(["iptables", "-t", "nat", "-A", chain, "-p", "tcp", "--dport", "81", "-j", "ACCEPT"])
    host.run(["nft", "add", "table", "ip", "others"])
    return _rules(host)


def _made_up(count: int) -> list[Member]:
    return [Member(f"instance-{k}", f"198.19.{k // 200}.{k % 200 + 2}", 8080) for k in range(count)]


@pytest.mark.parametrize("name", _RANDOM)
def test_random_choices_spread_as_predicted_and_all_witnesses_agree(lab: Lab, name: str) -> None:
    """Client, instances and the rules' own counters tell the same of 2,000 connections."""
    strategy, members = _strategy(name), lab.start(4)
    strategy.expose(lab.host, ENDPOINT, members)
    counts = lab.counted(strategy, members, 2_000)
    # What is as predicted fails this once in a million runs.
    assert chi_square(counts, strategy.predicted_shares(members)).p_value > 1e-6


@pytest.mark.parametrize("name", _ROUND_ROBIN)
def test_round_robin_gives_each_member_its_turn(lab: Lab, name: str) -> None:
    """Any N connections in a row go to N different members, and all witnesses agree."""
    strategy, members = _strategy(name), lab.start(5)
    strategy.expose(lab.host, ENDPOINT, members)
    answers = lab.ask(50)
    turns = [answers[start : start + 5] for start in range(0, 50, 5)]
    assert all(sorted(turn) == sorted(member.name for member in members) for turn in turns)
    assert counted_by_kernel(strategy, lab.host, members) == [10] * 5


def test_the_literal_rules_are_as_skewed_as_predicted() -> None:
    """Of ten members, the last is predicted to get 38.7 %."""
    shares = _strategy("dnat-literal").predicted_shares(_made_up(10))
    assert shares[0] == pytest.approx(0.1)
    assert shares[8] == pytest.approx(0.1 * 0.9**8)
    assert shares[9] == pytest.approx(0.9**9)
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("name", _WEIGHTED)
def test_members_get_shares_by_their_weights(lab: Lab, name: str) -> None:
    """Of weights 6, 3 and 3, which are turns 2, 1 and 1, the first gets half, by rule and by instance."""
    strategy, members = _strategy(name), lab.start(3, weights=[6, 3, 3])
    strategy.expose(lab.host, ENDPOINT, members)
    assert strategy.expected_shares(members) == [0.5, 0.25, 0.25]
    counts = lab.counted(strategy, members, 1_200)
    if name in _ROUND_ROBIN:
        assert counts == [600, 300, 300]
    else:
        assert chi_square(counts, [0.5, 0.25, 0.25]).p_value > 1e-6


def test_a_source_hash_keeps_every_address_with_its_instance(lab: Lab) -> None:
    """A client that comes again comes to the same instance, and addresses spread over all of them."""
    strategy, members = _strategy("nft-hash"), lab.start(3)
    strategy.expose(lab.host, ENDPOINT, members)
    once, again = lab.ask_from(lab.host.sources), lab.ask_from(lab.host.sources)
    assert once == again
    assert set(once) == {member.name for member in members}


@pytest.mark.parametrize("name", _RULES)
def test_clients_on_the_host_itself_are_balanced_too(lab: Lab, name: str) -> None:
    """Local connections never pass PREROUTING: the OUTPUT chain leads to the same choice."""
    _strategy(name).expose(lab.host, ENDPOINT, lab.start(2))
    code = (
        "import socket\nfor k in range(40):\n"
        " s=socket.create_connection(('198.18.37.99',80),5,(f'198.18.192.{k+1}',0))\n"
        " s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')\n"
        " print(s.recv(1000).decode().splitlines()[-1]); s.close()"
    )
    answers = lab.host.run(["python3", "-c", code]).stdout.splitlines()
    assert set(answers) == {"Hello from instance-1", "Hello from instance-2"}
    assert len(answers) == 40


@pytest.mark.parametrize("name", _RULES)
def test_an_update_moves_new_connections_and_leaves_established_ones(lab: Lab, name: str) -> None:
    """A connection stays with its instance when that leaves the set; new ones never go there."""
    strategy, members = _strategy(name), lab.start(3)
    strategy.expose(lab.host, ENDPOINT, members[:1])
    answers = lab.across_an_update(lambda: strategy.update(lab.host, ENDPOINT, members[1:]))
    assert answers == ["instance-1", "instance-1", ["instance-2", "instance-3"]]


def test_nft_hash_can_be_listed_as_text(lab: Lab) -> None:
    """Debian's nft 1.0.6 crashes on a map that is declared by a hash; this one lists what it was given."""
    _strategy("nft-hash").expose(lab.host, ENDPOINT, lab.start(2))
    listed = lab.host.run(["nft", "list", "ruleset"])
    assert listed.status == 0
    assert "jhash ip saddr mod 2" in listed.stdout
    assert "0 counter packets 0 bytes 0 : 198.19.0.2 . 8080" in listed.stdout


@pytest.mark.parametrize("name", _RULES)
def test_withdrawing_leaves_other_rules_alone(host: NetnsHost, name: str) -> None:
    """Somebody else's rules stand as before, and none of ours is left."""
    before = _others(host)
    strategy = _strategy(name)
    strategy.expose(host, ENDPOINT, _made_up(600))
    assert _rules(host) != before
    strategy.withdraw(host, ENDPOINT)
    assert _rules(host) == before


@pytest.mark.parametrize("name", _RULES)
@pytest.mark.parametrize("count", [1, 1_000])
def test_rules_expose_one_member_and_a_thousand(host: NetnsHost, name: str, count: int) -> None:
    """Each member has a count of its own, nothing at first; an update without a change leaves the rules."""
    strategy, members = _strategy(name), _made_up(count)
    strategy.expose(host, ENDPOINT, members)
    assert counted_by_kernel(strategy, host, members) == [0] * count
    before = _rules(host)
    for _ in range(2):  # a long cascade's further chains have one of two names in turn
        strategy.update(host, ENDPOINT, members)
    assert sorted(_rules(host).splitlines()) == sorted(before.splitlines())


@pytest.mark.parametrize("name", _RULES)
def test_a_refusal_is_told_in_the_programs_own_words(host: NetnsHost, name: str) -> None:
    """What iptables or nft says reaches the user, and nothing is half in place."""
    before = _others(host)
    with pytest.raises(StrategyError, match=r"(iptables-restore|nft) refused the rules: .*\bnot\b"):
        _strategy(name).expose(host, ENDPOINT, [Member("instance-1", "not-an-address", 8080)])
    assert _rules(host) == before
