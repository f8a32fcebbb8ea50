"""Whether a run passed: one answer for the command, the table, the page, `harness check` and old results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.gate.checks import Limits, check_alone
from harness.report.gate import overall
from harness.report.html.words import headline
from harness.report.terminal import verdict_line
from harness.summary.events import EventRow
from harness.summary.outcome import conclude, concluded, exit_status
from harness.summary.run import Summary, Witnesses, WitnessTotals
from harness.summary.service import NetworkSummary, ServiceSummary, SilenceRow
from harness.summary.suite import outcome_of
from tests.report.test_terminal import rendered

if TYPE_CHECKING:
    from pathlib import Path

    from tests.report.conftest import Measure

_EXIT = {"passed": 0, "failed": 1, "inconclusive": 3}


def _service(**changes: Any) -> ServiceSummary:
    values: dict[str, Any] = {
        "limit": 0.001,
        "seconds": 8.0,
        "requests": 32_145,
        "failed": 0,
        "longest": None,
    }
    values |= {"windows": 20, "windows_without": 0, "last_requests": 64, "last_failed": 0}
    return ServiceSummary(**(values | changes))


def _witnesses(**counts: int) -> Witnesses:
    totals = {name: WitnessTotals(connections=count, requests=None) for name, count in counts.items()}
    kinds = dict.fromkeys(("client", "instances", "kernel", "proxy")) | totals
    return Witnesses(**kinds, agree=False, differences=("instance-1: client 13,085, kernel 992 connections",))


_GONE = {"service": _service(failed=480, gone=(SilenceRow(from_s=2.6, to_s=8.0, failed=480),))}
_CASES: list[tuple[dict[str, Any], int, str]] = [
    (_GONE, 1, "no request succeeded after 2.6 s of 8.0 s (480 failed)"),
    (
        {"service": _service(failed=40)},
        1,
        "40 of 32,145 requests failed (0.12 %); the scenario's errors allow",
    ),
    ({"service": _service(failed=9, last_failed=9)}, 1, "in the last 0.4 s, 9 of 64 requests failed"),
    ({"died": ("instance-2 died (killed by SIGKILL): it said nothing",)}, 3, "instance-2 died"),
    ({"witnesses": _witnesses(client=13_085, instances=13_085, kernel=992)}, 3, "rules were changed"),
    ({"witnesses": _witnesses(client=13_085, instances=13_085, kernel=-7)}, 3, "removed or replaced"),
    (
        {"witnesses": _witnesses(client=33_085, instances=13_085)},
        3,
        "20,000 connections that no instance served",
    ),
    (
        {"network": NetworkSummary(segments=70_000, resent=56, needless=0, overflowed=0)},
        3,
        "the network lost packets: 56 of 70,000",
    ),
    ({"interrupted": True}, 3, "interrupted before its end"),
    # What an older version stored: the death is among the warnings only, and it passed.
    ({"warnings": ("instance-2 died (exit status 1): it said nothing",)}, 3, "instance-2 died"),
]


@pytest.mark.parametrize(("changes", "status", "words"), _CASES)
def test_reason_against_a_run_counts_everywhere(
    measure: Measure, tmp_path: Path, changes: dict[str, Any], status: int, words: str
) -> None:
    """The exit status, `check`, a suite's row and the stored document agree, and the reason comes first."""
    _, even = measure([20_000, 20_000])
    assert even.passed
    found = concluded(even.model_copy(update={"service": None} | changes))
    assert not found.passed
    assert exit_status(found) == status
    assert words in found.not_passed[0]
    checks = list(check_alone("result", found, Limits(None, {}, None)))
    assert _EXIT[overall(checks)] == status
    row = outcome_of(found, tmp_path, 1, 1.0)
    assert (row.passed, row.status) == (False, status)
    assert words in row.reason
    assert concluded(found) == found  # a stored one is read as it was written
    if not found.interrupted:
        assert words in " ".join(rendered(found).split())
        assert words in verdict_line(found)
        assert words in headline(found)


@pytest.mark.parametrize("changes", [case[0] for case in _CASES if case[1] == 3][:-2])
def test_untrusted_evenness_is_shown_by_nothing(measure: Measure, changes: dict[str, Any]) -> None:
    """An even distribution of counts that can't be trusted is inconclusive; an uneven one stays uneven."""
    _, even = measure([20_000, 20_000])
    found = concluded(even.model_copy(update=changes))
    assert found.verdict == "inconclusive"
    assert found.reason.startswith(found.not_passed[0])
    _, uneven = measure([30_000, 10_000])
    found = concluded(uneven.model_copy(update=changes))
    assert (found.verdict, exit_status(found)) == ("uneven", 3)


def test_death_comes_before_what_it_led_to(measure: Measure) -> None:
    """An instance died, therefore the service went away: exit status 3, the death first."""
    _, even = measure([20_000, 20_000])
    found = conclude(even.model_copy(update=_GONE | {"died": ("instance-2 died (exit status 1): no",)}))
    assert [reason.question for reason in found.reasons] == ["died", "service", "errors"]
    assert found.exit_status == 3


def test_contradiction_never_passes_whatever_is_expected(measure: Measure) -> None:
    """A scenario that expects an inconclusive verdict does not get it by a contradiction."""
    _, even = measure([20_000, 20_000])
    doubtful = {"witnesses": _witnesses(client=5, instances=4), "expect": "inconclusive"}
    assert exit_status(concluded(even.model_copy(update=doubtful))) == 3


@pytest.mark.parametrize(
    ("differences", "events", "status"),
    [
        (("in all: client 1,398, kernel 1,800 connections",), 1, 0),
        (("in all: client 1,398, kernel 1,801 connections",), 1, 3),  # one more than were lost
        (("in all: client 1,398, kernel 1,397 connections",), 1, 3),
        (
            ("instance-1: client 5, instances 205 requests", "instance-2: client 5, instances 208 requests"),
            1,
            3,
        ),
        (("in all: client 1,398, kernel unknown connections",), 1, 3),
        (("in all: client 1,398, kernel 1,800 connections",), 0, 3),
    ],
)
def test_requests_that_an_event_cost_are_no_contradiction(
    measure: Measure, differences: tuple[str, ...], events: int, status: int
) -> None:
    """Rules and proxies count what they send to an instance that has ended; no more than was lost."""
    _, even = measure([20_000, 20_000])
    event = EventRow.model_construct(action="kill", members=("instance-2",))
    changes = {
        "events": (event,) * events,
        "counts": even.counts.model_copy(update={"errors": 402}),
        "witnesses": even.witnesses.model_copy(update={"agree": False, "differences": differences}),
    }
    assert exit_status(even.model_copy(update=changes)) == status


def test_result_of_an_older_version_is_read_by_the_same_rules(measure: Measure) -> None:
    """A summary without the newer keys that passed in spite of a contradiction does not pass any more."""
    _, even = measure([20_000, 20_000])
    old = even.model_dump(mode="json", by_alias=True)
    for key in ("service", "died", "network", "not_passed"):
        del old[key]
    assert concluded(Summary.model_validate(old, strict=False)).passed
    old["witnesses"] |= {"agree": False, "differences": ["instance-1: client 5, kernel 4 connections"]}
    assert old["passed"]
    assert not concluded(Summary.model_validate(old, strict=False)).passed


def test_few_resent_segments_are_no_loss() -> None:
    """Needless ones, and those to a full queue, are not lost; nor are fewer than ten."""
    assert not NetworkSummary(segments=1000, resent=9, needless=0, overflowed=0).lossy
    assert not NetworkSummary(segments=1000, resent=60, needless=55, overflowed=0).lossy
    assert not NetworkSummary(segments=1000, resent=60, needless=0, overflowed=15).lossy
    assert NetworkSummary(segments=1000, resent=60, needless=0, overflowed=0).lossy
