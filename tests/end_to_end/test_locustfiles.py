"""A user's own locustfile: what it says of answers and users is in force."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

    from tests.end_to_end.conftest import Command

CASES = Path(__file__).parents[1] / "cases"


def _case(
    harness: Command, name: str, *settings: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run one of the cases in a folder of its own; give how it ended, and its summary."""
    shutil.copytree(CASES, harness.folder, dirs_exist_ok=True)
    words = [word for setting in settings for word in ("--set", setting)]
    finished = harness("run", name, *words)
    found = [*(harness.folder / "results").glob("*/summary.json")]
    return finished, json.loads(found[0].read_text()) if found else {}


def test_a_locustfile_that_rejects_every_answer_is_told_in_its_words(harness: Command) -> None:
    """No load was measured, and the locustfile is the reason."""
    finished, _ = _case(harness, "locust-assertion.yaml")
    assert finished.returncode == 2
    assert "the locustfile called every answer a failure" in finished.stderr
    assert "'too slow'" in finished.stderr


def test_rejected_answers_are_counted_with_their_words(harness: Command) -> None:
    """By failure() and by an assertion, of both clients; the instances' counts agree nevertheless."""
    finished, summary = _case(harness, "locust-partly.yaml")
    assert finished.returncode in {0, 3}, finished.stderr  # few connections, kept
    warnings = " ".join(summary["warnings"])
    assert "answers failures" in warnings
    assert "'no price in it'" in warnings
    assert "'found what is not there'" in warnings
    assert summary["errors"].keys() == {"rejected"}
    assert summary["witnesses"]["agree"] is True


def test_a_locustfiles_shape_is_in_force(harness: Command) -> None:
    """It has three users, whatever the scenario says; each keeps its connection."""
    finished, summary = _case(harness, "locust-shape.yaml", "tolerance=90%")
    assert finished.returncode in {0, 3}, finished.stderr
    assert summary["counts"]["connections"] == 3


def test_a_user_of_plain_tcp_is_judged_by_what_others_counted(harness: Command) -> None:
    """Its answers name no instance; kernel and instances know their shares."""
    finished, summary = _case(harness, "locust-raw-tcp.yaml", "tolerance=30%")
    assert finished.returncode == 0, finished.stderr
    assert summary["verdict"] == "even"
    assert summary["witnesses"]["agree"] is True
    assert sum(row["connections"] for row in summary["instances"]) == summary["counts"]["connections"] > 100
    assert any("kernel counted" in words for words in summary["warnings"])


def test_requests_without_a_locustfile_have_methods_bodies_and_pauses(harness: Command) -> None:
    """Four users that think for 100 ms send eleven requests each in a second at most."""
    name = harness.scenario(
        "strategy: dnat-random\nreplicas: 2\ntolerance: 90%\n"
        "load: {users: 4, duration: 1s, warm_up: 200ms, method: POST, body: 'a: b', think_time: 100ms}\n"
    )
    finished = harness("run", name)
    assert finished.returncode in {0, 3}, finished.stderr
    (folder,) = (harness.folder / "results").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert 4 <= summary["counts"]["requests"] <= 44
    assert summary["counts"]["errors"] == 0
    assert summary["witnesses"]["agree"] is True
