"""What is Caddy's own; what all proxies have in common is in test_proxies.py."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ScenarioError, StrategyError
from harness.scenario import load_scenario
from harness.strategies.admin import asked
from harness.strategies.caddy import Caddy, CaddyOptions
from harness.types import Counted
from tests.helpers.requests import names
from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.strategies.conftest import Lab


def _caddy(**options: Any) -> Caddy:
    return Caddy(CaddyOptions.model_validate(options, strict=True))


@pytest.mark.parametrize("discovery", ["static", "api"])
def test_a_heavy_member_has_its_turns_in_one_go(lab: Lab, discovery: str) -> None:
    """Of weights 4 and 2, a round is A A A A B B, from the start or after an update."""
    caddy, (heavy, light) = _caddy(discovery=discovery), lab.start(2)
    weighted = [replace(heavy, weight=4), replace(light, weight=2)]
    caddy.expose(lab.host, ENDPOINT, [heavy] if discovery == "api" else weighted)
    if discovery == "api":
        caddy.update(lab.host, ENDPOINT, weighted)
    turns = "".join(name[-1] for name in names(lab.host, 60))
    assert turns in "111122" * 11


@pytest.mark.parametrize(
    ("discovery", "counted"),
    [("static", None), ("api", None), ("dns", Counted("proxy", "requests", 14))],
)
def test_a_reload_forgets_the_counts(lab: Lab, discovery: str, counted: Counted | None) -> None:
    """Then none are told, rather than too few; what only DNS knows needs no reload."""
    caddy, members = _caddy(discovery=discovery), lab.start(2)
    caddy.expose(lab.host, ENDPOINT, members[:1])
    assert set(names(lab.host, 7)) == {"instance-1"}
    assert caddy.counted(lab.host, ENDPOINT, members[:1]) == Counted("proxy", "requests", 7)
    caddy.update(lab.host, ENDPOINT, members[1:])
    assert set(names(lab.host, 7)) == {"instance-2"}
    assert caddy.counted(lab.host, ENDPOINT, members[1:]) == counted


@pytest.mark.parametrize(
    ("discovery", "words"),
    [("static", "caddy reload failed: .*negative"), ("api", r"PATCH .* was refused \(500\): .*negative")],
)
def test_a_change_that_it_refuses_is_told_and_changes_nothing(lab: Lab, discovery: str, words: str) -> None:
    """Its own words reach the user, and the members of before go on."""
    caddy, members = _caddy(discovery=discovery), lab.start(1)
    caddy.expose(lab.host, ENDPOINT, members)
    with pytest.raises(StrategyError, match=words):
        caddy.update(lab.host, ENDPOINT, [replace(members[0], weight=weight) for weight in (-1, 5)])
    assert set(names(lab.host, 3)) == {"instance-1"}


def test_workers_are_what_go_calls_its_processors(lab: Lab) -> None:
    """A number goes into GOMAXPROCS, and is what Go's own metrics say."""
    _caddy(workers=3).expose(lab.host, ENDPOINT, lab.start(1))
    metrics = asked(lab.host, "/run/sameport/caddy/admin.sock", "/metrics")
    assert "go_sched_gomaxprocs_threads 3\n" in metrics


@pytest.mark.parametrize("option", ["policy: random", "policy: hash", "discovery: dns"])
def test_weights_are_refused_where_they_would_be_ignored(tmp_path: Path, option: str) -> None:
    """Only taking turns knows them, and an address that a name has has none."""
    file = tmp_path / "x.yaml"
    file.write_text(f"strategy: {{name: caddy, {option}}}\nreplicas: 2\nweights: {{instance-1: 9}}\n")
    with pytest.raises(ScenarioError, match=r"x\.yaml:3:.* can't give instances different shares"):
        load_scenario(file)


def test_health_checks_of_a_name_are_refused(tmp_path: Path) -> None:
    """Caddy makes none of what it finds by DNS."""
    file = tmp_path / "x.yaml"
    file.write_text("strategy:\n  name: caddy\n  discovery: dns\n  health_checks: true\nreplicas: 2\n")
    with pytest.raises(ScenarioError, match="makes no health checks of instances that it finds by a name"):
        load_scenario(file)
