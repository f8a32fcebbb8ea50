"""Whether two results measured the same thing: the keys in which their scenarios differ."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness.common.text import printable
from harness.errors import ResultError
from harness.scenario.fields import WRITTEN
from harness.scenario.model import Scenario

if TYPE_CHECKING:
    from harness.summary.run import Summary

_NOT_MEASURED = frozenset(
    {"name", "description", "tolerance", "confidence", "expect", "errors", "recovers", "seed", "repeat"},
)
"""Keys of a scenario that change nothing about what is measured."""


def refuse_another(scenario: dict[str, Any], summary: Summary) -> None:
    """Refuse to compare what was measured in different ways.

    Raises
    ------
    ResultError
        The summary's scenario measures something else; says which keys differ.
    """
    different = _differing(scenario, summary.scenario)
    if different:
        key, *others = different
        more = f" (and {', '.join(others)})" if others else ""
        there, here = different[key]
        raise ResultError(
            f"{result_named(summary)}: is of another scenario than what it is to be compared with: {key} is "
            f"{_value(here)} here and {_value(there)} there{more}"
        )


def differing_keys(first: Summary, second: Summary) -> dict[str, tuple[Any, Any]]:
    """Give the dotted keys in which two results' scenarios differ, with both values; None is not set.

    Keys that change nothing measured, such as the name, are left out.
    """
    return _differing(first.scenario, second.scenario)


def measured_scenario(summary: Summary) -> dict[str, Any]:
    """Give what of a result's scenario changes what is measured, by dotted keys."""
    return _flat(_completed(summary.scenario))


def _differing(first: dict[str, Any], second: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    before, after = _flat(_completed(first)), _flat(_completed(second))
    keys = sorted(before.keys() | after.keys())
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _completed(scenario: dict[str, Any]) -> dict[str, Any]:
    """Add the keys that the harness did not have yet when the scenario was stored, with their defaults."""
    try:
        text = json.dumps(scenario)
        return Scenario.model_validate_json(text, by_alias=True, by_name=False, context=WRITTEN).as_written()
    except ValidationError:
        return scenario  # of a version that spelt it in another way, or of a strategy that isn't here


def _flat(scenario: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give a scenario's values by their dotted keys; those that change nothing measured are left out."""
    flat: dict[str, Any] = {}
    for key, value in scenario.items():
        if not prefix and key in _NOT_MEASURED:
            continue
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def result_named(summary: Summary) -> str:
    """Name a result in a message, by its scenario and its start."""
    return f"{printable(summary.name)} of {printable(summary.started_at)}"


def _value(value: Any) -> str:
    return "not set" if value is None else printable(str(value))
