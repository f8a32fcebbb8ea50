"""What is Traefik's own; what all proxies have in common is in test_proxies.py."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ScenarioError
from harness.scenario import load_scenario
from harness.strategies.traefik import Traefik, TraefikOptions
from harness.types import Counted, Endpoint
from tests.helpers.requests import answers, names
from tests.strategies.conftest import ENDPOINT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.strategies.conftest import Lab


def _traefik(**options: Any) -> Traefik:
    return Traefik(TraefikOptions.model_validate(options, strict=True))


def test_a_heavy_members_turns_are_spread_over_the_round(lab: Lab) -> None:
    """Of weights 4 and 2, the light one never has two turns in a row."""
    traefik, (heavy, light) = _traefik(), lab.start(2)
    traefik.expose(lab.host, ENDPOINT, [replace(heavy, weight=4), replace(light, weight=2)])
    turns = names(lab.host, 60)
    assert turns.count(light.name) == 20
    assert (light.name, light.name) not in pairwise(turns)


@pytest.mark.parametrize("discovery", ["static", "file"])
def test_changes_in_quick_succession_are_each_in_force(lab: Lab, discovery: str) -> None:
    """None is put off or left out, and the counts go on."""
    traefik, members = _traefik(discovery=discovery), lab.start(3)
    traefik.expose(lab.host, ENDPOINT, members)
    for turn in range(6):
        member = members[turn % 3]
        traefik.update(lab.host, ENDPOINT, [member])
        assert set(names(lab.host, 5)) == {member.name}
    assert traefik.counted(lab.host, ENDPOINT, members) == Counted("proxy", "requests", 30)


def test_traefik_itself_answers_for_its_revision(lab: Lab) -> None:
    """Who asks for it gets the proxy's own answer, and it is not counted."""
    traefik, members = _traefik(), lab.start(1)
    traefik.expose(lab.host, ENDPOINT, members)
    assert answers(lab.host, 3, "/.sameport/revision") == [(200, "OK")] * 3
    assert traefik.counted(lab.host, ENDPOINT, members) == Counted("proxy", "requests", 0)


def test_traefik_metrics_avoid_the_endpoints_port(lab: Lab) -> None:
    """The endpoint may have the port that they have otherwise."""
    traefik, members = _traefik(), lab.start(1)
    endpoint = Endpoint(ENDPOINT.address, 9100)
    traefik.expose(lab.host, endpoint, members)
    assert names(lab.host, 3, endpoint) == ["instance-1"] * 3
    assert traefik.counted(lab.host, endpoint, members) == Counted("proxy", "requests", 3)


def test_workers_are_what_go_calls_its_processors(lab: Lab) -> None:
    """A number goes into GOMAXPROCS."""
    _traefik(workers=3).expose(lab.host, ENDPOINT, lab.start(1))
    environments = lab.host.run(["sh", "-c", "cat /proc/[0-9]*/environ | tr '\\0' '\\n'"]).stdout
    assert environments.splitlines().count("GOMAXPROCS=3") == 1


def test_weights_are_refused_where_they_would_be_ignored(tmp_path: Path) -> None:
    """The choice of two pays no heed to them."""
    file = tmp_path / "x.yaml"
    file.write_text("strategy: {name: traefik, policy: p2c}\nreplicas: 2\nweights: {instance-1: 9}\n")
    with pytest.raises(ScenarioError, match=r"x\.yaml:3:.* can't give instances different shares"):
        load_scenario(file)
