"""The pictures that a run leaves in its result's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report.plots.distribution import distribution_figure
from harness.report.plots.latency import latency_figure
from harness.report.plots.save import png

if TYPE_CHECKING:
    from harness.recording.table import Recording
    from harness.summary.run import Summary


def pictures(recording: Recording, summary: Summary) -> dict[str, bytes]:
    """Draw a run's distribution and latency; gives the PNG files' names and what they hold."""
    return {
        "distribution.png": png(distribution_figure(summary)),
        "latency.png": png(latency_figure(recording, summary)),
    }
