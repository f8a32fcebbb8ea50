"""Many requests at a time: what limits of a proxy's own would turn away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.engines.process import ProcessEngine
from harness.engines.workload import Workload
from harness.strategies import find_strategy, strategy_names
from harness.strategies.proxy import Proxy
from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.hosts.netns import NetnsHost

_DELAY_NS = 500_000_000
_CROWD = 1_500  # more than the 1,024 that many programs stop at
_AT_ONCE = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
users = [socket.create_connection(("198.18.37.99", 80), 10) for _ in range({_CROWD})]
for user in users:
    user.sendall(b"GET / HTTP/1.1\\r\\nHost: crowd\\r\\n\\r\\n")
answers = [user.recv(1000)[:12].decode() for user in users]
channel.send({{"answer": {{answer: answers.count(answer) for answer in answers}}}})
"""


@pytest.mark.parametrize(
    "name", [name for name in strategy_names() if issubclass(find_strategy(name), Proxy)]
)
def test_a_crowd_is_served(host: NetnsHost, on_client_side: Callable[[str], Any], name: str) -> None:
    """1,500 requests that are all under way at the same time are all answered."""
    members = ProcessEngine(host, Workload(delay_ns=_DELAY_NS, most=2)).start(["instance-1", "instance-2"])
    found = find_strategy(name)
    found(found.options_model()).expose(host, ENDPOINT, members)
    assert on_client_side(_AT_ONCE) == {"HTTP/1.1 200": _CROWD}
