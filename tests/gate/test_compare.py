"""harness compare: which results stand together, and what is said of differences."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.gate.sides import read_sides
from harness.summary.run import CpuTime
from tests.gate.conftest import SCENARIO

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Harness
    from tests.gate.conftest import Stored

_EVEN = [10_000] * 4


def _runs(
    stored: Stored, name: str, kernel_us: list[float], counts: list[int] = _EVEN, **more: Any
) -> list[Path]:
    """Store runs of a scenario that differ in what a request costs the kernel."""
    changes = [{"name": name, "cpu_us_per_request": CpuTime(kernel=us), **more} for us in kernel_us]
    return [stored(counts, change=change) for change in changes]


def _flat(text: str) -> str:
    return " ".join(text.split())


def test_runs_of_a_scenario_stand_together(stored: Stored) -> None:
    """In the order in which the scenarios are named first, each run once."""
    nft = _runs(stored, "nft", [80, 81])
    dnat = _runs(stored, "dnat", [90, 91, 92])
    sides = read_sides([*nft, *dnat, nft[0]])
    assert [(side.label, len(side.runs)) for side in sides] == [("nft", 2), ("dnat", 3)]


def test_runs_of_one_scenario_stand_for_themselves(stored: Stored) -> None:
    """There is nothing else that they could be compared with."""
    runs = _runs(stored, "dnat", [90, 91])
    assert [side.label for side in read_sides(runs)] == [run.name for run in runs]


def test_compare_makes_a_side_of_each_set_of_keys(stored: Stored) -> None:
    """A run with --set replicas=… or on another engine is not the scenario's; labels tell which is which."""
    plain = stored(_EVEN)
    docker = stored(_EVEN, written={**SCENARIO, "engine": "docker"}, change={"engine": "docker"})
    users = stored(_EVEN, written={**SCENARIO, "load": {"users": 8, "duration": "10s"}})
    assert [side.label for side in read_sides([plain, docker])] == [
        "made-up (netns, process)",
        "made-up (netns, docker)",
    ]
    assert [side.label for side in read_sides([plain, users])] == [plain.name, users.name]


def test_folders_of_results_are_sides(stored: Stored, tmp_path: Path) -> None:
    """Before and after a change of the machine, for instance."""
    for when in ("before", "after"):
        (tmp_path / when).mkdir()
        for result in _runs(stored, "dnat", [90, 91]):
            result.rename(tmp_path / when / result.name)
    sides = read_sides([tmp_path / "before", tmp_path / "after"])
    assert [(side.label, len(side.runs)) for side in sides] == [("before: dnat", 2), ("after: dnat", 2)]


def test_a_difference_of_several_runs_is_shown_with_its_interval(stored: Stored, harness: Harness) -> None:
    """And that none could be shown, where that is so."""
    results = _runs(stored, "dnat", [90, 91, 92]) + _runs(stored, "nft", [45.0, 45.5, 46.0])
    text = _flat(harness("compare", *results).output)
    assert "dnat nft netns, process, 3 runs netns, process, 3 runs" in text
    assert "nft against dnat: differs in cpu kernel" in text
    assert "no difference could be shown in worst deviation, latency p50" in text
    assert "-50.0 % (-51." in text
    assert "the intervals of a column hold all at once" in text


def test_compare_claims_nothing_of_single_runs(stored: Stored, harness: Harness) -> None:
    """Its differences are written, and none is claimed."""
    text = _flat(harness("compare", *_runs(stored, "dnat", [90]), *_runs(stored, "nft", [45])).output)
    assert "-50.0 %" in text
    assert "nft against dnat: one run each" in text
    assert "differs in" not in text
    mixed = _flat(harness("compare", *_runs(stored, "a", [90]), *_runs(stored, "b", [45, 46])).output)
    assert "a has one run, which is too few" in mixed


def test_shares_are_compared_where_the_instances_are_the_same(stored: Stored, harness: Harness) -> None:
    """The units of all runs together; a real difference is found, and its instance."""
    even = _runs(stored, "even", [90, 91])
    skewed = _runs(stored, "skewed", [90, 91], [11_000, 9_000, 10_000, 10_000])
    text = _flat(harness("compare", *even, *skewed).output)
    assert "instance-1 25.00 % 27.50 % +2.50" in text
    assert "shares differ: chi-square" in text
    same = harness("compare", *even, *_runs(stored, "other", [90, 91])).output
    assert "shares: no difference could be shown" in same


@pytest.mark.parametrize(
    ("counts", "change", "why"),
    [
        ([10_000] * 3, {}, "they have other instances"),
        (_EVEN, {"unit": "request"}, "the one balances connections"),
    ],
)
def test_shares_of_something_else_are_not_compared(
    stored: Stored, harness: Harness, counts: list[int], change: dict[str, Any], why: str
) -> None:
    """All else still is."""
    results = [*_runs(stored, "one", [90]), *_runs(stored, "other", [90], counts, **change)]
    text = _flat(harness("compare", *results).output)
    assert f"shares are not compared: {why}" in text
    assert "cpu kernel" in text


def test_compare_warns_of_another_load(stored: Stored, harness: Harness) -> None:
    """Whatever differs may be due to it."""
    users = stored(
        _EVEN, written={**SCENARIO, "load": {"users": 8, "duration": "10s"}}, change={"name": "eight"}
    )
    text = _flat(harness("compare", stored(_EVEN), users).output)
    assert "other things differ than the strategy: load.users (16, 8)" in text


def test_compare_warns_of_doubtful_figures(stored: Stored, harness: Harness) -> None:
    """An interrupted run, and times of an emulated machine."""
    results = [*_runs(stored, "one", [90]), *_runs(stored, "other", [90], interrupted=True, emulated=True)]
    text = _flat(harness("compare", *results).output)
    assert "other: a run was interrupted" in text
    assert "one of the hosts was emulated" in text


def test_a_narrow_terminal_gets_lines(stored: Stored, harness: Harness) -> None:
    """With all that the table has; no line is wider."""
    results = _runs(stored, "dnat", [90, 91, 92]) + _runs(stored, "nft", [45.0, 45.5, 46.0])
    text = harness("compare", *results, env={"COLUMNS": "40"}).output
    assert max(map(len, text.splitlines())) <= 40
    assert "cpu kernel: dnat: 91 us nft: 45.5 us, -50.0 %" in _flat(text)
    assert "instance-4: 25.00 %, 25.00 %; +0.00" in _flat(text)


def test_as_json_it_has_runs_figures_and_intervals(stored: Stored, harness: Harness) -> None:
    """What a program needs to draw its own conclusions."""
    results = _runs(stored, "dnat", [90, 91, 92]) + _runs(stored, "nft", [45.0, 45.5, 46.0])
    document = json.loads(harness("compare", *results, "--json").output)
    assert [side["label"] for side in document["sides"]] == ["dnat", "nft"]
    assert document["sides"][1]["figures"]["cpu_kernel_us_per_request"] == [45.0, 45.5, 46.0]
    (difference,) = document["differences"]
    found = difference["figures"]["cpu_kernel_us_per_request"]
    assert found["finding"] == "differs"
    assert found["low"] < found["change"] < found["high"] < 0
    assert len(difference["shares"]["instances"]) == 4


def test_names_from_outside_do_no_harm(stored: Stored, harness: Harness) -> None:
    """Neither markup nor control characters."""
    results = [*_runs(stored, "a\x1b[31m[bold]", [90]), *_runs(stored, "b", [45])]
    text = harness("compare", *results).output
    assert "\x1b" not in text
    assert "[bold]" in text


def test_compare_needs_two_results(stored: Stored, harness: Harness, tmp_path: Path) -> None:
    """One result, even named twice, can't be compared; nor what is no result."""
    result = stored(_EVEN)
    (tmp_path / "file").write_text("text")
    (tmp_path / "empty").mkdir()
    for words in (
        (result, result),
        (result, tmp_path / "file"),
        (result, tmp_path / "empty"),
        (result, "nowhere"),
    ):
        assert harness("compare", *words).exit_code == 2
