"""Sockets that share a port: on the host, in a sandbox, and steered by a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import EngineError, StrategyError
from harness.stats.fairness import chi_square
from harness.strategies import find_strategy
from harness.strategies.steering import program
from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from harness.hosts.netns import NetnsHost
    from harness.strategies.base import Strategy
    from harness.types import Placement
    from tests.strategies.conftest import Lab

_NAMES = ["so-reuseport-host", "so-reuseport-sandbox", "so-reuseport-bpf"]


def _strategy(name: str, **options: str) -> Strategy:
    found = find_strategy(name)
    return found(found.options_model.model_validate(options))


@pytest.mark.parametrize("name", _NAMES)
def test_connections_spread_as_predicted_and_all_witnesses_agree(lab: Lab, name: str) -> None:
    """Each socket of the group gets its share of 2,000 connections."""
    strategy = _strategy(name)
    members = lab.start(4, strategy.can.placement)
    strategy.expose(lab.host, ENDPOINT, members)
    counts = lab.counted(strategy, members, 2_000)
    assert chi_square(counts, strategy.predicted_shares(members)).p_value > 1e-6


def test_the_published_port_counts_what_the_sandbox_gets(lab: Lab) -> None:
    """The rule knows how many connections there were, but not whom they went to."""
    strategy = _strategy("so-reuseport-sandbox")
    members = lab.start(2, strategy.can.placement)
    strategy.expose(lab.host, ENDPOINT, members)
    lab.ask(30)
    counted = strategy.counted(lab.host, ENDPOINT, members)
    assert counted is not None
    assert (counted.by, counted.total, counted.members) == ("kernel", 30, None)
    strategy.withdraw(lab.host, ENDPOINT)
    assert "SAMEPORT" not in lab.host.run(["iptables-save"]).stdout


def test_a_program_by_processor_keeps_a_processors_connections_together(lab: Lab) -> None:
    """All connections of a client that stays on one processor go to the same instance."""
    strategy = _strategy("so-reuseport-bpf", policy="cpu")
    members = lab.start(4, strategy.can.placement)
    strategy.expose(lab.host, ENDPOINT, members)
    assert len(set(lab.ask_from_one_processor(200))) == 1
    strategy = _strategy("so-reuseport-bpf")
    strategy.update(lab.host, ENDPOINT, members)
    assert set(lab.ask_from_one_processor(200)) == {member.name for member in members}


def test_a_program_on_a_port_without_listeners_is_refused_in_words(host: NetnsHost) -> None:
    """There is no group to attach it to."""
    with pytest.raises(StrategyError, match="can't be attached to port 80: no process listens on port 80"):
        _strategy("so-reuseport-bpf").expose(host, ENDPOINT, [])


def test_the_program_is_what_the_kernels_filter_language_says() -> None:
    """Load the random number, modulo 10, return: linux/filter.h and linux/bpf_common.h."""
    assert program("random", 10).hex() == "2000000038f0ffff" + "940000000a000000" + "1600000000000000"
    assert program("cpu", 2).hex() == "2000000024f0ffff" + "9400000002000000" + "1600000000000000"


@pytest.mark.parametrize("placement", ["host", "sandbox"])
def test_an_application_that_does_not_share_its_port_is_told_what_it_lacks(
    lab: Lab, placement: Placement
) -> None:
    """The second instance can't bind; the message names the option that it must set."""
    with pytest.raises(EngineError, match=r"Address already in use.*each must set SO_REUSEPORT"):
        lab.start(2, placement, command=("python3", "-c", _NOT_SHARING))


_NOT_SHARING = """
import os, socket, time
held = socket.socket()
held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
held.bind(("", int(os.environ["PORT"])))
held.listen()
time.sleep(60)
"""
