"""Endpoints and members: what carries their bytes, and how their place is written."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.types import Endpoint, Listener, Member, authority

_PORTS = st.integers(1, 65_535)
_ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


@given(_ADDRESSES, _PORTS)
def test_authority_can_be_read_back_by_a_url_parser(address: str, port: int) -> None:
    """Whatever the family: the address and the port that went in come out."""
    split = urlsplit(f"http://{authority(address, port)}/")
    assert (split.hostname, split.port) == (address, port)


@given(st.ip_addresses(), _PORTS)
def test_endpoint_and_member_know_their_family_from_the_address(address: object, port: int) -> None:
    """As the standard library does; both write the same authority and network."""
    version = address.version  # type: ignore[attr-defined]  # of both kinds of addresses
    endpoint, member = Endpoint(str(address), port), Member("one", str(address), port)
    assert endpoint.family == member.family == f"ipv{version}"
    assert endpoint.authority == member.authority
    assert endpoint.authority.startswith("[") == (version == 6)
    assert endpoint.network == f"{address}/{32 if version == 4 else 128}"


def test_endpoint_and_member_are_tcp_without_tls_unless_said_otherwise() -> None:
    """As everything is that was written before there was a choice."""
    for place in (Endpoint("198.18.0.1", 80), Member("one", "198.18.0.1", 80)):
        assert (place.transport, place.tls, place.listener) == ("tcp", False, ("tcp", 80))


@pytest.mark.parametrize(
    ("listener", "words"), [(Listener("tcp", 80), "port 80"), (Listener("udp", 53), "UDP port 53")]
)
def test_listener_names_its_transport_unless_it_is_tcp(listener: Listener, words: str) -> None:
    """As messages have it."""
    assert str(listener) == words
