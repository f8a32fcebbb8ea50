"""Several routes in one recording: judged each for itself, and with one confidence together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.analysis.routes import RoutedEarlyStop, parts
from harness.errors import LoadError
from harness.plan.sample_size import needs_of
from harness.recording.layout import NO_INSTANCE, STATUS, dtype
from harness.scenario import load_scenario
from harness.stats.multiplicity import confidence_of_each
from harness.stats.planning import units_needed, units_until_verdict
from harness.summary.outcome import exit_status, not_as_expected
from tests.helpers.routes import GAP_NS, NAMES, SHARES, counts_of, judged, routed_recording, routed_scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.scenario import Scenario

_LOOK_NS = 250_000_000


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[..., Scenario]:
    """Give a function that loads the scenario of two routes with these changes."""

    def make(*changes: str) -> Scenario:
        return routed_scenario(tmp_path, *changes)

    return make


@pytest.mark.parametrize(
    ("each", "verdict", "reason"),
    [
        ((9000, 9000, 4000, 4010, 3990), "even", "on each of 2 routes, every instance's share lies within"),
        ((9000, 9000, 4000, 5000, 3000), "uneven", "route web: web-2's share 41.7 % lies above its band"),
        ((5000, 9000, 40, 50, 40), "uneven", "route api: api-2's share 64.3 % lies above its band"),
        ((9000, 9000, 40, 50, 40), "inconclusive", "route web: 130 requests are too few to tell"),
        ((9000, 9000, 0, 0, 0), "inconclusive", "route web: no request can be attributed"),
    ],
)
def test_each_route_is_judged_and_the_worst_decides(
    scenario: Callable[..., Scenario], each: tuple[int, ...], verdict: str, reason: str
) -> None:
    """Uneven if one is, even if all are; shares are of a route's own requests, and hold together."""
    summary = judged(scenario(), routed_recording(counts_of(*each)))
    assert summary.verdict == verdict
    assert summary.reason.startswith(reason)
    assert summary.passed is (verdict == "even")
    api, web = summary.routes
    assert (api.requests, web.requests) == (sum(each[:2]), sum(each[2:]))
    assert api.expected_share == 0.75
    assert api.tests.tolerance.alpha == pytest.approx(0.025)
    assert summary.tests.tolerance.alpha == pytest.approx(0.025)
    assert [row.name for row in summary.tests.tolerance.instances] == [*NAMES]
    rows = {row.name: row for row in summary.instances}
    assert [row.route for row in summary.instances] == ["api"] * 2 + ["web"] * 3
    assert rows["api-1"].share == each[0] / sum(each[:2])
    assert [row.expected_share for row in summary.instances] == pytest.approx(SHARES)
    if sum(each[2:]):
        assert api.latency_ns.p50 == 1000
        assert web.latency_ns.p50 == 2000
        fits = [route.tests.chi_square for route in summary.routes]
        together = summary.tests.chi_square
        assert together is not None
        assert together.dof == 3
        assert together.statistic == pytest.approx(sum(fit.statistic for fit in fits if fit))


def test_an_answer_of_another_routes_instance_fails_the_run(scenario: Callable[..., Scenario]) -> None:
    """It is counted, named, and nobody's in its route's distribution; the witnesses count it as ever."""
    counts = counts_of(9000, 9000, 4000, 4000, 4000) | {(0, 2): 5, (1, 0): 2}
    instances = {"api-1": 9002, "api-2": 9000, "web-1": 4005, "web-2": 4000, "web-3": 4000}
    table = {name: (None, count) for name, count in instances.items()}
    summary = judged(scenario(), routed_recording(counts), tables={"instances": table})
    assert summary.witnesses.agree is True
    assert {row.name: row.requests for row in summary.instances} == instances
    assert (summary.verdict, summary.passed, exit_status(summary)) == ("even", False, 1)
    assert [route.misrouted for route in summary.routes] == [5, 2]
    assert summary.tests.tolerance.missing == 7
    words = "even, but instances of another route answered 7 requests: 5 of api, 2 of web"
    assert not_as_expected(summary) == words


def test_errors_are_told_for_each_route(scenario: Callable[..., Scenario]) -> None:
    """What failed on one route is that route's, and its missing units are, too."""
    recording = routed_recording(counts_of(9000, 9000, 4000, 4000, 4000) | {(1, -1): 30})
    recording.rows["error"][recording.rows["instance"] == NO_INSTANCE] = STATUS
    summary = judged(scenario(), recording)
    assert [route.errors for route in summary.routes] == [{}, {"status": 30}]
    assert [route.tests.tolerance.missing for route in summary.routes] == [0, 30]
    assert summary.errors == {"status": 30}


def test_an_address_counts_once_for_each_route(scenario: Callable[..., Scenario]) -> None:
    """Where addresses are balanced, each route's instances have those that asked on it."""
    recording = routed_recording(counts_of(100, 100, 100, 50, 50))
    recording.rows["source"] = np.arange(len(recording.rows)) % 40
    summary = judged(scenario("strategy.policy=hash"), recording, unit="source")
    sources = [sum(row.sources for row in summary.instances if row.route == name) for name in ("api", "web")]
    assert sources == [40, 40]
    assert summary.counts.sources == 40


def test_instances_of_routes_have_to_be_known_by_name(scenario: Callable[..., Scenario]) -> None:
    """Else nobody could tell whose an answer is."""
    with pytest.raises(LoadError, match="leads to instances of several routes, but answers name 'v'"):
        judged(scenario(), routed_recording(counts_of(9, 9, 4, 4, 4), names="vwxyz"))


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [((0.5, 0.5, 1 / 3, 1 / 3, 1 / 3), "even"), ((0.5, 0.5, 0.5, 0.25, 0.25), "uneven")],
)
def test_the_recording_gives_the_verdict_that_ended_the_load(
    scenario: Callable[..., Scenario], shares: Sequence[float], verdict: str
) -> None:
    """Each route is looked at by itself; the load ends with the last verdict that it takes."""
    until = scenario("load.until=verdict", "tolerance=20%")
    rng = np.random.default_rng(5)
    rows: NDArray[np.void] = np.zeros(40_000, dtype())
    rows["route"] = np.arange(len(rows)) % 4 == 3
    rows["instance"] = np.where(
        rows["route"] == 1, 2 + rng.choice(3, len(rows), p=shares[2:]), rng.choice(2, len(rows), p=shares[:2])
    )
    rows["start_ns"] = rows["intended_start_ns"] = np.arange(len(rows)) * GAP_NS
    identities = NAMES[::-1]
    live = rows.copy()
    live["instance"] = 4 - live["instance"]
    watch = RoutedEarlyStop(until, "request", SHARES)
    for number, start in enumerate(range(0, len(rows), 800), 1):
        watch.take(live[start : start + 800], number * _LOOK_NS, identities)
        if watch.decided:
            break
    assert 0 < start < len(rows) - 800
    recording = replace(routed_recording({}), rows=rows[: start + 800])
    summary = judged(until, recording, looks=watch.all_looks)
    assert summary.verdict == verdict
    sequential = summary.tests.sequential
    assert sequential is not None
    assert sequential.decided_after_s == number * _LOOK_NS / 1e9


def test_a_plan_has_enough_for_every_route(scenario: Callable[..., Scenario]) -> None:
    """The route that needs most, by its share of the load, at the confidence and the power of one of two."""
    sure, power = confidence_of_each(0.95, 2), confidence_of_each(0.9, 2)
    assert needs_of(scenario()).units == 4 * units_needed([1 / 3] * 3, 0.1, sure, power, steady=True)
    assert needs_of(scenario("load.until=verdict", "routes.web.weight=3")).units == 2 * units_until_verdict(
        [1 / 3] * 3, 0.1, sure, power, steady=True
    )
    hashed = needs_of(scenario("strategy.policy=hash"))
    assert hashed.units == units_needed([1 / 3] * 3, 0.1, sure, power)


def test_single_route_divides_nothing(scenario: Callable[..., Scenario], tmp_path: Path) -> None:
    """Nothing is divided among one."""
    file = tmp_path / "one.yaml"
    file.write_text("strategy: nginx\nroutes: {api: {path: /api, replicas: 2}}\n")
    (part,) = parts(load_scenario(file), [0.5, 0.5])
    assert (part.scenario.confidence, part.instances, part.shares) == (0.95, ("api-1", "api-2"), (0.5, 0.5))
    assert parts(scenario().model_copy(update={"routes": {}}), SHARES) == []
