"""What each request is: refusals of what no load can be made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import ScenarioError
from harness.scenario import load_scenario

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ("{body: x}", "a GET carries no body"),
        ("{model: open, rate: 9/s, think_time: 1s}", "no user thinks"),
        ("{method: HEAD}", "load.method"),
        (f"{{locustfile: {__file__}, method: POST}}", "a locustfile says so itself; take out load.method"),
        (f"{{locustfile: {__file__}, think_time: 1s}}", "take out load.think_time"),
    ],
)
def test_requests_that_cannot_be_are_refused(tmp_path: Path, load: str, words: str) -> None:
    """At the value that is wrong, with what to do."""
    path = tmp_path / "x.yaml"
    path.write_text(f"strategy: direct\nreplicas: 1\nload: {load}\n")
    with pytest.raises(ScenarioError, match=words):
        load_scenario(path)


def test_requests_are_read(tmp_path: Path) -> None:
    """With their method, body and pauses."""
    path = tmp_path / "x.yaml"
    path.write_text("strategy: direct\nreplicas: 1\nload: {method: POST, body: x, think_time: 20ms}\n")
    load = load_scenario(path).load
    assert (load.method, load.body, load.think_time_ns) == ("POST", "x", 20_000_000)
