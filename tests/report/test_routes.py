"""Results of several routes: what their readers are shown, and what checks say of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness.notebook.frames import (
    distribution_frame,
    requests_frame,
    routes_frame,
    timeline_by_instance_frame,
)
from harness.report.plots.distribution import distribution_figure
from harness.report.plots.vector import svg
from harness.report.plots.windows import in_windows
from harness.report.terminal import verdict_line
from harness.results.folder import PendingResult
from tests.helpers.routes import SHARES, counts_of, judged, routed_recording, routed_scenario
from tests.report.test_terminal import rendered

if TYPE_CHECKING:
    from pathlib import Path

    from harness.recording.table import Recording
    from harness.summary.run import Summary
    from tests.conftest import Harness

_EVEN = counts_of(9000, 9000, 4000, 4000, 4000)
_ASTRAY = _EVEN | {(0, 3): 5}


@pytest.fixture
def recording() -> Recording:
    """Make up an even run in which five requests went astray."""
    return routed_recording(_ASTRAY)


@pytest.fixture
def summary(recording: Recording, tmp_path: Path) -> Summary:
    """Judge it."""
    return judged(routed_scenario(tmp_path), recording)


def test_the_table_says_whose_instances_are_and_how_each_route_fared(summary: Summary) -> None:
    """And what went astray, in a line of its own."""
    text = " ".join(rendered(summary, width=200).split())
    assert "instance connections requests of route" in text
    assert re.search(r"api-1 [\d,]+ 9,000 50\.00 %", text)
    assert (
        "route api (/api): 18,005 requests (60.01 %), even; chi-square 0.00, p = 1; p50 1 µs p99 1 µs" in text
    )
    assert "chi-square 0.00, 3 degrees of freedom, p = 1: that of all routes together" in text
    assert "misrouted instances of another route answered 5 requests: 5 of api" in text
    assert "5 instances, 2 routes, worst deviation" in verdict_line(summary)
    assert "5 misrouted" in verdict_line(summary)


def test_plots_show_shares_of_a_route(recording: Recording, summary: Summary) -> None:
    """Not of all requests: what is even looks even; a line parts one route from the other."""
    drawn = svg(distribution_figure(summary), "p", "shares")
    assert "share of its route's requests (%)" in drawn
    assert "api-1: 9,000 of 18,000 requests, 50.00 %" in drawn
    shares = in_windows(recording).shares
    assert abs(shares - SHARES).max() < 0.1


def test_tables_of_a_notebook_have_the_routes(recording: Recording, summary: Summary) -> None:
    """A column of each request and each instance, and a table of their own."""
    assert requests_frame(recording)["route"].value_counts().to_dict() == {"api": 18_005, "web": 12_000}
    assert distribution_frame(summary)["route"].tolist() == ["api", "api", "web", "web", "web"]
    routes = routes_frame(summary)
    for column, values in (("path", ["/api", "/"]), ("requests", [18_005, 12_000]), ("misrouted", [5, 0])):
        assert routes[column].tolist() == values
    assert routes["expected_percent"].tolist() == [75, 25]
    (window,) = timeline_by_instance_frame(recording, 60)["share_percent"].to_numpy().reshape(-1, 5)
    assert window == pytest.approx([50, 50, 33.3, 33.3, 33.3], abs=0.1)


@pytest.mark.parametrize(
    ("counts", "options", "status", "said"),
    [
        (_EVEN, (), 0, "even, as expected: on each of 2 routes"),
        (_ASTRAY, (), 1, "instances of another route answered 5 requests: 5 of api"),
        (_EVEN, ("--tolerance", "20%"), 0, "even, as expected: route api: every instance's share"),
        (_EVEN, ("--tolerance", "1%"), 3, "route api: 18,000 requests are too few to tell at 1 % tolerance"),
        (counts_of(9000, 9000, 4000, 5000, 3000), ("--tolerance", "20%"), 1, "route web: web-2's share"),
    ],
)
def test_a_check_asks_of_each_route(  # noqa: PLR0913, PLR0917  a case and where it happens
    counts: dict[tuple[int, int], int],
    options: tuple[str, ...],
    status: int,
    said: str,
    tmp_path: Path,
    harness: Harness,
) -> None:
    """By another tolerance, too; what went astray passes by none."""
    recording = routed_recording(counts)
    summary = judged(routed_scenario(tmp_path), recording)
    with PendingResult(tmp_path / "results", "two") as pending:
        pending.write_recording(recording)
        pending.write_summary(summary)
        folder = pending.commit()
    found = harness("check", folder, *options)
    assert (found.exit_code, said in " ".join(found.stdout.split())) == (status, True), found.stdout


def test_the_page_has_a_table_of_routes(
    summary: Summary, recording: Recording, tmp_path: Path, harness: Harness
) -> None:
    """Beside a column of the instances' table; what went astray is the first thing to look at."""
    with PendingResult(tmp_path / "results", "two") as pending:
        pending.write_recording(recording)
        pending.write_summary(summary)
        folder = pending.commit()
    assert harness("report", folder, "--output", tmp_path / "page.html").exit_code == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert re.search(r"<caption[^>]*>Routes</caption>", page)
    assert "Requests reached the wrong application" in page
    assert "30,005 requests went to 5 instances of 2 routes" in page
