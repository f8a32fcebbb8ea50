"""Overrides of a scenario from the command line: `--set load.users=32`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.quantities import shown
from harness.scenario.source import Document, Place, Problem, Reader, dotted

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.scenario.source import KeyPath


def override(document: Document, number: int, text: str, spelling: Callable[[KeyPath, str], str]) -> None:
    """Replace one value of a document; what is wrong with the override joins its problems.

    Parameters
    ----------
    document
        A mapping.
    number
        Which override this is, from 1.
    text
        ``KEY=VALUE``; mappings on the way to a nested key are made where there are none.
    spelling
        As for `Reader`.

    Raises
    ------
    ScenarioError
        The value is not YAML.
    """
    place = Place(number, 0, 0, f"--set {text}")
    written, equals, value = text.partition("=")
    if not equals:
        words = "there is no '='; write KEY=VALUE, such as load.users=32"
        document.problems.append(Problem(place, words))
        return
    path: KeyPath = ()
    mapping = document.data
    *parents, last = written.strip().split(".")
    for parent in parents:
        key = spelling(path, parent)
        path = (*path, key)
        if mapping.get(key) is None:
            _put_place(document, path, place)
            mapping[key] = {}
        mapping = mapping[key]
        if not isinstance(mapping, dict):
            words = f"{dotted(path)} is {shown(mapping)}, no mapping; set it as a whole"
            document.problems.append(Problem(place, words))
            return
    path = (*path, spelling(path, last))
    _put_place(document, path, place)
    mapping[path[-1]] = Reader(document, lambda _line, _column: place, spelling).read(value, path)


def _put_place(document: Document, path: KeyPath, place: Place) -> None:
    document.forget(path)
    document.keys[path] = document.values[path] = place
