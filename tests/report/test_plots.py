from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.report.plots.distribution import distribution_figure
from harness.report.plots.latency import latency_figure
from harness.report.plots.save import save

if TYPE_CHECKING:
    from pathlib import Path

    from tests.report.conftest import Measure

QUIET = """
import os, sys
from pathlib import Path
from harness.report.plots.save import save
from harness.report.plots.style import new_figure
save(new_figure(2, 2), Path(sys.argv[1]))
print(os.environ["MPLCONFIGDIR"])
"""


@pytest.mark.parametrize("replicas", [1, 2, 10, 40, 41, 1000])
def test_any_number_of_instances_can_be_drawn(tmp_path: Path, measure: Measure, replicas: int) -> None:
    """Both pictures are PNGs of a bounded size, for one instance as for a thousand."""
    counts = np.random.default_rng(replicas).poisson(50, replicas)
    recording, summary = measure(counts.tolist())
    for figure in (distribution_figure(summary), latency_figure(recording, summary)):
        save(figure, tmp_path / "figure.png")
        assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
        assert figure.get_size_inches().max() < 12


def test_each_of_a_few_instances_has_name_and_deviation(measure: Measure) -> None:
    """Up to forty instances stand by name, with their deviation beside, under the verdict."""
    _, summary = measure([600, 400])
    (axes,) = distribution_figure(summary).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["instance-1", "instance-2"]
    assert axes.get_title() == "made-up: uneven"
    assert axes.get_xlabel() == "share of the connections (%)"
    assert [label.get_text() for label in axes.child_axes[0].get_yticklabels()] == ["+20.0 %", "-20.0 %"]


def test_names_are_drawn_as_they_are(tmp_path: Path, measure: Measure) -> None:
    """Dollar signs are no mathematics, unknown glyphs no warning, long names no obstacle."""
    names = ["$x^", "\u6f22" * 9, "n" * 200, "\x1b\n"]
    _, summary = measure([5, 6, 7, 8], names=names, name="$\\frac{")
    save(distribution_figure(summary), tmp_path / "figure.png")


def test_unequal_expected_shares_can_be_drawn(tmp_path: Path, measure: Measure) -> None:
    """Each instance has an expectation and a band of its own, few or many."""
    for replicas in (3, 60):
        weights = np.arange(1, replicas + 1)
        shares = (weights / weights.sum()).tolist()
        _, summary = measure((weights * 10).tolist(), observed={"shares": shares})
        save(distribution_figure(summary), tmp_path / "figure.png")


@pytest.mark.parametrize("counts", [[0, 0], [1, 0]])
def test_hardly_anything_can_be_drawn(tmp_path: Path, measure: Measure, counts: list[int]) -> None:
    """No request and a single one are pictures too."""
    for failed in (0, 3):
        recording, summary = measure(counts, failed=failed)
        save(distribution_figure(summary), tmp_path / "distribution.png")
        save(latency_figure(recording, summary), tmp_path / "latency.png")


def test_the_latency_curve_ends_at_the_slowest_request(measure: Measure) -> None:
    """No request is left out of the curve: its last point is the maximum, its first the minimum."""
    recording, summary = measure([3000, 3000])
    (axes,) = latency_figure(recording, summary).axes
    drawn = np.asarray(axes.lines[0].get_ydata())
    latencies = recording.latencies_ns() / 1e6
    assert drawn[-1] == latencies.max()
    assert drawn[0] == latencies.min()
    assert (np.diff(drawn) >= 0).all()


def test_marks_are_the_summarys_quantiles(measure: Measure) -> None:
    """The labelled points show the numbers that the summary says."""
    recording, summary = measure([3000, 3000])
    (axes,) = latency_figure(recording, summary).axes
    marks = [float(np.asarray(line.get_ydata())[0]) for line in axes.lines[1:]]
    quantiles = summary.latency_ns
    expected = [quantiles.p50, quantiles.p90, quantiles.p99, quantiles.p99_9, quantiles.max]
    assert marks == [value / 1e6 for value in expected if value is not None]


def test_plots_without_a_home_print_no_warning(tmp_path: Path) -> None:
    """Without a writable home nothing is said on standard error, and no folder is left behind."""
    (tmp_path / "home").write_text("no folder")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "MPL"))}
    run = subprocess.run(
        [sys.executable, "-c", QUIET, str(tmp_path / "figure.png")],
        env=kept | {"HOME": str(tmp_path / "home"), "TMPDIR": str(temporary)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert run.stderr == ""
    assert run.stdout.startswith(str(temporary))
    assert list(temporary.iterdir()) == []


def test_summary_and_results_need_no_plots() -> None:
    """Whoever reads results waits for none of the big libraries."""
    code = (
        "import sys, harness.summary.run, harness.results.folder;"
        "print([name for name in ('matplotlib', 'scipy', 'pyarrow', 'pandas') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "[]\n"
