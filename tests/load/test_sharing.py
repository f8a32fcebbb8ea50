from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.load.profile import LoadProfile
from harness.load.sharing import Offset, drifted, offset_of, shares

PROFILE = LoadProfile(
    address="127.0.0.1",
    port=80,
    path="/",
    headers={},
    users=100,
    requests_per_connection=1,
    timeout_ns=1,
    identity_header="X",
    identity_body=None,
    sources=tuple(f"127.0.0.{number}" for number in range(1, 18)),
    seed=7,
)


@given(st.lists(st.booleans(), min_size=1, max_size=17), st.integers(17, 10_000))
def test_shares_add_up_to_the_whole_load(near: list[bool], requests: int) -> None:
    """Requests, rates, connections and addresses add up to the whole, whoever is near."""
    whole = replace(PROFILE, requests=requests, stages=((50.0, 10), (7.0, 20)))
    parts = shares(whole, near)
    profiles = [share.profile for share in parts]
    assert sum(profile.requests or 0 for profile in profiles) == requests
    assert sum(profile.users for profile in profiles) == 100
    for stage in range(2):
        assert sum(profile.stages[stage][0] for profile in profiles) == pytest.approx(whole.stages[stage][0])
        assert {profile.stages[stage][1] for profile in profiles} == {whole.stages[stage][1]}
    taken = [address for profile in profiles for address in profile.sources]
    assert sorted(taken) == (sorted(PROFILE.sources) if any(near) else [])
    numbers = [number for share in parts for number in share.sources]
    assert len(set(numbers)) == len(numbers)
    assert len({profile.seed for profile in profiles}) == len(near)


def test_a_source_keeps_its_number() -> None:
    """A record says which of all addresses it was, whoever used it."""
    for share in shares(PROFILE, [True, True, True]):
        assert [PROFILE.sources[number] for number in share.sources] == list(share.profile.sources)


def test_distant_worker_is_a_source_of_its_own() -> None:
    """Its addresses are its own, and unlike all others."""
    here, there = shares(PROFILE, [True, False])
    assert here.profile.sources == PROFILE.sources
    assert there.profile.sources == ()
    assert there.sources == (18,)


def test_users_of_a_closed_loop_are_locusts_to_divide() -> None:
    """Whichever worker it gives them to, there is room."""
    assert [share.profile.users for share in shares(PROFILE, [True] * 3)] == [100] * 3


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"users": 2}, "2 users are too few for 3 workers"),
        ({"requests": 1}, "1 requests are too few for 3 workers"),
        ({"sources": ("127.0.0.1",)}, "1 source addresses are too few for 3 workers"),
        ({"user_stages": ((1, 5), (2, 5))}, "2 users are too few for 3 workers"),
    ],
)
def test_load_too_small_for_all_workers_is_refused(changes: dict[str, object], why: str) -> None:
    """A worker that had nothing to do would never end."""
    with pytest.raises(ValueError, match=f"^{why}$"):
        shares(replace(PROFILE, **changes), [True] * 3)  # type: ignore[arg-type]  # by name


@given(
    st.integers(-(10**15), 10**15),
    st.lists(st.tuples(st.integers(1, 10**7), st.integers(1, 10**7)), min_size=1, max_size=20),
)
def test_the_true_offset_lies_within_its_uncertainty(ahead: int, ways: list[tuple[int, int]]) -> None:
    """However unlike the ways there and back, it is out by half of what the exchange took at most."""
    now, exchanges = 10**16, []
    for there, back in ways:
        exchanges.append((now, now + there + ahead, now + there + back))
        now += 10**8
    found = offset_of(exchanges)
    assert abs(found.offset_ns - ahead) <= found.uncertainty_ns
    assert found.uncertainty_ns <= (min(there + back for there, back in ways) + 1) // 2


def test_a_clock_that_drifts_is_less_certain() -> None:
    """The offset stays the one that was used; what it turned out to be later adds to the doubt."""
    assert drifted(Offset(1000, 50), Offset(1300, 20)) == Offset(1000, 320)
    assert drifted(Offset(1000, 50), Offset(1001, 20)) == Offset(1000, 50)
