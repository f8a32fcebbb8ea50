"""What is HAProxy's own: its ring, weights up to 256, runtime socket, places for addresses, and counts."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.errors import ScenarioError, StrategyError
from harness.scenario import load_scenario
from harness.stats.fairness import chi_square
from harness.strategies.haproxy import Haproxy, HaproxyTcp
from harness.strategies.haproxy_options import HaproxyOptions, HaproxyTcpOptions
from harness.strategies.haproxy_ring import ring_shares
from harness.types import Member
from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from pathlib import Path

    from harness.hosts.netns import NetnsHost
    from tests.strategies.conftest import Lab

_ASK = """
import sys
from http.client import HTTPConnection
client = HTTPConnection("198.18.37.99", 80)
for _ in range(int(sys.argv[1])):
    client.request("GET", "/")
    print(client.getresponse().read().decode().split()[-1])
    if sys.argv[2] == "anew":
        client.close()
"""


def _ask(host: NetnsHost, count: int, how: str = "kept") -> Counter[str]:
    """Ask so many times: how often each answered."""
    finished = host.run([sys.executable, "-c", _ASK, str(count), how])
    assert finished.status == 0, finished.stderr
    return Counter(finished.stdout.split())


def _members(count: int) -> list[Member]:
    return [Member(f"instance-{k}", f"198.19.0.{k + 1}", 8080) for k in range(1, count + 1)]


def test_the_ring_is_what_others_have_measured() -> None:
    """3,000 connections over four servers of weight 1 came to 850, 533, 763 and 854 elsewhere."""
    shares = ring_shares([(k, 1) for k in range(1, 5)])
    assert sum(shares) == pytest.approx(1)
    assert chi_square([850, 533, 763, 854], shares).p_value > 0.1
    assert chi_square([850, 533, 763, 854], [0.25] * 4).p_value < 1e-6


@pytest.mark.parametrize(("base_weight", "most"), [(1, 0.341), (10, 0.121), (100, 0.022), (256, 0.017)])
def test_haproxy_ring_is_more_even_with_more_weight(base_weight: int, most: float) -> None:
    """Of ten servers, the one that is furthest from its tenth is this much away."""
    proxy = Haproxy(HaproxyOptions(policy="random", base_weight=base_weight))
    shares = proxy.predicted_shares(_members(10))
    assert max(abs(10 * share - 1) for share in shares) == pytest.approx(most, abs=0.001)


def test_base_weight_mends_random_choices(lab: Lab) -> None:
    """At weight 1 the shares are the ring's and far from even; at 100 they are the ring's and nearly even."""
    members = lab.start(4)
    uneven = {}
    for base_weight in (1, 100):
        proxy = Haproxy(HaproxyOptions(policy="random", base_weight=base_weight))
        proxy.expose(lab.host, ENDPOINT, members)
        asked = _ask(lab.host, 4_000)
        proxy.withdraw(lab.host, ENDPOINT)
        counts = [asked[member.name] for member in members]
        assert chi_square(counts, proxy.predicted_shares(members)).p_value > 1e-6
        uneven[base_weight] = chi_square(counts, [0.25] * 4).p_value < 1e-6
    assert uneven == {1: True, 100: False}


def test_a_weight_beyond_256_is_refused(host: NetnsHost) -> None:
    """The message says which base_weight there is room for."""
    members = [replace(_members(1)[0], weight=9), *_members(2)[1:]]
    with pytest.raises(StrategyError, match=r"makes instance-1 weigh 900, .* write base_weight: 28 or less"):
        Haproxy(HaproxyOptions(base_weight=100)).expose(host, ENDPOINT, members)


@pytest.mark.parametrize("proxy", [Haproxy(HaproxyOptions()), HaproxyTcp(HaproxyTcpOptions())])
def test_haproxy_loses_no_request_to_a_refusing_instance(lab: Lab, proxy: Haproxy | HaproxyTcp) -> None:
    """What HAProxy passed on to another server is counted for that one alone."""
    members = lab.start(2)
    members = [replace(members[0], port=9), members[1]]
    proxy.expose(lab.host, ENDPOINT, members)
    asked = _ask(lab.host, 40, "anew")
    counted = proxy.counted(lab.host, ENDPOINT, members)
    assert asked == {members[1].name: 40}
    assert counted is not None
    assert (counted.total, counted.members) == (40, (0, 40))


def test_the_runtime_socket_keeps_counts_across_changes(lab: Lab) -> None:
    """Who leaves and comes back has its count still, and the sum is that of all there ever were."""
    members = lab.start(3)
    proxy = Haproxy(HaproxyOptions(discovery="api"))
    proxy.expose(lab.host, ENDPOINT, members[:2])
    asked = _ask(lab.host, 20)
    for current in (members[1:], [replace(members[0], weight=3), members[2]], members[:1]):
        proxy.update(lab.host, ENDPOINT, current)
        now = _ask(lab.host, 20)
        assert set(now) == {member.name for member in current}
        asked += now
        counted = proxy.counted(lab.host, ENDPOINT, members)
        assert counted is not None
        assert (counted.total, counted.members) == (asked.total(), tuple(asked[m.name] for m in members))
    assert asked == {"instance-1": 45, "instance-2": 20, "instance-3": 15}


def test_a_refused_change_is_told_in_haproxys_own_words(lab: Lab) -> None:
    """What the runtime socket answers reaches the user."""
    members = lab.start(1)
    proxy = Haproxy(HaproxyOptions(discovery="api"))
    proxy.expose(lab.host, ENDPOINT, members)
    with pytest.raises(StrategyError, match=r"refused 'add server instances/a/b .*"):
        proxy.update(lab.host, ENDPOINT, [*members, replace(members[0], name="a/b")])


def test_haproxy_gives_no_counts_after_a_reload(lab: Lab) -> None:
    """Counts go with their process; none is better than a part."""
    members = lab.start(2)
    proxy = Haproxy(HaproxyOptions())
    proxy.expose(lab.host, ENDPOINT, members)
    assert proxy.counted(lab.host, ENDPOINT, members) is not None
    proxy.update(lab.host, ENDPOINT, members[1:])
    assert proxy.counted(lab.host, ENDPOINT, members[1:]) is None


def test_haproxy_reloads_for_more_addresses_than_places(lab: Lab) -> None:
    """One instance is exposed with ten places to spare; then there are twelve."""
    members = lab.start(12)
    proxy = HaproxyTcp(HaproxyTcpOptions(discovery="dns"))
    proxy.expose(lab.host, ENDPOINT, members[:1])
    proxy.update(lab.host, ENDPOINT, members)
    assert _ask(lab.host, 24, "anew") == {member.name: 2 for member in members}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("policy: hash, discovery: api", "write discovery: static, or policy: consistent-hash"),
        ("base_weight: 257", "257 is too large; write a whole number of at most 256"),
        ("workers: 65", "65 is too many; HAProxy has 64 threads at most"),
    ],
)
def test_haproxy_refuses_impossible_options(tmp_path: Path, options: str, complaint: str) -> None:
    """Before anything is made, with what would be right."""
    file = tmp_path / "x.yaml"
    file.write_text(f"strategy: {{name: haproxy, {options}}}\nreplicas: 2\n")
    with pytest.raises(ScenarioError, match=complaint):
        load_scenario(file)


def test_least_connections_with_weights_is_remarked() -> None:
    """They have no effect on idle instances, which a user has to know before the run."""
    proxy = Haproxy(HaproxyOptions(policy="least-connections"))
    assert proxy.remarks([1, 1]) == ()
    assert "9:1 gave 500:500" in proxy.remarks([9, 1])[0]
