from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.load.codecs.http1 import Http1
from harness.load.profile import Asked, LoadProfile

if TYPE_CHECKING:
    from collections.abc import Callable


def test_profile_survives_json(profile: Callable[..., LoadProfile]) -> None:
    """A profile comes out of its message as it went in."""
    before = profile(80, headers={"A": "b"}, sources=("127.0.0.2", "127.0.0.3"), requests_per_connection=None)
    before = replace(before, routes=(Asked("/a", "", 2), Asked("/", "b.example", 1)))
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
        {"path": "/", "routes": (Asked("/a b", "", 1),)},
        {"weights": 0, "routes": (Asked("/a", "", 0),)},
        {"headers": {"A": "b\r\nX: y"}},
        {"headers": {"A b": "c"}},
    ],
)
def test_impossible_profile_is_refused(profile: Callable[..., LoadProfile], changes: dict[str, Any]) -> None:
    """No load can be made of these values, and the generator is not where that should be noticed."""
    with pytest.raises(ValueError, match=next(iter(changes))):
        profile(80, **{key: value for key, value in changes.items() if key != "weights"})


def test_request_names_the_endpoint_and_carries_the_headers(profile: Callable[..., LoadProfile]) -> None:
    """The request is HTTP/1.1 with the Host that RFC 9112 asks for, and does not ask the server to close."""
    texts = Http1.requests(profile(8080, path="/x?y=1", headers={"Accept": "*/*"}))
    assert texts == (b"GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\n\r\n",)


def test_given_host_wins(profile: Callable[..., LoadProfile]) -> None:
    """A Host of the scenario's own is not doubled, however it is written."""
    assert Http1.requests(profile(80, headers={"hOST": "shop"})) == (b"GET / HTTP/1.1\r\nhOST: shop\r\n\r\n",)


def test_ipv6_host_is_bracketed(profile: Callable[..., LoadProfile]) -> None:
    """An IPv6 address stands in brackets in a Host field (RFC 3986 §3.2.2)."""
    assert b"Host: [::1]:80\r\n" in Http1.requests(profile(80, address="::1"))[0]


def test_a_routes_request_names_its_host(profile: Callable[..., LoadProfile]) -> None:
    """As a client writes it: with the port, unless that is HTTP's own."""
    routes = (Asked("/a", "", 1), Asked("/", "b.example", 1))
    path, host = Http1.requests(profile(8080, routes=routes))
    assert path.startswith(b"GET /a HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n")
    assert host.startswith(b"GET / HTTP/1.1\r\nHost: b.example:8080\r\n")
    assert b"Host: b.example\r\n" in Http1.requests(profile(80, routes=routes))[1]


def test_routes_are_asked_for_as_their_weights_say_and_mixed(profile: Callable[..., LoadProfile]) -> None:
    """Nginx's own example of its smooth weighted round robin; weights are in relation to each other."""
    routes = tuple(Asked(f"/{weight}", "", weight) for weight in (10, 2, 2))
    assert profile(80, routes=routes).turns() == (0, 0, 1, 0, 2, 0, 0)
    assert profile(80).turns() == (0,)


@pytest.mark.parametrize("routes", [1, 2, 3, 4, 7])
def test_every_route_is_asked_for_from_every_source(profile: Callable[..., LoadProfile], routes: int) -> None:
    """Routes and sources both take turns, and must not keep step: here with a connection for each request."""
    sources = tuple(f"127.0.0.{k}" for k in range(2, 10))
    made = profile(80, sources=sources, routes=tuple(Asked(f"/{k}", "", 1) for k in range(routes)))
    turns = made.turns()
    met = Counter((turns[n % len(turns)], made.source_of(n)) for n in range(8 * 8 * routes))
    assert len(met) == 8 * routes
    assert [profile(80, sources=sources).source_of(n) for n in (0, 7, 8)] == [0, 7, 0]
