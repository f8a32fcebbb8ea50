"""Spans without a success, and which of them mean that the service had gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.service import more_than, service

if TYPE_CHECKING:
    from harness.stats.service import Service

MS = 1_000_000


def _of(*ended: tuple[int, bool], lasts_ms: int = 8000) -> Service:
    """Look at requests that ended at these milliseconds, with or without success."""
    ends = np.array([at * MS for at, _ in ended], dtype=np.int64)
    return service(ends, np.array([not good for _, good in ended], dtype=bool), 0, lasts_ms * MS)


def test_service_that_ends_in_mid_run_has_gone_since_its_last_success() -> None:
    """Eight users that pause 100 ms fail 430 times, 1.6 % of all; no request succeeds after 2.6 s."""
    good = [(at // 10, True) for at in range(26_000)]
    bad = [(2600 + at * 100, False) for at in range(54) for _ in range(8)]
    found = _of(*good, *bad)
    (gone,) = found.gone
    assert (gone.from_ns, gone.to_ns, gone.failed) == (2599 * MS, 8000 * MS, 432)
    assert found.failed / found.requests < 0.02
    assert (found.windows, found.windows_without) == (20, 13)
    assert found.last_failed == found.last_requests > 0
    assert found.longest == gone


def test_service_that_comes_back_had_gone_meanwhile() -> None:
    """A second without a success in the middle is told with both its ends."""
    good = [(at, True) for at in range(8000) if not 3000 <= at < 4000]
    found = _of(*good, *((3000 + at * 50, False) for at in range(20)))
    assert [(one.from_ns // MS, one.to_ns // MS) for one in found.gone] == [(2999, 4000)]


def test_failures_that_chance_strews_are_no_absence() -> None:
    """A tenth of all requests fails, each by itself: no span of that is an absence."""
    chance = np.random.default_rng(1)
    found = _of(*((at, bool(chance.random() > 0.1)) for at in range(8000)))
    assert found.failed > 700
    assert not found.gone


def test_one_of_two_instances_that_is_gone_is_no_absence_of_the_service() -> None:
    """One user, whose every second request fails on average, has runs of failures by chance alone."""
    chance = np.random.default_rng(2)
    assert not _of(*((at * 40, bool(chance.random() > 0.5)) for at in range(200))).gone


def test_slow_answers_are_no_absence() -> None:
    """A span without a success in which nothing failed is as long as an answer takes."""
    found = _of(*((at, True) for at in range(2000, 8001, 2000)))
    assert not found.gone
    assert found.longest is not None
    assert found.longest.lasted_ns == 2000 * MS


def test_single_failure_at_a_low_rate_is_no_absence() -> None:
    """Two requests a second, of which one fails: a second passes between two successes."""
    assert not _of(*((at * 500, at != 7) for at in range(16))).gone


def test_one_user_whose_request_is_never_answered_tells_of_an_absence() -> None:
    """A service that hangs lets a single user fail once, at its time-out."""
    found = _of(*((at, True) for at in range(3000)), (8000, False))
    assert [one.from_ns // MS for one in found.gone] == [2999]


def test_time_out_after_the_end_is_no_absence() -> None:
    """Requests may end after the load, in which none is begun that could succeed."""
    found = _of(*((at, True) for at in range(8000)), *[(13_000, False)] * 8)
    assert not found.gone
    assert found.last_failed == 8


def test_nothing_measured_has_no_spans() -> None:
    """Without a request there is nothing to tell."""
    found = _of()
    assert (found.requests, found.longest, found.gone, found.windows_without) == (0, None, (), 1)


@given(st.lists(st.tuples(st.integers(0, 8000), st.booleans()), max_size=60))
def test_spans_hold_all_failures_and_stay_in_the_load(ended: list[tuple[int, bool]]) -> None:
    """Whatever ended when: spans lie in the load, and their failures are some of all."""
    found = _of(*ended)
    assert sum(one.failed for one in found.gone) <= found.failed
    assert all(0 <= one.from_ns <= one.to_ns <= 8000 * MS for one in found.gone)
    assert found.windows_without <= found.windows


@pytest.mark.parametrize(
    ("failed", "requests", "expected"), [(0, 100, False), (1, 100, False), (5, 100, True), (5, 5000, False)]
)
def test_more_than_a_limit_is_beyond_chance(failed: int, requests: int, expected: bool) -> None:
    """One failure of a hundred may be chance at a limit of 0.1 %, five of a hundred are not."""
    assert more_than(failed, requests, 0.001) is expected
