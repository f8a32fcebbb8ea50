"""The JSON Schema of scenario files, by which editors complete keys and underline mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import GenerateJsonSchema

from harness.scenario.model import Scenario
from harness.strategies import find_strategy, strategy_names

if TYPE_CHECKING:
    from pydantic_core import core_schema

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """Leaves out null, which no scenario may contain, and titles, which only repeat the keys."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


def scenario_schema() -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of scenario files, with the strategies that are installed."""
    # The serialised form is the one in which defaults, too, are in a file's words.
    schema = Scenario.model_json_schema(mode="serialization", schema_generator=_Generator)
    definitions = schema["$defs"]
    definitions["StrategyChoice"] = _strategies(definitions)
    application = schema["properties"]["application"]
    application["anyOf"] = [{"const": "sample"}, {"$ref": application.pop("$ref")}]
    sources = definitions["Load"]["properties"]["sources"]
    count = {
        key: value for key, value in definitions["Sources"]["properties"]["count"].items() if key != "title"
    }
    sources["anyOf"] = [count, {"$ref": sources.pop("$ref")}]
    for mapping in (schema, *definitions.values()):
        _tidy(mapping)
    rated = [{"required": ["rate"]}, {"required": ["stages"]}]
    definitions["Load"]["if"] = {"properties": {"model": {"const": "open"}}, "required": ["model"]}
    definitions["Load"]["then"] = {"oneOf": rated}
    definitions["Load"]["else"] = {"not": {"required": ["rate"]}}
    schema["required"].remove("name")
    # Weights may name all instances, and so tell how many there are; routes do.
    schema["required"].remove("replicas")
    schema["anyOf"] = [{"required": [key]} for key in ("replicas", "weights", "routes")]
    definitions["Route"]["oneOf"] = [{"required": ["path"]}, {"required": ["host"]}]
    return {"$schema": _DIALECT, "title": "sameport scenario", **schema}


def _strategies(definitions: dict[str, Any]) -> dict[str, Any]:
    mappings = []
    for name in strategy_names():
        model = find_strategy(name).options_model.model_json_schema(schema_generator=_Generator)
        definitions |= model.get("$defs", {})
        properties = {"name": {"const": name}} | model.get("properties", {})
        mappings.append(
            {
                "type": "object",
                "properties": properties,
                "required": ["name", *model.get("required", [])],
                "additionalProperties": False,
            }
        )
    return {"anyOf": [{"enum": strategy_names()}, *mappings]}


def _tidy(mapping: dict[str, Any]) -> None:
    mapping.pop("title", None)
    properties = mapping.get("properties", {})
    for key, value in list(properties.items()):
        if value.get("default") is None or isinstance(value["default"], dict):
            value.pop("default", None)  # nothing, or a mapping whose keys have their own defaults
        if "_" in key:
            properties[key.replace("_", "-")] = value
