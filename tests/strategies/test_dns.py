"""The name server for proxies that learn of their instances by DNS: a real dnsmasq, asked over UDP."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from harness.errors import StrategyError
from harness.strategies.dns import Dns, answer
from harness.strategies.executor import carry_out, facts_of
from harness.types import Member

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.hosts.netns import NetnsHost

# One question for all addresses of the name, with room for a long answer (EDNS, RFC 6891).
_ASK = r"""
import socket, struct
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
name = b"".join(bytes([len(part)]) + part for part in b"instances.sameport.test".split(b"."))
room = b"\0" + struct.pack("!HHIH", 41, 65507, 0, 0)
sock.sendto(struct.pack("!6H", 7, 0x100, 1, 0, 0, 1) + name + b"\0" + struct.pack("!2H", 1, 1) + room,
            ("127.0.0.1", 53))
told = sock.recv(65535)
offset = 12 + len(name) + 1 + 4
for _ in range(struct.unpack_from("!H", told, 6)[0]):
    seconds, length = struct.unpack_from("!IH", told, offset + 6)
    print(socket.inet_ntoa(told[offset + 12 : offset + 16]), seconds)
    offset += 12 + length
"""


@pytest.fixture
def dns(host: NetnsHost) -> Iterator[Dns]:
    """Give a name server, which has not started."""
    made = Dns(facts_of(host))
    yield made
    carry_out(made.stop(), host)


def _members(count: int) -> list[Member]:
    return [Member(f"instance-{k}", f"198.19.{k // 200}.{k % 200 + 2}", 8080) for k in range(count)]


def _asked(host: NetnsHost) -> list[list[str]]:
    finished = host.run([sys.executable, "-c", _ASK])
    assert finished.status == 0, finished.stderr
    return [line.split() for line in finished.stdout.splitlines()]


@pytest.mark.parametrize("count", [1, 10, 1_000])
def test_an_answer_has_every_member_and_holds_for_a_second(host: NetnsHost, dns: Dns, count: int) -> None:
    """However many there are, one answer names each of them once."""
    members = _members(count)
    carry_out(dns.publish(members), host)
    answered = _asked(host)
    assert sorted(address for address, _ in answered) == sorted(member.address for member in members)
    assert {seconds for _, seconds in answered} == {"1"}


def test_a_change_is_answered_as_soon_as_it_is_published(host: NetnsHost, dns: Dns) -> None:
    """When `publish` returns, the old members are answered no more, and the new ones are."""
    members = _members(30)
    for published in (members[:10], members[5:30], members[:1], members):
        carry_out(dns.publish(published), host)
        assert {address for address, _ in _asked(host)} == {member.address for member in published}
        assert answer(host) == {member.address for member in published}


def test_dns_error_has_the_cause(host: NetnsHost, dns: Dns) -> None:
    """Where somebody has the port already, dnsmasq's own words say so."""
    argv = "dnsmasq -k -C /dev/null -a 127.0.0.1 -z --user=root --group= --pid-file="  # it stays for any user
    taken = host.serve("squatter", argv.split())
    taken.wait_listening([53])
    with pytest.raises(StrategyError, match=r"dnsmasq ended .*Address already in use"):
        carry_out(dns.publish(_members(1)), host)


def test_a_missing_program_is_told_with_what_installs_it(host: NetnsHost, dns: Dns) -> None:
    """Without dnsmasq, the message names the package."""
    path = host.run(["sh", "-c", "command -v dnsmasq"]).stdout.strip()
    host.run(["mount", "--bind", "/dev/null", path])
    with pytest.raises(StrategyError, match=r"needs dnsmasq.*apt-get install dnsmasq-base"):
        carry_out(dns.publish(_members(1)), host)
