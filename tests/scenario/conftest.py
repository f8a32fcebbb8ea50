"""How tests of scenarios load one, or are refused one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import ScenarioError
from harness.scenario import Scenario, load_scenario
from harness.strategies import strategy_names

if TYPE_CHECKING:
    from pathlib import Path

KEYS = (
    "name, description, host, engine, strategy, routes, replicas, weights, client, port, application, "
    "resources, load, events, membership, recovers, errors, tolerance, confidence, expect, seed, repeat"
)
STRATEGIES = f"(strategies: {', '.join(strategy_names())})"
RIGHT = "strategy: dnat-random\nreplicas: 10\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give one folder for all; hypothesis would not get a fresh one for each example anyway."""
    return tmp_path_factory.mktemp("scenarios")


def load(folder: Path, content: str | bytes, *overrides: str) -> Scenario:
    file = folder / "x.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_scenario(file, overrides)


def complaint(folder: Path, content: str | bytes, *overrides: str) -> str:
    try:
        load(folder, content, *overrides)
    except ScenarioError as error:
        return str(error)
    return "none"


def refused(folder: Path, content: str | bytes, *overrides: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        load(folder, content, *overrides)
    return str(caught.value).replace(f"{folder}/", "")
