"""Plots of results, as a notebook shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import harness
from harness.errors import ResultError
from harness.notebook.library import Results
from harness.notebook.result import Result

if TYPE_CHECKING:
    from pathlib import Path

    from harness.notebook.plotting import Plot
    from tests.gate.conftest import Stored
    from tests.report.conftest import Measure

_PNG = b"\x89PNG\r\n"


def _texts(plot: Plot) -> str:
    """Give everything that is written in a plot."""
    from matplotlib.text import Text

    return " ".join(text.get_text() for text in plot.figure.findobj(Text))


@pytest.mark.parametrize("kind", ["distribution", "latency", "cdf", "timeline"])
def test_a_result_has_its_plots(stored: Stored, kind: str) -> None:
    """A notebook asks for a picture, and gets one that says whose it is."""
    (result,) = harness.load_results(stored([600, 400]))
    plot = getattr(result.plot, kind)()
    assert plot._repr_png_().startswith(_PNG)
    assert "made-up" in _texts(plot)


@pytest.mark.parametrize("kind", ["latency", "cdf"])
def test_results_are_drawn_in_one_plot(stored: Stored, tmp_path: Path, kind: str) -> None:
    """Each under its name."""
    stored([600, 400])
    stored([400, 600])
    results = harness.load_results(tmp_path / "results")
    texts = _texts(getattr(results.plot, kind)())
    assert all(result.name[:12] in texts for result in results)


@pytest.mark.parametrize("kind", ["matrix", "cost"])
def test_a_suite_has_its_plots(measure: Measure, kind: str) -> None:
    """Of summaries alone; what has none is left out."""
    observed = {"cpu_ns": {"instances": 10**7}}
    written = {"load": {"connections": "per-request"}, "strategy": {"name": "dnat-random"}}
    _, summary = measure([600, 400], observed=observed, as_written=lambda: written)
    results = Results([Result("a", summary=summary), Result("b", summary=summary), Result("killed")])
    plot = getattr(results.plot, kind)()
    assert plot._repr_png_().startswith(_PNG)
    assert "dnat-random" in _texts(plot)


def test_two_sets_of_results_are_compared(measure: Measure) -> None:
    """Under what they are called."""
    _, summary = measure([600, 400])
    results = Results([Result("a", summary=summary)])
    plot = results.plot.slope(results, ("in June", "in July"))
    assert plot._repr_png_().startswith(_PNG)
    assert "in June" in _texts(plot)


@pytest.mark.parametrize("kind", ["matrix", "cost"])
def test_plot_needs_a_result_with_summary(kind: str) -> None:
    """In a line."""
    with pytest.raises(ResultError, match="1 results: none has a summary"):
        getattr(Results([Result("killed")]).plot, kind)()


def test_a_plot_is_saved_as_its_name_says(stored: Stored, tmp_path: Path) -> None:
    """PNG or SVG."""
    (result,) = harness.load_results(stored([600, 400]))
    plot = result.plot.distribution()
    plot.save(tmp_path / "a.png")
    plot.save(str(tmp_path / "a.svg"))
    assert (tmp_path / "a.png").read_bytes().startswith(_PNG)
    assert (tmp_path / "a.svg").read_text("utf-8").rstrip().endswith("</svg>")
    with pytest.raises(ResultError, match="the plot can't be written: No such file"):
        plot.save(tmp_path / "nowhere" / "a.png")


def test_a_plot_says_what_it_lacks(measure: Measure) -> None:
    """A condensed result has no requests to draw the latency of; its distribution can be drawn."""
    _, summary = measure([60, 40])
    result = Result("condensed", summary=summary, suite="some")
    assert result.plot.distribution()._repr_png_().startswith(_PNG)
    with pytest.raises(ResultError, match="condensed: its requests were not kept"):
        result.plot.latency()


@pytest.mark.parametrize("number", [0, 9])
def test_so_many_curves_are_refused_with_what_to_do(stored: Stored, number: int) -> None:
    """None is no plot, and nine can't be told apart."""
    (result,) = harness.load_results(stored([60, 40]))
    with pytest.raises(ResultError, match=f"^{number} results: .* filter the results first"):
        Results([result] * number).plot.latency()
