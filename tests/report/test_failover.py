"""A suite's failover table."""

from __future__ import annotations

import re
from typing import Any

from harness.report.failover import failover_rows
from harness.summary.events import WindowLatency
from harness.summary.suite import EventFigures
from tests.report.test_events import required
from tests.report.test_suite_table import figures, outcome, rendered, scenario, suite

_MS = 1_000_000


def _event(lost: int = 0, recovered_s: float | None = 0.0, **more: Any) -> EventFigures:
    known: dict[str, Any] = {
        "label": "kill instance-4",
        "requests": 1000,
        "errors": {"refused": lost} if lost else {},
        "recovery": "disturbed" if recovered_s is None else "recovered",
        "during_ns": WindowLatency(p50=_MS, p99=9 * _MS),
        "first_second_ns": WindowLatency(p50=_MS, p99=9 * _MS),
        "answered_after": 0,
    }
    return EventFigures(lost=lost, recovered_s=recovered_s, **(known | more))


def _run(*events: EventFigures, membership: str = "static", **more: Any) -> Any:
    return outcome(figures=figures().model_copy(update={"events": events, "membership": membership}), **more)


def test_each_event_has_a_row() -> None:
    """Strategy, membership, event, losses, recovery and latency, in one line."""
    found = suite([scenario("kill-one", _run(_event(250, None)), strategy="dnat-random")])
    text = rendered(found, width=140)
    (line,) = [line for line in text.splitlines() if "kill instance-4" in line]
    assert " ".join(line.split()) == "dnat-random static kill instance-4 25 250 refused disturbed 1 9"
    assert "old, after" not in text


def test_several_runs_are_median_and_range() -> None:
    """What was not shown in some of them is counted, not averaged away."""
    runs = [_run(_event(lost, at)) for lost, at in ((10, 0.5), (30, 0.7), (20, None))]
    (row,) = failover_rows(suite([scenario("kill-one", *runs)], repeat=3))
    assert row.lost == "2\n1-3"
    assert row.classes == "20 (10-30) refused"
    assert row.recovered == "0.6\n0.5-0.7\ndisturbed (1 of 3)"


def test_classes_that_only_some_runs_have_count_as_none_in_the_others() -> None:
    """A median over all runs."""
    runs = [_run(_event(4, errors={"refused": 4})), _run(_event(2, errors={"status 503": 2}))]
    (row,) = failover_rows(suite([scenario("kill-one", *runs)], repeat=2))
    assert row.classes == "2 (0-4) refused\n1 (0-2) status 503"


def test_scenarios_are_named_where_nothing_else_tells_them_apart() -> None:
    """Two of one strategy, one followed and one with another rate."""
    one, followed = scenario("slow-1", _run(_event())), scenario("b-2", _run(_event(), membership="followed"))
    assert "slow-1" not in _table(rendered(suite([one, followed])))
    assert "slow-1" in _table(rendered(suite([one, followed, scenario("fast-3", _run(_event()))])))


def _table(text: str) -> str:
    return text[text.index("membership") - 60 : text.index("lost: of the requests")]


def test_answers_of_the_old_version_have_a_column_where_there_are_some() -> None:
    """As after a switch that leaves connections alone."""
    text = rendered(suite([scenario("green", _run(_event(answered_after=12, label="blue-green to green")))]))
    assert "old, after: requests begun after the cut" in text
    assert re.search(r"blue-green to green .* 12", text)


def test_a_suite_without_events_has_no_such_table() -> None:
    """It would be empty."""
    text = rendered(suite([scenario("a-2", outcome())]))
    assert "membership" not in text


def test_failover_table_lists_missed_requirements_below() -> None:
    """With the expected verdict, that alone is what went wrong."""
    failed = _run(_event(250, None), status=1, recovers=required("no"))
    text = rendered(suite([scenario("kill-one", failed)]), width=160)
    assert "kill-one: recovers: no: 45 of 2,500 requests lost" in text
    assert "where even is expected" not in text


def test_names_from_outside_are_made_harmless() -> None:
    """A label holds instances' names; markup stays text."""
    text = rendered(suite([scenario("x", _run(_event(label="kill [red]\x1b[1m")))]), width=160)
    assert "[red]\\x1b[1m" in text
