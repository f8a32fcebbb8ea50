"""Plots of runs and suites: figures, and what makes PNG, SVG and elements of a page of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from harness.report.plots.distribution import distribution_figure
from harness.report.plots.latency import MOST_RUNS, Run, cdf_figure, latencies_figure, latency_figure
from harness.report.plots.style import DARK, LIGHT, NAMED_UP_TO, Picture, save, tip, warm_up

if TYPE_CHECKING:
    from harness.report.plots.cost import cost_figure
    from harness.report.plots.matrix import matrix_figure
    from harness.report.plots.slope import slope_figure
    from harness.report.plots.timeline import timeline_figure
    from harness.report.plots.vector import document, svg

# What a run does not draw is imported when it is first asked for.
_ELSEWHERE: Final = {
    "cost_figure": "cost",
    "document": "vector",
    "matrix_figure": "matrix",
    "slope_figure": "slope",
    "svg": "vector",
    "timeline_figure": "timeline",
}

__all__ = [
    "DARK",
    "LIGHT",
    "MOST_RUNS",
    "NAMED_UP_TO",
    "Picture",
    "Run",
    "cdf_figure",
    "cost_figure",
    "distribution_figure",
    "document",
    "latencies_figure",
    "latency_figure",
    "matrix_figure",
    "save",
    "slope_figure",
    "svg",
    "timeline_figure",
    "tip",
    "warm_up",
]


def __getattr__(name: str) -> Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
