"""The members that a strategy knows, as a watcher and replacements change them."""

from __future__ import annotations

import pytest

from harness.engines.base import Change
from harness.errors import StrategyError
from harness.faults.membership import Membership
from harness.types import Member


def _member(name: str, weight: int = 1) -> Member:
    return Member(name, f"198.18.0.{ord(name[0])}", 8080, weight)


class _Told:
    """A strategy that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[list[tuple[str, int]]] = []
        self.refuses = False

    def __call__(self, members: object) -> None:
        if self.refuses:
            raise StrategyError("no")
        assert isinstance(members, list)
        self.told.append([(member.name, member.weight) for member in members])


@pytest.fixture
def told() -> _Told:
    return _Told()


@pytest.fixture
def membership(told: _Told) -> Membership:
    return Membership([_member("a", 3), _member("b")], told)


def test_membership_drops_ended_and_restores_returning_instances(membership: Membership, told: _Told) -> None:
    """In one step each; what changes nothing is not told."""
    membership.take(Change("b"))
    membership.take(Change("b"))
    membership.take(Change("c", _member("c")))
    membership.take(Change("a", _member("a")))
    assert told.told == [[("a", 3)], [("a", 3), ("c", 1)]]
    assert [(name, joined) for name, joined, _ in membership.followed] == [("b", False), ("c", True)]


def test_the_last_one_is_not_taken_out(membership: Membership, told: _Told) -> None:
    """There would be nobody to name; that it comes again changes nothing."""
    membership.take(Change("a"))
    membership.take(Change("b"))
    membership.take(Change("b", _member("b")))
    assert told.told == [[("b", 1)]]


def test_a_replacement_takes_its_own_in_at_once(membership: Membership, told: _Told) -> None:
    """A watcher that hears of them before leaves them out; of the old ones' end there is nothing to tell."""
    membership.hold(["x", "y"])
    membership.take(Change("x", _member("x")))
    membership.take(Change("y", _member("y")))
    moment_ns = membership.switch(["a", "b"], [_member("x"), _member("y")], {"x": 3, "y": 1, "a": 0, "b": 0})
    membership.take(Change("a"))
    assert told.told == [[("x", 3), ("y", 1)]]
    assert {when for *_, when in membership.followed} == {moment_ns}
    membership.take(Change("x"))
    assert told.told[-1] == [("y", 1)]


def test_a_canary_changes_the_weights_of_those_that_stay(membership: Membership, told: _Told) -> None:
    """All in one step."""
    membership.switch([], [_member("x")], {"a": 9, "b": 3, "x": 2})
    assert told.told == [[("a", 9), ("b", 3), ("x", 2)]]


def test_membership_does_not_keep_a_failed_change(membership: Membership, told: _Told) -> None:
    """The next change is told with all that came before."""
    told.refuses = True
    with pytest.raises(StrategyError):
        membership.take(Change("c", _member("c")))
    assert membership.followed == []
    told.refuses = False
    membership.take(Change("d", _member("d")))
    assert told.told == [[("a", 3), ("b", 1), ("d", 1)]]
