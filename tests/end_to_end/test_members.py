"""Members that leave while load runs: who follows them, how long that takes, and what it costs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(os.geteuid() != 0, reason="container engines need root"),
]

_STOPPED = """
strategy: {strategy}
engine: {engine}
membership: {membership}
replicas: 3
tolerance: 40%
load: {{model: open, rate: 300/s, timeout: 1s, warm_up: 200ms, duration: {duration}}}
events: [{{at: 2s, {action}: instance-2}}]
"""


def _run(harness: Command, **words: str) -> dict[str, Any]:
    words = {"membership": "static", "action": "stop", "duration": "6s", "engine": "docker"} | words
    finished = harness("run", harness.scenario(_STOPPED.format(**words)), "--json")
    assert finished.returncode == 0, finished.stderr + finished.stdout
    summary: dict[str, Any] = json.loads(finished.stdout)
    return summary


@pytest.mark.parametrize("engine", ["docker", "podman"])
@pytest.mark.parametrize(
    ("strategy", "membership"),
    [
        ("{name: traefik, discovery: docker}", "static"),
        ("nginx-events", "static"),
        ("{name: envoy, discovery: dns}", "static"),
        ("dnat-random", "followed"),
    ],
)
def test_followed_strategy_loses_requests_for_a_while_only(
    harness: Command, engine: str, strategy: str, membership: str
) -> None:
    """An instance ends as `docker stop` has it; some time later, nobody is sent to it any more."""
    summary = _run(harness, engine=engine, strategy=strategy, membership=membership)
    (event,) = summary["events"]
    assert (event["action"], event["members"]) == ("stop", ["instance-2"])
    assert 1.5 < event["at_s"] < 3
    assert event["last_lost_began_s"] is None or event["last_lost_began_s"] < 3.5  # the load goes on for 4 s
    assert event["last_answer_s"] is None or event["last_answer_s"] < 3.5
    assert event["lost"] == sum(event["errors"].values()) < event["requests"] / 2
    watched = membership == "followed" or strategy == "nginx-events"
    assert (event["followed_s"] is not None) == watched
    stopped, *others = sorted(summary["instances"], key=lambda row: row["requests"])
    assert stopped["name"] == "instance-2"
    assert all(row["requests"] > stopped["requests"] * 1.5 for row in others)
    assert not summary["warnings"], summary["warnings"]


def test_static_rules_lose_their_share_until_the_end(harness: Command) -> None:
    """Nobody tells the rules: a third of what comes after the event is lost."""
    summary = _run(harness, strategy="dnat-random", action="kill")
    (event,) = summary["events"]
    assert 0.2 < event["lost"] / event["requests"] < 0.47
    assert event["last_lost_began_s"] > 3.5
    assert event["followed_s"] is None


def test_a_socket_that_ends_is_forgotten_at_once(harness: Command) -> None:
    """In a sandbox, the kernel knows of no socket but those that are open."""
    summary = _run(harness, strategy="so-reuseport-sandbox", action="kill", duration="4s")
    (event,) = summary["events"]
    assert event["lost"] < event["requests"] / 10  # what sat in its backlog, and what it was answering
    # However long the engine takes: once it is done, nobody who asks is sent to the socket any more.
    assert event["last_lost_began_s"] is None or event["last_lost_began_s"] <= event["took_s"]


_COME_AND_GO = """
strategy: dnat-random
engine: docker
membership: followed
replicas: 2
tolerance: 60%
load: {model: open, rate: 100/s, timeout: 1s, warm_up: 200ms, duration: 12s}
events:
  - {at: 1s, start: 1}
  - {at: 2s, kill: instance-2}
  - {at: 3s, start: instance-2}
"""


def test_counters_outlive_their_containers(harness: Command) -> None:
    """Those that join are followed once they listen, those that come again go on counting."""
    finished = harness("run", harness.scenario(_COME_AND_GO), "--json")
    assert finished.returncode == 0, finished.stderr + finished.stdout
    summary = json.loads(finished.stdout)
    assert [event["action"] for event in summary["events"]] == ["start", "kill", "start"]
    assert all(event["followed_s"] is not None for event in summary["events"])
    assert [row["name"] for row in summary["instances"]] == ["instance-1", "instance-2", "instance-3"]
    assert all(row["requests"] for row in summary["instances"])
    assert summary["witnesses"]["agree"], summary["witnesses"]["differences"]
    assert not summary["warnings"], summary["warnings"]
