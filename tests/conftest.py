"""Parts that many tests stand on: a real host, programs on its client side, an ordinary user."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness.channel import ChannelClosedError
from harness.hosts.netns import NetnsHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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


@pytest.fixture(scope="session")
def ordinary_user() -> tuple[str, ...]:
    """Give what to put before a command to run it without privileges: nothing, if there are none.

    Root becomes nobody; where nobody may not read this checkout, it stays root in name, without any
    capability, and so without a right that an ordinary user has not.
    """
    if os.geteuid():
        return ()
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    reading = [*nobody, sys.executable, "-c", "import harness.cli"]
    readable = subprocess.run(reading, check=False, capture_output=True, cwd="/")
    return nobody if readable.returncode == 0 else ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


@pytest.fixture
def public_tmp_path(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the test's folder with a way to it for other users, who can't enter pytest's own folders."""
    base = tmp_path_factory.getbasetemp()
    for folder in (tmp_path, base, base.parent):
        if folder != base.parent or folder.name.startswith("pytest-of-"):
            folder.chmod(0o755)
    return tmp_path
