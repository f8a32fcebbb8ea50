"""What strategies say of themselves, on a terminal and as a page."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from harness.engines import ENGINES
from harness.report.strategies import render_strategies, strategies_page
from harness.strategies import find_strategy, strategy_names

if TYPE_CHECKING:
    from harness.strategies.base import Strategy

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def strategies() -> list[type[Strategy]]:
    return [find_strategy(name) for name in strategy_names()]


def test_every_strategy_says_all_there_is_to_say(strategies: list[type[Strategy]]) -> None:
    """No name is another's, and nothing that the page shows is empty."""
    assert [strategy.name for strategy in strategies] == strategy_names()
    for strategy in strategies:
        said = (strategy.summary, strategy.unit, strategy.policy, strategy.predicted, strategy.packet_path)
        assert all(said), strategy.name
        assert strategy.caveats.strip().startswith("- "), strategy.name
        assert any(map(strategy.runs_on, ENGINES.names())), strategy.name


def test_the_stored_page_is_fresh(strategies: list[type[Strategy]]) -> None:
    """`make docs` writes it anew."""
    assert (_ROOT / "docs" / "strategies.md").read_text(encoding="utf-8") == strategies_page(strategies)


def test_the_page_explains_every_option(strategies: list[type[Strategy]]) -> None:
    """A row for each, with the values that it can have and what it is for."""
    page = strategies_page(strategies)
    assert "| `policy` | `random`, `cpu` | `random` | A random socket, or " in page
    for strategy in strategies:
        for name, field in strategy.options_model.model_fields.items():
            assert field.description, f"{strategy.name}: {name}"


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_tables_name_every_strategy_at_any_width(strategies: list[type[Strategy]], width: int) -> None:
    """Names stay whole, so that they can be copied."""
    console = Console(file=io.StringIO(), width=width)
    render_strategies(strategies, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    for name in strategy_names():
        assert sum(line.startswith(f"  {name} ") for line in lines) == 2
    assert max(map(len, lines)) <= width


def test_the_page_sorts_every_strategy_by_how_it_works(strategies: list[type[Strategy]]) -> None:
    """Its first table has each one once, and none that isn't there."""
    first_table = strategies_page(strategies).split("- **unit**")[0]
    named = [
        name for line in first_table.splitlines() if line.startswith("|") for name in line.split("`")[1::2]
    ]
    assert sorted(named) == strategy_names()
