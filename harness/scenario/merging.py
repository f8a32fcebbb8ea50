"""Documents made of parts of others: errors in a part are still reported where it was written."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from harness.scenario.source import Document, KeyPath

_MERGED: Final[set[KeyPath]] = {("application",), ("load",)}
"""Mappings whose keys are replaced one by one; any other value is replaced as a whole."""


def merge(target: Document, source: Document, at: KeyPath = ()) -> None:
    """Put what a mapping says over what a scenario's document says.

    Parameters
    ----------
    target
        The scenario's document, which is changed.
    source
        The document that holds the mapping.
    at
        The mapping's path in it.
    """
    mapping: Any = source.data
    for part in at:
        mapping = mapping[part]
    for key, value in mapping.items():
        if (key,) in _MERGED and isinstance(value, dict) and isinstance(target.data.get(key), dict):
            for inner in value:
                graft(target, (key, inner), source, (*at, key, inner))
        else:
            graft(target, (key,), source, (*at, key))


def graft(target: Document, path: KeyPath, source: Document, at: KeyPath) -> None:
    """Replace a document's value by one of another document, which keeps its places.

    Parameters
    ----------
    target, path
        Where to; mappings on the way are made where there are none.
    source, at
        Where from: a mapping's value or a list's item.
    """
    value: Any = source.data
    for part in at:
        value = value[part]
    # An item of a list has no key; what is wrong with the key it is put under is wrong with the list's.
    key_place = next(source.keys[at[:end]] for end in range(len(at), 0, -1) if at[:end] in source.keys)
    mapping = target.data
    for end, part in enumerate(path[:-1], 1):
        if not isinstance(mapping.get(part), dict):
            target.forget(path[:end])
            target.keys[path[:end]] = target.values[path[:end]] = key_place
            mapping[part] = {}
        mapping = mapping[part]
    target.forget(path)
    target.keys[path] = key_place
    mapping[path[-1]] = deepcopy(value)
    below = len(at)
    target.keys |= {path + known[below:]: place for known, place in _under(source.keys, at) if known != at}
    target.values |= {path + known[below:]: place for known, place in _under(source.values, at)}
    target.unread |= {path + known[below:] for known in source.unread if known[:below] == at}


def _under(places: dict[KeyPath, Any], at: KeyPath) -> list[tuple[KeyPath, Any]]:
    return [(known, place) for known, place in places.items() if known[: len(at)] == at]
