"""How results look in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import harness
from harness.notebook.library import Results
from harness.notebook.result import Result
from harness.summary.run import Summary

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gate.conftest import Stored
    from tests.report.conftest import Measure

_VOID = {"br"}


class _Page(HTMLParser):
    """Collects text and tags, and checks that what is opened is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: set[str] = set()
        self._open: list[str] = []
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002  the interface
        self.tags.add(tag)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def _page(shown: Result | Results) -> _Page:
    return _Page(shown._repr_html_())


def test_the_verdict_comes_first(stored: Stored) -> None:
    """Then why, and the figures."""
    (result,) = harness.load_results(stored([9000, 1000]))
    text = _page(result).text.split()
    assert text[:2] == ["\N{MULTIPLICATION X}", "uneven"]
    assert {"instance-1", "9,000", "90.00", "+80.00"} <= set(text)


def test_names_from_outside_are_harmless(measure: Measure) -> None:
    """An instance names itself, and a warning quotes a program: neither becomes a part of the page."""
    hostile = "<script>alert(1)</script>&amp;\x1b[31m"
    _, summary = measure([50, 40], names=[hostile, "<img src=x onerror=alert(2)>"])
    summary = summary.model_copy(update={"warnings": (hostile,), "reason": hostile, "strategy": hostile})
    page = _page(Result(hostile, summary=summary))
    assert page.tags <= {"div", "p", "strong", "br", "small", "table", "tbody", "thead", "tr", "th", "td"}
    assert page.text.count("<script>alert(1)</script>&amp;\\x1b[31m") == 5
    assert "\x1b" not in page.text
    assert _page(Results([Result(hostile, summary=summary)])).tags <= page.tags


def test_a_result_of_many_instances_stays_short(measure: Measure) -> None:
    """Twenty are shown, and how many are not."""
    _, summary = measure([10] * 50)
    text = _page(Result("many", summary=summary)).text
    assert "instance-20" in text
    assert "instance-21 " not in text
    assert "30 more instances are in .distribution" in text


def test_a_result_without_a_summary_says_so(tmp_path: Path) -> None:
    """An incomplete one is shown as what it is."""
    text = _page(Result("x-incomplete", tmp_path)).text
    assert "no verdict" in text
    assert "there is no summary" in text


def test_results_are_a_table_with_a_row_each(stored: Stored, tmp_path: Path) -> None:
    """With the verdict in words, not by colour alone."""
    stored([5000, 5000])
    stored([9000, 1000])
    page = _page(harness.load_results(tmp_path / "results"))
    assert "2 results" in page.text
    assert page.text.count("uneven") == 1
    assert page.text.count("even") == 2


def test_of_very_many_results_the_first_are_shown(measure: Measure) -> None:
    """A cell that ends with a suite of three hundred runs does not fill the screen for ever."""
    _, summary = measure([50, 50])
    assert isinstance(summary, Summary)
    text = _page(Results([Result(f"r{number}", summary=summary) for number in range(120)])).text
    assert "r19 " in text
    assert "r20 " not in text
    assert "100 more are in .table()" in text
