"""What a scenario can require after its events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.common.quantities import SECOND_NS
from tests.scenario.conftest import RIGHT, load, refused

if TYPE_CHECKING:
    from pathlib import Path

_EVENTS = RIGHT + "load: {duration: 8s}\nevents: [{at: 3s, kill: 1}]\n"


def test_recovers_is_read_and_written(folder: Path) -> None:
    """As in the issue's example, and each of the two by itself."""
    read = load(folder, f"{_EVENTS}recovers: {{within: 2s, lost: 0.1%}}\n")
    assert read.recovers is not None
    assert (read.recovers.within_ns, read.recovers.lost) == (2 * SECOND_NS, 0.001)
    assert read.as_written()["recovers"] == {"within": "2s", "lost": "0.1%"}
    assert load(folder, f"{_EVENTS}recovers: {{lost: 0%}}\n").as_written()["recovers"] == {"lost": "0%"}
    assert load(folder, _EVENTS).recovers is None


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("recovers: {}", "5:11: recovers: requires nothing; write within, lost or both, as in {within: 2s,"),
        ("recovers: {within: 0s}", "5:20: recovers.within: "),
        ("recovers: {within: 2}", "5:20: recovers.within: 2 has no unit"),
        (
            "recovers: {lost: 100%}",
            "5:18: recovers.lost: a share of the requests is from 0% to less than 100%",
        ),
        ("recovers: {lost: 0.1}", "5:18: recovers.lost: 0.1 has no percent sign"),
        (
            "recovers: {within: 5s}",
            "5:20: recovers.within: 5s after the last event (at 3s) the load is over (load.duration: 8s)",
        ),
        ("recovers: {in: 5s}", "5:12: unknown key 'recovers.in'"),
        ("recovers: 2s", "5:11: recovers: expected a mapping, found the text '2s'"),
    ],
)
def test_recovers_refuses_impossible_limits_at_their_place(folder: Path, written: str, message: str) -> None:
    """One line each."""
    assert refused(folder, f"{_EVENTS}{written}\n").startswith(f"x.yaml:{message}")


def test_recovers_needs_events(folder: Path) -> None:
    """It would pass whatever happened."""
    message = refused(folder, f"{RIGHT}recovers: {{lost: 1%}}\n")
    assert message.startswith(
        "x.yaml:3:11: recovers: nothing happens that could be recovered from; write events"
    )
