"""Asking an endpoint over HTTP from where clients are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from harness.hosts.netns import NetnsHost
    from harness.types import Endpoint

_IN_TURN = """
import sys
from http.client import HTTPConnection
from harness.common.channel import Channel

address, port, path, count, fd = sys.argv[1:]
connection = HTTPConnection(address, int(port), timeout=10)
answers = []
for _ in range(int(count)):
    connection.request("GET", path)
    answer = connection.getresponse()
    answers.append((answer.status, answer.read().decode().strip()))
Channel.inherited(int(fd)).send({"answers": answers})
"""


def answers(
    host: NetnsHost, count: int, path: str = "/", endpoint: Endpoint = ENDPOINT
) -> list[tuple[int, str]]:
    """Ask in turn on one kept connection: each answer's status and body."""
    argv = [sys.executable, "-c", _IN_TURN, endpoint.address, str(endpoint.port), path, str(count)]
    program = host.spawn(argv, "client", "generator")
    return [tuple(answer) for answer in program.channel.receive(60)["answers"]]


def names(host: NetnsHost, count: int, endpoint: Endpoint = ENDPOINT) -> list[str]:
    """Ask in turn on one kept connection: the names of the instances that answered."""
    said = answers(host, count, endpoint=endpoint)
    assert {status for status, _ in said} == {200}, said
    return [body.removeprefix("Hello from ") for _, body in said]
