from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from harness.report.progress import Progress
from harness.report.terminal import render_summary, verdict_line
from harness.summary.run import Generator, Lag, LatencyIntervals
from harness.summary.tests import SequentialSummary

if TYPE_CHECKING:
    from harness.summary.run import Summary
    from tests.report.conftest import Measure

FOLDER = Path("/somewhere/results/made-up-20260101-000000")

BROKEN = """
import sys
from harness.report.progress import Progress
progress = Progress()
sys.stdin.read()
progress.phase("provisioning")
progress.phase("load")
progress.live(1, 2, 3, rate_per_s=4, errors=5)
progress.close()
print("survived")
"""


def rendered(summary: Summary, width: int = 80, encoding: str = "utf-8", *, color: bool = False) -> str:
    """Give what is printed to a file of that encoding, or to a terminal with colours."""
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding) as file:
        console = Console(
            file=file, width=width, force_terminal=color, color_system="standard" if color else None
        )
        render_summary(summary, FOLDER, console)
        file.flush()
        return raw.getvalue().decode(encoding)


def test_everything_that_was_found_is_said(measure: Measure) -> None:
    """Counts, shares, tests, latency, errors, witnesses, generator, warnings, verdict and folder appear."""
    kernel = {"instance-1": (6000, None), "instance-2": (5000, None)}
    _, summary = measure(
        [6000, 5000], failed=3, observed={"warnings": ["look out"], "tables": {"kernel": kernel}}
    )
    text = rendered(summary)
    for part in (
        "6,000",
        "54.55 %",
        "50.00 %",
        "+9.1 %",
        "1 degree of freedom",
        "p < 0.0001",
        "p99.9 ",
        "11,000 requests/s",
        "3 timed_out",
        "client = kernel",
        "45 % of a core",
        "look out",
        f"{summary.verdict}: ",
        str(FOLDER),
    ):
        assert part in text


def test_latency_says_how_sure_it_is(measure: Measure) -> None:
    """Intervals of the p50 and the p99 stand below the quantiles, a unit once where both ends have it."""
    _, summary = measure([6000, 5000])
    for p50, p99, line in (
        ((978_100, 985_900), (985_900, 1_013_000), "p50 978 - 986 µs, p99 986 µs - 1.01 ms"),
        (None, (3_110_000, 3_190_000), "p50 not to be had, p99 3.11 - 3.19 ms"),
    ):
        intervals = LatencyIntervals(p50=p50, p99=p99)
        text = rendered(summary.model_copy(update={"latency_intervals_ns": intervals}))
        assert f"            95 % intervals: {line} " in text
    unknown = summary.model_copy(update={"latency_intervals_ns": LatencyIntervals()})
    assert "            no intervals: requests are too few" in rendered(unknown)


def test_inconclusive_verdict_states_missing_units_and_time(measure: Measure) -> None:
    """An inconclusive verdict says how many more units it takes, and how long they do."""
    _, summary = measure([79, 71], observed={"wall_ns": 10**9})
    assert summary.tests.tolerance.more_units == 1090
    for seconds, said in (
        (7.26, "should decide it if the shares turn out as expected (they take 7.3 s at the measured rate)"),
        (9000.0, "(they take 2.5 h at the measured rate)"),
        (None, "(a longer load alone would bring none; see load.connections)"),
    ):
        slower = summary.tests.tolerance.model_copy(update={"more_seconds": seconds})
        tests = summary.tests.model_copy(update={"tolerance": slower})
        assert said in " ".join(rendered(summary.model_copy(update={"tests": tests}), 200).split())


def test_terminal_output_fits_eighty_columns(measure: Measure) -> None:
    """No line but the folder's is wider than the terminal."""
    for width in (40, 80):
        _, summary = measure([1_000_000 // 100] * 100, name="n" * 60)
        lines = rendered(summary, width).splitlines()
        assert max(len(line) for line in lines if str(FOLDER) not in line) <= width


def test_many_instances_are_shown_at_both_ends(measure: Measure) -> None:
    """Of more than 40 instances, the ten lowest and ten highest are shown, and the rest is counted."""
    _, summary = measure(range(1000, 1041))
    text = rendered(summary)
    table, _ = text.split("chi-square")
    shown = [line.split()[0] for line in table.splitlines() if "instance-" in line]
    assert shown == [f"instance-{i}" for i in (*range(1, 11), *range(32, 42))]
    assert "21 instances" in text


def test_forty_instances_are_shown_in_order(measure: Measure) -> None:
    """Up to 40, every instance has its line, in the scenario's order."""
    _, summary = measure(range(1040, 1000, -1))
    shown = [line.split()[0] for line in rendered(summary).splitlines() if "instance-" in line]
    assert shown[:40] == [f"instance-{i}" for i in range(1, 41)]


def test_names_from_outside_can_neither_paint_nor_ring(measure: Measure) -> None:
    """Markup, control characters and direction overrides in names are shown, not obeyed."""
    names = ["[red]a[/red]", "b\x1b[31m\a", "c\u202ed\nnext"]
    _, summary = measure([900, 50, 50], names=names, observed={"warnings": ["[bold]\x1b]0;title\a"]})
    text = rendered(summary, width=120)
    assert "[red]a[/red]" in text
    assert "b\\x1b[31m\\x07" in text
    assert "c\\u202ed\\nnext" in text
    assert "[bold]\\x1b]0;title" in text
    assert "\x1b" not in text
    assert "\x1b" not in verdict_line(measure([1], name="\x1b[31m")[1])


def test_an_encoding_without_boxes_gets_none(measure: Measure) -> None:
    """Plain ASCII is enough, for frames, for units and for names."""
    text = rendered(measure([50, 50], names=["zażółć", "b"])[1], width=120, encoding="ascii")
    assert "za\\u017c\\xf3" in text
    assert " us" in text


@pytest.mark.parametrize(("counts", "colour"), [([5000, 5000], "32"), ([9000, 5000], "31"), ([5, 5], "33")])
def test_the_verdict_has_a_colour(measure: Measure, counts: list[int], colour: str) -> None:
    """Green, red or yellow where there are colours."""
    _, summary = measure(counts)
    assert f"\x1b[1;{colour}m{summary.verdict}: " in rendered(summary, color=True)
    assert "\x1b" not in rendered(summary)


def test_an_expectation_that_is_not_even_is_said(measure: Measure) -> None:
    """Whoever expects `uneven` reads whether it came so."""
    assert "uneven: as expected" in rendered(measure([9000, 5000], expect="uneven")[1])
    assert "uneven: not as expected" in rendered(measure([5000, 5000], expect="uneven")[1])
    assert "\nexpected  " not in rendered(measure([5000, 5000])[1])


def test_a_generator_that_limited_the_load_is_said(measure: Measure) -> None:
    """Latency of a saturated generator isn't the strategy's."""
    text = rendered(measure([5, 5], observed={"generator_cpu_ns": 10**9})[1], width=120)
    assert "wire, 100 % of a core: it limited the load, and latency includes its own queue" in text


def test_an_open_loop_says_how_late_it_was(measure: Measure) -> None:
    """Arrivals that were late, or never sent, are told; so is who had no more processor time."""
    _, summary = measure([5000, 5000])
    generator = Generator(
        cpu_fraction=0.2,
        limited=False,
        limit="proxy",
        lag_ns=Lag(p50=900, p99=4_000_000, max=10**9),
        unsent=17,
    )
    text = rendered(summary.model_copy(update={"generator": generator}), width=120)
    assert "wire, 20 % of a core; proxy limited the load" in text
    assert "arrivals were sent late by p50 0.9 µs, p99 4 ms, max 1 s" in text
    assert "17 arrivals found no free connection before the end; raise load.users" in text


def test_differences_between_witnesses_are_said_up_to_five(measure: Measure) -> None:
    """Many differences are counted, not all printed."""
    kernel = {f"instance-{i}": (0, None) for i in range(1, 9)}
    text = rendered(measure([5] * 8, observed={"tables": {"kernel": kernel}})[1], width=120)
    assert "instance-5: client 5, kernel 0 connections" in text
    assert "instance-6: client" not in text
    assert "and 3 more differences" in text


def test_terminal_output_without_requests_has_no_numbers(measure: Measure) -> None:
    """Without requests, dashes stand for shares, and the reason says why."""
    text = rendered(measure([0, 0])[1])
    assert "no request succeeded" in text
    assert "chi-square" not in text
    assert verdict_line(measure([0, 0])[1]) == (
        "made-up: inconclusive (0 connections over 2 instances, tolerance 10 %)"
    )


def test_the_verdict_in_one_line(measure: Measure) -> None:
    """Units, instances, worst deviation, tolerance and p-value in a line for a suite's list."""
    assert verdict_line(measure([5000, 5100])[1]) == (
        "made-up: even (10,100 connections over 2 instances, worst deviation -1.0 %, "
        "tolerance 10 %, p = 0.32)"
    )


def test_progress_in_a_file_is_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal a phase is a line, and live figures come every two seconds at most."""
    clock = iter([0.0, 1.0, 2.5, 2.5, 3.0, 4.0, 4.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    file = io.StringIO()
    progress = Progress(file=file)
    progress.phase("load", "5 users")
    for elapsed in (1, 2.5, 3):
        progress.live(elapsed, 10, 100, rate_per_s=40, errors=2)
    progress.close()
    progress.close()
    assert file.getvalue() == "load: 2.5/10 s, 100 requests, 40/s, 2 errors\nload (5 users): 4.0 s\n"


def test_progress_on_a_terminal_is_one_line_that_changes() -> None:
    """The last line is rewritten, a finished phase stays with its time, and the cursor is never hidden."""
    outer, inner = pty.openpty()
    with os.fdopen(inner, "w", encoding="utf-8") as file:
        progress = Progress(file=file)
        progress.phase("warm-up", "a detail")
        progress.phase("load")
        progress.live(5, 10, 1234, rate_per_s=246.8, errors=0)
        progress.close()
        said = ""
        while not said.endswith("load: 0.0 s\r\n"):  # a terminal passes on what it gets piece by piece
            assert select.select([outer], [], [], 5)[0], said
            said += os.read(outer, 4096).decode()
    os.close(outer)
    assert "warm-up (a detail): 0.0 s\r\n" in said
    assert "\r\x1b[2Kload [##########----------] 5.0/10 s, 1,234 requests, 247/s, 0 errors" in said
    assert "?25l" not in said


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Quiet is silent in every phase."""
    progress = Progress(quiet=True)
    progress.phase("load")
    progress.live(1, 2, 3, rate_per_s=4, errors=5)
    progress.close()
    assert capsys.readouterr() == ("", "")


def test_progress_survives_a_closed_stream() -> None:
    """Standard error that was closed before or during the run is no reason to fail."""
    file = io.StringIO()
    progress = Progress(file=file)
    file.close()
    progress.phase("load")
    progress.live(1, 0, 3, rate_per_s=4, errors=5)
    progress.close()
    Progress(file=file).phase("load")


def test_progress_survives_a_reader_that_left() -> None:
    """A broken pipe on standard error neither ends the run nor shows at its exit."""
    with subprocess.Popen(
        [sys.executable, "-c", BROKEN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        assert run.stderr is not None
        run.stderr.close()
        run.stderr = None
        assert run.communicate(b"")[0] == b"survived\n"
    assert run.returncode == 0


def test_a_terminal_that_cannot_rewrite_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """TERM=dumb is treated as a file."""
    monkeypatch.setenv("TERM", "dumb")
    outer, inner = pty.openpty()
    with os.fdopen(inner, "w", encoding="utf-8") as file:
        progress = Progress(file=file)
        progress.phase("load")
        progress.close()
        assert b"\x1b" not in os.read(outer, 4096)
    os.close(outer)


def test_processor_time_is_given_for_each_request_by_who_used_it(measure: Measure) -> None:
    """Those who were not there are left out."""
    _, summary = measure([400, 600], observed={"cpu_ns": {"proxy": 30_000_000, "softirq": 2_500_000}})
    assert "cpu         proxy 30 µs  kernel 2.5 µs  generator 450 µs  per request" in rendered(summary)


@pytest.mark.parametrize(
    ("counts", "when", "said"),
    [
        ([9000, 9000], 2.345, "the evidence sufficed after 2.3 s"),
        ([9000, 9000], None, "the evidence sufficed, but not before the end"),
        ([90, 90], None, "no verdict in the time it had"),
    ],
)
def test_a_load_that_waited_for_its_verdict_says_when_it_had_one(
    measure: Measure, counts: list[int], when: float | None, said: str
) -> None:
    """While it ran, only at its end, or not at all."""
    _, summary = measure(counts)
    sequential = SequentialSummary(looks=(), decided_after_s=when, half_width=0.05, fit_p_value=1.0)
    tests = summary.tests.model_copy(update={"sequential": sequential})
    text = rendered(summary.model_copy(update={"tests": tests}), 120)
    assert f"until       {said}, 0 looks; shares known to ±5.0 %" in text
