"""The cascade that dnat-random writes, as the kernel gives it back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness.strategies.dnat import DnatRandom
from harness.types import Member
from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from harness.hosts.netns import NetnsHost

_DNAT = DnatRandom(DnatRandom.options_model())


@pytest.mark.parametrize("count", [1, 2, 250, 251, 1_000])
def test_the_cascade_gives_each_member_the_same_chance(host: NetnsHost, count: int) -> None:
    """The probabilities as the kernel holds them multiply to 1/N for every member, at any length."""
    members = [Member(f"instance-{k}", f"198.19.{k // 200}.{k % 200 + 2}", 8080) for k in range(count)]
    _DNAT.expose(host, ENDPOINT, members)
    shares = _shares(_saved(host), "SAMEPORT-80")
    assert list(shares) == [f"{member.address}:8080" for member in members]
    assert list(shares.values()) == pytest.approx([1 / count] * count, rel=1e-5)
    for _ in range(2):  # the second time, over chains that an update has put in
        _DNAT.update(host, ENDPOINT, members)
        assert _shares(_saved(host), "SAMEPORT-80") == shares


def _saved(host: NetnsHost) -> str:
    return host.run(["iptables-save", "-t", "nat"]).stdout


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
