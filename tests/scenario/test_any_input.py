"""Whatever the input, the outcome is a scenario or a scenario error, and what is written loads again."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from harness.scenario import Application, Identity, Load, Scenario
from tests.scenario.conftest import RIGHT, complaint, load

if TYPE_CHECKING:
    from pathlib import Path

pieces = st.sampled_from(
    [
        *"abx019 \n:-,[]{}'\"#&*!|>%@`?~\\\t=<.\ufeff\u2028\x85",
        *("\n  ", ": ", "- ", "---\n", "strategy: ", "load: ", "replicas: ", "dnat-random"),
        *("!!int ", "*a", "&a ", "\\x", "\\ud800", "\\UFFFFFFFF"),
    ]
)


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.binary(max_size=60), st.lists(pieces, max_size=40).map(lambda p: "".join(p).encode())))
def test_any_bytes_give_a_scenario_or_a_scenario_error(folder: Path, content: bytes) -> None:
    """Nothing else is ever raised, and no line of a message is empty."""
    for prefix in (b"", RIGHT.encode()):
        assert all(complaint(folder, prefix + content).split("\n"))


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["10s", "0s", "5%", "200/s", "sample", "dnat-random", "netns", "per-request", "open", "a (b)"]
    ),
)
_WORDS = st.sampled_from(
    [
        *Scenario.file_keys(),
        *Application.file_keys(),
        *Identity.file_keys(),
        *Load.file_keys(),
        "start-timeout",
        "warm-up",
    ]
)
_STRUCTURES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(_WORDS, st.text(max_size=5)), inner, max_size=6),
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(_WORDS, _STRUCTURES, max_size=8), st.lists(st.text(max_size=12), max_size=2))
def test_any_structure_gives_a_scenario_or_a_scenario_error(
    folder: Path, structure: dict[str, Any], overrides: list[str]
) -> None:
    """Whatever stands where something else should, the answer is in our own words."""
    text = json.dumps({"strategy": "dnat-random", "replicas": 2} | structure)
    words = complaint(folder, text, *overrides)
    assert "Input should" not in words
    assert "is not valid here" not in words


_ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
_TOKENS = st.text("abcXYZ019-!#", min_size=1, max_size=8)
_DURATIONS = st.integers(1, 10**13)
_SCENARIOS = st.fixed_dictionaries(
    {
        "name": st.from_regex("[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True),
        "description": _ANY_TEXT,
        "strategy": st.just("dnat-random"),
        "replicas": st.integers(1, 64_000),
        "tolerance": st.decimals("0.001", "99.999", places=3).map(lambda d: f"{d}%"),
        "confidence": st.decimals(50, "99.9999", places=4).map(lambda d: f"{d}%"),
        "application": st.fixed_dictionaries(
            {
                "command": st.lists(_ANY_TEXT.filter(bool), min_size=1, max_size=3),
                "env": st.dictionaries(_TOKENS, _ANY_TEXT, max_size=2),
                "identity": st.fixed_dictionaries({"header": _TOKENS}) | st.just({"body": "(.*)"}),
                "start_timeout": _DURATIONS.map(lambda ns: f"{ns}ns"),
            }
        ),
        "load": st.fixed_dictionaries(
            {
                "users": st.integers(1, 100_000),
                "duration": _DURATIONS.map(lambda ns: f"{ns}ns"),
                "warm_up": st.just("0s"),
                "connections": st.integers(1) | st.sampled_from(["per-request", "keep-alive"]),
                "headers": st.dictionaries(_TOKENS, st.text("a b:'\"#\t~", max_size=5), max_size=2),
            }
        ),
    }
)


@settings(deadline=None)
@given(_SCENARIOS, st.sampled_from(["rt", "safe"]))
@example({"strategy": "dnat-random", "replicas": 1, "description": ".5e5"}, "rt")
@example({"strategy": "dnat-random", "replicas": 1, "application": {"command": ["\x85"]}}, "rt")
@example({"strategy": "dnat-random", "replicas": 1, "description": "0o17"}, "rt")
def test_a_scenario_as_written_loads_as_the_same(folder: Path, structure: dict[str, Any], kind: str) -> None:
    """Complete and in a file's words, whichever way ruamel.yaml dumps it."""
    scenario = load(folder, json.dumps(structure))
    stream = io.StringIO()
    yaml = YAML(typ=kind, pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = False
    yaml.dump(scenario.as_written(), stream)
    assert load(folder, stream.getvalue()) == scenario
