"""The imports of the analysis, which go on while hosts start and load warms up."""

from __future__ import annotations

from functools import cache
from importlib import import_module

# Judging and drawing take two seconds to import: they are imported while others are busy.
_ANALYSIS = (
    "harness.recording.spool",
    "harness.recording.table",
    "harness.analysis.summarise",
    "harness.analysis.routes",
    "harness.analysis.early_stop",
    "harness.report.plots.stored",
    "harness.report.terminal",
    "pyarrow.parquet",
)


@cache  # once in a process: runs that follow have it
def prepare_analysis() -> None:
    """Import what judges and draws."""
    for module in _ANALYSIS:
        import_module(module)
    import_module("harness.report.plots.save").warm_up()
