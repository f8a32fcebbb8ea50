from __future__ import annotations

import json
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.scenario.merging import graft, merge
from harness.scenario.source import Document, KeyPath, Place, Reader


def read(text: str, source: str) -> Document:
    document = Document(None)
    document.data = Reader(document, partial(Place, 0, source=source), lambda _, key: key).read(text)
    return document


def paths(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    """List the paths of all values that a value holds, and its own."""
    found = {path}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found |= paths(inner, (*path, key))
    return found


def test_load_and_application_are_merged_and_all_else_is_replaced() -> None:
    """Keys that only one has stay; a mapping of something else is taken as it is."""
    target = read("load: {users: 1, path: /}\nweights: {a: 1}\napplication: sample\nport: 80", "target")
    source = read("x: {load: {users: 2}, weights: {b: 2}, application: {delay: 1s}}", "source")
    merge(target, source, ("x",))
    assert target.data == {
        "load": {"users": 2, "path": "/"},
        "weights": {"b": 2},
        "application": {"delay": "1s"},
        "port": 80,
    }
    assert str(target.values["load", "users"]) == "source:1:19"
    assert str(target.values["load", "path"]) == "target:1:24"
    assert ("weights", "a") not in target.values


def test_an_item_of_a_list_has_its_own_place_and_its_lists_key() -> None:
    """What is wrong with the value is told there, what is wrong with the key at the key."""
    target, source = Document({}), read("matrix:\n  load.users: [1, 2]\n", "source")
    graft(target, ("load", "users"), source, ("matrix", "load.users", 1))
    assert target.data == {"load": {"users": 2}}
    assert str(target.values["load", "users"]) == "source:2:19"
    assert {str(target.keys[path]) for path in [("load",), ("load", "users")]} == {"source:2:3"}


def test_merge_copies_its_values() -> None:
    """Two scenarios of one matrix don't share what one of them then overrides."""
    first, second, source = Document({}), Document({}), read("load: {headers: {a: b}}", "source")
    for target in (first, second):
        merge(target, source)
    first.data["load"]["headers"]["a"] = "c"
    assert second.data == source.data == {"load": {"headers": {"a": "b"}}}


_keys = st.sampled_from(["load", "application", "users", "env", "x"])
_values = st.recursive(
    st.integers(0, 9), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_keys, inner, max_size=3)
)
_mappings = st.dictionaries(_keys, _values, max_size=4)


@given(_mappings, _mappings)
def test_every_value_keeps_a_place_and_nothing_else_has_one(
    below: dict[str, Any], above: dict[str, Any]
) -> None:
    """Whatever is merged, each value and each key of a mapping can be found again, and no ghost can."""
    target, source = read(written(below), "below"), read(written(above), "above")
    merge(target, source)
    for key, value in above.items():
        former = below.get(key)
        both = key in {"load", "application"} and isinstance(value, dict) and isinstance(former, dict)
        assert target.data[key] == (former | value if both else value)
    assert set(target.values) == paths(target.data)
    assert set(target.keys) == {path for path in paths(target.data) if path and isinstance(path[-1], str)}


def written(mapping: dict[str, Any]) -> str:
    """Write a mapping as YAML, of which JSON is a part."""
    return json.dumps(mapping)
