"""Plots of runs and suites: figures, and what makes PNG, SVG and elements of a page of them."""

from harness.report.plots.distribution import distribution_figure
from harness.report.plots.latency import MOST_RUNS, Run, cdf_figure, latencies_figure, latency_figure
from harness.report.plots.style import DARK, LIGHT, NAMED_UP_TO, Picture, save, tip, warm_up
from harness.report.plots.vector import document, svg

__all__ = [
    "DARK",
    "LIGHT",
    "MOST_RUNS",
    "NAMED_UP_TO",
    "Picture",
    "Run",
    "cdf_figure",
    "distribution_figure",
    "document",
    "latencies_figure",
    "latency_figure",
    "save",
    "svg",
    "tip",
    "warm_up",
]
