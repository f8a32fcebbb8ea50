"""A scenario that is run from Python."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.errors import HarnessError, ScenarioError

_SCENARIO = Path(__file__).parents[2] / "scenarios" / "dnat-10.yaml"
_SHORT = {"duration": "300ms", "warm_up": "0s"}
pytestmark = pytest.mark.host


def test_a_run_gives_its_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what was overridden, and the rest as the file says; each phase is a line of standard output."""
    result = harness.run(
        _SCENARIO, results=tmp_path, replicas=3, tolerance="50%", load={**_SHORT, "users": 4}
    )
    assert result.folder is not None
    assert result.folder.parent == tmp_path
    assert result.verdict in {"even", "inconclusive"}
    assert len(result.distribution) == 3
    assert len(result.requests) == result.document.counts.requests > 0
    load = result.scenario["load"]
    assert (load["users"], load["connections"]) == (4, "per-request")
    said = capsys.readouterr()
    assert "provisioning (3 instances on netns)" in said.out
    assert "\r" not in said.out
    assert not said.err


def test_a_run_leaves_signals_as_they_were(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A notebook's own handling of an interrupt goes on; a quiet run says nothing."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    harness.run(_SCENARIO, results=tmp_path, quiet=True, replicas=1, load=_SHORT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_a_run_works_beside_an_event_loop_and_off_the_main_thread(tmp_path: Path) -> None:
    """Some notebooks run their cells in a thread, and all of them in an event loop that is running."""
    import asyncio

    async def cell() -> harness.notebook.result.Result:
        return harness.run(_SCENARIO, results=tmp_path / "a", quiet=True, replicas=1, load=_SHORT)

    assert asyncio.run(cell()).has_summary
    found: list[object] = []

    def elsewhere() -> None:
        result = harness.run(_SCENARIO, results=tmp_path / "b", quiet=True, replicas=1, load=_SHORT)
        found.append(result.has_summary)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(60)
    assert found == [True]


@pytest.mark.parametrize(
    ("overrides", "error", "why"),
    [
        ({"replica": 3}, ScenarioError, "replica"),
        ({"load": {"users": "many"}}, ScenarioError, r"load\.users"),
        ({"repeat": 2}, HarnessError, "has repeat: 2; pass repeat=1"),
        ({"tolerance": object()}, HarnessError, "tolerance: object is nothing that a scenario can say"),
    ],
)
def test_a_mistake_is_told_before_anything_is_made(
    tmp_path: Path, overrides: dict[str, Any], error: type[HarnessError], why: str
) -> None:
    """As on the command line."""
    with pytest.raises(error, match=why):
        harness.run(_SCENARIO, results=tmp_path / "results", **overrides)
    assert not (tmp_path / "results").exists()
