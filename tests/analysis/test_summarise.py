from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest

from harness.analysis.statuses import status_rows
from harness.analysis.summarise import summarise
from harness.errors import LoadError
from harness.recording.layout import NO_INSTANCE, STATUS, TIMED_OUT, dtype
from harness.recording.table import Recording
from harness.scenario import Load, Resources
from harness.summary.outcome import exit_status
from harness.summary.run import Summary, summary_schema
from harness.types import TOTAL
from tests.helpers.observed import observed_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.analysis.observed import Observed

SCHEMA = Path(__file__).parents[2] / "docs" / "summary.schema.json"


def scenario(**changes: Any) -> Any:
    """Stand in for a scenario of three replicas."""
    values = {
        "name": "three",
        "strategy": SimpleNamespace(name="dnat-random"),
        "routes": {},
        "resources": Resources(),
        "replicas": 3,
        "host": "netns",
        "engine": "process",
        "client": "external",
        "tolerance": 0.1,
        "confidence": 0.95,
        "expect": "even",
        "seed": 0,
        "errors": 0.001,
        "recovers": None,
        "script": list,
        "load": Load(),
        "as_written": lambda: {"replicas": 3, "odd": float("inf")},
    }
    return SimpleNamespace(**(values | changes))


def recording(counts: Sequence[int], failed: int = 0, *, named: bool = True) -> Recording:
    """Give each instance that many connections of two requests, and let some connections fail."""
    instance = np.repeat(range(len(counts)), counts)
    instance = np.concatenate([np.repeat(instance, 2), np.full(failed, NO_INSTANCE)])
    rows = np.zeros(len(instance), dtype())
    rows["instance"] = instance
    rows["connection"] = np.arange(len(instance)) // 2
    rows["connection"][len(instance) - failed :] = len(instance) + np.arange(failed)
    rows["error"][len(instance) - failed :] = TIMED_OUT
    rows["latency_ns"] = 1000
    names = tuple(f"instance-{i + 1}" for i in range(len(counts)))
    return Recording(rows, names, 0, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), named)


def observed(**changes: Any) -> Observed:
    """Stand in for what a run of two seconds over three replicas observed."""
    values: dict[str, Any] = {
        "unit": "connection",
        "shares": [1 / 3] * 3,
        "wall_ns": 2 * 10**9,
        "generator_cpu_ns": 10**9,
        "versions": {"python": "3.11"},
    }
    return observed_of(**(values | changes))


def table(*counts: tuple[int | None, int | None]) -> dict[str, tuple[int | None, int | None]]:
    """Name what a witness counted for each instance."""
    return {f"instance-{i + 1}": count for i, count in enumerate(counts)}


def test_the_unit_is_what_the_share_is_of() -> None:
    """Connections and requests are both counted; share, deviation and verdict are the strategy's unit's."""
    rows = recording([4000, 4000, 2000])
    summary = summarise(scenario(), rows, observed())
    assert summary.verdict == "uneven"
    assert [row.connections for row in summary.instances] == [4000, 4000, 2000]
    assert [row.requests for row in summary.instances] == [8000, 8000, 4000]
    assert summary.instances[2].share == pytest.approx(0.2)
    assert summary.instances[2].deviation == pytest.approx(-0.4)
    by_request = summarise(scenario(), rows, observed(unit="request"))
    assert by_request.tests.chi_square is not None
    assert summary.tests.chi_square is not None
    assert by_request.tests.chi_square.statistic == pytest.approx(2 * summary.tests.chi_square.statistic)


def test_sources_are_a_unit_too() -> None:
    """For a strategy that balances client addresses, they are what is judged."""
    summary = summarise(scenario(), recording([5, 5, 5]), observed(unit="source"))
    assert summary.counts.sources == 1
    assert [row.share for row in summary.instances] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(("over_s", "rate_per_s"), [(2.0, 50), (0.9, None)])
def test_missing_time_follows_the_rate_of_the_second_half(over_s: float, rate_per_s: float | None) -> None:
    """Where all connections were made in the first half, a longer load would bring no more."""
    rows = recording([34, 33, 33])
    rows.rows["start_ns"] = np.linspace(0, over_s * 1e9, 200)
    tolerance = summarise(scenario(), rows, observed()).tests.tolerance
    assert tolerance.more_units is not None
    expected = None if rate_per_s is None else pytest.approx(tolerance.more_units / rate_per_s)
    assert tolerance.more_seconds == expected


def test_totals_hold_what_no_instance_can_be_named_for() -> None:
    """Failed requests and their connections are in the totals, and missing in the tests."""
    summary = summarise(scenario(), recording([5000, 5000, 5000], failed=7), observed())
    assert summary.counts.model_dump() == {
        "connections": 15_007,
        "requests": 30_007,
        "networks": None,
        "sources": 1,
        "errors": 7,
    }
    assert summary.errors == {"timed_out": 7}
    assert summary.tests.tolerance.missing == 7
    assert summary.throughput_per_s == 15_000


def test_quantiles_have_intervals_where_there_is_enough() -> None:
    """They lie around the quantile, the scenario's seed repeats them, and no rare one is made up."""
    rows = recording([5000, 5000, 5000])
    rng = np.random.default_rng(3)
    rows.rows["latency_ns"] = rng.lognormal(13, 0.5, len(rows.rows))
    rows.rows["intended_start_ns"] = rows.rows["start_ns"] = np.arange(len(rows.rows)) * 10**6
    summary = summarise(scenario(seed=7), rows, observed())
    intervals, quantiles = summary.latency_intervals_ns, summary.latency_ns
    assert intervals.p50 is not None
    assert quantiles.p50 is not None
    assert intervals.p50[0] <= quantiles.p50 <= intervals.p50[1]
    assert intervals == summarise(scenario(seed=7), rows, observed()).latency_intervals_ns
    wider = summarise(scenario(seed=7, confidence=0.999), rows, observed()).latency_intervals_ns
    assert wider.p50 is not None
    assert wider.p50[0] < intervals.p50[0] < intervals.p50[1] < wider.p50[1]
    few = summarise(scenario(), recording([3, 3, 3]), observed()).latency_intervals_ns
    assert set(few.model_dump().values()) == {None}


def test_summary_without_requests_is_inconclusive_json() -> None:
    """Without requests there are nulls instead of made-up numbers."""
    summary = summarise(scenario(), recording([0, 0, 0]), observed(wall_ns=0))
    assert summary.verdict == "inconclusive"
    assert summary.tests.chi_square is None
    assert summary.latency_ns.p50 is None
    json.loads(summary.to_json(), parse_constant=pytest.fail)


def test_json_knows_no_infinity() -> None:
    """An infinity in the scenario becomes null, since JSON has none."""
    text = summarise(scenario(), recording([9, 9, 9]), observed()).to_json()
    assert json.loads(text, parse_constant=pytest.fail)["scenario"] == {"replicas": 3, "odd": None}


def test_a_summary_reads_back_as_it_was() -> None:
    """What to_json wrote, Summary reads, under the name `schema` for its version."""
    summary = summarise(
        scenario(as_written=lambda: {"replicas": 3}), recording([90, 80, 70], failed=2), observed()
    )
    assert json.loads(summary.to_json())["schema"] == 1
    assert Summary.model_validate_json(summary.to_json()) == summary


def test_witnesses_that_agree() -> None:
    """Client, instances and kernel counting the same is agreement, null for what one can't count."""
    counted = {
        "instances": table((4, 8), (5, 10), (6, 12)),
        "kernel": table((4, None), (5, None), (6, None)),
    }
    witnesses = summarise(scenario(), recording([4, 5, 6]), observed(tables=counted)).witnesses
    assert witnesses.agree is True
    assert witnesses.differences == ()
    assert witnesses.kernel is not None
    assert (witnesses.kernel.connections, witnesses.kernel.requests) == (15, None)
    assert witnesses.client == witnesses.instances
    assert witnesses.proxy is None


def test_witnesses_that_differ_say_by_how_much() -> None:
    """A sentence for each instance, and an unknown count is a difference, no agreement."""
    counted = {"kernel": table((4, None), (3, None), (None, None))}
    witnesses = summarise(scenario(), recording([4, 5, 6]), observed(tables=counted)).witnesses
    assert witnesses.agree is False
    assert witnesses.differences == (
        "instance-2: client 5, kernel 3 connections",
        "instance-3: client 6, kernel unknown connections",
    )
    assert witnesses.kernel is not None
    assert witnesses.kernel.connections is None


def test_a_proxys_own_connections_are_no_disagreement() -> None:
    """Behind a layer-7 proxy, clients' connections and instances' are not the same ones."""
    counted = {"instances": table((1, 8), (1, 10), (1, 12))}
    seen = observed(unit="request", layer=7, tables=counted)
    summary = summarise(scenario(), recording([4, 5, 6]), seen)
    assert summary.witnesses.agree is True


def test_single_witness_neither_agrees_nor_differs() -> None:
    """No second witness, or none that counted, is neither agreement nor difference."""
    assert summarise(scenario(), recording([4, 5, 6]), observed()).witnesses.agree is None
    counted = {"kernel": table((None, None), (None, None), (None, None))}
    assert summarise(scenario(), recording([4, 5, 6]), observed(tables=counted)).witnesses.agree is None


def test_instances_with_names_of_their_own_are_compared_in_all() -> None:
    """Where nobody knows which instance is which, totals are compared."""
    counted = {"kernel": table((5, None), (6, None), (5, None))}
    rows = recording([4, 5, 6], named=False)
    witnesses = summarise(scenario(), rows, observed(tables=counted)).witnesses
    assert witnesses.differences == ("in all: client 15, kernel 16 connections",)


def test_weights_need_names() -> None:
    """Unequal expected shares can't be matched to instances that call themselves something else."""
    with pytest.raises(LoadError, match="let each answer with its name"):
        summarise(scenario(), recording([4, 5, 6], named=False), observed(shares=[0.5, 0.25, 0.25]))


@pytest.mark.parametrize(("cpu_ns", "limited"), [(899, False), (900, True), (1500, True)])
def test_a_generator_that_is_busy_limits_the_load(cpu_ns: int, limited: bool) -> None:
    """From nine tenths of a core, the generator is the bottleneck."""
    busy = observed(generator_cpu_ns=cpu_ns, wall_ns=1000)
    assert summarise(scenario(), recording([4, 5, 6]), busy).generator.limited is limited


def test_a_poor_approximation_is_not_used() -> None:
    """Where an instance is expected to get fewer than five units, the p-value is a simulated one."""
    few = summarise(scenario(), recording([4, 4, 4]), observed(warnings=["first"]))
    assert few.warnings == ("first",)
    assert few.tests.fit is not None
    assert not few.tests.fit.valid
    many = summarise(scenario(), recording([50, 50, 50]), observed())
    assert many.tests.fit is not None
    assert many.tests.chi_square is not None
    assert many.tests.fit.valid
    assert many.tests.fit.p_value == many.tests.chi_square.p_value


def test_names_that_hardly_tell_instances_apart_are_warned_of() -> None:
    """One name for all may be the server's, not the instance's."""
    told = summarise(scenario(), recording([500, 0, 0], named=False), observed()).warnings
    assert len(told) == 1
    assert told[0].startswith("answers give 1 of 3 names: either the other instances got nothing, or")
    assert summarise(scenario(), recording([500, 0, 0]), observed()).warnings == ()


@pytest.mark.parametrize(
    ("counts", "expect", "status"),
    [
        ([5000, 5000, 5000], "even", 0),
        ([5000, 5000, 5000], "uneven", 1),
        ([9000, 5000, 5000], "even", 1),
        ([9000, 5000, 5000], "uneven", 0),
        ([9, 9, 9], "even", 3),
        ([9, 9, 9], "uneven", 3),
        ([9, 9, 9], "inconclusive", 0),
        ([5000, 5000, 5000], "refused", 1),
        ([9, 9, 9], "refused", 1),
    ],
)
def test_exit_status_is_expected_or_not_or_unknown(counts: list[int], expect: str, status: int) -> None:
    """0 for what was expected, 3 where it can't be told, else 1."""
    summary = summarise(scenario(expect=expect), recording(counts), observed())
    assert exit_status(summary) == status
    assert summary.passed is (status == 0)


def test_phases_are_filled_in_later() -> None:
    """A summary is judged before the run is over; what took how long comes with a copy."""
    summary = summarise(scenario(), recording([4, 5, 6]), observed())
    assert summary.phases_s.total is None
    phases = summary.phases_s.model_copy(update={"total": 1.5})
    assert json.loads(summary.model_copy(update={"phases_s": phases}).to_json())["phases_s"]["total"] == 1.5


def test_the_start_is_in_utc() -> None:
    """By default a summary starts with the measured load."""
    assert summarise(scenario(), recording([4, 5, 6]), observed()).started_at == "2026-01-02T03:04:05+00:00"


def test_the_documented_schema_is_the_models() -> None:
    """docs/summary.schema.json is what the code generates; if not, write it anew."""
    assert SCHEMA.read_text(encoding="utf-8") == json.dumps(summary_schema(), indent=2) + "\n"


@pytest.mark.parametrize("counts", [[4, 5, 6], [0, 0, 0]])
def test_a_summary_keeps_to_the_schema(counts: list[int]) -> None:
    """summary.json is valid after the documented schema, nulls too."""
    summary = summarise(
        scenario(), recording(counts, failed=1), observed(tables={"kernel": table((4, None))})
    )
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(summary.to_json()), schema)


def test_a_witness_that_knows_only_the_total_is_compared_with_the_total() -> None:
    """A published port counts what a sandbox gets, and not which instance in it."""
    rows = recording([4, 5, 6])
    for total, agree in ((15, True), (14, False)):
        witnesses = summarise(scenario(), rows, observed(tables={"kernel": {TOTAL: (total, None)}})).witnesses
        assert witnesses.agree is agree
        assert witnesses.kernel is not None
        assert witnesses.kernel.connections == total
    assert witnesses.differences == ("in all: client 15, kernel 14 connections",)


def test_processor_time_is_given_for_each_request() -> None:
    """Of who was there; interrupts are the kernel's, the generator's is what it says itself."""
    used = {"proxy": 30_000_000, "softirq": 60_000_000, "generator": 1}
    summary = summarise(scenario(), recording([4, 5, 6]), observed(cpu_ns=used, generator_cpu_ns=15_000_000))
    assert summary.counts.requests == 30
    assert summary.cpu_us_per_request.model_dump() == {
        "proxy": 1000,
        "kernel": 2000,
        "instances": None,
        "generator": 500,
        "engine": None,
    }


def test_statuses_tell_codes_and_whose_they_are() -> None:
    """An instance's where the answer names one; a proxy's where it says what proxies say; else not known."""
    made = recording([10, 10, 10])
    made.rows["error"][:6] = STATUS
    made.rows["status"][:6] = [503, 503, 503, 404, 404, 503]
    made.rows["instance"][[0, 1, 3]] = NO_INSTANCE
    rows = {(row.status, row.by): row.count for row in status_rows(made, 7)}
    assert rows == {(503, "proxy"): 2, (503, "instance"): 2, (404, "unknown"): 1, (404, "instance"): 1}
    assert (503, "unknown") in {(row.status, row.by) for row in status_rows(made, 4)}
