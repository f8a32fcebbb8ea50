"""The JSON Schema of suite files, by which editors complete keys and underline mistakes."""

from __future__ import annotations

from typing import Any

from harness.scenario.schema import scenario_schema
from harness.suite.file import SuiteFile
from harness.suite.matrix import SHORT_KEYS, UNITS


def suite_schema() -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of suite files, with the strategies that are installed."""
    scenario = scenario_schema()
    definitions = scenario["$defs"]
    keys = {key: value for key, value in scenario["properties"].items() if key != "name"}
    definitions["Partial"] = _mapping(keys)
    varied = _varied(keys, definitions)
    definitions["Adjustment"] = _mapping(
        {"where": _mapping(_conditions(varied)), "set": {"$ref": "#/$defs/Partial"}}, ["where", "set"]
    )
    properties: dict[str, dict[str, Any]] = {
        "name": scenario["properties"]["name"],
        "description": {"type": "string"},
        "scenarios": _list_of({"type": "string", "minLength": 1}),
        "matrix": _mapping(varied),
        "adjust": _list_of({"$ref": "#/$defs/Adjustment"}),
        "defaults": {"$ref": "#/$defs/Partial"},
        "repeat": {"type": "integer", "minimum": 1, "maximum": 1000},
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1, "default": 0},
    }
    described = {
        name: {**properties[name], "description": field.description}
        for name, field in SuiteFile.model_fields.items()
    }
    return {
        "$schema": scenario["$schema"],
        "title": "sameport suite",
        **_mapping(described),
        "anyOf": [{"required": ["scenarios"]}, {"required": ["matrix"]}],
        "$defs": definitions,
    }


def _varied(keys: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Give what a matrix can have: each key of a scenario, those below another with dots, with a list."""
    every = keys | {
        f"{section.lower()}.{key}": value
        for section in ("Application", "Load")
        for key, value in definitions[section]["properties"].items()
    }
    every |= {short: every[key] for short, key in SHORT_KEYS.items()}
    varied = {key: {**_list_of(value), "minItems": 1} for key, value in every.items()}
    one = {"anyOf": [{"const": "all"}, every["strategy"]]}
    varied["strategy"] = {"anyOf": [{"const": "all"}, {**_list_of(one), "minItems": 1}]}
    return varied


def _conditions(varied: dict[str, Any]) -> dict[str, Any]:
    unit = {"enum": list(UNITS)}
    return {key: {} for key in varied} | {"unit": {"anyOf": [unit, _list_of(unit)]}}


def _mapping(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    more = {"required": required} if required else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **more}


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}
