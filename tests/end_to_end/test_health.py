"""Health checks and readiness of applications that are not the sample, and codes of what failed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Command

CASES = Path(__file__).parents[1] / "cases"


def _ran(harness: Command, case: str, *settings: str) -> tuple[dict[str, Any], str]:
    for name in ("app.py", case):
        shutil.copy(CASES / name, harness.folder)
    finished = harness("run", case, *(word for one in settings for word in ("--set", one)))
    assert finished.returncode in {0, 1, 3}, finished.stderr
    (folder,) = (harness.folder / "results").iterdir()
    return json.loads((folder / "summary.json").read_text()), " ".join(finished.stdout.split())


@pytest.mark.parametrize("proxy", ["haproxy", "traefik", "caddy", "envoy"])
def test_health_checks_ask_for_what_the_load_asks_for(harness: Command, proxy: str) -> None:
    """An application that knows one path is healthy by that path; /healthz is the sample's alone."""
    summary, told = _ran(harness, f"health-path-{proxy}.yaml")
    assert summary["errors"] == {}, told
    assert all(row["requests"] > 0 for row in summary["instances"])


def test_errors_by_status_carry_the_codes_and_whose_they_are(harness: Command) -> None:
    """Checks without the header that clients send make all instances ill, and the proxy says 503."""
    settings = ("application.env={MODE: auth}", "load.headers={Authorization: secret}")
    for name in ("app.py", "health-path-haproxy.yaml"):
        shutil.copy(CASES / name, harness.folder)
    finished = harness(
        "run", "health-path-haproxy.yaml", *(word for one in settings for word in ("--set", one))
    )
    assert finished.returncode == 2
    assert re.search(
        r"every answer was an error .* requests, 503 \u00d7 [\d,]+, none of which names", finished.stderr
    )


def test_a_status_of_instances_is_told_as_theirs(harness: Command) -> None:
    """401 of an application that wants to know who every tenth client is."""
    settings = ("strategy=dnat-random", "application.env={MODE: doubtful}", "load.warm_up=200ms")
    summary, told = _ran(harness, "health-path-haproxy.yaml", *settings)
    (row,) = summary["statuses"]
    assert (row["status"], row["by"]) == (401, "instance")
    assert row["count"] == summary["errors"]["status"] > 0
    assert f"401 \u00d7 {row['count']:,}, answered by instances" in told


def test_newcomers_get_no_load_before_they_are_ready(harness: Command) -> None:
    """They listen at once and answer 503 for 1.5 s; a rolling replacement waits, and loses nothing."""
    summary, told = _ran(harness, "ready-later-than-listening.yaml")
    assert [event["took_s"] > 1 for event in summary["events"]] == [True, True], told
    assert summary["errors"] == {}, told
    assert summary["recovers"]["passed"] == "yes"


def test_instances_that_never_are_ready_end_the_run_with_what_they_say(harness: Command) -> None:
    """The path, the last status heard, and the keys to look at."""
    shutil.copy(CASES / "app.py", harness.folder)
    shutil.copy(CASES / "health-path-haproxy.yaml", harness.folder)
    settings = ("--set", "application.health={path: /no}", "--set", "application.start_timeout=4s")
    finished = harness("run", "health-path-haproxy.yaml", *settings)
    assert finished.returncode == 2
    assert (
        "3 of 3 instances (first: instance-1) were not ready within 4 s: /no: status 404" in finished.stderr
    )
    assert "is application.health right" in finished.stderr
