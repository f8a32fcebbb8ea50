"""The page on statistics shows what the functions do."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

from harness.stats.planning import units_needed

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"


def test_every_example_of_the_page_comes_out_as_printed() -> None:
    """A reader who types one in gets what stands there."""
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 50
    assert failed == 0


def test_the_plans_of_the_page_are_the_functions() -> None:
    """The table of units is what `harness plan` would say."""
    row = r"^\| (\d+) % \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$"
    table = re.findall(row, PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(table) == 5
    for tolerance, *units in table:
        planned = [units_needed([1 / n] * n, int(tolerance) / 100, 0.95) for n in (2, 10, 100)]
        assert [int(number.replace(",", "")) for number in units] == planned


def test_the_measured_error_rates_are_within_what_is_promised() -> None:
    """The page's table keeps to 5 %, but for the noise of its simulations, wherever units are counted."""
    text = PAGE.read_text("utf-8")
    found = re.search(r"; [\d,]+ simulations a cell, ([\d,]+) with early", text)
    assert found is not None
    noise = 3 * (0.05 * 0.95 / int(found[1].replace(",", ""))) ** 0.5
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    rates = {
        (row[0], row[1]): float(row[8][:-1]) / 100 for row in rows if len(row) == 9 and row[8][-1] == "%"
    }
    assert len(rates) == 51
    for (case, _), wrong in rates.items():
        assert case.startswith("*mistake shown") or wrong <= 0.05 + noise
