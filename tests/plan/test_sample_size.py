"""What a plan says before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click import UsageError

from harness.errors import HarnessError, ScenarioError
from harness.plan.sample_size import needs_of
from harness.scenario import load_scenario
from harness.stats.planning import units_needed, units_until_verdict

if TYPE_CHECKING:
    from harness.plan.sample_size import Needs
    from tests.conftest import Harness

DNAT = Path(__file__).parents[2] / "scenarios" / "dnat-10.yaml"


def needs(*changes: str) -> Needs:
    """Plan the scenario with these changes."""
    return needs_of(load_scenario(DNAT, changes))


def test_units_are_those_of_the_verdicts_test() -> None:
    """At the scenario's tolerance and confidence, for its shares; another number where looks end the load."""
    assert needs().units == units_needed([0.1] * 10, 0.1, 0.95)
    weighted = needs("replicas=2", "weights={instance-1: 9}", "tolerance=5%", "confidence=99%")
    assert weighted.units == units_needed([0.9, 0.1], 0.05, 0.99)
    early = needs("load.until=verdict")
    assert (early.units, early.half) == (
        units_until_verdict([0.1] * 10, 0.1, 0.95),
        units_until_verdict([0.1] * 10, 0.1, 0.95, 0.5),
    )


@pytest.mark.parametrize(
    ("changes", "each", "most"),
    [
        ((), 1, None),
        (("load.requests=300",), 1, 300),
        (("load.connections=8", "load.requests=300"), 8, 38),
        (("load.connections=keep-alive", "load.requests=9999"), None, 16),
        (("strategy=nft-hash", "load.sources=500"), 1, 500),
        (("strategy=nft-hash", "load.sources=500", "load.connections=4"), 4, 500),
        (("strategy=nft-hash", "load.connections=keep-alive", "load.users=7"), None, 7),
        (("strategy=haproxy", "load.connections=keep-alive"), 1, None),
        (("strategy=haproxy", "load.connections=keep-alive", "load.requests=300"), 1, 300),
    ],
)
def test_a_load_brings_only_so_many_units(
    changes: tuple[str, ...], each: int | None, most: int | None
) -> None:
    """Kept connections, sources and requests are limits that no duration lifts."""
    found = needs(*changes)
    assert (found.requests_per_unit, found.most_units) == (each, most)
    assert found.out_of_reach == (most is not None)


def test_a_plan_tells_units_time_and_what_would_be_set_up(harness: Harness) -> None:
    """First what it takes, then the rules."""
    text = harness("plan", DNAT, "--rate", "2000/s").stdout
    assert "16,700 connections in nine of ten runs" in text
    assert "time        8.3 s at 2,000 requests/s\n" in text
    assert text.index("16,700") < text.index("host netns: clients know 198.18.37.99:80") < text.index("DNAT")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "10.0 s, as the scenario has it, at 1,670 requests/s or more"),
        (("--rate", "1000/s"), "16.7 s at 1,000 requests/s; the scenario's load lasts 10.0 s only"),
        (
            ("--rate", "1000/s", "--set", "load.until=verdict", "--set", "load.duration=1m"),
            "22.0 s or 28.7 s at 1,000 requests/s\n",
        ),
        (("--set", "load.connections=5"), "10.0 s, as the scenario has it, at 8,350 requests/s or more"),
        (
            ("--set", "load.connections=keep-alive"),
            "too few units: this load brings at most 16 connections, however long it lasts",
        ),
        (
            ("--set", "load.connections=keep-alive", "--set", "load.users=20000"),
            "as soon as all users have their connections",
        ),
    ],
)
def test_a_plan_says_how_long_it_takes(harness: Harness, arguments: tuple[str, ...], told: str) -> None:
    """At the rate that is given, or the rate that it takes; or that no time suffices."""
    assert told in harness("plan", DNAT, *arguments).stdout


def test_a_plan_can_be_read_by_programs(harness: Harness) -> None:
    """One JSON object, of what it takes."""
    document = json.loads(harness("plan", DNAT, "--json").stdout)
    assert (document["name"], document["unit"], document["units"]) == ("dnat-10", "connection", 16_700)


@pytest.mark.parametrize(
    ("arguments", "kind", "complaint"),
    [
        (("--rate", "0/s"), UsageError, "more than 0/s"),
        (("--rate", "10"), UsageError, "'10' is no rate"),
        (("--set", "tolerance=0.000001%"), HarnessError, "widen tolerance"),
        (("--set", "replicas=0"), ScenarioError, "replicas"),
    ],
)
def test_a_plan_of_what_can_not_be_is_refused(
    harness: Harness, arguments: tuple[str, ...], kind: type[Exception], complaint: str
) -> None:
    """In words that say what to write."""
    found = harness("plan", DNAT, *arguments)
    assert isinstance(found.exception, kind)
    assert complaint in str(found.exception)
