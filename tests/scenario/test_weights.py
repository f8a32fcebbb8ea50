"""Weights: whose names they are, and which strategies take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import ScenarioError
from harness.scenario import load_scenario

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "instances"),
    [
        ("replicas: 2", {"instance-1": 1, "instance-2": 1}),
        ("weights: {stable: 9, canary: 1}", {"stable": 9, "canary": 1}),
        ("replicas: 2\nweights: {stable: 9, canary: 1}", {"stable": 9, "canary": 1}),
        ("replicas: 3\nweights: {instance-2: 5}", {"instance-1": 1, "instance-2": 5, "instance-3": 1}),
        ("weights: {instance-2: 5, instance-1: 3}", {"instance-1": 3, "instance-2": 5}),
    ],
)
def test_weights_name_the_instances_or_some_of_the_numbered(
    tmp_path: Path, text: str, instances: dict[str, int]
) -> None:
    """Without replicas there are as many as are named; the numbered ones that are left out have weight 1."""
    path = tmp_path / "x.yaml"
    path.write_text(f"strategy: dnat-random\n{text}\n")
    scenario = load_scenario(path)
    assert scenario.instances() == instances
    assert scenario.replicas == len(instances)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "strategy: dnat-random\nreplicas: 3\nweights: {a: 9, b: 1}",
            "3:10: weights: names 2 of 3 instances",
        ),
        (
            "strategy: dnat-random\nreplicas: 2\nweights: {instance-7: 9}",
            "3:10: weights: names 1 of 2 instances",
        ),
        ("strategy: dnat-random\nweights: {a: 0, b: 1}", "2:14: weights.a: 0 is too small"),
        ("strategy: dnat-random\nweights: {a: 257, b: 1}", "2:14: weights.a: 257 is too large"),
        ("strategy: dnat-random\nweights: {a.b: 1, b: 1}", "2:11: weights.a.b: 'a.b' can't name an instance"),
        ("strategy: dnat-random\nweights: {}", "1:1: replicas"),
        (
            "strategy: so-reuseport-host\nweights: {a: 9, b: 1}",
            "2:10: weights: so-reuseport-host can't give instances different shares; take it out, or take",
        ),
        (
            "strategy: {name: haproxy, discovery: dns}\nweights: {a: 9, b: 1}",
            "2:10: weights: haproxy can't give instances different shares with these options; take it out",
        ),
        ("strategy: direct\nreplicas: 2", "2:11: replicas: 2 is too many; direct has 1 at most"),
    ],
)
def test_weights_that_nobody_could_give_are_refused(tmp_path: Path, text: str, words: str) -> None:
    """Before anything is provisioned, at their place."""
    path = tmp_path / "x.yaml"
    path.write_text(f"{text}\n")
    with pytest.raises(ScenarioError) as refused:
        load_scenario(path)
    assert f"x.yaml:{words}" in str(refused.value)
