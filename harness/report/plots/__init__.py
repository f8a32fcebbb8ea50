"""The kinds of plots, by name; each is one file of this package.

Those of other packages are found through the entry-point group ``harness.plots``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.common.registry import Registry
from harness.errors import ResultError

if TYPE_CHECKING:
    from harness.report.plots.kind import PlotKind

_BUILT_IN = {
    "distribution": "harness.report.plots.distribution:DISTRIBUTION",
    "latency": "harness.report.plots.latency:LATENCY",
    "cdf": "harness.report.plots.latency:CDF",
    "timeline": "harness.report.plots.timeline:TIMELINE",
    "matrix": "harness.report.plots.matrix:MATRIX",
    "cost": "harness.report.plots.cost:COST",
    "slope": "harness.report.plots.slope:SLOPE",
}

PLOTS: Registry[PlotKind] = Registry("plot", "harness.plots", _BUILT_IN, ResultError)


def plot_kinds() -> list[PlotKind]:
    """List every kind of plot, by name."""
    return [PLOTS.find(name) for name in PLOTS.names()]
