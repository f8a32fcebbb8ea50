"""Answers that do not tell instances apart: no verdict rests on them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

CASES = Path(__file__).parents[1] / "cases"


def test_one_identity_for_all_instances_is_inconclusive(harness: Command) -> None:
    """The cause stands first: the kernel saw three instances serve, and the answers give one name."""
    shutil.copytree(CASES, harness.folder, dirs_exist_ok=True)
    finished = harness("run", "one-identity.yaml")
    assert finished.returncode == 3, finished.stderr
    (folder,) = (harness.folder / "results").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["verdict"] == "inconclusive"
    assert summary["reason"].startswith("answers give one name, but 3 instances served by the kernel's count")


def test_more_identities_than_instances_are_told_before_the_load(harness: Command) -> None:
    """Each of the application's four processes answers with a name of its own."""
    shutil.copytree(CASES, harness.folder, dirs_exist_ok=True)
    finished = harness("run", "prefork.yaml")
    assert finished.returncode == 2
    assert "different identities answered" in finished.stderr
    assert "warm-up" in finished.stderr
    assert "load (" not in finished.stderr


def test_what_was_recorded_stays_where_identities_are_told_late(harness: Command) -> None:
    """Without a warm-up there is nothing before the load to notice it by."""
    shutil.copytree(CASES, harness.folder, dirs_exist_ok=True)
    finished = harness("run", "prefork.yaml", "--set", "load.warm_up=0s", "--set", "load.duration=1s")
    assert finished.returncode == 2
    (folder,) = (harness.folder / "results").iterdir()
    assert folder.name.endswith("-incomplete")
    assert str(folder.name) in finished.stderr.replace("\n", "")


def test_an_application_on_the_loopback_interface_alone_is_told(harness: Command) -> None:
    """As the wrong port is: before anything is measured, with what to do."""
    name = harness.scenario(
        "strategy: dnat-random\nreplicas: 2\napplication:\n"
        "  command: [python3, -m, http.server, --bind, 127.0.0.1, '8080']\n"
        "  identity: {body: '(Directory)'}\n  start_timeout: 2s\n"
    )
    finished = harness("run", name)
    assert finished.returncode == 2
    text = " ".join(finished.stderr.split())
    assert "listens on port 8080 of 127.0.0.1 alone" in text
    assert "listen on 0.0.0.0" in text
