"""Looks at records while they are written, and the same looks at the whole recording afterwards."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.analysis.early_stop import EarlyStop, replay
from harness.recording.layout import NO_INSTANCE, dtype
from harness.recording.table import Recording
from harness.scenario import load_scenario
from harness.stats.sequential import FEWEST_LOOKS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from harness.scenario import Scenario
    from harness.types import Unit

NAMES = ("instance-1", "instance-2", "instance-3", "instance-4")
SHARES = [0.25] * 4
LOOK_NS = 250_000_000


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """Give a scenario whose 4,000 sources are plenty for its tolerance."""
    file = tmp_path / "x.yaml"
    file.write_text(
        "strategy: nft-hash\nreplicas: 4\ntolerance: 20%\nload: {sources: 4000, until: verdict}\n"
    )
    return load_scenario(file)


def records(count: int, sources: int, shares: list[float] | None = None) -> NDArray[np.void]:
    """Make up requests with a connection each, whose sources take turns and keep their instances."""
    rng = np.random.default_rng(4)
    rows = np.zeros(count, dtype())
    rows["connection"] = range(count)
    rows["source"] = rows["connection"] % sources
    rows["instance"] = rng.choice(4, sources, p=shares or SHARES)[rows["source"]]
    return rows


def watched(
    scenario: Scenario, unit: Unit, rows: NDArray[np.void], every: int
) -> tuple[EarlyStop, Recording]:
    """Look after every so many records until there is a verdict or nothing more comes."""
    watch = EarlyStop(scenario, unit, NAMES, SHARES)
    for number, start in enumerate(range(0, len(rows), every), 1):
        watch.take(rows[start : start + every], number * LOOK_NS, NAMES)
        if watch.decided:
            break
    return watch, Recording(rows, NAMES, 0, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("unit", ["connection", "request", "source"])
@pytest.mark.parametrize(("shares", "verdict"), [(None, "even"), ([0.4, 0.2, 0.2, 0.2], "uneven")])
def test_the_recording_gives_the_verdict_that_ended_the_load(
    scenario: Scenario, unit: Unit, shares: list[float] | None, verdict: str
) -> None:
    """The same looks at the same records: the verdict, and the look that found it, are the same."""
    watch, recording = watched(scenario, unit, records(60_000, 4000, shares), 1500)
    assert watch.decided
    assert watch.looks[-1].records < 15_000
    found, test = replay(recording, watch.looks, scenario, unit, SHARES)
    assert found.verdict == verdict
    assert test.decided_at == len(watch.looks) - 1


def test_sources_that_all_come_at_once_suffice(scenario: Scenario) -> None:
    """Where the first look sees them all, it is cut: no others would come for more looks."""
    watch, _ = watched(scenario, "source", records(60_000, 4000), 50_000)
    assert watch.decided
    assert [look.records for look in watch.looks] == [500 * number for number in range(1, 9)]
    assert {look.elapsed_ns for look in watch.looks} == {LOOK_NS}


@pytest.mark.parametrize("every", [1, 250, 501, 740, 999, 1999, 3999])
def test_sources_suffice_however_they_come(scenario: Scenario, every: int) -> None:
    """What a look leaves over counts for the next: the last of the sources bring the last look needed."""
    watch, recording = watched(scenario, "source", records(6000, 4000), every)
    assert watch.decided
    assert watch.looks[-1].records <= 4000
    found, test = replay(recording, watch.looks, scenario, "source", SHARES)
    assert found.verdict == "even"
    assert test.decided_at == len(watch.looks) - 1


def test_sources_that_ran_out_are_looked_at_no_more_often(scenario: Scenario) -> None:
    """Records that bring no new source are not cut, however few sources there are."""
    watch, recording = watched(scenario, "source", records(60_000, 16), 6000)
    assert len(watch.looks) == 10
    found, _ = replay(recording, watch.looks, scenario, "source", SHARES)
    assert found.reason.startswith("16 sources are too few to tell")


@pytest.mark.parametrize("every", [3000, 5000, 100_000])
@pytest.mark.parametrize("unit", ["connection", "request", "source"])
def test_a_load_that_is_soon_over_can_have_its_verdict(scenario: Scenario, unit: Unit, every: int) -> None:
    """With load.requests a fast one ends before eight looks were taken; the recording is cut into as many."""
    rows = records(5000, 4000)
    watch, recording = watched(scenario, unit, rows, every)
    assert unit == "source" or not watch.decided
    found, _ = replay(recording, watch.looks, scenario, unit, SHARES)
    assert found.verdict == "even"


def test_early_stop_of_an_empty_recording_knows_nothing(scenario: Scenario) -> None:
    """Nothing came, nothing is known, and the reason says so."""
    watch = EarlyStop(scenario, "connection", NAMES, SHARES)
    watch.take(np.zeros(0, dtype()), LOOK_NS, ())
    assert watch.known == "shares ±200.0 %"
    assert watch.looks == []
    recording = Recording(np.zeros(0, dtype()), NAMES, 0, datetime(2026, 1, 1, tzinfo=UTC))
    found, test = replay(recording, [], scenario, "connection", SHARES)
    assert found.verdict == "inconclusive"
    assert test.decided_at is None


def test_records_between_two_looks_count(scenario: Scenario) -> None:
    """What comes too soon after a look for another is counted, and judged by the next."""
    rows = records(3000, 4000)
    watch = EarlyStop(scenario, "request", NAMES, SHARES)
    for number, elapsed_ns in enumerate((100_000, 100_500, 102_000)):
        watch.take(rows[number * 1000 : number * 1000 + 1000], elapsed_ns, NAMES)
    assert [look.records for look in watch.looks] == [1000, 3000]


def test_failed_requests_hold_the_verdict_back(scenario: Scenario) -> None:
    """Missing units may be any instance's, while the load runs and afterwards."""
    rows = records(40_000, 4000)
    rows["instance"][::4] = NO_INSTANCE
    watch, recording = watched(scenario, "request", rows, 2000)
    assert not watch.decided
    assert len(watch.looks) == 20 > FEWEST_LOOKS
    found, _ = replay(recording, watch.looks, scenario, "request", SHARES)
    assert found.verdict == "inconclusive"
    assert "10,000 of 40,000 requests have no known instance" in found.reason
