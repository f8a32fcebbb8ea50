"""Replacements under a follower that is the proxy itself: Traefik, which finds containers by their labels."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(os.geteuid() != 0, reason="container engines need root"),
]
CASE = Path(__file__).parents[1] / "cases" / "traefik-labels-rolling.yaml"


def test_traefik_follows_a_rolling_replacement_of_containers(harness: Command) -> None:
    """It reads the shares' file on a signal, and finds newcomers while those that leave still run."""
    shutil.copy(CASE, harness.folder)
    finished = harness("run", CASE.name)
    assert finished.returncode != 2, finished.stderr
    (folder,) = (harness.folder / "results").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert [event["joined"] for event in summary["events"]] == [["v2-1"], ["v2-2"]]
    assert summary["recovers"]["passed"] in {"yes", "no"}
    assert {row["name"]: row["requests"] > 0 for row in summary["instances"]}.keys() >= {"v2-1", "v2-2"}
