"""How many units clients can bring, and what is said where these are too few."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.analysis.available import most_units, why_not_longer
from harness.analysis.evidence import evidence
from harness.analysis.units import Sample, units_of
from harness.recording.layout import dtype
from harness.recording.table import Recording
from harness.scenario import load_scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.scenario import Scenario
    from harness.types import Unit

DNAT = Path(__file__).parents[2] / "scenarios" / "dnat-10.yaml"


def changed(*changes: str) -> Scenario:
    """Read the scenario with four replicas and these changes."""
    return load_scenario(DNAT, ["replicas=4", *changes])


def recording(sources: Sequence[int], addresses: Sequence[str] = ()) -> Recording:
    """Give one request from each of these sources; the instances take turns."""
    rows = np.zeros(len(sources), dtype())
    rows["source"] = sources
    rows["connection"] = range(len(sources))
    rows["instance"] = np.arange(len(sources)) % 4
    names = [f"instance-{k}" for k in range(1, 5)]
    return Recording.of_run(rows, names, names).with_sources(addresses)


@pytest.mark.parametrize(
    ("changes", "unit", "most"),
    [
        ((), "connection", None),
        (("load.connections=keep-alive",), "connection", 16),
        (("load.connections=keep-alive",), "request", None),
        (("load.sources=500",), "source", 500),
        (("load.sources=500", "load.connections=keep-alive"), "source", 16),
        (("load.sources={count: 254, pattern: one-network}",), "network", 1),
        (("load.sources={count: 600, pattern: consecutive}",), "network", 3),
        (("load.sources=16000",), "network", 64),
    ],
)
def test_clients_have_so_many_units(changes: tuple[str, ...], unit: Unit, most: int | None) -> None:
    """Connections and requests go on coming; addresses, networks and kept connections do not."""
    assert most_units(changed(*changes), unit) == most


@pytest.mark.parametrize(
    ("changes", "unit", "wanted", "words"),
    [
        (
            ("load.sources=16",),
            "source",
            4_000,
            "have 16 sources in all, and it takes about 4,000: raise load.so",
        ),
        (
            ("load.sources=16000",),
            "source",
            20_000,
            "more than the 16,000 that they can have: widen the tolera",
        ),
        (
            ("load.sources={count: 9, pattern: one-network}",),
            "source",
            4_000,
            "write load.sources: 4000, scattered",
        ),
        (
            ("load.sources={count: 9, pattern: one-network}",),
            "network",
            4_000,
            "have 1 network in all, and it",
        ),
        (("load.connections=keep-alive",), "connection", 4_000, "write load.connections: per-request"),
    ],
)
def test_a_cause_that_no_longer_load_mends_is_told_with_what_does(
    changes: tuple[str, ...], unit: Unit, wanted: int, words: str
) -> None:
    """The key to change, or that no key can."""
    scenario = changed(*changes)
    most = most_units(scenario, unit)
    assert most is not None
    told = why_not_longer(scenario, unit, most, wanted)
    assert told.startswith("no longer load can mend that, as the clients ")
    assert words in told


@pytest.mark.parametrize(("unit", "count"), [("source", 16), ("network", 2)])
def test_evidence_with_too_few_units_is_inconclusive_for_good(unit: Unit, count: int) -> None:
    """Whatever the number of requests: neither seconds nor more units of the same clients are advised."""
    scenario = changed("strategy=nginx", "load.sources={count: 16, pattern: consecutive}")
    addresses = [f"198.18.{128 + k % 2}.{k}" for k in range(16)]
    many = recording([k % 16 for k in range(4_000)], addresses)
    given = Sample(many, units_of(many, unit), unit, [0.25] * 4, 10**9)
    assert given.balanced.total == count
    shown = evidence(scenario, given)
    assert shown.judged.verdict == "inconclusive"
    assert "too few to tell" in shown.judged.reason
    assert "; no longer load can mend that" in shown.judged.reason
    assert (shown.tests.tolerance.most_units, shown.tests.tolerance.more_seconds) == (
        16 if unit == "source" else 1,
        None,
    )


def test_networks_of_a_recording_survive_its_file(tmp_path: Path) -> None:
    """They are noted with it; in a file of before, addresses were consecutive from .1 on."""
    made = recording(range(6), ["198.18.1.7", "198.18.2.7", "198.18.1.9", "198.18.3.1", "198.18.2.2", "::1"])
    assert made.column_of("network").tolist() == [0, 1, 0, 2, 1, 3]
    made.to_parquet(tmp_path / "requests.parquet")
    read = Recording.from_parquet(tmp_path / "requests.parquet")
    assert read.networks == (0, 1, 0, 2, 1, 3)
    assert read.units_by_instance("network").tolist() == [1, 2, 0, 1]
    assert recording([0, 254, 255, 510, 511]).column_of("network").tolist() == [0, 0, 1, 1, 2]
