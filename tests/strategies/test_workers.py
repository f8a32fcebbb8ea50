"""How many workers `auto` is: what affinity and quota leave, whatever the proxy would take by itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from harness.strategies import find_strategy
from harness.strategies.limits import within
from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from tests.strategies.conftest import Lab

_PROXIES = ("haproxy", "nginx", "envoy", "traefik", "caddy")
# What each was told, as its configuration, its arguments or its environment say it.
_TOLD = {
    "haproxy": "grep -h nbthread /run/sameport/haproxy/haproxy.cfg",
    "nginx": "grep -h worker_processes /run/sameport/nginx/nginx.conf | tr -d ';'",
    "envoy": "tr '\\0' ' ' </proc/$(pidof -s envoy)/cmdline | grep -o 'concurrency [0-9]*'",
    "traefik": "tr '\\0' '\\n' </proc/$(pidof -s traefik)/environ | grep GOMAXPROCS | tr = ' '",
    "caddy": "tr '\\0' '\\n' </proc/$(pidof -s caddy)/environ | grep GOMAXPROCS | tr = ' '",
}


@pytest.mark.parametrize(
    ("cores", "quotas", "left"),
    [
        (8, [], 8),
        (8, [("max", "100000")], 8),
        (8, [("-1", "100000")], 8),
        (8, [("150000", "100000")], 2),
        (8, [("max", "100000"), ("400000", "100000"), ("50000", "100000")], 1),
        (1, [("400000", "100000")], 1),
    ],
)
def test_quota_leaves_so_many_cores(cores: int, quotas: list[tuple[str, str]], left: int) -> None:
    """Rounded up, the least of all groups' quotas, and never more than there are."""
    assert within(cores, quotas) == left


@pytest.mark.parametrize("name", _PROXIES)
def test_auto_is_told_to_every_proxy_as_a_number(lab: Lab, name: str) -> None:
    """One for each core that the host grants; the strategy knows it, and so does the result."""
    proxy = find_strategy(name)(find_strategy(name).options_model())
    proxy.expose(lab.host, ENDPOINT, lab.start(1))
    told = lab.host.run(["sh", "-c", _TOLD[name]]).stdout.split()
    assert int(told[-1]) == proxy.workers  # type: ignore[attr-defined]  # of proxies
    assert 1 <= proxy.workers <= len(os.sched_getaffinity(0))  # type: ignore[attr-defined]  # as above
