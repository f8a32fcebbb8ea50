"""Parts that many tests stand on: a real host made of namespaces, and programs on its client side."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness.channel import ChannelClosedError
from harness.hosts.netns import NetnsHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.hosts.base import Program

_PREAMBLE = """
import socket, sys
from harness.channel import Channel
channel = Channel.inherited(int(sys.argv[-1]))
"""


@pytest.fixture
def host() -> Iterator[NetnsHost]:
    """Give a host with its links, whose clients are elsewhere."""
    with NetnsHost("external") as made:
        made.start()
        made.link()
        yield made


@pytest.fixture
def client_program(host: NetnsHost) -> Callable[[str], Program]:
    """Give a way to start Python where clients are; it speaks over ``channel``."""
    return lambda code: host.spawn([sys.executable, "-c", _PREAMBLE + code], "client")


@pytest.fixture
def on_client_side(client_program: Callable[[str], Program]) -> Callable[[str], Any]:
    """Give a way to run Python where clients are; what it sends as ``answer`` comes back."""

    def run(code: str) -> Any:
        program = client_program(code)
        try:
            return program.channel.receive(60)["answer"]
        except ChannelClosedError:
            pytest.fail(program.last_words())

    return run
