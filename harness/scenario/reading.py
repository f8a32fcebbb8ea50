"""From a file, or from parts of several, to a scenario: every mistake is reported at its place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from harness.scenario.application import Application, Identity
from harness.scenario.events import Event, Release
from harness.scenario.fields import WRITTEN
from harness.scenario.load import Load
from harness.scenario.model import Scenario
from harness.scenario.overrides import override
from harness.scenario.paths import resolve_paths
from harness.scenario.problems import expected, explain, find_nulls
from harness.scenario.routes import Route
from harness.scenario.source import Document, Place, Problem, Reader, read_text, scenario_error
from harness.strategies import find_strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.scenario.source import KeyPath

_SECTIONS: Final[dict[KeyPath, list[str]]] = {
    (): Scenario.file_keys(),
    ("application",): Application.file_keys(),
    ("application", "identity"): Identity.file_keys(),
    ("load",): Load.file_keys(),
}
_SUITES_ALONE: Final = ("matrix", "scenarios")


def load_scenario(path: Path, overrides: Sequence[str] = ()) -> Scenario:
    """Read a scenario file.

    Parameters
    ----------
    path
        The file.
    overrides
        ``KEY=VALUE`` each, with dots in the key where it is nested, and YAML as value; they replace
        what the file says, in this order.

    Raises
    ------
    ScenarioError
        The file can't be read or something in it is wrong: a line for each problem, with its place.
    """
    document = read_document(path, spelling)
    if is_suite(document):
        words = f"this is a suite of scenarios; run it with: harness suite {path}"
        raise scenario_error([Problem(document.place(()), words)])
    scenario, problems = check_scenario(document, path.stem, overrides)
    if scenario is None:
        raise scenario_error(problems)
    return scenario


def read_document(path: Path, spelling: Callable[[KeyPath, str], str]) -> Document:
    """Read a file that holds a mapping.

    Raises
    ------
    ScenarioError
        It can't be read, is not YAML, or holds something else.
    """
    document = Document(None)
    place_at = partial(Place, 0, source=str(path))
    document.data = Reader(document, place_at, spelling).read(read_text(path))
    if not isinstance(document.data, dict):
        words = expected("a mapping, such as strategy: dnat-random", document.data)
        raise scenario_error(document.problems or [Problem(place_at(1, 1), words)])
    return document


def is_suite(document: Document) -> bool:
    """Tell whether a file's mapping is a suite of scenarios, which has keys that no scenario has."""
    return any(key in document.data for key in _SUITES_ALONE)


def check_scenario(
    document: Document, name: str, overrides: Sequence[str] = ()
) -> tuple[Scenario | None, list[Problem]]:
    """Make a scenario of a mapping.

    Parameters
    ----------
    document
        The mapping, which is changed.
    name
        The scenario's name, if the mapping has none.
    overrides
        As for `load_scenario`.

    Returns
    -------
    tuple
        The scenario and no problems, or None and all of them.

    Raises
    ------
    ScenarioError
        An override's value is not YAML.
    """
    _write_out(document)
    for number, text in enumerate(overrides, 1):
        override(document, number, text, spelling)
        _write_out(document)
    resolve_paths(document)
    document.data.setdefault("name", name)
    problems = [*document.problems, *find_nulls(document)]
    scenario = None
    try:
        scenario = Scenario.model_validate(document.data, by_alias=True, by_name=False, context=WRITTEN)
    except ValidationError as error:
        problems += explain(error, document, partial(_keys_at, document))
    return (None if problems else scenario), problems


def spelling(path: KeyPath, key: str) -> str:
    """Give a key's one spelling: `warm-up` is `warm_up`."""
    with_underscores = key.replace("-", "_")
    known = path == ("strategy",) or with_underscores in _SECTIONS.get(path, ())
    return with_underscores if known else key


def _write_out(document: Document) -> None:
    if isinstance(name := document.data.get("strategy"), str):
        document.data["strategy"] = {"name": name}
        document.values["strategy", "name"] = document.values["strategy",]
    if document.data.get("application") == "sample":
        document.data["application"] = {}


def _keys_at(document: Document, path: KeyPath) -> list[str]:
    if path == ("strategy",):
        # Only options of a known strategy are looked at.
        options = find_strategy(document.data["strategy"]["name"]).options_model
        return ["name", *(field.alias or name for name, field in options.model_fields.items())]
    if path[:1] == ("events",) and len(path) > 1:
        return (Release if path[2:] == ("application",) else Event).file_keys()
    if path[:1] == ("routes",) and len(path) == 2:
        return Route.file_keys()
    return _SECTIONS.get(path, [])
