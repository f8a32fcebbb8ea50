"""What strategies write down for IPv6: wherever an address stands before a port, it is in brackets."""

from __future__ import annotations

import re
from dataclasses import asdict
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.hosts.address_plan import IPV6
from harness.plan.dry_run import listed
from harness.strategies import find_strategy, strategy_names
from harness.strategies.actions import Facts
from harness.strategies.base import Endpoint, Member, Route

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_JOINED = [
    name
    for name in strategy_names()
    if not name.startswith(("nft-", "ipvs-"))
    and name not in {"direct", "so-reuseport-host", "so-reuseport-bpf"}
]
_ADDRESSES = st.integers(
    int(IPv6Address("fd73:616d:6570:4000::1")), int(IPv6Address("fd73:616d:6570:7fff::"))
)


def _texts(name: str, endpoint: Endpoint, members: Sequence[Member]) -> str:
    found = find_strategy(name)
    actions = found(found.options_model()).exposing(Facts(), endpoint, members)
    return "\n".join(_strings([asdict(step) for step in listed(actions)]))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each)


@pytest.mark.parametrize("name", _JOINED)
@settings(max_examples=25, deadline=None)
@given(address=_ADDRESSES.map(lambda number: str(IPv6Address(number))), port=st.integers(1024, 9000))
def test_strategy_writes_ipv6_before_a_port_in_brackets(name: str, address: str, port: int) -> None:
    """In rules, configurations and what programs are told: brackets around each that a port follows."""
    endpoint = Endpoint(IPV6.endpoint, 80)
    routed = Route("api", "/api") if find_strategy(name).default_capabilities().routes else None
    text = _texts(name, endpoint, [Member("one", address, port, 1, routed)])
    bare = re.compile(rf"(?<![\[\w:]){re.escape(address)}:{port}(?!\d)")
    assert address in text
    assert not bare.search(text)
    assert f"{IPV6.endpoint}:80" not in text
