from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.load.profile import LoadProfile

if TYPE_CHECKING:
    from collections.abc import Callable


def test_profile_survives_json(profile: Callable[..., LoadProfile]) -> None:
    """A profile comes out of its message as it went in."""
    before = profile(80, headers={"A": "b"}, sources=("127.0.0.2", "127.0.0.3"), requests_per_connection=None)
    assert LoadProfile.from_json(json.loads(json.dumps(before.to_json()))) == before


def test_unknown_field_is_refused(profile: Callable[..., LoadProfile]) -> None:
    """A message from another version doesn't pass for a profile."""
    with pytest.raises(TypeError):
        LoadProfile.from_json({**profile(80).to_json(), "rate": 5})


@pytest.mark.parametrize(
    "changes",
    [
        {"users": 0},
        {"requests_per_connection": 0},
        {"timeout_ns": 0},
        {"requests": 0},
        {"identity_body": "no group"},
        {"identity_body": "(two) (groups)"},
        {"identity_body": "("},
        {"path": "/a b"},
        {"path": "/a\r\nX: y"},
        {"headers": {"A": "b\r\nX: y"}},
        {"headers": {"A b": "c"}},
    ],
)
def test_impossible_profile_is_refused(profile: Callable[..., LoadProfile], changes: dict[str, Any]) -> None:
    """No load can be made of these values, and the generator is not where that should be noticed."""
    with pytest.raises(ValueError, match=next(iter(changes))):
        profile(80, **changes)


def test_request_names_the_endpoint_and_carries_the_headers(profile: Callable[..., LoadProfile]) -> None:
    """The request is HTTP/1.1 with the Host that RFC 9112 asks for, and does not ask the server to close."""
    texts = profile(8080, path="/x?y=1", headers={"Accept": "*/*"}).texts()
    assert texts == (b"GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\n\r\n",)


def test_given_host_wins(profile: Callable[..., LoadProfile]) -> None:
    """A Host of the scenario's own is not doubled, however it is written."""
    assert profile(80, headers={"hOST": "shop"}).texts() == (b"GET / HTTP/1.1\r\nhOST: shop\r\n\r\n",)


def test_ipv6_host_is_bracketed(profile: Callable[..., LoadProfile]) -> None:
    """An IPv6 address stands in brackets in a Host field (RFC 3986 §3.2.2)."""
    assert b"Host: [::1]:80\r\n" in profile(80, address="::1").texts()[0]
