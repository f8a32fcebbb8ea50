"""What the plots of time, verdicts, cost and change draw, held against the numbers."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.text import Text

from harness.errors import ResultError
from harness.recording.layout import NO_INSTANCE, TIMED_OUT
from harness.report.plots.cost import cost_figure
from harness.report.plots.groups import cpu_in_all
from harness.report.plots.latency import Run, cdf_figure, latencies_figure
from harness.report.plots.matrix import matrix_figure
from harness.report.plots.slope import slope_figure
from harness.report.plots.style import LIGHT
from harness.report.plots.timeline import timeline_figure
from harness.report.plots.vector import svg
from harness.report.plots.windows import in_windows
from harness.summary.events import EventRow
from harness.summary.run import CpuTime
from harness.summary.suite import RunOutcome, ScenarioOutcomes, SuiteSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.recording.table import Recording
    from harness.report.plots.style import Picture
    from harness.summary.run import Summary
    from tests.report.conftest import Measure

S = 10**9


def over(recording: Recording, seconds: float) -> Recording:
    """Spread a recording's requests evenly over so much time."""
    starts = np.linspace(0, seconds * S, len(recording.rows)).astype(np.int64)
    order = np.random.default_rng(1).permutation(len(recording.rows))
    recording.rows[:] = recording.rows[order]
    recording.rows["start_ns"] = recording.rows["intended_start_ns"] = starts
    return recording


def event(at_s: float, action: str, *members: str) -> EventRow:
    return EventRow(
        at_s=at_s,
        action=action,
        members=members,
        took_s=0,
        followed_s=None,
        last_answer_s=None,
        requests=0,
        lost=0,
        errors={},
        last_lost_began_s=None,
        last_error_s=None,
    )


def texts(figure: Picture) -> list[str]:
    return [text for group in figure.tips.values() for text in group]


def words(figure: Picture) -> list[str]:
    """Give all text that is drawn."""
    root = ET.fromstring(svg(figure, "p", "t"))  # noqa: S314  the harness wrote it
    return [element.text or "" for element in root.iter("text")]


def test_every_request_is_in_one_window(measure: Measure) -> None:
    """Rates times widths add up to the counts, errors apart; shares add up to one."""
    recording, _ = measure([300, 500], failed=200)
    windows = in_windows(over(recording, 3))
    widths = np.diff(windows.edges_s)
    assert round(float(windows.per_s @ widths)) == 800
    assert round(float(windows.errors_per_s @ widths)) == 200
    assert windows.shares.sum(axis=1) == pytest.approx(1)
    ends = (recording.rows["start_ns"] + recording.rows["latency_ns"]) / S
    assert windows.edges_s[-1] == pytest.approx(ends.max())
    assert 10 <= len(widths) <= 50


def test_a_window_tells_of_its_own_requests_alone(measure: Measure) -> None:
    """An instance that fails half-way has no share from then on, and latency is of each window's requests."""
    recording, _ = measure([500, 500])
    rows = over(recording, 2).rows
    late = rows["start_ns"] >= S
    rows["instance"][late] = 0
    rows["latency_ns"] = np.where(late, 4_000_000, 1_000_000)
    windows = in_windows(recording)
    before, after = windows.edges_s[1:] <= 1, windows.edges_s[:-1] >= 1.01
    assert (windows.shares[before][:, 1] > 0).all()
    assert (windows.shares[after][:, 1] == 0).all()
    assert set(windows.p50_ms[before]) == {1.0}
    assert set(windows.p99_ms[after]) == {4.0}


def test_each_of_a_few_instances_has_a_line_over_time(measure: Measure) -> None:
    """The lines are the shares of the windows, and the legend names them."""
    recording, summary = measure([300, 500, 200])
    figure = timeline_figure(over(recording, 2), summary)
    drawn = [np.asarray(line.get_ydata()) for line in figure.axes[2].lines[:3]]
    assert pytest.approx(in_windows(recording).shares * 100) == np.array(drawn).T
    assert {"instance-1", "instance-2", "instance-3"} <= set(words(figure))


def test_many_instances_are_drawn_as_a_spread(measure: Measure) -> None:
    """A thousand lines would be one blot: areas and a median take their place."""
    recording, summary = measure([20] * 1000)
    figure = timeline_figure(over(recording, 2), summary)
    assert len(figure.axes[2].lines) == 2
    assert len(figure.axes[2].collections) == 2
    assert {"all instances", "median"} <= set(words(figure))


def test_events_are_lines_with_labels(measure: Measure) -> None:
    """Each event stands where it happened, at the edges, too; no two labels overlap."""
    recording, summary = measure([300, 500])
    events = (
        event(0.0, "start", "instance-2"),
        event(0.01, "kill", "instance-1"),
        event(0.02, "pause", "instance-1", "instance-2"),
        event(2.5, "stop", "instance-2"),
    )
    figure = timeline_figure(over(recording, 2), summary.model_copy(update={"events": events}))
    cover = figure.axes[-1]
    assert [float(np.asarray(line.get_xdata())[0]) for line in cover.lines] == [0.0, 0.01, 0.02, 2.5]
    assert all(axes.get_xlim() == (0.0, 2.5) for axes in figure.axes)
    assert {"start instance-2", "pause 2 instances"} <= set(words(figure))
    assert "0.020 s: pause instance-1, instance-2" in texts(figure)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in cover.texts]
    assert len(boxes) == 4
    assert not any(boxes[i].overlaps(boxes[j]) for i in range(4) for j in range(i))


@pytest.mark.parametrize("counts", [[0, 0], [1, 0], [7]])
def test_hardly_anything_over_time(measure: Measure, counts: list[int]) -> None:
    """No request, one, and one instance make pictures that say so."""
    for failed in (0, 3):
        recording, summary = measure(counts, failed=failed)
        figure = timeline_figure(recording, summary)
        said = words(figure)
        assert ("no request failed" in said) == (failed == 0)
        assert ("no request succeeded" in said) == (sum(counts) == 0)


def test_a_failed_request_of_nobody_has_no_share(measure: Measure) -> None:
    """Requests that no instance is known of take no part in shares."""
    recording, _ = measure([50, 50], failed=100)
    rows = over(recording, 1).rows
    assert (rows["instance"][rows["error"] == TIMED_OUT] == NO_INSTANCE).all()
    shares = in_windows(recording).shares
    assert np.nansum(shares, axis=1)[~np.isnan(shares).any(axis=1)] == pytest.approx(1)


def test_the_distribution_function_reaches_all_requests(measure: Measure) -> None:
    """It begins at the fastest with nothing and ends at the slowest with all, and never falls."""
    recording, summary = measure([3000, 3000])
    (axes,) = cdf_figure([Run("one", recording, summary)]).axes
    x, y = (np.asarray(values) for values in axes.lines[0].get_data())
    latencies = recording.latencies_ns() / 1e6
    assert (x[0], x[-1], y[0], y[-1]) == (latencies.min(), latencies.max(), 0, 100)
    assert (np.diff(y) >= 0).all()
    middle = len(x) // 2
    assert y[middle] == pytest.approx((latencies <= x[middle]).mean() * 100)


def test_equal_latencies_are_a_step(measure: Measure) -> None:
    """Where all requests took as long, there is one jump, in both pictures."""
    recording, summary = measure([30, 30])
    recording.rows["latency_ns"] = 2_000_000
    runs = [Run("one", recording, summary)]
    assert set(np.asarray(cdf_figure(runs).axes[0].lines[0].get_xdata())) == {2.0}
    assert set(np.asarray(latencies_figure(runs).axes[0].lines[0].get_ydata())) == {2.0}


def test_several_runs_are_told_apart(measure: Measure) -> None:
    """Up to eight runs have a colour each and a name, also one without a success; nine are refused."""
    made = [measure([50 * (i + 1), 50]) for i in range(7)] + [measure([0, 0], failed=3)]
    runs = [Run(f"run {i}", recording, summary) for i, (recording, summary) in enumerate(made)]
    for draw in (latencies_figure, cdf_figure):
        figure = draw(runs)
        curves = [line for line in figure.axes[0].lines if str(line.get_label()).startswith("run ")]
        assert len({str(line.get_color()) for line in curves}) == 8
        said = words(figure)
        assert {f"run {i}" for i in range(7)} <= set(said)
        assert "run 7: nothing succeeded" in said
        with pytest.raises(ResultError, match="9 results"):
            draw([*runs, runs[0]])


def named(summary: Summary, strategy: str, **changes: Any) -> Summary:
    return summary.model_copy(update={"strategy": strategy, **changes})


def patches(figure: Picture) -> dict[str, str]:
    """Give each cell's colour by its tip."""
    from matplotlib.colors import to_hex

    (axes,) = figure.axes
    return {
        figure.tips[patch.get_gid() or ""][0]: to_hex(patch.get_facecolor())
        for patch in axes.patches
        if patch.get_gid()
    }


def test_repeats_are_counted_in_one_cell(measure: Measure) -> None:
    """Runs of one strategy under one condition share a cell, which says how many came to what."""
    _, even = measure([5000, 5000])
    _, uneven = measure([600, 400])
    runs = [named(even, "dnat-random")] * 3 + [named(even, "nginx"), named(uneven, "nginx")]
    figure = matrix_figure(runs)
    said = words(figure)
    assert "\N{CHECK MARK} 3 even" in said
    assert {"\N{CHECK MARK} 1 even", "\N{BALLOT X} 1 uneven"} <= set("\n".join(said).split("\n"))
    cells = patches(figure)
    assert cells.pop(next(tip for tip in cells if tip.startswith("dnat-random"))) == LIGHT["even"]
    (tip, colour), *_ = cells.items()
    assert tip.startswith("nginx, 2 replicas: 1 even, 1 uneven; worst deviation")
    assert colour == LIGHT["mixed"]


def test_columns_are_the_conditions(measure: Measure) -> None:
    """Replicas and connections make columns, and whatever else differs between runs."""
    _, two = measure([500, 500])
    _, three = measure([500, 500, 500])
    kept = {"scenario": {"load": {"connections": "keep-alive"}}}
    runs = [named(two, "a", **kept), named(three, "a", **kept), named(two, "a", client="local", **kept)]
    (axes,) = matrix_figure(runs).axes
    assert [label.get_text().split("\n") for label in axes.get_xticklabels()] == [
        ["2 replicas", "keep-alive", "external"],
        ["2 replicas", "keep-alive", "local"],
        ["3 replicas", "keep-alive", "external"],
    ]


def test_options_name_rows_where_they_differ(measure: Measure) -> None:
    """Two ways to use one strategy are two rows."""
    _, summary = measure([500, 500])
    options = [{"name": "haproxy", "policy": policy, "workers": 2} for policy in ("random", "round-robin")]
    runs = [named(summary, "haproxy", scenario={"strategy": option}) for option in options]
    (axes,) = matrix_figure(runs).axes
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["haproxy policy=random", "haproxy policy=round-robin"]


def outcome(verdict: Any, reason: str = "", passed: bool | None = True) -> RunOutcome:
    return RunOutcome(verdict=verdict, reason=reason, passed=passed, status=0, round=1, seconds=1)


def suite(scenarios: Sequence[tuple[str, str, int | None, Sequence[RunOutcome]]]) -> SuiteSummary:
    return SuiteSummary(
        name="a suite",
        seed=1,
        repeat=1,
        order=(),
        interrupted=False,
        passed=True,
        scenarios=tuple(
            ScenarioOutcomes(
                name=name,
                strategy=strategy,
                expect=None,
                replicas=count,
                unit=None,
                repeat=1,
                outcomes=tuple(outcomes),
            )
            for name, strategy, count, outcomes in scenarios
        ),
    )


def test_a_suite_shows_what_never_ran() -> None:
    """Skipped and not possible have cells that are no verdict's, and say why when pointed at."""
    figure = matrix_figure(
        suite(
            [
                ("ipvs-rr-2-keep-alive", "ipvs-rr", 2, [outcome("skipped", "no module ip_vs", None)]),
                ("ipvs-rr-10-keep-alive", "ipvs-rr", 10, [outcome("even")]),
                ("direct-2-keep-alive", "direct", None, [outcome("not possible", "takes one", None)]),
                ("direct-10-keep-alive", "direct", 10, [outcome("refused"), outcome("failed", "<b>", False)]),
            ]
        )
    )
    cells = patches(figure)
    assert cells["ipvs-rr, 2 replicas, keep-alive: skipped; no module ip_vs"] == LIGHT["paper"]
    assert cells["direct, 2 replicas, keep-alive: not possible; takes one"] == LIGHT["paper"]
    assert cells["ipvs-rr, 10 replicas, keep-alive: even"] == LIGHT["even"]
    assert cells["direct, 10 replicas, keep-alive: 1 failed, 1 refused; <b>"] == LIGHT["mixed"]


def test_matrix_needs_a_result() -> None:
    with pytest.raises(ResultError, match="at least one"):
        matrix_figure([])


def test_cost_plot_counts_nothing_twice() -> None:
    """Processes are added up; the kernel's time is in theirs already, and who is not there costs nothing."""
    assert cpu_in_all(CpuTime(proxy=10, kernel=99, instances=20, generator=5)) == 35
    assert cpu_in_all(CpuTime(engine=1, instances=20)) == 21
    assert cpu_in_all(CpuTime(kernel=99)) is None


def costing(summary: Summary, strategy: str, cpu_us: float) -> Summary:
    return named(summary, strategy, cpu_us_per_request=CpuTime(instances=cpu_us - 1, generator=1))


def test_cost_stands_at_the_medians(measure: Measure) -> None:
    """Repeats make one mark, with their ranges; its tip has the numbers."""
    summaries = [measure([1000 + change, 1000 - change])[1] for change in (10, 30, 50)]
    runs = [costing(summary, "dnat", cpu) for summary, cpu in zip(summaries, (30, 40, 60), strict=True)]
    figure = cost_figure(runs)
    (axes,) = figure.axes
    mark = next(line for line in axes.lines if line.get_gid())
    assert (np.asarray(mark.get_xdata())[0], np.asarray(mark.get_ydata())[0]) == pytest.approx((40, 3))
    assert "dnat: even, 3 runs; 40.0 (30.0 to 60.0) µs a request" in texts(figure)[0]
    assert "worst deviation 3.0 (1.0 to 5.0) %" in texts(figure)[0]
    across = next(line for line in axes.lines if len(np.asarray(line.get_xdata())) == 2)
    assert list(np.asarray(across.get_xdata())) == [30, 60]


def test_conditions_have_panels_of_their_own(measure: Measure) -> None:
    """What can't be compared is not drawn into one panel."""
    _, two = measure([1000, 1000])
    _, three = measure([1000, 1000, 1000])
    figure = cost_figure([costing(two, "a", 10), costing(three, "a", 20)])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["2 replicas", "3 replicas"]


def test_labels_of_cost_do_not_overlap(measure: Measure) -> None:
    """Strategies that cost much the same can be read all the same."""
    _, summary = measure([1000, 1010])
    runs = [costing(summary, f"strategy-{number}", 50 + number / 10) for number in range(12)]
    figure = cost_figure(runs)
    figure.canvas.draw()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 12
    assert not any(boxes[i].overlaps(boxes[j]) for i in range(12) for j in range(i))


def test_labels_of_cost_at_zero_are_a_staircase(measure: Measure) -> None:
    """Strategies that take turns stand in a row at zero; their names are above each other."""
    _, summary = measure([1000, 1000])
    runs = [costing(summary, f"strategy-{number}", 100 + number) for number in range(6)]
    figure = cost_figure([*runs, costing(summary, "far-away", 300)])
    figure.canvas.draw()
    (axes,) = figure.axes
    boxes = {text.get_text(): Text.get_window_extent(text) for text in axes.texts}
    left = [boxes[f"strategy-{number}"].x0 for number in range(6)]
    height = [boxes[f"strategy-{number}"].y0 for number in range(6)]
    assert left == sorted(left)
    assert height == sorted(height, reverse=True)
    assert boxes["far-away"].y0 == pytest.approx(height[-1])
    every = [*boxes.values()]
    assert not any(every[i].overlaps(every[j]) for i in range(7) for j in range(i))


def test_cost_needs_a_cost(measure: Measure) -> None:
    """Without processor times there is no picture, and a line that says so."""
    _, summary = measure([10, 10])
    with pytest.raises(ResultError, match="needs both"):
        cost_figure([summary])


def test_slopes_lead_from_share_to_share(measure: Measure) -> None:
    """Each instance's line begins at its share before and ends at that after."""
    _, before = measure([600, 400])
    _, after = measure([450, 550])
    figure = slope_figure("before", [before], "after", [after])
    lines = [list(np.asarray(line.get_ydata())) for line in figure.axes[0].lines]
    assert lines == [pytest.approx([60, 45]), pytest.approx([40, 55])]
    assert "instance-1: 60.00 % before, 45.00 % after" in texts(figure)
    assert "one run on a side: no interval can be given" in words(figure)


def test_ratios_have_intervals_where_runs_repeat(measure: Measure) -> None:
    """The ratio is that of `compare`, and its interval is drawn."""
    from harness.stats.comparison import compare

    _, summary = measure([600, 400])
    sides = [[costing(summary, "a", cpu) for cpu in costs] for costs in ((10, 11, 12), (20, 22, 27))]
    figure = slope_figure("a", sides[0], "b", sides[1])
    expected = compare([10, 11, 12], [20, 22, 27], summary.confidence)
    assert expected is not None
    assert expected.ratio is not None
    row = [label.get_text() for label in figure.axes[1].get_yticklabels()].index("CPU a request")
    drawn = {
        np.asarray(line.get_ydata())[0]: np.asarray(line.get_xdata())[0]
        for line in figure.axes[1].lines
        if line.get_gid()
    }
    assert drawn[row] == pytest.approx(expected.ratio)
    assert any(f"{expected.ratio_low:.3g} to {expected.ratio_high:.3g}" in text for text in texts(figure))


def test_slope_needs_the_same_instances(measure: Measure) -> None:
    """Two results with different instances share no line, but their ratios can be drawn."""
    _, two = measure([600, 400])
    _, three = measure([600, 400, 300])
    figure = slope_figure("a", [two], "b", [three])
    assert not figure.axes[0].lines
    assert "they have other" in "\n".join(words(figure))
    assert figure.axes[1].lines
    with pytest.raises(ResultError, match="one of these is empty"):
        slope_figure("a", [two], "b", [])


def test_slope_needs_counts(measure: Measure) -> None:
    _, none = measure([0, 0], failed=2)
    _, some = measure([5, 5])
    figure = slope_figure("a", [none], "b", [some])
    assert "none of the connections" in "\n".join(words(figure))


def test_names_of_instances_find_room(measure: Measure) -> None:
    """Twelve instances with much the same share are named at their lines, none over another."""
    _, before = measure([100] * 12)
    _, after = measure([100, 101, 100, 99, 100, 100, 101, 99, 100, 100, 100, 200])
    figure = slope_figure("a", [before], "b", [after])
    figure.canvas.draw()
    # Of the text alone: an annotation counts its line as a part of it.
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]
    assert len(boxes) == 12
    assert not any(boxes[i].overlaps(boxes[j]) for i in range(12) for j in range(i))
