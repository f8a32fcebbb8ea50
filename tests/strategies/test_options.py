"""The options of every strategy that there is: wrong ones are refused, defaults can be written out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import ScenarioError
from harness.scenario import load_scenario
from harness.strategies import find_strategy, strategy_names

if TYPE_CHECKING:
    from pathlib import Path

_OPTIONS = [
    (name, option) for name in strategy_names() for option in find_strategy(name).options_model.model_fields
]


def _refused(tmp_path: Path, strategy: str) -> str:
    path = tmp_path / "x.yaml"
    path.write_text(f"strategy: {{name: {strategy}}}\nreplicas: 1\n")
    with pytest.raises(ScenarioError) as refused:
        load_scenario(path)
    return str(refused.value)


@pytest.mark.parametrize("name", strategy_names())
def test_an_option_that_a_strategy_has_not_is_refused_by_name(tmp_path: Path, name: str) -> None:
    """The message says where it stands, and what there is."""
    words = _refused(tmp_path, f"{name}, colour: blue")
    assert f"x.yaml:1:{20 + len(name)}: unknown key 'strategy.colour' (keys: name" in words
    assert len(words.splitlines()) == 1


@pytest.mark.parametrize(("name", "option"), _OPTIONS)
def test_a_value_that_an_option_cannot_have_is_refused_in_one_line(
    tmp_path: Path, name: str, option: str
) -> None:
    """A mapping is no value of any of them."""
    words = _refused(tmp_path, f"{name}, {option}: {{a: b}}")
    assert f"strategy.{option}: " in words
    assert len(words.splitlines()) == 1


@pytest.mark.parametrize("name", strategy_names())
def test_a_strategy_with_all_its_defaults_written_out_is_the_same(tmp_path: Path, name: str) -> None:
    """A result holds the complete scenario; it can be run again."""
    path = tmp_path / "x.yaml"
    engine = "process" if find_strategy(name).runs_on("process") else "docker"
    path.write_text(f"strategy: {name}\nreplicas: 1\nengine: {engine}\n")
    chosen = load_scenario(path).strategy
    written = ", ".join(f"{key}: {str(value).lower()}" for key, value in chosen.model_dump().items())
    path.write_text(f"strategy: {{{written}}}\nreplicas: 1\nengine: {engine}\n")
    assert load_scenario(path).strategy == chosen
