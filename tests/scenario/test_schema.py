from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from harness.scenario import Application, Identity, Load, Scenario, load_scenario
from harness.scenario.routes import Route
from harness.scenario.schema import scenario_schema
from harness.strategies.base import Options
from harness.strategies.dnat import DnatRandom

ROOT = Path(__file__).parents[2]
RIGHT = {"strategy": "dnat-random", "replicas": 10}

SCENARIOS = sorted(file for file in (ROOT / "scenarios").rglob("*.yaml") if file.parent.name != "suites")


def plain(file: Path) -> Any:
    return YAML(typ="safe", pure=True).load(file)


def allowed(scenario: object) -> bool:
    return Draft202012Validator(scenario_schema()).is_valid(scenario)


def test_the_stored_schema_is_fresh() -> None:
    """Whoever changes a model renews the file: the command stands in docs/scenario.md."""
    stored = (ROOT / "docs" / "scenario.schema.json").read_text(encoding="utf-8")
    assert stored == json.dumps(scenario_schema(), indent=2) + "\n"


def test_the_schema_is_one_itself() -> None:
    """Editors refuse a broken schema silently."""
    Draft202012Validator.check_schema(scenario_schema())


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.name)
def test_every_scenario_here_is_right(file: Path) -> None:
    """For the schema and for the harness, as it stands and as it is written with a result."""
    assert allowed(plain(file))
    assert allowed(load_scenario(file).as_written())


@pytest.mark.parametrize(
    "more",
    [
        {"load": {"warm-up": "1.5s", "connections": 10, "duration": "1m30s"}},
        {"strategy": {"name": "dnat-random"}},
        {"application": {"command": "python -m app", "start-timeout": "5s"}},
        {"application": {"command": ["python", "-m", "app"], "identity": {"body": "(.*)"}}},
        {"application": "sample", "tolerance": "12.5%"},
        {"load": {"model": "open", "rate": "200/s", "arrivals": "poisson", "close": "reset"}},
        {"load": {"model": "open", "stages": [{"rate": "100/s", "for": "5s"}, {"rate": "9/s", "for": "5s"}]}},
        {"load": {"stages": [{"users": 3, "for": "10s"}]}},
        {"load": {"spawn_rate": "10/s"}},
        {"strategy": "nginx", "replicas": 2, "routes": {"a": {"path": "/a/b.c", "replicas": 2}}},
    ],
)
def test_schema_allows_what_the_harness_takes(more: dict[str, Any], tmp_path: Path) -> None:
    """An editor doesn't underline what is right."""
    (tmp_path / "x.yaml").write_text(json.dumps(RIGHT | more))
    load_scenario(tmp_path / "x.yaml")
    assert allowed(RIGHT | more)


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 0},
        {"replicas": True},
        {"replica": 3},
        {"strategy": "dnat-rnd"},
        {"strategy": {"name": "dnat-random", "weight": 3}},
        {"engine": "dcoker"},
        {"tolerance": 0.1},
        {"load": {"duration": 10}},
        {"load": {"duration": "ten"}},
        {"load": {"connections": 0}},
        {"load": {"rate": None}},
        {"load": {"model": "open"}},
        {"load": {"model": "open", "rate": "1/s", "stages": [{"rate": "1/s", "for": "10s"}]}},
        {"load": {"rate": "200/s"}},
        {"load": {"user": "curl"}},
        {"load": {"stages": []}},
        {"application": "smple"},
        {"application": {"command": []}},
        {"name": "../x"},
        {"routes": {"a": {"path": "/", "host": "a.example", "replicas": 2}}},
        {"routes": {"a": {"path": "/A", "replicas": 2}}},
        {"routes": {"a": {"host": "a.example"}}},
    ],
)
def test_schema_refuses_mistakes(wrong: dict[str, Any]) -> None:
    """Mistakes show while they are made."""
    assert not allowed(RIGHT | wrong)


def test_a_strategys_options_are_in_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each strategy allows its own, with their types."""

    class Weights(Options):
        weights: tuple[int, ...] = (1, 1)

    monkeypatch.setattr(DnatRandom, "options_model", Weights)
    assert allowed(RIGHT | {"strategy": {"name": "dnat-random", "weights": [1, 2]}})
    assert not allowed(RIGHT | {"strategy": {"name": "dnat-random", "weights": "many"}})


def test_every_key_is_in_the_reference() -> None:
    """A key that users can't read about may as well not be there."""
    reference = (ROOT / "docs" / "scenario.md").read_text(encoding="utf-8")
    keys = [
        *Scenario.file_keys(),
        *(f"application.{key}" for key in Application.file_keys()),
        *(f"application.identity.{key}" for key in Identity.file_keys()),
        *(f"load.{key}" for key in Load.file_keys()),
        *(f"routes.NAME.{key}" for key in Route.file_keys()),
    ]
    assert [key for key in keys if f"`{key}`" not in reference] == []
