from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from harness.suite.file import SuiteFile, read_suite
from harness.suite.schema import suite_schema
from harness.summary.suite import suite_summary_schema

if TYPE_CHECKING:
    from tests.suite.conftest import Files

ROOT = Path(__file__).parents[2]
SUITES = sorted((ROOT / "scenarios" / "suites").glob("*.yaml"))
RIGHT: dict[str, Any] = {"matrix": {"strategy": ["dnat-nth"], "replicas": [2]}}


def allowed(suite: object) -> bool:
    return Draft202012Validator(suite_schema()).is_valid(suite)


@pytest.mark.parametrize(
    ("file", "schema"), [("suite", suite_schema()), ("suite-summary", suite_summary_schema())]
)
def test_the_stored_schemas_are_fresh(file: str, schema: dict[str, Any]) -> None:
    """`make schemas` writes them anew."""
    stored = (ROOT / "docs" / f"{file}.schema.json").read_text(encoding="utf-8")
    assert stored == json.dumps(schema, indent=2) + "\n"
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("file", SUITES, ids=lambda file: file.name)
def test_every_suite_here_is_right(file: Path) -> None:
    """For the schema and for the harness."""
    assert allowed(YAML(typ="safe", pure=True).load(file))
    assert read_suite([file]).scenarios


def test_all_scenarios_here_can_be_one_suite() -> None:
    """No two of them have the same name."""
    assert len(read_suite([ROOT / "scenarios"]).scenarios) == len(list((ROOT / "scenarios").glob("*.yaml")))


@pytest.mark.parametrize(
    "more",
    [
        {"matrix": {"strategy": "all", "connections": ["keep-alive", 5], "load.warm-up": ["1s"]}},
        {"matrix": {"strategy": ["all", {"name": "so-reuseport-bpf", "policy": "cpu"}], "replicas": [1]}},
        {"defaults": {"load": {"users": 3}, "expect": "uneven", "application": {"delay": "1ms"}}},
        {"adjust": [{"where": {"unit": ["connection"], "replicas": 2}, "set": {"tolerance": "20%"}}]},
        {"name": "x", "description": "y", "repeat": 3, "seed": 5, "scenarios": ["a.yaml"]},
    ],
)
def test_schema_allows_what_the_harness_takes(files: Files, more: dict[str, Any]) -> None:
    """An editor doesn't underline what is right."""
    files.write("a.yaml", "strategy: direct\nreplicas: 1\n")
    suite = {"defaults": {"replicas": 2}} | RIGHT | more
    files.suite(json.dumps(suite))
    assert allowed(suite)


@pytest.mark.parametrize(
    "wrong",
    [
        {"matrix": 5},
        {"matrix": {"strategy": []}},
        {"matrix": {"strategy": ["dnat-rnd"]}},
        {"matrix": {"replicas": [0]}},
        {"matrix": {"load.usrs": [1]}},
        {"matrix": {"name": ["x"]}},
        {"defaults": {"load": {"users": 0}}},
        {"defaults": {"name": "x"}},
        {"adjust": [{"where": {}}]},
        {"adjust": [{"where": {"unit": "byte"}, "set": {}}]},
        {"repeat": 0},
        {"repaet": 1},
    ],
)
def test_schema_refuses_mistakes(wrong: dict[str, Any]) -> None:
    """Mistakes show while they are made."""
    assert not allowed(RIGHT | wrong)
    assert not allowed({})


def test_every_key_is_in_the_reference() -> None:
    """A key that users can't read about may as well not be there."""
    reference = (ROOT / "docs" / "suites.md").read_text(encoding="utf-8")
    assert [key for key in SuiteFile.model_fields if f"| `{key}` |" not in reference] == []
